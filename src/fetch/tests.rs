//! Fetching from a server on this machine, which the options allow; no test asks anybody else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that answers with raw bytes by path; `{}` in them is its own address.
struct Web {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
    asked: Arc<AtomicUsize>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn web(pages: &[(&'static str, &str)]) -> Web {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let pages: Arc<HashMap<&str, String>> = Arc::new(
        pages
            .iter()
            .map(|(path, answer)| (*path, answer.replace("{}", &address.to_string())))
            .collect(),
    );
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (pages, count) = (Arc::clone(&pages), Arc::clone(&count));
            tokio::spawn(async move {
                let mut head = vec![0; 8192];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                count.fetch_add(1, Ordering::Relaxed);
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                if path == "/head" {
                    let body = head.to_lowercase();
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(answer.as_bytes()).await;
                    return;
                }
                let page = pages.get(path.as_str()).or_else(|| pages.get(path.split('?').next()?));
                let _ = stream.write_all(page.map_or("", String::as_str).as_bytes()).await;
                if path.starts_with("/endless") {
                    while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
                }
                if path.starts_with("/stuck") {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    Web { address, task, asked }
}

fn options() -> FetchOptions {
    FetchOptions {
        allow: vec!["127.0.0.1/32".parse().expect("a range")],
        ports: Vec::new(),
        size: 10_000,
        total: 15_000,
        text: 1000,
        ..FetchOptions::default()
    }
}

/// Gives each name its addresses, one list for each time that it is asked for, the last one from then on.
#[derive(Default)]
struct Names(Mutex<HashMap<&'static str, Vec<Vec<&'static str>>>>);

impl Names {
    fn of(names: &[(&'static str, &[&[&'static str]])]) -> Arc<Self> {
        let lists = names
            .iter()
            .map(|(name, lists)| (*name, lists.iter().map(|list| list.to_vec()).collect()))
            .collect();
        Arc::new(Self(Mutex::new(lists)))
    }
}

#[async_trait]
impl Lookup for Names {
    async fn lookup(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut names = self.0.lock().expect("a lock");
        let lists = names.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let list = if lists.len() > 1 {
            lists.remove(0)
        } else {
            lists[0].clone()
        };
        Ok(list
            .iter()
            // A port in an answer means nothing, so a wrong one changes nothing.
            .map(|address| SocketAddr::new(address.parse().expect("an address"), 1))
            .collect())
    }
}

fn text(fetched: &Fetched) -> &str {
    match &fetched.content {
        Content::Text { text, .. } => text,
        Content::Image(_) => panic!("an image: {fetched:?}"),
    }
}

fn refusal(outcome: Result<Vec<Fetched>, FetchError>) -> (Reason, String) {
    let error = outcome.expect_err("a refusal");
    let message = error.to_string();
    match error {
        FetchError::Attachment { reason, .. } => (reason, message),
        FetchError::TooMany { .. } => panic!("too many"),
    }
}

#[tokio::test]
async fn texts_and_images_come_in_their_order() {
    let web = web(&[
        (
            "/a.txt?secret=1",
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\none",
        ),
        ("/b.png", "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\nGIF89a"),
        ("/c", "HTTP/1.1 302 Found\r\nlocation: d/../e\r\n\r\n"),
        ("/e", "HTTP/1.1 307 Moved\r\nlocation: //{}/f#part\r\n\r\n"),
        (
            "/f",
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n5\r\n<p>hi\r\n0\r\n\r\n",
        ),
    ])
    .await;
    let base = format!("http://{}", web.address);
    let urls = [
        format!("{base}/a.txt?secret=1"),
        format!("{base}/b.png"),
        format!("{base}/c"),
        format!("{base}/head"),
    ];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let fetched = Fetcher::new(options()).fetch(&urls).await.expect("all of them");
    assert_eq!(fetched[0].url, format!("{base}/a.txt"));
    assert_eq!(text(&fetched[0]), "one");
    assert_eq!(fetched[1].media_type, "image/gif");
    assert_eq!(fetched[1].content, Content::Image(Bytes::from_static(b"GIF89a")));
    assert_eq!(
        (fetched[2].url.as_str(), text(&fetched[2])),
        (format!("{base}/c").as_str(), "hi")
    );
    let head = text(&fetched[3]);
    for (named, expected) in [
        ("accept-encoding: identity", true),
        ("referer", false),
        ("authorization", false),
        ("cookie", false),
    ] {
        assert_eq!(head.contains(named), expected, "{head}");
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_says_why_and_never_what_came() {
    let secret = "s3cret-answer";
    let long = "x".repeat(10_001);
    let web = web(&[
        (
            "/404",
            &format!("HTTP/1.1 404 {secret}\r\ncontent-length: 13\r\n\r\n{secret}"),
        ),
        (
            "/500",
            &format!("HTTP/1.1 500 No\r\ncontent-length: 13\r\n\r\n{secret}"),
        ),
        (
            "/206",
            &format!("HTTP/1.1 206 Part\r\ncontent-length: 13\r\n\r\n{secret}"),
        ),
        (
            "/pdf",
            &format!("HTTP/1.1 200 OK\r\ncontent-type: application/pdf\r\n\r\n{secret}"),
        ),
        (
            "/gzip",
            &format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n{secret}"),
        ),
        ("/declared", "HTTP/1.1 200 OK\r\ncontent-length: 10001\r\n\r\n"),
        ("/long", &format!("HTTP/1.1 200 OK\r\n\r\n{long}")),
        ("/endless", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n"),
        (
            "/broken",
            &format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{secret}"),
        ),
        ("/no-http", secret),
        ("/loop", "HTTP/1.1 302 Found\r\nlocation: /loop\r\n\r\n"),
        ("/nowhere", "HTTP/1.1 302 Found\r\n\r\n"),
        ("/file", "HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\n\r\n"),
        ("/inside", "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2/\r\n\r\n"),
        (
            "/metadata",
            "HTTP/1.1 301 Found\r\nlocation: http://169.254.169.254/latest\r\n\r\n",
        ),
        ("/hidden", "HTTP/1.1 303 Found\r\nlocation: http://0x7f.2:80/\r\n\r\n"),
        ("/user", "HTTP/1.1 308 Found\r\nlocation: http://a:b@{}/404\r\n\r\n"),
        ("/name", "HTTP/1.1 308 Found\r\nlocation: http://inside.test/\r\n\r\n"),
    ])
    .await;
    let table = [
        ("/404", Reason::Status(404), ErrorCode::UnprocessableEntity),
        ("/500", Reason::Status(500), ErrorCode::BadGateway),
        ("/206", Reason::Status(206), ErrorCode::UnprocessableEntity),
        (
            "/pdf",
            NotTaken::Type("application/pdf".into()).into(),
            ErrorCode::UnprocessableEntity,
        ),
        ("/gzip", Reason::Compressed, ErrorCode::UnprocessableEntity),
        ("/declared", Reason::TooLarge(10_000), ErrorCode::ContentTooLarge),
        ("/long", Reason::TooLarge(10_000), ErrorCode::ContentTooLarge),
        ("/endless", Reason::TooLarge(10_000), ErrorCode::ContentTooLarge),
        ("/broken", Reason::Broken, ErrorCode::BadGateway),
        ("/no-http", Reason::Broken, ErrorCode::BadGateway),
        ("/empty", Reason::Broken, ErrorCode::BadGateway),
        ("/loop", Reason::Redirects(4), ErrorCode::UnprocessableEntity),
        ("/nowhere", Reason::BadRedirect, ErrorCode::UnprocessableEntity),
        ("/file", Reason::BadRedirect, ErrorCode::UnprocessableEntity),
        ("/inside", Reason::ForbiddenRedirect, ErrorCode::UnprocessableEntity),
        ("/metadata", Reason::ForbiddenRedirect, ErrorCode::UnprocessableEntity),
        ("/hidden", Reason::ForbiddenRedirect, ErrorCode::UnprocessableEntity),
        ("/user", Reason::ForbiddenRedirect, ErrorCode::UnprocessableEntity),
        ("/name", Reason::ForbiddenRedirect, ErrorCode::UnprocessableEntity),
    ];
    let names = Names::of(&[("inside.test", &[&["10.0.0.1"]])]);
    let fetcher = Fetcher::with_lookup(options(), names);
    for (path, expected, code) in table {
        let url = format!("http://{}{path}?key=k3y", web.address);
        let error = fetcher.fetch(&[&url]).await.expect_err(path);
        assert_eq!(error.code(), code, "{path}");
        let (reason, message) = refusal(Err(error));
        assert_eq!(reason, expected, "{path}");
        assert!(
            message.contains(&format!("`attachments[0]` (http://{}{path}):", web.address)),
            "{message}"
        );
        for hidden in [secret, "k3y", "169.254", "10.0.0.1"] {
            assert!(!message.contains(hidden), "{message}");
        }
    }
}

#[tokio::test]
async fn addresses_inside_are_refused_in_every_form() {
    let fetcher = Fetcher::new(FetchOptions {
        ports: Vec::new(),
        ..FetchOptions::default()
    });
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.0.0.1./",
        "http://0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::169.254.169.254]/",
        "http://[fe80::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://①②⑦.⓪.⓪.①/",
        "https://10.0.0.1:8443/",
    ] {
        assert_eq!(refusal(fetcher.fetch(&[url]).await).0, Reason::NotPublic, "{url}");
    }
    // A name of this machine itself, which the system's own hosts file knows.
    assert_eq!(
        refusal(fetcher.fetch(&["http://localhost/"]).await).0,
        Reason::NoAddress
    );
}

#[tokio::test]
async fn what_a_url_must_be_is_checked_before_anybody_is_asked() {
    let fetcher = Fetcher::new(FetchOptions::default());
    let long = format!("https://example.com/{}", "x".repeat(LONGEST_URL));
    let table = [
        ("", Reason::NoUrl),
        ("nonsense", Reason::NoUrl),
        ("ftp://example.com/", Reason::NoUrl),
        ("file:///etc/passwd", Reason::NoUrl),
        ("data:text/plain,x", Reason::NoUrl),
        ("http://", Reason::NoUrl),
        ("http://user@example.com/", Reason::Credentials),
        ("http://:password@example.com/", Reason::Credentials),
        ("http://example.com:22/", Reason::Port(22)),
        ("https://example.com:8443/", Reason::Port(8443)),
        ("http://example.com:0/", Reason::Port(0)),
        (&long, Reason::LongUrl),
    ];
    for (url, expected) in table {
        let (reason, message) = refusal(fetcher.check(&["https://example.com/", url]).map(|()| Vec::new()));
        assert_eq!(reason, expected, "{url}");
        assert!(
            message.starts_with("`attachments[1]`") && !message.contains("password@"),
            "{message}"
        );
    }
    for good in [
        "http://example.com/",
        "https://example.com:443/a?b#c",
        "HTTP://EXAMPLE.COM:80",
    ] {
        assert_eq!(fetcher.check(&[good]), Ok(()), "{good}");
    }
    let many = ["https://example.com/"; 9];
    assert_eq!(fetcher.check(&many), Err(FetchError::TooMany { count: 9, limit: 8 }));
}

#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    let web = web(&[
        ("/ok", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("/again", "HTTP/1.1 302 Found\r\nlocation: /ok\r\n\r\n"),
    ])
    .await;
    let port = web.address.port();
    let names = Names::of(&[
        // Public first, inside from then on: only what was looked up is connected to.
        ("once.test", &[&["127.0.0.1"], &["127.0.0.2"]]),
        ("twice.test", &[&["127.0.0.1"], &["127.0.0.2"]]),
        // What is inside is passed over among several.
        ("both.test", &[&["127.0.0.2", "10.0.0.1", "127.0.0.1", "::1"]]),
        ("inside.test", &[&["127.0.0.2", "10.0.0.1", "::ffff:10.0.0.1"]]),
        ("none.test", &[&[]]),
    ]);
    let fetcher = Fetcher::with_lookup(options(), names);
    for (url, expected) in [
        (format!("http://once.test:{port}/ok"), Ok("ok")),
        // The second hop looks the name up again, and is refused then.
        (
            format!("http://twice.test:{port}/again"),
            Err(Reason::ForbiddenRedirect),
        ),
        (format!("http://both.test:{port}/ok"), Ok("ok")),
        (format!("http://inside.test:{port}/ok"), Err(Reason::NoAddress)),
        (format!("http://none.test:{port}/ok"), Err(Reason::NoAddress)),
        (format!("http://unknown.test:{port}/ok"), Err(Reason::NoAddress)),
    ] {
        let outcome = fetcher.fetch(&[&url]).await;
        match expected {
            Ok(expected) => assert_eq!(text(&outcome.expect("a text")[0]), expected, "{url}"),
            Err(expected) => assert_eq!(refusal(outcome).0, expected, "{url}"),
        }
    }
    assert_eq!(web.asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn who_is_slow_is_given_up() {
    let web = web(&[
        ("/stuck", ""),
        ("/stuck-head", "HTTP/1.1 200 OK\r\ncontent-ty"),
        ("/stuck-body", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc"),
        (
            "/stuck-redirect",
            "HTTP/1.1 302 Found\r\nlocation: /stuck\r\ncontent-length: 0\r\n\r\n",
        ),
    ])
    .await;
    let timeout = Duration::from_millis(100);
    let fetcher = Fetcher::new(FetchOptions { timeout, ..options() });
    for path in ["/stuck", "/stuck-head", "/stuck-body", "/stuck-redirect"] {
        let url = format!("http://{}{path}", web.address);
        let error = fetcher.fetch(&[&url]).await.expect_err(path);
        assert_eq!(error.code(), ErrorCode::GatewayTimeout);
        assert_eq!(refusal(Err(error)).0, Reason::Slow(timeout), "{path}");
    }
}

#[tokio::test]
async fn all_together_are_bounded_too_and_one_that_fails_ends_the_others() {
    let body = "x".repeat(9000);
    let web = web(&[
        (
            "/big",
            &format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n{body}"),
        ),
        ("/stuck", ""),
        ("/404", "HTTP/1.1 404 No\r\n\r\n"),
    ])
    .await;
    let big = format!("http://{}/big", web.address);
    let fetcher = Fetcher::new(options());
    let one = fetcher.fetch(&[&big]).await.expect("one fits");
    assert_eq!(
        one[0].content,
        Content::Text {
            text: "x".repeat(1000),
            whole: 9000
        }
    );
    let (reason, _) = refusal(fetcher.fetch(&[&big, &big]).await);
    assert_eq!(reason, Reason::TooLargeTogether(15_000));
    let (stuck, missing) = (
        format!("http://{}/stuck", web.address),
        format!("http://{}/404", web.address),
    );
    assert_eq!(refusal(fetcher.fetch(&[&stuck, &missing]).await).0, Reason::Status(404));
}

#[tokio::test]
async fn who_does_not_answer_or_has_no_trusted_certificate_is_named_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    let fetcher = Fetcher::new(options());
    let (reason, _) = refusal(fetcher.fetch(&[&format!("http://{closed}/")]).await);
    assert_eq!(reason, Reason::Unreachable("nobody takes the connection"));
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = plain.local_addr().expect("an address");
    let answering = async {
        let (mut stream, _) = plain.accept().await.expect("a connection");
        let _ = stream.write_all(b"this is no TLS").await;
        // Read to its end, so that the answer is not cut off by closing.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let url = format!("https://{address}/");
    let urls = [url.as_str()];
    let outcome = tokio::select! {
        outcome = fetcher.fetch(&urls) => outcome,
        () = async { answering.await; std::future::pending().await } => unreachable!(),
    };
    let (reason, message) = refusal(outcome);
    // On a machine without certificates it cannot even be tried.
    let untrusted = Reason::Unreachable("its certificate is not trusted, or it does not speak TLS");
    assert!([untrusted, Reason::NoCertificates].contains(&reason), "{message}");
}
