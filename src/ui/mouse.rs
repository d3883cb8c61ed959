//! The mouse, when the program has it: what is clicked takes the keys, the wheel scrolls what is under it, dragging
//! selects text of the transcript. What a click changes is decided by `app`.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::app::action::Action;
use crate::app::copying::{self, Point};
use crate::app::state::{Focus, Overlay};
use crate::app::{App, Msg, Scroll, panes};
use crate::transcript::BlockId;

use super::panes::Pane;
use super::transcript::{MARGIN, text_width};
use super::viewport::{Place, Viewport, Window};
use super::{Ui, input, list, picker, selection};

/// Rows that one notch of the wheel scrolls.
const WHEEL_ROWS: isize = 3;

/// Where the button was pressed in the transcript, until it is released.
#[derive(Debug, Clone, Copy)]
pub(super) struct Press {
    point: Point,
    /// The block whose head was pressed.
    head: Option<BlockId>,
    dragged: bool,
}

impl Ui {
    /// What an event of the mouse means.
    pub(super) fn mouse(&mut self, app: &App, event: MouseEvent) -> Vec<Msg> {
        if !app.copying.mouse {
            // Reports that were on their way when it was given back.
            return Vec::new();
        }
        match (event.kind, &app.overlay) {
            (MouseEventKind::ScrollUp, _) => self.wheel(app, event, true),
            (MouseEventKind::ScrollDown, _) => self.wheel(app, event, false),
            (MouseEventKind::Down(MouseButton::Left), Some(Overlay::Pick(open))) => {
                let Some(place) = picker::entry_at(open, self.full(app), event.row) else {
                    return Vec::new();
                };
                vec![
                    Msg::Copying(copying::Msg::Pick(place)),
                    Msg::DialogueSubmit(self.dialogue.text()),
                ]
            }
            (_, Some(_)) => Vec::new(),
            (MouseEventKind::Down(MouseButton::Left), None) => self.press(app, event),
            (MouseEventKind::Drag(MouseButton::Left), None) => self.drag(app, event),
            (MouseEventKind::Up(MouseButton::Left), None) => self.release(app),
            _ => Vec::new(),
        }
    }

    fn full(&self, app: &App) -> Rect {
        Rect::new(0, 0, app.size.0, app.size.1.saturating_sub(1))
    }

    fn wheel(&mut self, app: &App, event: MouseEvent, up: bool) -> Vec<Msg> {
        let by = if up { -WHEEL_ROWS } else { WHEEL_ROWS };
        match &app.overlay {
            Some(Overlay::Help) => {
                self.help_scroll = self.help_scroll.saturating_add_signed(by).min(self.help_most);
                return Vec::new();
            }
            Some(Overlay::Pick(_)) => {
                return vec![Msg::Action(if up { Action::PickPrevious } else { Action::PickNext })];
            }
            _ => {}
        }
        let areas = self.areas_of(app);
        if is_over(areas.list, event) {
            return vec![Msg::Action(if up {
                Action::SelectPrevious
            } else {
                Action::SelectNext
            })];
        }
        let Some(pane) = areas.panes.iter().find(|pane| is_in(pane, event)) else {
            return Vec::new();
        };
        if pane.number == app.panes.focus {
            return self.scroll(app, |_| by);
        }
        let channel = app.panes.layout.channel(pane.number);
        let Some(channel) = channel.and_then(|id| app.channels.get(id)) else {
            return Vec::new();
        };
        let height = usize::from(pane.body.height);
        let mut viewport = Viewport::new(app, channel, self.cache(channel), text_width(pane.body));
        let window = viewport.window(height);
        let to = if window.at_end && !up {
            Scroll::Tail
        } else {
            let top = viewport.moved(window.top, by);
            input::scroll_at(&mut viewport, top, height)
        };
        let channel = channel.id.clone();
        vec![Msg::Panes(panes::Msg::Scroll { channel, to })]
    }

