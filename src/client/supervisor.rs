//! The feeds of many channels: one task each, all owned here.
//!
//! It starts and cancels feeds and tags what they bring; it does not look into it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Client;
use super::feed::{self, FeedOptions, Gone, Outlet};
use crate::transcript::{Connection, FeedBatch};
use crate::wire::ChannelId;

/// The pace of a channel that is shown: a quarter of a frame.
const SHOWN_PACE: Duration = Duration::from_millis(4);
/// The pace of a channel of which only its line in the list is seen.
const LISTED_PACE: Duration = Duration::from_millis(100);
/// The pace of a channel of which nothing is seen but what it adds to the counts.
const HIDDEN_PACE: Duration = Duration::from_secs(1);

/// How much of a channel is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Sight {
    /// Its text.
    Shown,
    /// Its line in the list.
    Listed,
    /// Nothing of its own.
    Hidden,
}

impl Sight {
    fn pace(self) -> Duration {
        match self {
            Self::Shown => SHOWN_PACE,
            Self::Listed => LISTED_PACE,
            Self::Hidden => HIDDEN_PACE,
        }
    }
}

/// What came over one channel.
#[derive(Debug)]
pub struct Arrival {
    /// The channel.
    pub channel: ChannelId,
    /// The generation that the channel was watched with: what an earlier one brings is stale.
    pub generation: u64,
    /// What came.
    pub batch: FeedBatch,
}

/// Owns one feed for each watched channel. Dropping it cancels them all.
#[must_use]
pub struct Supervisor {
    client: Client,
    options: FeedOptions,
    out: mpsc::Sender<Arrival>,
    /// Where the feeds run.
    runtime: Handle,
    feeds: HashMap<ChannelId, Watched>,
    /// How much is seen of the channels that were named, and of the others; all are shown until somebody says which.
    seen: (HashMap<ChannelId, Sight>, Sight),
}

/// A feed's task, which ends when this is dropped.
struct Watched {
    task: AbortOnDropHandle<()>,
    sight: Arc<AtomicU8>,
}

impl Supervisor {
    /// A supervisor without feeds. Every feed has these options; what they bring goes to `out`, and
    /// waits while that is full. The feeds run where `runtime` says.
    pub fn new(client: Client, options: FeedOptions, out: mpsc::Sender<Arrival>, runtime: Handle) -> Self {
        Self {
            client,
            options,
            out,
            runtime,
            feeds: HashMap::new(),
            seen: (HashMap::new(), Sight::Shown),
        }
    }

    /// Begins to watch a channel, after the event of this id where it was read up to there before. A feed that
    /// the channel has already is cancelled first.
    pub fn watch(&mut self, channel: ChannelId, generation: u64, after: Option<u64>) {
        // Feeds that ended by themselves are forgotten here, so that the map does not grow for ever.
        self.feeds.retain(|_, feed| !feed.task.is_finished());
        let sight = Arc::new(AtomicU8::new(self.sight(&channel) as u8));
        let outlet = Tagged {
            channel: channel.clone(),
            generation,
            out: self.out.clone(),
            sight: Arc::clone(&sight),
        };
        let options = FeedOptions {
            resume: after,
            ..self.options.clone()
        };
        let feed = feed::follow(self.client.clone(), channel.clone(), options, outlet.clone());
        let task = AbortOnDropHandle::new(self.runtime.spawn(supervise(feed, outlet)));
        self.feeds.insert(channel, Watched { task, sight });
    }

    /// Stops watching a channel. Nothing more of it comes, but for what is in the queue already.
    pub fn unwatch(&mut self, channel: &ChannelId) {
        self.feeds.remove(channel);
    }

    /// Says which channels are shown: what comes over them is handed over at once. The events of those that are in
    /// view in a list (`None`: all of them) are gathered for a tenth of a second, the others' for a second.
    /// Until this is said every channel counts as shown.
    pub fn show(&mut self, shown: &[ChannelId], listed: Option<&[ChannelId]>) {
        let others = if listed.is_none() { Sight::Listed } else { Sight::Hidden };
        let listed = listed.unwrap_or_default().iter().map(|id| (id.clone(), Sight::Listed));
        // A channel that is both is shown: the later entry holds.
        let shown = shown.iter().map(|id| (id.clone(), Sight::Shown));
        self.seen = (listed.chain(shown).collect(), others);
        for (channel, feed) in &self.feeds {
            feed.sight.store(self.sight(channel) as u8, Ordering::Relaxed);
        }
    }

    fn sight(&self, channel: &ChannelId) -> Sight {
        let (named, others) = &self.seen;
        named.get(channel).copied().unwrap_or(*others)
    }

    /// How many feeds have not ended.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.feeds.values().filter(|feed| !feed.task.is_finished()).count()
    }
}

/// Tags what a feed brings with its channel.
#[derive(Clone)]
struct Tagged {
    channel: ChannelId,
    generation: u64,
    out: mpsc::Sender<Arrival>,
    sight: Arc<AtomicU8>,
}

impl Outlet for Tagged {
    async fn send(&self, batch: FeedBatch) -> Result<(), Gone> {
        let arrival = Arrival {
            channel: self.channel.clone(),
            generation: self.generation,
            batch,
        };
        self.out.send(arrival).await.map_err(|_| Gone)
    }

    fn pace(&self) -> Duration {
        let seen = self.sight.load(Ordering::Relaxed);
        let all = [Sight::Shown, Sight::Listed, Sight::Hidden];
        all.into_iter()
            .find(|sight| *sight as u8 == seen)
            .unwrap_or(Sight::Shown)
            .pace()
    }
}

