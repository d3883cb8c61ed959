//! Selecting text of the transcript in focus: keys over rows, the rows as they are drawn, and the text of a selection
//! as it stands in the content: rows of one paragraph joined, without margins and without the program's own marks.
//!
//! What is selected is kept by `app` as places in the content; here they become rows.

use ratatui::layout::Rect;
use ratatui::style::Modifier;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::app::action::Action;
use crate::app::copying::{self, Point, Selection};
use crate::app::{App, Msg, Scroll};
use crate::text::width::{grapheme_width, width};
use crate::text::{Joint, Role, Span};

use super::Ui;
use super::block::BlockView;
use super::canvas::Canvas;
use super::transcript::MARGIN;
use super::viewport::{Place, Viewport, Window};

impl Ui {
    /// What a key of selecting means; `None`: it is no such key.
    pub(super) fn select_by_key(&mut self, app: &App, action: Action) -> Option<Vec<Msg>> {
        if !action.selects_text() {
            return None;
        }
        let selection = copying::selection(app).cloned();
        let messages = self.with_viewport(app, |viewport, height| {
            if viewport.channel.transcript.is_empty() {
                return None;
            }
            let window = viewport.window(height);
            match (action, selection) {
                (Action::SelectText, _) => begin(viewport, window),
                (Action::SelectionCopy, Some(selection)) => {
                    let text = text(viewport, &selection);
                    Some(vec![Msg::Copying(copying::Msg::CopySelected(text))])
                }
                (_, Some(selection)) => Some(go(viewport, window, selection, action)),
                (_, None) => None,
            }
        });
        Some(messages.flatten().unwrap_or_else(|| vec![Msg::Action(action)]))
    }
}

/// Begins with the marked part if it is in view, else with the first row in view.
fn begin(viewport: &mut Viewport, window: Window) -> Option<Vec<Msg>> {
    let last = viewport.moved(window.top, rows(window.rows.saturating_sub(1)));
    let marked = viewport.channel.marked.and_then(|id| viewport.position(id));
    let start = marked.map(|index| Place {
        index,
        row: viewport.view(index).map_or(0, |view| view.gap),
    });
    let start = start
        .filter(|start| (window.top..=last).contains(start))
        .unwrap_or(window.top);
    let at = point(viewport, start, 0)?;
    let selection = selected(viewport, at, at, true);
    let mut messages = Vec::new();
    if selection.followed {
        // What is being selected does not run away.
        messages.push(Msg::ScrollTo(viewport.anchor(window.top)));
    }
    messages.push(Msg::Copying(copying::Msg::Select(Some(selection))));
    Some(messages)
}

/// A selection between two places of a channel.
pub(super) fn selected(viewport: &Viewport, anchor: Point, cursor: Point, whole_rows: bool) -> Selection {
    Selection {
        channel: viewport.channel.id.clone(),
        generation: viewport.channel.generation,
        anchor,
        cursor,
        whole_rows,
        followed: !viewport.is_raw() && viewport.channel.scroll == Scroll::Tail,
    }
}

/// The place in the content of a row and a column.
pub(super) fn point(viewport: &mut Viewport, place: Place, column: u16) -> Option<Point> {
    match viewport.anchor(place) {
        Scroll::Anchor { block, spot } => Some(Point { block, spot, column }),
        Scroll::Tail => None,
    }
}

fn go(viewport: &mut Viewport, window: Window, mut selection: Selection, action: Action) -> Vec<Msg> {
    let from = viewport.resolve(selection.cursor.block, selection.cursor.spot);
    let column = selection.cursor.column;
    let page = rows(window.rows.saturating_sub(1).max(1));
    let last = Place {
        index: viewport.count().saturating_sub(1),
        row: usize::MAX,
    };
    let mut to = (from, column);
    match action {
        Action::SelectionDown => to.0 = viewport.moved(from, 1),
        Action::SelectionUp => to.0 = viewport.moved(from, -1),
        Action::SelectionPageDown => to.0 = viewport.moved(from, page),
        Action::SelectionPageUp => to.0 = viewport.moved(from, -page),
        Action::SelectionTop => to.0 = Place { index: 0, row: 0 },
        Action::SelectionBottom => {
            let row = viewport.view(last.index).map_or(0, |view| view.len().saturating_sub(1));
            to.0 = Place { row, ..last };
        }
        Action::SelectionLeft => to.1 = aside(viewport, from, column, false),
        Action::SelectionRight => to.1 = aside(viewport, from, column, true),
        Action::SelectionWord => to = word(viewport, from, column, true),
        Action::SelectionWordBack => to = word(viewport, from, column, false),
        Action::SelectionKind => selection.whole_rows = !selection.whole_rows,
        _ => {}
    }
    let by_character = matches!(
        action,
        Action::SelectionLeft | Action::SelectionRight | Action::SelectionWord | Action::SelectionWordBack
    );
    if by_character && selection.whole_rows {
        // Who goes by characters wants characters.
        selection.whole_rows = false;
    }
    let Some(cursor) = point(viewport, to.0, to.1) else {
        return Vec::new();
    };
    selection.cursor = cursor;
    let mut messages = vec![Msg::Copying(copying::Msg::Select(Some(selection)))];
    messages.extend(into_view(viewport, window, to.0));
    messages
}

