//! Talking to a server: requests, streams, and feeds that follow a channel through lost connections.
//!
//! [`Client`] makes one request each; [`feed`] follows one channel for as long as its run lasts;
//! [`supervisor`] owns the feeds of many channels. It does not know what events add up to, what is on
//! a screen, or how a server works inside.

pub mod align;
mod backoff;
pub mod endpoint;
pub mod error;
pub mod feed;
mod http;
mod sequence;
pub mod stream;
pub mod supervisor;
pub mod thread;

pub use crate::wire::Secret;
pub use endpoint::{Endpoint, EndpointError, EndpointKind};
pub use error::ClientError;
pub use http::{Client, Timeouts};
pub use stream::{EventStream, ReceivedLine, Subscription};

use crate::wire::ChannelId;

/// A new channel id out of 144 random bits of the operating system.
///
/// # Panics
/// When the operating system has no random numbers to give: no secret can be made then.
#[must_use]
pub fn mint_channel_id() -> ChannelId {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    ChannelId::from_random(bytes)
}
