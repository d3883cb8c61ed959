//! The channel list: its title bar, the rows in view, the line at its bottom. Only rows in view are looked at.
//!
//! One channel's lines are in `row`, what the list asks for in `ask`; the order is `app`'s matter.

mod ask;
mod row;

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::App;
use crate::app::action::Action;
use crate::app::list::{GroupBy, Row};
use crate::app::state::{Ask, AskFor, Focus, Overlay};
use crate::text::sanitise_line;
use crate::text::width::width;
use crate::wire::ChannelId;

use super::UiOptions;
use super::canvas::Canvas;
use super::transcript::draw_welcome;

pub(super) use ask::{ask_filter, ask_group, ask_title, confirm_ended};
pub(super) use row::draw_footing;

/// From so many rows on the last one says how many channels there are and in which order.
const FOOT_FROM: u16 = 5;

/// The rows that channels are shown in.
fn body(pane: Rect) -> Rect {
    let foot = u16::from(pane.height >= FOOT_FROM);
    Rect {
        height: pane.height - foot,
        ..pane
    }
}

/// How many channels a pane shows.
pub(super) fn channels_of(app: &App, pane: Rect) -> usize {
    usize::from(body(pane).height / app.list.lines()).max(1)
}

/// The channels of which a row may be in view in so many rows of the screen, from the row at the top on.
pub(super) fn in_view(app: &App, first: usize, height: u16) -> impl Iterator<Item = &ChannelId> {
    let rows = app.list.rows().iter().skip(first).take(usize::from(height));
    rows.filter_map(|row| match row {
        Row::Channel(index) => app.channels.get_index(*index).map(|(id, _)| id),
        Row::Heading(_) => None,
    })
}

/// The channel, by its place in the list, that stands on a row of the screen when `first` is the row at the top.
pub(super) fn index_at(app: &App, pane: Rect, first: usize, y: u16) -> Option<usize> {
    let area = body(pane);
    let mut top = area.y;
    for row in app.list.rows().iter().skip(first) {
        let bottom = top + height(*row, app.list.lines());
        if (top..bottom.min(area.bottom())).contains(&y) {
            return match row {
                Row::Channel(index) => Some(*index),
                Row::Heading(_) => None,
            };
        }
        top = bottom;
    }
    None
}

/// Draws the title bar and the rows; `first` is the row at the top, kept from frame to frame. Gives the row of the
/// screen that the mark is on.
pub(super) fn draw(
    canvas: &mut Canvas,
    bar: Rect,
    pane: Rect,
    app: &App,
    first: &mut usize,
    wide: bool,
    options: UiOptions,
) -> Option<u16> {
    let focused = app.focus == Focus::List;
    let title = match app.channels.len() {
        0 => "channels".to_owned(),
        n => format!("channels {n}"),
    };
    if app.channels.is_empty() {
        canvas.bar(bar, &title, "", focused);
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
        return None;
    }
    let rows = app.list.rows();
    let area = body(pane);
    *first = first_row(app, *first, area.height);
    let lines = app.list.lines();
    let columns = row::Columns::of(area.width);
    let mut y = area.y;
    let mut end = *first;
    let mut marked = None;
    for entry in &rows[*first..] {
        let height = height(*entry, lines);
        if y + height > area.bottom() && (y > area.y || y >= area.bottom()) {
            break;
        }
        match entry {
            Row::Heading(at) => draw_heading(canvas, Rect { y, height, ..area }, app, *at),
            Row::Channel(index) => {
                if let Some((id, channel)) = app.channels.get_index(*index) {
                    let place = Rect { y, height, ..area }.intersection(area);
                    row::draw(canvas, place, &columns, app, channel, options);
                    if app.selected.as_ref() == Some(id) {
                        marked = Some(y);
                    }
                }
            }
        }
        y += height;
        end += 1;
    }
    if rows.is_empty() {
        let style = canvas.theme.dim();
        let text = "nothing fits the filter";
        canvas.put(area.x + 2, area.y, area.width.saturating_sub(3), text, style);
    }
    draw_bar(canvas, bar, app, &title, focused, app.list.waiting_outside(*first, end));
    if area.height < pane.height {
        let foot = Rect {
            y: area.bottom(),
            height: 1,
            ..pane
        };
        draw_foot(canvas, foot, app);
    }
    marked
}

