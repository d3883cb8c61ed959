//! That the total of what is held is the sum of what the channels hold, whatever happens to them, and nothing in the end.

use futures::FutureExt as _;
use proptest::prelude::*;

use super::*;
use crate::store::{KeptEvents, MemoryStore, RecoveredRun, RunProgress};
use crate::wire::request::RunStatus;

#[derive(Debug, Clone)]
enum Step {
    Begin(u8, usize),
    Append(u8, usize, usize),
    End(u8),
    Publish(u8, usize),
    Read(u8, u64),
    Leave,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let channel = || 0..4_u8;
    prop_oneof![
        (channel(), 2..400_usize).prop_map(|(channel, size)| Step::Begin(channel, size)),
        (channel(), 1..12_usize, 1..300_usize).prop_map(|(channel, count, size)| Step::Append(channel, count, size)),
        channel().prop_map(Step::End),
        (channel(), 1..300_usize).prop_map(|(channel, size)| Step::Publish(channel, size)),
        (channel(), 0..20_u64).prop_map(|(channel, count)| Step::Read(channel, count)),
        Just(Step::Leave),
        (1..8_u64).prop_map(Step::Wait),
    ]
}

fn key(number: u8) -> ChannelKey {
    ChannelKey {
        account: AccountId::new("one"),
        channel: ChannelId::from_random([number; 18]),
    }
}

fn record(number: u8, order: usize) -> RunRecord {
    RunRecord {
        key: key(number),
        order: vec![b' '; order].into(),
        digest: [number; 32],
        title: String::new(),
        model: String::new(),
        created_at: 1,
        private: false,
        progress: RunProgress::queued(),
    }
}

fn end(number: u8) -> Append {
    Append {
        key: key(number),
        events: Vec::new(),
        progress: Some(RunProgress {
            status: RunStatus::Ended,
            ..RunProgress::queued()
        }),
        checkpoint: None,
    }
}

/// A channel with a run that had not ended, and one with events alone.
fn kept() -> Recovered {
    let channel = |number: u8, run| RecoveredChannel {
        key: key(number),
        run,
        next_id: 3,
        last_event: committer::unix_millis(),
        events: KeptEvents {
            first_id: 0,
            lines: b"{}\n[]\n\"x\"\n".to_vec(),
            batches: vec![(2, 1), (1, 2)],
        },
    };
    let run = RecoveredRun {
        record: record(0, 50),
        checkpoint: None,
        answers: Vec::new(),
    };
    Recovered {
        channels: vec![channel(0, Some(run)), channel(1, None)],
    }
}

fn check(hub: &MemoryHub) {
    let channels = hub.shared.every_channel();
    let sum: usize = channels.iter().map(|channel| channel.lock().held_now()).sum();
    assert_eq!(hub.held().bytes(), sum as u64);
}

async fn play(steps: Vec<Step>) {
    let options = HubOptions {
        retention: Duration::from_secs(10),
        events: 20,
        bytes: 1500,
        published: 500,
        ..HubOptions::default()
    };
    let hub = MemoryHub::restore(options, Arc::new(MemoryStore), kept());
    check(&hub);
    assert!(hub.held().bytes() >= 50 + 2 * 10);
    let mut readers = VecDeque::new();
    for step in steps {
        match step {
            Step::Begin(channel, order) => {
                // It may be taken already.
                let _ = hub.begin(record(channel, order), vec![Bytes::from_static(b"0")]).await;
            }
            Step::Append(channel, count, size) => {
                let events = (0..count).map(|_| vec![b'1'; size].into()).collect();
                let append = Append {
                    key: key(channel),
                    events,
                    progress: None,
                    checkpoint: None,
                };
                hub.append(append).await.expect("queued");
            }
            Step::End(channel) => hub.append(end(channel)).await.expect("queued"),
            Step::Publish(channel, size) => hub.publish(&key(channel), &vec![b'2'; size]).await.expect("taken"),
            Step::Read(channel, count) => {
                let mut reader = hub.open(&key(channel), Start::Newest(count)).await;
                let _ = reader.next().now_or_never();
                readers.push_back(reader);
            }
            Step::Leave => drop(readers.pop_front()),
            Step::Wait(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
        hub.settle().await.expect("settled");
        tokio::time::sleep(options.flush * 2).await;
        check(&hub);
    }
    for channel in 0..4 {
        hub.append(end(channel)).await.expect("queued");
    }
    tokio::time::sleep(options.retention * 3).await;
    assert_eq!(hub.held().bytes(), 0);
    check(&hub);
    hub.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_total_is_what_the_channels_hold(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(play(steps));
    }
}
