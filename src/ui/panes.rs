//! Several transcripts side by side: where the panes are, their title bars, the rules between them, scrolling together.
//!
//! Which channel is in which pane is the state's matter; what a transcript looks like that of `transcript`.

use ratatui::layout::Rect;

use crate::app::panes::race::{Standing, ordinal};
use crate::app::panes::tree::Area;
use crate::app::state::Focus;
use crate::app::{App, Channel, ChannelState, Msg, Now, Scroll};
use crate::app::{ChannelState as State, panes};
use crate::text::sanitise_line;
use crate::text::width::width as columns;
use crate::wire::ChannelId;

use super::canvas::Canvas;
use super::format::{duration, short_duration};
use super::layout::Areas;
use super::transcript::{self, text_width};
use super::viewport::{RowCache, Viewport};
use super::{Ui, input, wrap};

/// Where there is room for it a pane has so many columns at least, and the list stands beside the panes.
const COMFORTABLE: u16 = 50;
/// Columns of a title bar that the title keeps.
const LEAST_TITLE: usize = 24;
/// Columns of a title bar beside the title and what stands to its right.
const AROUND_TITLE: usize = 11;

/// One pane on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pane {
    /// Its number, from 0.
    pub number: usize,
    /// Its title bar.
    pub bar: Rect,
    /// What is below it.
    pub body: Rect,
}

/// Whether the list is shown beside several panes.
pub(super) fn shows_list(app: &App, width: u16) -> bool {
    let list = crate::app::list::width(app, width);
    let columns = u16::try_from(app.panes.layout.columns()).unwrap_or(1);
    let wanted = columns.saturating_mul(COMFORTABLE + 1).saturating_sub(1);
    app.is_in_list() || width.saturating_sub(list + 1) >= wanted
}

/// The panes in an area, and the columns between them; the title bars are in the first row of each.
pub(super) fn arrange(app: &App, area: Rect) -> (Vec<Pane>, Vec<Rect>) {
    if app.is_zoomed() || !app.panes.is_several() {
        return (vec![pane(app.panes.focus, area)], Vec::new());
    }
    let whole = Area {
        x: area.x,
        y: area.y,
        width: area.width,
        height: area.height,
    };
    let arrangement = app.panes.layout.arrange(whole, app.panes.focus);
    let rect = |area: &Area| Rect::new(area.x, area.y, area.width, area.height);
    let panes = arrangement.panes.iter().map(|(number, area)| pane(*number, rect(area)));
    (panes.collect(), arrangement.dividers.iter().map(rect).collect())
}

fn pane(number: usize, area: Rect) -> Pane {
    Pane {
        number,
        bar: Rect {
            height: area.height.min(1),
            ..area
        },
        body: Rect {
            y: area.y.saturating_add(1),
            height: area.height.saturating_sub(1),
            ..area
        },
    }
}

/// What the first line says of the panes; empty with one that shows as usual.
pub(super) fn words(app: &App) -> String {
    if !app.panes.is_several() {
        return if app.is_zoomed() {
            "zoom".to_owned()
        } else {
            String::new()
        };
    }
    let count = app.panes.layout.count();
    if app.is_zoomed() {
        return format!("zoom {} of {count}", app.panes.focus + 1);
    }
    let mut words = app.panes.layout.words();
    if app.panes.together {
        words.push_str(", together");
    }
    words
}

/// Draws the panes and their title bars.
pub(super) fn draw(ui: &mut Ui, canvas: &mut Canvas, areas: &Areas, app: &App) {
    let options = ui.options;
    let in_all = app.panes.layout.count();
    for pane in &areas.panes {
        let is_current = pane.number == app.panes.focus;
        let focused = is_current && app.focus == Focus::Transcript;
        let channel = app
            .panes
            .layout
            .channel(pane.number)
            .and_then(|id| app.channels.get(id));
        let mut right = channel.map_or_else(String::new, |channel| {
            let room = usize::from(pane.bar.width).saturating_sub(LEAST_TITLE);
            let front = transcript::front(app, channel);
            let room = room.saturating_sub(front.len());
            let rest = match app.standing(channel, app.now) {
                Some(standing) => {
                    // Who runs has a short name mostly, and how it runs is the matter.
                    let name = channel.panes.race.as_ref().map_or(0, |lane| columns(&lane.name));
                    let room =
                        usize::from(pane.bar.width).saturating_sub(name.min(LEAST_TITLE) + AROUND_TITLE + front.len());
                    race_summary(channel, standing, app.now, room)
                }
                None => summary(channel, app.now, room),
            };
            format!("{front}{rest}")
        });
        if is_current && areas.panes.len() < in_all && !app.is_zoomed() {
            let fit = format!("{} of {in_all} panes fit", areas.panes.len());
            let both = format!("{right}  {fit}");
            right = if both.len() + LEAST_TITLE <= usize::from(pane.bar.width) && !right.is_empty() {
                both
            } else {
                fit
            };
        }
        let mark = if is_current { canvas.theme.mark } else { "" };
        let title = channel.map_or("empty", |channel| match &channel.panes.race {
            Some(lane) => lane.name.as_str(),
            None => channel.title.as_str(),
        });
        let title = sanitise_line(title);
        canvas.bar(pane.bar, &format!("{mark}{} {title}", pane.number + 1), &right, focused);
        if is_current && !focused {
            let style = canvas.theme.bold();
            let columns = pane.bar.width.saturating_sub(1).min(3);
            let start = Rect::new(pane.bar.x + 1, pane.bar.y, columns, 1);
            canvas.buffer.set_style(start.intersection(canvas.buffer.area), style);
        }
        match channel {
            Some(channel) => {
                let cache = ui.cache(channel);
                transcript::draw_body(canvas, pane.body, app, channel, focused, cache, options);
            }
            None => draw_empty(canvas, pane.body, app),
        }
    }
}

