//! Features: what this server does for a bot when it is asked to, by name.
//!
//! There is one: `time`, a function that tells the model the time in a zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::wire::request::Feature as Asked;
use crate::wire::{ApiError, ErrorCode};

/// The names of all features, for refusals.
const NAMES: [&str; 1] = ["time"];

/// Something that this server does for a bot.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) enum Feature {
    /// A function that tells the time; in this zone, unless the call names another one.
    Time(TimeZone),
}

impl Feature {
    /// The feature's name, and the name that its function would like.
    pub(in crate::engine) fn name(&self) -> &'static str {
        match self {
            Self::Time(_) => "time",
        }
    }

    /// The name that its function would like.
    pub(in crate::engine) fn function(&self) -> &'static str {
        match self {
            Self::Time(_) => "current_time",
        }
    }

    /// What its function does, for the model.
    pub(in crate::engine) fn description(&self) -> &'static str {
        match self {
            Self::Time(_) => "Tells the current date, time and weekday in a time zone.",
        }
    }

    /// What its function is called with.
    pub(in crate::engine) fn parameters(&self) -> Value {
        match self {
            Self::Time(zone) => json!({
                "type": "object",
                "properties": {
                    "timezone": {
                        "type": "string",
                        "description": format!(
                            "An IANA time zone such as \"Europe/Berlin\"; {} when absent.",
                            zone.iana_name().unwrap_or("UTC"),
                        ),
                    },
                },
            }),
        }
    }

    /// What a call of its function gives at a time.
    pub(in crate::engine) fn call(&self, arguments: &Value, now: Timestamp) -> Value {
        match self {
            Self::Time(zone) => {
                let zone = match arguments.get("timezone").and_then(Value::as_str).map(str::trim) {
                    None | Some("") => zone.clone(),
                    Some(name) => match TimeZone::get(name) {
                        Ok(zone) => zone,
                        Err(_) => {
                            let name: String = name.chars().take(64).collect();
                            return json!({"error": format!("{name:?} is no IANA time zone, such as \"Europe/Berlin\"")});
                        }
                    },
                };
                let here = now.to_zoned(zone);
                json!({
                    "time": here.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
                    "weekday": here.strftime("%A").to_string(),
                    "timezone": here.time_zone().iana_name().unwrap_or("UTC"),
                    "unix": now.as_second(),
                })
            }
        }
    }
}

/// The features that a list asks for; `field` is where the list stands. `timezone` is the person's.
///
/// # Errors
/// `NOT_IMPLEMENTED` for a feature or an option that is not there, `BAD_REQUEST` for an option that means nothing.
pub(super) fn of(asked: &[Asked], field: &str, timezone: Option<&str>) -> Result<Vec<Feature>, ApiError> {
    let mut features: Vec<Feature> = Vec::with_capacity(asked.len());
    for (index, asked) in asked.iter().enumerate() {
        let path = format!("{field}[{index}]");
        let feature = match asked.name.as_str() {
            "time" => Feature::Time(zone(asked, &path, timezone)?),
            other => {
                let other: String = other.chars().take(64).collect();
                let there = NAMES.join(", ");
                return Err(ApiError::new(
                    ErrorCode::NotImplemented,
                    format!("`{path}.name`: this server has no feature {other:?}; it has: {there}"),
                ));
            }
        };
        if features.iter().all(|known| known.name() != feature.name()) {
            features.push(feature);
        }
    }
    Ok(features)
}

fn zone(asked: &Asked, path: &str, timezone: Option<&str>) -> Result<TimeZone, ApiError> {
    let mut wanted = timezone;
    for (name, value) in asked.options.iter().flatten() {
        if name != "timezone" {
            return Err(ApiError::new(
                ErrorCode::NotImplemented,
                format!("`{path}.options.{name}` is not implemented by this server: leave it out"),
            ));
        }
        let Some(name) = value.as_str() else {
            return Err(ApiError::new(
                ErrorCode::BadRequest,
                format!("`{path}.options.timezone`: this is a text, an IANA time zone such as \"Europe/Berlin\""),
            ));
        };
        wanted = Some(name);
    }
    let Some(name) = wanted else {
        return Ok(TimeZone::UTC);
    };
    TimeZone::get(name).map_err(|_| {
        let name: String = name.chars().take(64).collect();
        ApiError::new(
            ErrorCode::BadRequest,
            format!("`{path}.options.timezone`: {name:?} is no IANA time zone, such as \"Europe/Berlin\""),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: Value) -> Vec<Asked> {
        serde_json::from_value(value).expect("features")
    }

    #[test]
    fn the_time_is_told_in_the_zone_that_is_nearest() {
        let now: Timestamp = "2026-01-31T23:30:00Z".parse().expect("a time");
        for (features, person, call, time, weekday, zone) in [
            (
                json!([{"name": "time"}]),
                None,
                json!({}),
                "2026-01-31T23:30:00+00:00",
                "Saturday",
                "UTC",
            ),
            (
                json!([{"name": "time"}, {"name": "time"}]),
                Some("Europe/Berlin"),
                json!({}),
                "2026-02-01T00:30:00+01:00",
                "Sunday",
                "Europe/Berlin",
            ),
            (
                json!([{"name": "time", "options": {"timezone": "Asia/Tokyo"}}]),
                Some("Europe/Berlin"),
                json!({"timezone": ""}),
                "2026-02-01T08:30:00+09:00",
                "Sunday",
                "Asia/Tokyo",
            ),
            (
                json!([{"name": "time", "options": null}]),
                None,
                json!({"timezone": "America/New_York"}),
                "2026-01-31T18:30:00-05:00",
                "Saturday",
                "America/New_York",
            ),
        ] {
            let features = of(&asked(features), "f", person).expect("there");
            assert_eq!(features.len(), 1);
            let told = features[0].call(&call, now);
            assert_eq!(
                told,
                json!({"time": time, "weekday": weekday, "timezone": zone, "unix": 1_769_902_200})
            );
        }
        let features = of(&asked(json!([{"name": "time"}])), "f", None).expect("there");
        let wrong = features[0].call(&json!({"timezone": "Mars/Base"}), now);
        assert!(
            wrong["error"].as_str().is_some_and(|text| text.contains("Mars/Base")),
            "{wrong}"
        );
    }

    #[test]
    fn what_is_not_there_is_refused_and_what_is_there_listed() {
        for (features, code, named) in [
            (json!([{"name": "browser"}]), ErrorCode::NotImplemented, "it has: time"),
            (
                json!([{"name": "time", "options": {"format": "12h"}}]),
                ErrorCode::NotImplemented,
                "`f[0].options.format`",
            ),
            (
                json!([{"name": "time", "options": {"timezone": 1}}]),
                ErrorCode::BadRequest,
                "`f[0].options.timezone`",
            ),
            (
                json!([{"name": "time", "options": {"timezone": "Mars/Base"}}]),
                ErrorCode::BadRequest,
                "Mars/Base",
            ),
        ] {
            let error = of(&asked(features), "f", None).expect_err(named);
            assert_eq!(error.code, code);
            assert!(error.message.contains(named), "{error}");
        }
    }
}
