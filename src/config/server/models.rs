//! `[server.model]`, `[server.models.NAME]` and `[server.moderation]`: which upstreams answer, and how they are asked.

use std::ops::Range;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use toml::Spanned;

use crate::config::value;

/// The most repetitions of one request.
const MOST_RETRIES: i64 = 20;

/// The language model behind the server. Without a URL the well-known local endpoints are asked, and
/// when none answers the built-in demo model takes over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// The base URL of an endpoint that speaks OpenAI's protocol.
    #[serde(deserialize_with = "value::url")]
    pub url: Option<String>,
    /// The model's name there. Without a URL: a name that one of `[server.models]` serves.
    pub name: Option<String>,
    /// The environment variable that holds the endpoint's key; `SWITCHBOARD_MODEL_KEY` when absent.
    #[serde(deserialize_with = "value::variable")]
    pub key_env: Option<String>,
    /// Use the built-in demo model instead of an endpoint.
    pub demo: bool,
    /// Whether the model takes pictures.
    pub images: bool,
    /// How long it may be silent, before its first byte and between bytes.
    #[serde(deserialize_with = "value::duration")]
    pub silence: Duration,
    /// How often a request is made again while nothing of its answer has come.
    #[serde(deserialize_with = "retries")]
    pub retries: u32,
    /// The time within which the last repetition begins.
    #[serde(deserialize_with = "value::duration")]
    pub retry_for: Duration,
}

impl Default for ModelConfig {
    fn default() -> Self {
        let usual = UpstreamConfig::default();
        Self {
            url: None,
            name: None,
            key_env: None,
            demo: false,
            images: usual.images,
            silence: usual.silence,
            retries: usual.retries,
            retry_for: usual.retry_for,
        }
    }
}

/// A further upstream: it answers requests for models of certain names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// The names of its models, in which `*` stands for any characters.
    #[serde(deserialize_with = "names")]
    pub models: Vec<String>,
    /// The base URL of an endpoint that speaks OpenAI's protocol.
    #[serde(deserialize_with = "value::url")]
    pub url: Option<String>,
    /// The environment variable that holds its key; it is asked without one when absent.
    #[serde(deserialize_with = "value::variable")]
    pub key_env: Option<String>,
    /// Whether its models take pictures.
    pub images: bool,
    /// How long it may be silent, before its first byte and between bytes.
    #[serde(deserialize_with = "value::duration")]
    pub silence: Duration,
    /// How often a request is made again while nothing of its answer has come.
    #[serde(deserialize_with = "retries")]
    pub retries: u32,
    /// The time within which the last repetition begins.
    #[serde(deserialize_with = "value::duration")]
    pub retry_for: Duration,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            url: None,
            key_env: None,
            images: false,
            silence: Duration::from_secs(120),
            retries: 4,
            retry_for: Duration::from_secs(120),
        }
    }
}

/// What judges messages, for requests that want them judged.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModerationConfig {
    /// The base URL of an endpoint that speaks OpenAI's protocol; without one nothing is judged.
    #[serde(deserialize_with = "value::url")]
    pub url: Option<String>,
    /// The judging model's name there; the endpoint's own choice when absent.
    pub model: Option<String>,
    /// The environment variable that holds its key; it is asked without one when absent.
    #[serde(deserialize_with = "value::variable")]
    pub key_env: Option<String>,
    /// How long it may take.
    #[serde(deserialize_with = "value::duration")]
    pub silence: Duration,
    /// How often a request is made again.
    #[serde(deserialize_with = "retries")]
    pub retries: u32,
}

impl Default for ModerationConfig {
    fn default() -> Self {
        Self {
            url: None,
            model: None,
            key_env: None,
            silence: Duration::from_secs(30),
            retries: 4,
        }
    }
}

fn retries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u32::try_from(number)
        .ok()
        .filter(|_| number <= MOST_RETRIES)
        .ok_or_else(|| {
            D::Error::custom(format!(
                "{number} repetitions, expected a whole number from 0 to {MOST_RETRIES}"
            ))
        })
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    if names.is_empty() || names.iter().any(|name| name.trim().is_empty()) {
        return Err(D::Error::custom(
            "names of models are missing, expected some in which `*` stands for any characters, such as [\"gpt-*\"]",
        ));
    }
    Ok(names)
}

/// Checks that every upstream can be asked; says where and what is wrong.
pub(in crate::config) fn check(
    models: &IndexMap<Spanned<String>, UpstreamConfig>,
) -> Result<(), (Range<usize>, String)> {
    for (name, upstream) in models {
        let text = name.get_ref();
        let missing = match (&upstream.url, upstream.models.is_empty()) {
            (None, _) => "no address, expected `url = \"https://…\"`",
            (_, true) => "no models, expected their names, such as `models = [\"gpt-*\"]`",
            _ => continue,
        };
        return Err((name.span(), format!("upstream `{text}` has {missing}")));
    }
    Ok(())
}
