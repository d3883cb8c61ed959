//! The compose box: its title bar says what Enter does and with which preset, rows above the text say what waits
//! and what goes along. The text itself is `editor`'s.

use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::compose::attach::{self, Found};
use crate::app::compose::thread::{QueueState, queue_state};
use crate::app::state::Focus;
use crate::app::{App, Channel};
use crate::text::width::width;
use crate::text::{preview, sanitise_line};

use super::canvas::Canvas;
use super::editor::Editor;
use super::format::number;

/// Characters that make a token, about: what English text comes to with most models.
const CHARACTERS_A_TOKEN: usize = 4;

/// A row above the text.
struct Note {
    text: String,
    /// What stands behind it where there is room, the longest first.
    keys: Vec<String>,
    error: bool,
}

/// The rows above the text.
fn notes(app: &App) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(channel) = app.selected_channel()
        && !channel.compose.queue.is_empty()
    {
        notes.push(queued(app, channel));
    }
    let files = app.compose.files.found();
    if !files.is_empty() {
        notes.push(Note {
            text: attach::summary(files),
            keys: Vec::new(),
            error: files.iter().any(|file| !matches!(file.found, Found::Text { .. })),
        });
    }
    notes
}

fn queued(app: &App, channel: &Channel) -> Note {
    let queue = &channel.compose.queue;
    let first = queue.front().map_or("", |queued| queued.typed.as_str());
    let typed = app.compose.pastes.expand(first.lines().next().unwrap_or_default());
    let typed: String = typed.chars().take(200).collect();
    let count = match queue.len() {
        1 => String::new(),
        n => format!(" {n}"),
    };
    let text = format!("queued{count}: {}", sanitise_line(&preview::words(&typed)));
    let key = |action| app.settings.keymap.first(action);
    let (edit, drop) = (key(Action::TakeBackQueued), key(Action::DropQueued));
    match queue_state(channel) {
        QueueState::Waits | QueueState::Due => Note {
            text,
            keys: vec![
                format!("({edit} edits, {drop} drops, sent when the run ends)"),
                format!("({edit} edits, sent when the run ends)"),
            ],
            error: false,
        },
        QueueState::Stuck(why) => Note {
            text,
            keys: vec![
                format!("(not sent: {why}; {edit} edits, {drop} drops)"),
                format!("(not sent: {why})"),
            ],
            error: true,
        },
    }
}

/// How many rows the box takes.
pub(super) fn rows(app: &App, editor: &Editor, width: u16) -> u16 {
    let notes = u16::try_from(notes(app).len()).unwrap_or(0);
    editor.rows(width) + notes
}

/// Draws the box.
pub(super) fn draw(canvas: &mut Canvas, bar: Rect, area: Rect, app: &App, editor: &Editor) {
    let focused = app.focus == Focus::Compose;
    let what = match app.continued() {
        Some(channel) => format!("continues: {}", channel.title),
        None => "new run".to_owned(),
    };
    let size = size(app);
    let preset = sanitise_line(app.preset_name());
    // A long title gives way to what stands behind it.
    let room = usize::from(bar.width).saturating_sub(size.len() + preset.len() + 22);
    let what = if what.chars().count() > room && room > 12 {
        let short: String = what.chars().take(room - 1).collect();
        format!("{}{}", short.trim_end(), canvas.theme.ellipsis)
    } else {
        what
    };
    canvas.bar(bar, &format!("{what} · preset: {preset}"), &size, focused);
    let mut text = area;
    for note in notes(app) {
        // The text keeps a row at least.
        if text.height < 2 {
            break;
        }
        draw_note(canvas, text, &note);
        text.y += 1;
        text.height -= 1;
    }
    let stuck =
        |channel: &Channel| !channel.compose.queue.is_empty() && matches!(queue_state(channel), QueueState::Stuck(_));
    let placeholder = match (focused, app.continued()) {
        (true, None) => "Type a prompt".to_owned(),
        (true, Some(channel)) if stuck(channel) => {
            format!("{} sends what is queued", app.settings.keymap.first(Action::Send))
        }
        (true, Some(_)) => "Type what comes next".to_owned(),
        (false, _) => format!("{} writes a prompt", app.settings.keymap.first(Action::Compose)),
    };
    editor.draw(canvas, text, focused, &placeholder);
}

fn draw_note(canvas: &mut Canvas, area: Rect, note: &Note) {
    let theme = canvas.theme;
    let left = area.x + 3;
    let right = area.right().saturating_sub(1);
    let room = right.saturating_sub(left);
    let style = if note.error { theme.warning() } else { theme.dim() };
    let columns = |text: &str| u16::try_from(width(text)).unwrap_or(u16::MAX / 2);
    // They stay as long as a few words of the text have room too.
    let text = columns(&note.text).min(30);
    let keys = note.keys.iter().find(|keys| columns(keys) + 2 + text <= room);
    let most = keys.map_or(room, |keys| room - columns(keys) - 2);
    let end = canvas.put(left, area.y, most, &note.text, style);
    if let Some(keys) = keys {
        canvas.put(end + 2, area.y, right.saturating_sub(end + 2), keys, theme.dim());
    }
}

/// How much is going to be sent: tokens are an estimate, and marked as one.
fn size(app: &App) -> String {
    match app.draft_characters() {
        0 => String::new(),
        characters => {
            let tokens = characters.div_ceil(CHARACTERS_A_TOKEN);
            let noun = if tokens == 1 { "token" } else { "tokens" };
            format!("~{} {noun}", number(u64::try_from(tokens).unwrap_or(u64::MAX)))
        }
    }
}
