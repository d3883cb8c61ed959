//! When a request to an upstream is made again, and after how long: a function of what went wrong.
//!
//! It waits for nothing and sends nothing. That nothing is repeated once a piece of an answer has been handed on is
//! the caller's rule.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::ModelError;

/// The wait before the first repetition; it doubles with each.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait that is not the upstream's own wish.
const LONGEST: Duration = Duration::from_secs(30);
/// The most that a wait that the upstream asked for is stretched, so that not all come back at once.
const STRETCH: Duration = Duration::from_secs(1);

/// How often and how long a request is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Repetitions of one request; 0 for none.
    pub count: u32,
    /// The time from the first attempt within which the last one begins.
    pub within: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            count: 4,
            within: Duration::from_secs(120),
        }
    }
}

impl Retries {
    /// Every error is final.
    pub const NONE: Self = Self {
        count: 0,
        within: Duration::ZERO,
    };
}

/// The attempts at one request.
#[derive(Debug)]
pub(super) struct Attempts {
    retries: Retries,
    made: u32,
    begun: Option<Instant>,
}

impl Attempts {
    pub(super) fn new(retries: Retries) -> Self {
        Self {
            retries,
            made: 0,
            begun: None,
        }
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self) {
        self.begun.get_or_insert_with(Instant::now);
        self.made += 1;
    }

    /// How many attempts there were.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// How long to wait before the next attempt after this error; `None` when there is to be none. `chance` is
    /// between 0 and 1.
    pub(super) fn next(&self, error: &ModelError, chance: f64) -> Option<Duration> {
        let chance = chance.clamp(0.0, 1.0);
        if !repeatable(error) || self.made > self.retries.count {
            return None;
        }
        let wait = match retry_after(error) {
            Some(asked) => asked.checked_add(STRETCH.min(asked / 4).mul_f64(chance))?,
            None => {
                let doublings = self.made.saturating_sub(1).min(16);
                let longest = FIRST.saturating_mul(1 << doublings).min(LONGEST);
                longest.mul_f64(0.5 + chance / 2.0)
            }
        };
        // An upstream that wants to be left alone for longer than there is time is not asked in vain.
        let begun = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        (begun.checked_add(wait)? <= self.retries.within).then_some(wait)
    }
}

/// Whether the same request may do better: the upstream is overloaded, broken for now, or not there. What it does
/// not know (501), does not speak (505) or refuses (4xx) stays so.
fn repeatable(error: &ModelError) -> bool {
    match error {
        ModelError::RateLimited { .. } | ModelError::Unreachable { .. } | ModelError::Cut { .. } => true,
        ModelError::Status { status, .. }
        | ModelError::Failed {
            status: Some(status), ..
        } => is_passing(*status),
        _ => false,
    }
}

/// Whether a status says that it is the upstream's trouble, and one that may pass.
fn is_passing(status: u16) -> bool {
    (500..=599).contains(&status) && !matches!(status, 501 | 505)
}

fn retry_after(error: &ModelError) -> Option<Duration> {
    match error {
        ModelError::RateLimited { retry_after, .. } | ModelError::Status { retry_after, .. } => *retry_after,
        _ => None,
    }
}

/// What a `Retry-After` header says: seconds, or an HTTP date (RFC 9110, section 10.2.3).
pub(super) fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        // Some upstreams send fractions.
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

/// A number between 0 and 1.
pub(super) fn chance() -> f64 {
    // Without random numbers all wait the longest.
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> ModelError {
        ModelError::Status {
            url: String::new(),
            status,
            message: String::new(),
            retry_after: None,
        }
    }

    fn limited(retry_after: Option<u64>) -> ModelError {
        ModelError::RateLimited {
            url: String::new(),
            message: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn inside(status: Option<u16>) -> ModelError {
        ModelError::Failed {
            url: String::new(),
            message: String::new(),
            status,
        }
    }

    #[test]
    fn only_what_may_pass_is_repeated() {
        for (code, again) in [
            (500, true),
            (502, true),
            (503, true),
            (504, true),
            (529, true),
            // What is only too much for now is another error.
            (429, false),
            (501, false),
            (505, false),
            (400, false),
            (401, false),
            (404, false),
            (408, false),
            (302, false),
            (600, false),
        ] {
            assert_eq!(repeatable(&status(code)), again, "{code}");
            assert_eq!(repeatable(&inside(Some(code))), again, "{code}");
        }
        assert!(!repeatable(&inside(None)));
        assert!(repeatable(&limited(None)));
        let url = String::new;
        for (error, again) in [
            (
                ModelError::Unreachable {
                    url: url(),
                    reason: url(),
                },
                true,
            ),
            (ModelError::Cut { url: url() }, true),
            (
                ModelError::Garbage {
                    url: url(),
                    reason: url(),
                },
                false,
            ),
            (
                ModelError::Silent {
                    url: url(),
                    silence: Duration::ZERO,
                },
                false,
            ),
            (ModelError::TooLarge { limit: 1 }, false),
        ] {
            assert_eq!(repeatable(&error), again, "{error:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_and_count_and_time_bound_them() {
        let retries = Retries {
            count: 3,
            within: Duration::from_secs(60),
        };
        let mut attempts = Attempts::new(retries);
        let mut waits = Vec::new();
        for _ in 0..5 {
            attempts.begin();
            waits.push((attempts.next(&status(503), 0.0), attempts.next(&status(503), 1.0)));
        }
        let ms = |ms| Some(Duration::from_millis(ms));
        let expected = [
            (ms(250), ms(500)),
            (ms(500), ms(1000)),
            (ms(1000), ms(2000)),
            (None, None),
            (None, None),
        ];
        assert_eq!(waits, expected);

        let mut attempts = Attempts::new(retries);
        attempts.begin();
        assert_eq!(attempts.next(&limited(Some(7)), 0.0), ms(7_000));
        assert_eq!(attempts.next(&limited(Some(7)), 1.0), ms(8_000));
        assert_eq!(attempts.next(&limited(Some(0)), 1.0), ms(0));
        assert_eq!(attempts.next(&limited(Some(61)), 0.0), None);
        assert_eq!(attempts.next(&limited(Some(u64::MAX)), 1.0), None);
        tokio::time::advance(Duration::from_secs(55)).await;
        assert_eq!(attempts.next(&limited(Some(7)), 0.0), None, "the time is up before it");
        assert_eq!(attempts.next(&limited(Some(4)), 0.0), ms(4_000));

        let mut none = Attempts::new(Retries::NONE);
        none.begin();
        assert_eq!(none.next(&status(503), 0.0), None);
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 01:00:00 GMT").expect("a date");
        for (value, expected) in [
            ("7", Some(7_000)),
            (" 0 ", Some(0)),
            ("1.5", Some(1_500)),
            ("Sun, 22 Nov 2026 01:00:30 GMT", Some(30_000)),
            ("Sun, 22 Nov 2026 00:00:00 GMT", Some(0)),
            ("-1", None),
            ("1e99", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                parse_retry_after(value, now),
                expected.map(Duration::from_millis),
                "{value}"
            );
        }
    }
}
