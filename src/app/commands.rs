//! What the actions of the table do to the state.
//!
//! Scrolling and folding by key need rows, so `ui` turns those keys into `Msg::ScrollTo`, `Msg::MarkPart` and
//! `Msg::ToggleFold`; here they only do what is meaningful without rows.

use super::action::Action;
use super::channel::ChannelState;
use super::effect::Effect;
use super::msg::{Scroll, Spot};
use super::picker::Picker;
use super::state::{App, Ask, AskFor, Focus, Overlay, Question};
use super::update::{complain, copy, quit, say, set_draft, unwatch, with_selected};
use super::{Msg, dialogue};

/// Within this time a second Ctrl-C quits, in milliseconds.
const INTERRUPT_MS: u64 = 2_000;

/// Takes the help away: what it lay over stands there again.
fn leave_help(app: &mut App) {
    app.overlay = app.below_help.take().map(|below| *below);
    if let Some(Overlay::Inbox(inbox)) = &app.overlay {
        // Its call may have been answered meanwhile.
        let marked = inbox.marked.clone();
        super::calls::inbox::open(app, marked);
    }
}

/// Does what an action says.
pub(super) fn perform(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let taken = super::list::perform(app, action, effects)
        || super::panes::perform(app, action, effects)
        || super::reading::perform(app, action, effects)
        || super::copying::perform(app, action, effects)
        || super::compose::perform(app, action, effects)
        || super::calls::perform(app, action, effects)
        || super::wall::perform(app, action, effects)
        || super::recordings::perform(app, action, effects)
        || super::notifications::perform(app, action, effects);
    if taken {
        return;
    }
    match action {
        Action::Help => match app.overlay.take() {
            Some(Overlay::Help) => leave_help(app),
            below => {
                app.below_help = below.map(Box::new);
                app.overlay = Some(Overlay::Help);
            }
        },
        Action::Palette | Action::ComposePalette => super::palette::open(app),
        Action::FocusNext => focus(app, next_focus(app.focus)),
        Action::FocusPrevious => focus(app, next_focus(next_focus(app.focus))),
        Action::Compose => focus(app, Focus::Compose),
        Action::Watch => {
            app.overlay = Some(Overlay::Ask(Ask::new(AskFor::Watch, "")));
        }
        Action::CopyId => match app.selected.clone() {
            Some(id) => copy(app, id.to_string(), format!("channel id {id}"), effects),
            None => no_channel(app),
        },
        Action::CopyAnswer => copy_answer(app, effects),
        Action::StopWatching => match app.selected.clone() {
            Some(id) => {
                let title = app.selected_channel().map(|channel| channel.title.clone());
                unwatch(app, &id, effects);
                say(app, format!("No longer watching {}", title.unwrap_or_default()));
            }
            None => no_channel(app),
        },
        Action::CancelRun => cancel_run(app),
        Action::Quit => quit(app, effects),
        Action::Open => {
            if app.selected.is_some() {
                focus(app, Focus::Transcript);
            } else {
                no_channel(app);
            }
        }
        Action::End => with_selected(app, |channel| {
            channel.scroll = Scroll::Tail;
            channel.read_tokens = channel.tokens();
        }),
        Action::Top => with_selected(app, |channel| {
            if let Some(first) = channel.transcript.get(0) {
                channel.scroll = Scroll::Anchor {
                    block: first.id,
                    spot: Spot::Head(0),
                };
            }
        }),
        Action::Fold => {
            let keymap = &app.settings.keymap;
            let [back, next, fold] =
                [Action::PreviousPart, Action::NextPart, Action::Fold].map(|action| keymap.first(action));
            say(
                app,
                format!("Nothing to fold in view; {back} and {next} mark a part, {fold} folds it"),
            );
        }
        Action::Back => focus(app, Focus::List),
        Action::Send => {
            let draft = app.draft.clone();
            effects.extend(super::update(app, Msg::Submit(draft), app.now));
        }
        Action::LeaveCompose => {
            let back = app.focus_before_compose;
            focus(app, back);
        }
        Action::Accept => {
            let input = match &app.overlay {
                Some(Overlay::Ask(ask)) => ask.input.clone(),
                Some(Overlay::Pick(picker)) => picker.input.clone(),
                Some(Overlay::Answer(answer)) => answer.input.clone(),
                _ => return,
            };
            dialogue::submit(app, &input, effects);
        }
        Action::PickNext => pick_step(app, 1),
        Action::PickPrevious => pick_step(app, -1),
        Action::Close | Action::CloseHelp | Action::No if app.overlay == Some(Overlay::Help) => leave_help(app),
        Action::Close | Action::CloseHelp | Action::No => app.overlay = None,
        Action::Yes => match app.overlay.take() {
            Some(Overlay::Confirm(Question::CancelRun(id))) => effects.push(Effect::CancelRun { channel: id }),
            Some(Overlay::Confirm(Question::Overwrite(export))) => super::copying::write(app, export, true, effects),
            Some(Overlay::Confirm(Question::StopWatchingEnded { .. })) => {
                super::list::stop_watching(app, effects);
            }
            _ => {}
        },
        Action::Interrupt => interrupt(app, effects),
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        // The areas above have taken the others.
        _ => {}
    }
}

