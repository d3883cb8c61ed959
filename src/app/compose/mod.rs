//! The compose box: drafts, history, pastes, presets, attached files, threads, queued follow-ups. State and rules;
//! what is carried out is `tui`'s matter, what is drawn `ui`'s.

pub mod attach;
mod dispatch;
pub(super) mod drafts;
pub mod history;
pub mod pastes;
pub(super) mod presets;
mod send;
#[cfg(test)]
mod tests;
pub mod thread;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::transcript::{FeedBatch, Transcript, Turn};
use crate::wire::ChannelId;

use super::action::Action;
use super::channel::Channel;
use super::effect::Effect;
use super::msg::RequestId;
use super::state::App;

pub use dispatch::{Outgoing, Target, dispatch_with};
pub(super) use dispatch::{dispatch, dispatched};
pub use presets::{Preset, SERVERS_OWN};
pub(super) use send::{draft_changed, submit};

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What prompts can be sent with.
    pub presets: Vec<Preset>,
    /// The preset to begin with.
    pub default_preset: Option<String>,
}

/// What Enter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It starts a new run.
    #[default]
    New,
    /// It continues the thread in focus.
    Continue,
}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Compose {
    /// The preset that the person chose; `None`: the one to begin with.
    pub(super) preset: Option<String>,
    /// What Enter does.
    pub mode: Mode,
    /// Whose draft the box holds: a thread's, or the new run's.
    pub(super) holds: Option<ChannelId>,
    /// The new run's draft while the box holds another one.
    pub(super) new_draft: String,
    /// The folded texts of all drafts.
    pub pastes: pastes::Pastes,
    /// What was sent before.
    pub history: history::History,
    /// The files that the draft names.
    pub files: send::Files,
    /// The prompt whose files are being read.
    pending: Option<send::Pending>,
    /// The text that a warning was said of: a second Enter sends it.
    confirmed: Option<String>,
}

/// Its part of a channel.
#[derive(Debug, Default)]
pub struct OfChannel {
    /// What the earlier runs of the thread said, the oldest first.
    pub(super) earlier: Arc<Vec<Turn>>,
    /// The channel of the run before this one.
    pub(super) parent: Option<ChannelId>,
    /// Where in `earlier` that run begins.
    pub(super) parent_from: usize,
    /// That run itself, until the server took this one.
    pub(super) before: Option<Box<Channel>>,
    /// What was typed for this prompt, until the server took it.
    pub(super) typed: Option<String>,
    /// What is being typed to go on with it, while the box holds another draft.
    pub(super) draft: String,
    /// What is sent when the run has ended, in this order.
    pub queue: VecDeque<Queued>,
    /// The queue is of an earlier session: another program may have it too, so it does not send itself.
    pub(super) restored: bool,
}

/// A prompt that waits for the run of its thread to end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queued {
    /// What was typed.
    pub typed: String,
    /// What is sent: with its pastes and files.
    pub prompt: String,
    /// The preset that it is sent with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
}

/// What of it the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Enter continues the thread in focus.
    pub continues: bool,
    /// The preset that the person chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The folded texts of all drafts, by the characters that stand for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pastes: Vec<(char, Arc<str>)>,
}

/// What of a channel the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedOfChannel {
    /// What the earlier runs of the thread said.
    #[serde(skip_serializing_if = "super::is_default")]
    pub earlier: Arc<Vec<Turn>>,
    /// The channel of the run before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<ChannelId>,
    /// Where in `earlier` that run begins.
    #[serde(skip_serializing_if = "super::is_default")]
    pub parent_from: usize,
    /// What was being typed to go on with it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub draft: String,
    /// What waits for the run's end.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub queue: VecDeque<Queued>,
}

impl SavedOfChannel {
    /// The channel and what is kept of it as they were before the last run of the thread, which no server took.
    #[must_use]
    pub fn before(self) -> Option<(ChannelId, Self)> {
        let parent = self.parent?;
        let mut earlier = self.earlier.to_vec();
        earlier.truncate(self.parent_from);
        let saved = Self {
            earlier: Arc::new(earlier),
            parent: None,
            parent_from: 0,
            ..self
        };
        Some((parent, saved))
    }
}

/// What can happen to it.
#[derive(Debug)]
pub enum Msg {
    /// A long text was pasted; this character stands for it in the draft that comes next.
    Pasted {
        /// The character.
        mark: char,
        /// The text, safe and with `\n` for line ends.
        text: Arc<str>,
    },
    /// What was sent in earlier sessions, the oldest first.
    History(Vec<history::Sent>),
    /// The answer to [`Do::Read`].
    Files {
        /// Which request it answers.
        request: RequestId,
        /// What was found, in the order of the words.
        files: Vec<attach::File>,
    },
    /// Something about the text in the box that the person should know.
    Say(String),
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// Read what was sent in earlier sessions; the answer is [`Msg::History`].
    LoadHistory,
    /// Write down what was sent.
    Remember(history::Sent),
    /// Read the files that these words name; the answer is [`Msg::Files`].
    Read {
        /// Comes back with the answer.
        request: RequestId,
        /// The words behind `@`.
        words: Vec<String>,
        /// Their texts are wanted too, not only what they are.
        texts: bool,
    },
}

impl OfChannel {
    /// What was written down of it.
    pub(super) fn load(saved: SavedOfChannel) -> Self {
        Self {
            earlier: saved.earlier,
            parent: saved.parent,
            parent_from: saved.parent_from,
            draft: saved.draft,
            restored: !saved.queue.is_empty(),
            queue: saved.queue,
            ..Self::default()
        }
    }

