//! The rules about the server itself: found, gone, found again, and what that means for the channels.
//!
//! What one channel's connection does is `update`'s matter. Whether a run is still kept is told by the server's list
//! of runs and by nothing else: a silent channel may only be slow.

use crate::transcript::{Connection, Item};
use crate::wire::event::{Event, EventKind, Message, MessageKind};
use crate::wire::request::{RunSummary, ServerInfo};
use crate::wire::{ChannelId, Object};

use super::channel::{Channel, Kept};
use super::effect::Effect;
use super::msg::{Now, Outage, RequestId};
use super::state::{App, ServerState};
use super::update::{complain, next_request, save_later, say};

/// Why a run is over that its server no longer has.
const LOST: &str = "the server no longer has this run: it was stopped, or started anew, before the run was over. What \
                    was seen of it stays here; send the prompt again to run it again";

/// What is said of a connection while its server is sought.
const SOUGHT: &str = "the server is gone; it is being found or started again";

/// A server was found. After an outage every channel that is not over is watched again.
pub(super) fn found(app: &mut App, info: Option<ServerInfo>, effects: &mut Vec<Effect>) {
    app.server.state = ServerState::Ready;
    app.server.info = info;
    super::wall::server_found(app, app.server.gone.is_some(), effects);
    if let Some(watched_before) = app.server.gone.take().map(|gone| gone.generation) {
        for index in 0..app.channels.len() {
            watch_again(app, index, watched_before, effects);
        }
        say(app, format!("The {} server is there again", app.server.name));
    }
    if can_tell(app) {
        app.channels.values_mut().for_each(Channel::doubt);
    }
    if app.channels.values().any(|channel| !channel.titled) {
        ask_runs(app, effects);
    } else {
        ask_if_doubted(app, effects);
    }
}

/// Finding or starting the server failed; it is tried again.
pub(super) fn missing(app: &mut App, outage: Outage) {
    let Outage {
        reason,
        refused,
        retry_ms,
    } = outage;
    let next_try_at = app.now.unix_ms.saturating_add(retry_ms);
    let since = match (&app.server.state, app.server.gone) {
        (ServerState::Unreachable { since, .. }, _) => *since,
        (_, Some(gone)) => gone.since,
        _ => app.now.unix_ms,
    };
    for channel in app.channels.values_mut() {
        let attempt = match &channel.connection {
            Connection::Reconnecting { attempt, .. } => *attempt,
            Connection::Connecting => 0,
            _ => continue,
        };
        let connection = Connection::Reconnecting {
            reason: reason.clone(),
            next_try_at,
            attempt: attempt + 1,
        };
        channel.connected(connection, app.now.unix_ms);
    }
    app.server.state = ServerState::Unreachable {
        reason,
        refused,
        since,
        next_try_at,
    };
}

/// The server that was found before is gone: it is sought again, once for all who noticed.
pub(super) fn gone(app: &mut App, effects: &mut Vec<Effect>) {
    if app.server.state != ServerState::Ready {
        return;
    }
    let now = app.now.unix_ms;
    app.server.state = ServerState::Starting;
    app.server.gone = Some(super::state::Gone {
        since: now,
        generation: app.last_generation,
    });
    app.listing = None;
    for channel in app.channels.values_mut() {
        if !channel.transcript.status().is_over() && !super::recordings::is_replay(channel) {
            channel.connected(
                Connection::Reconnecting {
                    reason: SOUGHT.to_owned(),
                    next_try_at: now,
                    attempt: 0,
                },
                now,
            );
        }
    }
    effects.push(Effect::Reconnect);
}

fn watch_again(app: &mut App, index: usize, watched_before: u64, effects: &mut Vec<Effect>) {
    let generation = app.last_generation + 1;
    let dispatches = &app.dispatches;
    let Some((id, channel)) = app.channels.get_index_mut(index) else {
        return;
    };
    // What was begun since then waited for the server and is carried out by itself.
    if channel.generation > watched_before
        || channel.transcript.status().is_over()
        || super::recordings::is_replay(channel)
    {
        return;
    }
    app.last_generation = generation;
    channel.generation = generation;
    channel.connection = Connection::Connecting;
    if let Some((.., prompt)) = dispatches.iter().find(|(_, of, _)| of == id) {
        // It was not answered, so it is sent again: if the server is another one, the run begins anew.
        channel.begin_anew(generation);
        channel.prompt = Some(prompt.clone());
    }
    effects.push(Effect::Watch {
        channel: id.clone(),
        generation,
        after: channel.transcript.last_id(),
    });
}