fn next_focus(focus: Focus) -> Focus {
    match focus {
        Focus::List => Focus::Transcript,
        Focus::Transcript => Focus::Compose,
        Focus::Compose => Focus::List,
    }
}

pub(super) fn focus(app: &mut App, to: Focus) {
    if to == Focus::Compose && app.focus != Focus::Compose {
        app.focus_before_compose = app.focus;
    }
    app.focus = to;
}

fn pick_step(app: &mut App, by: isize) {
    if let Some(Overlay::Pick(picker)) = &mut app.overlay {
        picker.step(by);
    }
}

fn no_channel(app: &mut App) {
    let keymap = &app.settings.keymap;
    let (compose, watch) = (keymap.first(Action::Compose), keymap.first(Action::Watch));
    say(
        app,
        format!("No channel is watched yet: {compose} writes a prompt, {watch} watches a channel id"),
    );
}

fn cancel_run(app: &mut App) {
    let now = app.now;
    let Some(channel) = app.selected_channel() else {
        no_channel(app);
        return;
    };
    let id = channel.id.clone();
    if super::recordings::is_replay(channel) {
        say(app, "This is a recording: there is no run to cancel".to_owned());
        return;
    }
    // A watch that failed says nothing of the run.
    let is_over = channel.transcript.status().is_over() || channel.state(now) == ChannelState::NotKept;
    if is_over {
        say(app, "This run is over already".to_owned());
    } else if app.server.info.is_none() {
        complain(
            app,
            format!(
                "The server {} cannot cancel a run; {} stops watching it",
                app.server.name,
                app.settings.keymap.first(Action::StopWatching)
            ),
        );
    } else {
        app.overlay = Some(Overlay::Confirm(Question::CancelRun(id)));
    }
}

/// Copies what the bot of the selected channel wrote.
fn copy_answer(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(channel) = app.selected_channel() else {
        no_channel(app);
        return;
    };
    let text = channel.transcript.plain_answer();
    if text.is_empty() {
        say(app, "There is no answer to copy yet".to_owned());
        return;
    }
    let whole = if channel.state(app.now).is_open() {
        "the answer so far"
    } else {
        "the answer"
    };
    let what = format!("{whole}, {} characters", text.chars().count());
    copy(app, text, what, effects);
}

/// Clears what is being typed; a second time in a row quits.
fn interrupt(app: &mut App, effects: &mut Vec<Effect>) {
    let now = app.now.monotonic_ms;
    if app
        .interrupted_at
        .is_some_and(|at| now.saturating_sub(at) < INTERRUPT_MS)
    {
        quit(app, effects);
        return;
    }
    app.interrupted_at = Some(now);
    let cleared = match &mut app.overlay {
        Some(Overlay::Ask(Ask { input, .. }) | Overlay::Pick(Picker { input, .. })) if !input.is_empty() => {
            dialogue::changed(app, String::new());
            true
        }
        Some(Overlay::Answer(answer)) if !answer.input.is_empty() => {
            dialogue::changed(app, String::new());
            true
        }
        Some(Overlay::Inbox(inbox)) if inbox.form.typing().is_some_and(|typed| !typed.is_empty()) => {
            dialogue::changed(app, String::new());
            true
        }
        Some(_) => {
            app.overlay = None;
            false
        }
        None if app.focus == Focus::Compose && !app.draft.is_empty() => {
            set_draft(app, String::new());
            true
        }
        None => false,
    };
    let key = app.settings.keymap.first(Action::Interrupt);
    let text = if cleared { "Cleared. " } else { "" };
    say(app, format!("{text}{key} again quits (runs go on)"));
}
