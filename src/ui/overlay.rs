//! What lies over the screen: the help (all of it), dialogues and questions (where the compose box is).

use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::{ACTIONS, ActionInfo, Group};
use crate::app::state::{Answer, JsonCheck, Question};
use crate::app::{App, Now};
use crate::text::{json, sanitise_line};
use crate::transcript::{BlockKind, CallState};

use super::canvas::Canvas;
use super::editor::Editor;
use super::format::duration;

/// The most lines of a call's arguments in its dialogue.
const ARGUMENT_LINES: usize = 8;
/// From this width on the help has two columns.
const TWO_COLUMNS: u16 = 80;
/// The widest column of the help.
const WIDEST_HELP: u16 = 60;
/// Columns of the help's keys.
const HELP_KEYS: u16 = 9;

/// Draws the help over the whole screen but its last line; gives how far it can be scrolled.
pub(super) fn draw_help(canvas: &mut Canvas, area: Rect, scroll: usize) -> usize {
    let theme = canvas.theme;
    let bar = Rect { height: 1, ..area };
    canvas.bar(bar, "keys", "", true);
    let columns: &[&[Group]] = if area.width >= TWO_COLUMNS {
        &[
            &[Group::General, Group::List],
            &[Group::Transcript, Group::Compose, Group::Dialogue],
        ]
    } else {
        &[&Group::ALL]
    };
    let rows = usize::from(area.height.saturating_sub(1));
    let column_width = (area.width.saturating_sub(1) / columns.len() as u16).min(WIDEST_HELP);
    let mut most = 0;
    for (place, groups) in columns.iter().enumerate() {
        let x = area.x + 1 + column_width * place as u16;
        let lines: Vec<Option<&ActionInfo>> = groups
            .iter()
            .flat_map(|group| {
                let of_group = ACTIONS.iter().filter(move |info| info.group == *group);
                std::iter::once(None).chain(of_group.map(Some))
            })
            .collect();
        most = most.max(lines.len().saturating_sub(rows));
        let mut titles = groups.iter();
        for (at, line) in lines.into_iter().enumerate() {
            let title = if line.is_none() { titles.next() } else { None };
            let Some(y) = at.checked_sub(scroll).filter(|row| *row < rows) else {
                continue;
            };
            let y = area.y + 1 + y as u16;
            match (line, title) {
                (Some(info), _) => {
                    let keys: Vec<String> = info.keys.iter().map(ToString::to_string).collect();
                    let mut keys = keys.join(" ");
                    if keys.len() > usize::from(HELP_KEYS) {
                        keys = info.keys[0].to_string();
                    }
                    canvas.put(x + 1, y, HELP_KEYS, &keys, theme.bold());
                    let help_x = x + 1 + HELP_KEYS + 1;
                    canvas.put(
                        help_x,
                        y,
                        column_width.saturating_sub(HELP_KEYS + 3),
                        info.help,
                        theme.plain(),
                    );
                }
                (None, Some(group)) => {
                    canvas.put(x, y, column_width.saturating_sub(1), group.title(), theme.accent());
                }
                (None, None) => {}
            }
        }
    }
    most
}

/// A dialogue, laid out: its title bar, the lines above what is typed, and the line below.
pub(super) struct Dialogue {
    pub title: String,
    pub right: String,
    pub above: Vec<(String, Style)>,
    pub below: (String, Style),
    pub placeholder: &'static str,
    pub has_editor: bool,
}

impl Dialogue {
    /// How many rows it would like to have.
    pub fn rows(&self, editor: &Editor, width: u16) -> u16 {
        let typed = if self.has_editor { editor.rows(width) + 1 } else { 0 };
        u16::try_from(self.above.len())
            .unwrap_or(u16::MAX)
            .saturating_add(typed)
    }

