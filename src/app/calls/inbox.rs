//! The inbox of waiting calls, with the form of the marked one: what is shown, and what its keys do.
//!
//! What was filled in stays with its call until it was published, whatever comes between.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::FunctionConfig;
use crate::text::sanitise_line;
use crate::transcript::{BlockId, BlockKind, CallState, WaitingCall};
use crate::wire::ChannelId;

use super::super::action::Action;
use super::super::channel::Channel;
use super::super::dialogue::check;
use super::super::effect::Effect;
use super::super::msg::{RequestId, Scroll};
use super::super::recordings::is_replay;
use super::super::state::{Answer, App, Ask, AskFor, Focus, Overlay};
use super::super::update::{complain, next_request, save_later, say, select, with_selected};
use super::form::Form;
use super::jobs::{device, refusal, sign, start, stop};
use super::{Allowed, CallRef, waiting_at};

/// Forms that are kept while others are shown.
const MOST_DRAFTS: usize = 32;

/// The longest value in a question, in columns.
const LONGEST_ASKED: usize = 60;

/// The open inbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbox {
    /// The marked call; `None`: nothing waits.
    pub marked: Option<CallRef>,
    /// The form of its answer.
    pub form: Form,
    /// Why the answer was not taken, or what became of the call.
    pub error: Option<String>,
    /// The publication of the answer that was not answered yet.
    pub sending: Option<RequestId>,
}

/// A waiting call with its run.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// The run.
    pub channel: &'a Channel,
    /// The call.
    pub call: WaitingCall<'a>,
}

impl Waiting<'_> {
    /// Its name.
    #[must_use]
    pub fn reference(&self) -> CallRef {
        CallRef {
            run: self.channel.id.clone(),
            block: self.call.block,
        }
    }
}

/// All calls that wait, over all channels, oldest first. The work grows with the channels: for an open inbox only.
#[must_use]
pub fn waiting(app: &App) -> Vec<Waiting<'_>> {
    let mut all: Vec<Waiting> = app
        .channels
        .values()
        // The calls of a recording were answered then.
        .filter(|channel| !is_replay(channel))
        .flat_map(|channel| {
            let calls = channel.transcript.waiting_calls();
            calls.map(move |call| Waiting { channel, call })
        })
        .collect();
    all.sort_by_key(|waiting| waiting.call.asked_at);
    all
}

/// The configured function of a name.
#[must_use]
pub fn configured<'a>(app: &'a App, function: &str) -> Option<&'a Arc<FunctionConfig>> {
    app.settings.calls.functions.get(function)
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    match action {
        Action::Inbox => open(app, None),
        Action::Answer => open_for_selected(app),
        Action::NextCall => step(app, 1),
        Action::PreviousCall => step(app, -1),
        Action::NextField => with_form(app, |form| form.step(true)),
        Action::PreviousField => with_form(app, |form| form.step(false)),
        Action::ToggleField => toggle(app, true),
        Action::ToggleFieldBack => toggle(app, false),
        Action::LeaveField => with_form(app, |form| form.focus = None),
        Action::AllowOnce => allow_once(app, effects),
        Action::AllowAlways => allow_always(app, effects),
        Action::RunCommand => run_marked(app, effects),
        Action::DenyCall => ask_deny(app, effects),
        Action::AnswerJson => as_json(app),
        Action::PublishAnswer => publish_form(app, effects),
        Action::ShowCall => show(app),
        Action::LeaveInbox => {
            stash(app);
            app.overlay = None;
        }
        // What was opened from here leads back here.
        Action::Close => match &app.overlay {
            Some(Overlay::Ask(Ask {
                purpose: AskFor::Deny(call),
                ..
            })) => {
                let call = call.clone();
                open(app, Some(call));
            }
            Some(Overlay::Answer(answer)) if answer.from_inbox => {
                let call = CallRef {
                    run: answer.run.clone(),
                    block: answer.block,
                };
                open(app, Some(call));
            }
            _ => return false,
        },
        _ => return false,
    }
    true
}

