//! The accept loop: connections in, each served by a task of its own, all ended at shutdown.
//!
//! `axum::serve` has no timer for the head of a request and no options for HTTP/1, hence this one. It
//! knows nothing of routes.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::Refusal;
use super::framing::{MessageIndex, host_flaw};
use super::options::ServerOptions;
use super::routes::Routes;
use super::socket::{Findings, Timed, Watched};
use super::tls::Tls;
use super::unparsed::{self, HeadLimits};
use super::{ServeError, routes, sockets};
use crate::measure::{HttpMeters, RequestLabels, Seldom};

/// How long to wait after the system refused to accept, as when all files are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How many headers the parser takes without memory of its own.
const USUAL_HEADERS: usize = 100;
/// What is held for a client that does not read, beyond what its socket takes, in bytes; one batch of lines may come on
/// top.
const WRITE_BUFFER: usize = 64 * 1024;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many connections that have no place are told so at the same time; more are closed without a word.
const TURNED_AWAY_AT_ONCE: usize = 64;
/// How the method of a request is called that was not read so far.
const UNKNOWN_METHOD: &str = "other";
/// How much of what a client still sends is read after its last answer, and for how long: closing over unread bytes would
/// take the answer away from it.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// The connections of a server.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    tracker: TaskTracker,
    most: usize,
    slots: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    http: http1::Builder,
    head: Arc<HeadLimits>,
    header_timeout: Duration,
    reader_timeout: Duration,
    tls: Option<Arc<Tls>>,
    /// How many were accepted, ever.
    accepted: AtomicU64,
    /// How many had no place, ever.
    turned_away_ever: AtomicU64,
    /// Counts those that were cut because their clients took too little.
    stalled: Counter,
    /// Counts requests that reach no route.
    meters: HttpMeters,
    /// What the log says of connections that have no place, and of those that could not be accepted.
    said: Seldom,
    said_broken: Seldom,
    /// Ends connections at the next border between requests.
    finish: CancellationToken,
    /// Ends them at once.
    abort: CancellationToken,
}

