//! Recordings: spooling a channel to disk, playing one back, rescuing what its server is about to expire; and the
//! bound on the memory of all transcripts. State and rules; files are `record`'s and `tui`'s matter.

mod memory;
pub mod playback;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::record::{Recording, Summary};
use crate::transcript::{Connection, FeedBatch, Transcript};
use crate::wire::ChannelId;

use super::action::Action;
use super::channel::{Channel, ChannelState};
use super::effect::Effect;
use super::picker::{Entry, Picker, Purpose};
use super::state::{App, Overlay};
use super::update::{complain, save_later, say};

pub use memory::{Away, Whereabouts, Whole};
pub use playback::{Playback, Speed};

/// So long before a channel expires its rescue is offered, in milliseconds.
const OFFERED_BEFORE_MS: u64 = 10 * 60 * 1_000;

/// What the configuration and the flags say of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What all transcripts may take in memory together, about, in bytes.
    pub memory: usize,
    /// Where recordings are kept.
    pub directory: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory: 256 * 1024 * 1024,
            directory: PathBuf::new(),
        }
    }
}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Recordings {
    memory: memory::Memory,
    /// The recording that waits for a fresh id to be shown under.
    opening: Option<Arc<Recording>>,
    /// How many recordings are in the list: without any, nothing is looked for with every turn.
    playbacks: usize,
    /// The minute at which channels that are about to expire were looked for last.
    looked_at_minute: u64,
}

/// Its part of a channel.
#[derive(Debug, Clone, Default)]
pub struct OfChannel {
    /// Whether it is recorded.
    pub spool: Spool,
    /// It is a recording that is played back, not a channel of the server.
    pub playback: Option<Playback>,
    /// Its rescue was offered.
    offered: bool,
    /// Its recording began as one of several, which was said.
    rescued: bool,
    /// Where its transcript is.
    pub whole: Whereabouts,
    /// When it was looked at last, monotonic milliseconds.
    looked_at: u64,
}

/// Whether a channel is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Spool {
    /// It is not.
    #[default]
    Off,
    /// It is, or will be as soon as the server is there, into the file of this name once that is known.
    On(Option<String>),
    /// Its server went; it goes on when that is there again.
    Paused(String),
    /// All of it is in the file of this name.
    Done(String),
}

impl Spool {
    /// Whether something is being recorded.
    #[must_use]
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On(_) | Self::Paused(_))
    }

    /// The file's name.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Off | Self::On(None) => None,
            Self::On(Some(name)) | Self::Paused(name) | Self::Done(name) => Some(name),
        }
    }
}

/// What of it the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {}

/// What of a channel the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedOfChannel {
    /// The file of its recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The recording is whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    done: bool,
}

impl OfChannel {
    /// What the last program wrote down.
    #[must_use]
    pub(super) fn restored(saved: SavedOfChannel) -> Self {
        let spool = match saved.file {
            None => Spool::Off,
            Some(file) if saved.done => Spool::Done(file),
            Some(file) => Spool::On(Some(file)),
        };
        Self {
            spool,
            ..Self::default()
        }
    }

