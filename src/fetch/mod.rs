//! Fetches what a request attaches: documents and images by their addresses, within limits, and never from inside the
//! server's own network.
//!
//! Every hop of a fetch is checked on the address that is connected to ([`resolve`](self)): a URL that names an internal
//! address, a name that leads to one, a redirect to one, are all refused, unless [`FetchOptions::allow`] names its range.
//! What an answer holds is said only when it is taken; an error never repeats any of it. It knows no run and no model.

mod address;
mod content;
mod html;
mod resolve;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use ipnet::IpNet;
use reqwest::{StatusCode, Url, header};
use tokio::sync::Semaphore;
use url::Host;

pub use resolve::{Lookup, SystemLookup};

use crate::wire::ErrorCode;
use content::NotTaken;
use resolve::{Filter, NoAddress};

/// The longest URL that is taken, in bytes.
pub const LONGEST_URL: usize = 2048;

/// How many attachments of one run are fetched side by side.
const AT_ONCE_A_RUN: usize = 4;

/// How many headers an answer may have.
const MOST_HEADERS: usize = 100;

/// The bounds of fetching, and what it may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// How many attachments a request may have.
    pub count: usize,
    /// The largest attachment, in bytes.
    pub size: usize,
    /// The most that all attachments of a request may have together, in bytes.
    pub total: usize,
    /// How much of a text is given on, in bytes; the rest is cut off.
    pub text: usize,
    /// How long one attachment may take, from the look-up of its host to its last byte.
    pub timeout: Duration,
    /// How long connecting may take, for each hop.
    pub connect_timeout: Duration,
    /// How many redirects are followed.
    pub redirects: usize,
    /// The ports that may be connected to; none: all of them.
    pub ports: Vec<u16>,
    /// Ranges that may be connected to although they are not public.
    pub allow: Vec<IpNet>,
    /// How many attachments are fetched at once, of all runs; more wait.
    pub at_once: usize,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            count: 8,
            size: 5 << 20,
            total: 10 << 20,
            text: 256 << 10,
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            redirects: 4,
            ports: vec![80, 443],
            allow: Vec::new(),
            at_once: 32,
        }
    }
}

/// What an attachment turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it was asked for, without user, password, query and fragment.
    pub url: String,
    /// Its media type, in lower case.
    pub media_type: String,
    /// What it holds.
    pub content: Content,
}

/// What an attachment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text {
        /// As much of it as is taken ([`FetchOptions::text`]).
        text: String,
        /// The length of the whole text, in bytes; larger than what `text` has when it was cut.
        whole: usize,
    },
    /// A PNG, JPEG, GIF or WebP image, as it came.
    Image(Bytes),
}

/// Why there are no attachments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There are too many of them.
    #[error("`attachments`: {count} are more than the {limit} that this server takes")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many are taken.
        limit: usize,
    },
    /// One of them cannot be had.
    #[error("`attachments[{index}]` ({url}): {reason}")]
    Attachment {
        /// Its place in the request, from 0.
        index: usize,
        /// Its address without user, password, query and fragment.
        url: String,
        /// What is wrong with it.
        reason: Reason,
    },
}

impl FetchError {
    /// The code of the API's errors that goes with it.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany { .. } => ErrorCode::BadRequest,
            Self::Attachment { reason, .. } => reason.code(),
        }
    }
}

