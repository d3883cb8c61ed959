//! The database as a server uses it: what is committed comes back, whole, in order, and within its bounds.

use std::collections::VecDeque;

use bytes::Bytes;

use super::*;
use crate::hub::{AccountId, ChannelKey};
use crate::store::{Answer, EventBatch, RunProgress, RunRecord};
use crate::wire::ChannelId;
use crate::wire::request::{RunStatus, WaitingOn};

fn key(number: u8) -> ChannelKey {
    ChannelKey {
        account: AccountId::new("one"),
        channel: ChannelId::from_random([number; 18]),
    }
}

fn run(number: u8, private: bool) -> RunRecord {
    RunRecord {
        key: key(number),
        order: Bytes::from_static(b"{\"messages\":\"the order\"}"),
        digest: [number; 32],
        title: "the title".into(),
        model: "m".into(),
        created_at: 5,
        private,
        progress: RunProgress::queued(),
    }
}

fn ended(at: u64) -> RunProgress {
    RunProgress {
        status: RunStatus::Ended,
        ended_at: Some(at),
        end_reason: Some("stop".into()),
        ..RunProgress::queued()
    }
}

fn batch(number: u8, first_id: u64, events: &[&str]) -> EventBatch {
    let mut lines = events.join("\n");
    lines.push('\n');
    EventBatch {
        key: key(number),
        first_id,
        created_at: 7,
        count: u32::try_from(events.len()).expect("few"),
        lines: lines.into(),
    }
}

fn open(home: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(home.path(), SqliteOptions::default()).expect("opened")
}

async fn commit(store: &SqliteStore, transaction: Transaction) {
    store.commit(Arc::new(transaction)).await.expect("committed");
}

#[tokio::test]
async fn the_connection_that_writes_syncs_every_commit() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(&home);
    for (name, value) in [
        ("synchronous", "2"),
        ("journal_mode", "wal"),
        ("wal_autocheckpoint", "0"),
    ] {
        assert_eq!(store.setting(name).await.as_deref(), Ok(value), "{name}");
    }
}

#[tokio::test]
async fn what_is_committed_comes_back() {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(&home);
    assert_eq!(store.recover(0).await, Ok(Recovered::default()));
    let waiting = RunProgress {
        status: RunStatus::Waiting,
        waiting: vec![WaitingOn {
            function: "f".into(),
            channel: "0123456789abcdef".into(),
            call: Some("c".into()),
            expires_at: Some(9),
        }],
        restarts: 2,
        ..RunProgress::queued()
    };
    commit(
        &store,
        Transaction {
            queued: vec![run(1, false), run(2, false)],
            events: vec![batch(1, 0, &["a", "b"]), batch(2, 0, &["x"])],
            ..Transaction::default()
        },
    )
    .await;
    let answer = |message: &'static str| Answer {
        run: key(1),
        call: "c".into(),
        message: Bytes::from_static(message.as_bytes()),
    };
    commit(
        &store,
        Transaction {
            events: vec![batch(1, 2, &["c"])],
            progress: vec![(key(1), waiting.clone()), (key(2), ended(8))],
            checkpoints: vec![(key(1), Bytes::from_static(b"state"))],
            answers: vec![answer("first"), answer("second")],
            ..Transaction::default()
        },
    )
    .await;
    store.close().await;
    drop(store);

    let store = open(&home);
    let recovered = store.recover(0).await.expect("readable");
    let [one, two] = &recovered.channels[..] else {
        panic!("{recovered:?}");
    };
    assert_eq!((one.key.clone(), one.next_id, one.last_event), (key(1), 3, 7));
    assert_eq!((one.events.first_id, &one.events.lines[..]), (0, &b"a\nb\nc\n"[..]));
    assert_eq!(one.events.batches, [(3, 7)]);
    let kept = one.run.as_ref().expect("a run");
    let expected = RunRecord {
        progress: waiting,
        ..run(1, false)
    };
    assert_eq!(kept.record, expected);
    assert_eq!(kept.checkpoint.as_deref(), Some(&b"state"[..]));
    assert_eq!(kept.answers, [("c".to_owned(), Bytes::from_static(b"first"))]);
    let over = two.run.as_ref().expect("a run");
    assert_eq!(over.record.progress, ended(8));
    assert!(over.record.order.is_empty(), "nobody starts it again");
    drop(store);

    // A run that ended too long ago goes, and its channel may begin anew.
    let store = open(&home);
    let recovered = store.recover(9).await.expect("readable");
    assert_eq!(recovered.channels.len(), 1);
    let again = Transaction {
        queued: vec![run(2, false)],
        events: vec![batch(2, 0, &["new"])],
        ..Transaction::default()
    };
    commit(&store, again).await;
    drop(store);
    let recovered = open(&home).recover(0).await.expect("readable");
    let lines: Vec<&[u8]> = recovered
        .channels
        .iter()
        .map(|channel| &channel.events.lines[..])
        .collect();
    assert_eq!(lines, [&b"a\nb\nc\n"[..], b"new\n"]);
}

#[test]
fn a_row_goes_when_nothing_in_it_is_within_the_bounds() {
    let bounds = SqliteOptions {
        bytes: 100,
        events: 10,
        most_pages: None,
    };
    let mut known = writer::Known::new(1, false);
    let mut doomed = VecDeque::new();
    // Counts and bytes of rows, and how many of them are there then.
    for (seq, (count, bytes, rows)) in [
        (1, 90, 1),
        (1, 20, 2),
        (1, 79, 3),
        (1, 1, 3),
        (1, 500, 1),
        (10, 9, 1),
        (9, 9, 2),
    ]
    .into_iter()
    .enumerate()
    {
        let seq = i64::try_from(seq).expect("few");
        known.push(writer::Row { seq, count, bytes });
        known.trim(&bounds, &mut doomed);
        assert_eq!(known.rows.len(), rows, "{known:?}");
        assert_eq!(
            known.bytes,
            known.rows.iter().map(|row| u64::from(row.bytes)).sum::<u64>()
        );
    }
    let gone: Vec<i64> = doomed.iter().map(|doomed| doomed.row.seq).collect();
    assert_eq!(gone, [0, 1, 2, 3, 4]);
}