/// Opens the inbox, marked at a call that waits, else at the oldest.
pub(in crate::app) fn open(app: &mut App, at: Option<CallRef>) {
    stash(app);
    let all = waiting(app);
    let marked = at
        .filter(|at| all.iter().any(|waiting| waiting.reference() == *at))
        .or_else(|| all.first().map(Waiting::reference));
    show_call(app, marked, None);
}

/// Shows the inbox at a call.
fn show_call(app: &mut App, marked: Option<CallRef>, error: Option<String>) {
    let form = marked
        .as_ref()
        .map_or_else(|| Form::of("", None), |call| form_of(app, call));
    let sending = marked.as_ref().and_then(|call| {
        let of_call = |(_, of, _): &&(RequestId, CallRef, String)| of == call;
        app.calls.by_hand.iter().find(of_call).map(|(request, ..)| *request)
    });
    app.overlay = Some(Overlay::Inbox(Inbox {
        marked,
        form,
        error,
        sending,
    }));
}

/// The form of a call: what was filled in before, else an empty one.
fn form_of(app: &mut App, call: &CallRef) -> Form {
    if let Some(at) = app.calls.drafts.iter().position(|(of, _)| of == call) {
        return app.calls.drafts.remove(at).1;
    }
    let function = waiting_at(app, call).map_or("", |(function, ..)| function);
    Form::of(
        function,
        configured(app, function).and_then(|config| config.result.as_ref()),
    )
}

/// Keeps what was filled in.
fn stash(app: &mut App) {
    let Some(Overlay::Inbox(inbox)) = &app.overlay else {
        return;
    };
    let Some(call) = inbox.marked.clone().filter(|_| !inbox.form.is_untouched()) else {
        return;
    };
    let form = inbox.form.clone();
    app.calls.drafts.retain(|(of, _)| *of != call);
    if app.calls.drafts.len() >= MOST_DRAFTS {
        app.calls.drafts.remove(0);
    }
    app.calls.drafts.push((call, form));
}

/// Opens the form for the marked waiting call of the selected channel, else for its oldest one that can be answered.
fn open_for_selected(app: &mut App) {
    let Some(channel) = app.selected_channel() else {
        say(app, "No channel is selected".to_owned());
        return;
    };
    if is_replay(channel) {
        say(app, "This is a recording: its calls were answered then".to_owned());
        return;
    }
    let transcript = &channel.transcript;
    let call = transcript
        .waiting_calls()
        .find(|call| Some(call.block) == channel.marked)
        .or_else(|| {
            transcript
                .waiting_calls()
                .find(|call| ChannelId::parse(call.channel).is_ok())
        })
        .or_else(|| transcript.waiting_calls().next());
    match call {
        Some(call) => {
            let call = CallRef {
                run: channel.id.clone(),
                block: call.block,
            };
            open(app, Some(call));
        }
        None => {
            let next = key(app, Action::NextNeedsYou);
            say(
                app,
                format!("Nothing waits for an answer here; {next} goes to the next that needs you"),
            );
        }
    }
}

fn step(app: &mut App, by: isize) {
    let Some(Overlay::Inbox(inbox)) = &app.overlay else {
        return;
    };
    let all = waiting(app);
    let at = all.iter().position(|waiting| Some(waiting.reference()) == inbox.marked);
    let to = at.map_or(0, |at| at.saturating_add_signed(by).min(all.len().saturating_sub(1)));
    let Some(call) = all.get(to).map(Waiting::reference) else {
        return;
    };
    if Some(to) != at {
        stash(app);
        show_call(app, Some(call), None);
    }
}

/// The key of an action, as hints name it.
fn key(app: &App, action: Action) -> String {
    app.settings.keymap.first(action)
}

fn with_form(app: &mut App, change: impl FnOnce(&mut Form)) {
    if let Some(Overlay::Inbox(inbox)) = &mut app.overlay {
        change(&mut inbox.form);
    }
}

fn toggle(app: &mut App, forward: bool) {
    let Some(Overlay::Inbox(inbox)) = &mut app.overlay else {
        return;
    };
    inbox.error = None;
    if !inbox.form.toggle(forward) {
        let [field, change] = [Action::NextField, Action::ToggleField].map(|action| key(app, action));
        say(
            app,
            format!("{field} goes to a field; {change} changes one with values to choose from"),
        );
    }
}