/// The title bar: how many, and what is out of view and waits, else how many are unread.
fn draw_bar(canvas: &mut Canvas, bar: Rect, app: &App, title: &str, focused: bool, waiting: (usize, usize)) {
    let right = match waiting {
        (0, 0) => match app.list.unread() {
            0 => String::new(),
            unread => format!("{unread} unread"),
        },
        (above, 0) => format!("! {above} {} above", wait_word(above)),
        (0, below) => format!("! {below} {} below", wait_word(below)),
        (above, below) => format!("! {} wait above, below", above + below),
    };
    canvas.bar(bar, title, &right, focused);
    if waiting != (0, 0) {
        // It stands out from the bar.
        let style = canvas.theme.warning().add_modifier(Modifier::BOLD | Modifier::REVERSED);
        let columns = u16::try_from(width(&right)).unwrap_or(0) + 2;
        let x = bar.right().saturating_sub(columns + 1);
        if canvas.buffer[(x + 1, bar.y)].symbol() == "!" {
            canvas.put_right(
                bar.x,
                bar.right().saturating_sub(1),
                bar.y,
                &format!(" {right} "),
                style,
            );
        }
    }
}

fn wait_word(count: usize) -> &'static str {
    if count == 1 { "waits" } else { "wait" }
}

fn height(row: Row, lines: u16) -> u16 {
    match row {
        Row::Heading(_) => 1,
        Row::Channel(_) => lines,
    }
}

/// The row at the top: the one of the frame before, unless the mark would be out of view, or rows at the end unused.
fn first_row(app: &App, before: usize, height_in_all: u16) -> usize {
    let rows = app.list.rows();
    let lines = app.list.lines();
    // The highest row from which everything down to `end` (half open) is in view.
    let highest = |end: usize| {
        let mut left = height_in_all;
        let mut first = end;
        while first > 0 {
            let height = height(rows[first - 1], lines);
            if height > left {
                break;
            }
            left -= height;
            first -= 1;
        }
        first.min(rows.len().saturating_sub(1))
    };
    let mut first = before.min(highest(rows.len()));
    let selected = app.selected.as_ref().and_then(|id| app.channels.get_index_of(id));
    if let Some(row) = selected.and_then(|channel| app.list.row_of(channel)) {
        if row < first {
            // With its heading.
            first = match row.checked_sub(1) {
                Some(above) if matches!(rows[above], Row::Heading(_)) => above,
                _ => row,
            };
        }
        first = first.max(highest(row + 1).min(row));
    }
    first
}

fn draw_heading(canvas: &mut Canvas, area: Rect, app: &App, at: usize) {
    let Some(heading) = app.list.heading(at) else {
        return;
    };
    let theme = canvas.theme;
    let right = area.right().saturating_sub(1);
    let limit = canvas.put_right(area.x + 2, right, area.y, &heading.count.to_string(), theme.dim());
    let style = theme.dim().add_modifier(Modifier::BOLD);
    canvas.put(
        area.x + 2,
        area.y,
        limit.saturating_sub(area.x + 3),
        &heading.text,
        style,
    );
}

/// How many channels, in which order, narrowed to what; as much of it as there is room for.
fn draw_foot(canvas: &mut Canvas, area: Rect, app: &App) {
    let theme = canvas.theme;
    let keymap = &app.settings.keymap;
    let filter = app.list.filter.text();
    let typing = matches!(
        &app.overlay,
        Some(Overlay::Ask(Ask {
            purpose: AskFor::Filter,
            ..
        }))
    );
    let filtered = typing || !app.list.filter.is_empty();
    let all = app.channels.len();
    let noun = if all == 1 { "channel" } else { "channels" };
    let count = if filtered {
        format!("{} of {all}", app.list.listed())
    } else {
        format!("{all} {noun}")
    };
    let key = keymap.first(Action::FilterList);
    let narrowed = if filtered {
        (format!("{key}{}", sanitise_line(filter)), theme.accent())
    } else {
        (format!("{key} filter"), theme.dim())
    };
    let mut parts: Vec<(String, Style)> = vec![
        (count, theme.dim()),
        (format!("sort: {}", app.list.sort.word()), theme.dim()),
    ];
    match app.list.group_by {
        GroupBy::None => {}
        GroupBy::State => parts.push(("by state".to_owned(), theme.dim())),
        GroupBy::Label => parts.push(("by label".to_owned(), theme.dim())),
    }
    parts.push(narrowed);
    let room = usize::from(area.width.saturating_sub(3));
    let columns = |parts: &[(String, Style)], gap: usize| -> usize {
        parts
            .iter()
            .map(|(text, _)| width(text) + gap)
            .sum::<usize>()
            .saturating_sub(gap)
    };
    // What tells least goes first: how it is grouped, the key of the filter, how it is sorted.
    if columns(&parts, 2) > room && parts.len() > 3 {
        parts.remove(2);
    }
    if columns(&parts, 2) > room && !filtered {
        parts.pop();
    }
    if columns(&parts, 2) > room && parts.len() > 1 {
        parts.remove(1);
    }
    let gap = if columns(&parts, 3) <= room { 3 } else { 2 };
    let mut x = area.x + 2;
    let right = area.right().saturating_sub(1);
    for (text, style) in parts {
        x = canvas.put(x, area.y, right.saturating_sub(x), &text, style) + gap;
    }
}
