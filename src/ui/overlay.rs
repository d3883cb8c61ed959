//! What lies over the screen: the help (all of it), dialogues and questions (where the compose box is).

use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::Keymap;
use crate::app::action::{Action, ActionInfo, Group, actions};
use crate::app::state::{Answer, Ask, AskFor, JsonCheck, Question};
use crate::app::{App, Now};
use crate::text::width::{truncate, width as columns};
use crate::text::{json, sanitise_line};
use crate::transcript::{BlockKind, CallState};

use super::canvas::Canvas;
use super::editor::Editor;
use super::format::duration;
use super::wrap;

/// The most lines of a call's arguments in its dialogue.
const ARGUMENT_LINES: usize = 8;
/// The most rows of a call that is written on as few as possible.
const SHORT_CALL_ROWS: usize = 3;
/// From this width on the help has two columns.
const TWO_COLUMNS: u16 = 80;
/// The widest column of the help.
const WIDEST_HELP: u16 = 60;
/// Columns of the help's keys.
const HELP_KEYS: u16 = 9;

/// Draws the help over the whole screen but its last line; gives how far it can be scrolled.
pub(super) fn draw_help(canvas: &mut Canvas, area: Rect, keymap: &Keymap, scroll: usize) -> usize {
    let theme = canvas.theme;
    let bar = Rect { height: 1, ..area };
    let columns: &[&[Group]] = if area.width >= TWO_COLUMNS {
        &[
            &[Group::General, Group::List, Group::Panes],
            &[
                Group::Transcript,
                Group::Compose,
                Group::Calls,
                Group::Recordings,
                Group::Dialogue,
            ],
        ]
    } else {
        &[&Group::ALL]
    };
    let rows = usize::from(area.height.saturating_sub(1));
    let column_width = (area.width.saturating_sub(1) / columns.len() as u16).min(WIDEST_HELP);
    let lines_of = |groups: &[Group]| -> usize {
        let of_groups = actions().filter(|info| groups.contains(&info.group) && info.is_listed());
        groups.len() + of_groups.count()
    };
    let most = columns
        .iter()
        .map(|groups| lines_of(groups).saturating_sub(rows))
        .max()
        .unwrap_or(0);
    // The screen may have grown since it was scrolled.
    let scroll = scroll.min(most);
    let right = if most > 0 {
        // That there is more is not seen otherwise.
        format!("rows {}-{} of {}", scroll + 1, scroll + rows, most + rows)
    } else {
        String::new()
    };
    canvas.bar(bar, "keys", &right, true);
    for (place, groups) in columns.iter().enumerate() {
        let x = area.x + 1 + column_width * place as u16;
        let lines: Vec<Option<&ActionInfo>> = groups
            .iter()
            .flat_map(|group| {
                let of_group = actions().filter(move |info| info.group == *group && info.is_listed());
                std::iter::once(None).chain(of_group.map(Some))
            })
            .collect();
        let mut titles = groups.iter();
        for (at, line) in lines.into_iter().enumerate() {
            let title = if line.is_none() { titles.next() } else { None };
            let Some(y) = at.checked_sub(scroll).filter(|row| *row < rows) else {
                continue;
            };
            let y = area.y + 1 + y as u16;
            match (line, title) {
                (Some(info), _) => {
                    let keys: Vec<String> = keymap.keys(info.action).iter().map(ToString::to_string).collect();
                    let mut keys = keys.join(" ");
                    if keys.len() > usize::from(HELP_KEYS) {
                        keys = keymap.first(info.action);
                    }
                    if info.is_prefixed() {
                        keys = format!("{} {}", keymap.first(Action::PanePrefix), keymap.first(info.action));
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

/// A dialogue, laid out for a width: its title bar, the lines above what is typed, and the lines below.
pub(super) struct Dialogue {
    title: String,
    right: String,
    pub above: Vec<(String, Style)>,
    /// What stands above where there are fewer rows than `above` takes.
    short: Vec<(String, Style)>,
    /// The line below only helps: it gives way to what is above.
    below_may_go: bool,
    pub below: Vec<(String, Style)>,
    pub placeholder: &'static str,
    pub has_editor: bool,
}

impl Dialogue {
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            right: String::new(),
            above: Vec::new(),
            short: Vec::new(),
            below_may_go: false,
            below: Vec::new(),
            placeholder: "",
            has_editor: true,
        }
    }

    /// How many rows it would like to have.
    pub fn rows(&self, editor: &Editor, width: u16) -> u16 {
        let typed = if self.has_editor { editor.rows(width) } else { 0 };
        u16::try_from(self.above.len() + self.below.len())
            .unwrap_or(u16::MAX)
            .saturating_add(typed)
    }

    pub fn draw(&self, canvas: &mut Canvas, bar: Rect, area: Rect, editor: &Editor) {
        canvas.bar(bar, &self.title, &self.right, true);
        // Where rows are few: one for what is asked, then what is typed, then what is wrong with it.
        let mut asked = area.height.min(u16::from(area.height > 1 && !self.above.is_empty()));
        let typed = if self.has_editor {
            editor.rows(area.width).min((area.height - asked).max(1))
        } else {
            0
        };
        let wrong = u16::try_from(self.below.len()).unwrap_or(u16::MAX);
        if self.has_editor && self.short.is_empty() && !self.below_may_go && asked + typed + wrong > area.height {
            // What is asked has no short form: the title says it, and what is wrong is worth more.
            asked = 0;
        }
        let mut most_below = area.height.saturating_sub(asked + typed);
        if self.below_may_go {
            let wanted = u16::try_from(self.short.len()).unwrap_or(u16::MAX);
            most_below = most_below.min(area.height.saturating_sub(wanted.saturating_add(typed)));
        }
        let below = u16::try_from(self.below.len()).unwrap_or(u16::MAX).min(most_below);
        let above = usize::from(area.height.saturating_sub(typed + below));
        let lines = if above < self.above.len() && !self.short.is_empty() {
            &self.short[..]
        } else {
            &self.above[..]
        };
        let mut y = area.y;
        for (text, style) in lines.iter().take(above) {
            canvas.put(area.x + 1, y, area.width.saturating_sub(2), text, *style);
            y += 1;
        }
        if self.has_editor {
            let box_area = Rect {
                y,
                height: typed,
                ..area
            };
            editor.draw(canvas, box_area, true, self.placeholder);
            y += typed;
        }
        let cut = usize::from(below) < self.below.len();
        for ((text, style), row) in self.below.iter().zip(1..=below) {
            let end = if cut && row == below { canvas.theme.ellipsis } else { "" };
            let text = format!("{text}{end}");
            canvas.put(area.x + 3, y + row - 1, area.width.saturating_sub(4), &text, *style);
        }
    }
}

/// The columns of a text in a dialogue.
fn text_columns(width: u16) -> u16 {
    width.saturating_sub(4).max(1)
}

/// The text on rows of a width.
pub(super) fn wrapped(text: &str, style: Style, width: u16) -> Vec<(String, Style)> {
    let rows = wrap(text, text_columns(width));
    rows.rows().iter().map(|row| (row.text(), style)).collect()
}

/// The first of some ways to say something that fits on one row; the last one if none does.
pub(super) fn that_fits<'a>(ways: &[&'a str], width: u16) -> &'a str {
    let fits = |way: &&&str| columns(way) <= usize::from(text_columns(width));
    ways.iter().find(fits).or(ways.last()).copied().unwrap_or_default()
}

/// The dialogue that asks for a line.
pub(super) fn ask(canvas: &Canvas, app: &App, ask: &Ask, width: u16) -> Dialogue {
    let error = ask.error.as_deref();
    match &ask.purpose {
        AskFor::Watch => watch(canvas, error, width),
        AskFor::Export { form, .. } => export(canvas, form.name(), error, width),
        AskFor::Search => super::search::dialogue(),
        AskFor::Deny(_) => deny(canvas, width),
        AskFor::Race => {
            let asked = [
                "Who runs? Presets or models, with commas between them.",
                "Presets or models, with commas.",
            ];
            let title = "race: one prompt to several";
            let mut dialogue = race(canvas, title, &asked, error, "one, another", width);
            if !app.draft.trim().is_empty() {
                let ways = [
                    "Each starts a new run with the prompt that is in the compose box.",
                    "Each gets the prompt in the box.",
                ];
                let line = that_fits(&ways, width).to_owned();
                dialogue.above.push((line, canvas.theme.dim()));
            }
            dialogue
        }
        AskFor::RacePrompt(names) => {
            let text = format!("The prompt for {}.", sanitise_line(&names.join(", ")));
            let texts = [text.as_str(), "The prompt for all of them."];
            race(canvas, "race: the prompt", &texts, error, "prompt", width)
        }
        AskFor::Filter => super::list::ask_filter(canvas, width),
        AskFor::Rename(_) => super::list::ask_title(canvas, width),
        AskFor::Group(_) => super::list::ask_group(canvas, width),
    }
}

/// The dialogues that ask for what a race needs.
fn race(
    canvas: &Canvas,
    title: &str,
    asked: &[&str],
    error: Option<&str>,
    placeholder: &'static str,
    width: u16,
) -> Dialogue {
    let theme = canvas.theme;
    let mut dialogue = Dialogue::new(title);
    dialogue.above = vec![(that_fits(asked, width).to_owned(), theme.plain())];
    if let Some(error) = error.filter(|error| !error.is_empty()) {
        dialogue.below = wrapped(&format!("x {error}"), theme.error(), width);
    }
    dialogue.placeholder = placeholder;
    dialogue
}

/// The dialogue that asks for a channel id.
fn watch(canvas: &Canvas, error: Option<&str>, width: u16) -> Dialogue {
    let theme = canvas.theme;
    let asked = [
        "Paste the id of a channel that something else dispatched.",
        "Paste a channel id.",
    ];
    let mut dialogue = Dialogue::new("watch a channel");
    dialogue.above = vec![(that_fits(&asked, width).to_owned(), theme.plain())];
    dialogue.below = match error {
        Some(error) => wrapped(&format!("x {error}"), theme.error(), width),
        None => wrapped("It is a secret: who knows it can follow the run.", theme.dim(), width),
    };
    dialogue.placeholder = "channel id";
    dialogue
}

/// The dialogue that asks for the path of an export.
fn export(canvas: &Canvas, form: &str, error: Option<&str>, width: u16) -> Dialogue {
    let theme = canvas.theme;
    let mut dialogue = Dialogue::new(format!("export as {form}"));
    dialogue.above = vec![("Where to?".to_owned(), theme.plain())];
    dialogue.below = match error {
        Some(error) => wrapped(&format!("x {}", sanitise_line(error)), theme.error(), width),
        None => wrapped(
            "Only you can read the file; ~ is your home directory.",
            theme.dim(),
            width,
        ),
    };
    dialogue.placeholder = "path of a file";
    dialogue
}

/// A file would be written over.
fn overwrite(canvas: &Canvas, path: &str, width: u16) -> Dialogue {
    let theme = canvas.theme;
    let mut dialogue = Dialogue::new("overwrite");
    dialogue.has_editor = false;
    let path = sanitise_line(path).into_owned();
    dialogue.above = wrapped(
        &format!("There is a file {path} already. Overwrite it?"),
        theme.bold(),
        width,
    );
    dialogue
}

/// The dialogue that asks why a call is denied.
fn deny(canvas: &Canvas, width: u16) -> Dialogue {
    let theme = canvas.theme;
    let asked = [
        "Why? The model is told; nothing typed denies without a reason.",
        "Why? The model is told.",
    ];
    let mut dialogue = Dialogue::new("deny the call");
    dialogue.above = vec![(that_fits(&asked, width).to_owned(), theme.plain())];
    dialogue.placeholder = "a reason, if there is one";
    dialogue
}

/// The dialogue that answers a waiting call.
pub(super) fn answer(canvas: &Canvas, app: &App, answer: &Answer, width: u16) -> Dialogue {
    let theme = canvas.theme;
    let channel = app.channels.get(&answer.run);
    let block = channel.and_then(|channel| channel.transcript.block(answer.block));
    let mut dialogue = Dialogue::new("answer");
    dialogue.placeholder = that_fits(
        &[
            "the answer as JSON: true, \"yes\", {\"approved\": true}",
            "JSON: true, \"yes\", {\"n\": 1}",
        ],
        width,
    );
    let from = channel.map(|channel| (format!("from the run: {}", channel.title), theme.bold()));
    dialogue.above.extend(from.clone());
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
        let call = json::call(function, arguments, usize::from(text_columns(width)) * SHORT_CALL_ROWS);
        dialogue.short = wrapped(&call, theme.plain(), width);
        dialogue.short.extend(from);
    }
    dialogue.below = match (&answer.error, answer.sending, &answer.check) {
        (_, Some(_), _) => wrapped("Publishing …", theme.dim(), width),
        (Some(error), ..) => wrapped(&format!("x {error}"), theme.error(), width),
        (None, None, JsonCheck::Invalid { line, column, message }) => wrapped(
            &format!("not JSON yet: line {line}, column {column}: {message}"),
            theme.warning(),
            width,
        ),
        (None, None, JsonCheck::Valid) => wrapped("+ JSON: Enter publishes it", theme.good(), width),
        (None, None, JsonCheck::Empty) => {
            let ways = [
                "{\"error\": \"why\"} says no; any other value is the result",
                "{\"error\": \"why\"} says no",
            ];
            dialogue.below_may_go = true;
            wrapped(that_fits(&ways, width), theme.dim(), width)
        }
    };
    dialogue
}