/// The scrolling that brings a row into view; `None` where it is.
pub(super) fn into_view(viewport: &mut Viewport, window: Window, place: Place) -> Option<Msg> {
    let height = window.rows.max(1);
    let bottom = viewport.moved(window.top, rows(height - 1));
    let top = if place < window.top {
        place
    } else if place > bottom {
        viewport.moved(place, -rows(height - 1))
    } else {
        return None;
    };
    Some(Msg::ScrollTo(viewport.anchor(top)))
}

/// The column of the grapheme beside the one at a column, within the row.
fn aside(viewport: &mut Viewport, place: Place, column: u16, right: bool) -> u16 {
    let starts: Vec<u16> = graphemes(viewport, place).into_iter().map(|(at, _)| at).collect();
    if right {
        let next = starts.iter().find(|at| **at > column);
        next.or(starts.last()).copied().unwrap_or(0)
    } else {
        let before = starts.iter().rev().find(|at| **at < column);
        before.or(starts.first()).copied().unwrap_or(0)
    }
}

/// Where the next word begins, or the one before, over the ends of rows too.
fn word(viewport: &mut Viewport, from: Place, column: u16, forward: bool) -> (Place, u16) {
    let mut place = from;
    let mut limit = Some(column);
    // Blank rows and rows without words are passed over, but not for ever.
    for _ in 0..1_000 {
        let starts = word_starts(viewport, place);
        let found = match (forward, limit) {
            (true, Some(column)) => starts.into_iter().find(|at| *at > column),
            (true, None) => starts.into_iter().next(),
            (false, Some(column)) => starts.into_iter().rev().find(|at| *at < column),
            (false, None) => starts.into_iter().next_back(),
        };
        if let Some(column) = found {
            return (place, column);
        }
        let next = viewport.moved(place, if forward { 1 } else { -1 });
        if next == place {
            break;
        }
        place = next;
        limit = None;
    }
    (from, column)
}

fn word_starts(viewport: &mut Viewport, place: Place) -> Vec<u16> {
    let mut starts = Vec::new();
    let mut in_word = false;
    for (at, text) in graphemes(viewport, place) {
        let is_word = text.chars().any(char::is_alphanumeric) || text == "_";
        if is_word && !in_word {
            starts.push(at);
        }
        in_word = is_word;
    }
    starts
}

/// The graphemes of a row with their columns.
fn graphemes(viewport: &mut Viewport, place: Place) -> Vec<(u16, String)> {
    let Some(view) = viewport.view(place.index) else {
        return Vec::new();
    };
    let line = line(view, place.row);
    let mut column = line.left;
    let mut found = Vec::new();
    for span in &line.spans {
        for grapheme in span.text.graphemes(true) {
            found.push((column, grapheme.to_owned()));
            column = column.saturating_add(columns(grapheme));
        }
    }
    found
}

/// A row as selecting sees it.
struct Line {
    /// The columns in front of it.
    left: u16,
    spans: Vec<Span>,
    /// How it follows on the one above.
    joint: Joint,
    /// How many of the spans stand in front of every row of their paragraph.
    front: usize,
    /// It is the program's own and no part of any text.
    is_note: bool,
}

fn line(view: &BlockView, row: usize) -> Line {
    let head = view.head.len();
    let body = view.body();
    let own = |line: &super::block::Line, is_note| Line {
        left: line.indent,
        spans: vec![Span::new(line.text.clone(), Role::Plain)],
        joint: Joint::Break,
        front: 0,
        is_note,
    };
    if let Some(line) = view.head.get(row) {
        return own(line, false);
    }
    if let Some(row) = body.get(row - head) {
        return Line {
            left: view.body_indent,
            spans: row.spans.clone(),
            joint: row.joint,
            front: row.front,
            is_note: row.spans.iter().any(|span| span.role == Role::CodeInfo),
        };
    }
    match view.foot.get(row - head - body.len()) {
        Some(line) => own(line, true),
        None => Line {
            left: 0,
            spans: Vec::new(),
            joint: Joint::Break,
            front: 0,
            is_note: true,
        },
    }
}

