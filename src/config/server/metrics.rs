//! `[server.metrics]`: who may read the metrics. Without a secret there are none.

use serde::Deserialize;
use serde::de::Deserializer;

use super::accounts;
use crate::config::value;
use crate::wire::SecretHash;

/// Who may read the metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// The environment variable that holds the secret.
    #[serde(deserialize_with = "value::variable")]
    pub secret_env: Option<String>,
    /// What is kept of the secret.
    #[serde(deserialize_with = "hash")]
    pub hash: Option<SecretHash>,
}

fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretHash>, D::Error> {
    accounts::hash(deserializer).map(|hash| Some(*hash.get_ref()))
}