/// A field was typed into.
pub(in crate::app) fn typed(app: &mut App, text: String) {
    if let Some(Overlay::Inbox(inbox)) = &mut app.overlay {
        inbox.error = None;
        inbox.form.type_in(text);
    }
}

/// The marked call: its name, function, arguments and channel. Says why not, if it cannot be answered from here.
fn marked(app: &mut App) -> Option<(CallRef, String, Value, ChannelId)> {
    let Some(Overlay::Inbox(inbox)) = &app.overlay else {
        return None;
    };
    let call = inbox.marked.clone()?;
    if inbox.sending.is_some() {
        say(app, "The answer is on its way".to_owned());
        return None;
    }
    if app.is_kiosk() {
        complain(app, "This terminal only shows: it answers nothing".to_owned());
        return None;
    }
    let Some((function, arguments, channel)) = waiting_at(app, &call) else {
        refuse(app, "This call no longer waits: nothing was published".to_owned());
        return None;
    };
    let (function, arguments, channel) = (function.to_owned(), arguments.clone(), ChannelId::parse(channel));
    match channel {
        Ok(channel) => Some((call, function, arguments, channel)),
        Err(error) => {
            refuse(app, format!("This call cannot be answered: {error}"));
            None
        }
    }
}

/// Says in the inbox why something was not done.
fn refuse(app: &mut App, reason: String) {
    match &mut app.overlay {
        Some(Overlay::Inbox(inbox)) => inbox.error = Some(reason),
        _ => complain(app, reason),
    }
}

fn allow_once(app: &mut App, effects: &mut Vec<Effect>) {
    let Some((call, function, arguments, _)) = marked(app) else {
        return;
    };
    match configured(app, &function)
        .filter(|config| !config.command.is_empty())
        .cloned()
    {
        Some(config) => start(app, &call, &function, &arguments, &config, effects),
        None => {
            let approves = matches!(&app.overlay, Some(Overlay::Inbox(inbox)) if inbox.form.has_bool("approved"));
            if approves {
                with_form(app, |form| form.set_bool("approved", true));
                publish_form(app, effects);
            } else {
                let function = sanitise_line(&function).into_owned();
                let [field, as_json] = [Action::NextField, Action::AnswerJson].map(|action| key(app, action));
                refuse(
                    app,
                    format!(
                        "No command is configured for {function}: {field} fills in the answer, {as_json} writes it as JSON"
                    ),
                );
            }
        }
    }
}

fn run_marked(app: &mut App, effects: &mut Vec<Effect>) {
    let Some((call, function, arguments, _)) = marked(app) else {
        return;
    };
    match configured(app, &function)
        .filter(|config| !config.command.is_empty())
        .cloned()
    {
        Some(config) => start(app, &call, &function, &arguments, &config, effects),
        None => no_command(app, &function),
    }
}

fn no_command(app: &mut App, function: &str) {
    let function = sanitise_line(function).into_owned();
    refuse(
        app,
        format!("No command is configured for {function}: [functions.{function}] in the configuration names one"),
    );
}

fn allow_always(app: &mut App, effects: &mut Vec<Effect>) {
    let Some((call, function, arguments, channel)) = marked(app) else {
        return;
    };
    let Some(config) = configured(app, &function)
        .filter(|config| !config.command.is_empty())
        .cloned()
    else {
        no_command(app, &function);
        return;
    };
    let is_ours = app
        .channels
        .get(&call.run)
        .is_some_and(|run| run.calls.is_ours(&channel));
    if !is_ours {
        let once = key(app, Action::AllowOnce);
        refuse(
            app,
            format!("This run was dispatched elsewhere: always is for runs from here, {once} runs the command once"),
        );
        return;
    }
    app.calls.allowed.retain(|allowed| allowed.function != function);
    app.calls.allowed.push(Allowed {
        digest: config.digest(),
        function: function.clone(),
    });
    save_later(app);
    start(app, &call, &function, &arguments, &config, effects);
    let text = format!(
        "{} runs by itself from now on, until its command changes",
        sanitise_line(&function)
    );
    say(app, text);
}