/// A question with yes and no.
pub(super) fn confirm(canvas: &Canvas, app: &App, question: &Question, width: u16) -> Dialogue {
    let id = match question {
        Question::CancelRun(id) => id,
        Question::Overwrite(export) => return overwrite(canvas, &export.path, width),
        Question::StopWatchingEnded { count } => return super::list::confirm_ended(canvas, *count, width),
    };
    let title = app
        .channels
        .get(id)
        .map_or("this run", |channel| channel.title.as_str());
    let theme = canvas.theme;
    let (before, after) = ("Cancel \"", "\" on the server?");
    let room = usize::from(text_columns(width)).saturating_sub(before.len() + after.len());
    let title = truncate(title, room.max(8));
    let mut dialogue = Dialogue::new("cancel the run");
    dialogue.has_editor = false;
    dialogue.above = wrapped(&format!("{before}{title}{after}"), theme.bold(), width);
    dialogue.above.extend(wrapped(
        "It stops for everyone who watches it; what it wrote stays.",
        theme.plain(),
        width,
    ));
    dialogue
}

fn gives_up(expires_at: u64, now: Now) -> String {
    match expires_at.saturating_sub(now.unix_ms) {
        0 => "its time is over".to_owned(),
        left => format!("gives up in {}", duration(left)),
    }
}
