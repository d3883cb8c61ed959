//! The dashboard on a wall: tiles that are read from afar. No keys, no hints, no ids, no secrets.
//!
//! Which channels are in view is decided in `app::wall::kiosk`; here they are drawn. The work does not grow with the
//! transcripts: of each one only the end is looked at.

use crossterm::event::{KeyEvent, KeyEventKind};
use ratatui::layout::Rect;
use ratatui::style;

use crate::app::action::{Action, KeyCode, Modifier, Place};
use crate::app::state::ServerState;
use crate::app::wall::kiosk::{self, GAP, HEAD, Settings, View};
use crate::app::{App, Channel, ChannelState, Msg, Now};
use crate::text::mask::mask;
use crate::text::{json, preview, sanitise_line};
use crate::transcript::{BlockKind, Connection};

use super::canvas::Canvas;
use super::format::{clock, duration};
use super::header::{count_texts, outage_sentence};
use super::{UiOptions, keys, wrap};

/// The most bytes of a text's end that are looked at for a tile.
const TAIL_BYTES: usize = 4_096;
/// Rows from which on a tile has blank rows around its title.
const AIRY: u16 = 9;
/// Columns that a tile's text stands in from its rule's ends.
const INSET: u16 = 2;

/// Draws the whole screen.
pub(super) fn draw(canvas: &mut Canvas, screen: Rect, app: &App, settings: &Settings, options: UiOptions) {
    let view = kiosk::view(app, settings);
    draw_head(canvas, screen, app, &view, options);
    let body = Rect {
        y: screen.y + HEAD.min(screen.height),
        height: screen.height.saturating_sub(HEAD),
        ..screen
    };
    if view.tiles.is_empty() {
        draw_empty(canvas, body, app, settings, options);
    }
    for (place, id) in view.tiles.iter().enumerate() {
        if let Some(channel) = app.channels.get(*id) {
            draw_tile(canvas, tile(body, &view, place), app, channel, options);
        }
    }
    draw_trouble(canvas, screen, app, &view, options);
}

/// The keys that mean something here: Ctrl-C, twice to leave, and the one that draws the screen again.
pub(super) fn key(app: &App, event: KeyEvent) -> Vec<Msg> {
    let Some(key) = keys::convert(event).filter(|_| event.kind != KeyEventKind::Release) else {
        return Vec::new();
    };
    if key.modifier == Modifier::Ctrl && key.code == KeyCode::Char('c') {
        return vec![Msg::Action(Action::Interrupt)];
    }
    let action = app.settings.keymap.lookup(Place::List, key);
    let action = action.filter(|action| *action == Action::Redraw);
    action.map(Msg::Action).into_iter().collect()
}

/// Where a tile is: the columns and rows that are left over go to the first ones.
fn tile(body: Rect, view: &View, place: usize) -> Rect {
    let place = u16::try_from(place).unwrap_or(u16::MAX);
    let (column, row) = (place % view.columns, place / view.columns);
    let share = |all: u16, parts: u16, part: u16, gap: u16| {
        let net = all.saturating_sub(gap * (parts - 1));
        let size = net / parts + u16::from(part < net % parts);
        let start = part * (net / parts + gap) + part.min(net % parts);
        (start, size)
    };
    let (x, width) = share(body.width, view.columns, column, GAP);
    let (y, height) = share(body.height, view.rows, row, 0);
    Rect::new(body.x + x, body.y + y, width, height).intersection(body)
}

/// Program and server on the left; counts, page and clock on the right.
fn draw_head(canvas: &mut Canvas, screen: Rect, app: &App, view: &View, options: UiOptions) {
    if screen.height == 0 {
        return;
    }
    let theme = canvas.theme;
    let y = screen.y;
    let mut right = screen.right().saturating_sub(1);
    right = canvas
        .put_right(screen.x, right, y, &clock(app.now, options), theme.bold())
        .saturating_sub(3);
    if view.page.1 > 1 && screen.width >= 50 {
        let page = format!("{}/{}", view.page.0 + 1, view.page.1);
        right = canvas
            .put_right(screen.x, right, y, &page, theme.dim())
            .saturating_sub(3);
    }
    let words = screen.width >= 70;
    for (text, style) in count_texts(view.counts, &theme, words).iter().rev() {
        if right <= screen.x + 13 {
            break;
        }
        right = canvas.put_right(screen.x, right, y, text, *style).saturating_sub(2);
    }
    let left = screen.x + 1;
    let x = canvas.put(left, y, right.saturating_sub(left), "switchboard", theme.bold()) + 2;
    let name = sanitise_line(&app.server.name);
    if right >= x + 4 {
        canvas.put(x, y, right - x, &name, theme.dim());
    }
}