    /// Lets an empty transcript begin with the earlier runs of the thread.
    pub(super) fn begin(&self, transcript: &mut Transcript) {
        if !self.earlier.is_empty() {
            transcript.begin_with(&self.earlier);
        }
    }
}

impl Compose {
    /// What was written down of it.
    pub(super) fn load(saved: Saved) -> Self {
        Self {
            preset: saved.preset,
            mode: if saved.continues { Mode::Continue } else { Mode::New },
            pastes: pastes::Pastes::load(saved.pastes),
            ..Self::default()
        }
    }
}

/// What of it the next start shows again.
pub(super) fn saved(app: &App) -> Saved {
    let used = |mark: char| drafts_of(app).any(|draft| draft.contains(mark));
    Saved {
        continues: app.compose.mode == Mode::Continue,
        preset: app.compose.preset.clone(),
        pastes: app.compose.pastes.saved(used),
    }
}

/// What of a channel the next start shows again.
pub(super) fn saved_of(app: &App, channel: &Channel) -> SavedOfChannel {
    let compose = &channel.compose;
    SavedOfChannel {
        earlier: Arc::clone(&compose.earlier),
        parent: compose.parent.clone(),
        parent_from: compose.parent_from,
        draft: drafts::of_thread(app, &channel.id).to_owned(),
        queue: compose.queue.clone(),
    }
}

/// Every text in which a paste may stand.
fn drafts_of(app: &App) -> impl Iterator<Item = &str> {
    let of_channels = app.channels.values().flat_map(|channel| {
        let compose = &channel.compose;
        let queued = compose.queue.iter().map(|queued| queued.typed.as_str());
        queued.chain([compose.draft.as_str()]).chain(compose.typed.as_deref())
    });
    of_channels.chain([app.draft.as_str(), app.compose.new_draft.as_str()])
}

/// Forgets pastes that stand nowhere any more.
fn prune(app: &mut App) {
    let mut pastes = std::mem::take(&mut app.compose.pastes);
    pastes.keep_used(drafts_of(app));
    app.compose.pastes = pastes;
}

impl App {
    /// The thread that Enter continues; `None`: it starts a new run.
    #[must_use]
    pub fn continued(&self) -> Option<&Channel> {
        thread::continued(self)
    }

    /// How many characters the prompt has that Enter would send, about: its pastes and files included.
    #[must_use]
    pub fn draft_characters(&self) -> usize {
        let typed = self.compose.pastes.characters(&self.draft);
        let files = self.compose.files.found().iter().map(|file| match &file.found {
            attach::Found::Text { bytes, .. } => usize::try_from(*bytes).unwrap_or(usize::MAX),
            _ => 0,
        });
        files.fold(typed, usize::saturating_add)
    }
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    match action {
        Action::SwitchThread => drafts::switch(app),
        Action::Presets => presets::open(app),
        Action::SearchHistory => history::search(app),
        Action::HistoryBack => history::back(app),
        Action::HistoryForward => history::forward(app),
        Action::TakeBackQueued => thread::take_back(app),
        Action::DropQueued => thread::drop_queued(app),
        Action::EditDraft => super::copying::edit_draft(app, effects),
        // The cursor is the box's own, so a paste is unfolded there; here it only says that there is none.
        Action::Unfold => super::update::say(app, "No pasted text stands at the cursor".to_owned()),
        _ => return false,
    }
    true
}

/// What the draft became in an editor. What is folded in it stays folded; a long text does not come unfolded.
pub(super) fn edited(app: &mut App, text: &str) {
    let text = crate::text::sanitise(text);
    let mut draft = app.compose.pastes.fold_again(&text, &app.draft);
    if draft.len() > pastes::LONGEST_UNFOLDED {
        match app.compose.pastes.fold(&draft) {
            pastes::Fold::Yes(mark) => {
                let whole = app.compose.pastes.expand(&draft);
                app.compose.pastes.keep(mark, whole.into());
                draft = mark.to_string();
            }
            pastes::Fold::No | pastes::Fold::TooLong => {
                super::update::complain(
                    app,
                    "The edited text is too long for the box (4 MB); the draft is as it was".to_owned(),
                );
                return;
            }
        }
    }
    super::update::set_draft(app, draft);
}

/// Takes in what happened.
pub(super) fn take(app: &mut App, msg: Msg, effects: &mut Vec<Effect>) {
    match msg {
        Msg::Pasted { mark, text } => app.compose.pastes.keep(mark, text),
        Msg::History(read) => app.compose.history.load(read),
        Msg::Files { request, files } => send::read(app, request, files, effects),
        Msg::Say(text) => super::update::complain(app, text),
    }
}

/// The program starts.
pub(super) fn start(effects: &mut Vec<Effect>) {
    effects.push(Effect::Compose(Do::LoadHistory));
}

/// The last thing of every message: the box holds what belongs there.
pub(super) fn settle(app: &mut App) {
    drafts::settle(app);
    send::settle(app);
}

/// A batch is about to be taken in.
pub(super) fn before_feed(_app: &mut App, _id: &ChannelId, _batch: &FeedBatch, _effects: &mut Vec<Effect>) {}

/// A batch was taken in.
pub(super) fn after_feed(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    thread::send_due(app, id, effects);
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    send::tick(app, effects);
    false
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    app.compose.files.due()
}