/// What is wrong with an attachment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It is no URL of http or https.
    #[error("an http or https address is needed")]
    NoUrl,
    /// The URL is too long.
    #[error("the address is longer than {LONGEST_URL} bytes")]
    LongUrl,
    /// The URL has a user or a password in it.
    #[error("an address with a user name or a password in it is not fetched")]
    Credentials,
    /// The port is not one of those that are open.
    #[error("port {0} is not among those that this server fetches from")]
    Port(u16),
    /// The host is an address that is not public.
    #[error("its host is no public address, and this server does not fetch from inside its own network")]
    NotPublic,
    /// The host's name leads to no public address.
    #[error("its host has no public address; is the name right?")]
    NoAddress,
    /// There were too many redirects.
    #[error("it redirects more than {0} times")]
    Redirects(usize),
    /// A redirect leads nowhere.
    #[error("it redirects to something that is no http or https address")]
    BadRedirect,
    /// A redirect leads to where nothing is fetched from.
    #[error("it redirects to where this server does not fetch from")]
    ForbiddenRedirect,
    /// A redirect gives up the encryption.
    #[error("it redirects from https to http")]
    Downgrade,
    /// Nobody answers there.
    #[error("it cannot be reached ({0})")]
    Unreachable(&'static str),
    /// The server cannot speak https.
    #[error("this server has no CA certificates, so it cannot fetch over https; they have to be installed there")]
    NoCertificates,
    /// The answer is none, or ended too early.
    #[error("its server's answer broke off, or is not HTTP")]
    Broken,
    /// Another status than 200.
    #[error("its server answered with the status {0}")]
    Status(u16),
    /// It came compressed.
    #[error("it came compressed, which was not asked for")]
    Compressed,
    /// It is too large.
    #[error("it is larger than the {0} bytes that are taken")]
    TooLarge(usize),
    /// All of them together are too large.
    #[error("with it, the attachments are larger than the {0} bytes that are taken of all together")]
    TooLargeTogether(usize),
    /// It took too long.
    #[error("it did not come within {} seconds", .0.as_secs_f32())]
    Slow(Duration),
    /// Its content is nothing that a model takes.
    #[error("{0}")]
    Content(String),
}

impl Reason {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoUrl | Self::LongUrl | Self::Credentials | Self::Port(_) | Self::NotPublic => ErrorCode::BadRequest,
            Self::NoAddress
            | Self::Redirects(_)
            | Self::BadRedirect
            | Self::ForbiddenRedirect
            | Self::Downgrade
            | Self::Compressed
            | Self::Content(_) => ErrorCode::UnprocessableEntity,
            Self::Status(status) if *status < 500 => ErrorCode::UnprocessableEntity,
            Self::Status(_) | Self::Unreachable(_) | Self::Broken | Self::NoCertificates => ErrorCode::BadGateway,
            Self::TooLarge(_) | Self::TooLargeTogether(_) => ErrorCode::ContentTooLarge,
            Self::Slow(_) => ErrorCode::GatewayTimeout,
        }
    }
}

impl From<NotTaken> for Reason {
    fn from(refusal: NotTaken) -> Self {
        Self::Content(refusal.to_string())
    }
}

/// Fetches attachments. Cheap to clone; all clones share one bound of what is fetched at once.
#[derive(Clone)]
pub struct Fetcher(Arc<Shared>);

struct Shared {
    options: FetchOptions,
    lookup: Arc<dyn Lookup>,
    plain: OnceLock<Option<reqwest::Client>>,
    /// Built when it is needed first: it reads the system's certificates, which a machine may lack.
    secure: OnceLock<Option<reqwest::Client>>,
    slots: Semaphore,
}

impl Fetcher {
    /// A fetcher that finds hosts as the system does.
    #[must_use]
    pub fn new(options: FetchOptions) -> Self {
        Self::with_lookup(options, Arc::new(SystemLookup))
    }

    /// A fetcher that finds hosts in its own way.
    #[must_use]
    pub fn with_lookup(options: FetchOptions, lookup: Arc<dyn Lookup>) -> Self {
        Self(Arc::new(Shared {
            slots: Semaphore::new(options.at_once.clamp(1, Semaphore::MAX_PERMITS)),
            options,
            lookup,
            plain: OnceLock::new(),
            secure: OnceLock::new(),
        }))
    }

