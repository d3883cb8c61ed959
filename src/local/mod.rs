//! The local server: found, started, stopped (DESIGN, "The local server outlives the terminal").
//!
//! The server is this program, as a process of its own that works in `/`, in a session of its own, with
//! its standard streams on its log. It holds a lock while it lives and writes a record that says where
//! it is; whoever finds the lock free knows that the record is stale and never sends the secret to what
//! may now be behind its port. It does not decide what the server is configured to do.

mod record;
mod start;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use record::{Files, Lock, Record};
pub use start::{ensure, is_running, status, stop};

use crate::client::{ClientError, Endpoint};
use crate::wire::request::{RunSummary, ServerInfo};

/// How to find or start the local server.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Where its files are.
    pub files: Files,
    /// The program and the arguments that start it; nothing secret is among them.
    pub command: Vec<OsString>,
    /// The version that is wanted.
    pub version: String,
    /// The digest of the configuration that is wanted.
    pub digest: String,
    /// How long a start may take.
    pub deadline: Duration,
}

/// The local server, running.
#[derive(Debug, Clone)]
pub struct Ensured {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its record, by which it is told from one that is started after it.
    pub record: Record,
    /// Whether it was started now.
    pub started: bool,
    /// Something that the user should know: it runs with another configuration than is wanted.
    pub notice: Option<String>,
}

/// What the running local server tells about itself.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// What it says about itself.
    pub info: ServerInfo,
    /// Its runs, those that are retained included.
    pub runs: Vec<RunSummary>,
}

/// Why there is no local server.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// One of its files cannot be used.
    #[error("the local server's files in {} cannot be used: {source}; check the directory's owner and free space", dir.display())]
    Files {
        /// Where they are.
        dir: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The process could not be started.
    #[error("the local server cannot be started: {source}")]
    Spawn {
        /// Why not.
        source: std::io::Error,
    },
    /// The process ended before it was ready.
    #[error("the local server ended while it started. Its log says:\n{log}\n(the whole log: {})", path.display())]
    Exited {
        /// The end of its log.
        log: String,
        /// Where the log is.
        path: PathBuf,
    },
    /// It was not ready in time.
    #[error("the local server did not answer within {after:?}. Its log says:\n{log}\n(the whole log: {}; `switchboard server stop --force` ends it)", path.display())]
    NotReady {
        /// How long was waited.
        after: Duration,
        /// The end of its log.
        log: String,
        /// Where the log is.
        path: PathBuf,
    },
    /// It has live runs and was not forced.
    #[error("the local server has {live} that {} with `switchboard server stop --force` until it starts again", if *.live == 1 { "goes on: wait for it, or interrupt it" } else { "go on: wait for them, or interrupt them" }, live = runs(*.live))]
    Busy {
        /// How many runs are live.
        live: u64,
    },
    /// It was asked to stop and did not.
    #[error("the local server (process {pid}) did not stop within {after:?}; end the process by hand")]
    NotStopped {
        /// Its process.
        pid: u32,
        /// How long was waited.
        after: Duration,
    },
    /// It answers, but not as this program's server does.
    #[error("the local server (process {pid}) is not one that this version knows; end the process by hand")]
    Stranger {
        /// Its process.
        pid: u32,
    },
    /// It lives and does not answer.
    #[error("the local server (process {pid}) does not answer; `switchboard server stop --force` ends it")]
    Silent {
        /// Its process.
        pid: u32,
    },
    /// A request to it failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

fn runs(count: u64) -> String {
    if count == 1 {
        "1 run".to_owned()
    } else {
        format!("{count} runs")
    }
}