/// Runs one feed, and reports its panic as a failure of the channel.
async fn supervise(feed: impl Future<Output = ()>, outlet: Tagged) {
    let Err(panic) = AssertUnwindSafe(feed).catch_unwind().await else {
        return;
    };
    let reason = panic_text(panic.as_ref());
    tracing::error!(channel = ?outlet.channel, reason, "a feed panicked");
    let batch = FeedBatch {
        items: Vec::new(),
        connection: Some(Connection::Failed {
            reason: format!("a fault of this program ended the feed ({reason}); watch the channel again and report it"),
        }),
    };
    // Nobody is left to be told when this fails.
    let _ = outlet.send(batch).await;
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_feed_is_reported_after_what_it_brought() {
        let (out, mut arrivals) = mpsc::channel(4);
        let channel = super::super::mint_channel_id();
        let outlet = Tagged {
            channel: channel.clone(),
            generation: 7,
            out,
            sight: Arc::default(),
        };
        let brings = outlet.clone();
        let feed = async move {
            let _ = brings.send(FeedBatch::default()).await;
            panic!("boom");
        };
        supervise(feed, outlet).await;
        let first = arrivals.recv().await.expect("what it brought");
        assert_eq!(
            (first.channel, first.generation, first.batch.connection),
            (channel, 7, None)
        );
        let last = arrivals.recv().await.expect("the report").batch.connection;
        assert!(
            matches!(&last, Some(Connection::Failed { reason }) if reason.contains("boom")),
            "{last:?}"
        );
        assert!(arrivals.recv().await.is_none());
    }

    /// A server of one channel without ids, whose events are a write and an HTTP chunk each.
    async fn many_small_chunks(events: usize) -> Client {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap_or(0);
                    if !String::from_utf8_lossy(&request[..length]).contains("/subscribe") {
                        let _ = stream
                            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                            .await;
                        return;
                    }
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                        .await;
                    for number in 0..=events {
                        let data = if number == events {
                            "{\"type\":\"result\",\"data\":{}}".to_owned()
                        } else {
                            format!("{{\"type\":\"token\",\"data\":{{\"token\":\"{number} \"}}}}")
                        };
                        let line = format!("{{\"type\":\"message\",\"data\":{data}}}\n");
                        let _ = stream
                            .write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())
                            .await;
                        tokio::task::yield_now().await;
                    }
                    std::future::pending::<()>().await;
                });
            }
        });
        let endpoint =
            super::super::Endpoint::custom("test", &format!("http://{address}"), "secret").expect("an address");
        Client::new(endpoint, super::super::Timeouts::default()).expect("a client")
    }

    #[tokio::test]
    async fn a_hidden_channel_of_many_small_chunks_does_not_fall_behind() {
        const EVENTS: usize = 2000;
        let (out, mut arrivals) = mpsc::channel(4);
        let mut supervisor = Supervisor::new(
            many_small_chunks(EVENTS).await,
            FeedOptions::default(),
            out,
            Handle::current(),
        );
        supervisor.show(&[], Some(&[]));
        supervisor.watch(super::super::mint_channel_id(), 1, None);
        let (mut batches, mut items) = (0, 0);
        loop {
            let batch = arrivals.recv().await.expect("a batch").batch;
            batches += usize::from(!batch.items.is_empty());
            items += batch.items.len();
            if batch.connection == Some(Connection::Ended) {
                break;
            }
        }
        assert_eq!(items, EVENTS + 1);
        // One chunk a tenth of a second would be two thousand batches, and minutes.
        assert!(batches < EVENTS / 10, "{batches} batches");
    }

    #[tokio::test]
    async fn shown_comes_before_listed_and_a_list_of_none_is_no_list_of_all() {
        let (out, _arrivals) = mpsc::channel(1);
        let mut supervisor = Supervisor::new(
            many_small_chunks(0).await,
            FeedOptions::default(),
            out,
            Handle::current(),
        );
        let [one, two, three] = std::array::from_fn(|_| super::super::mint_channel_id());
        let sights = |supervisor: &Supervisor| [&one, &two, &three].map(|id| supervisor.sight(id));
        assert_eq!(sights(&supervisor), [Sight::Shown; 3]);
        supervisor.show(std::slice::from_ref(&one), Some(&[one.clone(), two.clone()]));
        assert_eq!(sights(&supervisor), [Sight::Shown, Sight::Listed, Sight::Hidden]);
        supervisor.show(std::slice::from_ref(&one), None);
        assert_eq!(sights(&supervisor), [Sight::Shown, Sight::Listed, Sight::Listed]);
    }

    #[test]
    fn what_is_not_shown_is_gathered_for_longer() {
        let (out, _arrivals) = mpsc::channel(1);
        let sight = Arc::new(AtomicU8::new(Sight::Shown as u8));
        let outlet = Tagged {
            channel: super::super::mint_channel_id(),
            generation: 0,
            out,
            sight: Arc::clone(&sight),
        };
        assert_eq!(outlet.pace(), SHOWN_PACE);
        sight.store(Sight::Listed as u8, Ordering::Relaxed);
        assert_eq!(outlet.pace(), LISTED_PACE);
        sight.store(Sight::Hidden as u8, Ordering::Relaxed);
        assert_eq!(outlet.pace(), HIDDEN_PACE);
    }
}
