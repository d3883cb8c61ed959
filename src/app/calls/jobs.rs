//! What is being done about calls: commands that run, and results on their way.
//!
//! A result is published only while its call still waits: another call may wait on the same channel by then. A result
//! that could not be published is kept and sent again.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::{FunctionConfig, Policy};
use crate::text::sanitise_line;
use crate::transcript::{BlockId, BlockKind, CallState};
use crate::wire::ChannelId;

use super::super::dialogue::envelope;
use super::super::effect::Effect;
use super::super::msg::RequestId;
use super::super::recordings::is_replay;
use super::super::state::App;
use super::super::update::{complain, next_request, save_now, say};
use super::carried::{Open, claim, digest};
use super::{CallRef, Do, inbox, waiting_at};

/// A call that may be part of a replay is looked at once nothing more came for so long, in milliseconds.
const SETTLE_MS: u64 = 2_000;
/// The most commands that run or wait for their turn; further calls wait for a person.
const MOST_JOBS: usize = 64;
/// The wait before a result is published again, doubled each time up to the last, in milliseconds.
const FIRST_RETRY_MS: u64 = 1_000;
const LAST_RETRY_MS: u64 = 30_000;
/// A result whose call is not seen again is given up after so long, in milliseconds.
const LOST_MS: u64 = 15 * 60_000;

/// Something that is being done about a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name.
    pub id: RequestId,
    /// The run's channel.
    pub run: ChannelId,
    /// The call's block there.
    pub block: BlockId,
    /// The function.
    pub function: String,
    /// The command on one line, safe for a terminal.
    pub command: String,
    /// Since when, Unix time in milliseconds.
    pub since: u64,
    /// How far it is.
    pub stage: Stage,
    /// Where the result belongs.
    channel: ChannelId,
    /// What is called with what.
    call: String,
    /// What the result is checked by.
    config: Option<Arc<FunctionConfig>>,
    /// The wait before the next try to publish.
    pause: u64,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// The command runs.
    Running,
    /// It is being stopped.
    Stopping,
    /// The result is on its way.
    Publishing {
        /// Its publication.
        request: RequestId,
        /// What is published.
        message: Value,
    },
    /// The result could not be published.
    Unpublished {
        /// What is to be published.
        message: Value,
        /// Why it was not.
        reason: String,
        /// When it is tried again, monotonic milliseconds.
        retry_at: u64,
    },
}

impl Job {
    /// When it needs a tick, monotonic milliseconds.
    pub(super) fn due(&self) -> Option<u64> {
        match &self.stage {
            Stage::Unpublished { retry_at, .. } => Some(*retry_at),
            _ => None,
        }
    }
}

/// An answer as it is published: signed, where the server is known to understand that.
pub(in crate::app) fn sign(app: &App, value: Value) -> Value {
    let mut message = envelope(value);
    // Other servers would hand the name to the model as a part of the result.
    if app.server.info.is_some()
        && !app.settings.calls.device.is_empty()
        && let Some(fields) = message.as_object_mut()
    {
        fields
            .entry("from")
            .or_insert_with(|| Value::String(app.settings.calls.device.clone()));
    }
    message
}

/// An answer that says what went wrong.
pub(super) fn refusal(app: &App, reason: &str) -> Value {
    sign(app, json!({ "error": reason }))
}

/// The name that answers of this machine are signed with, for sentences.
pub(super) fn device(app: &App) -> &str {
    match app.settings.calls.device.as_str() {
        "" => "this terminal",
        name => name,
    }
}

