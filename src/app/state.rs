//! The state of the terminal program.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::transcript::{BlockId, Connection};
use crate::wire::ChannelId;
use crate::wire::request::ServerInfo;

use super::calls::{CallRef, Inbox};
use super::channel::{Channel, Counts, Kept};
use super::msg::{Now, RequestId};
use super::picker::Picker;
use super::settings::Settings;

/// Everything that the screen shows and the rules work on.
#[derive(Debug)]
pub struct App {
    /// The time of the last message.
    pub now: Now,
    /// The terminal's size, in columns and rows.
    pub size: (u16, u16),
    /// The server that channels are watched on.
    pub server: Server,
    /// The watched channels, in the list's order.
    pub channels: IndexMap<ChannelId, Channel>,
    /// The channel that the list's mark is on, and that the transcript shows.
    pub selected: Option<ChannelId>,
    /// Which part of the screen takes the keys.
    pub focus: Focus,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// What the help lies over, to come back to.
    pub(super) below_help: Option<Box<Overlay>>,
    /// What the compose box holds, also when a dispatch failed: nothing typed is lost.
    pub draft: String,
    /// The line of the last news, until it is replaced or has been read.
    pub notice: Option<Notice>,
    /// Whether the terminal has the focus.
    pub terminal_focused: bool,
    /// Grows when the compose box is to take over [`App::draft`] (a failed dispatch gives the text back).
    pub draft_revision: u64,
    /// Grows when anything visible may have changed.
    pub(super) revision: u64,
    /// The last generation and request that were given out.
    pub(super) last_generation: u64,
    pub(super) last_request: u64,
    /// Fresh channel ids for the next dispatches.
    pub(super) fresh_ids: Vec<ChannelId>,
    /// Prompts that wait for a fresh id.
    pub(super) unsent: Vec<super::compose::Outgoing>,
    /// Dispatches that were not answered yet, with their prompts.
    pub(super) dispatches: Vec<(RequestId, ChannelId, String)>,
    /// What is being copied, in words.
    pub(super) being_copied: Option<String>,
    /// The request for the list of runs that was not answered yet.
    pub(super) listing: Option<RequestId>,
    /// When Ctrl-C was pressed last, monotonic milliseconds.
    pub(super) interrupted_at: Option<u64>,
    /// When the state is to be saved, monotonic milliseconds; `None`: it is.
    pub(super) save_due: Option<u64>,
    /// Where to go back to from the compose box.
    pub(crate) focus_before_compose: Focus,
    /// What the configuration and the flags say.
    pub settings: Settings,
    /// The state of the channel list.
    pub list: super::list::Listing,
    /// The state of the panes.
    pub panes: super::panes::Panes,
    /// The state of reading.
    pub reading: super::reading::Reading,
    /// The state of copying, exports and the mouse.
    pub copying: super::copying::Copying,
    /// The state of the compose box.
    pub compose: super::compose::Compose,
    /// The state of function calls.
    pub calls: super::calls::Calls,
    /// The state of kiosk and lobby.
    pub wall: super::wall::Wall,
    /// The state of recordings.
    pub recordings: super::recordings::Recordings,
    /// The state of notifications.
    pub notifications: super::notifications::Notifications,
    /// How the screen looks, where that is otherwise since the start.
    pub look: super::look::Look,
}

