//! Large pasted texts: kept beside the draft, which holds one character of private use for each. So a paste is one
//! unit to move over and to delete, is saved and undone with the draft, and a megabyte is never laid out.

use std::collections::BTreeMap;
use std::sync::Arc;

/// From so many lines on a paste is folded.
const FOLDED_LINES: usize = 21;
/// From so many bytes on a paste is folded.
const FOLDED_BYTES: usize = 4 * 1024;
/// The longest text that is pasted, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;
/// What all pastes may take, in bytes.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// The most that can be unfolded in the box, in bytes.
pub const LONGEST_UNFOLDED: usize = 64 * 1024;
/// The first of the characters that stand for pastes: Unicode's last plane of private use.
const FIRST: u32 = 0x10_0000;
const LAST: u32 = 0x10_FFFD;

/// The folded texts of all drafts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pastes(BTreeMap<char, Paste>);

/// One folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paste {
    /// The text.
    pub text: Arc<str>,
    /// Its characters.
    pub characters: usize,
    /// What stands for it in the box.
    pub label: String,
}

impl Paste {
    fn new(text: Arc<str>) -> Self {
        Self {
            characters: text.chars().count(),
            label: label(&text),
            text,
        }
    }
}

/// What stands in the box for a text.
#[must_use]
pub fn label(text: &str) -> String {
    match text.lines().count() {
        0 | 1 => format!("[pasted {} KB]", text.len().div_ceil(1024)),
        lines => format!("[pasted {lines} lines]"),
    }
}

/// What is to be done with a pasted text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// It stands in the box as it is.
    No,
    /// This character stands for it.
    Yes(char),
    /// It is too long for the box.
    TooLong,
}

/// Whether a character stands for a paste.
#[must_use]
pub fn is_mark(c: char) -> bool {
    (FIRST..=LAST).contains(&u32::from(c))
}

/// A text from outside, which can stand for no paste.
#[must_use]
pub fn without_marks(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(is_mark) {
        text.replace(is_mark, "\u{fffd}").into()
    } else {
        text.into()
    }
}

impl Pastes {
    /// What is to be done with a text that is pasted.
    #[must_use]
    pub fn fold(&self, text: &str) -> Fold {
        if text.len() > LONGEST || self.bytes() + text.len() > MOST_BYTES {
            return Fold::TooLong;
        }
        // Counting stops where it is known.
        let lines = text.split('\n').take(FOLDED_LINES + 1).count();
        if text.len() <= FOLDED_BYTES && lines <= FOLDED_LINES {
            return Fold::No;
        }
        (FIRST..=LAST)
            .filter_map(char::from_u32)
            .find(|mark| !self.0.contains_key(mark))
            .map_or(Fold::TooLong, Fold::Yes)
    }

    fn bytes(&self) -> usize {
        self.0.values().map(|paste| paste.text.len()).sum()
    }

    /// Keeps a text under its character.
    pub(super) fn keep(&mut self, mark: char, text: Arc<str>) {
        if is_mark(mark) {
            self.0.insert(mark, Paste::new(text));
        }
    }

    /// The paste that a character stands for.
    #[must_use]
    pub fn get(&self, mark: char) -> Option<&Paste> {
        self.0.get(&mark)
    }

    /// A draft with its pastes in full.
    #[must_use]
    pub fn expand(&self, draft: &str) -> String {
        if !draft.contains(is_mark) {
            return draft.to_owned();
        }
        let mut whole = String::with_capacity(draft.len());
        for c in draft.chars() {
            match self.0.get(&c) {
                Some(paste) => whole.push_str(&paste.text),
                None if is_mark(c) => whole.push('\u{fffd}'),
                None => whole.push(c),
            }
        }
        whole
    }

