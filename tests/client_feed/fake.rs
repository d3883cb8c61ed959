//! A fake server on a port of its own: a handler gets each request and the connection to answer on.
//!
//! It speaks just enough HTTP/1.1 to be cut, stalled and garbled at any byte. It keeps no channel log;
//! `log.rs` does.

use std::future::Future;
use std::sync::Arc;

use switchboard::client::{Client, Endpoint, Timeouts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A secret that must not show up anywhere.
pub const SECRET: &str = "sk-very-hidden-0123456789";

/// One request as it came.
pub struct Request {
    pub method: String,
    pub path: String,
    pub head: String,
    pub body: serde_json::Value,
}

/// The connection of one request.
pub struct Connection(TcpStream);

impl Connection {
    /// Answers with one document and closes.
    pub async fn answer(mut self, status: u16, headers: &str, body: &str) {
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
            body.len()
        );
        let _ = self.0.write_all(head.as_bytes()).await;
        let _ = self.0.write_all(body.as_bytes()).await;
        let _ = self.0.shutdown().await;
    }

    /// Begins a stream of lines.
    pub async fn stream(&mut self) {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = self.0.write_all(head.as_bytes()).await;
    }

    /// Sends bytes of a stream at once; `false` when the client is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.0.write_all(&chunk).await.is_ok()
    }

    /// Ends a stream as HTTP has it. Without this, dropping the connection cuts the stream.
    pub async fn end(mut self) {
        let _ = self.0.write_all(b"0\r\n\r\n").await;
        let _ = self.0.shutdown().await;
    }

    /// Says nothing more until the client leaves.
    pub async fn stall(mut self) {
        let mut rest = [0; 64];
        while self.0.read(&mut rest).await.is_ok_and(|length| length > 0) {}
    }
}

/// A server that runs until it is dropped.
pub struct Fake {
    pub port: u16,
    task: AbortHandle,
}

impl Fake {
    /// Starts a server whose requests go to `handler`.
    pub async fn start<F, Fut>(handler: F) -> Self
    where
        F: Fn(Request, Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let handler = Arc::new(handler);
        let accept = async move {
            let mut connections = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                let handler = Arc::clone(&handler);
                connections.spawn(async move {
                    if let Some(request) = read_request(&mut socket).await {
                        handler(request, Connection(socket)).await;
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        };
        Self {
            port,
            task: tokio::spawn(accept).abort_handle(),
        }
    }

    /// A client of this server as one of unknown kind.
    pub fn client(&self) -> Client {
        let base = format!("http://127.0.0.1:{}", self.port);
        let endpoint = Endpoint::custom("fake", &base, SECRET).expect("an endpoint");
        Client::new(endpoint, Timeouts::default()).expect("a client")
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0_usize);
    while bytes.len() < head_end + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut words = head.split(' ');
    Some(Request {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        body: serde_json::from_slice(&bytes[head_end..]).unwrap_or_default(),
        head,
    })
}
