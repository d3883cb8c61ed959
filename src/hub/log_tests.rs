//! The log against a naive model, and the rules that no random walk should be trusted with.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::Start;
use super::log::{Log, Overrun, ReaderId, Step};
use crate::store::KeptEvents;

/// What a reader of the model has yet to get, as lines.
#[derive(Debug, Default)]
struct ModelReader {
    due: Vec<String>,
    told: bool,
    /// It may be ended or get a gap: something that it had not taken went.
    behind: bool,
}

/// Every line is kept in plain text; nothing is shared, sliced or merged.
#[derive(Debug, Default)]
struct Model {
    retained: Vec<(u64, String)>,
    next_id: u64,
    readers: HashMap<usize, ModelReader>,
}

const MOST: usize = 6;

impl Model {
    fn event(&mut self, text: &str) {
        let line = format!(
            "{{\"type\":\"message\",\"id\":{},\"createdAt\":7,\"data\":{text}}}\n",
            self.next_id
        );
        self.retained.push((self.next_id, line.clone()));
        self.next_id += 1;
        self.readers
            .values_mut()
            .for_each(|reader| reader.due.push(line.clone()));
    }

    fn publish(&mut self, text: &str) {
        let line = format!("{{\"type\":\"message\",\"data\":{text}}}\n");
        self.readers
            .values_mut()
            .for_each(|reader| reader.due.push(line.clone()));
    }

    /// Retention counts when a batch is sealed.
    fn trim(&mut self) {
        while self.retained.len() > MOST {
            let (_, line) = self.retained.remove(0);
            for reader in self.readers.values_mut() {
                reader.behind |= reader.due.contains(&line);
            }
        }
    }

    fn open(&mut self, key: usize, start: Start) {
        self.trim();
        let mut reader = ModelReader::default();
        let first = self.retained.first().map_or(self.next_id, |(id, _)| *id);
        let from = match start {
            Start::Newest(count) => self.next_id.saturating_sub(count),
            Start::After(id) => {
                reader.told = true;
                if id >= self.next_id {
                    reader.due.push("{\"type\":\"reset\",\"data\":{}}\n".to_owned());
                    0
                } else {
                    if id + 1 < first {
                        let missing = first - id - 1;
                        reader
                            .due
                            .push(format!("{{\"type\":\"gap\",\"data\":{{\"missing\":{missing}}}}}\n"));
                    }
                    id + 1
                }
            }
        };
        reader.due.extend(
            self.retained
                .iter()
                .filter(|(id, _)| *id >= from)
                .map(|(_, line)| line.clone()),
        );
        self.readers.insert(key, reader);
    }

    fn expire(&mut self) {
        for reader in self.readers.values_mut() {
            // Whoever had not taken every event lost some; the rest of its lines is not compared.
            reader.behind |= reader.due.iter().any(|line| line.contains("\"id\""));
            let reset = "{\"type\":\"reset\",\"data\":{}}\n".to_owned();
            if reader.told && self.next_id > 0 && !reader.due.contains(&reset) {
                // A published message has no place in a run, so the reset may come before it.
                reader.due.insert(0, reset);
            }
        }
        self.retained.clear();
        self.next_id = 0;
    }
}

#[derive(Debug, Clone)]
enum Action {
    Event,
    Publish,
    Seal,
    Expire,
    Open(Start),
    Read(usize),
    Close(usize),
}

fn steps() -> impl Strategy<Value = Vec<Action>> {
    let step = prop_oneof![
        6 => Just(Action::Event),
        4 => Just(Action::Publish),
        4 => Just(Action::Seal),
        1 => Just(Action::Expire),
        2 => (0u64..9).prop_map(|count| Action::Open(Start::Newest(count))),
        2 => (0u64..12).prop_map(|id| Action::Open(Start::After(id))),
        6 => (0usize..8).prop_map(Action::Read),
        1 => (0usize..8).prop_map(Action::Close),
    ];
    proptest::collection::vec(step, 0..120)
}

/// Everything that a reader can get now.
fn drain(log: &mut Log, reader: ReaderId) -> (Vec<String>, Option<Overrun>) {
    let mut lines = Vec::new();
    loop {
        match log.read(reader, None) {
            Step::Lines(bytes) => lines.extend(split(&bytes)),
            Step::Idle => return (lines, None),
            Step::Overrun(overrun) => return (lines, Some(overrun)),
        }
    }
}

fn split(bytes: &Bytes) -> Vec<String> {
    let text = std::str::from_utf8(bytes).expect("ASCII");
    text.split_inclusive('\n').map(str::to_owned).collect()
}

fn missing(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("{\"type\":\"gap\",\"data\":{\"missing\":")?;
    rest.strip_suffix("}}\n")?.parse().ok()
}

