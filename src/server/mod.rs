//! The server: the API of PROTOCOL.md over HTTP/1.1, in front of the channel log, the store and the engine.
//!
//! Handlers extract, call and convert. What a run does is the engine's business, what a channel keeps
//! is the hub's. It knows nothing of configuration files and processes; `cli` and `local` do.

mod options;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use options::{Account, ServerOptions};

/// Why a server could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Two accounts share a name or a secret, or one of them is empty.
    #[error("the server's accounts: {0}")]
    Accounts(String),
    /// The store could not be used.
    #[error("the server's store: {0}")]
    Store(String),
    /// The listener is broken.
    #[error("the server cannot accept connections: {0}")]
    Listener(#[source] std::io::Error),
}
