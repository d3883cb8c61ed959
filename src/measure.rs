//! The instruments of the server's parts: counters and histograms that a part holds and counts with, and how often a log
//! says what happens often.
//!
//! Who measures knows only its own instruments; `server::metrics` shows them all. Nothing here names an account, a
//! channel or a person, and nothing costs more than an atomic for each event of a run; what takes a lock is counted
//! once a commit, a request or a model call.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// From a tenth of a millisecond to about 26 seconds, four times as long each.
fn short_times() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 10))
}

/// From 5 milliseconds to about 11 minutes, three times as long each.
fn long_times() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 3.0, 11))
}

/// What the hub counts.
#[derive(Debug, Clone)]
pub struct HubMeters {
    /// Events of runs that were committed.
    pub events: Counter,
    /// Messages that were published.
    pub published: Counter,
    /// Hand-overs of lines to readers.
    pub deliveries: Counter,
    /// Bytes that were handed to readers.
    pub delivered_bytes: Counter,
    /// Readers that were given up because they were too slow.
    pub overruns: Counter,
    /// How long commits took, in seconds; what the store refused included.
    pub commit_seconds: Histogram,
    /// Events in a commit.
    pub commit_events: Histogram,
    /// Commits that the store refused.
    pub refused_commits: Counter,
}

impl Default for HubMeters {
    fn default() -> Self {
        Self {
            events: Counter::default(),
            published: Counter::default(),
            deliveries: Counter::default(),
            delivered_bytes: Counter::default(),
            overruns: Counter::default(),
            commit_seconds: short_times(),
            commit_events: Histogram::new(exponential_buckets(1.0, 4.0, 9)),
            refused_commits: Counter::default(),
        }
    }
}

/// Which requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The method.
    pub method: &'static str,
    /// The route as the table has it; `other` when there is none.
    pub route: &'static str,
    /// The status of the answer.
    pub status: u16,
}

/// Which requests are timed together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabel {
    /// The route as the table has it; `other` when there is none.
    pub route: &'static str,
}

/// Why something happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// One of a few words.
    pub reason: &'static str,
}

/// What the HTTP server counts.
#[derive(Debug, Clone)]
pub struct HttpMeters {
    /// Requests that were answered.
    pub requests: Family<RequestLabels, Counter>,
    /// How long it took until the head of the answer, in seconds.
    pub seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
    /// Subscriptions that are open.
    pub subscribers: Gauge,
}

impl Default for HttpMeters {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(short_times),
            subscribers: Gauge::default(),
        }
    }
}

/// What is counted of model calls.
#[derive(Debug, Clone)]
pub struct ModelMeters {
    /// Calls that began.
    pub calls: Counter,
    /// Calls that are going on.
    pub in_flight: Gauge,
    /// Calls that ended with an error, by its kind.
    pub errors: Family<ReasonLabel, Counter>,
    /// Requests that were made again after one that failed.
    pub retries: Counter,
    /// How long it took until something came, in seconds.
    pub first_piece_seconds: Histogram,
    /// How long whole calls took, in seconds; those that were given up included.
    pub seconds: Histogram,
    /// Tokens that models read.
    pub input_tokens: Counter,
    /// Tokens that models wrote.
    pub output_tokens: Counter,
}

impl Default for ModelMeters {
    fn default() -> Self {
        Self {
            calls: Counter::default(),
            in_flight: Gauge::default(),
            errors: Family::default(),
            retries: Counter::default(),
            first_piece_seconds: long_times(),
            seconds: long_times(),
            input_tokens: Counter::default(),
            output_tokens: Counter::default(),
        }
    }
}

/// What is counted of runs.
#[derive(Debug, Clone, Default)]
pub struct RunMeters {
    /// Runs that were taken.
    pub dispatched: Counter,
    /// Runs that ended, by how.
    pub ended: Family<ReasonLabel, Counter>,
}

/// How long the log is silent about what it said just now.
const SILENCE: Duration = Duration::from_secs(10);

/// Something that the log says now and then, however often it happens: whoever floods the server does not flood its log.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Counts one more; when it is to be said, how often it happened without being said.
    pub(crate) fn happened(&self) -> Option<u64> {
        self.happened_at(Instant::now())
    }

    fn happened_at(&self, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.last.is_some_and(|last| now.duration_since(last) < SILENCE) {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_said_seldom() {
        let seldom = Seldom::default();
        let now = Instant::now();
        assert_eq!(seldom.happened_at(now), Some(0));
        for _ in 0..1000 {
            assert_eq!(seldom.happened_at(now), None);
        }
        assert_eq!(seldom.happened_at(now + SILENCE), Some(1000));
        assert_eq!(seldom.happened_at(now + SILENCE), None);
    }
}
