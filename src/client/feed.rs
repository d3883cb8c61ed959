//! One channel, followed until its run is over: connect, decode, resume, back off.
//!
//! It hands over items in order, none twice and no hole unsaid, and says how the connection is. What
//! the items add up to is [`crate::transcript`]'s matter; which lines are which is `sequence`'s.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff;
use super::error::ClientError;
use super::http::Client;
use super::sequence::Sequencer;
use super::stream::ReceivedLine;
pub use crate::transcript::{Connection, FeedBatch, Item};
use crate::wire::ChannelId;
use crate::wire::request::{LONGEST_HISTORY, SubscribeRequest};

/// The longest wait that a server may ask for.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(300);

/// How a feed behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedOptions {
    /// Silence after which the connection counts as lost; any byte counts as life.
    pub idle_timeout: Duration,
    /// The wait before the first try to reconnect; it doubles with each further one.
    pub backoff_base: Duration,
    /// The longest wait between tries.
    pub backoff_cap: Duration,
    /// The share of each wait that is random, 0 to 1.
    pub jitter: f64,
    /// A connection that was live for so long starts the waits anew.
    pub stable_after: Duration,
    /// The last id that was read before, on a server with ids: reading goes on after it.
    pub resume: Option<u64>,
    /// Whether the feed ends with the event that ends the run; else it stays for published messages.
    pub leave_at_end: bool,
    /// Whether the feed ends when the server is gone: set where the server may come back at another address.
    pub leave_when_gone: bool,
    /// How many of the newest retained events are asked for.
    pub history_length: u64,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(45),
            backoff_base: Duration::from_millis(250),
            backoff_cap: Duration::from_secs(30),
            jitter: 0.5,
            stable_after: Duration::from_secs(10),
            resume: None,
            leave_at_end: true,
            leave_when_gone: false,
            history_length: LONGEST_HISTORY,
        }
    }
}

/// Where a feed's batches go, and how often.
pub(super) trait Outlet: Send {
    /// Hands a batch over; waits while the taker is full.
    fn send(&self, batch: FeedBatch) -> impl Future<Output = Result<(), Gone>> + Send;

    /// The least time between two batches. What comes meanwhile waits in the connection, so that many small
    /// events cost one wake-up; after a silence the next one is handed over at once.
    fn pace(&self) -> Duration;
}

impl Outlet for mpsc::Sender<FeedBatch> {
    async fn send(&self, batch: FeedBatch) -> Result<(), Gone> {
        mpsc::Sender::send(self, batch).await.map_err(|_| Gone)
    }

    fn pace(&self) -> Duration {
        Duration::ZERO
    }
}

/// A batch of so many items is a replay, which no pace slows down.
const REPLAY_ITEMS: usize = 256;

/// Follows a channel and hands over what comes, until its run is over, it makes no sense to try again,
/// it is cancelled, or nobody takes the batches any more.
///
/// While `batches` is full the feed waits, and with it the server.
///
/// On a server without ids each connection asks for the history again and [`super::align`] finds what is
/// new in it. What the hosted service loses between its history and its live events is not seen here
/// either; the text of the final `message` makes up for it.
pub async fn run(
    client: Client,
    channel: ChannelId,
    options: FeedOptions,
    batches: mpsc::Sender<FeedBatch>,
    cancel: CancellationToken,
) {
    // Dropping the work at any await is safe: all that it holds goes with it.
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = follow(client, channel, options, batches) => {}
    }
}

/// The same into any outlet, until the future is dropped.
pub(super) async fn follow(client: Client, channel: ChannelId, options: FeedOptions, outlet: impl Outlet) {
    let feed = Feed {
        sequencer: Sequencer::new(options.resume),
        client,
        channel,
        options,
        outlet,
    };
    // The only error is that nobody takes the batches any more: then the feed is over too.
    let _ = feed.follow().await;
}

/// Nobody takes the batches any more.
pub(super) struct Gone;

/// How one connection came to its end.
enum Over {
    /// The run is over and read.
    Ended,
    /// It was lost after it had been live for so long.
    Lost { error: ClientError, live: Duration },
}

