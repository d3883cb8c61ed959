//! What was sent before: going through it with the arrows, and searching it.
//!
//! The file is `tui`'s matter; here is what was read of it and what was sent since.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::text::sanitise_line;

use super::super::effect::Effect;
use super::super::picker::{Entry, Picker, Purpose};
use super::super::state::{App, Focus, Overlay};
use super::super::update::{say, set_draft};
use super::{Do, pastes};

/// The most prompts that are kept.
pub const MOST: usize = 1_000;
/// The longest prompt that is kept, in bytes.
const LONGEST: usize = 64 * 1024;
/// Characters of a prompt that the list shows.
const SHOWN: usize = 300;

/// A prompt that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When, Unix time in milliseconds.
    pub at: u64,
    /// What was typed.
    pub text: Arc<str>,
}

/// The prompts that were sent, and where the person is in them.
#[derive(Debug, Default)]
pub struct History {
    entries: VecDeque<Sent>,
    /// The entry in the box, and what was being typed before.
    browsing: Option<(usize, String)>,
}

impl History {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn push(&mut self, sent: Sent) -> bool {
        if self.entries.back().is_some_and(|last| last.text == sent.text) {
            return false;
        }
        self.entries.push_back(sent);
        while self.entries.len() > MOST {
            self.entries.pop_front();
        }
        true
    }

    /// What was read from the file; what was sent meanwhile stands behind it.
    pub(super) fn load(&mut self, read: Vec<Sent>) {
        let since = std::mem::take(&mut self.entries);
        for sent in read {
            self.push(Sent {
                text: pastes::without_marks(&sent.text).into(),
                at: sent.at,
            });
        }
        for sent in since {
            self.push(sent);
        }
    }

    /// The draft was changed by hand: it is no entry any more.
    pub(super) fn leave(&mut self) {
        self.browsing = None;
    }
}

/// Remembers what was sent.
pub(in crate::app) fn remember(app: &mut App, typed: &str, effects: &mut Vec<Effect>) {
    let whole = app.compose.pastes.expand(typed);
    let text: Arc<str> = if whole.len() <= LONGEST {
        whole.trim_end().into()
    } else {
        // The pasted part is not kept, the typed one is.
        let short: String = typed
            .chars()
            .flat_map(|c| match app.compose.pastes.get(c) {
                Some(paste) => paste.label.chars().collect::<Vec<_>>(),
                None => vec![c],
            })
            .collect();
        if short.len() > LONGEST {
            return;
        }
        short.into()
    };
    app.compose.history.leave();
    let sent = Sent {
        at: app.now.unix_ms,
        text,
    };
    if app.compose.history.push(sent.clone()) {
        effects.push(Effect::Compose(Do::Remember(sent)));
    }
}

/// The prompt before the one in the box.
pub(super) fn back(app: &mut App) {
    let history = &mut app.compose.history;
    let next = match &history.browsing {
        Some((at, _)) => at.checked_sub(1),
        None => history.entries.len().checked_sub(1),
    };
    let Some(at) = next else {
        let text = if history.is_empty() {
            "No prompt was sent before"
        } else {
            "This is the oldest prompt that is kept"
        };
        say(app, text.to_owned());
        return;
    };
    let Some(text) = history.entries.get(at).map(|sent| Arc::clone(&sent.text)) else {
        return;
    };
    let typed = match history.browsing.take() {
        Some((_, typed)) => typed,
        None => app.draft.clone(),
    };
    show(app, &text);
    app.compose.history.browsing = Some((at, typed));
}

/// The prompt after the one in the box; behind the last one stands what was being typed.
pub(super) fn forward(app: &mut App) {
    let history = &mut app.compose.history;
    let Some((at, typed)) = history.browsing.take() else {
        return;
    };
    match history.entries.get(at + 1).map(|sent| Arc::clone(&sent.text)) {
        Some(text) => {
            show(app, &text);
            app.compose.history.browsing = Some((at + 1, typed));
        }
        None => set_draft(app, typed),
    }
}

fn show(app: &mut App, text: &str) {
    set_draft(app, text.to_owned());
}

/// Opens the list of what was sent, the newest first.
pub(super) fn search(app: &mut App) {
    let now = app.now.unix_ms;
    let entries = app
        .compose
        .history
        .entries
        .iter()
        .enumerate()
        .rev()
        .map(|(at, sent)| {
            let line: String = sent.text.split_whitespace().collect::<Vec<_>>().join(" ");
            let line: String = line.chars().take(SHOWN).collect();
            Entry {
                text: sanitise_line(&line).into_owned(),
                detail: String::new(),
                right: age(now.saturating_sub(sent.at)),
                value: at.to_string(),
            }
        })
        .collect();
    let mut picker = Picker::new(Purpose::History, "history", "Type to search what was sent", entries);
    picker.empty = "No prompt was sent before".to_owned();
    app.overlay = Some(Overlay::Pick(picker));
}

/// How long ago, in the largest unit that fits.
fn age(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0 => "now".to_owned(),
        1..60 => format!("{minutes} min"),
        60..1440 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}

/// A prompt was picked from the list. What stood in the box can be had back with `Down`.
pub(in crate::app) fn picked(app: &mut App, value: &str) {
    let Some((at, text)) = value
        .parse::<usize>()
        .ok()
        .and_then(|at| Some((at, Arc::clone(&app.compose.history.entries.get(at)?.text))))
    else {
        return;
    };
    let typed = match app.compose.history.browsing.take() {
        Some((_, typed)) => typed,
        None => app.draft.clone(),
    };
    show(app, &text);
    // Behind it, only what was being typed follows.
    let at = if typed.is_empty() {
        at
    } else {
        app.compose.history.entries.len().saturating_sub(1)
    };
    app.compose.history.browsing = Some((at, typed));
    app.focus = Focus::Compose;
}
