//! One reader of a channel: a position in its log, read as a stream of whole lines.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;

use super::log::{ReaderId, Step};
use super::memory::{Channel, Shared};

/// Reads a channel until the hub stops, or until lines were lost that it cannot be told of.
pub(super) struct Cursor {
    pub(super) shared: Arc<Shared>,
    pub(super) channel: Arc<Channel>,
    pub(super) reader: ReaderId,
}

impl Stream for Cursor {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.channel.lock().log.read(self.reader, Some(context.waker())) {
            Step::Lines(lines) => {
                let meters = &self.shared.meters;
                meters.deliveries.inc();
                meters.delivered_bytes.inc_by(lines.len() as u64);
                Poll::Ready(Some(lines))
            }
            Step::Idle if self.shared.stopped.load(Ordering::Acquire) => Poll::Ready(None),
            Step::Idle => Poll::Pending,
            Step::Overrun(overrun) => {
                self.shared.meters.overruns.inc();
                if let Some(unsaid) = self.shared.said.happened() {
                    let channel = self.channel.key.channel.short();
                    tracing::warn!(%channel, ?overrun, unsaid, "a reader was too slow and is disconnected");
                }
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let unused = {
            let mut state = self.channel.lock();
            state.log.close(self.reader);
            state.is_unused()
        };
        if unused {
            self.shared.remove_if_unused(&self.channel.key);
        }
    }
}
