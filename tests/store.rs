//! The hub over the database: what was seen stays under its ids over restarts, answers are given once, a full disk
//! heals, and what is no longer retained goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use proptest::prelude::*;
use switchboard::hub::{AccountId, Append, Begun, ChannelKey, Hub, HubError, HubOptions, MemoryHub, RunQuery, Start};
use switchboard::store::{RunProgress, RunRecord, SqliteOptions, SqliteStore, Store, StoreError};
use switchboard::wire::ChannelId;
use switchboard::wire::request::{RunStatus, WaitingOn};

fn key(number: u8) -> ChannelKey {
    ChannelKey {
        account: AccountId::new("one"),
        channel: ChannelId::from_random([number; 18]),
    }
}

fn run(number: u8) -> RunRecord {
    RunRecord {
        key: key(number),
        order: Bytes::from_static(b"{\"messages\":[\"a confidential order\"]}"),
        digest: [number; 32],
        title: "a confidential title".into(),
        model: "m".into(),
        created_at: now(),
        private: false,
        progress: RunProgress::queued(),
    }
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.expect("a time").as_millis()).expect("a time")
}

fn append(number: u8, events: &[&str]) -> Append {
    Append {
        key: key(number),
        events: events
            .iter()
            .map(|event| Bytes::copy_from_slice(event.as_bytes()))
            .collect(),
        progress: None,
        checkpoint: None,
    }
}

fn ended() -> RunProgress {
    RunProgress {
        status: RunStatus::Ended,
        ended_at: Some(now()),
        end_reason: Some("stop".into()),
        ..RunProgress::queued()
    }
}

fn waiting(channel: &ChannelKey, call: &str) -> RunProgress {
    RunProgress {
        status: RunStatus::Waiting,
        waiting: vec![WaitingOn {
            function: "f".into(),
            channel: channel.channel.as_str().to_owned(),
            call: Some(call.into()),
            expires_at: None,
        }],
        ..RunProgress::queued()
    }
}

struct Node {
    dir: PathBuf,
    hub: MemoryHub,
    store: Arc<SqliteStore>,
}

impl Node {
    async fn start(dir: &Path, options: HubOptions) -> Self {
        let limits = SqliteOptions {
            events: options.events as u64,
            bytes: options.bytes as u64,
            ..SqliteOptions::default()
        };
        let store = Arc::new(SqliteStore::open(dir, limits).expect("a database"));
        let recovered = store.recover(0).await.expect("readable");
        let hub = MemoryHub::restore(options, Arc::clone(&store) as Arc<dyn Store>, recovered);
        let dir = dir.to_owned();
        Self { dir, hub, store }
    }

    /// Ends as a crash does: nothing is put in order, and what was committed last is in the write-ahead log alone.
    async fn crash(self) {
        self.hub.settle().await.expect("durable");
        let file = SqliteStore::file(&self.dir);
        let files = [file.with_extension("db-wal"), file];
        let left = files.clone().map(|file| std::fs::read(file).expect("readable"));
        self.hub.stop().await;
        // Whoever closes a database last moves the log into it.
        drop(self);
        for (file, bytes) in files.iter().zip(left) {
            std::fs::write(file, bytes).expect("written");
        }
    }

    async fn lines(&self, number: u8, start: Start) -> String {
        let mut reader = self.hub.open(&key(number), start).await;
        let mut lines = String::new();
        while let Some(Some(piece)) = futures::FutureExt::now_or_never(reader.next()) {
            lines += std::str::from_utf8(&piece).expect("text");
        }
        lines
    }
}

