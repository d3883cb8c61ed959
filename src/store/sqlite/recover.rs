//! Reading the database at a start: one pass over its rows of events.
//!
//! It changes nothing: what is no longer wanted is noted, and removed by the writer in its time.

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;
use memchr::memchr_iter;
use rusqlite::Connection;

use super::writer::{Contents, Doomed, Known, Row};
use super::{SqliteOptions, schema};
use crate::hub::{AccountId, ChannelKey};
use crate::store::{KeptEvents, Recovered, RecoveredChannel, RecoveredRun, RunProgress, RunRecord};
use crate::wire::ChannelId;
use crate::wire::request::{RunStatus, WaitingOn};

/// Into how many ranges the rows of events are cut at most, to be read side by side, and how many rows one has at least.
const MOST_RANGES: usize = 4;
const SMALLEST_RANGE: i64 = 20_000;

/// A channel while its rows are being read.
struct Reading {
    channel: RecoveredChannel,
    known: Known,
    gathered: Gathered,
    /// Its run ended so long ago that it goes.
    forgotten: bool,
}

/// Reads everything; runs that ended before `forget_before` go with their events.
pub(super) fn read(
    connection: &Connection,
    options: &SqliteOptions,
    forget_before: u64,
) -> rusqlite::Result<(Recovered, Contents)> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    read_in(
        connection,
        options,
        forget_before,
        processors.min(MOST_RANGES),
        SMALLEST_RANGE,
    )
}

