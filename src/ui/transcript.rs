//! The transcript pane: the rows in view of the selected channel, and what to say where there are none.

use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::state::{Focus, ServerState};
use crate::app::{App, Channel, ChannelState, Now};
use crate::text::sanitise_line;
use crate::text::width::width as columns;
use crate::transcript::{Block, BlockKind, CallState, Connection};

use super::block::{BlockView, Line, Right, Tone};
use super::canvas::Canvas;
use super::format::{count, duration, number};
use super::header::{is_refused, outage_sentence};
use super::inbox;
use super::theme::Theme;
use super::viewport::{RowCache, Viewport};
use super::{UiOptions, wrap};

/// Columns in front of the text: the mark and a blank.
const MARGIN: u16 = 2;
/// The widest column of text: longer lines are hard to read.
const WIDEST_TEXT: u16 = 120;
/// Columns of a title bar that the title keeps.
const LEAST_TITLE: u16 = 20;
/// Rows below the view are counted up to here.
const COUNTED_ROWS: usize = 99;

/// The width of the text in a pane.
pub(super) fn text_width(pane: Rect) -> u16 {
    pane.width.saturating_sub(MARGIN + 1).clamp(1, WIDEST_TEXT)
}

/// The part of a pane that text is written in.
fn column(pane: Rect) -> Rect {
    Rect {
        width: pane.width.min(MARGIN + text_width(pane) + 1),
        ..pane
    }
}

/// Draws the title bar of a channel that is shown alone (or of none).
pub(super) fn draw_bar(canvas: &mut Canvas, bar: Rect, app: &App, channel: Option<&Channel>, focused: bool) {
    let Some(channel) = channel else {
        canvas.bar(bar, "transcript", "", focused);
        return;
    };
    let room = usize::from(bar.width.saturating_sub(LEAST_TITLE));
    canvas.bar(bar, &channel.title, &summary(channel, app.now, room), focused);
}

/// Draws the rows of a channel.
pub(super) fn draw_body(
    canvas: &mut Canvas,
    pane: Rect,
    app: &App,
    channel: &Channel,
    focused: bool,
    cache: &mut RowCache,
    options: UiOptions,
) {
    let pane = super::playback::draw(canvas, pane, channel, &app.settings.keymap);
    if channel.transcript.is_empty() {
        draw_empty(canvas, pane, app, channel);
        return;
    }
    let pane = column(pane);
    let mut viewport = Viewport::new(channel, cache, text_width(pane), options);
    let window = viewport.window(usize::from(pane.height));
    let target = if focused { viewport.fold_target(window) } else { None };
    let mut y = pane.top();
    let end = pane.top() + u16::try_from(window.rows).unwrap_or(pane.height).min(pane.height);
    let mut index = window.top.index;
    let mut row = window.top.row;
    while y < end {
        let Some(block) = channel.transcript.get(index) else {
            break;
        };
        let is_target = target == Some(block.id);
        let is_marked = focused && channel.marked == Some(block.id);
        let Some(view) = viewport.view(index) else { break };
        let rows = view.len();
        while row < rows && y < end {
            let area = Rect { y, height: 1, ..pane };
            draw_row(canvas, area, block, view, row, is_target, app.now);
            if row + view.foot.len() >= rows
                && let Some((text, style)) = inbox::doing(&canvas.theme, app, &channel.id, block.id)
            {
                // Instead of what a person might do about the call.
                canvas.fill(area, " ", canvas.theme.plain());
                canvas.put(area.x + MARGIN + 2, y, text_width(pane).saturating_sub(2), &text, style);
            }
            if is_marked && row >= view.gap {
                let style = canvas.theme.accent();
                let mark = canvas.theme.mark;
                canvas.put(pane.x, y, 1, mark, style);
            }
            row += 1;
            y += 1;
        }
        row = 0;
        index += 1;
    }
    let mut bottom = pane.bottom();
    if viewport.status_rows() > 0 && pane.height > 0 {
        bottom -= 1;
        let (text, style) = match &channel.connection {
            Connection::Failed { reason } => (format!("x no longer watched: {reason}"), canvas.theme.error()),
            Connection::Reconnecting { reason, attempt: 0, .. } => {
                (format!("~ connection lost: {reason}"), canvas.theme.warning())
            }
            Connection::Reconnecting { reason, attempt, .. } => (
                format!("~ connection lost: {reason} (try {attempt})"),
                canvas.theme.warning(),
            ),
            _ => (String::new(), canvas.theme.plain()),
        };
        canvas.put(pane.x + MARGIN, bottom, text_width(pane), &sanitise_line(&text), style);
    }
    if window.at_end && bottom == pane.bottom() {
        super::list::draw_footing(canvas, pane, app, channel);
    }
    if !window.at_end && bottom > pane.top() {
        let below = viewport.moved(window.top, isize::try_from(window.rows).unwrap_or(0));
        let rows = viewport.rows_from(below, COUNTED_ROWS + 1);
        let more = if rows > COUNTED_ROWS {
            "99+ lines".to_owned()
        } else {
            count(rows as u64, "line")
        };
        let new = channel.tokens().saturating_sub(channel.read_tokens);
        // In the compose box `G` would type one.
        let text = match (new > 0, focused) {
            (true, true) => format!("{more} below, {} new: G follows", count(new, "token")),
            (false, true) => format!("{more} below: G goes to the end"),
            (true, false) => format!("{more} below, {} new", count(new, "token")),
            (false, false) => format!("{more} below"),
        };
        let style = canvas.theme.accent();
        canvas.put_right(
            pane.x + MARGIN,
            pane.right().saturating_sub(1),
            pane.bottom() - 1,
            &text,
            style,
        );
    }
}

