//! What `switchboard serve` and the local server do: every key of `[server]`, its default, and its check.
//!
//! Each part of the server has its keys in a file of its own beside this one.

mod accounts;
mod attachments;
mod bots;
mod datasets;
mod http;
mod log;
mod metrics;
mod skillsets;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Deserialize;
use toml::Spanned;

mod limits;
mod models;

use super::secret::{self, Secret};
use super::value;
pub(super) use accounts::check as check_accounts;
pub use accounts::{AccountConfig, AccountSecretConfig};
pub use attachments::AttachmentsConfig;
pub use http::{CorsConfig, HttpConfig, Origin, TlsConfig};

pub use bots::{BotConfig, BotFunction, BotFunctionCall, BotFunctionResult, BotLimits, FeatureName};
pub use datasets::DatasetConfig;
pub use skillsets::{AbilityConfig, SkillsetConfig};

pub use limits::LimitsConfig;
pub use log::{LogConfig, LogFormat, LogLevel};
pub use metrics::MetricsConfig;
pub(super) use models::check as check_models;
pub use models::{ModelConfig, ModerationConfig, UpstreamConfig};

/// What `switchboard serve` and the local server do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where `switchboard serve` listens.
    #[serde(deserialize_with = "value::listen")]
    pub listen: SocketAddr,
    /// Where `switchboard serve` keeps its runs: a directory that is this server's alone. Without it, one in the
    /// platform's place for data. The local server has its own there.
    #[serde(deserialize_with = "value::path")]
    pub data_dir: Option<PathBuf>,
    /// The secrets that clients may show, each an account of its own.
    #[serde(deserialize_with = "secret::list")]
    pub secrets: Vec<Secret>,
    /// Accounts whose secrets are kept as hashes, by name.
    pub accounts: IndexMap<Spanned<String>, AccountConfig>,
    /// How long the local server stays with no run and no client.
    #[serde(deserialize_with = "value::duration")]
    pub idle_exit: Duration,
    /// The language model.
    pub model: ModelConfig,
    /// Further upstreams by name, for models of other names; the first one that has a name answers.
    pub models: IndexMap<Spanned<String>, UpstreamConfig>,
    /// What judges messages.
    pub moderation: ModerationConfig,
    /// Bounds of a run.
    pub limits: LimitsConfig,
    /// How long events are kept.
    pub retention: RetentionConfig,
    /// Bounds of requests and connections.
    pub http: HttpConfig,
    /// The certificate.
    pub tls: TlsConfig,
    /// Web pages that may call the API.
    pub cors: CorsConfig,
    /// How much is logged.
    pub log: LogConfig,
    /// Who may read the metrics.
    pub metrics: MetricsConfig,
    /// Documents and images that requests name.
    pub attachments: AttachmentsConfig,
    /// Configurations that a request may name, by name.
    pub bots: IndexMap<Spanned<String>, BotConfig>,
    /// What bots and requests may know, by name.
    pub datasets: IndexMap<Spanned<String>, DatasetConfig>,
    /// What bots and requests may be able to do, by name.
    pub skillsets: IndexMap<Spanned<String>, SkillsetConfig>,
}

impl ServerConfig {
    /// Whether its parts fit together. `Err`: where not, and what is wrong.
    pub(super) fn check(&self) -> Result<(), (Range<usize>, String)> {
        bots::check(self)
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7280)),
            data_dir: None,
            secrets: Vec::new(),
            accounts: IndexMap::new(),
            idle_exit: Duration::from_secs(15 * 60),
            model: ModelConfig::default(),
            models: IndexMap::new(),
            moderation: ModerationConfig::default(),
            limits: LimitsConfig::default(),
            retention: RetentionConfig::default(),
            http: HttpConfig::default(),
            tls: TlsConfig::default(),
            cors: CorsConfig::default(),
            log: LogConfig::default(),
            metrics: MetricsConfig::default(),
            bots: IndexMap::new(),
            datasets: IndexMap::new(),
            skillsets: IndexMap::new(),
            attachments: AttachmentsConfig::default(),
        }
    }
}

/// How long events are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// How long after a channel's last event.
    #[serde(deserialize_with = "value::duration")]
    pub period: Duration,
    /// How many events a channel.
    #[serde(deserialize_with = "value::at_least_one")]
    pub events: u64,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(60 * 60),
            events: 10_000,
        }
    }
}
