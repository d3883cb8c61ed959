//! The thread that owns the connection that writes: commits, and removing what is no longer retained.
//!
//! It knows which rows hold a channel's events, so that nothing has to be looked for on disk. What it knows changes
//! only when a commit has succeeded. How the database is read at a start is in `recover`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, Statement, params};
use tokio::sync::oneshot;

use super::checkpoint::Checkpointer;
use super::{SqliteOptions, recover, schema};
use crate::hub::ChannelKey;
use crate::store::{Recovered, RunProgress, StoreError, Transaction};
use crate::wire::request::RunStatus;

/// Rows and bytes that a transaction removes beside its work, and one that does nothing else.
const SLICE: Slice = Slice {
    rows: 64,
    bytes: 256 * 1024,
};
const IDLE_SLICE: Slice = Slice {
    rows: 1024,
    bytes: 4 * 1024 * 1024,
};
/// How long nothing is asked for before the thread removes something of its own accord, and how long at most while
/// that fails.
const IDLE: Duration = Duration::from_millis(20);
const LONGEST_IDLE: Duration = Duration::from_secs(5);
/// How often the write-ahead log is cut off at most to get rid of private texts in it, and how long a cut that did not
/// succeed waits.
const SCRUB_PAUSE: Duration = Duration::from_secs(2);

/// What the thread is asked for.
pub(super) enum Job {
    Commit(Arc<Transaction>, oneshot::Sender<Result<(), StoreError>>),
    Recover(u64, oneshot::Sender<Result<Recovered, StoreError>>),
    Setting(&'static str, oneshot::Sender<Result<String, StoreError>>),
    LimitPages(u32, oneshot::Sender<Result<(), StoreError>>),
    Close(oneshot::Sender<Result<(), StoreError>>),
}

#[derive(Clone, Copy)]
struct Slice {
    rows: usize,
    bytes: u64,
}

/// A row of events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) count: u32,
    pub(super) bytes: u32,
}

/// A row that is to go; with `secure` its bytes are overwritten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doomed {
    pub(super) row: Row,
    pub(super) secure: bool,
}

/// What is known of a channel on disk.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: i64,
    pub(super) private: bool,
    pub(super) next_id: u64,
    pub(super) rows: VecDeque<Row>,
    /// Events and bytes in those rows.
    pub(super) events: u64,
    pub(super) bytes: u64,
}

impl Known {
    pub(super) fn new(id: i64, private: bool) -> Self {
        Self {
            id,
            private,
            next_id: 0,
            rows: VecDeque::new(),
            events: 0,
            bytes: 0,
        }
    }

    pub(super) fn push(&mut self, row: Row) {
        self.events += u64::from(row.count);
        self.bytes += u64::from(row.bytes);
        self.rows.push_back(row);
    }

    /// Gives up the oldest rows that are over the bounds. A row goes when every event in it is: what readers saw and
    /// the hub retains is never less on disk.
    pub(super) fn trim(&mut self, options: &SqliteOptions, doomed: &mut VecDeque<Doomed>) {
        while let Some(oldest) = self.rows.front().copied() {
            let events = self.events - u64::from(oldest.count);
            let bytes = self.bytes - u64::from(oldest.bytes);
            if events < options.events && bytes < options.bytes {
                return;
            }
            (self.events, self.bytes) = (events, bytes);
            self.rows.pop_front();
            doomed.push_back(Doomed {
                row: oldest,
                secure: self.private,
            });
        }
    }

    /// Gives up every row.
    pub(super) fn give_up(&mut self, doomed: &mut VecDeque<Doomed>) {
        let secure = self.private;
        doomed.extend(self.rows.drain(..).map(|row| Doomed { row, secure }));
        (self.events, self.bytes) = (0, 0);
    }
}

/// What the thread knows of the database.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) channels: HashMap<ChannelKey, Known>,
    /// Channels of private runs that are not over: their texts are on disk.
    pub(super) secrets: HashSet<ChannelKey>,
    /// Rows of events that are to go.
    pub(super) doomed: VecDeque<Doomed>,
    /// Channels that are to go, by their numbers, with their runs; their rows of events are among the doomed.
    pub(super) gone: VecDeque<i64>,
    /// The numbers that the next channel and the next row of events get.
    pub(super) next_channel: i64,
    pub(super) next_seq: i64,
}