fn rows(dir: &Path, table: &str) -> i64 {
    let connection = rusqlite::Connection::open(SqliteStore::file(dir)).expect("a database");
    let sql = format!("SELECT count(*) FROM {table}");
    connection.query_row(&sql, [], |row| row.get(0)).expect("a count")
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

#[tokio::test]
async fn what_was_seen_is_there_again_and_ids_go_on() {
    let home = tempfile::tempdir().expect("a directory");
    let node = Node::start(home.path(), HubOptions::default()).await;
    assert_eq!(
        node.hub.begin(run(1), vec![Bytes::from_static(b"0")]).await,
        Ok(Begun::New)
    );
    node.hub.append(append(1, &["1", "2"])).await.expect("taken");
    node.hub.settle().await.expect("durable");
    node.hub.append(append(1, &["3"])).await.expect("taken");
    node.hub.settle().await.expect("durable");
    let before = node.lines(1, Start::Newest(10)).await;
    let listed = node.hub.runs(&key(1).account, &RunQuery::newest(10)).await;
    node.crash().await;

    let node = Node::start(home.path(), HubOptions::default()).await;
    assert_eq!(node.lines(1, Start::Newest(10)).await, before);
    assert_eq!(
        node.lines(1, Start::After(1)).await,
        before.split_inclusive('\n').skip(2).collect::<String>()
    );
    assert_eq!(node.hub.runs(&key(1).account, &RunQuery::newest(10)).await, listed);
    assert_eq!((node.hub.counts().all(), node.hub.counts().live()), (1, 1));
    // The same dispatch starts nothing, another one is refused, and the next event has the next id.
    assert_eq!(node.hub.begin(run(1), Vec::new()).await, Ok(Begun::Already));
    let other = RunRecord {
        digest: [9; 32],
        ..run(1)
    };
    assert_eq!(node.hub.begin(other, Vec::new()).await, Err(HubError::Occupied));
    let mut live = node.hub.open(&key(1), Start::Newest(0)).await;
    let last = Append {
        progress: Some(ended()),
        ..append(1, &["4"])
    };
    node.hub.append(last).await.expect("taken");
    let line = live.next().await.expect("a line");
    assert!(line.starts_with(b"{\"type\":\"message\",\"id\":4,"), "{line:?}");
    node.crash().await;
    let node = Node::start(home.path(), HubOptions::default()).await;
    assert_eq!(node.lines(1, Start::Newest(10)).await.lines().count(), 5);
    assert_eq!(node.hub.counts().live(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8, u8),
    Settle,
    Read(u8),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3u8, 1..5u8).prop_map(|(channel, count)| Step::Append(channel, count)),
        3 => Just(Step::Settle),
        1 => (0..3u8).prop_map(Step::Read),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// However appends, commits and restarts fall: everything within the bounds is there under its id, as it was.
    #[test]
    fn restarts_change_nothing_that_is_retained(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let home = tempfile::tempdir().expect("a directory");
            let options = HubOptions { events: 7, ..HubOptions::default() };
            let mut node = Node::start(home.path(), options).await;
            let mut sent = [0_u64; 3];
            for step in steps {
                match step {
                    Step::Append(channel, count) => {
                        let at = usize::from(channel);
                        let events: Vec<String> = (0..u64::from(count)).map(|more| (sent[at] + more).to_string()).collect();
                        let events: Vec<&str> = events.iter().map(String::as_str).collect();
                        node.hub.append(append(channel, &events)).await.expect("taken");
                        sent[at] += u64::from(count);
                    }
                    Step::Settle => node.hub.settle().await.expect("durable"),
                    Step::Read(channel) => drop(node.lines(channel, Start::Newest(3)).await),
                    Step::Restart => {
                        node.crash().await;
                        node = Node::start(home.path(), options).await;
                    }
                }
            }
            node.hub.settle().await.expect("durable");
            let before: Vec<String> = futures::future::join_all((0..3).map(|channel| node.lines(channel, Start::Newest(100)))).await;
            node.crash().await;
            let node = Node::start(home.path(), options).await;
            for (channel, before) in (0..3u8).zip(before) {
                let lines = node.lines(channel, Start::Newest(100)).await;
                assert_eq!(lines, before);
                // Its ids are its place, and so is its text.
                let all = sent[usize::from(channel)];
                let expected: Vec<u64> = (all.saturating_sub(7)..all).collect();
                let ids: Vec<u64> = lines.lines().map(|line| {
                    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                    assert_eq!(line["id"], line["data"]);
                    line["id"].as_u64().expect("an id")
                }).collect();
                assert_eq!(ids, expected);
            }
        });
    }
}

