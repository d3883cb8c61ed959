//! The client: one method for each route, typed in and out.
//!
//! It decides how requests are made (HTTP/1.1, no redirects, no proxy to this machine, timeouts) and
//! which are repeated. It does not follow a channel through lost connections; [`super::feed`] does.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::endpoint::{Endpoint, EndpointKind};
use super::error::ClientError;
use super::stream::{EventStream, Subscription};
use super::{backoff, error};
use crate::wire::ChannelId;
use crate::wire::event::RunResult;
use crate::wire::request::{
    CompleteRequest, DispatchAnswer, DispatchRequest, LARGEST_PAGE, PublishAnswer, PublishRequest, RunList, ServerInfo,
    SubscribeRequest,
};

/// Tries of a dispatch that may be repeated.
const DISPATCH_TRIES: u32 = 4;
/// The wait before a dispatch is repeated: the first one, and the longest that is waited at all.
const DISPATCH_WAIT: Duration = Duration::from_millis(250);
const LONGEST_DISPATCH_WAIT: Duration = Duration::from_secs(20);
/// The longest answer of one document, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// The most of an error's body that is read, in bytes.
const LONGEST_ERROR: usize = 64 * 1024;
/// The most pages of the list of runs that are asked for.
const MOST_PAGES: usize = 100;
/// How long the question what server it is may take.
const INFO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be made.
    pub connect: Duration,
    /// For a request of one document to be answered, and for the head of a subscription.
    pub request: Duration,
    /// For the next byte of a subscription: any byte counts as life.
    pub idle: Duration,
    /// For `complete`: for its whole answer, or for the next byte of its stream.
    pub complete: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            idle: Duration::from_secs(45),
            complete: Duration::from_secs(15 * 60),
        }
    }
}

