//! What the loop needs of a server, and the client as that.
//!
//! Nothing is decided here: calls go out, errors come back as sentences.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::client::feed::FeedOptions;
use crate::client::supervisor::Supervisor;
use crate::client::thread::FeedThread;
use crate::client::{Client, ClientError, EndpointKind};
use crate::transcript::FeedBatch;
use crate::wire::request::{RunSummary, ServerInfo};
use crate::wire::{ChannelId, DispatchRequest};

/// The answer to a call.
pub type Answer<T> = BoxFuture<'static, Result<T, CallError>>;

/// Why a call did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// A sentence that says why, and what to do.
    pub reason: String,
    /// The server is not there any more, and it is one that can be found again or started.
    pub gone: bool,
}

/// A server that was found. What its feeds bring goes where its maker said.
pub trait Service: Send {
    /// Watches a channel, after the event of this id; a feed of the channel that there is already ends.
    fn watch(&mut self, channel: ChannelId, generation: u64, after: Option<u64>);
    /// Stops watching a channel.
    fn unwatch(&mut self, channel: &ChannelId);
    /// Says which channels are shown, and which are in view in a list (`None`: all); what comes over the others may
    /// be gathered for longer.
    fn show(&mut self, shown: &[ChannelId], listed: Option<&[ChannelId]>);
    /// Starts a run. The answer is its channel, which may be another one than was asked for.
    fn dispatch(&self, body: DispatchRequest) -> Answer<ChannelId>;
    /// Publishes a message.
    fn publish(&self, channel: ChannelId, message: Value) -> Answer<()>;
    /// Stops a channel's run.
    fn cancel(&self, channel: ChannelId) -> Answer<()>;
    /// Lists the account's runs.
    fn runs(&self) -> Answer<Vec<RunSummary>>;
    /// Follows a channel beside what is watched, after the event of the id that `after` gives, until its run is over;
    /// what comes goes to `batches`. It ends when the future is dropped.
    fn follow(
        &self,
        channel: ChannelId,
        after: BoxFuture<'static, Option<u64>>,
        batches: mpsc::Sender<FeedBatch>,
    ) -> BoxFuture<'static, ()>;
}

/// What finding a server gives.
pub struct Connected {
    /// The server.
    pub service: Box<dyn Service>,
    /// What it told about itself.
    pub info: Option<ServerInfo>,
    /// Something about it that the person should know, in a sentence.
    pub notice: Option<String>,
}

/// Whether the server may come back at another address, with another secret: the local one, which any command
/// starts. Every other server is tried at its own address.
#[must_use]
pub fn can_be_found_again(client: &Client) -> bool {
    client.endpoint().kind() == EndpointKind::Local
}

/// A client and the feeds of its channels.
pub struct ClientService {
    client: Client,
    supervisor: Supervisor,
    /// Where the feeds run, for as long as there are any.
    feeds: Arc<FeedThread>,
}

impl ClientService {
    /// Puts them together.
    #[must_use]
    pub fn new(client: Client, supervisor: Supervisor, feeds: Arc<FeedThread>) -> Self {
        Self {
            client,
            supervisor,
            feeds,
        }
    }

    fn answer<T: 'static>(&self, call: impl Future<Output = Result<T, ClientError>> + Send + 'static) -> Answer<T> {
        let can_be_found = can_be_found_again(&self.client);
        Box::pin(async move {
            call.await.map_err(|error| CallError {
                gone: can_be_found && error.is_server_gone(),
                reason: error.to_string(),
            })
        })
    }
}

impl Service for ClientService {
    fn watch(&mut self, channel: ChannelId, generation: u64, after: Option<u64>) {
        self.supervisor.watch(channel, generation, after);
    }

    fn unwatch(&mut self, channel: &ChannelId) {
        self.supervisor.unwatch(channel);
    }

    fn show(&mut self, shown: &[ChannelId], listed: Option<&[ChannelId]>) {
        self.supervisor.show(shown, listed);
    }

    fn dispatch(&self, body: DispatchRequest) -> Answer<ChannelId> {
        let client = self.client.clone();
        self.answer(async move { client.dispatch(&body).await.map(|answer| answer.channel_id) })
    }

    fn publish(&self, channel: ChannelId, message: Value) -> Answer<()> {
        let client = self.client.clone();
        self.answer(async move { client.publish(&channel, &message).await.map(drop) })
    }

    fn cancel(&self, channel: ChannelId) -> Answer<()> {
        let client = self.client.clone();
        self.answer(async move { client.cancel(&channel).await })
    }

    fn follow(
        &self,
        channel: ChannelId,
        after: BoxFuture<'static, Option<u64>>,
        batches: mpsc::Sender<FeedBatch>,
    ) -> BoxFuture<'static, ()> {
        let leave_when_gone = can_be_found_again(&self.client);
        let (client, feeds) = (self.client.clone(), Arc::clone(&self.feeds));
        Box::pin(async move {
            let options = FeedOptions {
                resume: after.await,
                leave_when_gone,
                ..FeedOptions::default()
            };
            // It is cancelled by being dropped.
            let never = CancellationToken::new();
            let feed = crate::client::feed::run(client, channel, options, batches, never);
            // It runs with the other feeds, and ends when this is dropped.
            let _ = AbortOnDropHandle::new(feeds.handle().spawn(feed)).await;
        })
    }

    fn runs(&self) -> Answer<Vec<RunSummary>> {
        let client = self.client.clone();
        self.answer(async move { client.runs().await.map(|list| list.items) })
    }
}