/// The rows and columns of a selection, the first one first.
fn range(viewport: &mut Viewport, selection: &Selection) -> ((Place, u16), (Place, u16)) {
    let mut place = |point: Point| (viewport.resolve(point.block, point.spot), point.column);
    let (a, b) = (place(selection.anchor), place(selection.cursor));
    if a <= b { (a, b) } else { (b, a) }
}

/// The text of a selection.
pub(super) fn text(viewport: &mut Viewport, selection: &Selection) -> String {
    let (start, end) = range(viewport, selection);
    let mut out = String::new();
    let mut any = false;
    for index in start.0.index..=end.0.index {
        let Some(view) = viewport.view(index) else { break };
        let first = if index == start.0.index { start.0.row } else { 0 };
        let last = if index == end.0.index {
            end.0.row
        } else {
            view.len().saturating_sub(1)
        };
        for row in first..=last.min(view.len().saturating_sub(1)) {
            let place = Place { index, row };
            let line = line(view, row);
            if line.is_note {
                continue;
            }
            let from = if selection.whole_rows || place > start.0 {
                0
            } else {
                start.1
            };
            let to = if selection.whole_rows || place < end.0 {
                u16::MAX
            } else {
                end.1
            };
            let piece = piece(&line, any && line.joint != Joint::Break, from, to);
            if any {
                match line.joint {
                    Joint::Break => {
                        let kept = out.trim_end_matches(' ').len();
                        out.truncate(kept);
                        out.push('\n');
                    }
                    Joint::Space => out.push(' '),
                    Joint::Nothing => {}
                }
            }
            out.push_str(&piece);
            any = true;
        }
    }
    // Blank rows around it are the screen's.
    let end = out.trim_end().len();
    out.truncate(end);
    out.trim_start_matches('\n').to_owned()
}

/// The part of a row between two columns, both included, without what is drawn around texts.
fn piece(line: &Line, continues: bool, from: u16, to: u16) -> String {
    let mut out = String::new();
    let mut column = line.left;
    for (index, span) in line.spans.iter().enumerate() {
        let own = span.role == Role::QuoteBar || (continues && index < line.front);
        if span.role == Role::ListMarker && span.text == "• " {
            if (from..=to).contains(&column) {
                out.push_str("- ");
            }
            column = column.saturating_add(columns(&span.text));
            continue;
        }
        for grapheme in span.text.graphemes(true) {
            if !own && (from..=to).contains(&column) {
                out.push_str(grapheme);
            }
            column = column.saturating_add(columns(grapheme));
        }
    }
    out
}

/// Draws what is selected in reverse, over the rows that were drawn already.
pub(super) fn paint(canvas: &mut Canvas, pane: Rect, app: &App, viewport: &mut Viewport, window: Window) {
    let Some(selection) = copying::selection(app).filter(|selection| selection.channel == viewport.channel.id) else {
        return;
    };
    let (start, end) = range(viewport, selection);
    let mut place = window.top;
    for y in (pane.top()..pane.bottom()).take(window.rows) {
        let Some(view) = viewport.view(place.index) else { break };
        if place >= start.0 && place <= end.0 {
            let line = line(view, place.row);
            let text: u16 = line.spans.iter().map(|span| columns(&span.text)).sum();
            // An empty row is seen to be selected too.
            let whole = line.left.saturating_add(text).max(1);
            let from = if selection.whole_rows || place > start.0 {
                0
            } else {
                start.1
            };
            let to = if selection.whole_rows || place < end.0 {
                whole
            } else {
                end.1.saturating_add(1)
            };
            let area = Rect {
                x: pane.x.saturating_add(MARGIN).saturating_add(from),
                y,
                width: to.min(whole.max(from.saturating_add(1))).saturating_sub(from),
                height: 1,
            };
            let area = area.intersection(pane);
            canvas
                .buffer
                .set_style(area, canvas.theme.plain().add_modifier(Modifier::REVERSED));
        }
        place.row += 1;
        if place.row >= view.len() {
            place = Place {
                index: place.index + 1,
                row: 0,
            };
            // Blocks without rows are not there for the eye.
            while viewport.view(place.index).is_some_and(|view| view.len() == 0) {
                place.index += 1;
            }
        }
    }
}

fn columns(text: &str) -> u16 {
    let mut graphemes = text.graphemes(true);
    let columns = match (graphemes.next(), graphemes.next()) {
        (Some(one), None) => grapheme_width(one),
        _ => width(text),
    };
    u16::try_from(columns).unwrap_or(u16::MAX)
}

fn rows(n: usize) -> isize {
    isize::try_from(n).unwrap_or(isize::MAX)
}