/// A channel is connected again: its server may be one that was started anew meanwhile.
pub(super) fn connected_again(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    if can_tell(app)
        && let Some(channel) = app.channels.get_mut(id)
    {
        channel.doubt();
    }
    ask_if_doubted(app, effects);
}

/// Asks for the list of runs, unless it is being asked for already.
pub(super) fn ask_runs(app: &mut App, effects: &mut Vec<Effect>) {
    if app.listing.is_some() {
        return;
    }
    let request = next_request(app);
    app.listing = Some(request);
    for channel in app.channels.values_mut() {
        if channel.kept == Kept::Doubted {
            channel.kept = Kept::Asked;
        }
    }
    effects.push(Effect::ListRuns { request });
}

/// Whether the server has a list of its runs: one of another make has none.
fn can_tell(app: &App) -> bool {
    app.server.info.is_some()
}

fn ask_if_doubted(app: &mut App, effects: &mut Vec<Effect>) {
    if app.channels.values().any(|channel| channel.kept == Kept::Doubted) {
        ask_runs(app, effects);
    }
}

/// The list of runs came; `None`: the server gave none.
pub(super) fn runs(app: &mut App, request: RequestId, runs: Option<Vec<RunSummary>>, effects: &mut Vec<Effect>) {
    if app.listing != Some(request) {
        return;
    }
    app.listing = None;
    let Some(runs) = runs else {
        for channel in app.channels.values_mut().filter(|channel| channel.kept == Kept::Asked) {
            channel.kept = Kept::Yes;
        }
        return;
    };
    take_titles(app, &runs);
    super::wall::runs(app, &runs, effects);
    let now = app.now;
    let selected = app.selected.clone().filter(|_| app.terminal_focused);
    let mut lost = 0_usize;
    for (id, channel) in &mut app.channels {
        if channel.kept != Kept::Asked {
            continue;
        }
        if runs.iter().any(|run| run.channel_id == *id) {
            channel.kept = Kept::Yes;
        } else if channel.is_untouched() {
            channel.kept = Kept::No;
        } else if !channel.transcript.status().is_over() {
            channel.kept = Kept::No;
            show_prompt(channel, now);
            channel.transcript.lose(LOST.to_owned(), now.unix_ms);
            channel.unread |= selected.as_ref() != Some(id);
            effects.push(Effect::Unwatch { channel: id.clone() });
            lost += 1;
        }
    }
    if lost > 0 {
        let what = if lost == 1 {
            "1 run is lost with the server that ran it; what was seen of it stays until you quit".to_owned()
        } else {
            format!("{lost} runs are lost with the server that ran them; what was seen of them stays until you quit")
        };
        complain(app, what);
    }
    ask_if_doubted(app, effects);
}

/// What was typed here stands in for a prompt that the channel does not bring.
pub(super) fn show_prompt(channel: &mut Channel, now: Now) {
    let Some(prompt) = channel.prompt.take() else {
        return;
    };
    let message = Message::new(MessageKind::User, prompt);
    let item = Item::Event {
        id: None,
        at: None,
        event: Event {
            kind: EventKind::Message(Box::new(message)),
            extra: Object::new(),
        },
        raw: bytes::Bytes::new(),
    };
    channel.transcript.apply(item, now.unix_ms);
}

fn take_titles(app: &mut App, runs: &[RunSummary]) {
    let mut renamed = false;
    for run in runs {
        if let Some(channel) = app.channels.get_mut(&run.channel_id)
            && !channel.titled
        {
            renamed |= channel.set_title(&run.title);
        }
    }
    if renamed {
        save_later(app);
    }
}
