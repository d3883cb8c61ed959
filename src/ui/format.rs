//! Numbers and times for people, of a fixed width where columns depend on it.

use crate::app::Now;

use super::UiOptions;

/// A number with a comma at the thousands; from a million on as `1.2M`.
pub(super) fn number(n: u64) -> String {
    if n >= 1_000_000 {
        return format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000);
    }
    if n >= 1_000 {
        return format!("{},{:03}", n / 1_000, n % 1_000);
    }
    n.to_string()
}

/// A number with its noun, `1 token`, `2 tokens`.
pub(super) fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(n), if n == 1 { "" } else { "s" })
}

/// A duration as `mm:ss`, from an hour on as `h:mm`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    if seconds < 3_600 {
        format!("{:02}:{:02}", seconds / 60, seconds % 60)
    } else {
        format!("{}:{:02}", seconds / 3_600, seconds / 60 % 60)
    }
}

/// How long a call took: `0.4s`, from ten seconds on as `mm:ss`.
pub(super) fn short_duration(ms: u64) -> String {
    if ms < 10_000 {
        format!("{}.{}s", ms / 1_000, ms % 1_000 / 100)
    } else {
        duration(ms)
    }
}

fn local_seconds(unix_ms: u64, options: UiOptions) -> u64 {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(0) + i64::from(options.utc_offset_seconds);
    u64::try_from(seconds.rem_euclid(86_400)).unwrap_or(0)
}

/// The time of day as `HH:MM`.
pub(super) fn clock(now: Now, options: UiOptions) -> String {
    let seconds = local_seconds(now.unix_ms, options);
    format!("{:02}:{:02}", seconds / 3_600, seconds / 60 % 60)
}

/// A time of day as `HH:MM:SS`.
pub(super) fn time(unix_ms: u64, options: UiOptions) -> String {
    let seconds = local_seconds(unix_ms, options);
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// How long ago something was, in one unit: `12s`, `3m`, `2h`, `5d`. Seconds only where they are counted anyway.
pub(super) fn ago(at: u64, now: Now, seconds: bool) -> String {
    let passed = now.unix_ms.saturating_sub(at) / 1_000;
    match passed {
        0..60 if seconds => format!("{passed}s ago"),
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{}m ago", passed / 60),
        3_600..86_400 => format!("{}h ago", passed / 3_600),
        _ => format!("{}d ago", passed / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times() {
        assert_eq!(
            ["0", "999", "1,204", "999,999", "1.2M"],
            [0, 999, 1_204, 999_999, 1_234_567].map(number)
        );
        assert_eq!([count(1, "token"), count(2_000, "token")], ["1 token", "2,000 tokens"]);
        assert_eq!(
            ["00:00", "00:42", "59:59", "1:00", "26:03"],
            [0, 42_900, 3_599_000, 3_600_000, 93_780_000].map(duration)
        );
        let now = Now {
            unix_ms: 100_000_000,
            monotonic_ms: 0,
        };
        assert_eq!(
            ["12s ago", "3m ago", "2h ago", "1d ago"],
            [99_988_000, 99_810_000, 92_000_000, 10_000_000].map(|at| ago(at, now, true))
        );
        assert_eq!(ago(99_988_000, now, false), "just now");
        assert_eq!(["0.4s", "00:10"], [432, 10_000].map(short_duration));
        let options = UiOptions {
            utc_offset_seconds: -3_600,
            ..UiOptions::default()
        };
        assert_eq!(time(1_000, options), "23:00:01");
    }
}