/// State, time, tokens and rate for the title bar, as much as there is room for.
pub(super) fn summary(channel: &Channel, now: Now, room: usize) -> String {
    let state = channel.state(now);
    let mut text = state.word().to_owned();
    if let ChannelState::Reconnecting { seconds: seconds @ 1.. } = state {
        text = format!("reconnecting in {seconds} s");
    }
    let mut parts = Vec::with_capacity(3);
    if let Some(elapsed) = channel.elapsed(now) {
        parts.push(format!("  {}", duration(elapsed)));
    }
    let tokens = channel.tokens();
    if tokens > 0 {
        // What was streamed; what the prompt took is told at the end of the run.
        parts.push(format!("  {:>5} tok out", number(tokens)));
    }
    if state == ChannelState::Live {
        parts.push(format!("  {:>3.0}/s", channel.transcript.rate(channel.clock(now))));
    }
    for part in parts {
        if text.len() + part.len() > room {
            break;
        }
        text.push_str(&part);
    }
    text
}

fn tone(theme: &Theme, tone: Tone) -> Style {
    match tone {
        Tone::Plain => theme.plain(),
        Tone::Dim => theme.dim(),
        Tone::Bold => theme.bold(),
        Tone::Warning => theme.warning(),
        Tone::Error => theme.error(),
        Tone::Good => theme.good(),
    }
}

pub(super) fn draw_row(
    canvas: &mut Canvas,
    area: Rect,
    block: &Block,
    view: &BlockView,
    row: usize,
    is_target: bool,
    now: Now,
) {
    let left = area.x + MARGIN;
    let right = area.right().saturating_sub(1);
    let body = view.body();
    let body_at = view.head.len();
    if row < body_at {
        let hint = is_target && row == view.gap;
        draw_line(
            canvas,
            left,
            right,
            area.y,
            &view.head[row],
            hint.then_some(view.folded),
            block,
            now,
        );
    } else if let Some(text) = body.get(row - body_at) {
        let base = tone(&canvas.theme, view.body_tone);
        let mut x = left + view.body_indent;
        for span in &text.spans {
            let style = base.patch(canvas.theme.role(span.role));
            x = canvas.put(x, area.y, right.saturating_sub(x), &span.text, style);
        }
        if view.streaming && row + 1 == body_at + body.len() {
            let (mark, style) = (canvas.theme.mark, canvas.theme.accent());
            canvas.put(x, area.y, right.saturating_sub(x), mark, style);
        }
    } else if let Some(line) = view.foot.get(row - body_at - body.len()) {
        draw_line(canvas, left, right, area.y, line, None, block, now);
    }
}

#[allow(clippy::too_many_arguments)]
fn draw_line(
    canvas: &mut Canvas,
    left: u16,
    right: u16,
    y: u16,
    line: &Line,
    fold_hint: Option<bool>,
    block: &Block,
    now: Now,
) {
    let style = tone(&canvas.theme, line.tone);
    let dim = canvas.theme.dim();
    let mut limit = right;
    match &line.right {
        Right::Text(text) => limit = canvas.put_right(left, right, y, text, dim).saturating_sub(1),
        Right::Waiting { asked_at } => {
            let waited = asked_at.map(|at| duration(now.unix_ms.saturating_sub(at)));
            let text = format!("waiting {}", waited.unwrap_or_default());
            limit = canvas
                .put_right(left, right, y, text.trim_end(), style)
                .saturating_sub(1);
        }
        Right::Nothing => {
            let gives_up = match &block.kind {
                BlockKind::Call {
                    state: CallState::Waiting {
                        expires_at: Some(at), ..
                    },
                    ..
                } if line.indent > 0 => Some(format!("gives up in {}", duration(at.saturating_sub(now.unix_ms)))),
                _ => None,
            };
            let hint = match fold_hint {
                Some(true) => Some("(Space opens)"),
                Some(false) => Some("(Space folds)"),
                None => None,
            };
            // What a line says comes before what stands beside it.
            let room = usize::from(right.saturating_sub(left));
            let beside = |text: &&str| columns(&line.text) + usize::from(line.indent) + 2 + columns(text) <= room;
            if let Some(text) = gives_up.as_deref().or(hint).filter(beside) {
                limit = canvas.put_right(left, right, y, text, dim).saturating_sub(1);
            }
        }
    }
    let x = left + line.indent;
    canvas.put(x, y, limit.saturating_sub(x), &line.text, style);
}