impl App {
    /// The state at the start. `settings` is what the configuration and the flags say; `saved` is what the last program wrote down; `size` in columns and rows.
    #[must_use]
    pub fn new(server_name: String, settings: Settings, saved: SavedState, size: (u16, u16), now: Now) -> Self {
        let mut channels = IndexMap::new();
        let mut generation = 0;
        for saved in saved.channels {
            generation += 1;
            let mut channel = Channel::new(saved.id.clone(), generation, now);
            if !saved.title.is_empty() && saved.title != channel.title {
                channel.set_title(&saved.title);
            }
            channel.added_at = saved.added_at;
            channel.reading = super::reading::restored_of(&saved.reading);
            channel.calls = super::calls::OfChannel::new(saved.calls);
            channel.panes = saved.panes.into();
            channel.compose = super::compose::OfChannel::load(saved.compose);
            channel.compose.begin(&mut channel.transcript);
            channel.kept = Kept::Yes;
            channel.list = super::list::OfChannel::of_saved(saved.list);
            channel.recordings = super::recordings::OfChannel::restored(saved.recordings);
            channel.wall = super::wall::OfChannel::restored(saved.wall);
            channels.insert(saved.id, channel);
        }
        let selected = saved
            .selected
            .filter(|id| channels.contains_key(id))
            .or_else(|| channels.keys().next().cloned());
        let copying = super::copying::Copying::new(&settings.copying);
        let mut app = Self {
            now,
            size,
            server: Server {
                name: server_name,
                ..Server::default()
            },
            channels,
            selected,
            focus: Focus::Compose,
            overlay: None,
            below_help: None,
            draft: saved.draft,
            notice: None,
            terminal_focused: true,
            draft_revision: 1,
            revision: 1,
            last_generation: generation,
            last_request: 0,
            fresh_ids: Vec::new(),
            unsent: Vec::new(),
            dispatches: Vec::new(),
            being_copied: None,
            listing: None,
            interrupted_at: None,
            save_due: None,
            focus_before_compose: Focus::List,
            settings,
            list: super::list::Listing::of_saved(&saved.list),
            panes: super::panes::Panes::restore(saved.panes),
            reading: super::reading::restored(&saved.reading),
            copying,
            compose: super::compose::Compose::load(saved.compose),
            calls: super::calls::Calls::new(saved.calls),
            wall: super::wall::restored(&saved.wall),
            recordings: super::recordings::Recordings::default(),
            notifications: super::notifications::Notifications::default(),
            look: super::look::Look::default(),
        };
        super::panes::begin(&mut app);
        super::list::settle(&mut app);
        app
    }

    /// Grows when anything visible may have changed: an equal revision needs no new frame.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The monotonic time in milliseconds at which a [`super::Msg::Tick`] is needed. With nothing live that
    /// is the next minute of the clock.
    #[must_use]
    pub fn next_tick(&self) -> Option<u64> {
        let now = self.now.monotonic_ms;
        let to_minute = 60_000 - self.now.unix_ms % 60_000;
        let mut next = now + to_minute;
        if self.shows_seconds() {
            next = next.min(now + 1_000 - self.now.unix_ms % 1_000);
        }
        if let Some(notice) = &self.notice {
            next = next.min(notice.until());
        }
        if let Some(due) = self.save_due {
            next = next.min(due);
        }
        for due in super::update::areas_due(self).into_iter().flatten() {
            next = next.min(due);
        }
        Some(next.max(now + 1))
    }

    /// Whether anything on the screen changes by the second.
    #[must_use]
    pub fn shows_seconds(&self) -> bool {
        matches!(self.server.state, ServerState::Unreachable { .. }) || self.list.shows_seconds()
    }

    /// What the terminal's title says: counts, no ids, no prompts, no secrets.
    #[must_use]
    pub fn title(&self) -> String {
        let counts = self.counts();
        let mut title = String::from("switchboard");
        for (count, word) in [
            (counts.waiting, "waiting"),
            (counts.live, "live"),
            (counts.failed, "failed"),
        ] {
            if count > 0 {
                title.push_str(if title.len() == "switchboard".len() { ": " } else { ", " });
                title.push_str(&format!("{count} {word}"));
            }
        }
        title
    }

    /// How many channels are in which state.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.list.counts()
    }

    /// Since when the server cannot be reached and when it is tried again, both Unix time in milliseconds; `None`
    /// while it can be. A channel that lost its connection alone, or just now, is no outage.
    #[must_use]
    pub fn outage(&self) -> Option<(u64, u64)> {
        if let ServerState::Unreachable { since, next_try_at, .. } = &self.server.state {
            return Some((*since, *next_try_at));
        }
        let mut outage: Option<(u64, u64)> = None;
        let mut tried = false;
        for channel in self.channels.values() {
            match &channel.connection {
                Connection::Live => return None,
                Connection::Reconnecting {
                    next_try_at, attempt, ..
                } => {
                    tried |= *attempt > 1;
                    let since = channel.lost_at.unwrap_or(self.now.unix_ms);
                    let (first, next) = outage.unwrap_or((since, *next_try_at));
                    outage = Some((first.min(since), next.min(*next_try_at)));
                }
                _ => {}
            }
        }
        outage.filter(|_| tried)
    }

    /// The channel that the list's mark is on.
    #[must_use]
    pub fn selected_channel(&self) -> Option<&Channel> {
        self.channels.get(self.selected.as_ref()?)
    }

    /// The place of the selected channel among those that the list shows, from the top; `None`: the filter hides it.
    #[must_use]
    pub fn selected_index(&self) -> Option<usize> {
        let channel = self.channels.get_index_of(self.selected.as_ref()?)?;
        self.list.place_of(channel)
    }

    /// What the next start is to show again.
    #[must_use]
    pub fn saved_state(&self) -> SavedState {
        SavedState {
            channels: self
                .channels
                .values()
                // A recording that is played back is no channel of the server.
                .filter(|channel| !super::recordings::is_replay(channel))
                .map(|channel| SavedChannel {
                    id: channel.id.clone(),
                    title: if channel.titled {
                        channel.title.clone()
                    } else {
                        String::new()
                    },
                    added_at: channel.added_at,
                    list: channel.list.saved(),
                    panes: channel.panes.saved(),
                    reading: super::reading::saved_of(channel),
                    copying: super::copying::SavedOfChannel::default(),
                    compose: super::compose::saved_of(self, channel),
                    calls: channel.calls.saved(),
                    wall: channel.wall.saved(),
                    recordings: channel.recordings.saved(),
                    notifications: super::notifications::SavedOfChannel::default(),
                })
                .collect(),
            selected: self.selected.clone(),
            draft: super::compose::drafts::of_new_run(self).to_owned(),
            list: self.list.saved(),
            panes: self.panes.saved(),
            reading: super::reading::saved(self),
            copying: super::copying::Saved::default(),
            compose: super::compose::saved(self),
            calls: self.calls.saved(),
            wall: super::wall::saved(self),
            recordings: super::recordings::Saved::default(),
            notifications: super::notifications::Saved::default(),
        }
    }
}

