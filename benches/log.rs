//! What the channel log costs in process: an append, and its delivery to 1, 100 and 1,000 readers.

use divan::Bencher;
use divan::counter::ItemsCount;
use switchboard::hub::{Log, ReaderId, Start, Step};

const EVENT: &[u8] = br#"{"type":"token","data":{"token":"some text"}}"#;
const BATCH: usize = 32;

fn main() {
    divan::main();
}

fn log_with_readers(readers: usize) -> (Log, Vec<ReaderId>) {
    let mut log = Log::new(10_000, 64 * 1024 * 1024);
    let readers = (0..readers).map(|_| log.open(Start::Newest(0))).collect();
    (log, readers)
}

fn deliver(log: &mut Log, readers: &[ReaderId]) -> usize {
    log.seal();
    let mut bytes = 0;
    for reader in readers {
        while let Step::Lines(lines) = log.read(*reader, None) {
            bytes += lines.len();
        }
    }
    bytes
}

/// One event, sealed and delivered alone.
#[divan::bench(args = [1, 100, 1000])]
fn event_alone(bencher: Bencher, readers: usize) {
    let (mut log, ids) = log_with_readers(readers);
    bencher.counter(ItemsCount::new(readers)).bench_local(|| {
        log.push_event(1, EVENT);
        deliver(&mut log, &ids)
    });
}

/// Published messages, many in one seal.
#[divan::bench(args = [1, 100, 1000])]
fn published_batch(bencher: Bencher, readers: usize) {
    let (mut log, ids) = log_with_readers(readers);
    bencher.counter(ItemsCount::new(readers * BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            log.push_published(EVENT);
        }
        deliver(&mut log, &ids)
    });
}

/// A replay of everything that a channel retains.
#[divan::bench]
fn replay_of_10_000(bencher: Bencher) {
    let (mut log, _) = log_with_readers(0);
    for _ in 0..10_000 {
        log.push_event(1, EVENT);
        log.seal();
    }
    bencher.counter(ItemsCount::new(10_000usize)).bench_local(|| {
        let reader = log.open(Start::Newest(10_000));
        let bytes = deliver(&mut log, &[reader]);
        log.close(reader);
        bytes
    });
}