    /// Checks what can be told without asking anybody: how many there are, and each URL by itself.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self, urls: &[&str]) -> Result<(), FetchError> {
        let limit = self.0.options.count;
        if urls.len() > limit {
            return Err(FetchError::TooMany {
                count: urls.len(),
                limit,
            });
        }
        for (index, url) in urls.iter().enumerate() {
            self.0.parse(url).map_err(|reason| failure(index, url, reason))?;
        }
        Ok(())
    }

    /// Fetches all attachments of a request, a few side by side, and gives them in their order. Dropping the future
    /// gives all of it up.
    ///
    /// # Errors
    /// The first that fails; nothing is fetched any further then.
    pub async fn fetch(&self, urls: &[&str]) -> Result<Vec<Fetched>, FetchError> {
        self.check(urls)?;
        let left = AtomicUsize::new(self.0.options.total);
        let fetches = urls.iter().enumerate().map(|(index, url)| {
            let left = &left;
            async move {
                let fetched = self.0.attachment(url, left).await;
                fetched
                    .map(|fetched| (index, fetched))
                    .map_err(|reason| failure(index, url, reason))
            }
        });
        // Collected first: a stream over a closure that borrows is not `Send` in a way that the compiler can see.
        let fetches: Vec<_> = fetches.collect();
        // In the order in which they come, so that one that fails ends the others at once.
        let mut fetched: Vec<(usize, Fetched)> = futures::stream::iter(fetches)
            .buffer_unordered(AT_ONCE_A_RUN)
            .try_collect()
            .await?;
        fetched.sort_by_key(|(index, _)| *index);
        Ok(fetched.into_iter().map(|(_, fetched)| fetched).collect())
    }
}

fn failure(index: usize, url: &str, reason: Reason) -> FetchError {
    FetchError::Attachment {
        index,
        url: shown(url),
        reason,
    }
}

