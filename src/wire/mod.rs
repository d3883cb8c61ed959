//! The wire protocol as data: channel ids, events, requests, errors, and the JSON Lines decoder.
//!
//! It does no I/O and knows no runtime: bytes come in, values go out. What a value means for a run
//! or a screen is decided elsewhere.

pub mod access;
pub mod ascii;
pub mod depth;
pub mod error;
pub mod event;
pub mod id;
pub mod jsonl;
pub mod line;
pub mod lobby;
pub mod request;
pub mod secret;
pub mod surrogate;

pub use access::{Scope, SecretHash};
pub use error::{ApiError, ErrorCode};
pub use event::{Event, EventKind, Message, MessageKind};
pub use id::ChannelId;
pub use jsonl::LineDecoder;
pub use line::SubscriptionLine;
pub use request::{CompleteRequest, DispatchRequest};
pub use secret::Secret;

/// A JSON object whose keys keep their order.
pub type Object = serde_json::Map<String, serde_json::Value>;
