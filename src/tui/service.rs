//! What the loop needs of a server, and the client as that.
//!
//! Nothing is decided here: calls go out, errors come back as sentences.

use futures::future::BoxFuture;
use serde_json::Value;

use crate::client::Client;
use crate::client::supervisor::Supervisor;
use crate::wire::request::{RunSummary, ServerInfo};
use crate::wire::{ChannelId, DispatchRequest};

/// The answer to a call: a value, or a sentence that says why not and what to do.
pub type Answer<T> = BoxFuture<'static, Result<T, String>>;

/// A server that was found. What its feeds bring goes where its maker said.
pub trait Service: Send {
    /// Watches a channel; a feed of the channel that there is already ends.
    fn watch(&mut self, channel: ChannelId, generation: u64);
    /// Stops watching a channel.
    fn unwatch(&mut self, channel: &ChannelId);
    /// Says which channels are shown; what comes over the others may be gathered for a moment.
    fn show(&mut self, channels: &[ChannelId]);
    /// Starts a run.
    fn dispatch(&self, body: DispatchRequest) -> Answer<()>;
    /// Publishes a message.
    fn publish(&self, channel: ChannelId, message: Value) -> Answer<()>;
    /// Stops a channel's run.
    fn cancel(&self, channel: ChannelId) -> Answer<()>;
    /// Lists the account's runs.
    fn runs(&self) -> Answer<Vec<RunSummary>>;
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

/// A client and the feeds of its channels.
pub struct ClientService {
    client: Client,
    supervisor: Supervisor,
}

impl ClientService {
    /// Puts the two together.
    #[must_use]
    pub fn new(client: Client, supervisor: Supervisor) -> Self {
        Self { client, supervisor }
    }
}

impl Service for ClientService {
    fn watch(&mut self, channel: ChannelId, generation: u64) {
        self.supervisor.watch(channel, generation);
    }

    fn unwatch(&mut self, channel: &ChannelId) {
        self.supervisor.unwatch(channel);
    }

    fn show(&mut self, channels: &[ChannelId]) {
        self.supervisor.show(channels);
    }

    fn dispatch(&self, body: DispatchRequest) -> Answer<()> {
        let client = self.client.clone();
        Box::pin(async move {
            client
                .dispatch(&body)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
    }

    fn publish(&self, channel: ChannelId, message: Value) -> Answer<()> {
        let client = self.client.clone();
        Box::pin(async move {
            client
                .publish(&channel, &message)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
    }

    fn cancel(&self, channel: ChannelId) -> Answer<()> {
        let client = self.client.clone();
        Box::pin(async move { client.cancel(&channel).await.map_err(|error| error.to_string()) })
    }

    fn runs(&self) -> Answer<Vec<RunSummary>> {
        let client = self.client.clone();
        Box::pin(async move {
            client
                .runs()
                .await
                .map(|list| list.items)
                .map_err(|error| error.to_string())
        })
    }
}