fn id_of(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("{\"type\":\"message\",\"id\":")?;
    rest.split(',').next()?.parse().ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn readers_get_what_the_model_says(steps in steps()) {
        let mut log = Log::new(MOST, 1 << 20);
        let mut model = Model::default();
        let mut ids: Vec<Option<ReaderId>> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Action::Event => {
                    log.push_event(7, number.to_string().as_bytes());
                    model.event(&number.to_string());
                }
                Action::Publish => {
                    log.push_published(number.to_string().as_bytes());
                    model.publish(&number.to_string());
                }
                Action::Seal => {
                    log.seal();
                    model.trim();
                }
                Action::Expire => {
                    log.seal();
                    model.trim();
                    log.expire();
                    model.expire();
                }
                Action::Open(start) => {
                    model.open(ids.len(), start);
                    ids.push(Some(log.open(start)));
                }
                Action::Close(at) => {
                    if let Some(id) = ids.get_mut(at).and_then(Option::take) {
                        log.close(id);
                        model.readers.remove(&at);
                    }
                }
                Action::Read(at) => {
                    let Some(id) = ids.get(at).copied().flatten() else { continue };
                    log.seal();
                    model.trim();
                    let (lines, overrun) = drain(&mut log, id);
                    let reader = model.readers.get_mut(&at).expect("the model has it too");
                    if !reader.behind {
                        prop_assert_eq!(overrun, None);
                        prop_assert_eq!(&lines, &reader.due);
                    } else {
                        // What it got is in order and once; a hole is told in full, or ends it.
                        let mut next = 0;
                        let mut skipped = 0;
                        for line in &lines {
                            if let Some(missing) = missing(line).filter(|_| reader.due.get(next) != Some(line)) {
                                prop_assert!(reader.told);
                                skipped += missing;
                                continue;
                            }
                            let found = reader.due[next..].iter().position(|due| due == line);
                            prop_assert!(found.is_some(), "{} is not due", line);
                            let at = next + found.unwrap_or_default();
                            let passed = reader.due[next..at].iter().filter(|line| id_of(line).is_some()).count();
                            prop_assert_eq!(passed as u64, skipped, "the gap counts what is missing");
                            skipped = 0;
                            next = at + 1;
                        }
                        prop_assert!(reader.told || overrun.is_some() || lines == reader.due);
                    }
                    reader.due.clear();
                    reader.behind = false;
                    if overrun.is_some() {
                        log.close(id);
                        ids[at] = None;
                        model.readers.remove(&at);
                    }
                }
            }
        }
    }
}

#[test]
fn published_messages_are_for_those_who_were_there() {
    let mut log = Log::new(10, 1 << 20);
    log.push_published(b"0");
    log.push_event(1, b"1");
    let early = log.open(Start::Newest(0));
    log.push_published(b"2");
    log.push_event(1, b"3");
    let late = log.open(Start::Newest(10));
    log.seal();
    let (lines, _) = drain(&mut log, early);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("\"data\":2"));
    let (lines, _) = drain(&mut log, late);
    assert_eq!(lines.iter().filter_map(|line| id_of(line)).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_reader_that_takes_nothing_is_ended_when_too_much_was_published() {
    let mut log = Log::new(10, 1000);
    let slow = log.open(Start::Newest(0));
    let fast = log.open(Start::After(0));
    drain(&mut log, fast);
    for _ in 0..100 {
        log.push_published(&[b'1'; 100]);
        log.seal();
        let (lines, overrun) = drain(&mut log, fast);
        assert_eq!((lines.len(), overrun), (1, None));
    }
    let (_, overrun) = drain(&mut log, slow);
    assert_eq!(overrun, Some(Overrun::Published));
}

#[test]
fn a_message_behind_the_last_event_that_goes_is_still_due_to_who_had_the_events() {
    let mut log = Log::new(6, 1 << 20);
    let reader = log.open(Start::Newest(0));
    log.push_event(1, b"0");
    drain(&mut log, reader);
    log.seal();
    drain(&mut log, reader);
    log.push_published(b"1");
    // A replay puts small batches together, the event and the message among them.
    log.open(Start::Newest(1));
    for _ in 0..6 {
        log.push_event(1, b"2");
    }
    log.seal();
    let (lines, overrun) = drain(&mut log, reader);
    assert_eq!((lines.len(), overrun), (7, None));
    assert!(lines[0].contains("\"data\":1"));
}

#[test]
fn the_bound_in_bytes_holds_and_the_newest_event_always_stays() {
    let mut log = Log::new(10_000, 10_000);
    for _ in 0..100 {
        log.push_event(1, &[b'1'; 1000]);
        log.seal();
    }
    let reader = log.open(Start::After(0));
    let (lines, overrun) = drain(&mut log, reader);
    assert_eq!(overrun, None);
    let told = missing(&lines[0]).expect("a gap first");
    let kept = lines.len() as u64 - 1;
    assert_eq!(told + kept, 99);
    assert!((1..=10).contains(&kept), "{kept}");
    assert_eq!(id_of(lines.last().expect("a line")), Some(99));
}

#[test]
fn a_long_replay_is_few_pieces() {
    let mut log = Log::new(10_000, 1 << 26);
    for _ in 0..10_000 {
        log.push_event(1, b"{\"type\":\"token\",\"data\":{\"token\":\"text\"}}");
        log.seal();
    }
    let reader = log.open(Start::Newest(10_000));
    let (mut pieces, mut lines) = (0, 0);
    while let Step::Lines(bytes) = log.read(reader, None) {
        pieces += 1;
        lines += split(&bytes).len();
    }
    assert_eq!(lines, 10_000);
    assert!(pieces < 100, "{pieces}");
}

#[test]
fn the_first_reader_after_a_restart_gets_what_is_within_the_bounds_as_lines() {
    // Little on disk, and more than the bound with what a line has around it.
    let (events, bytes) = (9000, 1_000_000);
    let kept = || KeptEvents {
        first_id: 0,
        lines: format!("\"{}\"\n", "x".repeat(97)).repeat(events).into_bytes(),
        batches: vec![(1, 7); events],
    };
    for start in [Start::Newest(10_000), Start::After(3)] {
        let mut log = Log::restore(10_000, bytes, events as u64, kept());
        let reader = log.open(start);
        let (mut lines, overrun) = drain(&mut log, reader);
        assert_eq!(overrun, None, "{start:?}");
        if start != Start::Newest(10_000) {
            lines.remove(0);
        }
        assert!((5000..events).contains(&lines.len()), "{start:?}: {}", lines.len());
        assert_eq!(id_of(lines.last().expect("a line")), Some(events as u64 - 1));
    }
}
