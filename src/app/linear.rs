//! The linear mode: what happens as labelled lines, and a line that was typed as what it means. For screen readers and for
//! whoever wants a program that only ever writes further down.
//!
//! It follows the same state as the screen does and reads nothing but it. Reading and printing lines is `tui`'s matter.

use indexmap::IndexMap;
use serde_json::Value;

use crate::text::width::truncate;
use crate::text::{json, sanitise_line};
use crate::transcript::{Block, BlockId, BlockKind, CallState, Connection};
use crate::wire::ChannelId;

use super::action::Action;
use super::calls::{self, CallRef, inbox};
use super::channel::{Channel, ChannelState};
use super::compose::Mode;
use super::effect::Effect;
use super::msg::{Msg, Now};
use super::state::{App, Ask, AskFor, Overlay, ServerState};
use super::update;
use super::update::{next_request, select};

/// The widest title in a label, in columns.
const WIDEST_LABEL: usize = 32;
/// The longest call or result on one line, in columns.
const LONGEST_CALL: usize = 400;
/// The most lines of a call's arguments or result.
const MOST_LINES: usize = 40;

/// What `/help` says.
const HELP: &[&str] = &[
    "A line of text is a prompt: it starts a run. A line that begins with a slash is a command:",
    "/list: the channels with their numbers",
    "/open N: read channel N from its beginning and follow it",
    "/continue N: prompts go on with the conversation of channel N from now on; /new: they start new runs again",
    "/watch ID: watch a channel by its id",
    "/answer N JSON: answer the call that channel N waits for; /answer N alone shows the call",
    "/allow N: run the configured command that answers it; /deny N WHY: deny the call",
    "/cancel N: stop the run of channel N on the server",
    "/stop N: stop watching channel N; its run goes on",
    "/id N: print the id of channel N",
    "/quit: leave; runs go on",
    "A prompt that begins with a slash is written with two.",
];

/// What was told so far.
#[derive(Debug, Default)]
pub struct Linear {
    channels: IndexMap<ChannelId, Told>,
    last_number: usize,
    /// The channel whose text is told as it comes.
    open: Option<ChannelId>,
    notice_at: Option<u64>,
    server: Option<ServerState>,
    started_at: u64,
}

/// What was told of a channel.
#[derive(Debug)]
struct Told {
    number: usize,
    generation: u64,
    state: Option<ChannelState>,
    /// The last block that was told whole.
    done: Option<BlockId>,
    /// How much of the block after it was told, in bytes.
    part: usize,
    /// Calls whose result is still to be told.
    calls: Vec<BlockId>,
    /// Waiting calls that were told.
    waiting: Vec<BlockId>,
}

impl Told {
    fn new(number: usize, generation: u64) -> Self {
        Self {
            number,
            generation,
            state: None,
            done: None,
            part: 0,
            calls: Vec::new(),
            waiting: Vec::new(),
        }
    }
}

/// Prompts continue the selected channel's thread from now on, or start new runs.
fn continue_with(app: &mut App, continues: bool, now: Now) -> Vec<Effect> {
    if (app.compose.mode == Mode::Continue) == continues {
        return Vec::new();
    }
    update(app, Msg::Action(Action::SwitchThread), now)
}