struct Feed<O> {
    client: Client,
    channel: ChannelId,
    options: FeedOptions,
    outlet: O,
    sequencer: Sequencer,
}

impl<O: Outlet> Feed<O> {
    async fn follow(mut self) -> Result<(), Gone> {
        self.tell(Connection::Connecting).await?;
        let mut attempt = 0;
        loop {
            let (error, live) = match self.connect().await? {
                Over::Ended => return self.tell(Connection::Ended).await,
                Over::Lost { error, live } => (error, live),
            };
            if self.options.leave_when_gone && error.is_server_gone() {
                tracing::info!(%error, "a feed found the server gone");
                let reason = error.to_string();
                return self.tell(Connection::ServerGone { reason }).await;
            }
            if error.is_permanent() {
                let reason = error.to_string();
                return self.tell(Connection::Failed { reason }).await;
            }
            if live >= self.options.stable_after {
                attempt = 0;
            }
            attempt += 1;
            let FeedOptions {
                backoff_base,
                backoff_cap,
                jitter,
                ..
            } = self.options;
            let wait = backoff::wait(backoff_base, backoff_cap, jitter, attempt, backoff::random());
            let asked = error.retry_after().map(|asked| asked.min(LONGEST_ASKED_WAIT));
            let wait = asked.map_or(wait, |asked| asked.max(wait));
            tracing::debug!(channel = ?self.channel, attempt, %error, "the connection was lost");
            self.tell(Connection::Reconnecting {
                reason: error.to_string(),
                next_try_at: unix_milliseconds(wait),
                attempt,
            })
            .await?;
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection, from its request to its end.
    async fn connect(&mut self) -> Result<Over, Gone> {
        let request = SubscribeRequest {
            history_length: Some(self.options.history_length),
            // Where both are known `after` decides; a server without ids takes the other.
            after: self.sequencer.resume_after(),
        };
        let mut subscription = match self.client.subscribe(&self.channel, request).await {
            Ok(subscription) => subscription.with_idle_timeout(self.options.idle_timeout),
            Err(error) => return Ok(lost(error, Duration::ZERO)),
        };
        let since = Instant::now();
        self.sequencer.connected();
        self.tell(Connection::Live).await?;
        loop {
            let lines = match subscription.next().await {
                Some(Ok(lines)) => lines,
                Some(Err(error)) => return Ok(lost(error, since.elapsed())),
                None => {
                    let error = ClientError::Lost {
                        server: self.client.endpoint().name().to_owned(),
                        reason: "the server ended the stream before the run was over".to_owned(),
                    };
                    return Ok(lost(error, since.elapsed()));
                }
            };
            let replay = lines.len() >= REPLAY_ITEMS;
            if let Err(error) = self.take(lines).await? {
                return Ok(lost(error, since.elapsed()));
            }
            if self.sequencer.ended() && self.options.leave_at_end {
                return Ok(Over::Ended);
            }
            let pace = self.outlet.pace();
            if !replay && !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
        }
    }

    /// Takes lines in and hands over the items that they make.
    async fn take(&mut self, lines: Vec<ReceivedLine>) -> Result<Result<(), ClientError>, Gone> {
        let mut items = Vec::with_capacity(lines.len());
        let mut outcome = Ok(());
        for line in lines {
            if self.sequencer.needs_server_kind(&line) {
                match self.client.has_ids().await {
                    Ok(has_ids) => self.sequencer.server_has_ids(has_ids),
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
            self.sequencer.take(line, &mut items);
        }
        if !items.is_empty() {
            let batch = FeedBatch {
                items,
                connection: None,
            };
            self.send(batch).await?;
        }
        Ok(outcome)
    }

    async fn tell(&self, connection: Connection) -> Result<(), Gone> {
        let batch = FeedBatch {
            items: Vec::new(),
            connection: Some(connection),
        };
        self.send(batch).await
    }

    async fn send(&self, batch: FeedBatch) -> Result<(), Gone> {
        self.outlet.send(batch).await
    }
}

fn lost(error: ClientError, live: Duration) -> Over {
    Over::Lost { error, live }
}

/// The moment after a wait, Unix time in milliseconds.
fn unix_milliseconds(wait: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from((now + wait).as_millis()).unwrap_or(u64::MAX)
}
