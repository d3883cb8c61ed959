//! The in-memory hub with its tasks: commits, wake-ups, expiry, a store that refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use switchboard::hub::{AccountId, Append, Begun, ChannelKey, Hub, HubError, HubOptions, MemoryHub, RunQuery, Start};
use switchboard::store::{MemoryStore, Recovered, RunProgress, RunRecord, Store, StoreError, Transaction};
use switchboard::wire::ChannelId;
use switchboard::wire::request::RunStatus;

fn key() -> ChannelKey {
    ChannelKey {
        account: AccountId::new("one"),
        channel: ChannelId::parse("0123456789abcdef").expect("a channel id"),
    }
}

fn run(digest: u8) -> RunRecord {
    RunRecord {
        key: key(),
        order: Bytes::from_static(b"{}"),
        digest: [digest; 32],
        title: "t".into(),
        model: "m".into(),
        created_at: 1,
        private: false,
        progress: RunProgress::queued(),
    }
}

fn append(events: &[&'static str], progress: Option<RunProgress>) -> Append {
    Append {
        key: key(),
        events: events
            .iter()
            .map(|event| Bytes::from_static(event.as_bytes()))
            .collect(),
        progress,
        checkpoint: None,
    }
}

fn ended() -> RunProgress {
    RunProgress {
        status: RunStatus::Ended,
        ended_at: Some(2),
        end_reason: Some("stop".into()),
        ..RunProgress::queued()
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_expires_an_hour_after_its_last_event_but_not_under_a_run() {
    let hub = MemoryHub::start(HubOptions::default(), Arc::new(MemoryStore));
    let hour = Duration::from_secs(3600);
    assert_eq!(hub.begin(run(1), vec![Bytes::from_static(b"0")]).await, Ok(Begun::New));
    assert_eq!(hub.begin(run(1), Vec::new()).await, Ok(Begun::Already));
    assert_eq!(hub.begin(run(2), Vec::new()).await, Err(HubError::Occupied));
    tokio::time::sleep(hour * 3).await;
    assert_eq!((hub.counts().all(), hub.counts().live()), (1, 1));

    let mut reader = hub.open(&key(), Start::After(0)).await;
    hub.append(append(&["1"], Some(ended()))).await.expect("taken");
    let line = reader.next().await.expect("a line");
    assert!(line.starts_with(b"{\"type\":\"message\",\"id\":1,"), "{line:?}");
    tokio::time::sleep(hour / 2).await;
    assert_eq!((hub.counts().all(), hub.counts().live()), (1, 0));
    tokio::time::sleep(hour * 2).await;
    assert_eq!(hub.counts().all(), 0);
    assert_eq!(hub.runs(&key().account, &RunQuery::newest(10)).await, []);

    // The channel begins anew, and who was connected is told.
    assert_eq!(hub.begin(run(2), vec![Bytes::from_static(b"9")]).await, Ok(Begun::New));
    let line = reader.next().await.expect("a line");
    assert_eq!(line, "{\"type\":\"reset\",\"data\":{}}\n");
    let line = reader.next().await.expect("a line");
    assert!(line.starts_with(b"{\"type\":\"message\",\"id\":0,"), "{line:?}");
    hub.stop().await;
    assert_eq!(reader.next().await, None);
    assert_eq!(hub.publish(&key(), b"1").await, Err(HubError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn an_idle_channel_wakes_at_once_and_a_busy_one_in_batches() {
    let options = HubOptions {
        flush: Duration::from_millis(3),
        ..HubOptions::default()
    };
    let hub = MemoryHub::start(options, Arc::new(MemoryStore));
    let mut reader = hub.open(&key(), Start::Newest(0)).await;
    let begin = tokio::time::Instant::now();
    hub.publish(&key(), b"0").await.expect("published");
    assert!(reader.next().await.is_some());
    assert_eq!(begin.elapsed(), Duration::ZERO);
    for _ in 0..100 {
        hub.publish(&key(), b"1").await.expect("published");
    }
    let lines = reader.next().await.expect("lines");
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 100);
    assert!(begin.elapsed() <= Duration::from_millis(5));
}

#[derive(Default)]
struct Refusing {
    refuses: AtomicBool,
    /// Refuses for good.
    unusable: AtomicBool,
    commits: AtomicUsize,
}

#[async_trait]
impl Store for Refusing {
    async fn commit(&self, transaction: Arc<Transaction>) -> Result<(), StoreError> {
        assert!(!transaction.is_empty());
        self.commits.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        if self.unusable.load(Ordering::SeqCst) {
            return Err(StoreError::Unusable("it is broken".to_owned()));
        }
        if self.refuses.load(Ordering::SeqCst) {
            return Err(StoreError::Full);
        }
        Ok(())
    }

    async fn recover(&self, _: u64) -> Result<Recovered, StoreError> {
        Ok(Recovered::default())
    }

    async fn close(&self) {}
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_is_not_seen_before_it_is_kept() {
    let store = Arc::new(Refusing::default());
    let hub = MemoryHub::start(HubOptions::default(), store.clone());
    assert_eq!(hub.begin(run(1), vec![Bytes::from_static(b"0")]).await, Ok(Begun::New));
    let mut reader = hub.open(&key(), Start::After(0)).await;
    store.refuses.store(true, Ordering::SeqCst);
    // A run that cannot be kept is refused, at once when that is known already.
    let other = ChannelKey {
        channel: ChannelId::parse("another-channel-0").expect("a channel id"),
        ..key()
    };
    let another = || RunRecord {
        key: other.clone(),
        ..run(3)
    };
    let refused = Err(HubError::Store(StoreError::Full));
    assert_eq!(hub.begin(another(), Vec::new()).await, refused);
    let commits = store.commits.load(Ordering::SeqCst);
    assert_eq!(hub.begin(another(), Vec::new()).await, refused);
    assert_eq!(store.commits.load(Ordering::SeqCst), commits);
    assert_eq!(hub.run(&other).await, None);
    // What a run says waits, in its order, and so does its end.
    hub.append(append(&["1"], None)).await.expect("queued");
    hub.append(append(&["2"], Some(ended()))).await.expect("queued");
    let seen = tokio::time::timeout(Duration::from_secs(10), reader.next()).await;
    assert!(seen.is_err(), "{seen:?}");
    assert!(!hub.run(&key()).await.expect("a run").progress.is_over());
    assert!(store.commits.load(Ordering::SeqCst) < 40, "it is left alone in between");
    store.refuses.store(false, Ordering::SeqCst);
    hub.settle().await.expect("kept");
    let lines = reader.next().await.expect("lines");
    let text = String::from_utf8_lossy(&lines);
    assert!(text.contains("\"id\":1,") && text.contains("\"id\":2,"), "{text}");
    assert!(hub.run(&key()).await.expect("a run").progress.is_over());
    assert_eq!(hub.begin(another(), Vec::new()).await, Ok(Begun::New));
    // A store that refuses to the end does not keep the hub from stopping.
    store.refuses.store(true, Ordering::SeqCst);
    hub.append(append(&["3"], None)).await.expect("queued");
    hub.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_is_tried_less_and_less_often() {
    let store = Arc::new(Refusing::default());
    let hub = MemoryHub::start(HubOptions::default(), store.clone());
    store.refuses.store(true, Ordering::SeqCst);
    let refused = Err(HubError::Store(StoreError::Full));
    for _ in 0..200 {
        assert_eq!(hub.begin(run(1), Vec::new()).await, refused);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let commits = store.commits.load(Ordering::SeqCst);
    assert!((5..20).contains(&commits), "{commits} times in ten seconds");
    store.refuses.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(hub.begin(run(1), Vec::new()).await, Ok(Begun::New));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_run_is_when_it_can_be_seen() {
    let store = Arc::new(Refusing::default());
    let hub = MemoryHub::start(HubOptions::default(), store.clone());
    assert_eq!(hub.begin(run(1), Vec::new()).await, Ok(Begun::New));
    hub.append(append(&["0"], Some(ended()))).await.expect("queued");
    hub.settle().await.expect("kept");
    let ended_at = hub.run(&key()).await.expect("a run").progress.ended_at;
    // The run said 2, and the store took its end now.
    assert!(ended_at.is_some_and(|at| at > 1_700_000_000_000), "{ended_at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_can_take_nothing_any_more_is_told_of() {
    let store = Arc::new(Refusing::default());
    let hub = MemoryHub::start(HubOptions::default(), store.clone());
    assert_eq!(hub.begin(run(1), Vec::new()).await, Ok(Begun::New));
    store.refuses.store(true, Ordering::SeqCst);
    hub.append(append(&["0"], None)).await.expect("queued");
    let broken = tokio::time::timeout(Duration::from_secs(60), hub.broken()).await;
    assert!(broken.is_err(), "a full disk may be emptied: {broken:?}");
    store.unusable.store(true, Ordering::SeqCst);
    let broken = tokio::time::timeout(Duration::from_secs(60), hub.broken()).await;
    assert_eq!(broken, Ok(StoreError::Unusable("it is broken".to_owned())));
    hub.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_busy_channels_gather_longer_and_lose_nothing() {
    let hub = MemoryHub::start(HubOptions::default(), Arc::new(MemoryStore));
    let wake_ups = |channels: u8| {
        let hub = &hub;
        async move {
            let mut readers = Vec::new();
            for number in 0..channels {
                let key = ChannelKey {
                    channel: ChannelId::from_random([number; 18]),
                    ..key()
                };
                readers.push((hub.open(&key, Start::Newest(0)).await, 0, 0));
            }
            for _ in 0..300 {
                for number in 0..channels {
                    let key = ChannelKey {
                        channel: ChannelId::from_random([number; 18]),
                        ..key()
                    };
                    hub.publish(&key, b"1").await.expect("published");
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                for (reader, pieces, lines) in &mut readers {
                    while let Some(Some(piece)) = futures::FutureExt::now_or_never(reader.next()) {
                        *pieces += 1;
                        *lines += piece.iter().filter(|byte| **byte == b'\n').count();
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            for (reader, _, lines) in &mut readers {
                while let Some(Some(piece)) = futures::FutureExt::now_or_never(reader.next()) {
                    *lines += piece.iter().filter(|byte| **byte == b'\n').count();
                }
                assert_eq!(*lines, 300);
            }
            readers.iter().map(|(_, pieces, _)| pieces).sum::<usize>() / usize::from(channels)
        }
    };
    let (few, many) = (wake_ups(10).await, wake_ups(100).await);
    assert!((70..=110).contains(&few), "every three milliseconds, about: {few}");
    assert!((30..=60).contains(&many), "no longer than ten: {many}");
}

#[tokio::test(start_paused = true)]
async fn many_appends_share_a_commit() {
    let store = Arc::new(Refusing::default());
    let hub = MemoryHub::start(HubOptions::default(), store.clone());
    let mut reader = hub.open(&key(), Start::Newest(0)).await;
    for _ in 0..1000 {
        hub.append(append(&["1"], None)).await.expect("queued");
    }
    let mut lines = 0;
    while lines < 1000 {
        let piece = reader.next().await.expect("lines");
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
    }
    assert!(store.commits.load(Ordering::SeqCst) <= 3);
    hub.stop().await;
}
