//! The inbox of waiting calls: all of them above, the marked one with its arguments and its form below.
//!
//! Drawing only; the form itself is in `form`. The list's work grows with what waits, while it is open.

use ratatui::layout::Rect;
use ratatui::style::Style;
use serde_json::Value;

use crate::app::App;
use crate::app::action::Action;
use crate::app::calls::inbox::{configured, standing};
use crate::app::calls::{Inbox, Stage, Waiting, waiting};
use crate::config::Policy;
use crate::text::width::{truncate, width as columns};
use crate::text::{json, sanitise_line};
use crate::transcript::BlockId;
use crate::wire::ChannelId;

use super::canvas::Canvas;
use super::editor::Editor;
use super::form;
use super::format::{duration, time};
use super::theme::Theme;
use super::{UiOptions, wrap};

/// From this width on arguments and answer stand side by side.
const SIDE_BY_SIDE: u16 = 100;
/// Under this many rows only the marked call is listed.
const LOW: u16 = 14;
/// The widest column of names.
const WIDEST_NAME: usize = 20;
/// With no more rows than these for arguments that need more, they stand as JSON without line breaks.
const FEW_ROWS: usize = 3;
/// The most lines of arguments that are laid out.
const MOST_LINES: usize = 200;

/// Draws it over the whole area.
pub(super) fn draw(canvas: &mut Canvas, area: Rect, app: &App, inbox: &Inbox, editor: &Editor, options: UiOptions) {
    let theme = canvas.theme;
    let all = waiting(app);
    let title = format!("waiting for an answer ({})", all.len());
    canvas.bar(Rect { height: 1, ..area }, &title, "", true);
    let at = all.iter().position(|waiting| Some(waiting.reference()) == inbox.marked);
    let Some(marked) = at.and_then(|at| all.get(at)) else {
        let text = inbox.error.as_deref().unwrap_or("Nothing waits for an answer now.");
        for (row, y) in wrap(text, area.width.saturating_sub(4))
            .rows()
            .iter()
            .zip(area.y + 2..area.bottom())
        {
            canvas.put(area.x + 2, y, area.width.saturating_sub(4), &row.text(), theme.plain());
        }
        return;
    };
    // A third for the list, so that what is answered can be read.
    let most = if area.height < LOW {
        1
    } else {
        usize::from(area.height / 3)
    };
    let rows = all.len().min(most);
    let first = (at.unwrap_or(0) + 1).saturating_sub(rows);
    for (place, waiting) in all.iter().enumerate().skip(first).take(rows) {
        let y = area.y + 1 + u16::try_from(place - first).unwrap_or(0);
        draw_row(canvas, Rect { y, height: 1, ..area }, app, waiting, Some(place) == at);
    }
    let top = area.y + 1 + u16::try_from(rows).unwrap_or(1);
    let below = Rect {
        y: top,
        height: area.bottom().saturating_sub(top),
        ..area
    };
    draw_call(canvas, below, app, inbox, marked, editor, options);
}

/// One waiting call: since when, which run, which function with what, and how much time is left.
fn draw_row(canvas: &mut Canvas, area: Rect, app: &App, waiting: &Waiting, marked: bool) {
    let theme = canvas.theme;
    let call = &waiting.call;
    if marked {
        canvas.put(area.x, area.y, 1, theme.mark, theme.accent());
    }
    let since = call.asked_at.map_or(0, |at| app.now.unix_ms.saturating_sub(at));
    let mut x = canvas.put(area.x + 2, area.y, 6, &format!("{:>5}", duration(since)), theme.plain()) + 2;
    let right = area.right().saturating_sub(1);
    let left = match app.calls.job(&waiting.channel.id, call.block).map(|job| &job.stage) {
        Some(Stage::Running) => "running".to_owned(),
        Some(Stage::Stopping) => "stopping".to_owned(),
        Some(Stage::Publishing { .. }) => "publishing".to_owned(),
        Some(Stage::Unpublished { .. }) => "not published".to_owned(),
        None => call.expires_at.map_or_else(String::new, |at| {
            format!("{} left", duration(at.saturating_sub(app.now.unix_ms)))
        }),
    };
    let limit = canvas.put_right(x, right, area.y, &left, theme.dim()).saturating_sub(2);
    let title = usize::from(area.width / 4).clamp(10, 32);
    let style = if marked { theme.bold() } else { theme.plain() };
    let column = |text: &str, columns: usize| format!("{:<columns$}", truncate(text, columns));
    let put = |canvas: &mut Canvas, x: u16, text: &str, style: Style| {
        canvas.put(x, area.y, limit.saturating_sub(x), text, style)
    };
    x = put(canvas, x, &padded(&waiting.channel.title, title), style) + 2;
    let function = sanitise_line(call.function);
    if x + 12 >= limit {
        put(canvas, x, &function, theme.plain());
        return;
    }
    let name = if area.width >= SIDE_BY_SIDE { 18 } else { 14 };
    x = put(canvas, x, &column(&function, name), theme.plain()) + 2;
    let room = usize::from(limit.saturating_sub(x));
    if room >= 4 {
        put(canvas, x, &in_short(call.arguments, room), theme.dim());
    }
}