/// Asks for the reason of a denial. A command that runs is stopped first.
fn ask_deny(app: &mut App, effects: &mut Vec<Effect>) {
    let Some((call, ..)) = marked(app) else { return };
    if stop(app, &call, effects) {
        let deny = key(app, Action::DenyCall);
        say(app, format!("Stopping the command; {deny} again denies the call"));
        return;
    }
    stash(app);
    app.overlay = Some(Overlay::Ask(Ask::new(AskFor::Deny(call), "")));
}

/// Denies a call, for a reason that may be empty.
pub(in crate::app) fn deny(app: &mut App, call: CallRef, reason: &str, effects: &mut Vec<Effect>) {
    show_call(app, Some(call), None);
    let Some((call, function, arguments, channel)) = marked(app) else {
        return;
    };
    let message = denial(app, reason);
    publish(app, call, &function, &arguments, channel, message, effects);
}

/// The answer that denies a call, for a reason that may be empty.
pub(in crate::app) fn denial(app: &App, reason: &str) -> Value {
    let reason = reason.trim();
    let text = if reason.is_empty() {
        format!("denied by {}", device(app))
    } else {
        format!("denied by {}: {reason}", device(app))
    };
    refusal(app, &text)
}

/// Runs the configured command for a waiting call, once.
///
/// # Errors
/// When none is configured.
pub(in crate::app) fn run_command(app: &mut App, call: &CallRef, effects: &mut Vec<Effect>) -> Result<(), String> {
    let Some((function, arguments, _)) = waiting_at(app, call) else {
        return Err("This call no longer waits".to_owned());
    };
    let (function, arguments) = (function.to_owned(), arguments.clone());
    let config = configured(app, &function).filter(|config| !config.command.is_empty());
    let Some(config) = config.cloned() else {
        return Err(format!("No command is configured for {}", sanitise_line(&function)));
    };
    start(app, call, &function, &arguments, &config, effects);
    Ok(())
}

/// Opens the checked text of JSON, with what the form holds.
fn as_json(app: &mut App) {
    let Some((call, ..)) = marked(app) else { return };
    let Some(Overlay::Inbox(inbox)) = &app.overlay else {
        return;
    };
    let input = match inbox.form.value() {
        Ok(value) if !inbox.form.is_untouched() => value.to_string(),
        _ => String::new(),
    };
    stash(app);
    app.overlay = Some(Overlay::Answer(Answer {
        run: call.run,
        block: call.block,
        check: check(&input),
        input,
        error: None,
        sending: None,
        from_inbox: true,
    }));
}

fn publish_form(app: &mut App, effects: &mut Vec<Effect>) {
    let Some((call, function, arguments, channel)) = marked(app) else {
        return;
    };
    let Some(Overlay::Inbox(inbox)) = &app.overlay else {
        return;
    };
    let value = inbox.form.value().and_then(|value| {
        fits(app, &call.run, &function, &channel, &value)?;
        Ok(value)
    });
    // What nobody filled in is rarely meant as an answer, and none can be taken back.
    let asks = value.as_ref().ok().filter(|_| inbox.form.is_untouched()).map(|value| {
        let publish = key(app, Action::PublishAnswer);
        let value = crate::text::json::one_line(value, LONGEST_ASKED);
        format!("Nothing is filled in yet; {publish} again publishes {value}")
    });
    if let Some(question) = asks.filter(|question| inbox.error.as_ref() != Some(question)) {
        refuse(app, question);
        return;
    }
    match value {
        Ok(value) => {
            // The value of a form is the result itself, whatever its fields are called.
            let message = sign(app, json!({ "data": value }));
            publish(app, call, &function, &arguments, channel, message, effects);
        }
        Err(reason) => refuse(app, reason),
    }
}