fn read_in(
    connection: &Connection,
    options: &SqliteOptions,
    forget_before: u64,
    most_ranges: usize,
    smallest_range: i64,
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
    // Each for itself it is looked up; the two together would be looked for in every row.
    let (first, last) = connection.query_row(
        "SELECT coalesce((SELECT min(seq) FROM events), 1), coalesce((SELECT max(seq) FROM events), 0)",
        [],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    )?;
    contents.next_seq = last + 1;
    let size = (last - first + 1) / i64::try_from(most_ranges).unwrap_or(1) + 1;
    let ranges = ranges(first, last, size.max(smallest_range));
    read_events(connection, &ranges, &places, &mut all, &mut contents)?;

    let mut recovered = Recovered::default();
    for mut reading in all {
        let Reading {
            channel,
            known,
            forgotten,
            ..
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
            gathered: Gathered::default(),
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

/// What some of the rows hold of one channel.
#[derive(Default)]
struct Gathered {
    events: KeptEvents,
    rows: Vec<Row>,
    /// Whether there is a hole, and the rows before the last one.
    hole: bool,
    given_up: Vec<Row>,
    /// The id of the first event in the first row, and the one that follows the last.
    first_id: u64,
    next_id: u64,
    last_event: u64,
}

impl Gathered {
    /// Gives up what came before a hole.
    fn give_up(&mut self) {
        tracing::warn!("a channel's events in the database have a hole: what is before it is given up");
        self.hole = true;
        self.given_up.append(&mut self.rows);
        self.events = KeptEvents::default();
    }

    /// Takes the next row; of what is `forgotten` the events are not wanted.
    fn take(&mut self, row: Row, first_id: u64, created_at: u64, lines: &[u8], forgotten: bool) {
        if self.rows.is_empty() && !self.hole {
            self.first_id = first_id;
        }
        let whole = memchr_iter(b'\n', lines).count() == row.count as usize;
        if !self.events.batches.is_empty() && self.next_id != first_id || !whole {
            self.give_up();
        }
        self.rows.push(row);
        self.next_id = first_id + u64::from(row.count);
        if forgotten || !whole {
            return;
        }
        if self.events.batches.is_empty() {
            self.events.first_id = first_id;
        }
        self.events.lines.extend_from_slice(lines);
        self.events.note(row.count, created_at);
        self.last_event = self.last_event.max(created_at);
    }

    /// Takes what later rows hold.
    fn extend(&mut self, mut later: Self) {
        if later.hole || (!self.events.batches.is_empty() && self.next_id != later.first_id) {
            self.give_up();
        }
        self.rows.append(&mut later.rows);
        self.given_up.append(&mut later.given_up);
        self.next_id = later.next_id;
        self.last_event = self.last_event.max(later.last_event);
        if self.events.batches.is_empty() {
            self.events = later.events;
            return;
        }
        self.events.lines.append(&mut later.events.lines);
        for (count, created_at) in later.events.batches {
            self.events.note(count, created_at);
        }
    }
}

impl KeptEvents {
    /// Notes events that were committed together.
    fn note(&mut self, count: u32, created_at: u64) {
        match self.batches.last_mut() {
            Some((known, at)) if *at == created_at => *known += count,
            _ => self.batches.push((count, created_at)),
        }
    }
}

/// What a range of rows holds, by the places of their channels.
struct Range {
    channels: Vec<Gathered>,
    /// Rows whose channels are gone: they were about to be removed.
    orphans: Vec<Row>,
    next_channel: i64,
}

/// The ranges of so many numbers that hold all from the first to the last; none when there is none.
fn ranges(first: i64, last: i64, size: i64) -> Vec<(i64, i64)> {
    let starts = (first..=last).step_by(usize::try_from(size).unwrap_or(usize::MAX));
    starts.map(|start| (start, start.saturating_add(size))).collect()
}

/// Reads rows of events, the ranges side by side: what takes time is taking rows apart.
fn read_events(
    connection: &Connection,
    ranges: &[(i64, i64)],
    places: &HashMap<i64, usize>,
    all: &mut [Reading],
    contents: &mut Contents,
) -> rusqlite::Result<()> {
    let forgotten: Vec<bool> = all.iter().map(|reading| reading.forgotten).collect();
    let read = |connection: &Connection, range: &(i64, i64)| read_range(connection, *range, places, &forgotten);
    let ranges: Vec<Range> = std::thread::scope(|scope| -> rusqlite::Result<_> {
        let mut others = Vec::new();
        for range in ranges.iter().skip(1) {
            let path = connection.path().map(PathBuf::from).unwrap_or_default();
            let read = &read;
            others.push(scope.spawn(move || read(&schema::reader(&path)?, range)));
        }
        let first = ranges.first().map(|range| read(connection, range));
        let others = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        first.into_iter().chain(others).collect()
    })?;

    for range in ranges {
        contents.next_channel = contents.next_channel.max(range.next_channel);
        // Nobody knows any more whether they were private.
        let orphans = range.orphans.into_iter().map(|row| Doomed { row, secure: true });
        contents.doomed.extend(orphans);
        for (reading, later) in all.iter_mut().zip(range.channels) {
            if !later.rows.is_empty() {
                reading.gathered.extend(later);
            }
        }
    }
    for reading in all {
        let gathered = std::mem::take(&mut reading.gathered);
        let secure = reading.known.private;
        let given_up = gathered.given_up.into_iter().map(|row| Doomed { row, secure });
        contents.doomed.extend(given_up);
        if !gathered.rows.is_empty() {
            reading.known.next_id = gathered.next_id;
        }
        for row in gathered.rows {
            reading.known.push(row);
        }
        reading.channel.events = gathered.events;
        reading.channel.last_event = reading.channel.last_event.max(gathered.last_event);
    }
    Ok(())
}

/// Reads the rows from one number up to another.
fn read_range(
    connection: &Connection,
    (start, end): (i64, i64),
    places: &HashMap<i64, usize>,
    forgotten: &[bool],
) -> rusqlite::Result<Range> {
    let mut range = Range {
        channels: Vec::new(),
        orphans: Vec::new(),
        next_channel: 1,
    };
    range.channels.resize_with(forgotten.len(), Gathered::default);
    let mut statement = connection.prepare(
        "SELECT seq, channel, first_id, count, created_at, lines FROM events WHERE seq >= ?1 AND seq < ?2 ORDER BY seq",
    )?;
    let mut rows = statement.query([start, end])?;
    while let Some(row) = rows.next()? {
        let (seq, id): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (first_id, count) = (unsigned(row.get(2)?), row.get::<_, u32>(3)?);
        let lines = schema::unveiled(row.get_ref(5)?.as_blob()?);
        range.next_channel = range.next_channel.max(id + 1);
        let kept = Row {
            seq,
            count,
            bytes: u32::try_from(lines.len()).unwrap_or(u32::MAX),
        };
        match places.get(&id) {
            Some(place) => {
                let created_at = unsigned(row.get(4)?);
                range.channels[*place].take(kept, first_id, created_at, lines, forgotten[*place]);
            }
            None => range.orphans.push(kept),
        }
    }
    Ok(range)
}

/// Nothing that is written is negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a start makes of a database, in a form that can be compared.
    fn seen(connection: &Connection, most_ranges: usize) -> (Recovered, String) {
        let options = SqliteOptions {
            events: 20,
            ..SqliteOptions::default()
        };
        let (recovered, contents) = read_in(connection, &options, 5, most_ranges, 1).expect("read");
        let mut channels: Vec<String> = contents.channels.values().map(|known| format!("{known:?}")).collect();
        channels.sort();
        let mut doomed: Vec<i64> = contents.doomed.iter().map(|doomed| doomed.row.seq).collect();
        doomed.sort_unstable();
        let rest = (
            channels,
            doomed,
            contents.gone,
            contents.next_channel,
            contents.next_seq,
        );
        (recovered, format!("{rest:?}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_does_not_matter_in_how_many_ranges_rows_are_read(
            // A channel, how many events a row has, whether it is damaged or behind a hole, when it was written.
            rows in proptest::collection::vec((1i64..6, 1u32..4, 0u8..20, 1i64..3), 0..40),
            ended in proptest::collection::vec(0i64..10, 5),
        ) {
            let home = tempfile::tempdir().expect("a directory");
            let connection = schema::open(&home.path().join("switchboard.db"), None).expect("opened");
            for (channel, ended_at) in (1i64..).zip(&ended).take(4) {
                connection
                    .execute("INSERT INTO channel VALUES (?1, 'a', ?2, 0, 0)", (channel, format!("0123456789abcdef{channel}")))
                    .expect("written");
                connection
                    .execute("INSERT INTO run VALUES (?1, zeroblob(32), '', '', 1, 0)", [channel])
                    .expect("written");
                connection
                    .execute("INSERT INTO progress VALUES (?1, 3, '[]', ?2, NULL, 0)", (channel, ended_at))
                    .expect("written");
            }
            let mut next = [0i64; 6];
            for (seq, (channel, count, odd, at)) in (3i64..).zip(&rows) {
                let next = &mut next[usize::try_from(*channel).expect("small")];
                *next += i64::from(*odd == 0);
                let lines = "x\n".repeat(*count as usize - usize::from(*odd == 1));
                connection
                    .execute(
                        "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                        (seq, channel, *next, count, at, lines.as_bytes()),
                    )
                    .expect("written");
                *next += i64::from(*count);
            }
            let whole = seen(&connection, 1);
            for ranges in [2, 3, 4, 50] {
                prop_assert_eq!(&seen(&connection, ranges), &whole, "{} ranges", ranges);
            }
        }
    }
}