impl Linear {
    /// Nothing was told yet.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            started_at: now.unix_ms,
            ..Self::default()
        }
    }

    /// What is said first.
    #[must_use]
    pub fn welcome(&mut self, app: &mut App) -> Vec<String> {
        self.number(app);
        let mut lines = vec![format!(
            "Switchboard, linear mode. Server: {}.",
            sanitise_line(&app.server.name)
        )];
        // The switch of the screen is not seen here: it begins where nothing surprises.
        app.compose.mode = Mode::New;
        match app.channels.len() {
            0 => {}
            1 => lines.push("1 channel is watched; /list names it.".to_owned()),
            count => lines.push(format!("{count} channels are watched; /list names them.")),
        }
        lines.push("Type a prompt and press Enter, or /help.".to_owned());
        lines
    }

    /// The channel whose text is told as it comes.
    #[must_use]
    pub fn open(&self) -> Option<&ChannelId> {
        self.open.as_ref()
    }

    /// Whether nothing more comes of what is open without somebody doing something.
    #[must_use]
    pub fn is_at_rest(&self, app: &App) -> bool {
        let open = self.open.as_ref().and_then(|id| app.channels.get(id));
        app.unsent.is_empty()
            && open.is_none_or(|channel| {
                let state = channel.state(app.now);
                !state.is_open() || matches!(state, ChannelState::Waiting)
            })
    }

    /// A line was typed: what is to be done, and what is to be said at once.
    pub fn typed(&mut self, app: &mut App, line: &str, now: Now) -> (Vec<Effect>, Vec<String>) {
        let line = line.trim();
        // Who is lost types this before anything else.
        let line = if line == "?" { "/help" } else { line };
        let Some(command) = line.strip_prefix('/').filter(|rest| !rest.starts_with('/')) else {
            let prompt = line.strip_prefix('/').unwrap_or(line);
            if prompt.is_empty() {
                return (Vec::new(), Vec::new());
            }
            // What was being typed on the screen is none of this line's.
            let draft = app.draft.clone();
            let effects = update(app, Msg::Submit(prompt.to_owned()), now);
            if app.draft.is_empty() && !draft.is_empty() {
                update::set_draft(app, draft);
            }
            self.open = app.selected.clone();
            return (effects, Vec::new());
        };
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let (rest, mut lines) = (rest.trim(), Vec::new());
        let mut effects = Vec::new();
        match name {
            "help" | "?" => lines.extend(HELP.iter().map(|line| (*line).to_owned())),
            "list" => self.list(app, &mut lines),
            "watch" => {
                app.overlay = Some(Overlay::Ask(Ask::new(AskFor::Watch, rest)));
                effects = update(app, Msg::DialogueSubmit(rest.to_owned()), now);
                match app.overlay.take() {
                    Some(Overlay::Ask(Ask { error, .. })) => lines.extend(error),
                    _ => self.open = app.selected.clone(),
                }
            }
            "quit" | "exit" | "q" => effects = update(app, Msg::Shutdown, now),
            "new" => {
                effects = continue_with(app, false, now);
                lines.push("Prompts start new runs from now on.".to_owned());
            }
            "continue" if rest.is_empty() && self.open.is_some() => {
                if let Some(id) = self.open.clone() {
                    select(app, &id);
                    effects = continue_with(app, true, now);
                    lines.push(format!("{} is gone on with; /new ends that.", self.label(app, &id)));
                }
            }
            "open" | "answer" | "allow" | "deny" | "cancel" | "stop" | "id" | "continue" => {
                let (number, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                match self.find(number) {
                    Some(id) if name == "continue" => {
                        select(app, &id);
                        effects = continue_with(app, true, now);
                        lines.push(format!("{} is gone on with; /new ends that.", self.label(app, &id)));
                        self.open = Some(id);
                    }
                    Some(id) => effects = self.about(app, name, &id, rest.trim(), &mut lines),
                    None => lines.push(format!("/{name} needs the number of a channel; /list names them.")),
                }
            }
            _ => lines.push(format!(
                "There is no command /{}; /help lists them.",
                sanitise_line(name)
            )),
        }
        (effects, lines)
    }

    /// A command about one channel.
    fn about(&mut self, app: &mut App, name: &str, id: &ChannelId, rest: &str, lines: &mut Vec<String>) -> Vec<Effect> {
        let label = self.label(app, id);
        let mut effects = Vec::new();
        match name {
            "open" => {
                lines.push(format!("{label} from its beginning:"));
                if let Some(told) = self.channels.get_mut(id) {
                    (told.done, told.part) = (None, 0);
                    told.calls.clear();
                }
                select(app, id);
                self.open = Some(id.clone());
            }
            "answer" | "allow" | "deny" => effects.extend(answer(app, name, id, &label, rest, lines)),
            "cancel" if app.server.info.is_none() => {
                lines.push(format!(
                    "The server {} cannot cancel a run.",
                    sanitise_line(&app.server.name)
                ));
            }
            "cancel" => {
                let is_over = app
                    .channels
                    .get(id)
                    .is_some_and(|channel| channel.transcript.status().is_over());
                if is_over {
                    lines.push(format!("{label} is over already."));
                } else {
                    effects.push(Effect::CancelRun { channel: id.clone() });
                }
            }
            "id" => lines.push(format!("{label} {id}")),
            _ => {
                update::unwatch(app, id, &mut effects);
                lines.push(format!("{label} is no longer watched; its run goes on."));
            }
        }
        effects
    }

    fn find(&self, number: &str) -> Option<ChannelId> {
        let number: usize = number.parse().ok()?;
        let found = self.channels.iter().find(|(_, told)| told.number == number);
        found.map(|(id, _)| id.clone())
    }

    fn list(&mut self, app: &App, lines: &mut Vec<String>) {
        self.number(app);
        if self.channels.is_empty() {
            lines.push("No channel is watched yet.".to_owned());
        }
        for (id, told) in &self.channels {
            let Some(channel) = app.channels.get(id) else { continue };
            let mut line = format!("{} {}, {}", told.number, channel.title, channel.state(app.now).word());
            if channel.tokens() > 0 {
                line.push_str(&format!(", {} tokens", channel.tokens()));
            }
            if let Some(elapsed) = channel.elapsed(app.now) {
                line.push_str(&format!(", {}", span(elapsed)));
            }
            lines.push(line);
        }
    }

    /// Gives new channels their numbers; a number is never given again.
    fn number(&mut self, app: &App) {
        self.channels.retain(|id, _| app.channels.contains_key(id));
        // The newest stands first in the list: numbers grow with age.
        for (id, channel) in app.channels.iter().rev() {
            if !self.channels.contains_key(id) {
                self.last_number += 1;
                let told = Told::new(self.last_number, channel.generation);
                self.channels.insert(id.clone(), told);
            }
        }
        if self.open.as_ref().is_some_and(|id| !app.channels.contains_key(id)) {
            // A server may run a prompt on another channel than it was asked for.
            self.open = app.selected.clone();
        }
    }

    fn label(&self, app: &App, id: &ChannelId) -> String {
        let number = self.channels.get(id).map_or(0, |told| told.number);
        let title = app.channels.get(id).map_or("", |channel| channel.title.as_str());
        format!("[{number} {}]", truncate(title, WIDEST_LABEL))
    }

    /// What is to be said after the state changed. `of`: only this channel did.
    pub fn report(&mut self, app: &App, of: Option<&ChannelId>) -> Vec<String> {
        let mut lines = Vec::new();
        match of {
            Some(id) => self.report_channel(app, id, &mut lines),
            None => {
                self.number(app);
                self.report_server(app, &mut lines);
                let ids: Vec<ChannelId> = self.channels.keys().cloned().collect();
                for id in &ids {
                    self.report_channel(app, id, &mut lines);
                }
            }
        }
        match &app.notice {
            Some(notice) if self.notice_at != Some(notice.at) => {
                self.notice_at = Some(notice.at);
                let kind = if notice.error { "Error: " } else { "" };
                lines.push(format!("{kind}{}", sanitise_line(&notice.text)));
            }
            _ => {}
        }
        lines
    }

    fn report_server(&mut self, app: &App, lines: &mut Vec<String>) {
        let is_news = match (&self.server, &app.server.state) {
            // When it is tried next is no news.
            (Some(ServerState::Unreachable { reason: told, .. }), ServerState::Unreachable { reason, .. }) => {
                told != reason
            }
            (told, state) => told.as_ref() != Some(state),
        };
        if !is_news {
            return;
        }
        self.server = Some(app.server.state.clone());
        match (&app.server.state, &app.server.info) {
            (ServerState::Starting, _) => {}
            (ServerState::Ready, Some(info)) if info.demo => {
                lines.push("The server is ready. The built-in demo model answers: it knows nothing.".to_owned());
            }
            (ServerState::Ready, Some(info)) => {
                lines.push(format!("The server is ready. Model: {}.", sanitise_line(&info.model)));
            }
            (ServerState::Ready, None) => lines.push("The server is ready.".to_owned()),
            (ServerState::Unreachable { reason, .. }, _) => {
                lines.push(format!(
                    "Error: no server: {}. It is tried again.",
                    sanitise_line(reason)
                ));
            }
        }
    }

    fn report_channel(&mut self, app: &App, id: &ChannelId, lines: &mut Vec<String>) {
        if !self.channels.contains_key(id) {
            self.number(app);
        }
        let Some(channel) = app.channels.get(id) else { return };
        let label = self.label(app, id);
        let (is_open, started_at) = (self.open.as_ref() == Some(id), self.started_at);
        let Some(told) = self.channels.get_mut(id) else { return };
        if told.generation != channel.generation {
            *told = Told {
                state: told.state,
                ..Told::new(told.number, channel.generation)
            };
        }
        if is_open {
            tell_blocks(channel, told, &label, lines);
        }
        tell_waiting(channel, told, &label, lines);
        let state = channel.state(app.now);
        let before = told.state.replace(state);
        if before.is_some_and(|before| before.word() == state.word()) {
            return;
        }
        // What an earlier program watched is told only when it changes while this one is there.
        let is_new = is_open || channel.added_at >= started_at;
        let is_news = match state {
            ChannelState::Connecting | ChannelState::Quiet | ChannelState::Waiting => false,
            ChannelState::Queued | ChannelState::Live => is_new || matches!(before, Some(ChannelState::Waiting)),
            ChannelState::Reconnecting { .. } => is_open,
            ChannelState::Done | ChannelState::Failed | ChannelState::Cancelled => {
                is_new || channel.transcript.counters().ended_at >= Some(started_at)
            }
            ChannelState::NotKept | ChannelState::Replay => is_open,
        };
        if is_news {
            lines.push(format!("{label} {}", state_words(channel, state, app)));
        }
    }
}