/// Writes wrapped paragraphs from the top of a pane, a blank row between them.
fn paragraphs(canvas: &mut Canvas, pane: Rect, texts: &[(String, Style)]) {
    let mut y = pane.top() + 1;
    for (text, style) in texts {
        for row in wrap(text, text_width(pane)).rows() {
            if y >= pane.bottom() {
                return;
            }
            canvas.put(pane.x + MARGIN, y, text_width(pane), &row.text(), *style);
            y += 1;
        }
        y += 1;
    }
}

/// No channel is watched.
pub(super) fn draw_welcome(canvas: &mut Canvas, pane: Rect, app: &App, options: UiOptions) {
    let theme = canvas.theme;
    let composing = app.focus == Focus::Compose;
    let key = |action| app.settings.keymap.first(action);
    let first = if composing {
        format!("Type a prompt and press {}.", key(Action::Send))
    } else {
        let (compose, watch) = (key(Action::Compose), key(Action::Watch));
        format!("Press {compose} to write a prompt, or {watch} to watch a channel id.")
    };
    let mut texts = vec![(first, theme.plain())];
    match &app.server.state {
        ServerState::Starting => texts.push((seeking(app), theme.dim())),
        ServerState::Unreachable { .. } => {
            texts.extend(outage_sentence(app, options).map(|text| (format!("x {text}"), theme.error())));
        }
        ServerState::Ready => {
            if app.server.info.as_ref().is_some_and(|info| info.demo) {
                let text = "No language model was found, so the built-in demo model answers: it shows what the program \
                            does, it knows nothing.";
                texts.push((text.to_owned(), theme.dim()));
            }
        }
    }
    let (watch, help, quit) = (key(Action::Watch), key(Action::Help), key(Action::Quit));
    let last = if composing {
        let leave = key(Action::LeaveCompose);
        format!(
            "{leave} leaves the compose box; then {watch} watches a channel id, {help} shows all keys and {quit} quits."
        )
    } else {
        format!("{help} shows all keys, {quit} quits; runs go on without this window.")
    };
    texts.push((last, theme.dim()));
    paragraphs(canvas, pane, &texts);
}

/// What is done while the server is not there yet.
fn seeking(app: &App) -> String {
    if app.server.local {
        "Starting the local server …".to_owned()
    } else {
        format!("Looking for the server {} …", app.server.name)
    }
}

/// A channel that nothing has come of.
pub(super) fn draw_empty(canvas: &mut Canvas, pane: Rect, app: &App, channel: &Channel) {
    let theme = canvas.theme;
    let mut texts = Vec::new();
    if let Some(prompt) = &channel.prompt {
        texts.push((format!("you\n{prompt}"), theme.plain()));
    }
    let text = match &channel.connection {
        Connection::Failed { reason } => (format!("x cannot be watched: {reason}"), theme.error()),
        _ if app.server.state == ServerState::Starting => (seeking(app), theme.dim()),
        _ if matches!(app.server.state, ServerState::Unreachable { .. }) => {
            let word = if is_refused(app) {
                "refuses"
            } else {
                "cannot be reached"
            };
            let when = if channel.dispatching {
                "the prompt is sent when it can be"
            } else {
                "what is kept of this channel is shown when it can be"
            };
            (format!("~ {} {word}; {when}.", app.server.name), theme.warning())
        }
        Connection::Reconnecting { reason, .. } => (format!("~ the connection was lost: {reason}"), theme.warning()),
        _ if channel.dispatching => ("Sending the prompt …".to_owned(), theme.dim()),
        _ if channel.prompt.is_some() => ("Queued: nothing has come yet.".to_owned(), theme.dim()),
        _ => match channel.state(app.now) {
            ChannelState::NotKept => (
                "Nothing of this channel is kept on this server any more: runs are kept for a while after their end, \
                 and a server that was started anew may have none. Should something come, it appears here; x takes \
                 the channel off the list."
                    .to_owned(),
                theme.dim(),
            ),
            ChannelState::Quiet => (
                "Waiting for events: nothing was published on this channel yet; what comes appears here.".to_owned(),
                theme.dim(),
            ),
            _ => (format!("Connecting to {} …", app.server.name), theme.dim()),
        },
    };
    texts.push(text);
    paragraphs(canvas, pane, &texts);
}
