//! OpenAI-compatible endpoints.

use super::{FinishReason, Model, ModelError, ModelEvent, ModelOptions, ModelRequest, ModelStream, client};

/// A model behind an OpenAI-compatible API.
#[derive(Debug, Clone)]
pub struct OpenAi {
    options: ModelOptions,
}

impl OpenAi {
    /// The model of a configuration.
    ///
    /// # Errors
    /// When the base URL is not one.
    pub fn new(options: ModelOptions) -> Result<Self, ModelError> {
        client::for_url(&options.base_url)?;
        Ok(Self { options })
    }
}

impl Model for OpenAi {
    fn name(&self) -> &str {
        &self.options.model
    }

    fn call(&self, _request: ModelRequest) -> ModelStream {
        Box::pin(futures::stream::iter([Ok(ModelEvent::Finish(FinishReason::Stop))]))
    }
}
