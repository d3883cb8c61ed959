//! Pastes where the terminal does not mark them: keys that arrive within a few milliseconds of each other are no
//! typing, and a line break among them sends nothing.
//!
//! Pure: events and times in, events out. Terminals that mark pastes (nearly all) are known by the first paste that
//! they mark; from then on every key is a key.

use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Keys that are closer together than this were not typed. Fast typing has some 30 ms between two keys.
const GAP: Duration = Duration::from_millis(10);
/// How long what came is held for what may follow.
const HOLD: Duration = Duration::from_millis(15);
/// For so long after lines that came at once, a line break still belongs to them.
const GRACE: Duration = Duration::from_millis(120);
/// So many keys of a burst go through one by one; the others come as one text.
const SINGLE_KEYS: usize = 16;
/// A text of this length is handed on, in bytes.
const LONGEST: usize = 1024 * 1024;

/// Tells bursts of keys from typing.
#[derive(Debug, Default)]
pub struct Burst {
    /// When the last key came.
    last: Option<Duration>,
    /// How many came at once.
    count: usize,
    /// A line break among them was found to be text.
    lines: bool,
    /// What came and was not handed on yet.
    held: String,
    /// The terminal marks pastes itself.
    marks: bool,
}

impl Burst {
    /// Takes an event that came at a time. `typing`: keys type a text now. Gives what is to be taken in now.
    pub fn take(&mut self, event: Event, at: Duration, typing: bool) -> Vec<Event> {
        self.marks |= matches!(event, Event::Paste(_));
        let text = match &event {
            Event::Key(key) if typing && !self.marks => character(key),
            _ => None,
        };
        let Some(c) = text else {
            let mut events = self.flush();
            if matches!(event, Event::Key(_) | Event::Paste(_)) {
                self.last = None;
                self.count = 0;
                self.lines = false;
            }
            events.push(event);
            return events;
        };
        let since = self.last.map(|last| at.saturating_sub(last));
        self.last = Some(at);
        let at_once = since.is_some_and(|since| since <= GAP);
        let of_lines = c == '\n' && self.lines && since.is_some_and(|since| since <= GRACE);
        if !at_once && !of_lines {
            let mut events = self.flush();
            self.count = 1;
            self.lines = false;
            events.push(event);
            return events;
        }
        self.count += 1;
        if self.held.is_empty() && !matches!(c, '\n' | '\t') && self.count <= SINGLE_KEYS {
            return vec![event];
        }
        self.held.push(c);
        if self.held.len() >= LONGEST {
            return self.flush();
        }
        Vec::new()
    }

    /// When [`Self::flush`] is to be called; `None`: nothing is held.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        if self.held.is_empty() {
            return None;
        }
        self.last.map(|last| last + HOLD)
    }

    /// Hands on what is held: nothing followed. One line with its end is what somebody typed ahead, or what a script
    /// sends: its end is a key. Several lines are a paste.
    pub fn flush(&mut self) -> Vec<Event> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let mut text = std::mem::take(&mut self.held);
        if text == "\t" && !self.lines {
            return vec![Event::Key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE))];
        }
        let one_line = !self.lines && text.find('\n') == Some(text.len() - 1);
        let mut events = Vec::new();
        if one_line {
            text.pop();
        }
        self.lines |= text.contains('\n');
        if !text.is_empty() {
            events.push(Event::Paste(text));
        }
        if one_line {
            events.push(Event::Key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)));
        }
        events
    }
}

/// What a key types; a line break comes as Enter or, from some terminals, as Ctrl-J.
fn character(key: &KeyEvent) -> Option<char> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match (key.code, key.modifiers) {
        (KeyCode::Char(c), KeyModifiers::NONE | KeyModifiers::SHIFT) => Some(c),
        (KeyCode::Char('j'), KeyModifiers::CONTROL) | (KeyCode::Enter, KeyModifiers::NONE) => Some('\n'),
        (KeyCode::Tab, KeyModifiers::NONE) => Some('\t'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types a text, with so many milliseconds between two keys, and writes down what comes of it.
    fn play(burst: &mut Burst, text: &str, ms: u64, at: &mut u64) -> String {
        let mut out = String::new();
        for c in text.chars() {
            *at += ms;
            let now = Duration::from_millis(*at);
            if burst.due().is_some_and(|due| due <= now) {
                out.push_str(&written(burst.flush()));
            }
            let code = match c {
                '\n' => KeyCode::Enter,
                c => KeyCode::Char(c),
            };
            let key = Event::Key(KeyEvent::new(code, KeyModifiers::NONE));
            out.push_str(&written(burst.take(key, now, true)));
        }
        out
    }

    fn written(events: Vec<Event>) -> String {
        let one = |event| match event {
            Event::Paste(text) => format!("<{}>", text.replace('\n', "|")),
            Event::Key(key) => match key.code {
                KeyCode::Char(c) => c.to_string(),
                _ => "!".to_owned(),
            },
            _ => "?".to_owned(),
        };
        events.into_iter().map(one).collect()
    }

    #[test]
    fn keys_are_keys_and_a_burst_of_lines_is_a_paste() {
        for (text, ms, expected) in [
            ("typed\n", 30, "typed!"),
            ("a\nb\n", 30, "a!b!"),
            // What a script sends at once is sent, whatever its length.
            ("hello\n", 0, "hello!"),
            ("a prompt that is longer\n", 0, "a prompt that is< longer>!"),
            // Several lines at once are none.
            ("a\nb\n", 0, "a<|b|>"),
            ("first line\nsecond line\n", 2, "first line<|second line|>"),
            (
                "a line that is longer\nand one more",
                1,
                "a line that is l<onger|and one more>",
            ),
            ("\n\n", 0, "!!"),
            ("a\tb\n", 0, "a<\tb>!"),
        ] {
            let (mut burst, mut at) = (Burst::default(), 1_000);
            let mut out = play(&mut burst, text, ms, &mut at);
            assert!(burst.due().is_none_or(|due| due <= Duration::from_millis(at + 15)));
            out.push_str(&written(burst.flush()));
            assert_eq!(out, expected, "{text:?} every {ms} ms");
            assert_eq!(burst.due(), None, "nothing is held for ever");
        }
    }

    #[test]
    fn a_paste_in_two_pieces_sends_nothing_in_between() {
        let (mut burst, mut at) = (Burst::default(), 1_000);
        let mut out = play(&mut burst, "one\ntwo", 0, &mut at);
        at += 60;
        out.push_str(&play(&mut burst, "\n", 0, &mut at));
        out.push_str(&written(burst.flush()));
        at += 500;
        out.push_str(&play(&mut burst, "\n", 0, &mut at));
        assert_eq!(out, "one<|two><|>!", "and much later Enter is Enter");
    }

    #[test]
    fn a_terminal_that_marks_pastes_is_believed() {
        let (mut burst, mut at) = (Burst::default(), 1_000);
        burst.take(Event::Paste("x".into()), Duration::from_millis(at), true);
        assert_eq!(play(&mut burst, "a\nb\n", 0, &mut at), "a!b!");
        let mut burst = Burst::default();
        let key = |code| Event::Key(KeyEvent::new(code, KeyModifiers::NONE));
        for _ in 0..3 {
            let events = burst.take(key(KeyCode::Enter), Duration::from_millis(5), false);
            assert_eq!(events.len(), 1, "where nothing is typed, keys are keys");
        }
    }
}
