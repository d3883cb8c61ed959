//! Drafts: one for new runs and one for each thread. The box holds the one that belongs to what Enter would do;
//! nothing that was typed is lost on the way.

use crate::wire::ChannelId;

use super::super::state::App;
use super::super::update::{save_later, set_draft};
use super::Mode;

/// Puts the draft into the box that belongs there, after the selection or the switch changed.
pub(in crate::app) fn settle(app: &mut App) {
    let wanted = match app.compose.mode {
        Mode::New => None,
        Mode::Continue => app.selected.as_ref().filter(|id| app.channels.contains_key(*id)),
    };
    if wanted == app.compose.holds.as_ref() {
        return;
    }
    let wanted = wanted.cloned();
    let text = std::mem::take(&mut app.draft);
    let held = std::mem::replace(&mut app.compose.holds, wanted.clone());
    put(app, held.as_ref(), text);
    let text = take(app, wanted.as_ref());
    set_draft(app, text);
}

/// Switches between a new run and the thread in focus. What stands in the box goes along, unless something was
/// being typed there too.
pub(super) fn switch(app: &mut App) {
    app.compose.mode = match app.compose.mode {
        Mode::New => Mode::Continue,
        Mode::Continue => Mode::New,
    };
    let before = app.compose.holds.clone();
    settle(app);
    if before != app.compose.holds && app.draft.is_empty() {
        let text = take(app, before.as_ref());
        if !text.is_empty() {
            set_draft(app, text);
        }
    }
    save_later(app);
}

/// Lays a text aside as a draft. That of a channel which is gone becomes one of the new run.
fn put(app: &mut App, of: Option<&ChannelId>, text: String) {
    if text.is_empty() {
        return;
    }
    match of.and_then(|id| app.channels.get_mut(id)) {
        Some(channel) => channel.compose.draft = text,
        None => app.compose.new_draft = joined(&text, &app.compose.new_draft),
    }
}

fn take(app: &mut App, of: Option<&ChannelId>) -> String {
    match of {
        Some(id) => app
            .channels
            .get_mut(id)
            .map(|channel| std::mem::take(&mut channel.compose.draft))
            .unwrap_or_default(),
        None => std::mem::take(&mut app.compose.new_draft),
    }
}

/// A text that was sent comes back as a draft, before what has been typed since. `thread`: whose it was; `None`: a
/// new run's.
pub(super) fn give_back(app: &mut App, thread: Option<&ChannelId>, text: &str) {
    if app.compose.holds.as_ref() == thread {
        let draft = joined(text, &app.draft);
        set_draft(app, draft);
        return;
    }
    match thread.and_then(|id| app.channels.get_mut(id)) {
        Some(channel) => channel.compose.draft = joined(text, &channel.compose.draft),
        None => app.compose.new_draft = joined(text, &app.compose.new_draft),
    }
    save_later(app);
}

pub(in crate::app) fn joined(first: &str, second: &str) -> String {
    if second.trim().is_empty() || first == second {
        return first.to_owned();
    }
    // Several runs of one prompt may all come back.
    if second.strip_prefix(first).is_some_and(|rest| rest.starts_with("\n\n")) {
        return second.to_owned();
    }
    format!("{first}\n\n{second}")
}

/// The draft for new runs, wherever it is.
pub(in crate::app) fn of_new_run(app: &App) -> &str {
    match app.compose.holds {
        None => &app.draft,
        Some(_) => &app.compose.new_draft,
    }
}

/// The draft of a thread, wherever it is.
pub(in crate::app) fn of_thread<'a>(app: &'a App, id: &ChannelId) -> &'a str {
    if app.compose.holds.as_ref() == Some(id) {
        return &app.draft;
    }
    app.channels.get(id).map_or("", |channel| &channel.compose.draft)
}
