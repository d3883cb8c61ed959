//! The client and its feeds against a fake server that cuts, stalls, repeats, restarts and trims.

mod behaviour;
mod fake;
mod log;
mod properties;
mod requests;

use std::time::Duration;

use switchboard::client::Client;
use switchboard::client::feed::{self, Connection, FeedOptions, Item};
use switchboard::wire::ChannelId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Longer than any test takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn channel() -> ChannelId {
    ChannelId::parse("channel-0123456789abcdef").expect("a channel id")
}

/// Waits so short that nothing is waited for.
fn options() -> FeedOptions {
    FeedOptions {
        idle_timeout: Duration::from_secs(20),
        backoff_base: Duration::from_millis(1),
        backoff_cap: Duration::from_millis(4),
        ..FeedOptions::default()
    }
}

/// Everything that a feed hands over until it ends by itself.
async fn follow(client: Client, options: FeedOptions) -> (Vec<Item>, Vec<Connection>) {
    let (sender, mut receiver) = mpsc::channel(2);
    let run = tokio::spawn(feed::run(client, channel(), options, sender, CancellationToken::new()));
    let (mut items, mut connections) = (Vec::new(), Vec::new());
    let collect = async {
        while let Some(batch) = receiver.recv().await {
            items.extend(batch.items);
            connections.extend(batch.connection);
        }
    };
    tokio::time::timeout(LONG, collect).await.expect("the feed ends");
    run.await.expect("the feed does not panic");
    (items, connections)
}
