//! Notifications as bytes: the bell, and the sequences that terminals show on the desktop (OSC 9, 777 and 99), also through
//! tmux and screen.
//!
//! It does not decide what is told, and no terminal ever says whether it showed it.

/// How long a text may be, in characters.
const LONGEST: usize = 200;

/// How a terminal is told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// The bell, without a text.
    Bell,
    /// OSC 9.
    Osc9,
    /// OSC 777.
    Osc777,
    /// OSC 99.
    Osc99,
}

impl Medium {
    /// What the terminal is known to take, by its environment; the bell where nothing is known. Within tmux and
    /// screen the variables may be another terminal's, so there it is the bell, which both pass on in their own way.
    #[must_use]
    pub fn detect(get: impl Fn(&str) -> Option<String>) -> Self {
        if get("TMUX").is_some() || get("STY").is_some() {
            return Self::Bell;
        }
        let term = get("TERM").unwrap_or_default();
        let program = get("TERM_PROGRAM").unwrap_or_default();
        if term.contains("kitty") || get("KITTY_WINDOW_ID").is_some() {
            Self::Osc99
        } else if matches!(program.as_str(), "iTerm.app" | "WezTerm" | "ghostty") || term.contains("ghostty") {
            Self::Osc9
        } else if term.starts_with("foot") || term.starts_with("rxvt") || get("VTE_VERSION").is_some() {
            Self::Osc777
        } else {
            Self::Bell
        }
    }
}

/// The bytes that tell a text, wrapped for the multiplexer that is in between. `get` looks up a variable of the environment.
#[must_use]
pub fn sequence(medium: Medium, text: &str, get: impl Fn(&str) -> Option<String>) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let told = match medium {
        // Multiplexers have bells of their own.
        Medium::Bell => return "\x07".to_owned(),
        // The name in front keeps a text that begins with a number from being a command of ConEmu's.
        Medium::Osc9 => format!("\x1b]9;switchboard: {text}\x1b\\"),
        // Semicolons separate its parts.
        Medium::Osc777 => format!("\x1b]777;notify;switchboard;{}\x1b\\", text.replace(';', ",")),
        Medium::Osc99 => {
            format!("\x1b]99;i=switchboard:d=0;switchboard\x1b\\\x1b]99;i=switchboard:p=body;{text}\x1b\\")
        }
    };
    if get("TMUX").is_some() {
        // It passes this on where `allow-passthrough` is on, and drops it elsewhere.
        format!("\x1bPtmux;{}\x1b\\", told.replace('\x1b', "\x1b\x1b"))
    } else if get("STY").is_some() {
        // There `ESC \` would end the wrapping.
        format!("\x1bP{}\x1b\\", told.replace("\x1b\\", "\x07"))
    } else {
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| {
            pairs
                .iter()
                .find(|(of, _)| *of == name)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn each_terminal_is_told_in_its_own_way() {
        let plain = env(&[]);
        for (medium, bytes) in [
            (Medium::Bell, "\x07"),
            (Medium::Osc9, "\x1b]9;switchboard: 2 runs; done\x1b\\"),
            (Medium::Osc777, "\x1b]777;notify;switchboard;2 runs, done\x1b\\"),
            (
                Medium::Osc99,
                "\x1b]99;i=switchboard:d=0;switchboard\x1b\\\x1b]99;i=switchboard:p=body;2 runs; done\x1b\\",
            ),
        ] {
            assert_eq!(sequence(medium, "2 runs; done", &plain), bytes);
        }
        for (variables, medium) in [
            (env(&[("KITTY_WINDOW_ID", "1")]), Medium::Osc99),
            (env(&[("TERM_PROGRAM", "WezTerm")]), Medium::Osc9),
            (env(&[("TERM", "foot-extra")]), Medium::Osc777),
            (env(&[("VTE_VERSION", "7000")]), Medium::Osc777),
            (env(&[("TERM", "xterm-256color")]), Medium::Bell),
            (env(&[("KITTY_WINDOW_ID", "1"), ("TMUX", "/tmp/x")]), Medium::Bell),
        ] {
            assert_eq!(Medium::detect(variables), medium);
        }
    }

    #[test]
    fn multiplexers_pass_it_on_and_a_text_cannot_leave_its_sequence() {
        let tmux = env(&[("TMUX", "/tmp/x")]);
        assert_eq!(
            sequence(Medium::Osc9, "a\x1b\\b\x07c\u{9c}d", &tmux),
            "\x1bPtmux;\x1b\x1b]9;switchboard: a\\bcd\x1b\x1b\\\x1b\\"
        );
        let screen = env(&[("STY", "1.pts")]);
        assert_eq!(
            sequence(Medium::Osc9, "a", &screen),
            "\x1bP\x1b]9;switchboard: a\x07\x1b\\"
        );
        assert_eq!(sequence(Medium::Bell, "a", &tmux), "\x07");
        assert!(sequence(Medium::Osc9, &"x".repeat(5_000), env(&[])).len() < 300);
    }
}
