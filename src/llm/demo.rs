//! The built-in demo model.

use super::{FinishReason, Model, ModelEvent, ModelRequest, ModelStream};

/// The demo's name.
pub const DEMO_NAME: &str = "demo";

/// The built-in demo model.
#[derive(Debug, Clone, Default)]
pub struct Demo;

impl Model for Demo {
    fn name(&self) -> &str {
        DEMO_NAME
    }

    fn is_demo(&self) -> bool {
        true
    }

    fn call(&self, _request: ModelRequest) -> ModelStream {
        Box::pin(futures::stream::iter([Ok(ModelEvent::Finish(FinishReason::Stop))]))
    }
}
