//! Values with a form of their own: addresses, URLs, durations, paths. Each refusal says what was expected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Checks the base URL of a server or a model: http or https, a host, nothing secret in it.
///
/// # Errors
/// What is wrong and what was expected.
pub fn check_url(text: &str) -> Result<String, String> {
    let expected = "expected an address such as https://switchboard.example.com";
    // What stands before the `@` may be a password, so the address is not repeated.
    if text.contains('@') {
        return Err("an address with a user name in it is refused; give the token on its own".to_owned());
    }
    let uri: http::Uri = text
        .trim()
        .parse()
        .map_err(|_| format!("`{text}` is not a web address, {expected}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(format!("`{text}` does not begin with http:// or https://, {expected}")),
    }
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if uri.host().is_none_or(str::is_empty) || authority.is_empty() {
        return Err(format!("`{text}` names no host, {expected}"));
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(format!("an address without `?` and `#` is needed, {expected}"));
    }
    Ok(text.trim().trim_end_matches('/').to_owned())
}

pub(super) fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    check_url(&text).map(Some).map_err(D::Error::custom)
}

pub(super) fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "`{text}` is not an address to listen on, expected an IP address with a port, such as \"127.0.0.1:7280\""
        ))
    })
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a time span, expected a number with a unit, such as \"30s\", \"15m\" or \"1h\""
            ))
        })
}

pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.is_absolute() {
        return Ok(Some(path));
    }
    // A server started in the background works in `/`, so a relative path would name another place.
    Err(D::Error::custom(format!(
        "`{}` is a relative path, expected one that begins with `/`",
        path.display()
    )))
}

pub(super) fn variable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(Some(name));
    }
    // It may be the secret itself, put here by mistake: it is not repeated.
    Err(D::Error::custom(
        "this is not the name of an environment variable, expected one such as \"TEAM_TOKEN\" (not the secret itself)",
    ))
}

pub(super) fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u64::try_from(number)
        .ok()
        .filter(|number| *number >= 1)
        .ok_or_else(|| D::Error::custom(format!("{number} is too small, expected a whole number of 1 or more")))
}

pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    at_least_one(deserializer).map(Some)
}

/// A whole number from 1 to `MOST`.
pub(super) fn from_one_to<'de, const MOST: u64, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = at_least_one(deserializer)?;
    if number > MOST {
        return Err(D::Error::custom(format!(
            "{number} is too large, expected {MOST} or fewer"
        )));
    }
    Ok(number)
}

/// The same for a key that may be absent.
pub(super) fn optional_from_one_to<'de, const MOST: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    from_one_to::<MOST, D>(deserializer).map(Some)
}

/// A size in bytes, with its unit, from `LEAST` to `MOST`.
pub(super) fn bytes_between<'de, const LEAST: u64, const MOST: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let found = size(&text);
    if let Some(size) = found.filter(|size| (1..LEAST).contains(size)) {
        let (text, least) = (written(size), written(LEAST));
        return Err(D::Error::custom(format!(
            "`{text}` is too small, expected \"{least}\" or more"
        )));
    }
    found.filter(|size| (LEAST..=MOST).contains(size)).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is not a size, expected a number with a unit up to \"{}\", such as \"64KiB\" or \"1MiB\"",
            written(MOST)
        ))
    })
}

pub(super) fn count_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u64::try_from(number)
        .map(Some)
        .map_err(|_| D::Error::custom(format!("{number} is too small, expected a whole number of 0 or more")))
}

pub(super) fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("an empty text, expected one with something in it"));
    }
    Ok(Some(text))
}

/// A size in bytes, of at most so many.
pub(super) fn bytes<'de, const MOST: u64, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    size(&text).filter(|size| (1..=MOST).contains(size)).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is not a size, expected a number with a unit up to \"{}MiB\", such as \"64KiB\" or \"1MiB\"",
            MOST >> 20
        ))
    })
}

/// A size as people write it.
fn written(size: u64) -> String {
    match size {
        size if size >= 1 << 30 && size.is_multiple_of(1 << 30) => format!("{}GiB", size >> 30),
        size if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{}MiB", size >> 20),
        size if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{}KiB", size >> 10),
        size => format!("{size}B"),
    }
}

/// A size in bytes: a whole number and a unit.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let unit = match text[end..].trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "kib" => 1 << 10,
        "mb" => 1_000_000,
        "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        let table = [
            ("256KiB", Some(262_144)),
            ("256 KiB", Some(262_144)),
            ("1mb", Some(1_000_000)),
            ("2GiB", Some(1 << 31)),
            ("12", None),
            ("KiB", None),
            ("-1KiB", None),
            ("99999999999999999MiB", None),
        ];
        for (text, bytes) in table {
            assert_eq!(size(text), bytes, "{text}");
        }
    }
}
