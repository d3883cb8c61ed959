//! Runs and their events in an SQLite database.
//!
//! One thread owns the connection that writes. It takes a transaction whole, commits it with one sync of the
//! write-ahead log (`synchronous = FULL`), and answers; between transactions it removes what is no longer
//! retained, in small slices. A second thread moves the log's pages into the database beside it, so that no commit
//! waits for that. It decides nothing about runs, and wakes no reader.

mod checkpoint;
mod recover;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Recovered, Store, StoreError, Transaction};
use writer::Job;

/// The database's name in the data directory.
const FILE: &str = "switchboard.db";

/// The bounds of a [`SqliteStore`].
#[derive(Debug, Clone, Copy)]
pub struct SqliteOptions {
    /// How many events are kept of a channel.
    pub events: u64,
    /// How many bytes of events are kept of a channel.
    pub bytes: u64,
    /// The largest size of the database in pages; for tests of a full disk.
    pub most_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            events: 10_000,
            bytes: 64 * 1024 * 1024,
            most_pages: None,
        }
    }
}

/// A [`Store`] in a file. Dropping it ends its threads and waits for them, so that the file can be opened again; what
/// was committed stays.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// `None` when it is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the database in a data directory, which must exist and be this process's alone; it is made, or brought
    /// to this version's form, when that is needed.
    ///
    /// # Errors
    /// When the file cannot be used: it is no database, another program's, or a newer version's.
    pub fn open(dir: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = Self::file(dir);
        let connection = schema::open(&path, options.most_pages)?;
        let helper = schema::connect(&path)?;
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer::run(connection, helper, options, &queue))
            .map_err(|error| StoreError::Disk(format!("the store's thread cannot be started: {error}")))?;
        Ok(Self {
            path,
            jobs: Some(jobs),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The database in a data directory.
    #[must_use]
    pub fn file(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// The value of a setting (an SQLite pragma) of the connection that writes.
    ///
    /// # Errors
    /// When there is no such setting.
    pub async fn setting(&self, name: &'static str) -> Result<String, StoreError> {
        self.ask(|answer| Job::Setting(name, answer)).await
    }

    /// Bounds the size of the database from now on, in pages; a store that has reached it is full.
    ///
    /// # Errors
    /// When the store has ended.
    pub async fn limit_pages(&self, most: u32) -> Result<(), StoreError> {
        self.ask(|answer| Job::LimitPages(most, answer)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let ended = || StoreError::Unusable("the thread that writes to the database has ended".to_owned());
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(job(answer)).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, transaction: Arc<Transaction>) -> Result<(), StoreError> {
        self.ask(|answer| Job::Commit(transaction, answer)).await
    }

    async fn recover(&self, forget_before: u64) -> Result<Recovered, StoreError> {
        self.ask(|answer| Job::Recover(forget_before, answer)).await
    }

    fn stored_bytes(&self) -> Option<u64> {
        let size = |path: &Path| std::fs::metadata(path).map(|file| file.len());
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        Some(size(&self.path).ok()? + size(Path::new(&log)).unwrap_or(0))
    }

    async fn close(&self) {
        if let Err(error) = self.ask(Job::Close).await {
            tracing::warn!(%error, "the database could not be put in order; the next start does it");
        }
        self.join();
    }
}

impl SqliteStore {
    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there is in the log already.
            let _ = thread.join();
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.jobs = None;
        self.join();
    }
}
