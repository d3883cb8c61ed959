//! The feeds of many channels: one task each, all owned here.
//!
//! It starts and cancels feeds and tags what they bring; it does not look into it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Client;
use super::feed::{self, FeedOptions};
use crate::transcript::{Connection, FeedBatch};
use crate::wire::ChannelId;

/// How many batches wait between a feed and the shared queue.
const FEED_QUEUE: usize = 4;

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
    feeds: HashMap<ChannelId, CancellationToken>,
    all: CancellationToken,
}

impl Supervisor {
    /// A supervisor without feeds. Every feed has these options; what they bring goes to `out`, and
    /// waits while that is full.
    pub fn new(client: Client, options: FeedOptions, out: mpsc::Sender<Arrival>) -> Self {
        Self {
            client,
            options,
            out,
            feeds: HashMap::new(),
            all: CancellationToken::new(),
        }
    }

    /// Begins to watch a channel, after the event of this id where it was read up to there before. A feed that
    /// the channel has already is cancelled first.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn watch(&mut self, channel: ChannelId, generation: u64, after: Option<u64>) {
        let token = self.all.child_token();
        if let Some(earlier) = self.feeds.insert(channel.clone(), token.clone()) {
            earlier.cancel();
        }
        // Feeds that ended by themselves are forgotten here, so that the map does not grow for ever.
        self.feeds.retain(|_, token| !token.is_cancelled());
        let (sender, receiver) = mpsc::channel(FEED_QUEUE);
        let options = FeedOptions {
            resume: after,
            ..self.options.clone()
        };
        let feed = feed::run(self.client.clone(), channel.clone(), options, sender, token.clone());
        let task = supervise(feed, receiver, channel, generation, self.out.clone(), token);
        tokio::spawn(task);
    }

    /// Stops watching a channel. Nothing more of it comes, but for what is in the queue already.
    pub fn unwatch(&mut self, channel: &ChannelId) {
        if let Some(token) = self.feeds.remove(channel) {
            token.cancel();
        }
    }

    /// How many feeds have not ended.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.feeds.values().filter(|token| !token.is_cancelled()).count()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.all.cancel();
    }
}

/// Runs one feed, tags its batches, and reports its panic as a failure of the channel.
async fn supervise(
    feed: impl Future<Output = ()>,
    mut batches: mpsc::Receiver<FeedBatch>,
    channel: ChannelId,
    generation: u64,
    out: mpsc::Sender<Arrival>,
    token: CancellationToken,
) {
    // Cancelled when the task is over, however it ends: the supervisor sees that the feed is gone.
    let _over = token.clone().drop_guard();
    let feed = AssertUnwindSafe(feed).catch_unwind();
    let forward = async {
        while let Some(batch) = batches.recv().await {
            let arrival = Arrival {
                channel: channel.clone(),
                generation,
                batch,
            };
            if out.send(arrival).await.is_err() {
                token.cancel();
                return;
            }
        }
    };
    let both = async { tokio::join!(feed, forward) };
    let outcome = tokio::select! {
        biased;
        () = token.cancelled() => return,
        (outcome, ()) = both => outcome,
    };
    if let Err(panic) = outcome {
        let reason = panic_text(panic.as_ref());
        tracing::error!(?channel, reason, "a feed panicked");
        let batch = FeedBatch {
            items: Vec::new(),
            connection: Some(Connection::Failed {
                reason: format!(
                    "a fault of this program ended the feed ({reason}); watch the channel again and report it"
                ),
            }),
        };
        let arrival = Arrival {
            channel,
            generation,
            batch,
        };
        let _ = out.send(arrival).await;
    }
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
        let (sender, batches) = mpsc::channel(4);
        let token = CancellationToken::new();
        let feed = async move {
            let _ = sender.send(FeedBatch::default()).await;
            panic!("boom");
        };
        let channel = super::super::mint_channel_id();
        supervise(feed, batches, channel.clone(), 7, out, token.clone()).await;
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
        assert!(arrivals.recv().await.is_none() && token.is_cancelled());
    }
}
