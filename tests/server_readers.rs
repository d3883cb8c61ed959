//! Very many readers of one server, which is a process of its own, as they are after a lobby of screens came back: all are
//! held, and all are told. A thousand, or `SWITCHBOARD_READERS`; each takes an open file on either side:
//!
//! `SWITCHBOARD_READERS=10000 cargo test --test server_readers -- --nocapture`

mod cli_support;

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cli_support::{PATIENCE, User, listening};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SECRET: &str = "secret-of-many-readers-0123";
/// How many channels they read.
const CHANNELS: usize = 20;
/// What the server may take for each reader that does nothing, in bytes.
const MOST_FOR_ONE: u64 = 48 * 1024;

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(user: &User) -> Server {
    let log = user.path("log");
    let child = user
        .command(&["serve", "--demo", "--listen", "127.0.0.1:0"])
        .env("SWITCHBOARD_SECRET", SECRET)
        .stdin(Stdio::null())
        .stderr(File::create(&log).expect("a file"))
        .spawn()
        .expect("it starts");
    let url = listening(&log);
    let address = url.trim_start_matches("http://").to_owned();
    Server { child, address }
}

impl Server {
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
        let kilobytes = line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok());
        kilobytes.expect("a number") * 1024
    }

    async fn ask(&self, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.expect("a connection");
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream
    }
}

fn channel(number: usize) -> String {
    format!("/v1/channel/channel-{:02}-0123456789abcdef", number % CHANNELS)
}

/// Reads until a text has come.
async fn until(stream: &mut TcpStream, text: &str) {
    let reading = async {
        let mut seen = Vec::new();
        let mut buffer = [0; 1024];
        while !seen.windows(text.len()).any(|window| window == text.as_bytes()) {
            let count = stream.read(&mut buffer).await.expect("no error");
            assert!(count > 0, "it ended: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("it comes");
}

#[tokio::test]
async fn very_many_idle_readers_are_held_and_all_are_told() {
    let count = std::env::var("SWITCHBOARD_READERS").map_or(1000, |count| count.parse().expect("a number"));
    // Each is an open file here too.
    let mut files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    files.current = files.maximum;
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, files);
    let user = User::new();
    let server = start(&user);
    let before = server.resident();
    let begun = Instant::now();
    let mut readers = Vec::with_capacity(count);
    for number in 0..count {
        let mut reader = server.ask(&format!("{}/subscribe", channel(number)), "").await;
        until(&mut reader, "\r\n\r\n").await;
        readers.push(reader);
    }
    let connected = begun.elapsed();
    let each = server.resident().saturating_sub(before) / count as u64;
    assert!(each < MOST_FOR_ONE, "{each} bytes for each");
    // They are there still after a while in which nothing happens.
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Half of them leave, without a word.
    readers.truncate(count / 2);
    let begun = Instant::now();
    for number in 0..CHANNELS {
        let mut answer = server
            .ask(&format!("{}/publish", channel(number)), r#"{"message":"for all"}"#)
            .await;
        until(&mut answer, "\"id\"").await;
    }
    for reader in &mut readers {
        until(reader, "for all").await;
    }
    let told = begun.elapsed();
    println!("{count} readers connected in {connected:?}, {each} bytes for each; half of them told in {told:?}");
}
