//! When to paint: turns requests into 60 frames a second at most, a key's frame at once, none when nothing changed.
//!
//! Pure: the time is passed in as the time since the program started. It does not paint and does not wait.

use std::time::Duration;

/// The time between the frames of a steady stream: 60 a second.
pub const FRAME_INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// After a quiet interval one frame may come early, but not sooner than this after the last one: what arrives just
/// after a frame of counters is seen at once, and the rate stays the same.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(4);

/// The shortest time between two frames of which only counters change: ten frames a second are calm to read.
pub const COUNTER_INTERVAL: Duration = Duration::from_millis(100);

/// How soon a frame is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Something changed beside what is being read.
    Counter,
    /// Something arrived or time passed: with the next frame of the clock.
    Stream,
    /// Somebody pressed a key: at once.
    AtOnce,
}

/// Turns requests for frames into the moments to paint them.
#[derive(Debug, Default)]
pub struct FrameLimiter {
    last_paint: Option<Duration>,
    /// When the frames so far would have been painted at a steady rate, the next one included.
    paid: Duration,
    due: Option<Duration>,
}

impl FrameLimiter {
    /// Asks for a frame at the time `now`. Several requests before a paint are one frame, at the earliest of their times.
    pub fn request(&mut self, now: Duration, urgency: Urgency) {
        let at = match (urgency, self.last_paint) {
            (Urgency::Stream, Some(last)) => {
                let early = self.paid.saturating_sub(FRAME_INTERVAL);
                now.max(last + SHORTEST_INTERVAL).max(early)
            }
            (Urgency::Counter, Some(last)) => now.max(last + COUNTER_INTERVAL),
            (Urgency::Counter | Urgency::Stream, None) | (Urgency::AtOnce, _) => now,
        };
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When the next frame is to be painted; `None` when nothing changed.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Whether a frame is to be painted now.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Says that a frame with everything so far was painted at the time `now`.
    pub fn painted(&mut self, now: Duration) {
        // Frames that keys asked for are not held against the stream for longer than one interval.
        self.paid = (self.paid.max(now) + FRAME_INTERVAL).min(now + 2 * FRAME_INTERVAL);
        self.last_paint = Some(now);
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn nothing_is_painted_unless_it_was_asked_for() {
        let mut limiter = FrameLimiter::default();
        assert_eq!(limiter.due(), None);
        assert!(!limiter.is_due(ms(1_000)));
        limiter.request(ms(5), Urgency::Stream);
        assert_eq!(limiter.due(), Some(ms(5)), "the first frame waits for nothing");
        limiter.painted(ms(6));
        assert_eq!(limiter.due(), None);
        assert!(!limiter.is_due(ms(60_000)));
    }

    #[test]
    fn a_stream_waits_for_the_clock_and_a_key_does_not() {
        let mut limiter = FrameLimiter::default();
        limiter.painted(ms(100));
        limiter.request(ms(101), Urgency::Stream);
        assert_eq!(limiter.due(), Some(ms(104)), "after a quiet time one frame comes early");
        limiter.painted(ms(104));
        limiter.request(ms(105), Urgency::Stream);
        assert_eq!(
            limiter.due(),
            Some(ms(100) + FRAME_INTERVAL),
            "and the next one at its time"
        );
        limiter.request(ms(110), Urgency::AtOnce);
        assert!(limiter.is_due(ms(110)), "the key takes the waiting frame along");
        limiter.painted(ms(110));
        limiter.request(ms(111), Urgency::Stream);
        assert_eq!(limiter.due(), Some(ms(110) + FRAME_INTERVAL));
    }

    #[test]
    fn many_keys_hold_a_stream_up_for_one_interval_only() {
        let mut limiter = FrameLimiter::default();
        for at in 0..50 {
            limiter.request(ms(at), Urgency::AtOnce);
            limiter.painted(ms(at));
        }
        limiter.request(ms(50), Urgency::Stream);
        assert_eq!(limiter.due(), Some(ms(49) + FRAME_INTERVAL));
    }

    #[test]
    fn counters_wait_longer_and_come_along_with_a_stream() {
        let mut limiter = FrameLimiter::default();
        limiter.painted(ms(100));
        limiter.request(ms(101), Urgency::Counter);
        assert_eq!(limiter.due(), Some(ms(100) + COUNTER_INTERVAL));
        limiter.request(ms(102), Urgency::Stream);
        assert_eq!(limiter.due(), Some(ms(100) + SHORTEST_INTERVAL));
    }

    #[test]
    fn a_later_request_never_delays_an_earlier_one() {
        let mut limiter = FrameLimiter::default();
        limiter.request(ms(10), Urgency::AtOnce);
        limiter.request(ms(20), Urgency::Stream);
        limiter.request(ms(30), Urgency::AtOnce);
        assert_eq!(limiter.due(), Some(ms(10)));
    }

    #[test]
    fn after_a_quiet_time_a_stream_is_painted_at_once() {
        let mut limiter = FrameLimiter::default();
        limiter.painted(ms(100));
        limiter.request(ms(5_000), Urgency::Stream);
        assert!(limiter.is_due(ms(5_000)));
    }

    proptest! {
        #[test]
        fn a_steady_stream_never_gets_more_than_60_frames_a_second(gaps in prop::collection::vec(0_u64..20_000, 1..500)) {
            let mut limiter = FrameLimiter::default();
            let mut now = Duration::ZERO;
            let mut paints = Vec::new();
            for gap in gaps {
                now += Duration::from_micros(gap);
                limiter.request(now, Urgency::Stream);
                if limiter.is_due(now) {
                    paints.push(now);
                    limiter.painted(now);
                }
            }
            for pair in paints.windows(2) {
                prop_assert!(pair[1] - pair[0] >= SHORTEST_INTERVAL);
            }
            // One frame may be early, and only one: so many frames take so much time, but for one interval.
            for (first, start) in paints.iter().enumerate() {
                for (count, end) in (0u32..).zip(&paints[first..]) {
                    prop_assert!(*end - *start >= FRAME_INTERVAL * count.saturating_sub(1));
                }
            }
        }
    }
}