/// Decides about the new calls of a run that was dispatched from here.
pub(super) fn consider(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    let now = app.now.monotonic_ms;
    let read_only = app.is_kiosk();
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    if is_replay(channel) {
        return;
    }
    let (transcript, of) = (&channel.transcript, &mut channel.calls);
    if of.open.iter().all(|open| open.decided) || read_only {
        return;
    }
    let settled_at = of.last_batch + SETTLE_MS;
    let mut due = Vec::new();
    let mut unsettled = false;
    for call in transcript.waiting_calls() {
        let Some(at) = of
            .open(call.channel, call.function, call.arguments)
            .filter(|open| !open.decided)
        else {
            continue;
        };
        if !at.fresh && now < settled_at {
            unsettled = true;
            continue;
        }
        at.decided = true;
        let open = at.clone();
        let is_new = of.is_new(&open);
        if let Some(at) = of.open(call.channel, call.function, call.arguments) {
            at.begun_before = !is_new;
        }
        if is_new {
            due.push((call.block, call.function.to_owned(), call.arguments.clone(), open));
        }
    }
    if unsettled {
        match app.calls.settling.iter_mut().find(|(run, _)| run == id) {
            Some((_, at)) => *at = settled_at,
            None => app.calls.settling.push((id.clone(), settled_at)),
        }
    }
    for (block, function, arguments, open) in due {
        let Some(config) = app.settings.calls.functions.get(&function).cloned() else {
            continue;
        };
        let runs = match config.policy {
            Policy::Deny => {
                let reason = format!("denied by the configuration of {}", device(app));
                let message = refusal(app, &reason);
                let call = CallRef { run: id.clone(), block };
                answer(app, &call, &function, &arguments, open, message, effects);
                continue;
            }
            Policy::Allow => true,
            Policy::Ask => !config.command.is_empty() && app.calls.is_allowed(&function, &config),
        };
        if runs {
            let call = CallRef { run: id.clone(), block };
            start(app, &call, &function, &arguments, &config, effects);
        }
    }
}

/// Publishes an answer that no person gave.
fn answer(
    app: &mut App,
    call: &CallRef,
    function: &str,
    arguments: &Value,
    open: Open,
    message: Value,
    effects: &mut Vec<Effect>,
) {
    if let Some(channel) = app.channels.get_mut(&call.run) {
        channel.calls.begin(&open);
    }
    let job = Job {
        id: next_request(app),
        run: call.run.clone(),
        block: call.block,
        function: function.to_owned(),
        command: String::new(),
        since: app.now.unix_ms,
        stage: Stage::Running,
        channel: open.channel,
        call: digest(function, arguments),
        config: None,
        pause: FIRST_RETRY_MS,
    };
    publish(app, job, message, effects);
}

/// Runs a call's command. The arguments are checked first; what does not fit is answered with where.
///
/// A call that was not taken up yet is claimed; of one that was, a person decided to run it again.
pub(super) fn start(
    app: &mut App,
    call: &CallRef,
    function: &str,
    arguments: &Value,
    config: &Arc<FunctionConfig>,
    effects: &mut Vec<Effect>,
) {
    if app.calls.job(&call.run, call.block).is_some() {
        say(app, format!("{} is being answered already", sanitise_line(function)));
        return;
    }
    if app.calls.jobs.len() >= MOST_JOBS {
        complain(
            app,
            format!("{MOST_JOBS} commands run or wait already; try again when some have ended"),
        );
        return;
    }
    let Some((_, _, channel)) = waiting_at(app, call) else {
        return;
    };
    let channel = match ChannelId::parse(channel) {
        Ok(channel) => channel,
        Err(error) => {
            complain(app, format!("{} cannot be answered: {error}", sanitise_line(function)));
            return;
        }
    };
    let mut claimed = None;
    if let Some(of) = app.channels.get_mut(&call.run).map(|channel| &mut channel.calls)
        && let Some(open) = of.open(channel.as_str(), function, arguments)
    {
        open.decided = true;
        open.begun_before = false;
        let open = open.clone();
        claimed = of.is_new(&open).then(|| claim(&call.run, &open));
        of.begin(&open);
    }
    let mut job = Job {
        id: next_request(app),
        run: call.run.clone(),
        block: call.block,
        function: function.to_owned(),
        command: sanitise_line(&config.command_line()).into_owned(),
        since: app.now.unix_ms,
        stage: Stage::Running,
        channel,
        call: digest(function, arguments),
        config: Some(Arc::clone(config)),
        pause: FIRST_RETRY_MS,
    };
    // What was taken up is written down before anything is done about it.
    save_now(app, effects);
    if let Some(Err(reason)) = config.parameters.as_ref().map(|schema| schema.check(arguments)) {
        job.command.clear();
        let message = refusal(app, &format!("the arguments do not fit: {reason}"));
        publish(app, job, message, effects);
        return;
    }
    effects.push(Effect::Calls(Do::Run {
        job: job.id,
        function: Arc::clone(config),
        arguments: arguments.clone(),
        claim: claimed,
    }));
    app.calls.jobs.push(job);
}

