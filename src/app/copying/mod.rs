//! Taking text out: copying parts, selections, exports, the pager; the mouse. State and rules; what is carried out is
//! `tui`'s matter, what is drawn and what needs rows `ui`'s.

mod parts;
mod selection;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::text::sanitise;
use crate::transcript::export::{self, About, Form};
use crate::transcript::{BlockId, FeedBatch};
use crate::wire::ChannelId;

use super::action::Action;
use super::channel::Channel;
use super::effect::Effect;
use super::msg::Scroll;
use super::picker::{Entry, Picker, Purpose};
use super::state::{App, Ask, AskFor, Focus, Overlay, Question};
use super::update::{complain, copy, say};

pub use selection::{Point, Selection};

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether the mouse is taken from the start.
    pub mouse: bool,
    /// Whether what was selected with the mouse is copied when its button is released.
    pub copy_on_select: bool,
    /// Offset of the local time from UTC, in seconds, for the times in exports and in their names.
    pub utc_offset_seconds: i32,
}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Copying {
    /// Whether the terminal reports the mouse to the program.
    pub mouse: bool,
    /// What is selected in the transcript in focus.
    pub selection: Option<Selection>,
}

impl Copying {
    /// The state at the start.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            mouse: settings.mouse,
            selection: None,
        }
    }
}

/// Its part of a channel.
#[derive(Debug, Clone, Default)]
pub struct OfChannel {}

/// What of it the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {}

/// What of a channel the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedOfChannel {}

/// What can happen to it.
#[derive(Debug)]
pub enum Msg {
    /// What to copy is asked for; the block is the one that is looked at.
    AskCopy(Option<BlockId>),
    /// This is selected now; `None`: nothing any more.
    Select(Option<Selection>),
    /// The text of what is selected, to be copied. The selection has then done its work.
    CopySelected(String),
    /// This part of the screen takes the keys: it was clicked on.
    Focus(Focus),
    /// This pane takes the keys: it was clicked on. Its number, from 0.
    FocusPane(usize),
    /// The entry at this place of the list to pick from was clicked on.
    Pick(usize),
    /// A program on the terminal has ended; the answer to [`Do::Open`].
    Returned {
        /// What it was for.
        then: Then,
        /// The text as an editor left it; `None` after a pager. `Err`: why there is none.
        result: Result<Option<String>, String>,
    },
    /// The answer to [`Do::Write`].
    Written(Written),
}

/// What became of a file that was to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Done {
        /// Where, in full.
        path: PathBuf,
        /// How long it is, in bytes.
        bytes: usize,
    },
    /// A file of this name was there already, and nothing was written.
    Exists(Export),
    /// It was not written, and why not.
    Failed {
        /// What was to be written.
        export: Export,
        /// The reason.
        reason: String,
    },
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// Lend the terminal to a program of the person's; the answer comes as [`Msg::Returned`].
    Open(Open),
    /// Write a file that only its owner can read; the answer comes as [`Msg::Written`].
    Write {
        /// What and where to.
        export: Export,
        /// The contents.
        text: String,
        /// Whether a file that is there is replaced.
        overwrite: bool,
    },
}

/// An export on its way to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The channel.
    pub channel: ChannelId,
    /// Its form.
    pub form: Form,
    /// The path as it was typed; `~` at its beginning stands for the home directory.
    pub path: String,
}

/// A program on the terminal over a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Which one.
    pub program: Program,
    /// The name of the text's file; its ending tells an editor what it is.
    pub name: &'static str,
    /// The text.
    pub text: String,
    /// What becomes of it.
    pub then: Then,
}

/// A program that the person chose by the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `$PAGER`.
    Pager,
    /// `$VISUAL` or `$EDITOR`.
    Editor,
}

/// What becomes of a text when its program has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// It is the draft of the compose box.
    Draft,
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    match action {
        Action::CopyPart => {
            let marked = app.selected_channel().and_then(|channel| channel.marked);
            ask_copy(app, marked);
        }
        Action::Export => ask_form(app),
        Action::OpenPager => open(app, Program::Pager, effects),
        Action::OpenEditor => open(app, Program::Editor, effects),
        Action::Mouse => {
            app.copying.mouse = !app.copying.mouse;
            let text = if app.copying.mouse {
                "The mouse is the program's: click, wheel, drag. With Shift it is the terminal's own"
            } else {
                "The mouse is the terminal's again"
            };
            say(app, text.to_owned());
        }
        Action::SelectText | Action::SelectionCopy if app.copying.selection.is_none() => {
            say(app, "There is no text here to select yet".to_owned());
        }
        Action::SelectionLeave => leave_selection(app),
        // They need rows: `ui` turns them into messages.
        action if action.selects_text() => {}
        _ => return false,
    }
    true
}