fn state_words(channel: &Channel, state: ChannelState, app: &App) -> String {
    let mut text = match state {
        ChannelState::Reconnecting { .. } => return "connection lost, it is made again".to_owned(),
        ChannelState::NotKept => return "the server keeps nothing of it".to_owned(),
        ChannelState::Failed => match &channel.connection {
            Connection::Failed { reason } => format!("failed: {}", sanitise_line(reason)),
            _ => failure(channel),
        },
        state => state.word().to_owned(),
    };
    if !state.is_open() {
        if channel.tokens() > 0 {
            text.push_str(&format!(", {} tokens", channel.tokens()));
        }
        if let Some(elapsed) = channel.elapsed(app.now) {
            text.push_str(&format!(", took {}", span(elapsed)));
        }
    }
    text
}

fn failure(channel: &Channel) -> String {
    let message = channel
        .transcript
        .blocks()
        .rev()
        .take(4)
        .find_map(|block| match &block.kind {
            BlockKind::Failure { message, .. } => Some(format!("failed: {}", sanitise_line(message))),
            _ => None,
        });
    message.unwrap_or_else(|| "failed".to_owned())
}

/// The calls that wait and were not told yet, with how to answer them: of every channel, open or not.
fn tell_waiting(channel: &Channel, told: &mut Told, label: &str, lines: &mut Vec<String>) {
    let number = told.number;
    told.waiting
        .retain(|block| channel.transcript.waiting_calls().any(|call| call.block == *block));
    for call in channel.transcript.waiting_calls() {
        if !told.waiting.contains(&call.block) {
            told.waiting.push(call.block);
            let text = json::call(call.function, call.arguments, LONGEST_CALL);
            lines.push(format!(
                "{label} waits for an answer: {text}. Answer with /answer {number} JSON"
            ));
        }
    }
}

