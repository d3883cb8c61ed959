//! Tokens a second over a short sliding window, in constant memory and constant time a token.
//!
//! It has no clock: the time comes with every call.

use serde::{Deserialize, Serialize};

/// Width of one slot of the window, in milliseconds.
const SLOT_MS: u64 = 250;
/// Slots of the window: three seconds.
const SLOTS: usize = 12;

/// Counts per slot of time; old slots are overwritten.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RateWindow {
    /// Count and slot number, at the slot number modulo [`SLOTS`].
    slots: [(u64, u32); SLOTS],
    /// When the first token of the present burst came, in milliseconds.
    since: Option<u64>,
    last: u64,
}

impl RateWindow {
    /// Takes one token that came at `now_ms`.
    pub fn add(&mut self, now_ms: u64) {
        let slot = now_ms / SLOT_MS;
        if self.since.is_none() || now_ms.saturating_sub(self.last) > SLOT_MS * SLOTS as u64 {
            self.since = Some(now_ms);
        }
        self.last = now_ms;
        let entry = &mut self.slots[(slot % SLOTS as u64) as usize];
        if entry.0 == slot {
            entry.1 = entry.1.saturating_add(1);
        } else {
            *entry = (slot, 1);
        }
    }

    /// Tokens a second over the window that ends at `now_ms`; 0 when none came in it.
    #[must_use]
    pub fn per_second(&self, now_ms: u64) -> f64 {
        let Some(since) = self.since else { return 0.0 };
        let slot = now_ms / SLOT_MS;
        let oldest = (slot + 1).saturating_sub(SLOTS as u64);
        let count: u64 = self
            .slots
            .iter()
            .filter(|(at, _)| (oldest..=slot).contains(at))
            .map(|(_, count)| u64::from(*count))
            .sum();
        // A burst younger than the window is measured over its own age, but never over less than half a
        // second, so that the first tokens do not show an absurd rate.
        let from = since.max(oldest * SLOT_MS);
        let span = now_ms.saturating_sub(from).max(500);
        count as f64 * 1000.0 / span as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_and_silence_has_none() {
        let mut rate = RateWindow::default();
        assert_eq!(rate.per_second(1_000), 0.0);
        for at in (10_000..20_000).step_by(25) {
            rate.add(at);
        }
        let steady = rate.per_second(20_000);
        assert!((38.0..42.0).contains(&steady), "{steady}");
        assert_eq!(rate.per_second(24_000), 0.0);
    }

    #[test]
    fn the_first_tokens_do_not_show_an_absurd_rate() {
        let mut rate = RateWindow::default();
        rate.add(5_000);
        rate.add(5_001);
        assert_eq!(rate.per_second(5_001), 4.0);
    }

    #[test]
    fn a_clock_that_jumps_back_does_no_harm() {
        let mut rate = RateWindow::default();
        rate.add(50_000);
        rate.add(10);
        assert!(rate.per_second(20) >= 0.0);
        assert!(rate.per_second(50_000) >= 0.0);
    }
}
