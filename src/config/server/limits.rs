//! `[server.limits]`: how far a run may go, and how many go on at once.
//!
//! What a request asks for beyond a maximum is cut to it, not refused; that is the engine's business.

use std::time::Duration;

use serde::Deserialize;

use crate::config::value;

/// Bounds of a run. A request may ask for less; more is cut to what stands here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Model calls of a run, at most.
    #[serde(deserialize_with = "value::at_least_one")]
    pub iterations: u64,
    /// Function calls of a run, at most.
    #[serde(deserialize_with = "value::at_least_one")]
    pub calls: u64,
    /// How often a model that ran into its longest answer is told to go on, at most.
    #[serde(deserialize_with = "value::at_least_one")]
    pub continuations: u64,
    /// Model calls of a run that does not ask; the maximum when absent.
    #[serde(deserialize_with = "value::count")]
    pub default_iterations: Option<u64>,
    /// Function calls of a run that does not ask; the maximum when absent.
    #[serde(deserialize_with = "value::count")]
    pub default_calls: Option<u64>,
    /// Continuations of a run that does not ask, 0 for none; the maximum when absent.
    #[serde(deserialize_with = "value::count_or_none")]
    pub default_continuations: Option<u64>,
    /// Runs at the same time; further ones wait in the queue.
    #[serde(deserialize_with = "value::at_least_one")]
    pub runs: u64,
    /// Runs in the queue; further ones are refused.
    #[serde(deserialize_with = "value::at_least_one")]
    pub queue: u64,
    /// What the orders of unfinished runs and the retained events may take in memory, in bytes; beyond that, further runs
    /// are refused.
    #[serde(deserialize_with = "value::bytes_between::<{ 1 << 20 }, { 1 << 40 }, _>")]
    pub memory: u64,
    /// How long a run waits for the answer to a function call; never longer than the run may take.
    #[serde(deserialize_with = "value::duration")]
    pub wait: Duration,
    /// How long a whole run may take, waiting included; the time between two servers is not counted.
    #[serde(deserialize_with = "value::duration")]
    pub run: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            iterations: 20,
            calls: 100,
            continuations: 4,
            default_iterations: None,
            default_calls: None,
            default_continuations: None,
            runs: 256,
            queue: 10_000,
            memory: 2 * 1024 * 1024 * 1024,
            wait: Duration::from_secs(10 * 60),
            run: Duration::from_secs(15 * 60),
        }
    }
}
