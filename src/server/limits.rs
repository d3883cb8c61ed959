//! How many requests an account may make in a time: a bucket that fills at a steady rate and holds a burst.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// A rate of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second, for as long as one likes.
    pub per_second: NonZeroU32,
    /// Requests at once, after a time of quiet.
    pub burst: NonZeroU32,
}

/// The requests of one account, whichever of its secrets they show.
pub(super) struct Requests {
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Requests {
    pub(super) fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self {
            limiter: RateLimiter::direct(quota),
            clock: DefaultClock::default(),
        }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// How long to wait before the next one is taken.
    pub(super) fn count(&self) -> Result<(), Duration> {
        self.limiter
            .check()
            .map_err(|refused| refused.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_what_is_over_it_is_told_to_wait() {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        let requests = Requests::new(Rate {
            per_second: number(1),
            burst: number(3),
        });
        for _ in 0..3 {
            assert_eq!(requests.count(), Ok(()));
        }
        let wait = requests.count().expect_err("the burst is over");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    }
}
