//! How far a run may go: what a server allows, and what a request asks for within it.
//!
//! It counts nothing; `run` does.

use std::time::Duration;

use crate::wire::request::Limits;

/// Bounds of every run of an [`Engine`](super::Engine).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineLimits {
    /// Model calls of one run, at most.
    pub max_iterations: u64,
    /// Function calls of one run, at most.
    pub max_calls: u64,
    /// How often a model that ran into its longest answer is told to go on, in one run, at most.
    pub max_continuations: u64,
    /// What a run gets that does not ask; where it says nothing, as much as is allowed.
    pub defaults: Limits,
    /// How long a run waits for the answer of one function; never longer than the run may take.
    pub wait: Duration,
    /// How long a whole run may take, waiting included; the time between two servers is not counted.
    pub run: Duration,
    /// Text, reasoning and arguments of one model call, in bytes.
    pub max_answer: usize,
    /// What a run adds to its conversation, in bytes: it is kept again with every step.
    pub max_added: usize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            max_iterations: 20,
            max_calls: 100,
            max_continuations: 4,
            defaults: Limits::default(),
            wait: Duration::from_secs(10 * 60),
            run: Duration::from_secs(15 * 60),
            max_answer: 16 * 1024 * 1024,
            max_added: 32 * 1024 * 1024,
        }
    }
}

/// The bounds of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) iterations: u64,
    pub(super) calls: u64,
    pub(super) continuations: u64,
}

impl EngineLimits {
    /// The most that a run can be granted.
    #[must_use]
    pub fn most(&self) -> Limits {
        Limits {
            iterations: Some(self.max_iterations),
            continuations: Some(self.max_continuations),
            calls: Some(self.max_calls),
        }
    }

    /// What a run gets that does not ask.
    #[must_use]
    pub fn granted(&self) -> Limits {
        let bounds = self.bounds(None);
        Limits {
            iterations: Some(bounds.iterations),
            continuations: Some(bounds.continuations),
            calls: Some(bounds.calls),
        }
    }

    /// The bounds of a run that asks for something: less than is allowed is granted, more is cut to what is allowed.
    pub(super) fn bounds(&self, asked: Option<&Limits>) -> Bounds {
        let bound = |field: fn(&Limits) -> Option<u64>, most: u64| {
            let asked = asked.and_then(field).or(field(&self.defaults));
            asked.unwrap_or(most).min(most)
        };
        Bounds {
            iterations: bound(|limits| limits.iterations, self.max_iterations),
            calls: bound(|limits| limits.calls, self.max_calls),
            continuations: bound(|limits| limits.continuations, self.max_continuations),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gets_what_it_asks_for_within_what_is_allowed() {
        let limits = EngineLimits {
            max_iterations: 20,
            max_calls: 100,
            max_continuations: 4,
            defaults: Limits {
                iterations: Some(5),
                calls: None,
                continuations: Some(9),
            },
            ..EngineLimits::default()
        };
        let asked = |iterations, calls, continuations| Limits {
            iterations,
            calls,
            continuations,
        };
        for (asked, expected) in [
            (None, (5, 100, 4)),
            (Some(asked(None, None, None)), (5, 100, 4)),
            (Some(asked(Some(7), Some(2), Some(1))), (7, 2, 1)),
            (Some(asked(Some(99), Some(101), Some(u64::MAX))), (20, 100, 4)),
        ] {
            let Bounds {
                iterations,
                calls,
                continuations,
            } = limits.bounds(asked.as_ref());
            assert_eq!((iterations, calls, continuations), expected, "{asked:?}");
        }
    }
}