    /// A text in which the pastes of a draft are folded again as far as they still stand in it.
    #[must_use]
    pub fn fold_again(&self, text: &str, draft: &str) -> String {
        let mut text = without_marks(text).into_owned();
        for mark in draft.chars().filter(|c| is_mark(*c)) {
            let Some(paste) = self.0.get(&mark) else {
                continue;
            };
            // Editors and those who read from them differ over the line break at the end.
            let short = paste.text.trim_end_matches('\n');
            let found = match text.find(&*paste.text) {
                Some(at) => Some((at, paste.text.len())),
                None if text.ends_with(short) => Some((text.len() - short.len(), short.len())),
                None => None,
            };
            if let Some((at, length)) = found {
                text.replace_range(at..at + length, mark.encode_utf8(&mut [0; 4]));
            }
        }
        text
    }

    /// How many characters a draft has, its pastes included.
    #[must_use]
    pub fn characters(&self, draft: &str) -> usize {
        draft
            .chars()
            .map(|c| self.0.get(&c).map_or(1, |paste| paste.characters))
            .sum()
    }

    /// Forgets the pastes that none of these drafts holds.
    pub(super) fn keep_used<'a>(&mut self, drafts: impl Iterator<Item = &'a str>) {
        if self.0.is_empty() {
            return;
        }
        let used: Vec<char> = drafts.flat_map(str::chars).filter(|c| is_mark(*c)).collect();
        self.0.retain(|mark, _| used.contains(mark));
    }

    /// What is written down of those that these drafts hold.
    pub(super) fn saved(&self, used: impl Fn(char) -> bool) -> Vec<(char, Arc<str>)> {
        self.0
            .iter()
            .filter(|(mark, _)| used(**mark))
            .map(|(mark, paste)| (*mark, Arc::clone(&paste.text)))
            .collect()
    }

    pub(super) fn load(saved: Vec<(char, Arc<str>)>) -> Self {
        let mut pastes = Self::default();
        for (mark, text) in saved {
            pastes.keep(mark, text);
        }
        pastes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_folded_and_comes_back_whole() {
        let mut pastes = Pastes::default();
        assert_eq!(pastes.fold("short\ntext"), Fold::No);
        assert_eq!(pastes.fold(&"a\n".repeat(20)), Fold::No);
        let long = "line\n".repeat(120);
        let Fold::Yes(mark) = pastes.fold(&long) else {
            panic!("not folded")
        };
        pastes.keep(mark, long.as_str().into());
        assert_eq!(
            pastes.get(mark).map(|paste| paste.label.as_str()),
            Some("[pasted 120 lines]")
        );
        let draft = format!("see {mark} and say");
        assert_eq!(pastes.expand(&draft), format!("see {long} and say"));
        assert_eq!(pastes.characters(&draft), 4 + 600 + 8);
        let Fold::Yes(other) = pastes.fold(&"x".repeat(5000)) else {
            panic!("not folded")
        };
        assert_ne!(mark, other);
        pastes.keep(other, "x".repeat(5000).into());
        assert_eq!(
            pastes.get(other).map(|paste| paste.label.as_str()),
            Some("[pasted 5 KB]")
        );
        pastes.keep_used([draft.as_str()].into_iter());
        assert!(pastes.get(mark).is_some() && pastes.get(other).is_none());
        assert_eq!(pastes.fold(&"x".repeat(LONGEST + 1)), Fold::TooLong);
    }

    #[test]
    fn an_edited_text_folds_what_was_not_touched() {
        let mut pastes = Pastes::default();
        let mark = char::from_u32(FIRST).expect("a character");
        pastes.keep(mark, "many lines".into());
        let draft = format!("a {mark} b");
        let whole = pastes.expand(&draft);
        assert_eq!(pastes.fold_again(&format!("{whole}!"), &draft), format!("{draft}!"));
        assert_eq!(pastes.fold_again("a few lines b", &draft), "a few lines b");
        pastes.keep(mark, "lines\nat the end\n".into());
        assert_eq!(
            pastes.fold_again("a lines\nat the end", &draft),
            format!("a {mark}"),
            "without the last line break"
        );
        assert_eq!(
            without_marks(&draft),
            "a \u{fffd} b",
            "nothing from outside stands for a paste"
        );
    }
}