impl Connections {
    pub(super) fn new(options: &ServerOptions, meters: HttpMeters) -> Self {
        let most = sockets::affordable(options.connections).clamp(1, Semaphore::MAX_PERMITS);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_header_size(options.head_limit)
            .max_buf_size(WRITE_BUFFER.max(options.head_limit));
        if options.headers != USUAL_HEADERS {
            http.max_headers(options.headers);
        }
        Self(Arc::new(Shared {
            tracker: TaskTracker::new(),
            most,
            slots: Arc::new(Semaphore::new(most)),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_AT_ONCE)),
            http,
            head: Arc::new(HeadLimits {
                bytes: options.head_limit,
                headers: options.headers,
            }),
            header_timeout: options.header_timeout,
            reader_timeout: options.reader_timeout,
            tls: options.tls.clone(),
            accepted: AtomicU64::new(0),
            stalled: Counter::default(),
            turned_away_ever: AtomicU64::new(0),
            meters,
            said: Seldom::default(),
            said_broken: Seldom::default(),
            finish: CancellationToken::new(),
            abort: CancellationToken::new(),
        }))
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.0.tracker.len()
    }

    /// Counts the connections that were cut because their clients took too little.
    pub(super) fn stalled(&self) -> &Counter {
        &self.0.stalled
    }

    /// How many were accepted so far.
    pub(super) fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// How many had no place so far.
    pub(super) fn turned_away(&self) -> u64 {
        self.0.turned_away_ever.load(Ordering::Relaxed)
    }

    /// Accepts until `stop` is cancelled.
    ///
    /// # Errors
    /// When the listener is broken for good.
    pub(super) async fn accept(
        &self,
        listener: &TcpListener,
        routes: &Routes,
        stop: &CancellationToken,
    ) -> Result<(), ServeError> {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.serve(stream, routes.clone()),
                Err(error) if is_fatal(&error) => return Err(ServeError::Listener(error)),
                Err(error) => {
                    if let Some(unsaid) = self.0.said_broken.happened() {
                        tracing::warn!(%error, unsaid, "a connection could not be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, routes: Routes) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = sockets::prepare(&stream, self.0.reader_timeout) {
            tracing::debug!(%error, "a connection went away at once");
            return;
        }
        let shared = Arc::clone(&self.0);
        let Ok(slot) = Arc::clone(&self.0.slots).try_acquire_owned() else {
            self.turn_away(stream);
            return;
        };
        match self.0.tls.clone() {
            None => {
                let stream = Timed::new(stream, self.0.reader_timeout, self.0.stalled.clone());
                self.0.tracker.spawn(shared.connection(stream, routes, slot));
            }
            Some(tls) => {
                self.0.tracker.spawn(shared.encrypted(tls, stream, routes, slot));
            }
        }
    }

    /// Tells a client that there is no place for it. Who speaks TLS could not read it.
    fn turn_away(&self, mut stream: TcpStream) {
        self.0.turned_away_ever.fetch_add(1, Ordering::Relaxed);
        if let Some(unsaid) = self.0.said.happened() {
            let most = self.0.most;
            tracing::warn!(
                most,
                unsaid,
                "all connections are taken, and another one is turned away"
            );
        }
        let Ok(turn) = Arc::clone(&self.0.turned_away).try_acquire_owned() else {
            return;
        };
        if self.0.tls.is_some() {
            return;
        }
        let shared = Arc::clone(&self.0);
        self.0.tracker.spawn(async move {
            let _turn = turn;
            let answer = unparsed::too_many(shared.most);
            shared.refused(UNKNOWN_METHOD, StatusCode::SERVICE_UNAVAILABLE.as_u16());
            tokio::select! {
                () = shared.abort.cancelled() => {}
                () = last_words(&mut stream, &answer) => {}
            }
        });
    }

    /// Lets every connection finish its answer, for at most so long; what is left then is cut.
    pub(super) async fn stop(&self, grace: Duration) {
        self.0.finish.cancel();
        self.0.tracker.close();
        if tokio::time::timeout(grace, self.0.tracker.wait()).await.is_err() {
            self.0.abort.cancel();
            self.0.tracker.wait().await;
        }
    }
}

impl Shared {
    /// Counts a request that was refused before it reached a route, and gives it a line of the log.
    fn refused(&self, method: &'static str, status: u16) {
        let route = "other";
        let labels = RequestLabels { method, route, status };
        self.meters.requests.get_or_create(&labels).inc();
        tracing::debug!(method, route, status, "a request was refused before it reached a route");
    }

    /// Serves the requests of one connection until it ends.
    async fn connection<S>(self: Arc<Self>, stream: S, routes: Routes, slot: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _slot = slot;
        let stream = Watched::new(stream, Arc::clone(&self.head));
        let findings = stream.findings();
        let message = Cell::new(MessageIndex::default());
        let shared = Arc::clone(&self);
        let service = service_fn(move |request| {
            let this = message.get();
            message.set(this.saturating_add(1));
            answer(&shared, routes.clone(), Arc::clone(&findings), this, request)
        });
        let mut connection = self.http.serve_connection(TokioIo::new(stream), service);
        let mut finishing = false;
        let result = loop {
            tokio::select! {
                result = &mut connection => break result,
                () = self.finish.cancelled(), if !finishing => {
                    finishing = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                // It comes after the other one, so that a connection looks at one of them.
                () = self.abort.cancelled(), if finishing => return,
            }
        };
        if let Err(error) = &result {
            tracing::debug!(%error, "a connection ended early");
        }
        let mut stream = connection.into_parts().io.into_inner();
        if let Some(status) = stream.refused() {
            self.refused(UNKNOWN_METHOD, status);
        }
        let answer = match &result {
            Err(error) if error.is_timeout() && stream.is_in_head() => {
                unparsed::slow_head(self.header_timeout.as_secs())
            }
            Err(error) if !error.is_parse() => return,
            _ => Vec::new(),
        };
        if finishing {
            return;
        }
        if !answer.is_empty() {
            self.refused(UNKNOWN_METHOD, StatusCode::REQUEST_TIMEOUT.as_u16());
        }
        let has_answered = answer.is_empty();
        // Rare and short, so its memory is not every connection's.
        let parting = Box::pin(async move { last_words(&mut stream, &answer).await });
        tokio::select! {
            () = self.abort.cancelled() => {}
            // A server that ends does not wait for who has its answer already.
            () = self.finish.cancelled(), if has_answered => {}
            () = parting => {}
        }
    }

    /// The same for a connection that begins with a TLS handshake.
    async fn encrypted(self: Arc<Self>, tls: Arc<Tls>, stream: TcpStream, routes: Routes, slot: OwnedSemaphorePermit) {
        let handshake = async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
                let mut stream = stream;
                self.refused(UNKNOWN_METHOD, StatusCode::BAD_REQUEST.as_u16());
                last_words(&mut stream, &unparsed::not_encrypted()).await;
                return Ok(None);
            }
            let stream = Timed::new(stream, self.reader_timeout, self.stalled.clone());
            tls.acceptor().accept(stream).await.map(Some)
        };
        let shaken = tokio::select! {
            () = self.abort.cancelled() => return,
            shaken = tokio::time::timeout(HANDSHAKE, Box::pin(handshake)) => shaken,
        };
        match shaken {
            Ok(Ok(Some(stream))) => self.connection(stream, routes, slot).await,
            Ok(Ok(None)) => tracing::debug!("a request came without TLS"),
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }
}

/// Sends what is left to say, and waits a little for the client to have read it.
async fn last_words<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, answer: &[u8]) {
    let parting = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut rest = vec![0; 4096];
        let mut read = 0;
        while read < LINGER_BYTES {
            match stream.read(&mut rest).await? {
                0 => break,
                count => read += count,
            }
        }
        std::io::Result::Ok(())
    };
    // It is closed now, whatever came of it.
    let _ = tokio::time::timeout(LINGER, parting).await;
}

fn answer(
    shared: &Shared,
    routes: Routes,
    findings: Arc<Findings>,
    message: MessageIndex,
    request: hyper::Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
    let flaw = findings.flaw(message).or_else(|| host_flaw(&request));
    if flaw.is_some() {
        let method = routes::known_method(request.method());
        shared.refused(method, StatusCode::BAD_REQUEST.as_u16());
    }
    async move {
        if let Some(flaw) = flaw {
            return Ok(Refusal::bad_request(flaw.message()).closing().into_response());
        }
        let request = request.map(|incoming| Checked {
            incoming,
            findings,
            message,
        });
        Ok(routes.answer(request).await)
    }
}

/// A body that fails as soon as something is wrong with how it is delimited.
struct Checked {
    incoming: Incoming,
    findings: Arc<Findings>,
    message: MessageIndex,
}

impl http_body::Body for Checked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        Poll::Ready(match self.findings.flaw(self.message) {
            Some(flaw) => Some(Err(axum::Error::new(flaw))),
            None => frame.map(|frame| frame.map_err(axum::Error::new)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

fn is_fatal(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error().map(rustix::io::Errno::from_raw_os_error),
        Some(rustix::io::Errno::BADF | rustix::io::Errno::INVAL | rustix::io::Errno::NOTSOCK)
    )
}
