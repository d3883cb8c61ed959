//! What a model is told about today: the date where the person is.
//!
//! Nothing is said unless the request names a time zone, and it is the day on which the run was asked for: a run that
//! is begun again says the same.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Order;

/// The sentence for the model; `None` without a time zone that this program knows.
pub(super) fn sentence(order: &Order) -> Option<String> {
    let name = order.timezone.as_deref()?;
    let zone = TimeZone::get(name).ok()?;
    let asked = order
        .asked_at
        .and_then(|at| Timestamp::from_millisecond(i64::try_from(at).ok()?).ok());
    let today = asked.map_or_else(
        || Zoned::now().with_time_zone(zone.clone()),
        |at| at.to_zoned(zone.clone()),
    );
    Some(format!(
        "The current date is {}. The person's time zone is {}.",
        today.strftime("%A, %-d %B %Y"),
        zone.iana_name().unwrap_or(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_zone() {
        // 2026-11-22, 23:30 UTC.
        let asked_at = Some(1_795_390_200_000);
        let order = |timezone: Option<&str>| Order {
            timezone: timezone.map(str::to_owned),
            asked_at,
            ..Order::default()
        };
        for (zone, expected) in [
            (None, None),
            (Some("nowhere"), None),
            (
                Some("UTC"),
                Some("The current date is Sunday, 22 November 2026. The person's time zone is UTC."),
            ),
            (
                Some("europe/berlin"),
                Some("The current date is Monday, 23 November 2026. The person's time zone is Europe/Berlin."),
            ),
        ] {
            assert_eq!(sentence(&order(zone)).as_deref(), expected, "{zone:?}");
        }
    }
}
