//! A model whose calls are counted and timed. It changes nothing of them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::time::Instant;

use super::{Model, ModelError, ModelEvent, ModelRequest, ModelStream};
use crate::measure::{ModelMeters, ReasonLabel};
use crate::wire::request::Function;

/// A model with instruments.
pub struct Measured {
    model: Arc<dyn Model>,
    meters: ModelMeters,
}

impl Measured {
    /// Counts the calls of a model.
    #[must_use]
    pub fn new(model: Arc<dyn Model>, meters: ModelMeters) -> Self {
        model.count_retries(&meters.retries);
        Self { model, meters }
    }
}

impl Model for Measured {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn is_demo(&self) -> bool {
        self.model.is_demo()
    }

    fn takes_images(&self, model: Option<&str>) -> bool {
        self.model.takes_images(model)
    }

    fn check(&self, model: Option<&str>) -> Result<(), ModelError> {
        self.model.check(model)
    }

    fn builtin_functions(&self, model: Option<&str>) -> Vec<Function> {
        self.model.builtin_functions(model)
    }

    fn meters(&self) -> Option<ModelMeters> {
        Some(self.meters.clone())
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        Box::pin(Timed {
            stream: self.model.call(request),
            meters: self.meters.clone(),
            begun: None,
            came: false,
        })
    }
}

/// One call. It begins when it is polled first, and ends when it is dropped.
struct Timed {
    stream: ModelStream,
    meters: ModelMeters,
    begun: Option<Instant>,
    came: bool,
}

impl Stream for Timed {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let begun = *this.begun.get_or_insert_with(|| {
            this.meters.calls.inc();
            this.meters.in_flight.inc();
            Instant::now()
        });
        let item = ready!(this.stream.as_mut().poll_next(context));
        match &item {
            Some(Ok(event)) => {
                if !this.came {
                    this.came = true;
                    this.meters.first_piece_seconds.observe(begun.elapsed().as_secs_f64());
                }
                if let ModelEvent::Usage { input, output, .. } = event {
                    this.meters.input_tokens.inc_by(*input);
                    this.meters.output_tokens.inc_by(*output);
                }
            }
            Some(Err(error)) => {
                let reason = error.kind();
                this.meters.errors.get_or_create(&ReasonLabel { reason }).inc();
            }
            None => {}
        }
        Poll::Ready(item)
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some(begun) = self.begun {
            self.meters.in_flight.dec();
            self.meters.seconds.observe(begun.elapsed().as_secs_f64());
        }
    }
}
