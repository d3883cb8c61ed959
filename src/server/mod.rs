//! The server: the API of PROTOCOL.md over HTTP/1.1, in front of the channel log, the store and the engine.
//!
//! Handlers extract, call and convert. What a run does is the engine's business, what a channel keeps
//! is the hub's. It knows nothing of configuration files and processes; `cli` and `local` do.

mod accept;
mod accounts;
mod answers;
mod cors;
mod drain;
mod engine;
mod error;
mod framing;
mod limits;
mod metrics;
mod openapi;
mod options;
mod request;
mod routes;
mod runs;
mod socket;
mod sockets;
mod stream;
mod tls;
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
use metrics::Metrics;
use routes::Routes;
use runs::{Bounds, Runs};

use crate::hub::{ChannelKey, Hub, HubOptions, MemoryHub, unix_millis};
use crate::measure::{HttpMeters, Seldom};
use crate::store::{MemoryStore, RecoveredRun, SqliteOptions, SqliteStore, Store, StoreError};

pub use answers::{HubAnswers, HubListener};
pub use engine::{RunEngine, RunSink};
pub use limits::Rate;
pub use options::{Account, AccountSecret, ServerOptions};
pub use tls::{Tls, TlsError, TlsFiles};

/// Why a server could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Two accounts share a name or a secret, or one of them has none.
    #[error("the server's accounts: {0}")]
    Accounts(String),
    /// What was kept cannot be read, or nothing can be kept.
    #[error("the server's runs: {0}")]
    Store(#[from] StoreError),
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
    metrics: Metrics,
    /// The paths of the routes, below their prefix.
    route_names: Vec<&'static str>,
    /// The OpenAPI document, once somebody has asked for it.
    openapi: OnceLock<Bytes>,
    shutdown: CancellationToken,
    /// What the log says of requests that are turned away.
    said: Seldom,
}

/// Serves the API on a listener until `shutdown` is cancelled, somebody stops it over the API, or it
/// has been idle for long enough ([`ServerOptions::idle_exit`]).
///
/// It begins with what is kept in its data directory: channels have their events under the same ids, and runs that had
/// not ended go on. At the end it accepts nothing more, leaves the runs to be gone on with, ends the streams at a line
/// border, and returns within about [`ServerOptions::shutdown_grace`]; a slow store can make it half as long again.
/// Without a data directory nothing is kept, and
/// the runs are cancelled at the end; each still says so in its channel.
///
/// # Errors
/// When the accounts or the data directory are not usable, or the listener breaks.
pub async fn serve(
    listener: TcpListener,
    options: ServerOptions,
    engine: Arc<dyn RunEngine>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let accounts = Accounts::new(&options.accounts, options.rate)?;
    let hub_options = HubOptions {
        retention: options.retention,
        events: options.retention_events,
        flush: options.flush,
        published: options.reader_backlog,
        ..HubOptions::default()
    };
    let store: Arc<dyn Store> = match &options.data_dir {
        Some(dir) => Arc::new(SqliteStore::open(
            dir,
            SqliteOptions {
                events: hub_options.events as u64,
                bytes: hub_options.bytes as u64,
                ..SqliteOptions::default()
            },
        )?),
        None => Arc::new(MemoryStore),
    };
    let (hub, unfinished) = restore(hub_options, &store, &options.accounts).await?;
    let http = HttpMeters::default();
    let connections = Connections::new(&options, http.clone());
    let metrics = Metrics::new(Arc::clone(&hub), connections.clone(), http, engine.meters());
    let app = Arc::new(App {
        said: Seldom::default(),
        accounts,
        runs: Runs::new(
            Arc::clone(&hub),
            Arc::clone(&engine),
            metrics.runs.clone(),
            Bounds {
                in_flight: options.runs_in_flight,
                live: options.live_runs,
                memory: options.memory,
            },
        )
        .calling(options.shown_accounts()),
        metrics,
        hub,
        engine,
        route_names: routes::routes(&options).iter().map(|route| route.path).collect(),
        openapi: OnceLock::new(),
        // Stopping over the API ends this server alone, not whatever else its caller runs.
        shutdown: shutdown.child_token(),
        options,
    });
    app.runs.resume(unfinished);
    let routes = Routes::new(Arc::clone(&app));
    let result = tokio::select! {
        result = connections.accept(&listener, &routes, &app.shutdown) => result,
        () = idle(&app, &connections) => Ok(()),
        why = app.hub.broken() => Err(ServeError::Store(why)),
        () = renew_certificate(&app) => Ok(()),
    };
    drop(listener);
    stop(&app, &connections).await;
    store.close().await;
    result
}

