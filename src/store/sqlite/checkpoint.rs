//! The thread that moves pages from the write-ahead log into the database, beside the commits.
//!
//! It never removes anything, and is never waited for except at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

/// The log is moved when it has so many pages (of 4 KiB).
const DUE: u64 = 4096;

/// Asks the thread, and ends it.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wanted: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Set while the thread has been asked and has not finished.
    busy: Arc<AtomicBool>,
    /// Set when everything that was in the log is in the database.
    done: Arc<AtomicBool>,
}

impl Checkpointer {
    /// Starts the thread with a connection of its own.
    pub(super) fn start(connection: Connection) -> Self {
        let (wanted, queue) = sync_channel::<()>(1);
        let (busy, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_busy, is_done) = (Arc::clone(&busy), Arc::clone(&done));
        let work = move || {
            while queue.recv().is_ok() {
                match connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
                    Ok((all, moved)) => is_done.store(all == moved, Ordering::Release),
                    Err(error) => {
                        tracing::warn!(%error, "the write-ahead log could not be moved into the database yet");
                    }
                }
                is_busy.store(false, Ordering::Release);
            }
        };
        let thread = std::thread::Builder::new().name("store-log".to_owned()).spawn(work);
        if let Err(error) = &thread {
            tracing::error!(%error, "no thread for the write-ahead log can be started: it grows until the server ends");
        }
        Self {
            wanted: Some(wanted),
            thread: thread.ok(),
            busy,
            done,
        }
    }

    /// Has the log of so many pages moved if it has become long.
    pub(super) fn ask_if_due(&self, pages: u64) {
        if pages < DUE || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let asked = self.wanted.as_ref().is_some_and(|wanted| wanted.try_send(()).is_ok());
        if !asked {
            self.busy.store(false, Ordering::Release);
        }
    }

    /// Whether everything that was in the log when it was last moved is in the database now; said once.
    pub(super) fn take_done(&self) -> bool {
        self.done.swap(false, Ordering::AcqRel)
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            // A panic there is in the log already.
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop();
    }
}
