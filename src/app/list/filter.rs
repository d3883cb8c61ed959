//! What the list is narrowed to: words of the title, the group or the state, all of which must fit.
//!
//! `state:waiting`, `group:nightly`, `is:unread` and `is:pinned` ask for one thing; `!` in front of a word turns it
//! round. Case does not count. It knows no order.

use crate::app::ChannelState;
use crate::app::channel::Channel;

/// What was typed, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    not: bool,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Word(String),
    State(String),
    Group(String),
    Unread,
    Pinned,
}

impl Filter {
    /// Reads what was typed. Every text is a filter.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let terms = text.split_whitespace().filter_map(Term::read).collect();
        Self {
            text: text.to_owned(),
            terms,
        }
    }

    /// What was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it hides nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether a channel in this state fits.
    #[must_use]
    pub fn fits(&self, channel: &Channel, state: ChannelState) -> bool {
        if self.terms.is_empty() {
            return true;
        }
        let title = channel.title.to_lowercase();
        let group = channel.list.group.to_lowercase();
        self.terms.iter().all(|term| {
            let fits = match &term.kind {
                Kind::Word(word) => title.contains(word) || group.contains(word) || state.word().starts_with(word),
                Kind::State(word) => state.word().replace(' ', "-").starts_with(word),
                Kind::Group(word) => group.contains(word) && (!word.is_empty() || group.is_empty()),
                Kind::Unread => channel.unread || channel.list.held,
                Kind::Pinned => channel.list.pinned,
            };
            fits != term.not
        })
    }
}

impl Term {
    /// One word; `None` while it says nothing yet (`state:`, `!`).
    fn read(word: &str) -> Option<Self> {
        let lower = word.to_lowercase();
        let (not, word) = match lower.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, lower.as_str()),
        };
        let kind = match word.split_once(':') {
            Some(("state" | "is", "")) => return None,
            Some(("is", "unread")) => Kind::Unread,
            Some(("is", "pinned")) => Kind::Pinned,
            Some(("state" | "is", state)) => Kind::State(state.to_owned()),
            Some(("group", group)) => Kind::Group(group.to_owned()),
            _ if word.is_empty() => return None,
            _ => Kind::Word(word.to_owned()),
        };
        Some(Self { not, kind })
    }
}