#[tokio::test]
async fn an_answer_is_durable_before_its_sender_hears_and_is_given_once() {
    let home = tempfile::tempdir().expect("a directory");
    let node = Node::start(home.path(), HubOptions::default()).await;
    node.hub.begin(run(1), Vec::new()).await.expect("taken");
    let mut watcher = node.hub.open(&key(2), Start::Newest(0)).await;
    let mut call = node.hub.listen(&key(1), &key(2).channel, "a").await;
    let begin = Append {
        progress: Some(waiting(&key(2), "a")),
        checkpoint: Some(Bytes::from_static(b"state")),
        ..append(1, &["\"wait\""])
    };
    node.hub.append(begin).await.expect("taken");
    node.hub.settle().await.expect("durable");
    node.hub.publish(&key(2), b"\"first\"").await.expect("taken");
    assert_eq!(rows(home.path(), "answer"), 1);
    node.hub.publish(&key(2), b"\"second\"").await.expect("published");
    assert_eq!(rows(home.path(), "answer"), 1, "it wins nothing");
    assert_eq!(call.next().await, "\"first\"");
    // Whoever watches the channel sees both.
    let mut seen = String::new();
    while seen.lines().count() < 2 {
        seen += std::str::from_utf8(&watcher.next().await.expect("lines")).expect("text");
    }
    assert!(seen.contains("{\"type\":\"message\",\"data\":\"first\"}\n"), "{seen}");
    drop(call);
    node.crash().await;

    // The run had not said that it has the answer: it gets it again, once.
    let node = Node::start(home.path(), HubOptions::default()).await;
    let mut call = node.hub.listen(&key(1), &key(2).channel, "a").await;
    assert_eq!(call.next().await, "\"first\"");
    drop(call);
    // Its next wait is open before it listens, and so it is after a restart.
    let begin = Append {
        progress: Some(waiting(&key(3), "b")),
        checkpoint: Some(Bytes::from_static(b"state")),
        ..append(1, &["\"wait\""])
    };
    node.hub.append(begin).await.expect("taken");
    node.crash().await;
    let node = Node::start(home.path(), HubOptions::default()).await;
    node.hub.publish(&key(3), b"\"early\"").await.expect("taken");
    node.hub.publish(&key(3), b"\"late\"").await.expect("taken");
    node.crash().await;
    let node = Node::start(home.path(), HubOptions::default()).await;
    let mut call = node.hub.listen(&key(1), &key(3).channel, "b").await;
    assert_eq!(call.next().await, "\"early\"");
    // Nothing of it stays when the run is over.
    let last = Append {
        progress: Some(ended()),
        ..append(1, &["\"end\""])
    };
    node.hub.append(last).await.expect("taken");
    node.hub.settle().await.expect("durable");
    for table in ["answer", "checkpoint", "orders"] {
        assert_eq!(rows(home.path(), table), 0, "{table}");
    }
}

#[tokio::test]
async fn a_wait_that_nobody_took_up_again_ends_with_its_run() {
    let home = tempfile::tempdir().expect("a directory");
    let node = Node::start(home.path(), HubOptions::default()).await;
    node.hub.begin(run(1), Vec::new()).await.expect("taken");
    let begin = Append {
        progress: Some(waiting(&key(2), "a")),
        checkpoint: Some(Bytes::from_static(b"state")),
        ..append(1, &["0"])
    };
    node.hub.append(begin).await.expect("taken");
    node.crash().await;
    let node = Node::start(home.path(), HubOptions::default()).await;
    let last = Append {
        progress: Some(ended()),
        ..append(1, &["1"])
    };
    node.hub.append(last).await.expect("taken");
    node.hub.settle().await.expect("durable");
    node.hub.publish(&key(2), b"1").await.expect("published");
    assert_eq!(rows(home.path(), "answer"), 0);
}

