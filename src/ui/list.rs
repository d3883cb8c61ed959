//! The channel list: two rows a channel beside a transcript, one row a channel alone. Only rows in view are
//! written.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::app::state::Focus;
use crate::app::{App, Channel, ChannelState};
use crate::text::{json, preview, sanitise_line};
use crate::transcript::{BlockKind, Connection};

use super::UiOptions;
use super::canvas::Canvas;
use super::format::{duration, number};
use super::transcript::draw_welcome;

/// From this width on one row has room for all columns.
const ALL_COLUMNS: u16 = 60;

/// Draws the title bar and the rows; `first` is the channel at the top, kept from frame to frame.
pub(super) fn draw(
    canvas: &mut Canvas,
    bar: Rect,
    pane: Rect,
    app: &App,
    first: &mut usize,
    wide: bool,
    options: UiOptions,
) {
    let focused = app.focus == Focus::List;
    let unread = app.channels.values().filter(|channel| channel.unread).count();
    let right = if unread > 0 {
        format!("{unread} unread")
    } else {
        String::new()
    };
    let title = match app.channels.len() {
        0 => "channels".to_owned(),
        n => format!("channels {n}"),
    };
    canvas.bar(bar, &title, &right, focused);
    if app.channels.is_empty() {
        if wide {
            let style = canvas.theme.dim();
            canvas.put(
                pane.x + 2,
                pane.y + 1,
                pane.width.saturating_sub(3),
                "none watched yet",
                style,
            );
        } else {
            draw_welcome(canvas, pane, app, options);
        }
        return;
    }
    let rows = if wide { 2 } else { 1 };
    let visible = usize::from(pane.height / rows).max(1);
    let selected = app.selected_index().unwrap_or(0);
    *first = (*first)
        .min(app.channels.len().saturating_sub(visible))
        .clamp((selected + 1).saturating_sub(visible), selected);
    for (place, channel) in app.channels.values().skip(*first).take(visible).enumerate() {
        let y = pane.y + rows * u16::try_from(place).unwrap_or(u16::MAX);
        let area = Rect {
            y,
            height: rows,
            ..pane
        }
        .intersection(pane);
        draw_channel(canvas, area, app, channel, wide);
    }
}

fn draw_channel(canvas: &mut Canvas, area: Rect, app: &App, channel: &Channel, wide: bool) {
    let theme = canvas.theme;
    let state = channel.state(app.now);
    let (glyph, style) = theme.state(state);
    let selected = app.selected.as_ref() == Some(&channel.id);
    if selected {
        for y in area.top()..area.bottom() {
            let mark_style = if app.focus == Focus::List {
                theme.accent()
            } else {
                theme.plain()
            };
            canvas.put(area.x, y, 1, theme.mark, mark_style);
        }
    }
    if channel.unread {
        canvas.put(area.x + 1, area.y, 1, theme.unread, theme.accent());
    }
    canvas.put(area.x + 2, area.y, 1, glyph, style);
    let right = area.right().saturating_sub(1);
    let left = area.x + 4;
    let mut title_style = theme.plain();
    if selected || channel.unread {
        title_style = title_style.add_modifier(Modifier::BOLD);
    }
    let elapsed = match state {
        ChannelState::Reconnecting { seconds: 0 } => String::new(),
        ChannelState::Reconnecting { seconds } => format!("{seconds:>3} s"),
        _ => channel.elapsed(app.now).map(duration).unwrap_or_default(),
    };
    // A channel without a run has no time either: its longer word takes the room.
    let word_right = match state {
        ChannelState::NotKept | ChannelState::Quiet => right,
        _ => right.saturating_sub(6),
    };
    let limit = if wide {
        canvas.put_right(left, right, area.y, &elapsed, theme.dim());
        canvas.put_right(left, word_right, area.y, state.word(), style)
    } else {
        let (tokens, rate) = numbers(channel, app, state);
        canvas.put_right(left, right, area.y, &elapsed, theme.dim());
        if area.width >= ALL_COLUMNS {
            canvas.put_right(left, right.saturating_sub(7), area.y, &rate, theme.dim());
            canvas.put_right(left, right.saturating_sub(14), area.y, &tokens, theme.dim());
            let start = right.saturating_sub(26 + 12);
            canvas.put(start, area.y, 12, state.word(), style);
            start
        } else {
            canvas.put_right(left, word_right, area.y, state.word(), style)
        }
    };
    canvas.put(
        left,
        area.y,
        limit.saturating_sub(left + 1),
        &channel.title,
        title_style,
    );
    if wide && area.height > 1 {
        let (tokens, rate) = numbers(channel, app, state);
        let y = area.y + 1;
        canvas.put_right(left, right, y, &rate, theme.dim());
        let limit = canvas.put_right(left, right.saturating_sub(6), y, &tokens, theme.dim());
        let text = last_words(channel, app, usize::from(limit.saturating_sub(left + 1)));
        canvas.put(left, y, limit.saturating_sub(left + 1), &text, theme.dim());
    }
}

/// Tokens and rate, each empty where it says nothing.
fn numbers(channel: &Channel, app: &App, state: ChannelState) -> (String, String) {
    let tokens = match channel.tokens() {
        0 => String::new(),
        tokens => format!("{} tok", number(tokens)),
    };
    let rate = if state == ChannelState::Live {
        format!("{:.0}/s", channel.transcript.rate(channel.clock(app.now)))
    } else {
        String::new()
    };
    (tokens, rate)
}

/// What is worth knowing of a channel in one short line.
fn last_words(channel: &Channel, app: &App, max: usize) -> String {
    if max < 4 {
        return String::new();
    }
    match channel.state(app.now) {
        ChannelState::Waiting => channel
            .transcript
            .waiting_calls()
            .next()
            .map(|call| json::call(call.function, call.arguments, max)),
        ChannelState::Reconnecting { .. } | ChannelState::Failed => match &channel.connection {
            Connection::Reconnecting { reason, .. } | Connection::Failed { reason } => {
                Some(sanitise_line(reason).into_owned())
            }
            _ => failure(channel),
        },
        ChannelState::NotKept => Some("the server has nothing of it any more".to_owned()),
        _ => {
            // The end of the text, not its beginning, is what is new.
            let text = channel.transcript.last_text(max);
            text.map(|text| sanitise_line(&preview::words(&text)).into_owned())
        }
    }
    .unwrap_or_default()
}

fn failure(channel: &Channel) -> Option<String> {
    channel
        .transcript
        .blocks()
        .rev()
        .take(4)
        .find_map(|block| match &block.kind {
            BlockKind::Failure { message, .. } => Some(sanitise_line(message).into_owned()),
            _ => None,
        })
}
