//! How long to wait before the next try: doubling, capped, with jitter.
//!
//! It only computes durations; whoever tries again waits.

use std::time::Duration;

/// The wait before a try. `attempt` counts from 1; `jitter` (0 to 1) is the share of the wait that is
/// random, so that many clients do not come back at the same moment; `random` is any number.
pub(super) fn wait(base: Duration, cap: Duration, jitter: f64, attempt: u32, random: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(30);
    let full = base.saturating_mul(1 << doublings).min(cap);
    let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
    full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) * share)
}

/// A number for jitter; when the operating system gives none, a fixed one does no harm.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_only_shortens_them() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (1..=6)
            .map(|attempt| wait(base, cap, 0.0, attempt, 7).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(wait(base, cap, 0.5, u32::MAX, 0), cap);
        for random in [1, u64::MAX / 3, u64::MAX] {
            let waited = wait(base, cap, 0.5, 3, random);
            assert!(
                waited >= Duration::from_millis(199) && waited <= Duration::from_millis(400),
                "{waited:?}"
            );
        }
    }
}