#[tokio::test]
async fn what_a_crash_left_in_the_log_is_cut_off_soon_after_the_next_start() {
    let home = tempfile::tempdir().expect("a directory");
    let node = Node::start(home.path(), HubOptions::default()).await;
    node.hub.begin(run(1), Vec::new()).await.expect("taken");
    node.crash().await;
    let log = SqliteStore::file(home.path()).with_extension("db-wal");
    let size = || std::fs::metadata(&log).map_or(0, |log| log.len());
    assert!(size() > 0);
    let _node = Node::start(home.path(), HubOptions::default()).await;
    for _ in 0..100 {
        if size() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} bytes of a private run's texts could still be there", size());
}

#[tokio::test]
async fn a_full_disk_refuses_runs_keeps_reads_and_heals() {
    let home = tempfile::tempdir().expect("a directory");
    let node = Node::start(home.path(), HubOptions::default()).await;
    node.hub
        .begin(run(1), vec![Bytes::from_static(b"0")])
        .await
        .expect("taken");
    let pages: u32 = node
        .store
        .setting("page_count")
        .await
        .expect("a number")
        .parse()
        .expect("a number");
    node.store.limit_pages(pages).await.expect("set");
    let large = format!("\"{}\"", "x".repeat(100_000));
    node.hub.append(append(1, &[&large])).await.expect("queued");
    let full = Err(HubError::Store(StoreError::Full));
    let large_run = RunRecord {
        order: Bytes::from(large.clone()),
        ..run(2)
    };
    assert_eq!(node.hub.begin(large_run.clone(), Vec::new()).await, full);
    // Nothing is seen that is not durable, and what is durable is read.
    assert_eq!(node.lines(1, Start::Newest(10)).await.lines().count(), 1);
    node.hub.append(append(1, &["2"])).await.expect("queued");
    let mut call = node.hub.listen(&key(1), &key(3).channel, "a").await;
    assert_eq!(
        node.hub.publish(&key(3), b"1").await,
        Err(HubError::Store(StoreError::Full))
    );
    node.store.limit_pages(1_000_000).await.expect("set");
    node.hub.settle().await.expect("durable");
    assert_eq!(node.lines(1, Start::Newest(10)).await.lines().count(), 3);
    assert_eq!(node.hub.begin(large_run, Vec::new()).await, Ok(Begun::New));
    node.hub.publish(&key(3), b"2").await.expect("taken");
    assert_eq!(call.next().await, "2");
    node.crash().await;
    let node = Node::start(home.path(), HubOptions::default()).await;
    assert_eq!(node.lines(1, Start::Newest(10)).await.lines().count(), 3);
}

#[tokio::test]
async fn of_a_private_run_only_its_name_and_its_state_stay() {
    let home = tempfile::tempdir().expect("a directory");
    let node = Node::start(home.path(), HubOptions::default()).await;
    let private = RunRecord {
        private: true,
        ..run(1)
    };
    let secret = "\"a confidential text\"";
    node.hub
        .begin(private, vec![Bytes::copy_from_slice(secret.as_bytes())])
        .await
        .expect("taken");
    for number in 0..50 {
        let kept = Append {
            checkpoint: Some(Bytes::from(format!(
                "a confidential state {number} {}",
                "-".repeat(number * 200)
            ))),
            ..append(1, &[secret])
        };
        node.hub.append(kept).await.expect("taken");
        node.hub.settle().await.expect("durable");
    }
    let bytes = || -> Vec<u8> {
        let read = |name: &str| std::fs::read(home.path().join(name)).unwrap_or_default();
        [read("switchboard.db"), read("switchboard.db-wal")].concat()
    };
    let is_there = |bytes: &[u8]| memchr::memmem::find(bytes, b"a confidential").is_some();
    assert!(is_there(&bytes()), "it is needed while the run goes on");
    let last = Append {
        progress: Some(ended()),
        ..append(1, &[secret])
    };
    node.hub.append(last).await.expect("taken");
    node.hub.settle().await.expect("durable");
    eventually("the end of its texts on disk", || !is_there(&bytes())).await;
    // Whoever is there now still reads it all.
    assert_eq!(node.lines(1, Start::Newest(100)).await.lines().count(), 52);
    node.crash().await;

    let node = Node::start(home.path(), HubOptions::default()).await;
    let listed = node.hub.runs(&key(1).account, &RunQuery::newest(10)).await;
    assert_eq!((listed.len(), listed[0].title.as_str()), (1, ""));
    assert_eq!(listed[0].progress.status, RunStatus::Ended);
    assert_eq!(node.lines(1, Start::Newest(100)).await, "");
    let gap = "{\"type\":\"gap\",\"data\":{\"missing\":41}}\n";
    assert_eq!(node.lines(1, Start::After(10)).await, gap);
    assert_eq!(node.lines(1, Start::After(51)).await, "");
    node.hub.append(append(1, &["1"])).await.expect("taken");
    node.hub.settle().await.expect("durable");
    let next = node.lines(1, Start::After(51)).await;
    assert!(next.starts_with("{\"type\":\"message\",\"id\":52,"), "{next}");
}

