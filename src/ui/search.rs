//! Searches on the screen: the line that asks, going from match to match, and which columns of the rows in view match.
//!
//! What matches in the transcript is known to `app::reading::search`; here are the rows that it is on.

use std::ops::Range;

use crate::app::action::Action;
use crate::app::reading::{self, Hit, Search};
use crate::app::{App, Msg, Scroll, Spot};
use crate::text::Row;
use crate::transcript::{Block, BlockKind, CallState};

use super::Ui;
use super::block::BlockView;
use super::input::scroll_at;
use super::overlay::Dialogue;
use super::viewport::{Place, Viewport, Window};

/// The dialogue that asks what to search for.
pub(super) fn dialogue() -> Dialogue {
    let mut dialogue = Dialogue::new("search this transcript");
    dialogue.placeholder = "text to find";
    dialogue
}

/// What the title bar says of a search.
pub(super) fn summary(search: &Search) -> Option<String> {
    (!search.query.is_empty()).then(|| {
        let query: String = search.query.chars().take(20).collect();
        format!("/{}  {}", crate::text::sanitise_line(&query), search.count())
    })
}

/// The matches in rows that stand below each other: for each row, its bytes. A match may go on over the end of a row.
pub(super) fn matches(search: &Search, rows: &[Row]) -> Vec<Vec<Range<usize>>> {
    let mut found = vec![Vec::new(); rows.len()];
    let Some(pattern) = search.pattern() else {
        return found;
    };
    let mut text = String::new();
    let mut starts = Vec::with_capacity(rows.len());
    for row in rows {
        starts.push(text.len());
        for span in &row.spans {
            text.push_str(&span.text);
        }
        // Where a row was broken there was a space, or nothing; the space is what people type.
        text.push(' ');
    }
    for hit in pattern.find_iter(&text) {
        let mut row = starts.partition_point(|start| *start <= hit.start()).saturating_sub(1);
        while row < rows.len() && starts[row] < hit.end() {
            let length = starts.get(row + 1).map_or(text.len(), |next| *next) - starts[row] - 1;
            let from = hit.start().saturating_sub(starts[row]);
            let to = (hit.end() - starts[row]).min(length);
            if from < to {
                found[row].push(from..to);
            }
            row += 1;
        }
    }
    found
}

/// Where the match that the search went to is within a block's rows: its row, and which one of that row it is.
pub(super) fn here(search: &Search, block: crate::transcript::BlockId, view: &BlockView) -> Option<(usize, usize)> {
    let hit = search.current.filter(|hit| hit.block == block)?;
    let Some(offset) = hit.offset else {
        return Some((view.gap, 0));
    };
    let body = view.body();
    if body.is_empty() {
        return None;
    }
    let row = view.body_row_at(offset);
    let start = body.get(row)?.source_offset;
    let before = search
        .of_block(block)
        .iter()
        .filter(|other| other.offset.is_some_and(|at| at >= start && at < offset))
        .count();
    Some((view.head.len() + row, before))
}

impl Ui {
    /// Goes to the next match, or the one before. `action` says so where there is none.
    pub(super) fn step_match(&mut self, app: &App, forward: bool, action: Action) -> Vec<Msg> {
        let moved = self.with_viewport(app, |viewport, height| {
            let search = viewport.channel.reading.search.as_ref()?;
            let window = viewport.window(height);
            let (from, including) = start(viewport, search, window, forward)?;
            let (hit, around) = search.next(from, including, forward)?;
            Some(show(viewport, hit, around, window, height))
        });
        moved.flatten().unwrap_or_else(|| vec![Msg::Action(action)])
    }

    /// Shows the events as they came, or the transcript again, at the place that is at the top.
    pub(super) fn toggle_raw(&mut self, app: &App) -> Vec<Msg> {
        let found = self.with_viewport(app, |viewport, height| {
            if viewport.channel.transcript.is_empty() {
                return None;
            }
            let top = viewport.window(height).top;
            let Scroll::Anchor { block, spot } = viewport.anchor(top) else {
                return None;
            };
            Some(if viewport.is_raw() {
                reading::Msg::CloseRaw { line: block.0 }
            } else {
                let offset = match spot {
                    Spot::Body { offset, .. } => offset,
                    Spot::Head(_) | Spot::Foot(_) => 0,
                };
                reading::Msg::OpenRaw { block, offset }
            })
        });
        vec![found.flatten().map_or(Msg::Action(Action::RawEvents), Msg::Reading)]
    }