/// What there is to say where there is nothing to show.
fn draw_empty(canvas: &mut Canvas, body: Rect, app: &App, settings: &Settings, options: UiOptions) {
    let theme = canvas.theme;
    let lobby = app.settings.wall.lobby.is_some();
    let text = match &app.server.state {
        ServerState::Unreachable { .. } => mask(&outage_sentence(app, options).unwrap_or_default()).into_owned(),
        ServerState::Starting => "Looking for the server…".to_owned(),
        ServerState::Ready if !settings.only.is_empty() && !app.channels.is_empty() => {
            "No run has one of the titles that this kiosk shows.".to_owned()
        }
        ServerState::Ready => match (app.server.info.is_some(), lobby) {
            (true, true) => "No runs now. This server's appear here, and those of the lobby.",
            (true, false) => "No runs now. What this server runs appears here.",
            (false, true) => "No runs now. What is announced in the lobby appears here.",
            (false, false) => {
                "No runs. This server has no list of them: name a [lobby] in the configuration, in which terminals announce theirs."
            }
        }
        .to_owned(),
    };
    let width = body.width.saturating_sub(4).min(64);
    let rows = wrap(&text, width.max(1));
    let height = u16::try_from(rows.rows().len()).unwrap_or(u16::MAX);
    let top = body.y + body.height.saturating_sub(height) / 2;
    for (row, y) in rows.rows().iter().zip(top..body.bottom()) {
        let x = body.x + body.width.saturating_sub(row.width) / 2;
        canvas.put(x, y, row.width, &row.text(), theme.dim());
    }
}

/// What is wrong with the whole, in the line under the first one: nobody can ask for it here.
fn draw_trouble(canvas: &mut Canvas, screen: Rect, app: &App, view: &View, options: UiOptions) {
    let theme = canvas.theme;
    let text = match (&app.notice, app.outage()) {
        (Some(notice), _) if notice.error => Some(notice.text.clone()),
        (_, Some((since, next))) if !view.tiles.is_empty() => {
            let since = clock(
                Now {
                    unix_ms: since,
                    ..app.now
                },
                options,
            );
            let seconds = next.saturating_sub(app.now.unix_ms).div_ceil(1_000);
            let next = if seconds == 0 {
                "trying now".to_owned()
            } else {
                format!("next try in {seconds} s")
            };
            Some(format!("the server cannot be reached since {since}, {next}"))
        }
        _ => None,
    };
    let y = screen.y + 1;
    if screen.height < HEAD {
        return;
    }
    let room = screen.width.saturating_sub(2);
    if let Some(text) = text {
        let text = format!("x {}", mask(&sanitise_line(&text)));
        canvas.put(screen.x + 1, y, room, &text, theme.error());
    } else if view.hidden_needy > 0 {
        let verb = if view.hidden_needy == 1 { "needs" } else { "need" };
        let text = format!("! {} more {verb} somebody", view.hidden_needy);
        canvas.put(screen.x + 1, y, room, &text, theme.warning());
    }
}