impl Notice {
    /// When it is over, monotonic milliseconds.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.at.saturating_add(self.lasts_ms)
    }
}

/// The server that channels are watched on.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// What to call it: `local`, `hosted`, a profile's name or a host. Never a secret.
    pub name: String,
    /// What it told about itself; `None` until it has, and for servers that tell nothing.
    pub info: Option<ServerInfo>,
    /// Whether it is this machine's own server, which is started when there is none.
    pub local: bool,
    /// Whether it was found: not yet, yes, or why not and what to do.
    pub state: ServerState,
    /// Set from when the server was found to be gone until it is found again.
    pub(super) gone: Option<Gone>,
}

/// The server was found to be gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    /// When, Unix time in milliseconds.
    pub since: u64,
    /// The last generation that was watched on it.
    pub generation: u64,
}

/// Whether the server was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ServerState {
    /// It is being found or started.
    #[default]
    Starting,
    /// It answers.
    Ready,
    /// It could not be reached.
    Unreachable {
        /// Why, and what to do.
        reason: String,
        /// It was reached and it refused.
        refused: bool,
        /// Since when, Unix time in milliseconds.
        since: u64,
        /// When it is tried again, Unix time in milliseconds.
        next_try_at: u64,
    },
}

/// Which part of the screen takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Focus {
    /// The channel list.
    List,
    /// The transcript.
    Transcript,
    /// The compose box.
    #[default]
    Compose,
}

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The keys, from the action table.
    Help,
    /// One line is asked for.
    Ask(Ask),
    /// A list to pick from.
    Pick(Picker),
    /// A waiting call is being answered, as JSON.
    Answer(Answer),
    /// The calls that wait, with a form for the marked one.
    Inbox(Inbox),
    /// A question with yes and no.
    Confirm(Question),
    /// The lines of all live channels.
    Tail,
}

/// One line that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What for.
    pub purpose: AskFor,
    /// What was typed.
    pub input: String,
    /// Why it was not taken.
    pub error: Option<String>,
}

impl Ask {
    /// A line, with what it begins as.
    #[must_use]
    pub fn new(purpose: AskFor, input: impl Into<String>) -> Self {
        Self {
            purpose,
            input: input.into(),
            error: None,
        }
    }
}

/// What a line is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskFor {
    /// A channel id to watch.
    Watch,
    /// The path of an export.
    Export {
        /// The channel.
        channel: ChannelId,
        /// Its form.
        form: crate::transcript::export::Form,
    },
    /// A text to find in the transcript.
    Search,
    /// Why a waiting call is denied.
    Deny(CallRef),
    /// What the list is narrowed to.
    Filter,
    /// A title for this channel.
    Rename(ChannelId),
    /// A group for this channel.
    Group(ChannelId),
    /// Who runs in a race.
    Race,
    /// The prompt of a race, for these contestants.
    RacePrompt(Vec<String>),
}

/// A waiting call that is being answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The run's channel.
    pub run: ChannelId,
    /// The call's block.
    pub block: BlockId,
    /// What was typed.
    pub input: String,
    /// Why it was not taken, or cannot be.
    pub error: Option<String>,
    /// Whether what was typed is JSON, checked with every key.
    pub check: JsonCheck,
    /// Its publication that was not answered yet.
    pub sending: Option<RequestId>,
    /// It was opened from the inbox, and leads back there.
    pub from_inbox: bool,
}