    /// Goes to a block of some kind; where there is none, the action says so.
    pub(super) fn jump(&mut self, app: &App, action: Action) -> Vec<Msg> {
        let (wanted, forward, around): (fn(&Block) -> bool, bool, bool) = match action {
            Action::NextTurn => (is_prompt, true, false),
            Action::PreviousTurn => (is_prompt, false, false),
            Action::CallBelow => (is_call, true, false),
            Action::CallAbove => (is_call, false, false),
            Action::NextPart => (is_part, true, false),
            Action::PreviousPart => (is_part, false, false),
            _ => (is_failure, true, true),
        };
        let moved = self.with_viewport(app, |viewport, height| {
            if viewport.is_raw() {
                return None;
            }
            let window = viewport.window(height);
            let mut index = viewport.next_block(window, forward, wanted);
            if index.is_none() && around {
                let transcript = &viewport.channel.transcript;
                index = (0..transcript.len()).find(|at| transcript.get(*at).is_some_and(wanted));
            }
            let index = index?;
            let id = viewport.id(index)?;
            let mut messages = vec![Msg::MarkPart(id)];
            let start = Place {
                index,
                row: viewport.view(index).map_or(0, |view| view.gap),
            };
            if !in_view(viewport, start, window) {
                messages.push(Msg::ScrollTo(scroll_at(viewport, start, height)));
            }
            Some(messages)
        });
        moved.flatten().unwrap_or_else(|| vec![Msg::Action(action)])
    }
}

/// Where the search goes on from, and whether a match right there counts: from the match that it went to if that is in
/// view, else from the view's beginning (or its end).
fn start(viewport: &mut Viewport, search: &Search, window: Window, forward: bool) -> Option<(Hit, bool)> {
    if let Some(current) = search.current
        && let Some(place) = place(viewport, current)
        && in_view(viewport, place, window)
    {
        return Some((current, false));
    }
    let top = if forward {
        window.top
    } else {
        viewport.moved(window.top, isize::try_from(window.rows).unwrap_or(0))
    };
    let Scroll::Anchor { block, spot } = viewport.anchor(top) else {
        return None;
    };
    let offset = match spot {
        Spot::Head(_) => None,
        Spot::Body { offset, .. } => Some(offset),
        Spot::Foot(_) => Some(usize::MAX),
    };
    Some((Hit { block, offset }, true))
}

fn in_view(viewport: &mut Viewport, place: Place, window: Window) -> bool {
    let rows = isize::try_from(window.rows.saturating_sub(1)).unwrap_or(0);
    place >= window.top && place <= viewport.moved(window.top, rows)
}

/// The row of a match; `None` where it is folded away.
fn place(viewport: &mut Viewport, hit: Hit) -> Option<Place> {
    let index = viewport.position(hit.block)?;
    let view = viewport.view(index)?;
    let row = match hit.offset {
        None => view.gap,
        Some(_) if view.body().is_empty() || view.folded => return None,
        Some(offset) => view.head.len() + view.body_row_at(offset),
    };
    Some(Place { index, row })
}

/// Goes to a match: opens its block, and scrolls where it is not in view.
fn show(viewport: &mut Viewport, hit: Hit, around: bool, window: Window, height: usize) -> Vec<Msg> {
    let folded = hit.offset.is_some()
        && viewport
            .position(hit.block)
            .and_then(|index| viewport.view(index))
            .is_some_and(|view| view.folded);
    let mut messages = vec![Msg::Reading(reading::Msg::Show { hit, around, folded })];
    if folded {
        viewport.open(hit.block);
    }
    if let Some(place) = place(viewport, hit)
        && (folded || !in_view(viewport, place, window))
    {
        let above = isize::try_from(height / 3).unwrap_or(0);
        let top = viewport.moved(place, -above);
        messages.push(Msg::ScrollTo(scroll_at(viewport, top, height)));
    }
    messages
}

fn is_prompt(block: &Block) -> bool {
    matches!(&block.kind, BlockKind::Prompt { role, .. } if role == "user")
}

fn is_call(block: &Block) -> bool {
    matches!(block.kind, BlockKind::Call { .. })
}

fn is_part(block: &Block) -> bool {
    matches!(
        block.kind,
        BlockKind::Prompt { .. }
            | BlockKind::Answer { .. }
            | BlockKind::Reasoning { .. }
            | BlockKind::Call { .. }
            | BlockKind::Failure { .. }
            | BlockKind::Published { .. }
    )
}

/// Failures, ends by an error, what was given up, calls whose result is an error, and holes.
fn is_failure(block: &Block) -> bool {
    match &block.kind {
        BlockKind::Failure { .. } | BlockKind::Abort { .. } | BlockKind::Gap { .. } => true,
        BlockKind::End { reason, .. } => matches!(reason.as_str(), "error" | "length"),
        BlockKind::Call {
            state: CallState::Answered { result, .. },
            ..
        } => result.as_object().is_some_and(|fields| fields.contains_key("error")),
        BlockKind::Call {
            state: CallState::Abandoned,
            ..
        } => true,
        _ => false,
    }
}
