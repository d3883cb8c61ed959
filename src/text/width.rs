//! How many columns a text takes, and cutting it to a width without splitting a character.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// The columns of one grapheme cluster: mostly 0, 1 or 2.
#[must_use]
pub fn grapheme_width(grapheme: &str) -> usize {
    grapheme.width()
}

/// The last border between characters at or before a byte.
#[must_use]
pub fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The columns that a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.graphemes(true).map(grapheme_width).sum()
}

/// The text cut to `max` columns; when something was cut, its last column is `…`.
#[must_use]
pub fn truncate(text: &str, max: usize) -> Cow<'_, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    let mut end = 0;
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += grapheme_width(grapheme);
        if used + 1 > max {
            break;
        }
        end = at + grapheme.len();
    }
    if max == 0 {
        return Cow::Borrowed("");
    }
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_clusters() {
        for (text, columns) in [
            ("", 0),
            ("abc", 3),
            ("日本", 4),
            ("e\u{301}", 1),
            ("👩\u{200d}👩\u{200d}👧", 2),
            ("🇩🇪", 2),
            // Two flags, and half a flag: terminals give a lone indicator one column or two; here it has one.
            ("🇩🇪🇫🇷", 4),
            ("🇩", 1),
            // With and without the selector for emoji.
            ("❤\u{fe0f}", 2),
            ("❤", 1),
            ("1\u{fe0f}\u{20e3}", 2),
            ("👍\u{1f3fd}", 2),
            ("👨\u{200d}👩\u{200d}👧\u{200d}👦", 2),
            ("🏳\u{fe0f}\u{200d}🌈", 2),
            // Marks on letters take nothing, Hangul parts make one letter.
            ("e\u{301}\u{323}", 1),
            ("\u{1112}\u{1161}\u{11ab}", 2),
            ("นี้", 1),
            ("शि", 2),
            ("שָׁלוֹם", 4),
            ("العربية", 7),
            ("ｱ", 1),
            ("Ａ", 2),
            ("…", 1),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn cutting_never_splits_a_cluster() {
        assert_eq!(truncate("hello", 5), "hello");
        assert_eq!(truncate("hello", 4), "hel…");
        assert_eq!(truncate("日本語", 4), "日…");
        assert_eq!(truncate("日本語", 1), "…");
        assert_eq!(truncate("日本語", 0), "");
    }
}