    /// What the next program is to know.
    #[must_use]
    pub(super) fn saved(&self) -> SavedOfChannel {
        SavedOfChannel {
            file: self.spool.file().map(str::to_owned),
            done: matches!(self.spool, Spool::Done(_)),
        }
    }
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpoolEnd {
    /// The run is over and all of it is in the file.
    Whole,
    /// Its server is not there any more.
    ServerGone,
    /// It could not be gone on with: why, and what to do.
    Failed(String),
}

/// What can happen to it.
#[derive(Debug)]
pub enum Msg {
    /// A recording began, into the file of this name.
    Spooling {
        /// The channel.
        channel: ChannelId,
        /// The file's name.
        file: String,
    },
    /// A recording ended.
    Spooled {
        /// The channel.
        channel: ChannelId,
        /// How.
        end: SpoolEnd,
    },
    /// The recordings that there are.
    Listed(Result<Vec<Summary>, String>),
    /// A recording was read.
    Opened(Result<Arc<Recording>, String>),
    /// A transcript was put away; `Err` brings it back, with the reason.
    PutAway {
        /// The channel.
        channel: ChannelId,
        /// Which putting away it belongs to.
        number: u64,
        /// Whether it worked.
        result: Result<(), (Box<Transcript>, String)>,
    },
    /// A transcript that was put away was fetched.
    Fetched {
        /// The channel.
        channel: ChannelId,
        /// Which putting away it belongs to.
        number: u64,
        /// The transcript, or why not.
        result: Result<Box<Transcript>, String>,
    },
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// Record a channel, from its first retained event, or go on with the file of this name.
    Spool {
        /// The channel.
        channel: ChannelId,
        /// What it is called.
        title: String,
        /// The file to go on with.
        file: Option<String>,
    },
    /// Stop recording a channel.
    Unspool {
        /// The channel.
        channel: ChannelId,
    },
    /// List the recordings; the answer is [`Msg::Listed`].
    List,
    /// Read the recording of this name; the answer is [`Msg::Opened`].
    Open {
        /// The file's name.
        name: String,
    },
    /// Put a transcript away; the answer is [`Msg::PutAway`].
    PutAway {
        /// The channel.
        channel: ChannelId,
        /// Which putting away it belongs to.
        number: u64,
        /// The whole.
        transcript: Whole,
    },
    /// Fetch a transcript that was put away; the answer is [`Msg::Fetched`].
    Fetch {
        /// The channel.
        channel: ChannelId,
        /// Which putting away it belongs to.
        number: u64,
    },
    /// A transcript that was put away is not needed any more.
    Forget {
        /// The channel.
        channel: ChannelId,
    },
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    match action {
        Action::Record => record(app, effects),
        Action::Rescue => rescue(app, effects),
        Action::OpenRecording => effects.push(Effect::Recordings(Do::List)),
        Action::PlayPause | Action::SeekBack | Action::SeekForward | Action::Faster | Action::Slower => {
            playback::perform(app, action);
        }
        _ => return false,
    }
    true
}

/// Begins or ends the recording of the selected channel.
fn record(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(id) = app.selected.clone() else {
        say(app, "No channel is selected: nothing to record".to_owned());
        return;
    };
    let Some(channel) = app.channels.get_mut(&id) else {
        return;
    };
    if channel.recordings.playback.is_some() {
        say(app, "This is a recording already".to_owned());
        return;
    }
    let title = channel.title.clone();
    match &channel.recordings.spool {
        Spool::On(_) | Spool::Paused(_) => {
            let file = channel.recordings.spool.file().map(str::to_owned);
            channel.recordings.spool = Spool::Off;
            effects.push(Effect::Recordings(Do::Unspool { channel: id }));
            let what = file.map_or_else(String::new, |file| format!("; what came is in {file}"));
            say(app, format!("No longer recording {title}{what}"));
            save_later(app);
        }
        Spool::Done(file) => {
            let text = format!("This run is recorded whole, in {file}; o in the list opens it");
            say(app, text);
        }
        Spool::Off => begin(app, &id, effects),
    }
}

fn begin(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    if let Some(channel) = app.channels.get_mut(id) {
        channel.recordings.spool = Spool::On(None);
        effects.push(Effect::Recordings(Do::Spool {
            channel: id.clone(),
            title: channel.title.clone(),
            file: None,
        }));
    }
}

/// When the server forgets a channel, Unix time in milliseconds, where that is known.
#[must_use]
pub fn expires_at(app: &App, channel: &Channel) -> Option<u64> {
    let retention = app.server.info.as_ref()?.retention.seconds;
    let ended = channel.transcript.counters().ended_at?;
    Some(ended.saturating_add(retention.saturating_mul(1_000)))
}

/// Whether a channel's rescue makes sense: it expires soon, and it is recorded nowhere.
fn needs_rescue(app: &App, channel: &Channel) -> bool {
    let now = app.now.unix_ms;
    channel.recordings.spool == Spool::Off
        && channel.recordings.playback.is_none()
        && expires_at(app, channel).is_some_and(|at| at > now && at - now <= OFFERED_BEFORE_MS)
}

/// Records every channel that its server is about to forget.
fn rescue(app: &mut App, effects: &mut Vec<Effect>) {
    let ids: Vec<ChannelId> = app
        .channels
        .values()
        .filter(|channel| needs_rescue(app, channel))
        .map(|channel| channel.id.clone())
        .collect();
    if ids.is_empty() {
        say(app, "The server is about to forget none of these channels".to_owned());
        return;
    }
    for id in &ids {
        begin(app, id, effects);
        if let Some(channel) = app.channels.get_mut(id) {
            channel.recordings.rescued = true;
        }
    }
    let what = if ids.len() == 1 {
        "1 channel".to_owned()
    } else {
        format!("{} channels", ids.len())
    };
    let them = if ids.len() == 1 { "it" } else { "them" };
    let directory = app.settings.recordings.directory.display().to_string();
    say(
        app,
        format!("Recording {what} before the server forgets {them}, into {directory}"),
    );
}

/// Says once what the server is about to forget.
fn offer_rescue(app: &mut App) {
    let now = app.now;
    let ids: Vec<ChannelId> = app
        .channels
        .values()
        .filter(|channel| !channel.recordings.offered && needs_rescue(app, channel))
        .map(|channel| channel.id.clone())
        .collect();
    if ids.is_empty() {
        return;
    }
    let mut soonest = u64::MAX;
    for id in &ids {
        if let Some(at) = app.channels.get(id).and_then(|channel| expires_at(app, channel)) {
            soonest = soonest.min(at);
        }
        if let Some(channel) = app.channels.get_mut(id) {
            channel.recordings.offered = true;
        }
    }
    let minutes = soonest.saturating_sub(now.unix_ms).div_ceil(60_000);
    let key = app.settings.keymap.first(Action::Rescue);
    let text = match &ids[..] {
        [one] => {
            let title = app.channels.get(one).map_or("a channel", |channel| &channel.title);
            format!("The server forgets \"{title}\" in {minutes} min; {key} records it")
        }
        _ => format!(
            "The server forgets {} channels, the first in {minutes} min; {key} records them",
            ids.len()
        ),
    };
    say(app, text);
}

/// Takes in what happened.
pub(super) fn take(app: &mut App, msg: Msg, effects: &mut Vec<Effect>) {
    match msg {
        Msg::Spooling { channel, file } => {
            let Some(watched) = app.channels.get_mut(&channel) else {
                effects.push(Effect::Recordings(Do::Unspool { channel }));
                return;
            };
            if watched.recordings.spool.is_on() {
                let new = watched.recordings.spool.file().is_none();
                watched.recordings.spool = Spool::On(Some(file.clone()));
                if new && !std::mem::take(&mut watched.recordings.rescued) {
                    let directory = app.settings.recordings.directory.display();
                    let text = format!("Recording into {directory}/{file}");
                    say(app, text);
                }
                save_later(app);
            }
        }
        Msg::Spooled { channel, end } => spooled(app, &channel, end),
        Msg::Listed(Ok(found)) => {
            let entries = found.into_iter().map(|summary| entry(app, summary)).collect();
            let mut picker = Picker::new(Purpose::Recording, "recordings", "Type to narrow", entries);
            picker.empty = format!(
                "No recording yet: {} records the selected channel",
                app.settings.keymap.first(Action::Record)
            );
            app.overlay = Some(Overlay::Pick(picker));
        }
        Msg::Listed(Err(reason)) => complain(app, format!("The recordings cannot be listed: {reason}")),
        Msg::Opened(Ok(recording)) => {
            app.recordings.opening = Some(recording);
            show_opened(app, effects);
        }
        Msg::Opened(Err(reason)) => complain(app, format!("Not opened: {reason}")),
        Msg::PutAway {
            channel,
            number,
            result,
        } => memory::put_away(app, &channel, number, result),
        Msg::Fetched {
            channel,
            number,
            result,
        } => memory::fetched(app, &channel, number, result),
    }
}

fn spooled(app: &mut App, id: &ChannelId, end: SpoolEnd) {
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    let title = channel.title.clone();
    let file = channel.recordings.spool.file().map(str::to_owned);
    let (spool, text) = match (end, file) {
        _ if !channel.recordings.spool.is_on() => return,
        (SpoolEnd::Whole, Some(file)) => (Spool::Done(file), None),
        (SpoolEnd::ServerGone, Some(file)) => (Spool::Paused(file), None),
        (SpoolEnd::Failed(reason), _) => (Spool::Off, Some(format!("No longer recording {title}: {reason}"))),
        (_, None) => (Spool::Off, None),
    };
    channel.recordings.spool = spool;
    if let Some(text) = text {
        complain(app, text);
    }
    save_later(app);
}

fn entry(app: &App, summary: Summary) -> Entry {
    let minutes = app.now.unix_ms.saturating_sub(summary.head.started_at) / 60_000;
    let age = match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..1_440 => format!("{} h ago", minutes / 60),
        _ => format!("{} d ago", minutes / 1_440),
    };
    Entry {
        text: crate::text::sanitise_line(&summary.head.title).into_owned(),
        detail: crate::text::sanitise_line(&summary.head.server).into_owned(),
        right: format!("{:>8}  {age:>9}", super::compose::attach::size(summary.bytes)),
        value: summary.name,
    }
}

