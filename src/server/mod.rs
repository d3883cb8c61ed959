//! The server: the API of PROTOCOL.md over HTTP/1.1, in front of the channel log, the store and the engine.
//!
//! Handlers extract, call and convert. What a run does is the engine's business, what a channel keeps
//! is the hub's. It knows nothing of configuration files and processes; `cli` and `local` do.

mod accept;
mod accounts;
mod drain;
mod engine;
mod error;
mod openapi;
mod options;
mod request;
mod routes;
mod runs;
mod stream;
mod unparsed;
mod validate;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use accept::Connections;
use accounts::Accounts;
use runs::Runs;

use crate::hub::{Hub, HubOptions, MemoryHub};
use crate::store::MemoryStore;

pub use engine::{HubAnswers, HubListener, RunEngine, RunSink};
pub use options::{Account, AccountSecret, ServerOptions};

/// Why a server could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Two accounts share a name or a secret, or one of them has none.
    #[error("the server's accounts: {0}")]
    Accounts(String),
    /// The listener is broken.
    #[error("the server cannot accept connections: {0}")]
    Listener(#[source] std::io::Error),
}

/// What the handlers share.
struct App {
    options: ServerOptions,
    accounts: Accounts,
    hub: Arc<dyn Hub>,
    engine: Arc<dyn RunEngine>,
    runs: Runs,
    /// The OpenAPI document, once somebody has asked for it.
    openapi: OnceLock<Bytes>,
    shutdown: CancellationToken,
}

/// Serves the API on a listener until `shutdown` is cancelled, somebody stops it over the API, or it
/// has been idle for long enough ([`ServerOptions::idle_exit`]).
///
/// At the end it accepts nothing more, cancels the runs (each still says so in its channel), ends the
/// streams at a line border, and returns within about [`ServerOptions::shutdown_grace`].
///
/// # Errors
/// When the accounts are not usable, or the listener breaks.
pub async fn serve(
    listener: TcpListener,
    options: ServerOptions,
    engine: Arc<dyn RunEngine>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let accounts = Accounts::new(&options.accounts)?;
    accept::raise_open_files();
    let hub_options = HubOptions {
        retention: options.retention,
        events: options.retention_events,
        flush: options.flush,
        ..HubOptions::default()
    };
    let hub: Arc<dyn Hub> = Arc::new(MemoryHub::start(hub_options, Arc::new(MemoryStore)));
    let connections = Connections::new(options.connections, options.header_timeout);
    let app = Arc::new(App {
        accounts,
        runs: Runs::new(
            Arc::clone(&hub),
            Arc::clone(&engine),
            options.runs_in_flight,
            options.live_runs,
        ),
        hub,
        engine,
        openapi: OnceLock::new(),
        // Stopping over the API ends this server alone, not whatever else its caller runs.
        shutdown: shutdown.child_token(),
        options,
    });
    let router = routes::router(Arc::clone(&app));
    let result = tokio::select! {
        result = connections.accept(&listener, &router, &app.shutdown) => result,
        () = idle(&app, &connections) => Ok(()),
    };
    drop(listener);
    stop(&app, &connections).await;
    result
}

async fn stop(app: &App, connections: &Connections) {
    let grace = app.options.shutdown_grace;
    let deadline = Instant::now() + grace;
    // The runs first, so that their ends still reach the readers; then the streams.
    if tokio::time::timeout(grace / 2, app.runs.stop()).await.is_err() {
        tracing::warn!("some runs did not end in time and are cut off");
    }
    app.hub.stop().await;
    connections
        .stop(deadline.saturating_duration_since(Instant::now()))
        .await;
}

/// Returns when the server has had no run, no client and nothing retained for long enough.
async fn idle(app: &App, connections: &Connections) {
    let Some(limit) = app.options.idle_exit else {
        return std::future::pending().await;
    };
    let mut since = Instant::now();
    let mut accepted = connections.accepted();
    let tick = (limit / 8).clamp(Duration::from_millis(10), Duration::from_secs(30));
    loop {
        tokio::time::sleep(tick).await;
        // Who came and went since the last look was a client too.
        let before = std::mem::replace(&mut accepted, connections.accepted());
        if accepted != before || connections.count() > 0 || app.hub.counts().all() > 0 {
            since = Instant::now();
        } else if since.elapsed() >= limit {
            tracing::info!("nothing to do for {} seconds: the server leaves", limit.as_secs());
            return;
        }
    }
}