/// What changes in [`Contents`] when the commit has succeeded.
enum Change {
    Row(ChannelKey, Row, u64),
    /// Nothing of its events is kept, but how many there were.
    Emptied(ChannelKey, u64),
    Expired(ChannelKey),
}

struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    channel: Statement<'c>,
    run: Statement<'c>,
    order: Statement<'c>,
    progress: Statement<'c>,
    checkpoint: Statement<'c>,
    answer: Statement<'c>,
    events: Statement<'c>,
    remove_events: Statement<'c>,
    emptied: Statement<'c>,
    /// What a run needs to go on, then what is left of it, then its channel.
    remove_work: [Statement<'c>; 3],
    remove_run: [Statement<'c>; 3],
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |sql: &str| connection.prepare(sql);
        Ok(Self {
            begin: prepare("BEGIN IMMEDIATE")?,
            commit: prepare("COMMIT")?,
            rollback: prepare("ROLLBACK")?,
            channel: prepare("INSERT INTO channel VALUES (?1, ?2, ?3, 0, ?4)")?,
            run: prepare("REPLACE INTO run VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
            order: prepare("REPLACE INTO orders VALUES (?1, ?2)")?,
            progress: prepare("REPLACE INTO progress VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
            checkpoint: prepare("REPLACE INTO checkpoint VALUES (?1, ?2)")?,
            answer: prepare("INSERT OR IGNORE INTO answer VALUES (?1, ?2, ?3)")?,
            events: prepare("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
            remove_events: prepare("DELETE FROM events WHERE seq = ?1")?,
            emptied: prepare("UPDATE channel SET next_id = ?2, last_event = ?3 WHERE id = ?1")?,
            remove_work: [
                prepare("DELETE FROM orders WHERE channel = ?1")?,
                prepare("DELETE FROM checkpoint WHERE channel = ?1")?,
                prepare("DELETE FROM answer WHERE channel = ?1")?,
            ],
            remove_run: [
                prepare("DELETE FROM run WHERE channel = ?1")?,
                prepare("DELETE FROM progress WHERE channel = ?1")?,
                prepare("DELETE FROM channel WHERE id = ?1")?,
            ],
        })
    }

    /// Removes a channel and its run, but for the rows of its events.
    fn remove_channel(&mut self, id: i64) -> rusqlite::Result<()> {
        for statement in self.remove_work.iter_mut().chain(&mut self.remove_run) {
            statement.execute([id])?;
        }
        Ok(())
    }
}

/// Does what it is asked for until it is asked to close, or nobody can ask any more.
pub(super) fn run(mut connection: Connection, helper: Connection, options: SqliteOptions, queue: &Receiver<Job>) {
    let pages = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&pages);
    let hook = move |_: &mut Wal, pages: i32| {
        seen.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    };
    let prepared = connection
        .wal_hook(Some(hook))
        .and_then(|()| Statements::prepare(&connection));
    let statements = match prepared {
        Ok(statements) => statements,
        Err(error) => {
            tracing::error!(%error, "the database cannot be used");
            return;
        }
    };
    let mut writer = Writer {
        connection: &connection,
        statements,
        options,
        contents: Contents::default(),
        secure: false,
        scrub: None,
        idle: IDLE,
        pages,
        checkpointer: Checkpointer::start(helper),
    };
    loop {
        let job = if writer.has_chores() {
            queue.recv_timeout(writer.idle)
        } else {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        // Nobody to tell if an asker has gone.
        match job {
            Ok(Job::Commit(transaction, answer)) => {
                let result = writer.commit(&transaction);
                drop(transaction);
                drop(answer.send(result));
                writer.checkpoint_if_due();
                // Nobody waits for a quiet moment for ever.
                writer.scrub_if_due(SCRUB_PAUSE);
            }
            Ok(Job::Recover(forget_before, answer)) => {
                let recovered = recover::read(&connection, &options, forget_before);
                let recovered = recovered.map_err(|error| schema::failure(&error));
                drop(answer.send(recovered.map(|(recovered, contents)| {
                    writer.contents = contents;
                    // The server before may have gone between removing private texts and cutting off the log.
                    writer.scrub_soon();
                    recovered
                })));
            }
            Ok(Job::Setting(name, answer)) => drop(answer.send(setting(&connection, name))),
            Ok(Job::LimitPages(most, answer)) => {
                let limited = schema::limit_pages(&connection, most);
                drop(answer.send(limited.map_err(|error| schema::failure(&error))));
            }
            Ok(Job::Close(answer)) => {
                drop(answer.send(writer.close()));
                return;
            }
            Err(RecvTimeoutError::Timeout) => writer.chores(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn setting(connection: &Connection, name: &str) -> Result<String, StoreError> {
    let value = connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
    match value.map_err(|error| schema::failure(&error))? {
        rusqlite::types::Value::Text(text) => Ok(text),
        rusqlite::types::Value::Integer(number) => Ok(number.to_string()),
        other => Ok(format!("{other:?}")),
    }
}

struct Writer<'c> {
    connection: &'c Connection,
    statements: Statements<'c>,
    options: SqliteOptions,
    contents: Contents,
    /// Whether what is removed is overwritten now.
    secure: bool,
    /// How long nothing is asked for before something is removed: longer while that fails.
    idle: Duration,
    /// When the log may be cut off to get rid of what private runs left in it.
    scrub: Option<Instant>,
    /// Pages in the write-ahead log after the last commit.
    pages: Arc<AtomicU64>,
    checkpointer: Checkpointer,
}

impl Writer<'_> {
    fn commit(&mut self, transaction: &Transaction) -> Result<(), StoreError> {
        let result = self.try_commit(transaction).map_err(|error| schema::failure(&error));
        if result.is_err() {
            // It may have been rolled back already.
            let _ = self.statements.rollback.execute([]);
        }
        result
    }

    fn try_commit(&mut self, transaction: &Transaction) -> rusqlite::Result<()> {
        self.be_secure(transaction.queued.iter().any(|run| run.private))?;
        self.statements.begin.execute([])?;
        let mut plan = Plan {
            fresh: HashMap::new(),
            changes: Vec::new(),
            next_channel: self.contents.next_channel,
            next_seq: self.contents.next_seq,
        };
        self.write(transaction, &mut plan)?;
        let slice = Slice {
            rows: SLICE.rows + 2 * transaction.events.len(),
            bytes: SLICE.bytes
                + 2 * transaction
                    .events
                    .iter()
                    .map(|batch| batch.lines.len() as u64)
                    .sum::<u64>(),
        };
        let removed = self.remove(slice)?;
        self.statements.commit.execute([])?;
        self.forget_doomed(removed);
        self.adopt(plan);
        Ok(())
    }

    /// Has SQLite overwrite what is removed, or not: it does so as long as there are private texts.
    fn be_secure(&mut self, secure: bool) -> rusqlite::Result<()> {
        let contents = &self.contents;
        let secure = secure || !contents.secrets.is_empty() || contents.doomed.front().is_some_and(|row| row.secure);
        if secure != self.secure {
            let value = if secure { "ON" } else { "OFF" };
            self.connection
                .pragma_update_and_check(None, "secure_delete", value, |_| Ok(()))?;
            self.secure = secure;
        }
        Ok(())
    }

    fn write<'t>(&mut self, transaction: &'t Transaction, plan: &mut Plan<'t>) -> rusqlite::Result<()> {
        for key in &transaction.expired {
            let Some(known) = self.contents.channels.get(key) else {
                continue;
            };
            self.statements.remove_channel(known.id)?;
            plan.changes.push(Change::Expired(key.clone()));
        }
        for run in &transaction.queued {
            let (id, _) = self.channel(&run.key, run.private, run.created_at, plan)?;
            let title = if run.private { "" } else { run.title.as_str() };
            let created_at = signed(run.created_at);
            let digest = run.digest.as_slice();
            self.statements
                .run
                .execute(params![id, digest, title, run.model, created_at, run.private])?;
            let order = schema::veiled(run.private, &run.order);
            self.statements.order.execute(params![id, &order[..]])?;
            self.write_progress(id, &run.progress)?;
        }
        let over = |key: &ChannelKey| {
            let progress = transaction.progress.iter().find(|(known, _)| known == key);
            progress.is_some_and(|(_, progress)| progress.is_over())
        };
        for batch in &transaction.events {
            let (id, private) = self.channel(&batch.key, false, batch.created_at, plan)?;
            if private && over(&batch.key) {
                // The run's last events: what follows removes those before them.
                continue;
            }
            let seq = plan.next_seq;
            plan.next_seq += 1;
            let (first, created_at) = (signed(batch.first_id), signed(batch.created_at));
            let lines = schema::veiled(private, &batch.lines);
            self.statements
                .events
                .execute(params![seq, id, first, batch.count, created_at, &lines[..]])?;
            let row = Row {
                seq,
                count: batch.count,
                bytes: u32::try_from(batch.lines.len()).unwrap_or(u32::MAX),
            };
            let next_id = batch.first_id + u64::from(batch.count);
            plan.changes.push(Change::Row(batch.key.clone(), row, next_id));
        }
        for (key, state) in &transaction.checkpoints {
            let (id, private) = self.channel(key, false, 0, plan)?;
            let state = schema::veiled(private, state);
            self.statements.checkpoint.execute(params![id, &state[..]])?;
        }
        for answer in &transaction.answers {
            let (id, private) = self.channel(&answer.run, false, 0, plan)?;
            let message = schema::veiled(private, &answer.message);
            self.statements.answer.execute(params![id, answer.call, &message[..]])?;
        }
        for (key, progress) in &transaction.progress {
            let (id, private) = self.channel(key, false, 0, plan)?;
            self.write_progress(id, progress)?;
            if progress.is_over() {
                for statement in &mut self.statements.remove_work {
                    statement.execute([id])?;
                }
            }
            if private && progress.is_over() {
                let last = transaction.events.iter().find(|batch| batch.key == *key);
                let known = self.contents.channels.get(key).map_or(0, |known| known.next_id);
                let next_id = last.map_or(known, |batch| batch.first_id + u64::from(batch.count));
                let ended = progress.ended_at.map_or(0, signed);
                self.statements.emptied.execute(params![id, signed(next_id), ended])?;
                plan.changes.push(Change::Emptied(key.clone(), next_id));
            }
        }
        Ok(())
    }

    /// The number of a channel, which gets one if it has none, and whether its run is private.
    fn channel<'t>(
        &mut self,
        key: &'t ChannelKey,
        private: bool,
        created_at: u64,
        plan: &mut Plan<'t>,
    ) -> rusqlite::Result<(i64, bool)> {
        if let Some(known) = self.contents.channels.get(key) {
            return Ok((known.id, known.private));
        }
        if let Some(known) = plan.fresh.get(key) {
            return Ok(*known);
        }
        let id = plan.next_channel;
        plan.next_channel += 1;
        self.statements.channel.execute(params![
            id,
            key.account.as_str(),
            key.channel.as_str(),
            signed(created_at)
        ])?;
        plan.fresh.insert(key, (id, private));
        Ok((id, private))
    }

    fn write_progress(&mut self, id: i64, progress: &RunProgress) -> rusqlite::Result<()> {
        let status = match progress.status {
            RunStatus::Queued => 0,
            RunStatus::Running => 1,
            RunStatus::Waiting => 2,
            RunStatus::Ended => 3,
            RunStatus::Failed => 4,
        };
        // Plain data: it has a JSON form.
        let waiting = if progress.waiting.is_empty() {
            "[]".to_owned()
        } else {
            serde_json::to_string(&progress.waiting).unwrap_or_default()
        };
        self.statements
            .progress
            .execute(params![
                id,
                status,
                waiting,
                progress.ended_at.map(signed),
                progress.end_reason,
                progress.restarts
            ])
            .map(drop)
    }

    /// Removes rows that are no longer retained, so many and no more; gives how many went.
    fn remove(&mut self, slice: Slice) -> rusqlite::Result<usize> {
        let (mut removed, mut bytes) = (0, 0);
        for doomed in &self.contents.doomed {
            // Others do not pay for what private ones need.
            if removed >= slice.rows || bytes >= slice.bytes || (doomed.secure && !self.secure) {
                break;
            }
            self.statements.remove_events.execute([doomed.row.seq])?;
            removed += 1;
            bytes += u64::from(doomed.row.bytes);
        }
        Ok(removed)
    }

    /// Rows are removed: private ones are still in the log.
    fn forget_doomed(&mut self, removed: usize) {
        if self.contents.doomed.drain(..removed).any(|doomed| doomed.secure) {
            self.scrub_soon();
        }
    }

    fn scrub_soon(&mut self) {
        self.scrub.get_or_insert_with(|| Instant::now() + IDLE);
    }

    fn adopt(&mut self, plan: Plan<'_>) {
        let contents = &mut self.contents;
        contents.next_channel = plan.next_channel;
        contents.next_seq = plan.next_seq;
        for (key, (id, private)) in plan.fresh {
            contents.channels.insert(key.clone(), Known::new(id, private));
            if private {
                contents.secrets.insert(key.clone());
            }
        }
        let secrets = contents.secrets.len();
        for change in plan.changes {
            match change {
                Change::Row(key, row, next_id) => {
                    if let Some(known) = contents.channels.get_mut(&key) {
                        known.push(row);
                        known.next_id = next_id;
                        known.trim(&self.options, &mut contents.doomed);
                    }
                }
                Change::Emptied(key, next_id) => {
                    contents.secrets.remove(&key);
                    if let Some(known) = contents.channels.get_mut(&key) {
                        known.next_id = next_id;
                        known.give_up(&mut contents.doomed);
                    }
                }
                Change::Expired(key) => {
                    contents.secrets.remove(&key);
                    if let Some(mut known) = contents.channels.remove(&key) {
                        known.give_up(&mut contents.doomed);
                    }
                }
            }
        }
        if contents.secrets.len() < secrets {
            self.scrub_soon();
        }
    }

    fn has_chores(&self) -> bool {
        !self.contents.doomed.is_empty() || !self.contents.gone.is_empty() || self.scrub.is_some()
    }

    /// What is done while nothing else is asked for.
    fn chores(&mut self) {
        if !self.contents.doomed.is_empty() || !self.contents.gone.is_empty() {
            let removed = self.try_remove();
            if let Err(error) = removed {
                let _ = self.statements.rollback.execute([]);
                if self.idle == IDLE {
                    tracing::warn!(%error, "what is no longer retained cannot be removed yet");
                }
                self.idle = (self.idle * 2).min(LONGEST_IDLE);
            } else {
                self.idle = IDLE;
            }
            self.checkpoint_if_due();
        } else {
            self.scrub_if_due(Duration::ZERO);
        }
    }

    /// Cuts off the log if that has been due for so long.
    fn scrub_if_due(&mut self, since: Duration) {
        if self.scrub.is_none_or(|due| due + since > Instant::now()) {
            return;
        }
        let cut = self
            .connection
            .wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE);
        self.scrub = match cut {
            Ok(_) => None,
            Err(_) => Some(Instant::now() + SCRUB_PAUSE),
        };
    }

    fn try_remove(&mut self) -> rusqlite::Result<()> {
        self.be_secure(false)?;
        self.statements.begin.execute([])?;
        let removed = self.remove(IDLE_SLICE)?;
        let channels = self.contents.gone.len().min(SLICE.rows);
        for id in self.contents.gone.iter().take(channels) {
            self.statements.remove_channel(*id)?;
        }
        self.statements.commit.execute([])?;
        self.forget_doomed(removed);
        self.contents.gone.drain(..channels);
        Ok(())
    }

    fn checkpoint_if_due(&mut self) {
        if self.checkpointer.take_done() {
            // What was written meanwhile is little: with it the log begins anew at the next commit.
            if let Err(error) = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
                tracing::warn!(%error, "the write-ahead log could not be moved into the database yet");
            }
        }
        self.checkpointer.ask_if_due(self.pages.load(Ordering::Relaxed));
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.checkpointer.stop();
        self.connection
            .wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE)
            .map(drop)
            .map_err(|error| schema::failure(&error))
    }
}

/// What a transaction is about to change.
struct Plan<'t> {
    /// New channels: their numbers, and whether their runs are private.
    fresh: HashMap<&'t ChannelKey, (i64, bool)>,
    changes: Vec<Change>,
    next_channel: i64,
    next_seq: i64,
}

/// SQLite's integers have a sign; nothing here comes near their end.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
