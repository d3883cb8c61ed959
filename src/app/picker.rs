//! A list to pick from, narrowed by what is typed: the palette, presets, runs, history, exports.
//!
//! It knows how to narrow and to move; what its entries mean is the matter of whoever opened it.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// A list to pick from.
#[derive(Debug, Clone, PartialEq)]
pub struct Picker {
    /// What is picked; it comes back with the choice.
    pub purpose: Purpose,
    /// The title bar's text.
    pub title: String,
    /// What to say where nothing is typed.
    pub placeholder: &'static str,
    /// What to say where there is no entry at all.
    pub empty: String,
    /// What was typed.
    pub input: String,
    /// Everything that there is to pick, in its order.
    pub entries: Vec<Entry>,
    /// The entries that match, the best first: indices of `entries`.
    pub found: Vec<usize>,
    /// The marked one: an index of `found`.
    pub cursor: usize,
}

/// What a picker picks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An action: the palette.
    Action,
    /// A run of the account that is not watched yet.
    Run,
    /// A preset for the compose box.
    Preset,
    /// An earlier prompt.
    History,
    /// What to copy.
    Copy,
    /// The form of an export.
    Export,
    /// A recording.
    Recording,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is called, on one line and safe for a terminal; this is what typing matches.
    pub text: String,
    /// What stands beside it, dim.
    pub detail: String,
    /// What stands at its right end: a key, a time.
    pub right: String,
    /// What it stands for, in the opener's terms (an action's name, a channel id, a place in a list).
    pub value: String,
}

impl Picker {
    /// A picker over these entries, the first one marked.
    #[must_use]
    pub fn new(purpose: Purpose, title: &str, placeholder: &'static str, entries: Vec<Entry>) -> Self {
        let found = (0..entries.len()).collect();
        Self {
            purpose,
            title: title.to_owned(),
            placeholder,
            empty: "nothing to pick".to_owned(),
            input: String::new(),
            entries,
            found,
            cursor: 0,
        }
    }

    /// What was typed changed: the entries that match, the best first.
    pub fn narrow(&mut self, input: String) {
        self.input = input;
        self.cursor = 0;
        if self.input.trim().is_empty() {
            self.found = (0..self.entries.len()).collect();
            return;
        }
        let mut matcher = Matcher::new(Config::DEFAULT);
        let pattern = Pattern::new(&self.input, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy);
        let mut buffer = Vec::new();
        let purpose = self.purpose;
        let mut scored: Vec<(u32, usize)> = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| {
                let text = Utf32Str::new(&entry.text, &mut buffer);
                let mut score = pattern.score(text, &mut matcher);
                if purpose == Purpose::Action {
                    // An action is found by its name as well, which the key map in the configuration has.
                    let name = entry.value.replace('_', " ");
                    score = score.max(pattern.score(Utf32Str::new(&name, &mut buffer), &mut matcher));
                }
                Some((score?, index))
            })
            .collect();
        scored.sort_by_key(|(score, index)| (std::cmp::Reverse(*score), *index));
        self.found = scored.into_iter().map(|(_, index)| index).collect();
    }

    /// Moves the mark, staying within the list.
    pub fn step(&mut self, by: isize) {
        self.cursor = self
            .cursor
            .saturating_add_signed(by)
            .min(self.found.len().saturating_sub(1));
    }

    /// The marked entry.
    #[must_use]
    pub fn picked(&self) -> Option<&Entry> {
        self.entries.get(*self.found.get(self.cursor)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            text: text.to_owned(),
            detail: String::new(),
            right: String::new(),
            value: text.to_uppercase(),
        }
    }

    #[test]
    fn typing_narrows_by_the_letters_in_their_order_and_the_mark_stays_inside() {
        let entries = ["stop watching", "copy id", "watch a channel"].map(entry).to_vec();
        let mut picker = Picker::new(Purpose::Action, "commands", "", entries);
        picker.step(5);
        assert_eq!(
            picker.picked().map(|entry| entry.value.as_str()),
            Some("WATCH A CHANNEL")
        );
        picker.narrow("wch".to_owned());
        let found: Vec<&str> = picker
            .found
            .iter()
            .map(|at| picker.entries[*at].text.as_str())
            .collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(!found.contains(&"copy id"), "{found:?}");
        picker.narrow("zzz".to_owned());
        assert_eq!(picker.picked(), None);
        picker.step(1);
        assert_eq!(picker.picked(), None);
        picker.narrow(" ".to_owned());
        assert_eq!(picker.found, [0, 1, 2]);
    }
}
