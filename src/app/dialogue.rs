//! The dialogues: a channel id to watch, a waiting call to answer.
//!
//! What was typed stays until it was taken; why it was not taken stands in the dialogue.

use serde_json::{Value, json};

use crate::transcript::{BlockKind, CallState, Connection};
use crate::wire::ChannelId;

use super::calls::CallRef;
use super::effect::Effect;
use super::msg::RequestId;
use super::palette;
use super::panes::race;
use super::picker::{Picker, Purpose};
use super::server::ask_runs;
use super::state::{Answer, App, Ask, AskFor, Focus, JsonCheck, Overlay};
use super::update::{complain, next_request, resume, say, select, watch};

/// The text of the open dialogue changed.
pub(super) fn changed(app: &mut App, text: String) {
    match &mut app.overlay {
        Some(Overlay::Ask(ask)) => {
            ask.input = text;
            ask.error = None;
            let text = ask.input.clone();
            match ask.purpose {
                AskFor::Search => super::reading::typed(app, &text),
                AskFor::Filter => super::list::filter_changed(app, &text),
                _ => {}
            }
        }
        Some(Overlay::Pick(picker)) => picker.narrow(text),
        Some(Overlay::Answer(answer)) => {
            answer.check = check(&text);
            answer.input = text;
            // What was wrong with the text before says nothing of this one; what is wrong with the call stays.
            answer.error = None;
            let run = answer.run.clone();
            call_changed(app, &run);
        }
        Some(Overlay::Inbox(_)) => super::calls::inbox::typed(app, text),
        Some(Overlay::Help | Overlay::Confirm(_) | Overlay::Tail) | None => {}
    }
}

/// The text of the open dialogue was entered.
pub(super) fn submit(app: &mut App, text: &str, effects: &mut Vec<Effect>) {
    match app.overlay.take() {
        Some(Overlay::Ask(ask)) => match ask.purpose {
            AskFor::Watch => submit_watch(app, text, effects),
            AskFor::Export { channel, form } => super::copying::submit_path(app, channel, form, text, effects),
            AskFor::Search => super::reading::keep(app, text),
            AskFor::Deny(call) => super::calls::inbox::deny(app, call, text, effects),
            AskFor::Filter => super::list::submit_filter(app, text),
            AskFor::Rename(id) => super::list::renamed(app, &id, text),
            AskFor::Group(id) => super::list::grouped(app, &id, text),
            AskFor::Race => race::submit_contestants(app, text, effects),
            AskFor::RacePrompt(names) => race::submit_prompt(app, names, text, effects),
        },
        Some(Overlay::Pick(picker)) => picked(app, picker, effects),
        Some(Overlay::Answer(answer)) => submit_answer(app, answer, text, effects),
        other => app.overlay = other,
    }
}

fn submit_watch(app: &mut App, text: &str, effects: &mut Vec<Effect>) {
    match ChannelId::parse(text) {
        Ok(id) if super::wall::lobby::is_lobby(app, &id) => {
            say(
                app,
                "This channel is the lobby: runs that are announced there are watched by themselves".to_owned(),
            );
        }
        Ok(id) => {
            if let Some(channel) = app.channels.get(&id) {
                let failed =
                    matches!(channel.connection, Connection::Failed { .. }) && !channel.transcript.status().is_over();
                select(app, &id);
                if failed {
                    resume(app, &id, effects);
                    say(app, "Watching this channel again".to_owned());
                } else {
                    say(app, "This channel is watched already".to_owned());
                }
            } else {
                watch(app, &id, effects);
                // Something else dispatched it: the server's list of runs knows its title.
                ask_runs(app, effects);
            }
            if app.focus == Focus::Compose {
                app.focus = Focus::List;
            }
        }
        Err(error) => {
            app.overlay = Some(Overlay::Ask(Ask {
                error: Some(format!("Not watched: {error}")),
                ..Ask::new(AskFor::Watch, text)
            }));
        }
    }
}

/// Something was picked. Whatever the entries of a purpose mean is decided where the picker was opened.
fn picked(app: &mut App, picker: Picker, effects: &mut Vec<Effect>) {
    let Some(entry) = picker.picked() else {
        app.overlay = Some(Overlay::Pick(picker));
        return;
    };
    match picker.purpose {
        Purpose::Action => palette::picked(app, &entry.value, effects),
        Purpose::Copy => super::copying::picked_copy(app, &entry.value, effects),
        Purpose::Export => super::copying::picked_form(app, &entry.value),
        Purpose::Preset => super::compose::presets::picked(app, &entry.value),
        Purpose::History => super::compose::history::picked(app, &entry.value),
        Purpose::Recording => super::recordings::picked(&entry.value, effects),
        Purpose::Run => super::list::picked_run(app, entry, effects),
    }
}

