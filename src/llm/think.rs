//! Reasoning that a model writes as `<think>…</think>` at the start of its text, told apart from the text.
//!
//! Tags anywhere else are text. What might still become a tag is held back until it is decided.

/// A piece of what the model wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Of its text.
    Text(String),
    /// Of its reasoning.
    Reasoning(String),
}

/// The most white space before the first word that is held back: a tag may follow it.
const MOST_HELD: usize = 1024;
const TAGS: [(&str, &str); 2] = [("<think>", "</think>"), ("<thinking>", "</thinking>")];

/// Tells reasoning from text. One per answer.
#[derive(Debug, Default)]
pub(super) struct ThinkSplitter {
    state: State,
    held: String,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing but white space, or the beginning of a tag, has come yet.
    #[default]
    Start,
    /// Inside, until this tag.
    Inside(&'static str),
    /// Right after the closing tag: white space there belongs to neither.
    After,
    /// All further text is text.
    Text,
}

impl ThinkSplitter {
    /// Takes the next piece of what the model wrote; gives what is decided by now, in order, never empty.
    pub(super) fn push(&mut self, text: &str, mut give: impl FnMut(Piece)) {
        // Most of an answer is text in which nothing is looked for.
        if matches!(self.state, State::Text) {
            if !text.is_empty() {
                give(Piece::Text(text.to_owned()));
            }
            return;
        }
        self.held.push_str(text);
        while self.step(&mut give) {}
    }

    /// How many bytes are held back.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// What is still held back, at the end of the answer.
    pub(super) fn finish(&mut self) -> Option<Piece> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return None;
        }
        match self.state {
            State::Inside(_) => Some(Piece::Reasoning(held)),
            State::After => None,
            State::Start | State::Text => Some(Piece::Text(held)),
        }
    }

    /// Decides on what is held; whether there may be more to decide.
    fn step(&mut self, give: &mut impl FnMut(Piece)) -> bool {
        if self.held.is_empty() {
            return false;
        }
        match self.state {
            State::Start => {
                let begun = self.held.trim_start();
                if let Some((open, close)) = TAGS.iter().find(|(open, _)| begun.starts_with(open)) {
                    self.held = begun[open.len()..].to_owned();
                    self.state = State::Inside(close);
                    return true;
                }
                if self.held.len() <= MOST_HELD && TAGS.iter().any(|(open, _)| open.starts_with(begun)) {
                    return false;
                }
                self.state = State::Text;
                true
            }
            State::Inside(close) => {
                if let Some(at) = self.held.find(close) {
                    let rest = self.held.split_off(at + close.len());
                    self.held.truncate(at);
                    let reasoning = std::mem::replace(&mut self.held, rest);
                    if !reasoning.is_empty() {
                        give(Piece::Reasoning(reasoning));
                    }
                    self.state = State::After;
                    return true;
                }
                let keep = self.held.len() - tag_begun(&self.held, close);
                let rest = self.held.split_off(keep);
                let reasoning = std::mem::replace(&mut self.held, rest);
                if !reasoning.is_empty() {
                    give(Piece::Reasoning(reasoning));
                }
                false
            }
            State::After => {
                self.held = self.held.trim_start().to_owned();
                if self.held.is_empty() {
                    return false;
                }
                self.state = State::Text;
                true
            }
            State::Text => {
                give(Piece::Text(std::mem::take(&mut self.held)));
                false
            }
        }
    }
}

/// How many bytes at the end of a text may be the beginning of a tag.
fn tag_begun(text: &str, tag: &str) -> usize {
    (1..tag.len())
        .rev()
        .find(|length| text.ends_with(&tag[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reasoning and text of an answer that comes in these pieces.
    fn split(pieces: &[&str]) -> (String, String) {
        let mut splitter = ThinkSplitter::default();
        let mut all = Vec::new();
        for piece in pieces {
            splitter.push(piece, |piece| all.push(piece));
        }
        all.extend(splitter.finish());
        let mut both = (String::new(), String::new());
        for piece in all {
            match piece {
                Piece::Reasoning(piece) => both.0.push_str(&piece),
                Piece::Text(piece) => both.1.push_str(&piece),
            }
        }
        both
    }

    #[test]
    fn only_tags_at_the_start_count() {
        for (pieces, reasoning, text) in [
            (&["hello <think>x</think>"][..], "", "hello <think>x</think>"),
            (&["<think>why</think>\n\nbecause"], "why", "because"),
            (&["\n<thi", "nk>a", "b</th", "ink>", "\n", " c"], "ab", "c"),
            (&["<thinking>a</thinking>b"], "a", "b"),
            (&["<think></think>b"], "", "b"),
            (&["<think>a < b </x> c"], "a < b </x> c", ""),
            (&["<th"], "", "<th"),
            (&["<table>"], "", "<table>"),
            (&["  two"], "", "  two"),
        ] {
            assert_eq!(split(pieces), (reasoning.to_owned(), text.to_owned()), "{pieces:?}");
        }
    }

    #[test]
    fn nothing_is_held_back_without_need() {
        let mut splitter = ThinkSplitter::default();
        for text in ["a", "<think>"] {
            let mut pieces = Vec::new();
            splitter.push(text, |piece| pieces.push(piece));
            assert_eq!(pieces, [Piece::Text(text.into())]);
        }
        let mut blank = ThinkSplitter::default();
        let mut given = 0;
        for _ in 0..10_000 {
            blank.push(" ", |_| given += 1);
            assert!(blank.held() <= MOST_HELD);
        }
        assert!(given > 8_000, "{given}");
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same(text in "(<think>)?[a<>/think é]{0,24}(</think>)?[ a<é]{0,8}", size in 1usize..5) {
            let chars: Vec<char> = text.chars().collect();
            let pieces: Vec<String> = chars.chunks(size).map(|chunk| chunk.iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(split(&pieces), split(&[&text]));
        }
    }
}