/// Takes in what happened.
pub(super) fn take(app: &mut App, msg: Msg, effects: &mut Vec<Effect>) {
    match msg {
        Msg::AskCopy(block) => ask_copy(app, block),
        Msg::Select(selection) => select(app, selection),
        Msg::CopySelected(text) => {
            leave_selection(app);
            if text.trim().is_empty() {
                say(app, "There is no text in what is selected".to_owned());
            } else {
                let what = format!("the selection, {}", characters(&text));
                copy(app, text, what, effects);
            }
        }
        Msg::Focus(focus) => super::commands::focus(app, focus),
        Msg::FocusPane(number) => super::panes::go_to(app, number),
        Msg::Pick(place) => {
            if let Some(Overlay::Pick(picker)) = &mut app.overlay {
                picker.cursor = place.min(picker.found.len().saturating_sub(1));
            }
        }
        Msg::Returned { then, result } => match (result, then) {
            (Ok(Some(text)), Then::Draft) => super::compose::edited(app, &text),
            (Ok(_), _) => {}
            (Err(reason), _) => complain(app, reason),
        },
        Msg::Written(written) => take_written(app, written),
    }
}

/// Something else is selected, or nothing.
fn select(app: &mut App, selection: Option<Selection>) {
    if selection.is_none() {
        leave_selection(app);
        return;
    }
    app.focus = Focus::Transcript;
    app.copying.selection = selection;
}

/// Nothing is selected any more; a transcript that followed its end before does so again.
fn leave_selection(app: &mut App) {
    let Some(selection) = app.copying.selection.take() else {
        return;
    };
    if selection.followed
        && let Some(channel) = app.channels.get_mut(&selection.channel)
    {
        channel.scroll = Scroll::Tail;
        channel.read_tokens = channel.tokens();
    }
}

/// The selection, if it is in the transcript that has the focus.
#[must_use]
pub fn selection(app: &App) -> Option<&Selection> {
    let selection = app.copying.selection.as_ref()?;
    let channel = app.selected_channel()?;
    let here = selection.channel == channel.id && selection.generation == channel.generation;
    (here && app.focus == Focus::Transcript).then_some(selection)
}

/// Opens the compose box's text in the person's editor. What it becomes there replaces the draft; an editor that
/// fails changes nothing.
pub fn edit_draft(app: &App, effects: &mut Vec<Effect>) {
    effects.push(Effect::Copying(Do::Open(Open {
        program: Program::Editor,
        name: "prompt.md",
        text: app.compose.pastes.expand(&app.draft),
        then: Then::Draft,
    })));
}

/// Opens the whole transcript in the person's pager or editor. What is done to it there stays there.
fn open(app: &mut App, program: Program, effects: &mut Vec<Effect>) {
    if !has_text(app) {
        return;
    }
    let Some(channel) = app.selected_channel() else { return };
    let about = about(app, channel);
    let (name, text) = match program {
        Program::Pager => ("transcript.txt", export::text(&channel.transcript, about)),
        Program::Editor => ("transcript.md", export::markdown(&channel.transcript, about)),
    };
    // Pagers show what they are given, escape sequences too.
    let text = sanitise(&text).into_owned();
    effects.push(Effect::Copying(Do::Open(Open {
        program,
        name,
        text,
        then: Then::Nothing,
    })));
}

/// Whether the selected channel has a text; if it has none, that is said.
fn has_text(app: &mut App) -> bool {
    let has_text = |channel: &Channel| !channel.transcript.is_empty() || channel.prompt.is_some();
    let has = app.selected_channel().is_some_and(has_text);
    if !has {
        say(app, "There is nothing here yet".to_owned());
    }
    has
}

fn about<'a>(app: &App, channel: &'a Channel) -> About<'a> {
    About {
        // Without a prompt the title is the channel's id, and that is nobody's business.
        title: if channel.titled { &channel.title } else { "Transcript" },
        prompt: channel.prompt.as_deref(),
        utc_offset_seconds: app.settings.copying.utc_offset_seconds,
    }
}

/// Asks what is to be copied.
fn ask_copy(app: &mut App, block: Option<BlockId>) {
    if !has_text(app) {
        return;
    }
    let Some(channel) = app.selected_channel() else { return };
    let entries = parts::entries(channel, block);
    let mut picker = Picker::new(Purpose::Copy, "copy", "Type to narrow", entries);
    picker.empty = "there is nothing to copy yet".to_owned();
    app.overlay = Some(Overlay::Pick(picker));
}

