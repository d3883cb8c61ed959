//! Threads: a conversation over several runs, each on a channel of its own, shown as one channel.
//!
//! A channel holds one run. Going on with a conversation makes a new channel that takes the place of the one
//! before it and begins with what that one said; the server is sent the whole conversation. So a thread needs
//! nothing of the server, and outlives what the server keeps of its earlier runs.

use std::sync::Arc;

use crate::transcript::{EndReason, Honesty, Status, Turn, TurnKind};
use crate::wire::event::MessageKind;
use crate::wire::{ChannelId, Message};

use super::super::action::Action;
use super::super::channel::{Channel, Kept};
use super::super::effect::Effect;
use super::super::state::App;
use super::super::update::{close_overlay_of, save_later, say};
use super::dispatch::{Outgoing, Target, replaced};
use super::{Mode, Queued, drafts};

/// The longest conversation that is sent, in bytes of text.
const LONGEST: usize = 1024 * 1024;
/// The most prompts that wait for a run to end.
const MOST_QUEUED: usize = 20;

/// Whether a run can be gone on with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Continues {
    /// It can.
    Yes,
    /// It goes on still: what is typed waits for its end.
    Later,
    /// It can, but the person should know this first.
    Warn(&'static str),
    /// It cannot, and why.
    No(&'static str),
}

/// The thread that the next prompt continues; `None`: it starts a new run.
#[must_use]
pub(in crate::app) fn continued(app: &App) -> Option<&Channel> {
    match app.compose.mode {
        Mode::New => None,
        Mode::Continue => app.selected_channel(),
    }
}

/// Whether a run can be gone on with.
pub(super) fn check(app: &App, channel: &Channel) -> Continues {
    let status = channel.transcript.status();
    let nothing = channel.compose.earlier.is_empty() && channel.transcript.is_empty();
    if status == Status::Empty && channel.kept == Kept::No {
        return if nothing {
            Continues::No("Nothing of this run is kept, so it cannot be gone on with")
        } else {
            Continues::Warn("The last run of this thread is not kept any more: only what is shown goes along")
        };
    }
    if nothing && channel.prompt.is_none() {
        return Continues::No("Nothing is known of a conversation here");
    }
    if !status.is_over() && channel.state(app.now).is_open() {
        return Continues::Later;
    }
    let own = channel.transcript.own_turns();
    let size: usize = channel.compose.earlier.iter().chain(&own).map(Turn::size).sum();
    if size > LONGEST {
        return Continues::No("This conversation is too long to be sent along (over 1 MB)");
    }
    match channel.transcript.honesty() {
        Honesty::HeadTrimmed => {
            return Continues::Warn("The beginning of this conversation is not here: only what is shown goes along");
        }
        Honesty::Gap => {
            return Continues::Warn("A part of this conversation is missing here: only what is shown goes along");
        }
        Honesty::Complete | Honesty::Unknown => {}
    }
    let asked = |turn: &Turn| matches!(&turn.kind, TurnKind::Prompt { role, .. } if role == "user");
    if !own.iter().any(asked) {
        return Continues::Warn("The prompt of this run is not known here: only what is shown goes along");
    }
    Continues::Yes
}

/// The messages of a thread, oldest first: what the person and the bot said. Function calls and reasoning are
/// shown in it but not sent: their outcome is in the answers.
pub(super) fn conversation(channel: &Channel) -> Vec<Message> {
    let own = channel.transcript.own_turns();
    let turns = channel.compose.earlier.iter().chain(&own);
    turns
        .filter_map(|turn| match &turn.kind {
            TurnKind::Prompt { role, text } => Some(Message::new(input_kind(role)?, text.clone())),
            TurnKind::Answer { text } if !text.is_empty() => Some(Message::new(MessageKind::Bot, text.clone())),
            _ => None,
        })
        .collect()
}

fn input_kind(role: &str) -> Option<MessageKind> {
    [
        MessageKind::User,
        MessageKind::Context,
        MessageKind::Instruction,
        MessageKind::Backstory,
    ]
    .into_iter()
    .find(|kind| kind.as_str() == role)
}

/// Puts the channel of a thread's next run where its last one stood.
pub(super) fn succeed(app: &mut App, parent: &ChannelId, id: &ChannelId, effects: &mut Vec<Effect>) {
    let Some((index, _, mut before)) = app.channels.shift_remove_full(parent) else {
        return;
    };
    app.last_generation += 1;
    let mut channel = Channel::new(id.clone(), app.last_generation, app.now);
    channel.title.clone_from(&before.title);
    channel.titled = before.titled;
    channel.added_at = before.added_at;
    channel.list = before.list.clone();
    let mut earlier = before.compose.earlier.to_vec();
    let parent_from = earlier.len();
    earlier.extend(before.transcript.own_turns());
    channel.compose.earlier = Arc::new(earlier);
    channel.compose.parent = Some(parent.clone());
    channel.compose.parent_from = parent_from;
    channel.compose.queue = std::mem::take(&mut before.compose.queue);
    channel.compose.restored = before.compose.restored;
    channel.compose.draft = std::mem::take(&mut before.compose.draft);
    channel.transcript.begin_with(&channel.compose.earlier);
    // Until the server took the prompt, the thread can go back to where it was.
    before.compose.before = None;
    channel.compose.before = Some(Box::new(before));
    effects.push(Effect::Unwatch {
        channel: parent.clone(),
    });
    effects.push(Effect::Watch {
        channel: id.clone(),
        generation: app.last_generation,
        after: None,
    });
    app.channels.shift_insert(index, id.clone(), channel);
    replaced(app, parent, id);
    close_overlay_of(app, parent);
}

/// No server took the next run of a thread: its last one stands there again. Gives the channel of that; `None`:
/// the channel continued nothing.
pub(super) fn restore(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) -> Option<ChannelId> {
    let channel = app.channels.get_mut(id)?;
    let mut before = *channel.compose.before.take()?;
    before.compose.queue = std::mem::take(&mut channel.compose.queue);
    before.compose.restored = channel.compose.restored;
    before.compose.draft = std::mem::take(&mut channel.compose.draft);
    before.list = channel.list.clone();
    let index = app.channels.get_index_of(id)?;
    app.channels.shift_remove(id);
    effects.push(Effect::Unwatch { channel: id.clone() });
    let parent = before.id.clone();
    app.channels.shift_insert(index, parent.clone(), before);
    replaced(app, id, &parent);
    close_overlay_of(app, id);
    Some(parent)
}

/// Puts a prompt in the line of those that wait for the run's end; `false`: the line is full, and that was said.
pub(super) fn queue(app: &mut App, id: &ChannelId, queued: Queued) -> bool {
    let Some(channel) = app.channels.get_mut(id) else {
        return false;
    };
    if channel.compose.queue.len() >= MOST_QUEUED {
        let key = app.settings.keymap.first(Action::TakeBackQueued);
        say(
            app,
            format!("{MOST_QUEUED} prompts wait already; {key} takes the last one back"),
        );
        return false;
    }
    channel.compose.queue.push_back(queued);
    save_later(app);
    true
}

/// Takes the prompt that was queued last back into the box.
pub(super) fn take_back(app: &mut App) {
    let queued = app
        .selected
        .clone()
        .and_then(|id| app.channels.get_mut(&id))
        .and_then(|channel| Some((channel.id.clone(), channel.compose.queue.pop_back()?)));
    match queued {
        Some((id, queued)) => {
            app.compose.mode = Mode::Continue;
            drafts::settle(app);
            drafts::give_back(app, Some(&id), &queued.typed);
        }
        None => say(app, "Nothing is queued here".to_owned()),
    }
}

/// Drops the prompt that was queued last.
pub(super) fn drop_queued(app: &mut App) {
    let dropped = app
        .selected
        .clone()
        .and_then(|id| app.channels.get_mut(&id))
        .and_then(|channel| channel.compose.queue.pop_back());
    let text = match dropped {
        Some(_) => "The queued prompt was dropped; it stays in the history",
        None => "Nothing is queued here",
    };
    save_later(app);
    say(app, text.to_owned());
}

/// Whether the prompts of a line are sent by themselves when the run is over, and if not, why.
#[must_use]
pub fn queue_state(channel: &Channel) -> QueueState {
    let state = run_state(channel);
    if channel.compose.restored && state == QueueState::Due {
        return QueueState::Stuck("it was queued in an earlier session");
    }
    state
}

fn run_state(channel: &Channel) -> QueueState {
    match channel.transcript.status() {
        Status::Done {
            reason: EndReason::Abort,
        } => QueueState::Stuck("the run was cancelled"),
        Status::Done {
            reason: EndReason::Error,
        }
        | Status::Failed => QueueState::Stuck("the run failed"),
        Status::Done { .. } => {
            let ended_at = channel.transcript.counters().ended_at;
            // What ended while nobody watched is not gone on with behind the person's back.
            if ended_at.is_some_and(|at| at >= channel.watching_since) {
                QueueState::Due
            } else {
                QueueState::Stuck("the run ended while you were away")
            }
        }
        Status::Empty if channel.kept == Kept::No => QueueState::Stuck("the run is not kept any more"),
        _ => QueueState::Waits,
    }
}

/// What becomes of queued prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// They wait for the run's end.
    Waits,
    /// They are to be sent now.
    Due,
    /// They stay until the person sends them, and why.
    Stuck(&'static str),
}

/// Sends the next queued prompt if the run ended well.
pub(super) fn send_due(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    let due = app
        .channels
        .get(id)
        .is_some_and(|channel| !channel.compose.queue.is_empty() && queue_state(channel) == QueueState::Due);
    if due {
        send_queued(app, id, effects);
    }
}

/// Sends the next queued prompt.
pub(super) fn send_queued(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    let Some(queued) = app.channels.get_mut(id).and_then(|channel| {
        channel.compose.restored = false;
        channel.compose.queue.pop_front()
    }) else {
        return;
    };
    let outgoing = Outgoing {
        prompt: queued.prompt,
        typed: queued.typed,
        target: Target {
            preset: queued.preset,
            model: None,
        },
        thread: Some(id.clone()),
    };
    super::dispatch::dispatch(app, outgoing, effects);
}