/// A client of one server. Cloning it is cheap; clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    timeouts: Timeouts,
    headers: HeaderMap,
    /// Made by the first request: reading the CA certificates takes a while.
    transport: OnceLock<Result<reqwest::Client, ClientError>>,
    /// Whether the server's lines carry ids, once it was asked.
    has_ids: OnceCell<bool>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.0.endpoint)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of a server. Nothing is connected and no certificate is read yet.
    ///
    /// # Errors
    /// When the secret cannot stand in a header.
    pub fn new(endpoint: Endpoint, timeouts: Timeouts) -> Result<Self, ClientError> {
        let setup = |reason: &str| ClientError::Setup {
            server: endpoint.name().to_owned(),
            reason: reason.to_owned(),
        };
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", endpoint.secret().expose()))
            .map_err(|_| setup("its secret holds characters that no secret has"))?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
        let zone = jiff::tz::TimeZone::system();
        if let Some(zone) = zone.iana_name().and_then(|name| HeaderValue::from_str(name).ok()) {
            headers.insert("x-timezone", zone);
        }
        Ok(Self(Arc::new(Inner {
            endpoint,
            timeouts,
            headers,
            transport: OnceLock::new(),
            has_ids: OnceCell::new(),
        })))
    }

    /// The server that this client talks to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Starts a run in the background.
    ///
    /// With a `channel_id` it may be repeated safely, so it is, a few times, on lost connections, 5xx
    /// and 429. Without one it is sent once.
    ///
    /// # Errors
    /// What the server refused, or the failure of the last try.
    pub async fn dispatch(&self, request: &DispatchRequest) -> Result<DispatchAnswer, ClientError> {
        let path = ["conversation", "dispatch"];
        let mut attempt = 1;
        loop {
            let error = match self.post(&path, request, self.0.timeouts.request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let backoff = backoff::wait(DISPATCH_WAIT, LONGEST_DISPATCH_WAIT, 0.5, attempt, backoff::random());
            let wait = error.retry_after().map_or(backoff, |asked| asked.max(backoff));
            let repeatable = request.channel_id.is_some() && is_repeated(&error);
            if !repeatable || attempt == DISPATCH_TRIES || wait > LONGEST_DISPATCH_WAIT {
                return Err(error);
            }
            tracing::debug!(server = self.0.endpoint.name(), attempt, %error, "a dispatch is repeated");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Runs a completion and waits for its end.
    ///
    /// # Errors
    /// What the server refused, or the failure of the connection.
    pub async fn complete(&self, request: &CompleteRequest) -> Result<RunResult, ClientError> {
        self.post(&["conversation", "complete"], request, self.0.timeouts.complete)
            .await
    }

    /// Runs a completion and streams its events.
    ///
    /// # Errors
    /// What the server refused, or the failure of the connection.
    pub async fn complete_stream(&self, request: &CompleteRequest) -> Result<EventStream, ClientError> {
        let timeout = self.0.timeouts.complete;
        let response = self.open(&["conversation", "complete"], request, timeout).await?;
        Ok(EventStream::new(self.0.endpoint.clone(), response, timeout))
    }

    /// Opens a subscription of a channel: its history as asked for, then what comes.
    ///
    /// # Errors
    /// What the server refused, or the failure of the connection.
    pub async fn subscribe(&self, channel: &ChannelId, request: SubscribeRequest) -> Result<Subscription, ClientError> {
        let path = ["channel", channel.as_str(), "subscribe"];
        let response = self.open(&path, &request, self.0.timeouts.request).await?;
        Ok(Subscription::new(
            self.0.endpoint.clone(),
            response,
            self.0.timeouts.idle,
        ))
    }

    /// Publishes a message to who is subscribed now. It is sent once.
    ///
    /// # Errors
    /// What the server refused, or the failure of the connection.
    pub async fn publish(&self, channel: &ChannelId, message: &Value) -> Result<PublishAnswer, ClientError> {
        let body = PublishRequest {
            message: message.clone(),
        };
        let path = ["channel", channel.as_str(), "publish"];
        self.post(&path, &body, self.0.timeouts.request).await
    }

    /// Stops a channel's run; our server's addition.
    ///
    /// # Errors
    /// What the server refused (404 on one without the route), or the failure of the connection.
    pub async fn cancel(&self, channel: &ChannelId) -> Result<(), ClientError> {
        let path = ["channel", channel.as_str(), "cancel"];
        let body = serde_json::json!({});
        self.send(Method::POST, &path, Some(&body), self.0.timeouts.request)
            .await?;
        Ok(())
    }

    /// All of the account's runs, newest first, page by page; our server's addition.
    ///
    /// # Errors
    /// What the server refused (404 on one without the route), or the failure of the connection.
    pub async fn runs(&self) -> Result<RunList, ClientError> {
        let mut list = RunList::default();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self.runs_page(LARGEST_PAGE, cursor.as_deref()).await?;
            list.items.extend(page.items);
            // A server that gives the same cursor again would never come to an end.
            if page.cursor.is_none() || page.cursor == cursor {
                return Ok(list);
            }
            cursor = page.cursor;
        }
        list.cursor = cursor;
        Ok(list)
    }

    /// One page of the account's runs, newest first, from behind a cursor; our server's addition.
    ///
    /// # Errors
    /// What the server refused (404 on one without the route), or the failure of the connection.
    pub async fn runs_page(&self, take: usize, cursor: Option<&str>) -> Result<RunList, ClientError> {
        let take = take.to_string();
        let mut query = vec![("take", take.as_str())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let body = self.fetch(&["run", "list"], &query, self.0.timeouts.request).await?;
        self.read(&body)
    }

    /// What the server says about itself; `None` if it has no such route. Asked anew each time.
    ///
    /// # Errors
    /// What the server refused, or the failure of the connection.
    pub async fn server_info(&self) -> Result<Option<ServerInfo>, ClientError> {
        let timeout = self.0.timeouts.request.min(INFO_TIMEOUT);
        match self.send(Method::GET, &["server"], None::<&()>, timeout).await {
            Ok(body) => self.read(&body).map(Some),
            Err(ClientError::Api {
                status: 404 | 405 | 501,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks the server to end; `force` also with runs that have not ended. Our server's addition.
    ///
    /// # Errors
    /// What the server refused (409 with runs that have not ended), or the failure of the connection.
    pub async fn stop_server(&self, force: bool) -> Result<(), ClientError> {
        let body = serde_json::json!({ "force": force });
        let path = ["server", "stop"];
        self.send(Method::POST, &path, Some(&body), self.0.timeouts.request)
            .await?;
        Ok(())
    }

    /// Whether lines of this server's subscriptions carry ids. Asked once and known from then on.
    ///
    /// # Errors
    /// When the server cannot be asked now.
    pub(super) async fn has_ids(&self) -> Result<bool, ClientError> {
        let asked = self.0.has_ids.get_or_try_init(|| async {
            if self.0.endpoint.kind() == EndpointKind::Hosted {
                return Ok(false);
            }
            match self.server_info().await {
                Ok(info) => Ok(info.is_some()),
                // Refused, but there: a key that may only watch.
                Err(ClientError::Api { status: 401 | 403, .. }) => Ok(true),
                // Another server's page, or its failure at a route that it does not know.
                Err(ClientError::BadAnswer { .. } | ClientError::Redirect { .. }) => Ok(false),
                Err(ClientError::Api { status, .. }) if !matches!(status, 408 | 429 | 502..=504) => Ok(false),
                Err(error) => Err(error),
            }
        });
        asked.await.copied()
    }

    async fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &B,
        timeout: Duration,
    ) -> Result<A, ClientError> {
        let body = self.send(Method::POST, path, Some(body), timeout).await?;
        self.read(&body)
    }

    fn read<A: DeserializeOwned>(&self, body: &[u8]) -> Result<A, ClientError> {
        serde_json::from_slice(body).map_err(|error| ClientError::bad_answer(&self.0.endpoint, error.to_string()))
    }

    /// One request of one document. The timeout is for all of it.
    async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&B>,
        timeout: Duration,
    ) -> Result<Bytes, ClientError> {
        let exchange = async {
            let response = self
                .request(method, path, &[], body, "application/json", timeout)
                .await?;
            read_body(&self.0.endpoint, response, LONGEST_ANSWER, timeout).await
        };
        self.within(timeout, exchange).await
    }

    /// One document that is asked for by parameters.
    async fn fetch(&self, path: &[&str], query: &[(&str, &str)], timeout: Duration) -> Result<Bytes, ClientError> {
        let exchange = async {
            let response = self
                .request(Method::GET, path, query, None::<&()>, "application/json", timeout)
                .await?;
            read_body(&self.0.endpoint, response, LONGEST_ANSWER, timeout).await
        };
        self.within(timeout, exchange).await
    }

    async fn within<T>(
        &self,
        timeout: Duration,
        exchange: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| {
            Err(ClientError::Timeout {
                server: self.0.endpoint.name().to_owned(),
                what: "answer",
                after: timeout,
            })
        })
    }

    /// One request of a stream. The timeout is for its head.
    async fn open<B: Serialize>(&self, path: &[&str], body: &B, timeout: Duration) -> Result<Response, ClientError> {
        let request = self.request(Method::POST, path, &[], Some(body), "application/jsonl", timeout);
        let response = self.within(timeout, request).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("text/html")) {
            let reason = "it is a web page, not a stream of events";
            return Err(ClientError::bad_answer(&self.0.endpoint, reason));
        }
        Ok(response)
    }

    /// Sends a request and gives the answer if it is a success.
    async fn request<B: Serialize>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&B>,
        accept: &'static str,
        timeout: Duration,
    ) -> Result<Response, ClientError> {
        let endpoint = &self.0.endpoint;
        let mut url = endpoint.route(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self
            .transport()?
            .request(method, url)
            .headers(self.0.headers.clone())
            .header(ACCEPT, accept);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .map_err(|error| ClientError::from_transport(endpoint, &error, "connection", self.0.timeouts.connect))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() {
            return Err(ClientError::Redirect {
                server: endpoint.name().to_owned(),
                target: redirect_target(endpoint, &response),
            });
        }
        let retry_after = retry_after(&response);
        // A body that cannot be read does not hide the status.
        let body = read_body(endpoint, response, LONGEST_ERROR, timeout)
            .await
            .unwrap_or_default();
        Err(ClientError::from_answer(endpoint, status.as_u16(), retry_after, &body))
    }

    fn transport(&self) -> Result<&reqwest::Client, ClientError> {
        let made = self
            .0
            .transport
            .get_or_init(|| transport(&self.0.endpoint, &self.0.timeouts));
        made.as_ref().map_err(Clone::clone)
    }
}

fn transport(endpoint: &Endpoint, timeouts: &Timeouts) -> Result<reqwest::Client, ClientError> {
    // An error says that another part of the process installed one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(redirect::Policy::none())
        .connect_timeout(timeouts.connect)
        .tcp_keepalive(Duration::from_secs(30))
        .pool_max_idle_per_host(8)
        .pool_idle_timeout(Duration::from_secs(30));
    if endpoint.is_loopback() {
        // A proxy would receive the secret of a server that it cannot reach.
        builder = builder.no_proxy();
    }
    if !endpoint.is_https() {
        // Reading CA certificates fails on a machine without any, and plain http needs none.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| {
        let server = endpoint.name().to_owned();
        let reason = error::reason(&error);
        if endpoint.is_https() {
            ClientError::NoCertificates { server, reason }
        } else {
            ClientError::Setup { server, reason }
        }
    })
}

fn is_repeated(error: &ClientError) -> bool {
    match error {
        ClientError::Api { .. } | ClientError::Connect { .. } | ClientError::Timeout { .. } => !error.is_permanent(),
        ClientError::Lost { .. } => true,
        _ => false,
    }
}

/// The rest of an answer, as far as the limit allows.
async fn read_body(
    endpoint: &Endpoint,
    mut response: Response,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, ClientError> {
    let mut body = BytesMut::new();
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|error| ClientError::from_transport(endpoint, &error, "whole answer", timeout))?;
        let Some(chunk) = chunk else { return Ok(body.freeze()) };
        if body.len() + chunk.len() > limit {
            if response.status().is_success() {
                return Err(ClientError::bad_answer(
                    endpoint,
                    format!("it is longer than {limit} bytes"),
                ));
            }
            body.extend_from_slice(&chunk[..limit - body.len()]);
            return Ok(body.freeze());
        }
        body.extend_from_slice(&chunk);
    }
}

fn redirect_target(endpoint: &Endpoint, response: &Response) -> String {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| response.url().join(location).ok());
    target.map_or_else(
        || "an address that cannot be read".to_owned(),
        |target| endpoint.secret().redact(target.origin().ascii_serialization()),
    )
}

/// `Retry-After` in seconds; its other form, a date, is rare and left to the usual back-off.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