/// A recording was picked, by its name.
pub(super) fn picked(name: &str, effects: &mut Vec<Effect>) {
    effects.push(Effect::Recordings(Do::Open { name: name.to_owned() }));
}

/// Shows the recording that was read as an entry of the list, as soon as there is a fresh id to call it by.
pub(super) fn show_opened(app: &mut App, effects: &mut Vec<Effect>) {
    if app.recordings.opening.is_none() {
        return;
    }
    let Some(id) = app.fresh_ids.pop() else {
        effects.push(Effect::NeedIds(1));
        return;
    };
    if let Some(recording) = app.recordings.opening.take() {
        playback::show(app, id, recording);
    }
}

/// A batch is about to be taken in.
pub(super) fn before_feed(app: &mut App, id: &ChannelId, batch: &FeedBatch, effects: &mut Vec<Effect>) {
    memory::before_feed(app, id, batch, effects);
}

/// A batch was taken in.
pub(super) fn after_feed(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    if let Some(channel) = app.channels.get_mut(id)
        && channel.connection == Connection::Live
        && let Spool::Paused(file) = &channel.recordings.spool
    {
        let file = file.clone();
        channel.recordings.spool = Spool::On(Some(file.clone()));
        effects.push(Effect::Recordings(Do::Spool {
            channel: id.clone(),
            title: channel.title.clone(),
            file: Some(file),
        }));
    }
    memory::fed(app, effects);
}

