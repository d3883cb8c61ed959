//! Keys in the table's own terms, so that it knows no terminal library, how they are written, and how that is read.

use std::fmt;
use std::str::FromStr;

/// A key without its modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyCode {
    /// A character.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// The arrow up.
    Up,
    /// The arrow down.
    Down,
    /// The arrow to the left.
    Left,
    /// The arrow to the right.
    Right,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Insert.
    Insert,
    /// A function key, from 1.
    F(u8),
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
}

/// What is held while a key is pressed. Shift is part of the character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// Nothing.
    None,
    /// Control.
    Ctrl,
    /// Alt.
    Alt,
}

/// A key as the table names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// What is held.
    pub modifier: Modifier,
    /// The key.
    pub code: KeyCode,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.modifier {
            Modifier::None => {}
            Modifier::Ctrl => f.write_str("Ctrl-")?,
            Modifier::Alt => f.write_str("Alt-")?,
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) if self.modifier == Modifier::None => write!(f, "{c}"),
            KeyCode::Char(c) if self.modifier == Modifier::Alt && c.is_ascii_uppercase() => write!(f, "Shift-{c}"),
            KeyCode::Char(c) => write!(f, "{}", c.to_ascii_uppercase()),
            KeyCode::Enter => f.write_str("Enter"),
            KeyCode::Esc => f.write_str("Esc"),
            KeyCode::Tab => f.write_str("Tab"),
            KeyCode::BackTab => f.write_str("Shift-Tab"),
            KeyCode::Up => f.write_str("Up"),
            KeyCode::Down => f.write_str("Down"),
            KeyCode::Left => f.write_str("Left"),
            KeyCode::Right => f.write_str("Right"),
            KeyCode::Backspace => f.write_str("Backspace"),
            KeyCode::Delete => f.write_str("Del"),
            KeyCode::Insert => f.write_str("Ins"),
            KeyCode::F(n) => write!(f, "F{n}"),
            KeyCode::Home => f.write_str("Home"),
            KeyCode::End => f.write_str("End"),
            KeyCode::PageUp => f.write_str("PgUp"),
            KeyCode::PageDown => f.write_str("PgDn"),
        }
    }
}

impl FromStr for Key {
    type Err = String;

    /// Reads what [`fmt::Display`] writes, and what people write instead: any case of names and modifiers, long names.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut modifier, mut shift, mut rest) = (Modifier::None, false, text);
        loop {
            let (wanted, after) = match rest.split_at_checked(rest.find('-').map_or(0, |at| at + 1)) {
                Some((word, after)) if !word.is_empty() && !after.is_empty() => (word.to_ascii_lowercase(), after),
                _ => break,
            };
            match wanted.as_str() {
                "ctrl-" | "alt-" if modifier != Modifier::None => {
                    return Err(format!(
                        "`{text}` holds two keys at once, expected one of Ctrl- and Alt-"
                    ));
                }
                "ctrl-" => modifier = Modifier::Ctrl,
                "alt-" => modifier = Modifier::Alt,
                "shift-" => shift = true,
                _ => break,
            }
            rest = after;
        }
        let code = code(rest).ok_or_else(|| {
            format!("`{text}` is no key, expected one such as \"x\", \"Ctrl-K\", \"Alt-Enter\", \"F5\" or \"Space\"")
        })?;
        let code = match (shift, modifier, code) {
            (true, Modifier::None | Modifier::Alt, KeyCode::Tab) => KeyCode::BackTab,
            (true, Modifier::None | Modifier::Alt, KeyCode::Char(c)) if c.is_ascii_alphabetic() => {
                KeyCode::Char(c.to_ascii_uppercase())
            }
            (true, ..) => return Err(format!("terminals do not tell `{text}` from the key without Shift")),
            (false, Modifier::Ctrl | Modifier::Alt, KeyCode::Char(c)) => KeyCode::Char(c.to_ascii_lowercase()),
            (false, _, code) => code,
        };
        Ok(Self { modifier, code })
    }
}

