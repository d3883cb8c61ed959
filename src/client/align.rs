//! Where a replay meets what was seen, on servers whose lines carry no ids: told by content.
//!
//! After a reconnection such a server sends its newest retained events from some point on, then live
//! ones, with no mark between. [`Aligner`] compares them with what was seen before and passes on what is
//! new. An overlap that cannot be told for sure (equal tokens) counts as a gap, and then the longest
//! possible overlap is taken, so that nothing comes twice. It is pure: fingerprints and values in,
//! decisions out; it never looks into a value.

use std::collections::VecDeque;

/// How many events are remembered: what a server sends at most as history.
const WINDOW: usize = crate::wire::request::LONGEST_HISTORY as usize;
/// An overlap of so many equal events in a row is taken for real even if each of them is common.
const CONVINCING: usize = 24;

/// What stands for an event: a hash of its content, and whether content like it is rare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// A fingerprint out of a hash. `rare`: the event is no mere token, so that two equal ones in a run
    /// are unlikely.
    #[must_use]
    pub fn new(hash: u64, rare: bool) -> Self {
        Self(hash & !1 | u64::from(rare))
    }

    fn is_rare(self) -> bool {
        self.0 & 1 == 1
    }
}

/// What comes out of an [`Aligner`].
#[derive(Debug, PartialEq, Eq)]
pub enum Aligned<T> {
    /// Something may be missing here.
    Gap,
    /// A value that was not there before.
    New(T),
}

/// Follows one channel over all its connections.
#[derive(Debug)]
pub struct Aligner<T> {
    /// The last events that were passed on or known to be passed on, oldest first.
    seen: VecDeque<Fingerprint>,
    /// How many events were seen before those.
    forgotten: u64,
    /// The first event of all, while it is known to stand nowhere else.
    head: Option<Fingerprint>,
    replay: Replay<T>,
}

#[derive(Debug)]
enum Replay<T> {
    /// What comes is new.
    Live,
    /// What comes may have been seen: it is being compared.
    Comparing(Comparison<T>),
    /// What comes was seen: the replay began at position `start` of all events and is at `position`.
    Passing { start: u64, position: u64 },
}

/// A replay that may begin at several positions of what was seen.
#[derive(Debug)]
struct Comparison<T> {
    /// Positions in `seen` at which the replay may begin, ascending; all have more to compare.
    open: Vec<usize>,
    /// Positions that matched up to the end of `seen`: the lowest one, and how many.
    closed: Option<(usize, usize)>,
    /// The replay so far.
    held: Vec<(Fingerprint, T)>,
}

impl<T> Default for Aligner<T> {
    fn default() -> Self {
        Self {
            seen: VecDeque::new(),
            forgotten: 0,
            head: None,
            replay: Replay::Live,
        }
    }
}

impl<T> Aligner<T> {
    /// Whether anything was seen.
    #[must_use]
    pub fn has_seen(&self) -> bool {
        !self.seen.is_empty()
    }

    /// A new connection begins: what comes next repeats what the server retains. What was undecided
    /// about an earlier replay is forgotten, since this one brings it again.
    pub fn begin_replay(&mut self) {
        self.replay = if self.seen.is_empty() {
            Replay::Live
        } else {
            Replay::Comparing(Comparison {
                open: (0..self.seen.len()).collect(),
                closed: None,
                held: Vec::new(),
            })
        };
    }

    /// Takes the next event; `out` gets what is now known to be new, in order.
    pub fn take(&mut self, fingerprint: Fingerprint, value: T, mut out: impl FnMut(Aligned<T>)) {
        match &mut self.replay {
            Replay::Live => {
                self.remember(fingerprint);
                out(Aligned::New(value));
            }
            Replay::Passing { start, position } => {
                let (start, at) = (*start, *position);
                *position += 1;
                let end = self.forgotten + self.seen.len() as u64;
                if at + 1 == end {
                    self.replay = Replay::Live;
                }
                let expected = at.checked_sub(self.forgotten).map(|at| self.seen[at as usize]);
                if expected.is_some_and(|expected| expected != fingerprint) {
                    // What was seen lacks something that the server has, or the other way round. From here on
                    // the server's account counts.
                    self.keep_only(start, at);
                    out(Aligned::Gap);
                    self.remember(fingerprint);
                    out(Aligned::New(value));
                }
            }
            Replay::Comparing(comparison) => {
                let first = comparison.held.is_empty();
                if first && self.head == Some(fingerprint) && self.forgotten > 0 {
                    // The run's own beginning, too far back to compare: aligned by position.
                    self.replay = Replay::Passing { start: 0, position: 1 };
                    return;
                }
                comparison.compare(&self.seen, fingerprint);
                comparison.held.push((fingerprint, value));
                self.decide(out);
            }
        }
    }

