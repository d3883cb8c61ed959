//! Untrusted text made safe for a terminal: nothing that moves the cursor, hides or reorders text gets through.
//!
//! What is taken out is shown by a sign in its place, so that nothing vanishes unseen. It does not lay out.

use std::borrow::Cow;

use super::width;

/// Columns between two tab stops.
pub const TAB: usize = 4;

/// A text with line breaks made safe: `\r\n` and lone `\r` become `\n`, tabs become spaces. Borrowed when clean.
#[must_use]
pub fn sanitise(text: &str) -> Cow<'_, str> {
    clean(text, true)
}

/// The same for one line: line breaks are shown as signs too.
#[must_use]
pub fn sanitise_line(text: &str) -> Cow<'_, str> {
    clean(text, false)
}

fn clean(text: &str, breaks: bool) -> Cow<'_, str> {
    let mut previous = '\0';
    let bad = text.char_indices().find(|(_, c)| {
        let bad = !(is_safe(*c, previous) || breaks && *c == '\n');
        previous = *c;
        bad
    });
    let Some((at, _)) = bad else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..at]);
    let mut line = out.rfind('\n').map_or(0, |at| at + 1);
    let mut chars = text[at..].chars().peekable();
    while let Some(c) = chars.next() {
        let previous = out.chars().next_back().unwrap_or('\0');
        match c {
            '\n' if breaks => {
                out.push('\n');
                line = out.len();
            }
            '\r' if breaks => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                    line = out.len();
                }
            }
            '\t' => {
                let column = width::width(&out[line..]);
                out.extend(std::iter::repeat_n(' ', TAB - column % TAB));
            }
            c if is_safe(c, previous) => out.push(c),
            // As `cat -v` and `less` write them; ASCII, so that every font has it.
            '\0'..='\u{1f}' | '\u{7f}' => {
                out.push('^');
                out.push(char::from(c as u8 ^ 0x40));
            }
            _ => out.push('\u{fffd}'),
        }
    }
    Cow::Owned(out)
}

/// Whether a character may stand on the screen as it is, after `previous`.
fn is_safe(c: char, previous: char) -> bool {
    match c {
        ' '..='~' => true,
        // C0, DEL and C1.
        '\0'..='\u{9f}' => false,
        // The joiners are needed within emoji and some scripts, never after ASCII.
        '\u{200c}' | '\u{200d}' => !previous.is_ascii() && !matches!(previous, '\u{200c}' | '\u{200d}'),
        // Invisible letters and marks of direction.
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' => false,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => false,
        '\u{3164}' | '\u{ffa0}' | '\u{feff}' | '\u{fe00}'..='\u{fe0d}' | '\u{fff0}'..='\u{fffb}' => false,
        // Shorthand and music controls, tags, further variation selectors.
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_taken_out_is_shown() {
        for (text, safe) in [
            ("plain, ünïcode, 日本", "plain, ünïcode, 日本"),
            ("a\u{1b}[31mb", "a^[[31mb"),
            ("bell\u{7} del\u{7f} nul\0", "bell^G del^? nul^@"),
            ("c1 \u{9b}31m", "c1 \u{fffd}31m"),
            ("a\u{202e}b\u{2066}c", "a\u{fffd}b\u{fffd}c"),
            ("pass\u{200b}word\u{e0041}", "pass\u{fffd}word\u{fffd}"),
            ("\tx\ty\n\tz", "    x   y\n    z"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("👩\u{200d}👧 ❤\u{fe0f}", "👩\u{200d}👧 ❤\u{fe0f}"),
            ("a\u{200d}b", "a\u{fffd}b"),
        ] {
            assert_eq!(sanitise(text), safe, "{text:?}");
        }
        assert!(matches!(sanitise("clean\ntext"), Cow::Borrowed(_)));
        assert_eq!(sanitise_line("a\nb"), "a^Jb");
    }

    proptest! {
        #[test]
        fn once_is_enough_and_no_control_character_gets_through(text in any::<String>(), more in "[a\\t\\r\\n\\x1b\u{200d}\u{9b}é]{0,20}") {
            let text = text + &more;
            for safe in [sanitise(&text).into_owned(), sanitise_line(&text).into_owned()] {
                prop_assert!(safe.chars().all(|c| c == '\n' || !c.is_control()));
                prop_assert_eq!(&sanitise(&safe), &safe);
            }
            prop_assert!(!sanitise_line(&text).contains('\n'));
        }
    }
}
