//! Frames on their way to the terminal: one write each, from a thread of their own.
//!
//! A terminal that takes its time (a slow line, a paused window) holds up that thread and not the loop: keys,
//! feeds and signals go on, and frames that nobody could have seen are never drawn. It does not draw.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The thread that writes frames, one at a time.
#[derive(Debug)]
pub struct FrameWriter {
    frames: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    busy: AtomicBool,
    idle: Notify,
    failure: Mutex<Option<io::Error>>,
}

impl FrameWriter {
    /// Starts the thread. `write` takes one frame whole and says when the terminal is gone.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(mut write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (frames, queue) = sync_channel::<Vec<u8>>(1);
        let shared = Arc::new(Shared::default());
        let thread_shared = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("terminal-output".into())
            .spawn(move || {
                while let Ok(frame) = queue.recv() {
                    if let Err(error) = write(&frame) {
                        *thread_shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                    thread_shared.busy.store(false, Ordering::SeqCst);
                    thread_shared.idle.notify_one();
                }
            })?;
        Ok(Self { frames, shared })
    }

    /// Hands over a frame. It waits only if the frame before is still being written, see [`FrameWriter::is_busy`].
    ///
    /// # Errors
    /// When an earlier frame could not be written: the terminal is gone.
    pub fn send(&self, frame: Vec<u8>) -> io::Result<()> {
        self.failure()?;
        self.shared.busy.store(true, Ordering::SeqCst);
        self.frames.send(frame).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Whether a frame is being written.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.shared.busy.load(Ordering::SeqCst)
    }

    /// Waits until no frame is being written. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When a frame could not be written: the terminal is gone.
    pub async fn idle(&self) -> io::Result<()> {
        while self.is_busy() {
            self.shared.idle.notified().await;
        }
        self.failure()
    }

    fn failure(&self) -> io::Result<()> {
        let failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match &*failure {
            Some(error) => Err(error.kind().into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn a_frame_is_written_whole_and_the_loop_does_not_wait_for_it() {
        let (seen, frames) = channel();
        let (go, gate) = channel::<()>();
        let writer = FrameWriter::start(move |frame| {
            gate.recv().expect("the test opens the gate");
            seen.send(frame.to_vec()).expect("the test reads");
            Ok(())
        })
        .expect("a thread starts");
        assert!(!writer.is_busy());
        writer.send(b"frame one".to_vec()).expect("nothing failed yet");
        assert!(writer.is_busy());
        go.send(()).expect("the thread lives");
        writer.idle().await.expect("it was written");
        assert!(!writer.is_busy());
        assert_eq!(frames.recv().expect("it was seen"), b"frame one");
    }

    #[tokio::test]
    async fn a_terminal_that_is_gone_is_told() {
        let writer = FrameWriter::start(|_| Err(io::ErrorKind::BrokenPipe.into())).expect("a thread starts");
        writer.send(b"frame".to_vec()).expect("nothing failed yet");
        assert_eq!(
            writer.idle().await.expect_err("it failed").kind(),
            io::ErrorKind::BrokenPipe
        );
        assert!(writer.send(b"more".to_vec()).is_err());
    }
}