    fn press(&mut self, app: &App, event: MouseEvent) -> Vec<Msg> {
        self.press = None;
        let areas = self.areas_of(app);
        let focus = |focus| Msg::Copying(copying::Msg::Focus(focus));
        if is_over(areas.list, event) {
            let mut messages = vec![focus(Focus::List)];
            let index = areas
                .list
                .and_then(|(_, pane)| list::index_at(app, pane, self.first_channel, event.row));
            messages.extend(index.map(Msg::SelectIndex));
            return messages;
        }
        if areas.bottom.union(areas.bottom_bar).contains(at(event)) {
            self.compose.click(areas.bottom, event.column, event.row);
            return vec![focus(Focus::Compose)];
        }
        let Some(pane) = areas.panes.iter().find(|pane| is_in(pane, event)) else {
            return Vec::new();
        };
        let mut messages = vec![focus(Focus::Transcript)];
        if pane.number != app.panes.focus {
            messages.push(Msg::Copying(copying::Msg::FocusPane(pane.number)));
            return messages;
        }
        let pane = pane.body;
        if app.copying.selection.is_some() {
            messages.push(Msg::Copying(copying::Msg::Select(None)));
        }
        if pane.contains(at(event)) {
            self.press = self
                .with_viewport(app, |viewport, height| {
                    let window = viewport.window(height);
                    let (place, column) = under(viewport, window, pane, event)?;
                    let block = viewport.id(place.index)?;
                    let raw = viewport.is_raw();
                    let view = viewport.view(place.index)?;
                    let head =
                        (!raw && view.foldable && place.row == view.gap && !view.head.is_empty()).then_some(block);
                    let point = selection::point(viewport, place, column)?;
                    Some(Press {
                        point,
                        head,
                        dragged: false,
                    })
                })
                .flatten();
        }
        messages
    }

    fn drag(&mut self, app: &App, event: MouseEvent) -> Vec<Msg> {
        let (Some(mut press), Some((_, pane))) = (self.press, self.areas_of(app).transcript) else {
            return Vec::new();
        };
        let open = copying::selection(app).cloned();
        let found = self.with_viewport(app, |viewport, height| {
            let window = viewport.window(height);
            let (mut place, column) = under(viewport, window, pane, event)?;
            // Beyond an edge the text moves along.
            if event.row < pane.y || (event.row == pane.y && pane.y > 0) {
                place = viewport.moved(window.top, -1);
            } else if usize::from(event.row - pane.y) >= window.rows {
                place = viewport.moved(place, 1);
            }
            let cursor = selection::point(viewport, place, column)?;
            if open.is_none() && cursor == press.point {
                return None;
            }
            let mut messages = Vec::new();
            let selected = match open {
                Some(open) => copying::Selection { cursor, ..open },
                None => {
                    let selected = selection::selected(viewport, press.point, cursor, false);
                    if selected.followed {
                        messages.push(Msg::ScrollTo(viewport.anchor(window.top)));
                    }
                    selected
                }
            };
            messages.push(Msg::Copying(copying::Msg::Select(Some(selected))));
            messages.extend(selection::into_view(viewport, window, place));
            Some(messages)
        });
        match found.flatten() {
            Some(messages) => {
                press.dragged = true;
                self.press = Some(press);
                messages
            }
            None => Vec::new(),
        }
    }

    fn release(&mut self, app: &App) -> Vec<Msg> {
        let Some(press) = self.press.take() else {
            return Vec::new();
        };
        if press.dragged {
            if !app.settings.copying.copy_on_select {
                return Vec::new();
            }
            return self.select_by_key(app, Action::SelectionCopy).unwrap_or_default();
        }
        let Some(block) = press.head else { return Vec::new() };
        // Its head stays where it was clicked on.
        let keep = self.with_viewport(app, |viewport, height| {
            let at_tail = viewport.channel.scroll == Scroll::Tail;
            let window = viewport.window(height);
            let fills = viewport.rows_from(Place { index: 0, row: 0 }, height) >= height;
            (!at_tail || fills).then(|| Msg::ScrollTo(viewport.anchor(window.top)))
        });
        let mut messages = vec![Msg::MarkPart(block), Msg::ToggleFold(block)];
        messages.extend(keep.flatten());
        messages
    }
}

fn at(event: MouseEvent) -> Position {
    Position::new(event.column, event.row)
}

fn is_in(pane: &Pane, event: MouseEvent) -> bool {
    is_over(Some((pane.bar, pane.body)), event)
}

/// Whether the mouse is over a part of the screen or its title bar.
fn is_over(part: Option<(Rect, Rect)>, event: MouseEvent) -> bool {
    part.is_some_and(|(bar, body)| bar.union(body).contains(at(event)))
}

/// The row of the transcript under the mouse, the nearest one in view, and the column within its text.
fn under(viewport: &mut Viewport, window: Window, pane: Rect, event: MouseEvent) -> Option<(Place, u16)> {
    if viewport.channel.transcript.is_empty() {
        return None;
    }
    let row = usize::from(event.row.saturating_sub(pane.y)).min(window.rows.saturating_sub(1));
    let place = viewport.moved(window.top, isize::try_from(row).ok()?);
    Some((place, event.column.saturating_sub(pane.x + MARGIN)))
}