/// A text cut or filled up to so many columns.
fn padded(text: &str, to: usize) -> String {
    let mut out = truncate(text, to).into_owned();
    let missing = to.saturating_sub(columns(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// Arguments on one line, as `env: "prod"  version: "1.8.2"`.
fn in_short(arguments: &Value, room: usize) -> String {
    let line = json::call("", arguments, room + 2);
    let line = line.strip_prefix('(').unwrap_or(&line);
    line.strip_suffix(')').unwrap_or(line).to_owned()
}

/// The marked call: what is asked, what is answered, what may be done.
fn draw_call(
    canvas: &mut Canvas,
    area: Rect,
    app: &App,
    inbox: &Inbox,
    waiting: &Waiting,
    editor: &Editor,
    options: UiOptions,
) {
    if area.height == 0 {
        return;
    }
    let call = &waiting.call;
    let mut right = call
        .asked_at
        .map(|at| format!("asked {}", time(at, options)))
        .unwrap_or_default();
    if let Some(at) = call.expires_at {
        let left = match at.saturating_sub(app.now.unix_ms) {
            0 => "its time is over".to_owned(),
            left => format!("gives up in {}", duration(left)),
        };
        right = if area.width >= 60 {
            format!("{right}  {left}")
        } else {
            left
        };
    }
    canvas.bar(Rect { height: 1, ..area }, &sanitise_line(call.function), &right, false);
    let status = status(canvas, app, inbox, waiting, area.width);
    let most = if app.size.1 < LOW {
        1
    } else {
        usize::from(area.height / 2)
    };
    let status = &status[..status.len().min(most)];
    let status_rows = u16::try_from(status.len()).unwrap_or(1);
    let middle = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1 + status_rows),
        ..area
    };
    let change = format!("{} changes it", app.settings.keymap.first(Action::ToggleField));
    let show = app.settings.keymap.first(Action::ShowCall);
    let wanted = 1 + form::rows(&inbox.form, editor, middle.width);
    if middle.width >= SIDE_BY_SIDE {
        let half = middle.width / 2;
        let left = Rect { width: half, ..middle };
        let right = Rect {
            x: middle.x + half,
            width: middle.width - half,
            ..middle
        };
        let asked = draw_arguments(canvas, left, call.arguments, &show);
        form::draw(canvas, right, &inbox.form, editor, &change);
        place_status(canvas, area, middle.y + asked.max(wanted).min(middle.height), status);
    } else {
        // What is typed comes first; the arguments have at least a line.
        let answer = wanted.min(middle.height.saturating_sub(2)).max(1);
        let asked = Rect {
            height: middle.height.saturating_sub(answer),
            ..middle
        };
        let used = draw_arguments(canvas, asked, call.arguments, &show);
        let form_area = Rect {
            y: middle.y + used,
            height: middle.bottom().saturating_sub(middle.y + used),
            ..middle
        };
        form::draw(canvas, form_area, &inbox.form, editor, &change);
        place_status(canvas, area, form_area.y + wanted.min(form_area.height), status);
    }
}

/// Writes what is to be known below the form, with a blank row between where there is room.
fn place_status(canvas: &mut Canvas, area: Rect, y: u16, status: &[(String, Style)]) {
    let rows = u16::try_from(status.len()).unwrap_or(0);
    let last = area.bottom().saturating_sub(rows);
    for ((text, style), y) in status.iter().zip((y + 1).min(last)..area.bottom()) {
        canvas.put(area.x + 2, y, area.width.saturating_sub(3), text, *style);
    }
}

/// Draws the arguments under their heading; gives the rows that it took. `show`: the key that goes to the run.
fn draw_arguments(canvas: &mut Canvas, area: Rect, arguments: &Value, show: &str) -> u16 {
    if area.height == 0 {
        return 0;
    }
    let theme = canvas.theme;
    let room = area.width.saturating_sub(6);
    let mut lines = argument_lines(arguments, usize::from(room));
    let heading = u16::from(usize::from(area.height) > lines.len());
    if heading == 1 {
        canvas.put(
            area.x + 2,
            area.y,
            area.width.saturating_sub(3),
            "arguments",
            theme.dim(),
        );
    }
    let rows = usize::from(area.height - heading);
    if lines.len() > rows {
        if rows <= FEW_ROWS {
            // The first lines of a form made for many say next to nothing.
            let whole = arguments.to_string();
            lines = wrap(&sanitise_line(&whole), room.max(1))
                .rows()
                .iter()
                .take(FEW_ROWS)
                .map(|row| row.text())
                .collect();
        }
        lines.truncate(rows.saturating_sub(1));
        lines.push(format!("… {show} shows all of it in the run"));
    }
    for (line, y) in lines.iter().zip(area.y + heading..area.bottom()) {
        canvas.put(area.x + 4, y, room, line, theme.plain());
    }
    heading + u16::try_from(lines.len()).unwrap_or(0)
}

/// Arguments for reading: names and values in two columns where all fit on a row each, else as JSON, wrapped. Nothing
/// of them is cut off at the side: who allows a call sees what with.
fn argument_lines(arguments: &Value, room: usize) -> Vec<String> {
    if let Value::Object(fields) = arguments {
        if fields.is_empty() {
            return vec!["none".to_owned()];
        }
        let names = fields
            .keys()
            .map(|name| columns(&sanitise_line(name)))
            .max()
            .unwrap_or(0);
        let short = |value: &Value| match value {
            Value::Array(items) => items.len() <= 3,
            Value::Object(fields) => fields.is_empty(),
            _ => true,
        };
        let names = names.min(WIDEST_NAME);
        let lines: Vec<String> = fields
            .iter()
            .map(|(name, value)| {
                let text = value.to_string();
                format!("{}  {}", padded(&sanitise_line(name), names), sanitise_line(&text))
            })
            .collect();
        let fits = |line: &String| columns(line) <= room;
        let named = fields.keys().all(|name| columns(&sanitise_line(name)) <= names);
        if named && fields.values().all(short) && lines.iter().all(fits) {
            return lines;
        }
    }
    let room = u16::try_from(room).unwrap_or(u16::MAX).max(1);
    json::lines(arguments, MOST_LINES)
        .iter()
        .flat_map(|line| wrap(line, room).rows().iter().map(|row| row.text()).collect::<Vec<_>>())
        .take(MOST_LINES)
        .collect()
}

/// What is done about the call, what went wrong, or what may be done.
fn status(canvas: &Canvas, app: &App, inbox: &Inbox, waiting: &Waiting, width: u16) -> Vec<(String, Style)> {
    let theme = canvas.theme;
    let key = |action| app.settings.keymap.first(action);
    let wrapped = |text: &str, style: Style| -> Vec<(String, Style)> {
        let rows = wrap(text, width.saturating_sub(3));
        rows.rows().iter().map(|row| (row.text(), style)).collect()
    };
    if let Some(job) = app.calls.job(&waiting.channel.id, waiting.call.block) {
        let since = duration(app.now.unix_ms.saturating_sub(job.since));
        return match &job.stage {
            Stage::Running => wrapped(
                &format!("* running {} {since}: {} stops it", job.command, key(Action::DenyCall)),
                theme.good(),
            ),
            Stage::Stopping => wrapped(&format!("stopping {}", job.command), theme.dim()),
            Stage::Publishing { .. } => wrapped("Publishing the result …", theme.dim()),
            Stage::Unpublished { reason, .. } => {
                wrapped(&format!("x the result is not published yet: {reason}"), theme.error())
            }
        };
    }
    if inbox.sending.is_some() {
        return wrapped("Publishing …", theme.dim());
    }
    let mut lines = Vec::new();
    if let Some(error) = &inbox.error {
        lines.extend(wrapped(&format!("x {error}"), theme.error()));
    } else if let Err(error) = ChannelId::parse(waiting.call.channel) {
        lines.extend(wrapped(
            &format!("x this call cannot be answered: {error}"),
            theme.error(),
        ));
    }
    if let Some(text) = standing(app, waiting) {
        lines.extend(wrapped(&format!("! {text}"), theme.warning()));
    }
    let config = configured(app, waiting.call.function).filter(|config| !config.command.is_empty());
    if let Some(config) = config {
        let policy = match config.policy {
            Policy::Ask => "",
            Policy::Allow => ", allowed by the configuration",
            Policy::Deny => ", denied by the configuration",
        };
        let command = sanitise_line(&config.command_line()).into_owned();
        lines.extend(wrapped(
            &format!("{} runs {command}{policy}", key(Action::AllowOnce)),
            theme.dim(),
        ));
    } else if inbox.form.has_bool("approved") {
        lines.extend(wrapped(
            &format!(
                "{} approves, {} denies; or fill in the form and press {}",
                key(Action::AllowOnce),
                key(Action::DenyCall),
                key(Action::PublishAnswer)
            ),
            theme.dim(),
        ));
    } else {
        lines.extend(wrapped(
            &format!(
                "no command is configured for it: {} fills in the answer",
                key(Action::NextField)
            ),
            theme.dim(),
        ));
    }
    lines
}

/// What is done about a waiting call here, for its place in the transcript.
pub(super) fn doing(theme: &Theme, app: &App, run: &ChannelId, block: BlockId) -> Option<(String, Style)> {
    let job = app.calls.job(run, block)?;
    let since = duration(app.now.unix_ms.saturating_sub(job.since));
    Some(match &job.stage {
        Stage::Running => (format!("* running {}  {since}", job.command), theme.good()),
        Stage::Stopping => (format!("stopping {}", job.command), theme.dim()),
        Stage::Publishing { .. } => ("publishing the result".to_owned(), theme.dim()),
        Stage::Unpublished { reason, .. } => {
            let text = format!("x the result is not published yet: {}", sanitise_line(reason));
            (text, theme.error())
        }
    })
}
