//! A document that a request names is fetched over TLS by the real program, whose certificates are those of its system,
//! and reaches the model; one whose certificate nobody vouches for does not.

mod cli_support;

use std::fs::File;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use cli_support::{User, listening};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};

const SECRET: &str = "secret-of-attachments-0123";
const TEXT: &str = "The code of the day is swordfish.";

/// Serves the document to everybody over TLS; gives its port and its certificate as PEM.
async fn documents() -> (u16, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signed");
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("a certificate with its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not trust it leaves in the middle of the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{TEXT}",
                TEXT.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, certificate.pem())
}

/// A model that says "read" and keeps what it was asked.
async fn model(asked: Arc<Mutex<Vec<String>>>) -> u16 {
    let answer = move |body: String| async move {
        asked.lock().expect("a lock").push(body);
        let chunk = json!({"choices": [{"delta": {"content": "read"}, "finish_reason": "stop"}]});
        format!("data: {chunk}\n\ndata: [DONE]\n\n")
    };
    let router = Router::new().route("/v1/chat/completions", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// What a server that trusts these certificates answers to a request with the document attached.
async fn answer(user: &User, certificates: &str, model: u16, document: &str) -> Value {
    let log = user.path("log");
    let mut server = user
        .command(&["serve", "--listen", "127.0.0.1:0", "--model", "m", "--model-url"])
        .arg(format!("http://127.0.0.1:{model}/v1"))
        .env("SWITCHBOARD_SECRET", SECRET)
        .env("SSL_CERT_FILE", user.path(certificates))
        .stdin(Stdio::null())
        .stderr(File::create(&log).expect("a file"))
        .spawn()
        .expect("it starts");
    let url = listening(&log);
    let _ = crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
    let answer = client
        .expect("a client")
        .post(format!("{url}/v1/conversation/complete"))
        .bearer_auth(SECRET)
        .json(&json!({
            "messages": [{"type": "user", "text": "What is the code of the day?"}],
            "attachments": [{"url": document}],
        }))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let _ = server.kill();
    let _ = server.wait();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_comes_over_tls_from_whom_the_systems_certificates_vouch_for() {
    let (port, certificate) = documents().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let model = model(Arc::clone(&asked)).await;
    let user = User::new();
    user.configure(&format!(
        "[server.attachments]\nallow = [\"127.0.0.1\", \"::1\"]\nports = [{port}]\n"
    ));
    let (_, another) = documents().await;
    std::fs::write(user.path("trusted.pem"), certificate).expect("a file");
    std::fs::write(user.path("other.pem"), another).expect("a file");
    let document = format!("https://localhost:{port}/code.txt");

    let refused = answer(&user, "other.pem", model, &document).await;
    assert_eq!(refused["code"], "BAD_GATEWAY", "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .is_some_and(|message| message.contains("its certificate is not trusted")),
        "{refused}"
    );
    assert!(asked.lock().expect("a lock").is_empty(), "the model was not asked");

    let answered = answer(&user, "trusted.pem", model, &document).await;
    assert_eq!(answered["text"], "read", "{answered}");
    let asked = asked.lock().expect("a lock").join("\n");
    assert!(asked.contains(TEXT), "{asked}");
}
