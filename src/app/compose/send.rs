//! What happens between Enter and the dispatch: `/preset`, files to read, what the person should know first.
//!
//! The text stays in the box until it is really sent or queued.

use crate::text::sanitise_line;

use super::super::action::Action;
use super::super::effect::Effect;
use super::super::msg::RequestId;
use super::super::state::{App, Focus};
use super::super::update::{complain, next_request, say, set_draft};
use super::attach::{self, File, Found};
use super::dispatch::{Outgoing, Target, dispatch};
use super::presets::{self, Command};
use super::thread::{self, Continues, QueueState};
use super::{Do, Queued, history};

/// How long after the last change of the draft its files are looked at, in milliseconds.
const LOOK_DELAY_MS: u64 = 200;

/// The files that the draft names.
#[derive(Debug, Default)]
pub struct Files {
    /// The words that name them.
    words: Vec<String>,
    /// What was found, once it was looked for.
    found: Option<Vec<File>>,
    /// When they are to be looked at, monotonic milliseconds.
    due: Option<u64>,
    /// The look that was not answered yet.
    request: Option<RequestId>,
    /// The draft's revision when the words were taken from it.
    seen: u64,
}

impl Files {
    /// What was found of the files that the draft names.
    #[must_use]
    pub fn found(&self) -> &[File] {
        self.found.as_deref().unwrap_or_default()
    }

    pub(super) fn due(&self) -> Option<u64> {
        self.due
    }
}

/// A prompt whose files are being read.
#[derive(Debug)]
pub(super) struct Pending {
    request: RequestId,
    typed: String,
}

/// The draft holds another text.
pub(in crate::app) fn draft_changed(app: &mut App, text: String) {
    app.draft = text;
    app.compose.history.leave();
    app.compose.pending = None;
    look_at_files(app);
}

/// Takes note of the files that the draft names; they are looked at in a moment.
fn look_at_files(app: &mut App) {
    let words = if app.draft.contains('@') {
        attach::words(&app.draft)
    } else {
        Vec::new()
    };
    let files = &mut app.compose.files;
    if files.words != words {
        files.found = None;
        files.request = None;
        files.due = (!words.is_empty()).then_some(app.now.monotonic_ms + LOOK_DELAY_MS);
        files.words = words;
    }
}

/// The draft may have been replaced.
pub(super) fn settle(app: &mut App) {
    if app.compose.files.seen != app.draft_revision {
        app.compose.files.seen = app.draft_revision;
        look_at_files(app);
    }
}

/// Looks at the files if it is time to.
pub(super) fn tick(app: &mut App, effects: &mut Vec<Effect>) {
    if app.compose.files.due.is_none_or(|due| app.now.monotonic_ms < due) {
        return;
    }
    let request = next_request(app);
    let files = &mut app.compose.files;
    files.due = None;
    files.request = Some(request);
    effects.push(Effect::Compose(Do::Read {
        request,
        words: files.words.clone(),
        texts: false,
    }));
}

/// Files were read or looked at.
pub(super) fn read(app: &mut App, request: RequestId, files: Vec<File>, effects: &mut Vec<Effect>) {
    if app.compose.files.request == Some(request) {
        app.compose.files.request = None;
        app.compose.files.found = Some(files);
        return;
    }
    if let Some(pending) = app.compose.pending.take_if(|pending| pending.request == request) {
        go(app, pending.typed, &files, effects);
    }
}

/// Enter was pressed in the box.
pub(in crate::app) fn submit(app: &mut App, mut typed: String, effects: &mut Vec<Effect>) {
    if typed.trim().is_empty() {
        let stuck = thread::continued(app)
            .filter(|channel| !channel.compose.queue.is_empty())
            .filter(|channel| thread::queue_state(channel) != QueueState::Waits)
            .map(|channel| channel.id.clone());
        match stuck {
            Some(id) => thread::send_queued(app, &id, effects),
            None => say(app, "Type a prompt first; Enter sends it".to_owned()),
        }
        return;
    }
    match presets::command(&typed) {
        Command::None => {}
        Command::List => {
            set_draft(app, String::new());
            presets::open(app);
            return;
        }
        Command::Take(name, rest) => {
            let (name, rest) = (name.to_owned(), rest.to_owned());
            if !presets::choose(app, &name) {
                return;
            }
            set_draft(app, rest.clone());
            if rest.is_empty() {
                return;
            }
            typed = rest;
        }
    }
    if app
        .compose
        .pending
        .as_ref()
        .is_some_and(|pending| pending.typed == typed)
    {
        return;
    }
    let words = attach::words(&typed);
    if words.is_empty() {
        go(app, typed, &[], effects);
        return;
    }
    let request = next_request(app);
    app.compose.pending = Some(Pending { request, typed });
    effects.push(Effect::Compose(Do::Read {
        request,
        words,
        texts: true,
    }));
}

/// Sends or queues a prompt with its files, unless the person should know something first.
fn go(app: &mut App, typed: String, files: &[File], effects: &mut Vec<Effect>) {
    let refused = files.iter().find_map(|file| match &file.found {
        Found::Refused(reason) => Some(format!("Not sent: @{} {reason}", sanitise_line(&file.word))),
        _ => None,
    });
    if let Some(text) = refused {
        complain(app, text);
        return;
    }
    let mut warnings: Vec<String> = files
        .iter()
        .filter(|file| file.found == Found::Missing)
        .map(|file| {
            format!(
                "@{} is no file here and stays as it is typed",
                sanitise_line(&file.word)
            )
        })
        .collect();
    let thread = thread::continued(app).map(|channel| (channel.id.clone(), thread::check(app, channel)));
    match &thread {
        Some((_, Continues::No(reason))) => {
            let key = app.settings.keymap.first(Action::SwitchThread);
            complain(app, format!("{reason}; {key} starts a new run"));
            return;
        }
        Some((_, Continues::Warn(warning))) => warnings.push((*warning).to_owned()),
        _ => {}
    }
    if !warnings.is_empty() && app.compose.confirmed.as_deref() != Some(typed.as_str()) {
        say(app, format!("{}. Enter again sends it", warnings.join("; ")));
        app.compose.confirmed = Some(typed);
        return;
    }
    app.compose.confirmed = None;
    let prompt = attach::attach(&app.compose.pastes.expand(&typed), files);
    match thread {
        Some((id, Continues::Later)) => {
            let queued = Queued {
                typed: typed.clone(),
                prompt,
                preset: Some(app.preset_name().to_owned()),
            };
            if !thread::queue(app, &id, queued) {
                return;
            }
            history::remember(app, &typed, effects);
            set_draft(app, String::new());
        }
        thread => {
            set_draft(app, String::new());
            // Where one pane shows at a time, that is now the new run's transcript.
            app.focus_before_compose = Focus::Transcript;
            let outgoing = Outgoing {
                prompt,
                typed: typed.clone(),
                target: Target::default(),
                thread: thread.map(|(id, _)| id),
            };
            dispatch(app, outgoing, effects);
            history::remember(app, &typed, effects);
        }
    }
    super::prune(app);
}