/// Whether an answer by hand is what the configured function promises. What was dispatched elsewhere may have promised
/// something else.
///
/// # Errors
/// Where it does not fit, and why.
pub(in crate::app) fn fits(
    app: &App,
    run: &ChannelId,
    function: &str,
    channel: &ChannelId,
    value: &Value,
) -> Result<(), String> {
    let ours = app.channels.get(run).is_some_and(|run| run.calls.is_ours(channel));
    match configured(app, function).and_then(|config| config.result.as_ref()) {
        Some(schema) if ours => schema
            .check(value)
            .map_err(|reason| format!("Not published: the answer does not fit: {}", sanitise_line(&reason))),
        _ => Ok(()),
    }
}

fn publish(
    app: &mut App,
    call: CallRef,
    function: &str,
    arguments: &Value,
    channel: ChannelId,
    message: Value,
    effects: &mut Vec<Effect>,
) {
    if app.calls.job(&call.run, call.block).is_some() {
        let stop = key(app, Action::DenyCall);
        refuse(app, format!("Its command runs: {stop} stops it"));
        return;
    }
    take_up(app, &call, function, arguments, channel.as_str());
    let request = next_request(app);
    effects.push(Effect::Publish {
        request,
        channel,
        message,
    });
    app.calls.by_hand.push((request, call, function.to_owned()));
    if let Some(Overlay::Inbox(inbox)) = &mut app.overlay {
        inbox.sending = Some(request);
        inbox.error = None;
    }
}

/// A person answers this call: no command of ours will by itself.
pub(in crate::app) fn take_up(app: &mut App, call: &CallRef, function: &str, arguments: &Value, channel: &str) {
    let Some(run) = app.channels.get_mut(&call.run) else {
        return;
    };
    let of = &mut run.calls;
    if let Some(open) = of.open(channel, function, arguments) {
        open.decided = true;
        let open = open.clone();
        of.begin(&open);
        save_later(app);
    }
}

/// The same for a call of which only the block is known.
pub(in crate::app) fn take_up_block(app: &mut App, run: &ChannelId, block: BlockId) {
    let call = CallRef {
        run: run.clone(),
        block,
    };
    let found = waiting_at(app, &call)
        .map(|(function, arguments, channel)| (function.to_owned(), arguments.clone(), channel.to_owned()));
    if let Some((function, arguments, channel)) = found {
        take_up(app, &call, &function, &arguments, &channel);
    }
}

/// The answer to a publication by hand came; `false`: it is another one.
pub(super) fn published(
    app: &mut App,
    request: RequestId,
    result: &Result<(), String>,
    _effects: &mut Vec<Effect>,
) -> bool {
    let Some(at) = app.calls.by_hand.iter().position(|(of, ..)| *of == request) else {
        return false;
    };
    let (_, call, function) = app.calls.by_hand.remove(at);
    let function = sanitise_line(&function).into_owned();
    let shown = matches!(&app.overlay, Some(Overlay::Inbox(inbox)) if inbox.sending == Some(request));
    match result {
        Ok(()) => {
            app.calls.drafts.retain(|(of, _)| *of != call);
            if shown {
                after_answered(app, &call);
            }
            say(app, format!("Answered {function}"));
        }
        Err(reason) => {
            let text = format!("Not published: {reason}");
            match &mut app.overlay {
                Some(Overlay::Inbox(inbox)) if shown => {
                    inbox.sending = None;
                    inbox.error = Some(text);
                }
                _ => complain(app, format!("{function}: {text}")),
            }
        }
    }
    true
}

/// A call was answered from here: on to the next one, which is no call that is being answered already. Where no other
/// waits the inbox has done its work.
pub(in crate::app) fn after_answered(app: &mut App, call: &CallRef) {
    // The one that was answered may not have heard of it yet.
    let mut others = waiting(app).iter().map(Waiting::reference).collect::<Vec<_>>();
    others.retain(|other| other != call);
    let is_free = |other: &&CallRef| app.calls.job(&other.run, other.block).is_none();
    match others.iter().find(is_free).or(others.first()).cloned() {
        Some(next) => show_call(app, Some(next), None),
        None => app.overlay = None,
    }
}

