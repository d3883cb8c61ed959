//! Whether the terminal is dark or light: asked once at the start (OSC 11), never waited for.
//!
//! crossterm 0.29 knows no such answers and hands them out as keys. [`AnswerFilter`] takes them out of the keys, whenever
//! they come, and gives every other key on. What the colour is used for is not its matter.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

/// Asks for the colour of the background.
pub const QUERY: &str = "\x1b]11;?\x1b\\";
/// What an answer begins with, after `ESC ]`.
const BEGIN: &str = "11;";
/// The longest answer: `11;rgba:ffff/ffff/ffff/ffff`.
const LONGEST: usize = 32;

/// Whether the question does no harm: consoles that would print it, and multiplexers that may not pass its answer on
/// in one piece, are not asked. `get` looks up a variable of the environment.
#[must_use]
pub fn may_be_asked(get: impl Fn(&str) -> Option<String>) -> bool {
    let term = get("TERM").unwrap_or_default();
    let plain = ["", "dumb", "linux", "cons25", "unknown", "emacs"].contains(&term.as_str());
    let old = ["vt", "screen", "ansi"].iter().any(|prefix| term.starts_with(prefix)) && get("TMUX").is_none();
    !plain && !old && get("STY").is_none()
}

/// What `COLORFGBG` says: `15;0` is light text on dark. `None`: it says nothing.
#[must_use]
pub fn is_light_by_colorfgbg(value: &str) -> Option<bool> {
    let number: u8 = value.rsplit(';').next()?.trim().parse().ok()?;
    Some(matches!(number, 7 | 9..=15))
}

/// Whether a text on this colour is to be dark. `None`: it is no colour as terminals write them.
#[must_use]
pub fn is_light(answer: &str) -> Option<bool> {
    let digits = answer.strip_prefix("rgba:").or_else(|| answer.strip_prefix("rgb:"))?;
    let mut parts = digits.split('/').map(|part| {
        let most = 16_u32.checked_pow(u32::try_from(part.len()).ok()?)?.checked_sub(1)?;
        let value = u32::from_str_radix(part, 16).ok()?;
        (1..=4)
            .contains(&part.len())
            .then(|| f64::from(value) / f64::from(most))
    });
    let (red, green, blue) = (parts.next()??, parts.next()??, parts.next()??);
    Some(0.299 * red + 0.587 * green + 0.114 * blue > 0.5)
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// These are keys: those that were held back, and this one.
    Keys(Vec<Event>),
    /// It may be a part of the answer: it is held back until the next one, or until [`AnswerFilter::give_up`].
    Held,
    /// The answer is whole: whether the background is light, if it could be read.
    Answer(Option<bool>),
}

/// Takes the answer to [`QUERY`] out of the keys.
#[derive(Debug, Default)]
pub struct AnswerFilter {
    /// What may be the answer's beginning, as it came.
    held: Vec<Event>,
    /// What of it stands after `ESC ]`; `None`: that is not complete.
    text: Option<String>,
    /// The answer would have come by now: a lone Escape is a key, at once.
    pub late: bool,
    /// The answer came: everything is a key from now on.
    done: bool,
}

impl AnswerFilter {
    /// Whether something is held back.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// What was held back is no answer.
    pub fn give_up(&mut self) -> Vec<Event> {
        self.text = None;
        std::mem::take(&mut self.held)
    }

    /// Takes an event in.
    pub fn take(&mut self, event: Event) -> Taken {
        if self.done {
            return Taken::Keys(vec![event]);
        }
        let key = match &event {
            Event::Key(KeyEvent { code, modifiers, .. }) => Some((*code, *modifiers - KeyModifiers::SHIFT)),
            _ => None,
        };
        let is_first = self.held.is_empty();
        match (key, &mut self.text) {
            // `ESC ]`; a slow line may bring it in two pieces.
            (Some((KeyCode::Char(']'), KeyModifiers::ALT)), None) if is_first => self.text = Some(String::new()),
            (Some((KeyCode::Esc, KeyModifiers::NONE)), None) if is_first && !self.late => {}
            (Some((KeyCode::Char(']'), KeyModifiers::NONE)), None) if !is_first => self.text = Some(String::new()),
            (Some((KeyCode::Char(c), KeyModifiers::NONE)), Some(text)) if fits(text, c) => text.push(c),
            // `ESC \` or BEL ends it.
            (
                Some((KeyCode::Char('\\'), KeyModifiers::ALT) | (KeyCode::Char('g'), KeyModifiers::CONTROL)),
                Some(text),
            ) if text.starts_with(BEGIN) => {
                let light = is_light(&text[BEGIN.len()..]);
                self.done = true;
                self.give_up();
                return Taken::Answer(light);
            }
            _ => {
                let mut keys = self.give_up();
                if !keys.is_empty() && matches!(key, Some((KeyCode::Esc, _) | (KeyCode::Char(']'), KeyModifiers::ALT)))
                {
                    // It may begin with this one.
                    return match self.take(event) {
                        Taken::Held => {
                            if keys.is_empty() {
                                Taken::Held
                            } else {
                                Taken::Keys(keys)
                            }
                        }
                        Taken::Keys(more) => {
                            keys.extend(more);
                            Taken::Keys(keys)
                        }
                        answer @ Taken::Answer(_) => answer,
                    };
                }
                keys.push(event);
                return Taken::Keys(keys);
            }
        }
        self.held.push(event);
        Taken::Held
    }
}