    pub fn draw(&self, canvas: &mut Canvas, bar: Rect, area: Rect, editor: &Editor) {
        canvas.bar(bar, &self.title, &self.right, true);
        let typed = if self.has_editor {
            editor.rows(area.width).min(area.height.max(1))
        } else {
            0
        };
        let below = u16::from(self.has_editor && area.height > typed);
        // What is typed and what is wrong with it stay in view where rows are few.
        let above = area.height.saturating_sub(typed + below);
        for ((text, style), y) in self.above.iter().zip(area.y..area.y + above) {
            canvas.put(area.x + 1, y, area.width.saturating_sub(2), text, *style);
        }
        if self.has_editor {
            let box_area = Rect {
                y: area.y + above,
                height: typed,
                ..area
            };
            editor.draw(canvas, box_area, true, self.placeholder);
            if below > 0 {
                let y = area.y + above + typed;
                canvas.put(area.x + 3, y, area.width.saturating_sub(4), &self.below.0, self.below.1);
            }
        }
    }
}

/// The dialogue that asks for a channel id.
pub(super) fn watch(canvas: &Canvas, error: Option<&str>) -> Dialogue {
    let theme = canvas.theme;
    Dialogue {
        title: "watch a channel".to_owned(),
        right: String::new(),
        above: vec![(
            "Paste the id of a channel that something else dispatched.".to_owned(),
            theme.plain(),
        )],
        below: error.map_or_else(
            || {
                (
                    "It is a secret: who knows it can follow the run.".to_owned(),
                    theme.dim(),
                )
            },
            |error| (format!("x {error}"), theme.error()),
        ),
        placeholder: "channel id",
        has_editor: true,
    }
}

/// The dialogue that answers a waiting call.
pub(super) fn answer(canvas: &Canvas, app: &App, answer: &Answer) -> Dialogue {
    let theme = canvas.theme;
    let block = app
        .channels
        .get(&answer.run)
        .and_then(|channel| channel.transcript.block(answer.block));
    let mut dialogue = Dialogue {
        title: "answer".to_owned(),
        right: String::new(),
        above: Vec::new(),
        below: (String::new(), theme.plain()),
        placeholder: "the answer as JSON: true, \"yes\", {\"approved\": true}",
        has_editor: true,
    };
    if let Some(BlockKind::Call {
        function,
        arguments,
        state,
        ..
    }) = block.map(|block| &block.kind)
    {
        dialogue.title = format!("answer {}", sanitise_line(function));
        if let CallState::Waiting {
            expires_at: Some(at), ..
        } = state
        {
            dialogue.right = gives_up(*at, app.now);
        }
        dialogue.above.push(("arguments".to_owned(), theme.dim()));
        for line in json::lines(arguments, ARGUMENT_LINES) {
            dialogue.above.push((format!("  {line}"), theme.plain()));
        }
    }
    dialogue.below = match (&answer.error, answer.sending, &answer.check) {
        (_, Some(_), _) => ("Publishing …".to_owned(), theme.dim()),
        (Some(error), ..) => (format!("x {error}"), theme.error()),
        (None, None, JsonCheck::Invalid { line, column, message }) => (
            format!("not JSON yet: line {line}, column {column}: {message}"),
            theme.warning(),
        ),
        (None, None, JsonCheck::Valid) => ("+ JSON: Enter publishes it".to_owned(), theme.good()),
        (None, None, JsonCheck::Empty) => (
            "{\"error\": \"why\"} says no; any other value is the result".to_owned(),
            theme.dim(),
        ),
    };
    dialogue
}

/// A question with yes and no.
pub(super) fn confirm(canvas: &Canvas, app: &App, question: &Question) -> Dialogue {
    let Question::CancelRun(id) = question;
    let title = app
        .channels
        .get(id)
        .map_or("this run", |channel| channel.title.as_str());
    let theme = canvas.theme;
    Dialogue {
        title: "cancel the run".to_owned(),
        right: String::new(),
        above: vec![
            (format!("Cancel \"{title}\" on the server?"), theme.bold()),
            (
                "It stops for everyone who watches it; what it wrote stays.".to_owned(),
                theme.plain(),
            ),
        ],
        below: (String::new(), theme.plain()),
        placeholder: "",
        has_editor: false,
    }
}

fn gives_up(expires_at: u64, now: Now) -> String {
    match expires_at.saturating_sub(now.unix_ms) {
        0 => "its time is over".to_owned(),
        left => format!("gives up in {}", duration(left)),
    }
}