/// Publishes a job's result, if its call still waits.
fn publish(app: &mut App, mut job: Job, message: Value, effects: &mut Vec<Effect>) {
    match fate(app, &job) {
        Fate::Waits => {}
        Fate::Over(why) => {
            let function = sanitise_line(&job.function).into_owned();
            say(app, format!("{function}: nothing was published, {why}"));
            return;
        }
        Fate::Unknown => {
            job.stage = Stage::Unpublished {
                message,
                reason: "the run is being read again".to_owned(),
                retry_at: app.now.monotonic_ms + SETTLE_MS,
            };
            app.calls.jobs.push(job);
            return;
        }
    }
    let request = next_request(app);
    effects.push(Effect::Publish {
        request,
        channel: job.channel.clone(),
        message: message.clone(),
    });
    job.stage = Stage::Publishing { request, message };
    app.calls.jobs.push(job);
}

/// What became of a job's call.
enum Fate {
    Waits,
    /// Nothing can be published any more, and why.
    Over(String),
    /// Nothing is known of it just now.
    Unknown,
}

fn fate(app: &App, job: &Job) -> Fate {
    // A run that nobody here watches any more is taken to wait still.
    let Some(channel) = app.channels.get(&job.run) else {
        return Fate::Waits;
    };
    let over = |why: &str| Fate::Over(why.to_owned());
    if let Some(BlockKind::Call {
        function,
        arguments,
        state,
        ..
    }) = channel.transcript.block(job.block).map(|block| &block.kind)
        && digest(function, arguments) == job.call
    {
        return match state {
            CallState::Waiting { channel, .. } if *channel == job.channel.as_str() => Fate::Waits,
            CallState::Answered { from: Some(from), .. } => {
                Fate::Over(format!("it was answered by {} meanwhile", sanitise_line(from)))
            }
            CallState::Answered { from: None, .. } => over("it was answered by somebody else meanwhile"),
            CallState::Abandoned => over("the run gave the call up"),
            CallState::Waiting { .. } | CallState::Requested => Fate::Unknown,
        };
    }
    if channel.transcript.status().is_over() {
        return over("the run is over");
    }
    if app.now.unix_ms.saturating_sub(job.since) > LOST_MS {
        return over("its call was not seen again");
    }
    Fate::Unknown
}

fn take_job(app: &mut App, id: RequestId) -> Option<Job> {
    let at = app.calls.jobs.iter().position(|job| job.id == id)?;
    Some(app.calls.jobs.remove(at))
}

/// A command ended.
pub(super) fn ran(app: &mut App, id: RequestId, result: Result<Value, String>, effects: &mut Vec<Effect>) {
    let Some(job) = take_job(app, id) else { return };
    let schema = job.config.as_ref().and_then(|config| config.result.as_ref());
    let checked = match (result, schema) {
        (Ok(value), Some(schema)) if !is_refusal(&value) => match schema.check(&value) {
            Ok(()) => Ok(value),
            Err(reason) => Err(format!("the result of {} does not fit: {reason}", job.function)),
        },
        (result, _) => result,
    };
    let message = match checked {
        Ok(value) => sign(app, value),
        Err(reason) => {
            let function = sanitise_line(&job.function);
            complain(app, format!("{function} failed: {}", sanitise_line(&reason)));
            refusal(app, &reason)
        }
    };
    publish(app, job, message, effects);
}

/// Whether a command's output is an error of its own making.
fn is_refusal(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|fields| fields.len() == 1 && fields.contains_key("error"))
}

/// A command was stopped.
pub(super) fn stopped(app: &mut App, id: RequestId) {
    if let Some(job) = take_job(app, id) {
        begun_before(app, &job);
        say(app, format!("{} was stopped", job.command));
    }
}

/// A command was not started: somebody has claimed the call.
pub(super) fn taken(app: &mut App, id: RequestId) {
    if let Some(job) = take_job(app, id) {
        begun_before(app, &job);
        let function = sanitise_line(&job.function);
        let text =
            format!("{function} was taken up before, by this program or another one here: it is not run again unasked");
        say(app, text);
    }
}