/// What has come of the open channel since it was told last.
fn tell_blocks(channel: &Channel, told: &mut Told, label: &str, lines: &mut Vec<String>) {
    let transcript = &channel.transcript;
    told.calls
        .retain(|id| match transcript.block(*id).map(|block| &block.kind) {
            Some(BlockKind::Call { function, state, .. }) => match state {
                CallState::Answered { result, from } => {
                    let by = from
                        .as_ref()
                        .map(|from| format!(" by {}", sanitise_line(from)))
                        .unwrap_or_default();
                    lines.push(format!("{label} {} answered{by}", sanitise_line(function)));
                    lines.extend(
                        json::lines(result, MOST_LINES)
                            .into_iter()
                            .map(|line| format!("  {line}")),
                    );
                    false
                }
                CallState::Abandoned => {
                    lines.push(format!("{label} {} was given up", sanitise_line(function)));
                    false
                }
                CallState::Requested | CallState::Waiting { .. } => true,
            },
            _ => false,
        });
    let is_new = |block: &&Block| told.done.is_none_or(|done| block.id > done);
    let blocks: Vec<&Block> = transcript.blocks().rev().take_while(is_new).collect();
    for block in blocks.into_iter().rev() {
        let (who, text, streaming) = match &block.kind {
            BlockKind::Prompt { role, text } if role == "user" => ("you", text.as_str(), false),
            BlockKind::Prompt { role, text } => (role.as_str(), text.as_str(), false),
            BlockKind::Answer { text, streaming } => ("answer", text.as_str(), *streaming),
            // What the bot thinks aloud is counted; nobody wants to listen to all of it.
            BlockKind::Reasoning { streaming: true, .. } => return,
            kind => {
                if let BlockKind::Call {
                    state: CallState::Requested | CallState::Waiting { .. },
                    ..
                } = kind
                {
                    told.calls.push(block.id);
                }
                lines.extend(one_line(kind).map(|text| format!("{label} {text}")));
                (told.done, told.part) = (Some(block.id), 0);
                continue;
            }
        };
        let end = told.part + ready(text.get(told.part..).unwrap_or_default(), streaming);
        let piece = text.get(told.part..end).unwrap_or_default();
        let mut begins = told.part == 0;
        for line in piece.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let line = sanitise_line(line);
            if std::mem::take(&mut begins) {
                lines.push(format!("{label} {}: {line}", sanitise_line(who)));
            } else {
                lines.push(format!("[{}] {line}", told.number));
            }
        }
        told.part = end;
        if streaming {
            return;
        }
        (told.done, told.part) = (Some(block.id), 0);
    }
}

