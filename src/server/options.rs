//! What a server is told when it starts: accounts, limits, times.
//!
//! Values only; reading them from files and flags is the business of `config` and `cli`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::limits::Rate;
use super::tls::Tls;
use crate::hub::AccountId;
use crate::wire::{Scope, SecretHash};

/// Who may use the server: each account has channels and runs of its own.
#[derive(Debug, Clone)]
pub struct Account {
    /// A stable name; the account's runs are stored under it.
    pub name: String,
    /// What logs call it, where the name is not to be seen: a name that is made from a secret helps to guess the secret.
    pub shown: Option<String>,
    /// What its requests may show as `Authorization: Bearer SECRET`.
    pub secrets: Vec<AccountSecret>,
}

/// One of an account's secrets.
#[derive(Debug, Clone, Copy)]
pub struct AccountSecret {
    /// What is kept of it.
    pub hash: SecretHash,
    /// What whoever shows it may do.
    pub scope: Scope,
}

impl Account {
    /// An account with one secret, which may do everything.
    pub fn with_secret(name: impl Into<String>, secret: &str) -> Self {
        Self {
            name: name.into(),
            shown: None,
            secrets: vec![AccountSecret {
                hash: SecretHash::of(secret.as_bytes()),
                scope: Scope::Full,
            }],
        }
    }

    /// The same account, called so in logs.
    #[must_use]
    pub fn shown_as(mut self, shown: impl Into<String>) -> Self {
        self.shown = Some(shown.into());
        self
    }

    /// What logs call it.
    pub(super) fn shown(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.name)
    }
}

/// The settings of [`serve`](super::serve). Start from `Default` and set what differs.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The accounts. Without one every request is refused.
    pub accounts: Vec<Account>,
    /// Where runs and their events are kept: a directory that exists and is this server's alone. Without one they are
    /// lost when it ends.
    pub data_dir: Option<PathBuf>,
    /// How long a run's events are kept after the last one (PROTOCOL, "Retention").
    pub retention: Duration,
    /// How many events are kept of one channel.
    pub retention_events: usize,
    /// After how much silence a stream gets a heartbeat.
    pub heartbeat: Duration,
    /// The shortest time between two wake-ups of one channel's readers; an idle channel wakes them at once.
    pub flush: Duration,
    /// The largest body that is taken, in bytes.
    pub body_limit: usize,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long a client may take to send the body of a request.
    pub body_timeout: Duration,
    /// How many runs go on at once; more wait in the queue.
    pub runs_in_flight: usize,
    /// How many runs may have been dispatched and not ended, the queued ones included; more are refused.
    pub live_runs: usize,
    /// How many bytes the orders of runs that have not ended and the retained events may take; beyond that, new runs are
    /// refused, and those that exist go on.
    pub memory: u64,
    /// How many connections are open at once; those beyond are closed, and told so where that is possible.
    pub connections: usize,
    /// The largest address and headers together that are taken, in bytes.
    pub head_limit: usize,
    /// How many headers are taken.
    pub headers: usize,
    /// How long a reader that takes too little of what waits for it is waited for.
    pub reader_timeout: Duration,
    /// How many bytes of published messages a channel holds for readers that have not taken them.
    pub reader_backlog: usize,
    /// How many requests an account may make; as many as it likes without.
    pub rate: Option<Rate>,
    /// The certificate; plain HTTP without one.
    pub tls: Option<Arc<Tls>>,
    /// The origins of web pages that may call the API from a browser; `*` stands for all.
    pub cors: Vec<HeaderValue>,
    /// A digest of the configuration, shown by `GET /v1/server` together with how many runs go on, if the server may be
    /// stopped over the API.
    pub config_digest: Option<String>,
    /// What is kept of the secret of `GET /v1/metrics`; without one that route is not served.
    pub metrics: Option<SecretHash>,
    /// Whether `POST /v1/server/stop` is served.
    pub allow_stop: bool,
    /// Leave after this time with no run, no client and nothing that would be lost.
    pub idle_exit: Option<Duration>,
    /// How long open streams and runs have to end when the server stops.
    pub shutdown_grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            data_dir: None,
            retention: Duration::from_secs(3600),
            retention_events: 10_000,
            heartbeat: Duration::from_secs(15),
            flush: Duration::from_millis(3),
            body_limit: 4 * 1024 * 1024,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            runs_in_flight: 256,
            live_runs: 10_000,
            memory: 2 * 1024 * 1024 * 1024,
            connections: 16_384,
            head_limit: 32 * 1024,
            headers: 100,
            reader_timeout: Duration::from_secs(30),
            reader_backlog: 8 * 1024 * 1024,
            rate: None,
            tls: None,
            cors: Vec::new(),
            config_digest: None,
            metrics: None,
            allow_stop: false,
            idle_exit: None,
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

impl ServerOptions {
    /// What logs call each account.
    pub(super) fn shown_accounts(&self) -> HashMap<AccountId, String> {
        let accounts = self.accounts.iter();
        accounts
            .map(|account| (AccountId::new(account.name.as_str()), account.shown().to_owned()))
            .collect()
    }
}