fn submit_answer(app: &mut App, mut answer: Answer, text: &str, effects: &mut Vec<Effect>) {
    text.clone_into(&mut answer.input);
    answer.check = check(text);
    if answer.sending.is_some() {
        app.overlay = Some(Overlay::Answer(answer));
        return;
    }
    let channel = app
        .channels
        .get(&answer.run)
        .and_then(|channel| channel.transcript.block(answer.block))
        .and_then(|block| match &block.kind {
            BlockKind::Call {
                function,
                state: CallState::Waiting { channel, .. },
                ..
            } => Some((function.clone(), channel.clone())),
            _ => None,
        });
    let Some((function, channel)) = channel else {
        answer.error = Some("This call no longer waits: nothing was published".to_owned());
        app.overlay = Some(Overlay::Answer(answer));
        return;
    };
    let value = serde_json::from_str::<Value>(text);
    // An answer that says what went wrong fits always.
    let fits = |value: &Value, channel: &ChannelId| match envelope(value.clone()).get("data") {
        Some(result) => super::calls::inbox::fits(app, &answer.run, &function, channel, result),
        None => Ok(()),
    };
    match (value, ChannelId::parse(&channel)) {
        (Ok(value), Ok(channel)) if let Err(reason) = fits(&value, &channel) => answer.error = Some(reason),
        (Ok(value), Ok(channel)) => {
            let request = next_request(app);
            answer.sending = Some(request);
            answer.error = None;
            super::calls::inbox::take_up_block(app, &answer.run, answer.block);
            effects.push(Effect::Publish {
                request,
                channel,
                message: super::calls::sign(app, value),
            });
        }
        (Err(_), _) => {
            answer.error = Some(match answer.check {
                JsonCheck::Empty => "Type the answer as JSON, for example true or \"yes\" or {\"n\": 1}".to_owned(),
                _ => "Not published: this is not JSON".to_owned(),
            });
        }
        (_, Err(error)) => answer.error = Some(format!("This call cannot be answered: {error}")),
    }
    app.overlay = Some(Overlay::Answer(answer));
}

/// The answer to a publication came.
pub(super) fn published(app: &mut App, request: RequestId, result: Result<(), String>) {
    let mine = matches!(&app.overlay, Some(Overlay::Answer(answer)) if answer.sending == Some(request));
    match result {
        Ok(()) => {
            let answered = match &app.overlay {
                Some(Overlay::Answer(answer)) if mine => Some((
                    answer.from_inbox,
                    CallRef {
                        run: answer.run.clone(),
                        block: answer.block,
                    },
                )),
                _ => None,
            };
            if let Some((from_inbox, call)) = answered {
                app.overlay = None;
                if from_inbox {
                    super::calls::inbox::after_answered(app, &call);
                }
            }
            say(app, "Answer published".to_owned());
        }
        Err(reason) => {
            let text = format!("Not published: {reason}");
            match &mut app.overlay {
                Some(Overlay::Answer(answer)) if mine => {
                    answer.sending = None;
                    answer.error = Some(text);
                }
                _ => complain(app, text),
            }
        }
    }
}

/// Something came on a channel: the call that is being answered may no longer wait.
pub(super) fn call_changed(app: &mut App, id: &ChannelId) {
    let Some(Overlay::Answer(answer)) = &mut app.overlay else {
        return;
    };
    if answer.run != *id || answer.sending.is_some() {
        return;
    }
    let block = app
        .channels
        .get(id)
        .and_then(|channel| channel.transcript.block(answer.block));
    let over = match block.map(|block| &block.kind) {
        Some(BlockKind::Call { state, .. }) => match state {
            CallState::Waiting { .. } | CallState::Requested => return,
            CallState::Answered { from: Some(from), .. } => {
                format!("Answered already by {}", crate::text::sanitise_line(from))
            }
            CallState::Answered { from: None, .. } => "Answered already by somebody else".to_owned(),
            CallState::Abandoned => "The run gave this call up".to_owned(),
        },
        _ => "This call is no longer there".to_owned(),
    };
    answer.error = Some(over);
}

/// The message that is published for a typed value: `{"data": V}`, the usual answer (PROTOCOL, "Functions").
/// An object that is such an answer already, `{"data": …}` or `{"error": …}`, is taken as it is.
#[must_use]
pub fn envelope(value: Value) -> Value {
    let is_answer = value.as_object().is_some_and(|object| {
        (object.contains_key("data") != object.contains_key("error"))
            && object
                .keys()
                .all(|key| matches!(key.as_str(), "data" | "error" | "from"))
    });
    if is_answer { value } else { json!({ "data": value }) }
}

/// Checks a text as JSON; the place of an error is in characters.
#[must_use]
pub fn check(text: &str) -> JsonCheck {
    if text.trim().is_empty() {
        return JsonCheck::Empty;
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => JsonCheck::Valid,
        Err(error) => {
            let message = error.to_string();
            // serde_json counts bytes and repeats the place at the end of its message.
            let message = message.split(" at line ").next().unwrap_or_default();
            let message = match message {
                "expected ident" => "expected true, false or null".to_owned(),
                "expected value" => "expected a value; text goes in double quotes".to_owned(),
                message if message.starts_with("EOF") => "it is not finished".to_owned(),
                message => message.to_owned(),
            };
            let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
            let bytes = error.column().min(line.len());
            let column = line
                .char_indices()
                .take_while(|(at, c)| at + c.len_utf8() <= bytes)
                .count();
            JsonCheck::Invalid {
                line: error.line(),
                column: column.max(1),
                message,
            }
        }
    }
}
