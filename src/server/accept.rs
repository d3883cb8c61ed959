//! The accept loop: connections in, each served by a task of its own, all ended at shutdown.
//!
//! `axum::serve` has no timer for the head of a request and no options for HTTP/1, hence this one. It
//! knows nothing of routes.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::ServeError;
use super::unparsed::Explained;

/// How long to wait after the system refused to accept, as when all files are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// More headers than this are refused by the parser.
const MOST_HEADERS: usize = 256;

/// The connections of a server.
#[derive(Clone)]
pub(super) struct Connections {
    tracker: TaskTracker,
    slots: Arc<Semaphore>,
    header_timeout: Duration,
    /// How many were accepted, ever.
    accepted: Arc<AtomicU64>,
    /// Ends connections at the next border between requests.
    finish: CancellationToken,
    /// Ends them at once.
    abort: CancellationToken,
}

impl Connections {
    pub(super) fn new(most: usize, header_timeout: Duration) -> Self {
        Self {
            tracker: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS))),
            header_timeout,
            accepted: Arc::default(),
            finish: CancellationToken::new(),
            abort: CancellationToken::new(),
        }
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.tracker.len()
    }

    /// How many were accepted so far.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Accepts until `stop` is cancelled.
    ///
    /// # Errors
    /// When the listener is broken for good.
    pub(super) async fn accept(
        &self,
        listener: &TcpListener,
        router: &Router,
        stop: &CancellationToken,
    ) -> Result<(), ServeError> {
        loop {
            let next = async {
                let slot = Arc::clone(&self.slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                next = next => next,
            };
            let (Ok(slot), accepted) = (slot, accepted) else {
                return Ok(());
            };
            match accepted {
                Ok((stream, _)) => self.serve(stream, router.clone(), slot),
                Err(error) if is_fatal(&error) => return Err(ServeError::Listener(error)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, router: Router, slot: OwnedSemaphorePermit) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection went away at once");
            return;
        }
        let service = service_fn(move |request: hyper::Request<Incoming>| answer(router.clone(), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(MOST_HEADERS)
            .serve_connection(Explained::new(TokioIo::new(stream)), service);
        let (finish, abort) = (self.finish.clone(), self.abort.clone());
        self.tracker.spawn(async move {
            let _slot = slot;
            let mut connection = std::pin::pin!(connection);
            let mut finishing = false;
            loop {
                tokio::select! {
                    result = connection.as_mut() => {
                        if let Err(error) = result {
                            tracing::debug!(%error, "a connection ended early");
                        }
                        return;
                    }
                    () = finish.cancelled(), if !finishing => {
                        finishing = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    () = abort.cancelled() => return,
                }
            }
        });
    }

    /// Lets every connection finish its answer, for at most so long; what is left then is cut.
    pub(super) async fn stop(&self, grace: Duration) {
        self.finish.cancel();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            self.abort.cancel();
            self.tracker.wait().await;
        }
    }
}

fn answer(
    router: Router,
    request: hyper::Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + Send {
    router.oneshot(request.map(axum::body::Body::new))
}

fn is_fatal(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error().map(rustix::io::Errno::from_raw_os_error),
        Some(rustix::io::Errno::BADF | rustix::io::Errno::INVAL | rustix::io::Errno::NOTSOCK)
    )
}

/// Raises the limit of open files to what the system allows: each subscriber is one.
pub(super) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