/// The call waits still, and it is known that it was taken up.
fn begun_before(app: &mut App, job: &Job) {
    if let Some(channel) = app.channels.get_mut(&job.run) {
        let of = &mut channel.calls;
        for open in of
            .open
            .iter_mut()
            .filter(|open| open.channel == job.channel && open.call == job.call)
        {
            open.begun_before = true;
        }
    }
}

/// The answer to a publication came; `false`: it belongs elsewhere.
pub(in crate::app) fn published(
    app: &mut App,
    request: RequestId,
    result: &Result<(), String>,
    effects: &mut Vec<Effect>,
) -> bool {
    if inbox::published(app, request, result, effects) {
        return true;
    }
    let of_request = |job: &Job| matches!(&job.stage, Stage::Publishing { request: of, .. } if *of == request);
    let Some(at) = app.calls.jobs.iter().position(of_request) else {
        return false;
    };
    match result {
        Ok(()) => {
            let job = app.calls.jobs.remove(at);
            let call = CallRef {
                run: job.run.clone(),
                block: job.block,
            };
            inbox::command_answered(app, &call);
            say(app, format!("Answered {}", sanitise_line(&job.function)));
        }
        Err(reason) => {
            let retry_at = app.now.monotonic_ms + app.calls.jobs[at].pause;
            let job = &mut app.calls.jobs[at];
            job.pause = (job.pause * 2).min(LAST_RETRY_MS);
            if let Stage::Publishing { message, .. } = &mut job.stage {
                let message = message.take();
                job.stage = Stage::Unpublished {
                    message,
                    reason: reason.clone(),
                    retry_at,
                };
            }
            let text = format!(
                "The result of {} is not published yet: {reason}",
                sanitise_line(&job.function)
            );
            complain(app, text);
        }
    }
    true
}

/// Publishes again what is due. `true`: something changed.
pub(super) fn publish_again(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    let now = app.now.monotonic_ms;
    let mut changed = false;
    while let Some(at) = app
        .calls
        .jobs
        .iter()
        .position(|job| job.due().is_some_and(|due| due <= now))
    {
        let mut job = app.calls.jobs.remove(at);
        if let Stage::Unpublished { message, .. } = &mut job.stage {
            let message = message.take();
            publish(app, job, message, effects);
        }
        changed = true;
    }
    changed
}

/// Something came on a run's channel: its jobs follow their calls.
pub(super) fn follow(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    if !app.calls.jobs.iter().any(|job| job.run == *id) {
        return;
    }
    let Some(channel) = app.channels.get(id) else { return };
    for job in app.calls.jobs.iter_mut().filter(|job| job.run == *id) {
        // The names of blocks begin anew with a channel that is read again.
        let found = channel
            .transcript
            .waiting_calls()
            .find(|call| call.channel == job.channel.as_str() && digest(call.function, call.arguments) == job.call);
        if let Some(call) = found {
            job.block = call.block;
            continue;
        }
        let is_over = channel.transcript.status().is_over();
        let given_up = matches!(
            channel.transcript.block(job.block).map(|block| &block.kind),
            Some(BlockKind::Call { function, arguments, state: CallState::Abandoned, .. })
                if digest(function, arguments) == job.call
        );
        // A command whose call was answered by others is let be: to end it half-way helps nobody.
        if job.stage == Stage::Running && (is_over || given_up) {
            job.stage = Stage::Stopping;
            effects.push(Effect::Calls(Do::Stop { job: job.id }));
        }
    }
}

/// Stops a call's command, or gives up publishing its result; `false`: nothing is being done about it.
pub(super) fn stop(app: &mut App, call: &CallRef, effects: &mut Vec<Effect>) -> bool {
    let found = app
        .calls
        .jobs
        .iter()
        .position(|job| job.run == call.run && job.block == call.block);
    let Some(at) = found else { return false };
    let job = &mut app.calls.jobs[at];
    match job.stage {
        Stage::Running => {
            job.stage = Stage::Stopping;
            effects.push(Effect::Calls(Do::Stop { job: job.id }));
        }
        Stage::Unpublished { .. } => drop(app.calls.jobs.remove(at)),
        Stage::Stopping | Stage::Publishing { .. } => {}
    }
    true
}
