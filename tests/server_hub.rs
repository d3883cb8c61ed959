//! The in-memory hub with its tasks: commits, wake-ups, expiry, a store that refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use switchboard::hub::{
    AccountId, Append, Begun, Broken, ChannelKey, Hub, HubError, HubOptions, MemoryHub, RunQuery, Start,
};
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

fn append(events: &[&'static str], progress: Option<RunProgress>, broken: &Broken) -> Append {
    Append {
        key: key(),
        events: events
            .iter()
            .map(|event| Bytes::from_static(event.as_bytes()))
            .collect(),
        progress,
        checkpoint: None,
        broken: broken.clone(),
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
    hub.append(append(&["1"], Some(ended()), &Broken::default()))
        .await
        .expect("taken");
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
    commits: AtomicUsize,
}

#[async_trait]
impl Store for Refusing {
    async fn commit(&self, transaction: &Transaction) -> Result<(), StoreError> {
        assert!(!transaction.is_empty());
        self.commits.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        if self.refuses.load(Ordering::SeqCst) {
            return Err(StoreError("the disk is full".into()));
        }
        Ok(())
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        Ok(Recovered::default())
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_is_never_seen_and_its_run_is_told() {
    let store = Arc::new(Refusing::default());
    let hub = MemoryHub::start(HubOptions::default(), store.clone());
    let mut reader = hub.open(&key(), Start::Newest(0)).await;
    store.refuses.store(true, Ordering::SeqCst);
    let begun = hub.begin(run(1), vec![Bytes::from_static(b"0")]).await;
    assert_eq!(begun, Err(HubError::Store("the disk is full".into())));
    assert_eq!(hub.run(&key()).await, None);
    let broken = Broken::default();
    hub.append(append(&["1"], None, &broken)).await.expect("queued");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(broken.is_set());
    store.refuses.store(false, Ordering::SeqCst);
    assert_eq!(hub.begin(run(1), vec![Bytes::from_static(b"2")]).await, Ok(Begun::New));
    let line = reader.next().await.expect("a line");
    assert!(
        line.starts_with(b"{\"type\":\"message\",\"id\":0,") && line.ends_with(b"\"data\":2}\n"),
        "{line:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn many_appends_share_a_commit() {
    let store = Arc::new(Refusing::default());
    let hub = MemoryHub::start(HubOptions::default(), store.clone());
    let mut reader = hub.open(&key(), Start::Newest(0)).await;
    let broken = Broken::default();
    for _ in 0..1000 {
        hub.append(append(&["1"], None, &broken)).await.expect("queued");
    }
    let mut lines = 0;
    while lines < 1000 {
        let piece = reader.next().await.expect("lines");
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
    }
    assert!(store.commits.load(Ordering::SeqCst) <= 3);
    hub.stop().await;
}