/// How much of a text can be told: all of it once it is whole, else its whole lines and sentences.
fn ready(text: &str, streaming: bool) -> usize {
    if !streaming {
        return text.len();
    }
    let line = text.rfind('\n').map_or(0, |at| at + 1);
    // The number of a list's item ends no sentence.
    let ends = |at: &usize| !text[..*at].ends_with(|c: char| c.is_ascii_digit());
    let last = |end: &&str| text.rmatch_indices(*end).map(|(at, _)| at).find(ends);
    let sentence = [". ", "! ", "? ", ": "].iter().filter_map(last).max();
    line.max(sentence.map_or(0, |at| at + 2))
}

/// A block that is no text, on one line.
fn one_line(kind: &BlockKind) -> Option<String> {
    Some(match kind {
        BlockKind::Reasoning { tokens, .. } => format!("thinking, {tokens} tokens"),
        // Waiting ones are told with how to answer them.
        BlockKind::Call {
            state: CallState::Waiting { .. },
            ..
        } => return None,
        BlockKind::Call {
            function,
            arguments,
            state,
            ..
        } => {
            let call = json::call(function, arguments, LONGEST_CALL);
            match state {
                CallState::Answered { result, .. } => {
                    let result = json::lines(result, MOST_LINES).join(" ");
                    format!("called {call}: {}", truncate(&result, LONGEST_CALL))
                }
                CallState::Abandoned => format!("called {call}: given up"),
                _ => format!("calls {call}"),
            }
        }
        BlockKind::Operation { label, .. } => sanitise_line(label).into_owned(),
        BlockKind::Abort { reason } => format!("given up: {}", sanitise_line(reason)),
        BlockKind::Gap { missing: Some(missing) } => format!("{missing} events are missing here"),
        BlockKind::Gap { missing: None } => "events are missing here".to_owned(),
        BlockKind::Published { json } => format!("published: {}", truncate(&sanitise_line(json), LONGEST_CALL)),
        BlockKind::Trimmed { blocks } => format!("{blocks} earlier parts are not kept"),
        BlockKind::Note { text } => sanitise_line(text).into_owned(),
        // Its state says it.
        _ => return None,
    })
}

/// The call that a channel waits for and that can be answered.
fn waiting_call(app: &App, id: &ChannelId) -> Option<(CallRef, String, Value, ChannelId)> {
    let mut calls = app.channels.get(id)?.transcript.waiting_calls();
    calls.find_map(|call| {
        let channel = ChannelId::parse(call.channel).ok()?;
        let reference = CallRef {
            run: id.clone(),
            block: call.block,
        };
        Some((reference, call.function.to_owned(), call.arguments.clone(), channel))
    })
}

/// Answers the call that a channel waits for, lets its command run, or denies it.
fn answer(app: &mut App, name: &str, id: &ChannelId, label: &str, text: &str, lines: &mut Vec<String>) -> Vec<Effect> {
    let mut effects = Vec::new();
    let Some((call, function, arguments, channel)) = waiting_call(app, id) else {
        lines.push(format!("{label} waits for no answer."));
        return effects;
    };
    if name == "allow" {
        if let Err(reason) = inbox::run_command(app, &call, &mut effects) {
            lines.push(format!("{reason}; /answer writes the answer."));
        }
        return effects;
    }
    if name == "answer" && text.is_empty() {
        lines.push(format!(
            "{label} waits for the answer to {} with these arguments:",
            sanitise_line(&function)
        ));
        let arguments = json::lines(&arguments, MOST_LINES);
        lines.extend(arguments.into_iter().map(|line| format!("  {line}")));
        return effects;
    }
    let message = if name == "deny" {
        inbox::denial(app, text)
    } else {
        match serde_json::from_str(text) {
            Ok(value) => calls::sign(app, value),
            Err(error) => {
                lines.push(format!(
                    "Not published: this is not JSON ({error}). Examples: true, \"yes\", {{\"approved\": true}}"
                ));
                return effects;
            }
        }
    };
    if let Some(value) = message.get("data")
        && let Err(reason) = inbox::fits(app, id, &function, &channel, value)
    {
        lines.push(format!("{reason}."));
        return effects;
    }
    if app.calls.job(id, call.block).is_some() {
        lines.push(format!("{label}: its command runs already."));
        return effects;
    }
    inbox::take_up(app, &call, &function, &arguments, channel.as_str());
    effects.push(Effect::Publish {
        request: next_request(app),
        channel,
        message,
    });
    effects
}

/// A span of time as it is spoken.
fn span(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests;
