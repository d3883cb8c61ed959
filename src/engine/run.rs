//! One run.

use tokio_util::sync::CancellationToken;

use super::{Answers, Engine, EventSink, SinkClosed};
use crate::wire::{CompleteRequest, EventKind};

pub(super) struct Run<'a, S> {
    sink: &'a S,
}

impl<'a, S: EventSink> Run<'a, S> {
    pub(super) fn new<A: Answers>(_: &Engine, _: &CompleteRequest, sink: &'a S, _: &A, _: &CancellationToken) -> Self {
        Self { sink }
    }

    pub(super) async fn drive(self) -> Result<(), SinkClosed> {
        self.sink.emit(EventKind::Result(Box::default()).into()).await
    }
}
