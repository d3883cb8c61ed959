//! Reading the database at a start: one pass over its rows of events.
//!
//! It changes nothing: what is no longer wanted is noted, and removed by the writer in its time.

use std::collections::HashMap;

use bytes::Bytes;
use memchr::memchr_iter;
use rusqlite::Connection;

use super::writer::{Contents, Doomed, Known, Row};
use super::{SqliteOptions, schema};
use crate::hub::{AccountId, ChannelKey};
use crate::store::{KeptEvents, Recovered, RecoveredChannel, RecoveredRun, RunProgress, RunRecord};
use crate::wire::ChannelId;
use crate::wire::request::{RunStatus, WaitingOn};

/// A channel while its rows are being read.
struct Reading {
    channel: RecoveredChannel,
    known: Known,
    /// Its run ended so long ago that it goes.
    forgotten: bool,
}

/// Reads everything; runs that ended before `forget_before` go with their events.
pub(super) fn read(
    connection: &Connection,
    options: &SqliteOptions,
    forget_before: u64,
) -> rusqlite::Result<(Recovered, Contents)> {
    let mut contents = Contents {
        next_channel: 1,
        next_seq: 1,
        ..Contents::default()
    };
    let mut places: HashMap<i64, usize> = HashMap::new();
    let mut all: Vec<Reading> = Vec::new();
    for channel in channels(connection)? {
        let id = channel.known.id;
        contents.next_channel = contents.next_channel.max(id + 1);
        places.insert(id, all.len());
        all.push(channel);
    }
    for (id, run) in runs(connection, |id| {
        places.get(&id).map(|place| all[*place].channel.key.clone())
    })? {
        let Some(reading) = places.get(&id).and_then(|place| all.get_mut(*place)) else {
            continue;
        };
        reading.known.private = run.record.private;
        let over = run.record.progress.is_over();
        let ended_at = run.record.progress.ended_at.unwrap_or(run.record.created_at);
        reading.forgotten = over && ended_at < forget_before;
        reading.channel.last_event = reading.channel.last_event.max(ended_at).max(run.record.created_at);
        reading.channel.run = Some(run);
    }
    read_events(connection, &places, &mut all, &mut contents)?;

    let mut recovered = Recovered::default();
    for mut reading in all {
        let Reading {
            channel,
            known,
            forgotten,
        } = &mut reading;
        let empty = channel.run.is_none() && channel.events.batches.is_empty();
        if *forgotten || empty {
            contents.gone.push_back(known.id);
            known.give_up(&mut contents.doomed);
            continue;
        }
        let over = channel.run.as_ref().is_some_and(|run| run.record.progress.is_over());
        if known.private && over {
            known.give_up(&mut contents.doomed);
            channel.events = KeptEvents::default();
        } else if known.private {
            contents.secrets.insert(channel.key.clone());
        }
        known.next_id = known.next_id.max(channel.next_id);
        channel.next_id = known.next_id;
        if channel.events.batches.is_empty() {
            channel.events.first_id = channel.next_id;
        }
        known.trim(options, &mut contents.doomed);
        let older = contents.channels.insert(channel.key.clone(), reading.known);
        if let Some(mut older) = older {
            // It began anew while the one before it was being removed.
            contents.gone.push_back(older.id);
            older.give_up(&mut contents.doomed);
            recovered.channels.retain(|known| known.key != reading.channel.key);
        }
        recovered.channels.push(reading.channel);
    }
    Ok((recovered, contents))
}

fn channels(connection: &Connection) -> rusqlite::Result<Vec<Reading>> {
    let mut statement = connection.prepare("SELECT id, account, name, next_id, last_event FROM channel ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(2)?;
        let Ok(channel) = ChannelId::parse(&name) else {
            tracing::warn!("a channel in the database has a name that is none and is passed over");
            continue;
        };
        let account: String = row.get(1)?;
        let key = ChannelKey {
            account: AccountId::new(account),
            channel,
        };
        all.push(Reading {
            channel: RecoveredChannel {
                key,
                run: None,
                next_id: unsigned(row.get(3)?),
                last_event: unsigned(row.get(4)?),
                events: KeptEvents::default(),
            },
            known: Known::new(row.get(0)?, false),
            forgotten: false,
        });
    }
    Ok(all)
}

