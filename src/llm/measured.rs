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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Registry;

    use super::*;

    /// Says something after a second, and fails after another one.
    struct Failing;

    impl Model for Failing {
        fn name(&self) -> &str {
            "failing"
        }

        fn call(&self, _: ModelRequest) -> ModelStream {
            let items = [
                Ok(ModelEvent::Usage {
                    model: "m".into(),
                    input: 7,
                    output: 5,
                }),
                Err(ModelError::Cut { url: "u".into() }),
            ];
            Box::pin(futures::stream::iter(items).then(|item| async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                item
            }))
        }
    }

    fn shown(histogram: &Histogram) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("times", "Times", histogram.clone());
        encode(&mut text, &registry).expect("a text");
        text
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_counted_and_timed() {
        let meters = ModelMeters::default();
        let model = Measured::new(Arc::new(Failing), meters.clone());
        drop(model.call(ModelRequest::default()));
        assert_eq!(meters.calls.get(), 0, "nothing happens before it is polled");
        let mut call = model.call(ModelRequest::default());
        assert!(matches!(call.next().await, Some(Ok(_))));
        assert_eq!((meters.calls.get(), meters.in_flight.get()), (1, 1));
        assert!(matches!(call.next().await, Some(Err(_))));
        drop(call);
        assert_eq!(meters.in_flight.get(), 0);
        assert!(shown(&meters.first_piece_seconds).contains("_sum 1.0\n"));
        assert!(shown(&meters.seconds).contains("_sum 2.0\n"));
        assert_eq!((meters.input_tokens.get(), meters.output_tokens.get()), (7, 5));
        assert_eq!(meters.errors.get_or_create(&ReasonLabel { reason: "cut" }).get(), 1);
        // One that is given up is over too.
        let mut call = model.call(ModelRequest::default());
        let _ = call.next().await;
        drop(call);
        assert!(shown(&meters.seconds).contains("_count 2\n"));
        assert_eq!(meters.in_flight.get(), 0);
    }
}
