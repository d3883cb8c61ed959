//! A thread of its own for feeds: what arrives on hundreds of connections wakes nobody who waits for keys.
//!
//! While much arrives, the thread looks for it only every few milliseconds: the kernel gathers what came on all
//! connections meanwhile, and a hundred small packets are one wake-up. After a silence the next one is seen at once.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};

use super::supervisor::Arrival;

/// The least time between two looks at the connections.
const LOOK_EVERY: Duration = Duration::from_millis(4);

thread_local! {
    /// When the thread looked at its connections last.
    static LOOKED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The thread. Dropping it ends it, and what runs on it.
#[derive(Debug)]
#[must_use]
pub struct FeedThread {
    handle: Handle,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl FeedThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(rest)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new().name("feeds".to_owned()).spawn(move || {
            // It is never sent, only dropped.
            let _ = runtime.block_on(stopped);
            // What blocks (a name that is looked up) is left to itself: nobody waits for it at the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _stop: stop })
    }

    /// What spawns tasks on it.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A queue of so many arrivals whose contents go on to `out`, all that came with one look together: the thread on
    /// its other side wakes once for them.
    #[must_use]
    pub fn gather(&self, out: mpsc::Sender<Arrival>, room: usize) -> mpsc::Sender<Arrival> {
        let (sender, mut gathered) = mpsc::channel(room);
        self.handle.spawn(async move {
            while let Some(first) = gathered.recv().await {
                // The other feeds that have something come before this task again.
                tokio::task::yield_now().await;
                let mut next = Some(first);
                while let Some(arrival) = next {
                    if out.send(arrival).await.is_err() {
                        return;
                    }
                    next = gathered.try_recv().ok();
                }
            }
        });
        sender
    }
}

/// Before the thread waits for its connections again.
fn rest() {
    LOOKED_AT.with(|looked_at| {
        if let Some(wait) = looked_at.get().and_then(|at| LOOK_EVERY.checked_sub(at.elapsed())) {
            std::thread::sleep(wait);
        }
        looked_at.set(Some(Instant::now()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::FeedBatch;

    fn arrival(generation: u64) -> Arrival {
        Arrival {
            channel: super::super::mint_channel_id(),
            generation,
            batch: FeedBatch::default(),
        }
    }

    #[tokio::test]
    async fn what_runs_on_it_runs_elsewhere_and_ends_with_it() {
        let feeds = FeedThread::start().expect("a thread");
        let here = std::thread::current().id();
        let there = feeds.handle().spawn(async { std::thread::current().id() });
        assert_ne!(there.await.expect("it ran"), here);
        let endless = feeds.handle().spawn(std::future::pending::<()>());
        drop(feeds);
        assert!(endless.await.is_err_and(|error| error.is_cancelled()));
    }

    #[tokio::test]
    async fn what_is_gathered_keeps_its_order_and_loses_nothing() {
        let feeds = FeedThread::start().expect("a thread");
        let (out, mut arrivals) = mpsc::channel(2);
        let gather = feeds.gather(out, 4);
        feeds.handle().spawn(async move {
            for generation in 0..100 {
                gather.send(arrival(generation)).await.expect("taken");
            }
        });
        for generation in 0..100 {
            assert_eq!(arrivals.recv().await.expect("it comes").generation, generation);
        }
        assert!(arrivals.recv().await.is_none(), "it ends with the last sender");
    }
}