/// The runs by the numbers of their channels; `key` knows their names.
fn runs(
    connection: &Connection,
    key: impl Fn(i64) -> Option<ChannelKey>,
) -> rusqlite::Result<Vec<(i64, RecoveredRun)>> {
    let mut statement = connection.prepare(
        "SELECT run.channel, digest, title, model, created_at, private,
                status, waiting, ended_at, end_reason, restarts, body, state
         FROM run JOIN progress USING (channel) LEFT JOIN orders USING (channel) LEFT JOIN checkpoint USING (channel)",
    )?;
    let mut answers = answers(connection)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let Some(key) = key(id) else { continue };
        let digest: Vec<u8> = row.get(1)?;
        let waiting: String = row.get(7)?;
        let waiting: Vec<WaitingOn> = serde_json::from_str(&waiting).unwrap_or_default();
        let record = RunRecord {
            key,
            order: text(row.get_ref(11)?.as_blob_or_null()?).unwrap_or_default(),
            digest: digest.try_into().unwrap_or([0; 32]),
            title: row.get(2)?,
            model: row.get(3)?,
            created_at: unsigned(row.get(4)?),
            private: row.get(5)?,
            progress: RunProgress {
                status: match row.get::<_, i64>(6)? {
                    0 => RunStatus::Queued,
                    2 => RunStatus::Waiting,
                    3 => RunStatus::Ended,
                    4 => RunStatus::Failed,
                    _ => RunStatus::Running,
                },
                waiting,
                ended_at: row.get::<_, Option<i64>>(8)?.map(unsigned),
                end_reason: row.get(9)?,
                restarts: row.get(10)?,
            },
        };
        let run = RecoveredRun {
            record,
            checkpoint: text(row.get_ref(12)?.as_blob_or_null()?),
            answers: answers.remove(&id).unwrap_or_default(),
        };
        all.push((id, run));
    }
    Ok(all)
}

/// A text that may have been kept.
fn text(written: Option<&[u8]>) -> Option<Bytes> {
    written.map(|written| Bytes::copy_from_slice(schema::unveiled(written)))
}

type Answers = HashMap<i64, Vec<(String, Bytes)>>;

fn answers(connection: &Connection) -> rusqlite::Result<Answers> {
    let mut statement = connection.prepare("SELECT channel, call, message FROM answer")?;
    let mut rows = statement.query([])?;
    let mut all = Answers::new();
    while let Some(row) = rows.next()? {
        let message = Bytes::copy_from_slice(schema::unveiled(row.get_ref(2)?.as_blob()?));
        let answer = (row.get(1)?, message);
        all.entry(row.get(0)?).or_default().push(answer);
    }
    Ok(all)
}

fn read_events(
    connection: &Connection,
    places: &HashMap<i64, usize>,
    all: &mut [Reading],
    contents: &mut Contents,
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare("SELECT seq, channel, first_id, count, created_at, lines FROM events ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, id): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (first_id, count) = (unsigned(row.get(2)?), row.get::<_, u32>(3)?);
        let lines = schema::unveiled(row.get_ref(5)?.as_blob()?);
        contents.next_seq = contents.next_seq.max(seq + 1);
        contents.next_channel = contents.next_channel.max(id + 1);
        let kept = Row {
            seq,
            count,
            bytes: u32::try_from(lines.len()).unwrap_or(u32::MAX),
        };
        let Some(reading) = places.get(&id).and_then(|place| all.get_mut(*place)) else {
            // Its channel is gone and it was about to be removed. Nobody knows any more whether it was private.
            contents.doomed.push_back(Doomed {
                row: kept,
                secure: true,
            });
            continue;
        };
        let (channel, known) = (&mut reading.channel, &mut reading.known);
        let whole = memchr_iter(b'\n', lines).count() == count as usize;
        if !channel.events.batches.is_empty() && known.next_id != first_id || !whole {
            tracing::warn!("a channel's events in the database have a hole: what is before it is given up");
            known.give_up(&mut contents.doomed);
            channel.events = KeptEvents::default();
        }
        known.push(kept);
        known.next_id = first_id + u64::from(count);
        if reading.forgotten || !whole {
            continue;
        }
        let created_at = unsigned(row.get(4)?);
        if channel.events.batches.is_empty() {
            channel.events.first_id = first_id;
        }
        channel.events.lines.extend_from_slice(lines);
        match channel.events.batches.last_mut() {
            Some((known, at)) if *at == created_at => *known += count,
            _ => channel.events.batches.push((count, created_at)),
        }
        channel.last_event = channel.last_event.max(created_at);
    }
    Ok(())
}

/// Nothing that is written is negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