    /// Ends the comparison if it can be ended.
    fn decide(&mut self, mut out: impl FnMut(Aligned<T>)) {
        let Replay::Comparing(comparison) = &mut self.replay else {
            return;
        };
        let compared = comparison.held.len();
        match (comparison.open.as_slice(), comparison.closed) {
            ([], None) => {
                // No overlap at all: everything retained is newer than what was seen.
                let held = std::mem::take(&mut comparison.held);
                self.begin_anew();
                out(Aligned::Gap);
                self.pass_on(held, 0, out);
            }
            ([], Some((start, candidates))) => {
                let overlap = self.seen.len() - start;
                let sure = candidates == 1 && convinces(&self.seen, start, overlap);
                let held = std::mem::take(&mut comparison.held);
                if sure {
                    self.replay = Replay::Live;
                } else {
                    // The replay is the server's own account: from now on it is what was seen.
                    self.begin_anew();
                    for (fingerprint, _) in &held[..overlap] {
                        self.remember(*fingerprint);
                    }
                    out(Aligned::Gap);
                }
                self.pass_on(held, overlap, out);
            }
            ([start], None) if convinces(&self.seen, *start, compared) => {
                let start = self.forgotten + *start as u64;
                let position = start + compared as u64;
                self.replay = Replay::Passing { start, position };
            }
            _ => {}
        }
    }

    fn pass_on(&mut self, held: Vec<(Fingerprint, T)>, from: usize, mut out: impl FnMut(Aligned<T>)) {
        for (fingerprint, value) in held.into_iter().skip(from) {
            self.remember(fingerprint);
            out(Aligned::New(value));
        }
    }

    /// Forgets all that was seen but the positions from `start` up to `end`.
    fn keep_only(&mut self, start: u64, end: u64) {
        self.replay = Replay::Live;
        let end = end.saturating_sub(self.forgotten) as usize;
        self.seen.truncate(end);
        if start > 0 {
            let start = start.saturating_sub(self.forgotten) as usize;
            self.seen.drain(..start.min(end));
            self.forgotten = 0;
            self.head = None;
        }
    }

    fn begin_anew(&mut self) {
        self.seen.clear();
        self.forgotten = 0;
        self.head = None;
        self.replay = Replay::Live;
    }

    fn remember(&mut self, fingerprint: Fingerprint) {
        if self.seen.is_empty() && self.forgotten == 0 {
            self.head = Some(fingerprint).filter(|fingerprint| fingerprint.is_rare());
        } else if self.head == Some(fingerprint) {
            self.head = None;
        }
        if self.seen.len() == WINDOW {
            self.seen.pop_front();
            self.forgotten += 1;
        }
        self.seen.push_back(fingerprint);
    }
}

/// Whether equal events from `start` on are no coincidence.
fn convinces(seen: &VecDeque<Fingerprint>, start: usize, length: usize) -> bool {
    length >= CONVINCING
        || seen
            .range(start..start + length)
            .any(|fingerprint| fingerprint.is_rare() && seen.iter().filter(|other| *other == fingerprint).count() == 1)
}