/// A URL as messages show it: without user, password, query and fragment, each of which may hold a secret.
#[must_use]
pub fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else {
        // What is no URL may be anything; it is not repeated.
        return "no URL".to_owned();
    };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    let text = url.to_string();
    match text.char_indices().nth(LONGEST_URL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl Shared {
    /// A URL that may be fetched as far as it tells by itself.
    fn parse(&self, url: &str) -> Result<Url, Reason> {
        if url.len() > LONGEST_URL {
            return Err(Reason::LongUrl);
        }
        let url = Url::parse(url.trim()).map_err(|_| Reason::NoUrl)?;
        self.may_ask(&url)?;
        Ok(url)
    }

    /// Checks one hop. A host that is an address is judged here, because connecting to one looks nothing up; the URL's
    /// parser has made one form of all the ways to write it (`0x7f.1`, `2130706433`, `[::ffff:7f00:1]`).
    fn may_ask(&self, url: &Url) -> Result<(), Reason> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Reason::NoUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Reason::Credentials);
        }
        let port = url.port_or_known_default().ok_or(Reason::NoUrl)?;
        let ports = &self.options.ports;
        if port == 0 || !ports.is_empty() && !ports.contains(&port) {
            return Err(Reason::Port(port));
        }
        let address = match url.host().ok_or(Reason::NoUrl)? {
            Host::Domain(_) => return Ok(()),
            Host::Ipv4(address) => address.into(),
            Host::Ipv6(address) => address.into(),
        };
        if address::allowed(address, &self.options.allow) {
            Ok(())
        } else {
            Err(Reason::NotPublic)
        }
    }

    async fn attachment(&self, url: &str, left: &AtomicUsize) -> Result<Fetched, Reason> {
        let address = self.parse(url)?;
        // Whoever waits for a place does not use up its time.
        let _slot = self.slots.acquire().await;
        let limit = self.options.timeout;
        let (content_type, body) = tokio::time::timeout(limit, self.follow(address, left))
            .await
            .map_err(|_| Reason::Slow(limit))??;
        let text = self.options.text;
        // Reading a large page takes a while, and other runs share the thread.
        let understood = tokio::task::spawn_blocking(move || content::understand(content_type.as_deref(), body, text));
        let (media_type, content) = understood.await.map_err(|_| Reason::Broken)??;
        Ok(Fetched {
            url: shown(url),
            media_type,
            content,
        })
    }

    /// Asks for a URL and follows redirects, each of which is checked like the first; gives content type and body.
    async fn follow(&self, mut url: Url, left: &AtomicUsize) -> Result<(Option<String>, Bytes), Reason> {
        for hop in 0..=self.options.redirects {
            let mut answer = self.ask(&url, hop > 0).await?;
            let status = answer.status();
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return self.take(&mut answer, left).await;
            }
            let next = answer
                .headers()
                .get(header::LOCATION)
                .and_then(|location| location.to_str().ok())
                .filter(|location| location.len() <= LONGEST_URL)
                .and_then(|location| url.join(location).ok())
                .ok_or(Reason::BadRedirect)?;
            if url.scheme() == "https" && next.scheme() == "http" {
                return Err(Reason::Downgrade);
            }
            self.may_ask(&next).map_err(|reason| match reason {
                Reason::NoUrl => Reason::BadRedirect,
                _ => Reason::ForbiddenRedirect,
            })?;
            url = next;
        }
        Err(Reason::Redirects(self.options.redirects))
    }

    async fn ask(&self, url: &Url, redirected: bool) -> Result<reqwest::Response, Reason> {
        let client = self.client(url.scheme() == "https")?;
        let asked = client
            .get(url.clone())
            .header(header::ACCEPT, "text/*, application/json, image/*;q=0.9, */*;q=0.8")
            .header(header::ACCEPT_ENCODING, "identity");
        let answer = asked.send().await.map_err(|error| match reason(&error) {
            Reason::NoAddress if redirected => Reason::ForbiddenRedirect,
            reason => reason,
        })?;
        // What was connected to has passed the checks above; that it is so is looked at once more, on the connection.
        match answer.remote_addr() {
            Some(peer) if address::allowed(peer.ip(), &self.options.allow) => Ok(answer),
            _ => Err(Reason::NotPublic),
        }
    }

    /// Takes what a server answers in the end, within the limits.
    async fn take(
        &self,
        answer: &mut reqwest::Response,
        left: &AtomicUsize,
    ) -> Result<(Option<String>, Bytes), Reason> {
        if answer.status() != StatusCode::OK {
            return Err(Reason::Status(answer.status().as_u16()));
        }
        let headers = answer.headers();
        let text = |name| {
            headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        if text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
            return Err(Reason::Compressed);
        }
        let content_type = text(header::CONTENT_TYPE);
        let limit = self.options.size;
        if answer.content_length().is_some_and(|length| length > limit as u64) {
            return Err(Reason::TooLarge(limit));
        }
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| reason(&error))? {
            if body.len() + piece.len() > limit {
                return Err(Reason::TooLarge(limit));
            }
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(piece.len())
            })
            .map_err(|_| Reason::TooLargeTogether(self.options.total))?;
            body.extend_from_slice(&piece);
        }
        Ok((content_type, body.freeze()))
    }

    fn client(&self, secure: bool) -> Result<&reqwest::Client, Reason> {
        let (place, refusal) = if secure {
            (&self.secure, Reason::NoCertificates)
        } else {
            (&self.plain, Reason::Broken)
        };
        place.get_or_init(|| self.build(secure)).as_ref().ok_or(refusal)
    }

    fn build(&self, secure: bool) -> Option<reqwest::Client> {
        // rustls is built without a provider of its own. An error says that another part of the program installed the
        // same one before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let filter = Filter {
            lookup: Arc::clone(&self.lookup),
            allow: self.options.allow.clone().into(),
        };
        let mut builder = reqwest::Client::builder()
            .dns_resolver(Arc::new(filter))
            // A proxy would connect to whatever it is told.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.options.connect_timeout)
            .pool_max_idle_per_host(0)
            .http1_only()
            .http1_max_headers(MOST_HEADERS)
            .referer(false)
            .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")));
        if !secure {
            builder = builder.tls_certs_only([]);
        }
        let built = builder.build();
        if let Err(error) = &built {
            tracing::warn!(%error, "attachments cannot be fetched");
        }
        built.ok()
    }
}

/// What a failed exchange means. The client's own messages are not repeated: they hold URLs and addresses.
fn reason(error: &reqwest::Error) -> Reason {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut tls = false;
    while let Some(error) = cause {
        if error.is::<NoAddress>() {
            return Reason::NoAddress;
        }
        // TLS reports by errors of these kinds, which connecting alone never has; one stands inside the other.
        let mut io = error.downcast_ref::<io::Error>();
        while let Some(error) = io {
            tls |= matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
            io = error.get_ref().and_then(|inner| inner.downcast_ref());
        }
        cause = error.source();
    }
    if tls && error.is_connect() {
        Reason::Unreachable("its certificate is not trusted, or it does not speak TLS")
    } else if error.is_timeout() {
        Reason::Unreachable("connecting takes too long")
    } else if error.is_connect() {
        Reason::Unreachable("nobody takes the connection")
    } else {
        Reason::Broken
    }
}

#[cfg(test)]
mod tests;
