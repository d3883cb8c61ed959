//! How fast a subscription's bytes become events: lines, wrappers, payloads.

use switchboard::wire::{LineDecoder, SubscriptionLine};

fn main() {
    divan::main();
}

fn stream(lines: usize) -> Vec<u8> {
    (0..lines)
        .flat_map(|id| {
            format!("{{\"type\":\"message\",\"id\":{id},\"createdAt\":1700000000000,\"data\":{{\"type\":\"token\",\"data\":{{\"token\":\" word{id}\"}}}}}}\n")
                .into_bytes()
        })
        .collect()
}

#[divan::bench(args = [1_000, 10_000])]
fn lines_only(bencher: divan::Bencher<'_, '_>, lines: usize) {
    let bytes = stream(lines);
    bencher
        .counter(divan::counter::BytesCount::new(bytes.len()))
        .bench(|| decode(&bytes, |_| ()));
}

#[divan::bench(args = [1_000, 10_000])]
fn lines_to_events(bencher: divan::Bencher<'_, '_>, lines: usize) {
    let bytes = stream(lines);
    bencher.counter(divan::counter::BytesCount::new(bytes.len())).bench(|| {
        let mut events = 0;
        decode(&bytes, |line| {
            if let Ok(SubscriptionLine::Message(message)) = SubscriptionLine::parse(line) {
                events += usize::from(message.event().is_some());
            }
        });
        assert_eq!(events, lines);
    });
}

fn decode(bytes: &[u8], mut take: impl FnMut(&[u8])) {
    let mut decoder = LineDecoder::default();
    for chunk in bytes.chunks(16 * 1024) {
        decoder.push(chunk);
        while let Some(Ok(line)) = decoder.next_line() {
            take(&line);
        }
    }
}