/// Whether a text is JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum JsonCheck {
    /// Nothing was typed.
    #[default]
    Empty,
    /// It is.
    Valid,
    /// It is not.
    Invalid {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
}

/// A question with yes and no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Cancel this channel's run on the server?
    CancelRun(ChannelId),
    /// Replace the file that an export would be written to?
    Overwrite(super::copying::Export),
    /// Stop watching the channels that are over and were read?
    StopWatchingEnded {
        /// How many there were when it was asked.
        count: usize,
    },
}

/// A line of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub text: String,
    /// It is an error.
    pub error: bool,
    /// When, monotonic milliseconds.
    pub at: u64,
    /// How long it is shown, in milliseconds, if no key takes it away before.
    pub lasts_ms: u64,
}

/// What the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedState {
    /// The watched channels in the list's order.
    pub channels: Vec<SavedChannel>,
    /// The channel that was selected.
    pub selected: Option<ChannelId>,
    /// What was being typed.
    pub draft: String,
    /// What is kept of the channel list.
    #[serde(skip_serializing_if = "super::is_default")]
    pub list: super::list::Saved,
    /// What is kept of the panes.
    #[serde(skip_serializing_if = "super::is_default")]
    pub panes: super::panes::Saved,
    /// What is kept of reading.
    #[serde(skip_serializing_if = "super::is_default")]
    pub reading: super::reading::Saved,
    /// What is kept of copying, exports and the mouse.
    #[serde(skip_serializing_if = "super::is_default")]
    pub copying: super::copying::Saved,
    /// What is kept of the compose box.
    #[serde(skip_serializing_if = "super::is_default")]
    pub compose: super::compose::Saved,
    /// What is kept of function calls.
    #[serde(skip_serializing_if = "super::is_default")]
    pub calls: super::calls::Saved,
    /// What is kept of kiosk and lobby.
    #[serde(skip_serializing_if = "super::is_default")]
    pub wall: super::wall::Saved,
    /// What is kept of recordings.
    #[serde(skip_serializing_if = "super::is_default")]
    pub recordings: super::recordings::Saved,
    /// What is kept of notifications.
    #[serde(skip_serializing_if = "super::is_default")]
    pub notifications: super::notifications::Saved,
}

/// One watched channel, written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedChannel {
    /// Its id.
    pub id: ChannelId,
    /// Its title.
    pub title: String,
    /// When it was first watched or dispatched, Unix time in milliseconds.
    pub added_at: u64,
    /// What is kept of the channel list.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub list: super::list::SavedOfChannel,
    /// What is kept of the panes.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub panes: super::panes::SavedOfChannel,
    /// What is kept of reading.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub reading: super::reading::SavedOfChannel,
    /// What is kept of copying, exports and the mouse.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub copying: super::copying::SavedOfChannel,
    /// What is kept of the compose box.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub compose: super::compose::SavedOfChannel,
    /// What is kept of function calls.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub calls: super::calls::SavedOfChannel,
    /// What is kept of kiosk and lobby.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub wall: super::wall::SavedOfChannel,
    /// What is kept of recordings.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub recordings: super::recordings::SavedOfChannel,
    /// What is kept of notifications.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub notifications: super::notifications::SavedOfChannel,
}

impl SavedChannel {
    /// No server took the last run of its thread: what is written down is the run before, with this draft. Gives that
    /// run's channel; `None`: there is no such run.
    pub fn take_back(&mut self, prompt: &str) -> Option<ChannelId> {
        let (id, mut compose) = self.compose.clone().before()?;
        compose.draft = super::compose::drafts::joined(prompt, &compose.draft);
        self.compose = compose;
        self.id = id.clone();
        Some(id)
    }

    /// A channel of this id and title, added at this Unix time in milliseconds.
    #[must_use]
    pub fn new(id: ChannelId, title: impl Into<String>, added_at: u64) -> Self {
        Self {
            id,
            title: title.into(),
            added_at,
            list: super::list::SavedOfChannel::default(),
            panes: super::panes::SavedOfChannel::default(),
            reading: super::reading::SavedOfChannel::default(),
            copying: super::copying::SavedOfChannel::default(),
            compose: super::compose::SavedOfChannel::default(),
            calls: super::calls::SavedOfChannel::default(),
            wall: super::wall::SavedOfChannel::default(),
            recordings: super::recordings::SavedOfChannel::default(),
            notifications: super::notifications::SavedOfChannel::default(),
        }
    }
}
