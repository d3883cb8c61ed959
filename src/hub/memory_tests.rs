//! The hub of one process over stores that refuse, and stores that keep answers.

use super::*;
use crate::store::{RunProgress, Transaction};
use crate::wire::request::RunStatus;

struct Full;

#[async_trait]
impl Store for Full {
    async fn commit(&self, _: Arc<Transaction>) -> Result<(), StoreError> {
        Err(StoreError::Full)
    }

    async fn recover(&self, _: u64) -> Result<Recovered, StoreError> {
        Ok(Recovered::default())
    }

    async fn close(&self) {}
}

#[tokio::test]
async fn a_run_that_is_refused_leaves_no_channel_behind() {
    let hub = MemoryHub::start(HubOptions::default(), Arc::new(Full));
    let key = ChannelKey {
        account: AccountId::new("one"),
        channel: crate::wire::ChannelId::from_random([7; 18]),
    };
    let run = RunRecord {
        key: key.clone(),
        order: Bytes::from_static(b"{}"),
        digest: [1; 32],
        title: String::new(),
        model: String::new(),
        created_at: 1,
        private: false,
        progress: RunProgress::queued(),
    };
    let begun = hub.begin(run, vec![Bytes::from_static(b"0")]).await;
    assert!(matches!(begun, Err(HubError::Store(_))), "{begun:?}");
    hub.stop().await;
    assert!(hub.shared.find(&key).is_none());
}

/// Keeps the answers that it takes.
#[derive(Default)]
struct Answered(Mutex<Vec<Bytes>>);

#[async_trait]
impl Store for Answered {
    async fn commit(&self, transaction: Arc<Transaction>) -> Result<(), StoreError> {
        let messages = transaction.answers.iter().map(|answer| answer.message.clone());
        self.0.lock().expect("not poisoned").extend(messages);
        Ok(())
    }

    async fn recover(&self, _: u64) -> Result<Recovered, StoreError> {
        Ok(Recovered::default())
    }

    async fn close(&self) {}
}

#[tokio::test]
async fn an_answer_that_comes_when_nobody_listens_any_more_is_kept_until_the_run_is_over() {
    let store = Arc::new(Answered::default());
    let hub = MemoryHub::start(HubOptions::default(), Arc::<Answered>::clone(&store));
    let key = |number: u8| ChannelKey {
        account: AccountId::new("one"),
        channel: ChannelId::from_random([number; 18]),
    };
    let kept = || store.0.lock().expect("not poisoned").clone();
    let run = RunRecord {
        key: key(1),
        order: Bytes::from_static(b"{}"),
        digest: [1; 32],
        title: String::new(),
        model: String::new(),
        created_at: 1,
        private: false,
        progress: RunProgress::queued(),
    };
    hub.begin(run, Vec::new()).await.expect("taken");
    for channel in [2, 3, 4] {
        let listener = hub.listen(&key(1), &key(channel).channel, "call").await;
        if channel == 2 {
            assert_eq!(listener.close().await, None);
        } else {
            drop(listener);
        }
    }
    for (channel, message, count) in [(2, "\"late\"", 0), (3, "\"first\"", 1), (3, "\"second\"", 1)] {
        hub.publish(&key(channel), message.as_bytes()).await.expect("taken");
        assert_eq!(kept().len(), count, "{message}");
    }
    assert_eq!(kept(), ["\"first\""]);
    let over = Append {
        key: key(1),
        events: Vec::new(),
        progress: Some(RunProgress {
            status: RunStatus::Ended,
            ..RunProgress::queued()
        }),
        checkpoint: None,
    };
    hub.append(over).await.expect("queued");
    hub.settle().await.expect("settled");
    assert!(hub.shared.find(&key(3)).is_none() && hub.shared.find(&key(4)).is_none());
    hub.publish(&key(4), b"\"late\"").await.expect("taken");
    assert_eq!(kept().len(), 1);
}

/// Takes a while, and keeps the answers.
#[derive(Default)]
struct Slow(Answered);

#[async_trait]
impl Store for Slow {
    async fn commit(&self, transaction: Arc<Transaction>) -> Result<(), StoreError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.0.commit(transaction).await
    }

    async fn recover(&self, _: u64) -> Result<Recovered, StoreError> {
        Ok(Recovered::default())
    }

    async fn close(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_second_answer_waits_for_the_first_and_is_not_the_next_calls() {
    let store = Arc::new(Slow::default());
    let hub = MemoryHub::start(HubOptions::default(), Arc::<Slow>::clone(&store));
    let kept = || store.0.0.lock().expect("not poisoned").clone();
    let key = |number: u8| ChannelKey {
        account: AccountId::new("one"),
        channel: ChannelId::from_random([number; 18]),
    };
    let mut first = hub.listen(&key(1), &key(2).channel, "a").await;
    let publish = |message: &'static str| {
        let (hub, channel) = (hub.clone(), key(2));
        tokio::spawn(async move { hub.publish(&channel, message.as_bytes()).await })
    };
    let begin = Instant::now();
    let publishing = [publish("\"1\""), publish("\"2\"")];
    let answer = first.next().await;
    // The run goes on with its next call at once.
    let mut second = hub.listen(&key(1), &key(2).channel, "b").await;
    assert_eq!(answer, "\"1\"");
    for published in publishing {
        assert_eq!(published.await.expect("no panic"), Ok(()));
        assert!(
            begin.elapsed() >= Duration::from_millis(10),
            "before the first one was kept"
        );
    }
    assert_eq!(kept(), ["\"1\""]);
    hub.publish(&key(2), b"\"3\"").await.expect("taken");
    assert_eq!(second.next().await, "\"3\"");
    assert_eq!(kept(), ["\"1\"", "\"3\""]);
    // A hub that stops leaves nobody waiting.
    drop(second);
    hub.stop().await;
    assert_eq!(hub.publish(&key(2), b"\"4\"").await, Err(HubError::Stopped));
}