/// State, time and rate for the title bar of a pane: fixed widths, as much as there is room for.
fn summary(channel: &Channel, now: Now, room: usize) -> String {
    let state = channel.state(now);
    let elapsed = || channel.elapsed(now).map(duration).unwrap_or_default();
    let parts = match state {
        State::Live => vec![
            state.word().to_owned(),
            format!("{:>3.0}/s", channel.transcript.rate(channel.clock(now))),
            elapsed(),
        ],
        State::Waiting => {
            let asked = channel.transcript.waiting_calls().find_map(|call| call.asked_at);
            let waited = asked.map(|at| duration(channel.clock(now).saturating_sub(at)));
            vec![state.word().to_owned(), waited.unwrap_or_default()]
        }
        ChannelState::Reconnecting { seconds: seconds @ 1.. } => {
            vec![state.word().to_owned(), format!("in {seconds:>2} s")]
        }
        _ => vec![state.word().to_owned(), elapsed()],
    };
    join(&parts, room)
}

/// How a contestant of a race stands: its place once it is done, its rate, the time to its first token.
fn race_summary(channel: &Channel, standing: Standing, now: Now, room: usize) -> String {
    let word = match standing.place {
        Some(place) => ordinal(place),
        None => channel.state(now).word().to_owned(),
    };
    let parts = [
        word,
        standing.rate.map(|rate| format!("{rate:>3.0}/s")).unwrap_or_default(),
        standing
            .first_token_ms
            .map(|ms| format!("first {}", short_duration(ms)))
            .unwrap_or_default(),
        channel.elapsed(now).map(duration).unwrap_or_default(),
    ];
    join(&parts, room)
}

/// The parts with blanks between them, as many as there is room for; the first always.
fn join(parts: &[String], room: usize) -> String {
    let mut text = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if text.is_empty() {
            text.push_str(part);
        } else if text.len() + 1 + part.len() <= room {
            text.push(' ');
            text.push_str(part);
        }
    }
    text
}

/// A pane without a channel says how to fill it.
fn draw_empty(canvas: &mut Canvas, body: Rect, app: &App) {
    let key = |action| app.settings.keymap.first(action);
    let text = format!(
        "Nothing is shown here. A new run comes here; or pick a channel in the list. {} {} closes the pane.",
        key(crate::app::Action::PanePrefix),
        key(crate::app::Action::ClosePane),
    );
    let style = canvas.theme.dim();
    let area = Rect {
        x: body.x + 2,
        width: body.width.saturating_sub(3),
        ..body
    };
    for (row, y) in wrap(&text, area.width.max(1))
        .rows()
        .iter()
        .zip(area.top() + 1..area.bottom())
    {
        canvas.put(area.x, y, area.width, &row.text(), style);
    }
}

/// Draws the columns between what stands side by side, with the glyph that fits wherever they meet a title bar.
pub(super) fn draw_dividers(canvas: &mut Canvas, areas: &Areas) {
    let (theme, style) = (canvas.theme, canvas.theme.dim());
    let bars: Vec<Rect> = areas
        .panes
        .iter()
        .map(|pane| pane.bar)
        .chain(areas.list.map(|(bar, _)| bar))
        .collect();
    let covers = |x: u16, y: u16| {
        let inside = |divider: &Rect| divider.x == x && (divider.top()..divider.bottom()).contains(&y);
        areas.dividers.iter().any(inside)
    };
    for divider in &areas.dividers {
        for y in divider.top()..divider.bottom() {
            let left = bars.iter().any(|bar| bar.y == y && bar.right() == divider.x);
            let right = bars.iter().any(|bar| bar.y == y && bar.x == divider.x + 1);
            let glyph = match (covers(divider.x, y.wrapping_sub(1)), left, right) {
                (_, false, false) => theme.bar,
                (false, _, _) => theme.tee_down,
                (true, true, true) => theme.cross,
                (true, false, true) => theme.tee_right,
                (true, true, false) => theme.tee_left,
            };
            canvas.put(divider.x, y, 1, glyph, style);
        }
        // It ends on the title bar of the pane below, or on that of the compose box.
        let y = divider.bottom();
        if covers(divider.x, y) || y > areas.bottom_bar.y {
            continue;
        }
        let Some(end) = canvas.buffer.cell((divider.x, y)) else {
            continue;
        };
        if [theme.rule, theme.heavy].contains(&end.symbol()) {
            let style = end.style();
            canvas.put(divider.x, y, 1, theme.tee_up, style);
        }
    }
}

impl Ui {
    /// The other panes move by as many rows as the one in focus does, where they scroll together.
    pub(super) fn scroll_others(&mut self, app: &App, by: isize) -> Vec<Msg> {
        if !app.panes.together || by == 0 {
            return Vec::new();
        }
        let areas = self.areas_of(app);
        let mut messages = Vec::new();
        for pane in areas.panes.iter().filter(|pane| pane.number != app.panes.focus) {
            let found = app.panes.layout.channel(pane.number);
            let Some(channel) = found.and_then(|id: &ChannelId| app.channels.get(id)) else {
                continue;
            };
            let height = usize::from(pane.body.height);
            let cache: &mut RowCache = self.cache(channel);
            let mut viewport = Viewport::new(app, channel, cache, text_width(pane.body));
            let window = viewport.window(height);
            let to = if window.at_end && by > 0 {
                Scroll::Tail
            } else {
                let top = viewport.moved(window.top, by);
                input::scroll_at(&mut viewport, top, height)
            };
            messages.push(Msg::Panes(panes::Msg::Scroll {
                channel: channel.id.clone(),
                to,
            }));
        }
        messages
    }
}