/// The program starts: what was being recorded is gone on with.
pub(super) fn start(app: &App, effects: &mut Vec<Effect>) {
    for channel in app.channels.values() {
        if let Spool::On(file) = &channel.recordings.spool {
            effects.push(Effect::Recordings(Do::Spool {
                channel: channel.id.clone(),
                title: channel.title.clone(),
                file: file.clone(),
            }));
        }
    }
}

/// A channel is taken off the list.
pub(super) fn unwatched(app: &mut App, channel: &Channel, effects: &mut Vec<Effect>) {
    if is_replay(channel) {
        app.recordings.playbacks = app.recordings.playbacks.saturating_sub(1);
    }
    if channel.recordings.spool.is_on() {
        effects.push(Effect::Recordings(Do::Unspool {
            channel: channel.id.clone(),
        }));
    }
    if channel.recordings.whole.away != Away::Here {
        effects.push(Effect::Recordings(Do::Forget {
            channel: channel.id.clone(),
        }));
    }
}

/// What the person did may have brought another transcript into view.
pub(super) fn settle(app: &mut App, effects: &mut Vec<Effect>) {
    memory::settle(app, effects);
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, _effects: &mut Vec<Effect>) -> bool {
    let minute = app.now.unix_ms / 60_000;
    let mut changed = playback::tick(app);
    if app.recordings.looked_at_minute != minute {
        app.recordings.looked_at_minute = minute;
        let before = app.notice.is_some();
        offer_rescue(app);
        changed |= app.notice.is_some() != before;
    }
    changed
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    playback::next_due(app)
}

/// A channel is watched as if for the first time: what was put away of it is not waited for.
pub(super) fn begin_anew(of: &mut OfChannel) {
    of.whole.begin_anew();
}

/// What rows of a channel are made from, beside its blocks' revisions: another one, other rows.
#[must_use]
pub fn rows_of(channel: &Channel) -> (u64, u32) {
    (channel.generation, channel.recordings.whole.returns)
}

/// Whether a channel is a recording that plays.
#[must_use]
pub fn is_replay(channel: &Channel) -> bool {
    channel.recordings.playback.is_some()
}

/// The state of a recording that is played back: that of its run once it is over, else that it is one.
pub(super) fn state(channel: &Channel) -> Option<ChannelState> {
    let is_over = channel.transcript.status().is_over();
    (is_replay(channel) && !is_over).then_some(ChannelState::Replay)
}