impl<T> Comparison<T> {
    /// Keeps the positions that the next event of the replay agrees with.
    fn compare(&mut self, seen: &VecDeque<Fingerprint>, fingerprint: Fingerprint) {
        let compared = self.held.len();
        self.open.retain(|start| seen[start + compared] == fingerprint);
        // The positions are ascending, so the last one is the first to reach the end of `seen`.
        if self.open.last().is_some_and(|start| start + compared + 1 == seen.len()) {
            let start = self.open.pop().unwrap_or_default();
            let candidates = self.closed.map_or(0, |(_, candidates)| candidates);
            self.closed = Some((start, candidates + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The true log: a head that stands nowhere else, tokens of a small alphabet, marks in between.
    fn log(tokens: &[u8], alphabet: u8) -> Vec<Fingerprint> {
        let mut log = vec![Fingerprint::new(1000, true)];
        for (at, token) in tokens.iter().enumerate() {
            log.push(match token {
                250.. => Fingerprint::new(2000 + 2 * at as u64, true),
                _ => Fingerprint::new(u64::from(token % alphabet) * 2, false),
            });
        }
        log.push(Fingerprint::new(9000, true));
        log
    }

    /// One connection reads `log[from..to]`. Positions of the log come out; `None` is a gap.
    fn read(aligner: &mut Aligner<usize>, log: &[Fingerprint], from: usize, to: usize, out: &mut Vec<Option<usize>>) {
        aligner.begin_replay();
        for (at, fingerprint) in log.iter().enumerate().take(to).skip(from) {
            aligner.take(*fingerprint, at, |aligned| {
                out.push(match aligned {
                    Aligned::Gap => None,
                    Aligned::New(at) => Some(at),
                });
            });
        }
    }

    fn check(out: &[Option<usize>], length: usize) -> Result<(), TestCaseError> {
        let mut next = 0;
        let mut gap = false;
        for position in out {
            match position {
                None => gap = true,
                Some(at) => {
                    prop_assert!(*at >= next, "position {at} came twice: {out:?}");
                    prop_assert!(*at == next || gap, "a silent hole before {at}: {out:?}");
                    next = at + 1;
                    gap = false;
                }
            }
        }
        prop_assert_eq!(next, length, "the end is missing: {:?}", out);
        Ok(())
    }

    proptest! {
        #[test]
        fn whole_replays_align_by_position(
            tokens in proptest::collection::vec(any::<u8>(), 0..60),
            alphabet in 1u8..3,
            ends in proptest::collection::vec(0usize..62, 0..6),
        ) {
            let log = log(&tokens, alphabet);
            let mut aligner = Aligner::default();
            let mut out = Vec::new();
            for end in ends.into_iter().chain([log.len()]) {
                read(&mut aligner, &log, 0, end.min(log.len()), &mut out);
            }
            let expected: Vec<_> = (0..log.len()).map(Some).collect();
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn trimmed_replays_repeat_nothing_and_hide_no_hole(
            tokens in proptest::collection::vec(any::<u8>(), 0..80),
            alphabet in 1u8..3,
            history in 1usize..90,
            steps in proptest::collection::vec((0usize..20, 0usize..20), 0..8),
        ) {
            let log = log(&tokens, alphabet);
            let mut aligner = Aligner::default();
            let mut out = Vec::new();
            let mut length = 0;
            // Before each connection the log grows, its history is trimmed; then it grows live.
            for (away, live) in steps.into_iter().chain([(0, log.len())]) {
                length = (length + away).min(log.len());
                // What is trimmed before anything was seen nobody can know.
                let from = if out.is_empty() { 0 } else { length.saturating_sub(history) };
                length = (length + live).min(log.len());
                read(&mut aligner, &log, from, length, &mut out);
            }
            check(&out, log.len())?;
        }
    }

    #[test]
    fn a_run_longer_than_the_window_aligns_by_its_head() {
        let mut log: Vec<Fingerprint> = vec![Fingerprint::new(1000, true)];
        log.extend((0..WINDOW as u64 + 500).map(|at| Fingerprint::new(at % 7 * 2, false)));
        let mut aligner = Aligner::default();
        let mut out = Vec::new();
        read(&mut aligner, &log, 0, log.len() - 10, &mut out);
        read(&mut aligner, &log, 0, log.len(), &mut out);
        assert!(out.iter().copied().eq((0..log.len()).map(Some)));
    }

    #[test]
    fn another_run_on_the_channel_is_shown_after_a_gap() {
        let mut aligner = Aligner::default();
        let mut out = Vec::new();
        let first: Vec<_> = (0..5).map(|at| Fingerprint::new(100 + 2 * at, true)).collect();
        let second: Vec<_> = (0..5).map(|at| Fingerprint::new(200 + 2 * at, true)).collect();
        read(&mut aligner, &first, 0, 5, &mut out);
        read(&mut aligner, &second, 0, 3, &mut out);
        read(&mut aligner, &second, 0, 5, &mut out);
        let expected: Vec<_> = (0..5).map(Some).chain([None]).chain((0..5).map(Some)).collect();
        assert_eq!(out, expected);
    }
}