/// A key without what is held.
fn code(text: &str) -> Option<KeyCode> {
    let mut chars = text.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        return (!c.is_control()).then_some(KeyCode::Char(c));
    }
    Some(match text.to_ascii_lowercase().as_str() {
        "space" => KeyCode::Char(' '),
        "enter" | "return" => KeyCode::Enter,
        "esc" | "escape" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "backspace" => KeyCode::Backspace,
        "del" | "delete" => KeyCode::Delete,
        "ins" | "insert" => KeyCode::Insert,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pgup" | "pageup" => KeyCode::PageUp,
        "pgdn" | "pagedown" => KeyCode::PageDown,
        name => {
            let number = name.strip_prefix('f')?.parse().ok()?;
            (1..=24).contains(&number).then_some(KeyCode::F(number))?
        }
    })
}

impl Key {
    /// Whether it writes a character where text is typed.
    #[must_use]
    pub fn is_printable(self) -> bool {
        self.modifier == Modifier::None && matches!(self.code, KeyCode::Char(_))
    }

    /// Why nothing can be bound to it: it never arrives, or arrives as another key.
    #[must_use]
    pub fn never_arrives(self) -> Option<&'static str> {
        let Self {
            modifier: Modifier::Ctrl,
            code: KeyCode::Char(c),
        } = self
        else {
            return None;
        };
        match c {
            's' | 'q' => Some("belongs to the terminal's flow control"),
            'm' => Some("is what terminals send for Enter"),
            'i' => Some("is what terminals send for Tab"),
            '[' => Some("is what terminals send for Esc"),
            _ => None,
        }
    }

    /// Why it may not arrive: something else often takes it.
    #[must_use]
    pub fn may_not_arrive(self) -> Option<&'static str> {
        let is_tmux = self.modifier == Modifier::Ctrl && self.code == KeyCode::Char('b');
        is_tmux.then_some("is tmux's own key unless it is told otherwise: it may not arrive")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = Key> {
        let codes = prop_oneof![
            any::<char>()
                .prop_filter("controls are no keys", |c| !c.is_control())
                .prop_map(KeyCode::Char),
            (1_u8..=24).prop_map(KeyCode::F),
            prop::sample::select(vec![
                KeyCode::Enter,
                KeyCode::Esc,
                KeyCode::Tab,
                KeyCode::BackTab,
                KeyCode::Up,
                KeyCode::Down,
                KeyCode::Left,
                KeyCode::Right,
                KeyCode::Backspace,
                KeyCode::Delete,
                KeyCode::Insert,
                KeyCode::Home,
                KeyCode::End,
                KeyCode::PageUp,
                KeyCode::PageDown,
                KeyCode::Char('-'),
                KeyCode::Char(' '),
            ]),
        ];
        let modifiers = prop::sample::select(vec![Modifier::None, Modifier::Ctrl, Modifier::Alt]);
        (modifiers, codes).prop_filter_map("terminals do not send it", |(modifier, code)| match (modifier, code) {
            (Modifier::Ctrl, KeyCode::BackTab) => None,
            (Modifier::Ctrl, KeyCode::Char(c)) => Some(Key {
                modifier,
                code: KeyCode::Char(c.to_ascii_lowercase()),
            }),
            (modifier, code) => Some(Key { modifier, code }),
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_key(key in keys()) {
            prop_assert_eq!(key.to_string().parse::<Key>(), Ok(key));
        }

        #[test]
        fn reading_never_panics(text in any::<String>()) {
            let _ = text.parse::<Key>();
        }
    }

    #[test]
    fn keys_are_read_as_people_write_them() {
        for (text, written) in [
            ("ctrl-k", "Ctrl-K"),
            ("CTRL-K", "Ctrl-K"),
            ("alt-enter", "Alt-Enter"),
            ("Alt-X", "Alt-X"),
            ("Alt-Shift-X", "Alt-Shift-X"),
            ("Shift-x", "X"),
            ("f5", "F5"),
            ("space", "Space"),
            ("PageUp", "PgUp"),
            ("delete", "Del"),
            ("Shift-Tab", "Shift-Tab"),
            ("-", "-"),
            ("Ctrl--", "Ctrl--"),
            ("ü", "ü"),
        ] {
            assert_eq!(
                text.parse::<Key>().map(|key| key.to_string()).as_deref(),
                Ok(written),
                "{text}"
            );
        }
        for (text, why) in [
            ("Ctlr-K", "is no key"),
            ("", "is no key"),
            ("Ctrl-", "is no key"),
            ("F25", "is no key"),
            ("Ctrl-Alt-K", "two keys at once"),
            ("Ctrl-Shift-K", "without Shift"),
            ("Shift-Up", "without Shift"),
            ("xy", "is no key"),
        ] {
            let error = text.parse::<Key>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
