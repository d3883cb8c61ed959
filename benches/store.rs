//! How many events a second are made durable, and how long a restart takes: the whole way through the hub and SQLite
//! with `synchronous=FULL`, without HTTP.
//!
//! `cargo bench --bench store -- --seconds 30` measures; without `--seconds` it only shows that it works. `--channels N`
//! and `--bytes N` change the load (100 channels, events of 100 bytes), `--alone` sends an event only when the one
//! before it is durable, `--dir DIR` puts the database somewhere else than beside the build.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use switchboard::hub::{AccountId, Append, ChannelKey, Hub, HubOptions, MemoryHub, Start};
use switchboard::store::{RunProgress, RunRecord, SqliteOptions, SqliteStore, Store};
use switchboard::wire::ChannelId;

struct Load {
    seconds: f64,
    channels: u8,
    bytes: usize,
    alone: bool,
    dir: PathBuf,
}

impl Load {
    /// Reads the arguments; those that a benchmark's harness would take are passed over.
    fn from_arguments() -> Self {
        let mut load = Self {
            seconds: 0.2,
            channels: 100,
            bytes: 100,
            alone: false,
            dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("a value");
            match argument.as_str() {
                "--seconds" => load.seconds = value().parse().expect("seconds"),
                "--channels" => load.channels = value().parse().expect("up to 255 channels"),
                "--bytes" => load.bytes = value().parse().expect("bytes"),
                "--alone" => load.alone = true,
                "--dir" => load.dir = PathBuf::from(value()),
                _ => {}
            }
        }
        load
    }
}

fn key(number: u8) -> ChannelKey {
    ChannelKey {
        account: AccountId::new("bench"),
        channel: ChannelId::from_random([number; 18]),
    }
}

fn run(number: u8) -> RunRecord {
    RunRecord {
        key: key(number),
        order: Bytes::from_static(b"{}"),
        digest: [number; 32],
        title: "t".into(),
        model: "m".into(),
        created_at: 1,
        private: false,
        progress: RunProgress::queued(),
    }
}

fn open(dir: &std::path::Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(dir, SqliteOptions::default()).expect("a database"))
}

fn main() {
    let load = Load::from_arguments();
    let home = tempfile::tempdir_in(&load.dir).expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let before = processor_time();
    let begin = Instant::now();
    let events = runtime.block_on(write(&load, home.path()));
    let (seconds, used) = (begin.elapsed().as_secs_f64(), processor_time() - before);
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let events_a_second = events as f64 / seconds;
    println!(
        "durable: {events_a_second:.0} events/s ({events} events of {} bytes, {} channels, {seconds:.1} s, {:.2} µs CPU an event)",
        load.bytes,
        load.channels,
        used.as_secs_f64() * 1e6 / events_f64(events),
    );
    let size = std::fs::metadata(SqliteStore::file(home.path())).map_or(0, |data| data.len());
    runtime.block_on(restart("restart after that load", home.path(), size));
    if load.seconds >= 1.0 {
        for (name, batch) in [
            ("large batches", 64 * 1024),
            ("batches of 40 events", 4000),
            ("single events", 100),
        ] {
            let home = tempfile::tempdir_in(&load.dir).expect("a directory");
            let size = runtime.block_on(fill(home.path(), 512 * 1024 * 1024, batch));
            runtime.block_on(restart(name, home.path(), size));
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn events_f64(events: u64) -> f64 {
    events.max(1) as f64
}

/// The processor time that this process has used.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Appends to every channel for so long; gives how many events are durable then.
async fn write(load: &Load, dir: &std::path::Path) -> u64 {
    let store = open(dir);
    store.recover(0).await.expect("readable");
    assert_eq!(store.setting("synchronous").await.as_deref(), Ok("2"), "FULL");
    let hub = MemoryHub::start(HubOptions::default(), Arc::clone(&store) as Arc<dyn Store>);
    let event = Bytes::from(format!(
        "{{\"data\":\"{}\"}}",
        "x".repeat(load.bytes.saturating_sub(11))
    ));
    let end = Instant::now() + Duration::from_secs_f64(load.seconds);
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..load.channels {
        let (hub, event, count, alone) = (hub.clone(), event.clone(), Arc::clone(&count), load.alone);
        tasks.spawn(async move {
            let mut sent = 0;
            hub.begin(run(number), Vec::new()).await.expect("taken");
            let key = key(number);
            while Instant::now() < end {
                let append = Append {
                    key: key.clone(),
                    events: vec![event.clone()],
                    progress: None,
                    checkpoint: None,
                };
                hub.append(append).await.expect("taken");
                sent += 1;
                if alone {
                    hub.settle().await.expect("durable");
                }
            }
            count.fetch_add(sent, Ordering::Relaxed);
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no panic");
    }
    hub.settle().await.expect("durable");
    let wal = std::fs::metadata(dir.join("switchboard.db-wal")).map_or(0, |data| data.len());
    println!("the write-ahead log has {} KiB", wal / 1024);
    hub.stop().await;
    store.close().await;
    count.load(Ordering::Relaxed)
}

/// Fills a database with events of 100 bytes, in rows of so many bytes; gives its size.
async fn fill(dir: &std::path::Path, bytes: u64, batch: usize) -> u64 {
    use switchboard::store::{EventBatch, Transaction};
    let options = SqliteOptions {
        events: u64::MAX,
        bytes: u64::MAX,
        most_pages: None,
    };
    let store = SqliteStore::open(dir, options).expect("a database");
    store.recover(0).await.expect("readable");
    let events = (batch / 100).max(1);
    let lines = Bytes::from(format!("{}\n", "x".repeat(99)).repeat(events));
    let mut next = 0;
    let mut written = 0;
    while written < bytes {
        let mut transaction = Transaction::default();
        let rounds = (400_000 / lines.len() / 100).max(1);
        for _ in 0..rounds {
            for number in 0..100 {
                transaction.events.push(EventBatch {
                    key: key(number),
                    first_id: next,
                    created_at: next,
                    count: u32::try_from(events).expect("few"),
                    lines: lines.clone(),
                });
                written += lines.len() as u64;
            }
            next += events as u64;
        }
        store.commit(Arc::new(transaction)).await.expect("committed");
    }
    store.close().await;
    std::fs::metadata(SqliteStore::file(dir)).map_or(0, |data| data.len())
}

async fn restart(name: &str, dir: &std::path::Path, size: u64) {
    let (begin, used) = (Instant::now(), processor_time());
    let store = open(dir);
    let recovered = store.recover(0).await.expect("readable");
    let hub = MemoryHub::restore(HubOptions::default(), store, recovered);
    let (took, used) = (begin.elapsed(), processor_time() - used);
    drop(hub.open(&key(1), Start::Newest(1)).await);
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let gib = size as f64 / f64::from(1 << 30);
    println!(
        "restart, {name}: {:.0} ms for {:.0} MiB ({:.2} s a GiB, {:.2} s of them CPU)",
        took.as_secs_f64() * 1e3,
        gib * 1024.0,
        took.as_secs_f64() / gib,
        used.as_secs_f64() / gib,
    );
    hub.stop().await;
}