/// What to copy was picked.
pub(super) fn picked_copy(app: &mut App, value: &str, effects: &mut Vec<Effect>) {
    let Some(channel) = app.selected_channel() else { return };
    match parts::text(channel, about(app, channel), value) {
        Some((text, what)) => {
            let what = if value == "id" {
                format!("{what} {text}")
            } else {
                format!("{what}, {}", characters(&text))
            };
            copy(app, text, what, effects);
        }
        None => complain(app, "This is no longer there".to_owned()),
    }
}

fn characters(text: &str) -> String {
    match text.chars().count() {
        1 => "1 character".to_owned(),
        n => format!("{n} characters"),
    }
}

/// Asks for the form of an export.
fn ask_form(app: &mut App) {
    if !has_text(app) {
        return;
    }
    let entry = |form: Form| Entry {
        text: form.name().to_owned(),
        detail: match form {
            Form::Markdown => "prompt, answers, reasoning, calls".to_owned(),
            Form::JsonLines => "the raw events, one a line".to_owned(),
            Form::Text => "the same as Markdown, without its marks".to_owned(),
        },
        right: format!(".{}", form.ending()),
        value: form.ending().to_owned(),
    };
    let entries = Form::ALL.map(entry).to_vec();
    let picker = Picker::new(Purpose::Export, "export as", "Type to narrow", entries);
    app.overlay = Some(Overlay::Pick(picker));
}

/// The form of an export was picked: where to?
pub(super) fn picked_form(app: &mut App, value: &str) {
    let Some(form) = Form::ALL.into_iter().find(|form| form.ending() == value) else {
        return;
    };
    let Some(channel) = app.selected_channel() else { return };
    let title = if channel.titled { channel.title.as_str() } else { "" };
    let offset = app.settings.copying.utc_offset_seconds;
    let path = export::file_name(title, app.now.unix_ms, offset, form);
    ask_path(app, channel.id.clone(), form, path, None);
}

fn ask_path(app: &mut App, channel: ChannelId, form: Form, path: String, error: Option<String>) {
    app.overlay = Some(Overlay::Ask(Ask {
        error,
        ..Ask::new(AskFor::Export { channel, form }, path)
    }));
}

/// Where an export goes to was said.
pub(super) fn submit_path(app: &mut App, channel: ChannelId, form: Form, path: &str, effects: &mut Vec<Effect>) {
    let path = path.trim();
    if path.is_empty() {
        let error = Some("Type the path of a file".to_owned());
        ask_path(app, channel, form, String::new(), error);
        return;
    }
    let export = Export {
        channel,
        form,
        path: path.to_owned(),
    };
    write(app, export, false, effects);
}

/// Writes what a channel is now to where it was said.
pub(super) fn write(app: &mut App, export: Export, overwrite: bool, effects: &mut Vec<Effect>) {
    let Some(channel) = app.channels.get(&export.channel) else {
        complain(app, "Not exported: this channel is not watched any more".to_owned());
        return;
    };
    let text = parts::whole(channel, about(app, channel), export.form);
    effects.push(Effect::Copying(Do::Write {
        export,
        text,
        overwrite,
    }));
}

/// The answer of who writes files came. What lies over the screen by now is not taken away by it.
fn take_written(app: &mut App, written: Written) {
    match written {
        Written::Done { path, bytes } => {
            let path = path.display().to_string();
            let text = format!("Exported to {} ({bytes} bytes)", crate::text::sanitise_line(&path));
            say(app, text);
        }
        Written::Exists(export) if app.overlay.is_none() => {
            app.overlay = Some(Overlay::Confirm(Question::Overwrite(export)));
        }
        Written::Exists(_) => complain(app, "Not exported: there is such a file already".to_owned()),
        Written::Failed { export, reason } if app.overlay.is_none() => {
            let Export { channel, form, path } = export;
            ask_path(app, channel, form, path, Some(format!("Not exported: {reason}")));
        }
        Written::Failed { reason, .. } => complain(app, format!("Not exported: {reason}")),
    }
}

/// A batch is about to be taken in.
pub(super) fn before_feed(_app: &mut App, _id: &ChannelId, _batch: &FeedBatch, _effects: &mut Vec<Effect>) {}

/// A batch was taken in.
pub(super) fn after_feed(_app: &mut App, _id: &ChannelId, _effects: &mut Vec<Effect>) {}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(_app: &mut App, _effects: &mut Vec<Effect>) -> bool {
    false
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(_app: &App) -> Option<u64> {
    None
}