/// The channels as they were kept, and the runs that had not ended.
async fn restore(
    options: HubOptions,
    store: &Arc<dyn Store>,
    accounts: &[Account],
) -> Result<(Arc<dyn Hub>, Vec<RecoveredRun>), StoreError> {
    let begun = Instant::now();
    let retention = u64::try_from(options.retention.as_millis()).unwrap_or(u64::MAX);
    let recovered = store.recover(unix_millis().saturating_sub(retention)).await?;
    let channels = recovered.channels.len();
    let runs = recovered.channels.iter().filter_map(|channel| channel.run.as_ref());
    let unfinished: Vec<RecoveredRun> = runs.filter(|run| !run.record.progress.is_over()).cloned().collect();
    if channels > 0 {
        tracing::info!(
            channels,
            unfinished = unfinished.len(),
            ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "what was kept is there again"
        );
    }
    let is_there = |key: &ChannelKey| accounts.iter().any(|account| account.name == key.account.as_str());
    let orphans = recovered
        .channels
        .iter()
        .filter(|channel| !is_there(&channel.key))
        .count();
    if orphans > 0 {
        tracing::warn!(
            channels = orphans,
            "channels of accounts that the configuration no longer has are kept, and nobody can reach them: was an account \
             renamed?"
        );
    }
    let hub = MemoryHub::restore(options, Arc::clone(store), recovered);
    Ok((Arc::new(hub), unfinished))
}

async fn stop(app: &App, connections: &Connections) {
    let grace = app.options.shutdown_grace;
    let deadline = Instant::now() + grace;
    let keep = app.options.data_dir.is_some();
    // The runs first, so that what they have said still reaches the readers; then the streams.
    if tokio::time::timeout(grace / 2, app.runs.stop(keep)).await.is_err() {
        tracing::warn!("some runs did not end in time and are cut off");
    }
    app.hub.stop().await;
    let left = deadline.saturating_duration_since(Instant::now());
    connections.stop(time_for_readers(left, grace)).await;
}

/// How long the streams have to end when so much is left of the grace: however long the runs and the store took, readers
/// that keep up are to see their stream end at a line's border.
fn time_for_readers(left: Duration, grace: Duration) -> Duration {
    left.max(grace / 2)
}

/// Follows the files of the certificate; never returns.
async fn renew_certificate(app: &App) {
    if let Some(tls) = &app.options.tls {
        tls.renew().await;
    }
    std::future::pending().await
}

/// Returns when the server has had no run and no client for long enough, and nothing that would be lost with it.
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
        let counts = app.hub.counts();
        let needed = match app.options.data_dir {
            Some(_) => counts.live(),
            None => counts.all(),
        };
        if accepted != before || connections.count() > 0 || needed > 0 {
            since = Instant::now();
        } else if since.elapsed() >= limit {
            tracing::info!("nothing to do for {} seconds: the server leaves", limit.as_secs());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_have_half_of_the_grace_whatever_came_before() {
        let seconds = Duration::from_secs;
        for (left, time) in [(0, 5), (1, 5), (5, 5), (9, 9), (10, 10)] {
            assert_eq!(time_for_readers(seconds(left), seconds(10)), seconds(time));
        }
    }
}
