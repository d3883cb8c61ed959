//! Sending: one place that builds a request from a prompt, a preset and a thread, and takes in what the server
//! says to it.
//!
//! What is checked before a prompt is sent is in `send`; which messages a thread consists of is in `thread`.

use crate::transcript::Status;
use crate::wire::event::MessageKind;
use crate::wire::{ChannelId, CompleteRequest, DispatchRequest, Message};

use super::super::calls;
use super::super::channel::Kept;
use super::super::effect::Effect;
use super::super::msg::RequestId;
use super::super::state::App;
use super::super::update::{ID_STOCK, close_overlay_of, complain, next_request, save_now, unwatch, watch};
use super::{SERVERS_OWN, presets, thread};

/// What a prompt is sent with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// A preset by name; `None`: the one that is chosen.
    pub preset: Option<String>,
    /// A model by name, in place of the preset's.
    pub model: Option<String>,
}

/// A prompt on its way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// What is sent.
    pub prompt: String,
    /// What was typed: it comes back to the box if no server takes the prompt.
    pub typed: String,
    /// What it is sent with.
    pub target: Target,
    /// The thread that it continues, by the channel of its last run.
    pub thread: Option<ChannelId>,
}

/// Starts a run of its own with a prompt. Gives its channel, or `None` if that waits for a fresh id.
pub fn dispatch_with(app: &mut App, prompt: &str, target: Target, effects: &mut Vec<Effect>) -> Option<ChannelId> {
    let outgoing = Outgoing {
        prompt: app.compose.pastes.expand(prompt),
        typed: prompt.to_owned(),
        target,
        thread: None,
    };
    dispatch(app, outgoing, effects)
}

/// Sends a prompt. Gives its channel, or `None` if that waits for a fresh id.
pub(in crate::app) fn dispatch(app: &mut App, mut outgoing: Outgoing, effects: &mut Vec<Effect>) -> Option<ChannelId> {
    // The preset that holds now is meant, also when an id must be waited for.
    outgoing.target.preset = Some(match outgoing.target.preset.take() {
        Some(name) => name,
        None => app.preset_name().to_owned(),
    });
    // One for the run, and one for the results of each function.
    let needed = 1 + calls::ids_needed(app);
    let fresh = (app.fresh_ids.len() >= needed).then(|| app.fresh_ids.pop()).flatten();
    let Some(id) = fresh else {
        // The loop brings ids at once; until then the prompt waits here.
        app.unsent.push(outgoing);
        effects.push(Effect::NeedIds(ID_STOCK.max(needed)));
        return None;
    };
    let request = next_request(app);
    let thread = outgoing.thread.take().filter(|id| app.channels.contains_key(id));
    let mut complete = build(app, &outgoing, thread.as_ref());
    // Watched before it is dispatched: nothing of the run is missed.
    match thread {
        Some(parent) => thread::succeed(app, &parent, &id, effects),
        None => watch(app, &id, effects),
    }
    let Outgoing {
        prompt, typed, target, ..
    } = outgoing;
    if let Some(channel) = app.channels.get_mut(&id) {
        if !channel.titled {
            channel.set_title(&typed);
        }
        channel.prompt = Some(prompt.clone());
        channel.dispatching = true;
        channel.compose.typed = Some(typed);
    }
    let named = target
        .preset
        .and_then(|name| presets::find(app, &name)?.functions.clone());
    match named {
        Some(names) => calls::carry_only(app, &id, &mut complete, &names),
        None => calls::carry(app, &id, &mut complete),
    }
    effects.push(Effect::Dispatch {
        request,
        channel: id.clone(),
        body: Box::new(DispatchRequest {
            channel_id: Some(id.clone()),
            complete,
        }),
    });
    app.dispatches.push((request, id.clone(), prompt));
    save_now(app, effects);
    if app.fresh_ids.len() < ID_STOCK / 2 {
        effects.push(Effect::NeedIds(ID_STOCK.max(needed)));
    }
    Some(id)
}

/// The request: the conversation so far, the prompt, and what the preset says.
fn build(app: &App, outgoing: &Outgoing, thread: Option<&ChannelId>) -> CompleteRequest {
    let mut request = CompleteRequest::default();
    if let Some(channel) = thread.and_then(|id| app.channels.get(id)) {
        request.messages = thread::conversation(channel);
    }
    request
        .messages
        .push(Message::new(MessageKind::User, outgoing.prompt.clone()));
    let preset = outgoing.target.preset.as_deref().unwrap_or(SERVERS_OWN);
    if let Some(preset) = presets::find(app, preset) {
        preset.fill(&mut request);
    }
    if let Some(model) = &outgoing.target.model {
        request.model = Some(model.clone());
    }
    request
}

/// The answer to a dispatch came.
pub(in crate::app) fn dispatched(
    app: &mut App,
    request: RequestId,
    id: &ChannelId,
    result: Result<ChannelId, String>,
    effects: &mut Vec<Effect>,
) {
    let Some(at) = app.dispatches.iter().position(|(of, ..)| *of == request) else {
        return;
    };
    let (_, _, prompt) = app.dispatches.swap_remove(at);
    match result {
        Ok(answered) => {
            if answered != *id {
                follow(app, id, &answered, prompt, effects);
            }
            if let Some(channel) = app.channels.get_mut(&answered) {
                channel.dispatching = false;
                channel.compose.typed = None;
                channel.compose.before = None;
            }
            super::super::wall::dispatched(app, &answered);
        }
        Err(reason) => {
            // The request arrived and only its answer was lost: what came of it says more than the failure.
            if let Some(channel) = app.channels.get_mut(id)
                && channel.transcript.status() != Status::Empty
            {
                channel.dispatching = false;
                channel.compose.typed = None;
                channel.compose.before = None;
                return;
            }
            let typed = app
                .channels
                .get_mut(id)
                .and_then(|channel| channel.compose.typed.take())
                .unwrap_or(prompt);
            let back_to = thread::restore(app, id, effects);
            if back_to.is_none() {
                unwatch(app, id, effects);
            }
            super::drafts::give_back(app, back_to.as_ref(), &typed);
            save_now(app, effects);
            complain(app, format!("Not sent: {reason}. The prompt is back in the box"));
        }
    }
}

/// The server runs a prompt on another channel than the one that was asked for: the entry of the list goes there.
fn follow(app: &mut App, asked: &ChannelId, answered: &ChannelId, prompt: String, effects: &mut Vec<Effect>) {
    let Some((index, _, mut channel)) = app.channels.shift_remove_full(asked) else {
        // It was taken off the list meanwhile.
        return;
    };
    effects.push(Effect::Unwatch { channel: asked.clone() });
    if !app.channels.contains_key(answered) {
        app.last_generation += 1;
        channel.id = answered.clone();
        channel.begin_anew(app.last_generation);
        channel.prompt = Some(prompt);
        channel.kept = Kept::Unknown;
        app.channels.shift_insert(index, answered.clone(), channel);
        effects.push(Effect::Watch {
            channel: answered.clone(),
            generation: app.last_generation,
            after: None,
        });
    }
    replaced(app, asked, answered);
    close_overlay_of(app, asked);
    save_now(app, effects);
}

/// One channel stands where another one stood.
pub(super) fn replaced(app: &mut App, old: &ChannelId, new: &ChannelId) {
    super::super::panes::renamed(app, old, new);
    if app.selected.as_ref() == Some(old) {
        app.selected = Some(new.clone());
    }
    if app.compose.holds.as_ref() == Some(old) {
        app.compose.holds = Some(new.clone());
    }
}