fn draw_tile(canvas: &mut Canvas, area: Rect, app: &App, channel: &Channel, options: UiOptions) {
    let theme = canvas.theme;
    let state = channel.state(app.now);
    let (glyph, style) = theme.state(state);
    let needy = matches!(state, ChannelState::Waiting | ChannelState::Failed);
    let top = Rect {
        height: 1.min(area.height),
        ..area
    };
    if needy {
        canvas.fill(top, theme.heavy, style);
    } else {
        canvas.fill(top, theme.rule, theme.dim());
    }
    let airy = area.height >= AIRY;
    let left = area.x + INSET;
    let right = area.right().saturating_sub(1);
    let room = right.saturating_sub(left);
    let mut y = area.y + 1 + u16::from(airy);
    let put = |canvas: &mut Canvas, y: u16, text: &str, style| {
        if y < area.bottom() {
            canvas.put(left, y, room, text, style);
        }
    };
    let title = mask(&channel.title);
    put(canvas, y, &title, theme.bold());
    y += 1 + u16::from(airy);
    if y < area.bottom() {
        let counters = channel.transcript.counters();
        let word = match state {
            ChannelState::Reconnecting { seconds } if seconds > 0 => format!("{glyph} reconnecting in {seconds} s"),
            ChannelState::Done | ChannelState::Failed | ChannelState::Cancelled => match counters.ended_at {
                Some(at) => {
                    let at = Now { unix_ms: at, ..app.now };
                    format!("{glyph} {} at {}", state.word(), clock(at, options))
                }
                None => format!("{glyph} {}", state.word()),
            },
            _ => format!("{glyph} {}", state.word()),
        };
        // Of a run that waits it counts how long it does.
        let asked_at = channel.transcript.waiting_calls().next().and_then(|call| call.asked_at);
        let elapsed = match asked_at {
            Some(at) => Some(app.now.unix_ms.saturating_sub(at)),
            None => channel.elapsed(app.now),
        };
        let elapsed = elapsed.map(duration).unwrap_or_default();
        let rate = match state {
            ChannelState::Live => format!("{:.0}/s", channel.transcript.rate(app.now.unix_ms)),
            _ => String::new(),
        };
        let mut limit = canvas.put_right(left, right, y, &elapsed, theme.plain());
        if !rate.is_empty() {
            // The rate keeps its place when the time gets longer.
            limit = canvas.put_right(left, right.saturating_sub(8), y, &rate, theme.dim());
        }
        let style = if needy {
            style.add_modifier(style::Modifier::BOLD)
        } else {
            style
        };
        canvas.put(left, y, limit.saturating_sub(left + 1), &word, style);
    }
    y += 1 + u16::from(airy);
    // Where there is room, the next tile's rule does not stand right under the text.
    let rows = area.bottom().saturating_sub(y + u16::from(airy));
    if rows == 0 || room < 4 {
        return;
    }
    let style = if needy || state == ChannelState::Live {
        theme.plain()
    } else {
        theme.dim()
    };
    let text = words(channel, state, usize::from(room) * usize::from(rows));
    let laid_out = wrap(&text, room);
    let all = laid_out.rows();
    // What a run waits for or failed of is read from its beginning, what it says from its end.
    let skip = if needy {
        0
    } else {
        all.len().saturating_sub(usize::from(rows))
    };
    for (row, y) in all.iter().skip(skip).zip(y..y + rows) {
        put(canvas, y, &row.text(), style);
    }
}

/// What is worth reading of a channel, without secrets and ids, in lines.
fn words(channel: &Channel, state: ChannelState, cells: usize) -> String {
    let text = match state {
        ChannelState::Waiting => {
            let calls = channel.transcript.waiting_calls().take(4);
            let calls = calls.map(|call| json::call(call.function, call.arguments, cells.min(TAIL_BYTES)));
            calls.collect::<Vec<_>>().join("\n")
        }
        ChannelState::Failed => failure(channel),
        ChannelState::Reconnecting { .. }
        | ChannelState::Done
        | ChannelState::Live
        | ChannelState::Cancelled
        | ChannelState::Replay => last_lines(channel, cells),
        ChannelState::NotKept => "the server has nothing of it any more".to_owned(),
        ChannelState::Connecting | ChannelState::Quiet | ChannelState::Queued => String::new(),
    };
    let lines = text.lines().map(|line| mask(&sanitise_line(line)).into_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn failure(channel: &Channel) -> String {
    if let Connection::Failed { reason } = &channel.connection {
        return reason.clone();
    }
    let blocks = channel.transcript.blocks().rev().take(4);
    let mut message = blocks.filter_map(|block| match &block.kind {
        BlockKind::Failure { message, .. } => Some(message.clone()),
        _ => None,
    });
    message.next().unwrap_or_default()
}

/// The end of what the bot wrote last, as words.
fn last_lines(channel: &Channel, cells: usize) -> String {
    let blocks = channel
        .transcript
        .blocks()
        .rev()
        .take(16)
        .filter(|block| !block.superseded);
    let texts = blocks.filter_map(|block| match &block.kind {
        BlockKind::Answer { text, .. } | BlockKind::Reasoning { text, .. } => Some(text.as_str()),
        _ => None,
    });
    let mut texts = texts.filter(|text| !text.trim().is_empty());
    let Some(text) = texts.next() else {
        return String::new();
    };
    let tail = tail(text.trim_end(), cells.saturating_mul(4).min(TAIL_BYTES));
    let lines = tail.lines().map(preview::words).filter(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// The end of a text, from the beginning of a word: half a secret would not be known as one.
fn tail(text: &str, bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(bytes);
    if from == 0 {
        return text;
    }
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let cut = &text[from..];
    match cut.find(char::is_whitespace) {
        Some(at) => cut[at..].trim_start(),
        None => "",
    }
}
