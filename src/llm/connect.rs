//! From a configuration to a model: the one that is configured, one that runs on this machine, or the demo.
//!
//! It reads no file and no environment; keys are handed in.

use std::sync::Arc;
use std::time::Duration;

use super::probe::{self, Candidate};
use super::{Demo, Model, ModelError, OpenAi, Retries};
use crate::wire::Secret;

/// How to reach an OpenAI-compatible model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOptions {
    /// Where its API is, up to and with `/v1`: `http://127.0.0.1:11434/v1`.
    pub base_url: String,
    /// Its name, as the API knows it.
    pub model: String,
    /// Its key, if it wants one.
    pub key: Option<Secret>,
    /// How long it may be silent, before its first byte and between bytes.
    pub silence: Duration,
    /// Whether it takes pictures.
    pub images: bool,
    /// How often a request is made again.
    pub retries: Retries,
}

impl ModelOptions {
    /// The default limit on silence.
    pub const SILENCE: Duration = Duration::from_secs(120);

    /// A model without a key and with the default limit on silence.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            key: None,
            silence: Self::SILENCE,
            images: false,
            retries: Retries::default(),
        }
    }
}

/// The model of a configuration. It is not asked for anything yet.
///
/// # Errors
/// When the base URL is not one, the key cannot stand in a header, or no HTTP client can be built.
pub fn connect(options: ModelOptions) -> Result<Arc<dyn Model>, ModelError> {
    Ok(Arc::new(OpenAi::new(options)?))
}

/// Where a model came from, to be told to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// The configuration names it.
    Configured,
    /// It was found running on this machine.
    Found {
        /// Its base URL.
        base_url: String,
    },
    /// The built-in demo: nothing else was there.
    Demo,
}

/// The configured model, else the first of the candidates that answers, else the demo.
///
/// # Errors
/// As [`connect`], for the configured model only: a candidate that cannot be used is passed over.
pub async fn find(
    configured: Option<ModelOptions>,
    candidates: &[Candidate],
) -> Result<(Arc<dyn Model>, ModelSource), ModelError> {
    if let Some(options) = configured {
        return Ok((connect(options)?, ModelSource::Configured));
    }
    if let Some(found) = probe::probe(candidates).await {
        let options = ModelOptions::new(found.base_url.clone(), found.model);
        if let Ok(model) = connect(options) {
            return Ok((
                model,
                ModelSource::Found {
                    base_url: found.base_url,
                },
            ));
        }
    }
    Ok((Arc::new(Demo::default()), ModelSource::Demo))
}