/// The result of a call's command was published: an inbox that stands at this call, or at nothing any more, goes on.
pub(super) fn command_answered(app: &mut App, call: &CallRef) {
    let goes_on = matches!(&app.overlay, Some(Overlay::Inbox(inbox))
        if inbox.marked.as_ref().is_none_or(|marked| marked == call));
    if goes_on {
        stash(app);
        after_answered(app, call);
    }
}

/// Goes to the marked call's run.
fn show(app: &mut App) {
    let Some(Overlay::Inbox(inbox)) = &app.overlay else {
        return;
    };
    let Some(call) = inbox.marked.clone() else { return };
    stash(app);
    app.overlay = None;
    select(app, &call.run);
    app.focus = Focus::Transcript;
    with_selected(app, |channel| {
        channel.scroll = Scroll::Tail;
        channel.marked = Some(call.block);
    });
}

/// Something came on a channel: the marked call may no longer wait, or there may be a first one.
pub(super) fn call_changed(app: &mut App, id: &ChannelId) {
    let Some(Overlay::Inbox(inbox)) = &app.overlay else {
        return;
    };
    if inbox.sending.is_some() {
        return;
    }
    let Some(call) = inbox.marked.clone() else {
        if let Some(first) = waiting(app).first().map(Waiting::reference) {
            show_call(app, Some(first), None);
        }
        return;
    };
    if call.run != *id || waiting_at(app, &call).is_some() {
        return;
    }
    let news = became(app, &call);
    app.calls.drafts.retain(|(of, _)| *of != call);
    let next = waiting(app).first().map(Waiting::reference);
    show_call(app, next, news);
}

/// What became of a call that waits no longer, in a sentence.
fn became(app: &App, call: &CallRef) -> Option<String> {
    let block = app.channels.get(&call.run)?.transcript.block(call.block)?;
    let BlockKind::Call { function, state, .. } = &block.kind else {
        return None;
    };
    let function = sanitise_line(function);
    Some(match state {
        CallState::Answered { from: Some(from), .. } => format!("{function} was answered by {}", sanitise_line(from)),
        CallState::Answered { from: None, .. } => format!("{function} was answered by somebody else"),
        _ => format!("The run gave {function} up"),
    })
}

/// The channel of the open inbox's marked call is not watched any more.
pub(in crate::app) fn forget(app: &mut App, id: &ChannelId) {
    app.calls.drafts.retain(|(of, _)| of.run != *id);
    let gone = matches!(&app.overlay, Some(Overlay::Inbox(inbox)) if inbox.marked.as_ref().is_some_and(|call| call.run == *id));
    if gone {
        let next = waiting(app).first().map(Waiting::reference);
        show_call(app, next, None);
    }
}

/// What stands in the way of a call's command running by itself, or what is done about it, in a few words.
#[must_use]
pub fn standing(app: &App, waiting: &Waiting) -> Option<String> {
    let (run, call) = (waiting.channel, &waiting.call);
    if run.calls.was_begun(call.channel, call.function, call.arguments) {
        let once = key(app, Action::AllowOnce);
        return Some(format!(
            "it was taken up before, and its answer did not arrive: {once} runs the command again"
        ));
    }
    let config = configured(app, call.function)?;
    if config.command.is_empty() {
        return None;
    }
    let ours = ChannelId::parse(call.channel).is_ok_and(|channel| run.calls.is_ours(&channel));
    (!ours).then(|| "this run was dispatched elsewhere: nothing runs here unless you say so".to_owned())
}

/// What a configured command can do about a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowing {
    /// It can run once.
    pub once: bool,
    /// It can run for all further calls too.
    pub always: bool,
}

/// Whether a call's command can be allowed.
#[must_use]
pub fn allowing(app: &App, call: &CallRef) -> Allowing {
    let Some((function, _, channel)) = waiting_at(app, call) else {
        return Allowing::default();
    };
    let once = configured(app, function).is_some_and(|config| !config.command.is_empty());
    let ours = || {
        let run = app.channels.get(&call.run);
        run.zip(ChannelId::parse(channel).ok())
            .is_some_and(|(run, channel)| run.calls.is_ours(&channel))
    };
    Allowing {
        once,
        always: once && ours(),
    }
}
