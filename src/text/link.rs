//! Addresses that a terminal may be told to open: found in text, checked, and given small names.
//!
//! Only `http`, `https` and `mailto` pass, as printable ASCII of bounded length: no text from outside can end the
//! sequence that carries an address and begin another. Nothing is written to a terminal here.

use std::num::NonZeroU16;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexSet;

/// The first byte of the sign that a cell of the screen carries for a link; the other two are its name.
pub const LINK_SIGN: u8 = 0x4c;
/// The longest address, in bytes.
const LONGEST: usize = 2000;
/// How much all addresses together may take, in bytes. What comes after that is text like any other.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The name of an address: cheap to copy into every cell that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkId(NonZeroU16);

/// Every address that was named; names are never given anew.
static NAMED: Mutex<Option<Named>> = Mutex::new(None);

#[derive(Default)]
struct Named {
    urls: IndexSet<Arc<str>>,
    bytes: usize,
}

impl LinkId {
    /// The name of an address as it stands in a text; `None` when it must not be opened.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        let url = checked(url)?;
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        let named = named.get_or_insert_default();
        let index = match named.urls.get_index_of(url.as_str()) {
            Some(index) => index,
            None if named.bytes + url.len() > MOST_BYTES || named.urls.len() >= usize::from(u16::MAX) - 1 => {
                return None;
            }
            None => {
                named.bytes += url.len();
                named.urls.insert_full(url.into()).0
            }
        };
        NonZeroU16::new(u16::try_from(index + 1).ok()?).map(Self)
    }

    /// The address: printable ASCII.
    #[must_use]
    pub fn url(self) -> Option<Arc<str>> {
        let named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        let urls = &named.as_ref()?.urls;
        urls.get_index(usize::from(self.0.get()) - 1).cloned()
    }

    /// The name as two bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 2] {
        self.0.get().to_be_bytes()
    }

    /// The name that two bytes are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 2]) -> Option<Self> {
        NonZeroU16::new(u16::from_be_bytes(bytes)).map(Self)
    }
}

/// The address as printable ASCII, if it may be opened. What is not ASCII is percent-encoded; what controls a terminal
/// makes it no address.
fn checked(url: &str) -> Option<String> {
    let scheme = ["http://", "https://", "mailto:"].into_iter().find(|scheme| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })?;
    if url.len() == scheme.len() || url.len() > LONGEST || url.chars().any(char::is_control) {
        return None;
    }
    let mut out = String::with_capacity(url.len());
    for byte in url.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    (out.len() <= LONGEST).then_some(out)
}

/// Where addresses stand in a plain text, in bytes. Punctuation at the end is not part of one, nor is a bracket that
/// was not opened in it.
#[must_use]
pub fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in memchr::memmem::find_iter(text.as_bytes(), "://") {
        let start = ["https", "http"].into_iter().find_map(|scheme| {
            let start = at.checked_sub(scheme.len())?;
            let before = text.get(..start)?.chars().next_back();
            let is_scheme = text.get(start..at)?.eq_ignore_ascii_case(scheme);
            (is_scheme && !before.is_some_and(char::is_alphanumeric)).then_some(start)
        });
        let Some(start) = start.filter(|start| found.last().is_none_or(|last| last.end <= *start)) else {
            continue;
        };
        let rest = &text[start..];
        let mut end = rest
            .find(|c: char| {
                c.is_whitespace()
                    || c.is_control()
                    || matches!(c, '<' | '>' | '"' | '`' | '|' | '\\' | '^' | '{' | '}' | '\u{fffd}')
            })
            .unwrap_or(rest.len());
        while let Some(last) = rest[..end].chars().next_back() {
            let is_closing = |open: char| rest[..end].matches(open).count() < rest[..end].matches(last).count();
            let goes = match last {
                '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' | '…' => true,
                ')' => is_closing('('),
                ']' => is_closing('['),
                _ => false,
            };
            if !goes {
                break;
            }
            end -= last.len_utf8();
        }
        if start + end > at + "://".len() {
            found.push(start..start + end);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_found_in_text() {
        for (text, expected) in [
            (
                "see https://a.b/c, and (http://x.y/z(1)).",
                &["https://a.b/c", "http://x.y/z(1)"][..],
            ),
            ("no xhttps://a.b nor ://x nor http://", &[]),
            ("<http://a.b>http://c.d|", &["http://a.b", "http://c.d"]),
            ("HTTP://A.B/ä.", &["HTTP://A.B/ä"]),
        ] {
            let found: Vec<&str> = find(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn only_what_is_safe_to_open_has_a_name() {
        let url = |text| LinkId::of(text).and_then(LinkId::url);
        assert_eq!(url("https://a.b/ä b").as_deref(), Some("https://a.b/%C3%A4%20b"));
        assert_eq!(url("mailto:a@b.c").as_deref(), Some("mailto:a@b.c"));
        assert_eq!(LinkId::of("https://a.b"), LinkId::of("https://a.b"));
        for bad in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://",
            "https://a\u{1b}]8;;",
            "https://a\u{9c}b",
            "",
            "é",
        ] {
            assert_eq!(url(bad), None, "{bad:?}");
        }
        assert_eq!(url(&format!("https://{}", "a".repeat(3000))), None);
    }

    proptest! {
        #[test]
        fn no_address_carries_more_than_printable_ascii(text in any::<String>(), rest in "[ -~\u{1b}\u{7}\u{9c}é]{0,40}") {
            for url in [format!("https://{text}"), format!("http://{rest}"), text] {
                for range in find(&url) {
                    prop_assert!(url.get(range).is_some());
                }
                if let Some(url) = LinkId::of(&url).and_then(LinkId::url) {
                    prop_assert!(url.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
    }
}