/// Whether a character may come next in an answer.
fn fits(text: &str, c: char) -> bool {
    match BEGIN.chars().nth(text.len()) {
        Some(expected) => c == expected,
        None => text.len() < LONGEST && (c.is_ascii_hexdigit() || matches!(c, 'r' | 'g' | 'b' | ':' | '/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(c: char, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(KeyCode::Char(c), modifiers))
    }

    fn esc() -> Event {
        Event::Key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE))
    }

    /// The events of an answer as crossterm reads it.
    fn answer(text: &str, end: Event) -> Vec<Event> {
        let mut events = vec![key(']', KeyModifiers::ALT)];
        events.extend(text.chars().map(|c| key(c, KeyModifiers::NONE)));
        events.push(end);
        events
    }

    /// Every key that gets through, and the answers.
    fn run(events: impl IntoIterator<Item = Event>) -> (Vec<Event>, Vec<Option<bool>>) {
        let (mut filter, mut keys, mut answers) = (AnswerFilter::default(), Vec::new(), Vec::new());
        for event in events {
            match filter.take(event) {
                Taken::Keys(more) => keys.extend(more),
                Taken::Held => {}
                Taken::Answer(light) => answers.push(light),
            }
        }
        keys.extend(filter.give_up());
        (keys, answers)
    }

    #[test]
    fn an_answer_is_taken_out_of_the_keys() {
        let bel = key('g', KeyModifiers::CONTROL);
        let st = key('\\', KeyModifiers::ALT);
        for (text, end, light) in [
            ("11;rgb:0000/0000/0000", st.clone(), Some(false)),
            ("11;rgb:ffff/ffff/ffff", bel.clone(), Some(true)),
            ("11;rgb:fd/f6/e3", st.clone(), Some(true)),
            ("11;rgba:1e1e/1e1e/2e2e/ffff", st.clone(), Some(false)),
            ("11;rgb:", bel, None),
        ] {
            let mut events = vec![key('a', KeyModifiers::NONE)];
            events.extend(answer(text, end));
            events.push(key('b', KeyModifiers::NONE));
            let expected = vec![key('a', KeyModifiers::NONE), key('b', KeyModifiers::NONE)];
            assert_eq!(run(events), (expected, vec![light]), "{text}");
        }
        // In two pieces, the first of which is a key of its own.
        let mut events = vec![esc(), key(']', KeyModifiers::NONE)];
        events.extend(answer("11;rgb:00/00/00", st).split_off(1));
        assert_eq!(run(events), (Vec::new(), vec![Some(false)]));
    }

    #[test]
    fn keys_that_begin_like_an_answer_are_keys_in_their_order() {
        for events in [
            vec![
                key(']', KeyModifiers::ALT),
                key('1', KeyModifiers::NONE),
                key('x', KeyModifiers::NONE),
            ],
            vec![esc(), key('q', KeyModifiers::NONE)],
            vec![esc(), esc(), key(']', KeyModifiers::NONE), key('2', KeyModifiers::NONE)],
            vec![key(']', KeyModifiers::ALT), esc(), key('j', KeyModifiers::NONE)],
            answer("12;rgb:00/00/00", key('\\', KeyModifiers::ALT)),
            vec![Event::Paste("11;rgb:".to_owned()), esc(), Event::FocusLost],
        ] {
            assert_eq!(run(events.clone()), (events, Vec::new()));
        }
    }

    #[test]
    fn only_terminals_that_understand_are_asked() {
        let env = |pairs: &'static [(&'static str, &'static str)]| {
            move |name: &str| {
                pairs
                    .iter()
                    .find(|(of, _)| *of == name)
                    .map(|(_, value)| (*value).to_owned())
            }
        };
        assert!(may_be_asked(env(&[("TERM", "xterm-256color")])));
        assert!(may_be_asked(env(&[("TERM", "screen-256color"), ("TMUX", "/tmp/tmux")])));
        assert!(!may_be_asked(env(&[("TERM", "screen-256color")])));
        assert!(!may_be_asked(env(&[("TERM", "xterm"), ("STY", "1.x")])));
        assert!(!may_be_asked(env(&[("TERM", "linux")])));
        assert!(!may_be_asked(env(&[])));
    }

    #[test]
    fn the_environment_says_it_too() {
        for (value, light) in [
            ("15;0", Some(false)),
            ("0;15", Some(true)),
            ("0;default;15", Some(true)),
            ("12;8", Some(false)),
            ("default", None),
            ("", None),
        ] {
            assert_eq!(is_light_by_colorfgbg(value), light, "{value}");
        }
    }
}