#[tokio::test]
async fn what_is_over_the_bounds_goes_from_disk_in_time() {
    let home = tempfile::tempdir().expect("a directory");
    let options = HubOptions {
        events: 100,
        retention: Duration::from_millis(600),
        ..HubOptions::default()
    };
    let node = Node::start(home.path(), options).await;
    for number in 0..4 {
        node.hub.begin(run(number), Vec::new()).await.expect("taken");
        for _ in 0..300 {
            node.hub.append(append(number, &["\"event\""])).await.expect("taken");
        }
    }
    for _ in 0..150 {
        node.hub.append(append(0, &["\"event\""])).await.expect("taken");
        node.hub.settle().await.expect("durable");
    }
    // A row is a commit's, and commits are as large as it happens: no channel has more rows than events.
    let longest = "(SELECT channel FROM events GROUP BY channel HAVING count(*) > 102)";
    eventually("trimming", || rows(home.path(), longest) == 0).await;
    for number in 0..4 {
        let last = Append {
            progress: Some(ended()),
            ..append(number, &["\"end\""])
        };
        node.hub.append(last).await.expect("taken");
    }
    let tables = ["events", "run", "progress", "orders", "checkpoint", "answer", "channel"];
    eventually("the end of the retention", || {
        tables.iter().all(|table| rows(home.path(), table) == 0)
    })
    .await;
    assert_eq!(node.hub.counts().all(), 0);
    // The channel begins anew.
    assert_eq!(
        node.hub.begin(run(1), vec![Bytes::from_static(b"0")]).await,
        Ok(Begun::New)
    );
    assert!(node.lines(1, Start::Newest(10)).await.contains("\"id\":0,"));
    node.crash().await;

    // What ended before a server was away for too long is not even read.
    let node = Node::start(home.path(), options).await;
    node.hub
        .append(Append {
            progress: Some(ended()),
            ..append(1, &["1"])
        })
        .await
        .expect("taken");
    node.crash().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let store = SqliteStore::open(home.path(), SqliteOptions::default()).expect("a database");
    assert_eq!(store.recover(now() - 600).await.expect("readable").channels, []);
    eventually("its end", || tables.iter().all(|table| rows(home.path(), table) == 0)).await;
}

#[tokio::test]
async fn the_files_stay_small_however_much_passes_through() {
    let home = tempfile::tempdir().expect("a directory");
    let options = HubOptions {
        events: 50,
        ..HubOptions::default()
    };
    let node = Node::start(home.path(), options).await;
    let event = format!("\"{}\"", "x".repeat(20_000));
    let size = |name: &str| std::fs::metadata(home.path().join(name)).map_or(0, |data| data.len());
    // 160 MB, of which 4 are retained.
    for _ in 0..500 {
        for number in 0..4 {
            node.hub
                .append(append(number, &[&event, &event, &event, &event]))
                .await
                .expect("taken");
        }
        node.hub.settle().await.expect("durable");
    }
    assert!(size("switchboard.db-wal") < 64 << 20, "{}", size("switchboard.db-wal"));
    assert!(size("switchboard.db") < 64 << 20, "{}", size("switchboard.db"));
    node.hub.stop().await;
    node.store.close().await;
    assert_eq!(size("switchboard.db-wal"), 0);
}
