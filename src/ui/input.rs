//! Keys and pastes become messages. Scrolling needs rows, so it is worked out here, with the rows in view.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind};
use tui_textarea::Input;

use crate::app::action::{Action, Place};
use crate::app::compose::pastes::{self, Fold};
use crate::app::compose::{self, attach};
use crate::app::state::{AskFor, Overlay};
use crate::app::{App, Msg, Scroll, Spot, copying, palette};
use crate::transcript::{BlockId, BlockKind};

use super::editor::clean;
use super::transcript::text_width;
use super::viewport::{Place as Row, Viewport};
use super::{Ui, keys, kiosk};

impl Ui {
    /// What a terminal event means in the present state: keys by focus through the action table, pastes
    /// whole; the mouse where the program has it.
    pub fn handle(&mut self, app: &App, event: Event) -> Vec<Msg> {
        self.sync(app);
        match event {
            Event::Resize(columns, rows) => vec![Msg::Resize(columns, rows)],
            Event::Key(key) if app.is_kiosk() => kiosk::key(app, key),
            Event::Paste(_) if app.is_kiosk() => Vec::new(),
            Event::FocusGained => vec![Msg::TerminalFocus(true)],
            Event::FocusLost => vec![Msg::TerminalFocus(false)],
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(app, key),
            Event::Paste(text) => self.paste(app, &text),
            Event::Mouse(event) => self.mouse(app, event),
            Event::Key(_) => Vec::new(),
        }
    }

    /// Whether keys type a prompt in the present state.
    #[must_use]
    pub fn types(app: &App) -> bool {
        keys::place(app) == Place::Compose
    }

    fn key(&mut self, app: &App, event: KeyEvent) -> Vec<Msg> {
        let place = keys::place(app);
        let mut event = event;
        if place == Place::Confirm
            && let KeyCode::Char(c) = &mut event.code
        {
            // A question is answered the same where caps lock is on.
            c.make_ascii_lowercase();
        }
        if let Some(action) = keys::convert(event).and_then(|key| app.settings.keymap.lookup(place, key)) {
            return self.act(app, place, action);
        }
        match place {
            // Any key ends a peek.
            Place::List if app.list.peek.is_some() => vec![Msg::List(crate::app::list::Msg::EndPeek)],
            Place::Compose if self.compose.input(Input::from(event)) => vec![Msg::DraftChanged(self.compose.text())],
            // There is nowhere to go to by Tab, and nobody means to type one.
            Place::Dialogue | Place::Picker if matches!(event.code, KeyCode::Tab | KeyCode::BackTab) => Vec::new(),
            Place::Dialogue | Place::Picker | Place::Field if self.dialogue.input(Input::from(event)) => {
                vec![Msg::DialogueChanged(self.dialogue.text())]
            }
            Place::PanePrefix => vec![Msg::Panes(crate::app::panes::Msg::LeavePrefix)],
            _ => Vec::new(),
        }
    }

    fn paste(&mut self, app: &App, text: &str) -> Vec<Msg> {
        match keys::place(app) {
            Place::Dialogue | Place::Picker | Place::Field => {
                // An id that was copied with its line end is still one line.
                let one_line = matches!(app.overlay, Some(Overlay::Ask(_) | Overlay::Pick(_)));
                self.dialogue.paste(if one_line { text.trim() } else { text });
                vec![Msg::DialogueChanged(self.dialogue.text())]
            }
            Place::Compose => self.paste_into_draft(app, text),
            // What is pasted outside the compose box is a prompt: nothing of it is taken for keys.
            Place::List | Place::Transcript | Place::PanePrefix | Place::Selection => {
                let mut messages = vec![Msg::Action(Action::Compose)];
                messages.extend(self.paste_into_draft(app, text));
                messages
            }
            Place::Help | Place::Confirm | Place::Tail | Place::Inbox => Vec::new(),
        }
    }

    /// A long text is folded: one character stands for it in the box.
    fn paste_into_draft(&mut self, app: &App, text: &str) -> Vec<Msg> {
        let text = clean(text);
        let folded = match app.compose.pastes.fold(&text) {
            Fold::No => {
                self.compose.paste(&text);
                None
            }
            Fold::Yes(mark) => {
                self.compose.paste_folded(mark, pastes::label(&text));
                Some(Msg::Compose(compose::Msg::Pasted {
                    mark,
                    text: text.into(),
                }))
            }
            Fold::TooLong => {
                let what = attach::size(text.len().try_into().unwrap_or(u64::MAX));
                let why =
                    format!("Not pasted: {what} are too much for the box; save them as a file and name it, @path");
                return vec![Msg::Compose(compose::Msg::Say(why))];
            }
        };
        let changed = Msg::DraftChanged(self.compose.text());
        folded.into_iter().chain([changed]).collect()
    }

    /// Shows the folded paste at the cursor in full.
    fn unfold(&mut self, app: &App) -> Vec<Msg> {
        let paste = self
            .compose
            .folded_at_cursor()
            .and_then(|mark| Some((mark, app.compose.pastes.get(mark)?)));
        match paste {
            None => vec![Msg::Action(Action::Unfold)],
            Some((_, paste)) if paste.text.len() > pastes::LONGEST_UNFOLDED => {
                let key = app.settings.keymap.first(Action::EditDraft);
                let why = format!("This text is too long to be shown here; {key} opens it in your editor");
                vec![Msg::Compose(compose::Msg::Say(why))]
            }
            Some((mark, paste)) => {
                self.compose.unfold(mark, &paste.text);
                vec![Msg::DraftChanged(self.compose.text())]
            }
        }
    }

    fn act(&mut self, app: &App, place: Place, action: Action) -> Vec<Msg> {
        if let Some(messages) = self.select_by_key(app, action) {
            return messages;
        }
        match action {
            Action::Send => vec![Msg::Submit(self.compose.text())],
            Action::Newline if place == Place::Compose => {
                self.compose.newline();
                vec![Msg::DraftChanged(self.compose.text())]
            }
            Action::Newline => {
                self.dialogue.newline();
                vec![Msg::DialogueChanged(self.dialogue.text())]
            }
            Action::Accept if is_search(app) => {
                let mut messages = vec![Msg::DialogueSubmit(self.dialogue.text())];
                // Where nothing was found the search is over, and says so.
                if finds(app) {
                    messages.extend(self.step_match(app, true, Action::NextNeedsYou));
                }
                messages
            }
            // Rows of the screen matter to some commands, so they are carried out as if their key was pressed.
            Action::Accept if let Some((place, action)) = palette::chosen(app) => {
                let mut messages = vec![Msg::Dismiss];
                if place != palette::place_below(app)
                    && let Some(focus) = palette::focus_of(place)
                {
                    messages.push(Msg::Copying(copying::Msg::Focus(focus)));
                }
                messages.extend(self.act(app, place, action));
                messages
            }
            Action::HistoryBack | Action::HistoryForward => {
                let down = action == Action::HistoryForward;
                if self.compose.step(down, app.size.0) {
                    // The cursor is the box's own: the loop draws after every key.
                    Vec::new()
                } else {
                    vec![Msg::Action(action)]
                }
            }
            Action::Unfold => self.unfold(app),
            Action::Accept => vec![Msg::DialogueSubmit(self.dialogue.text())],
            Action::Help => {
                self.help_scroll = 0;
                vec![Msg::Action(action)]
            }
            Action::ScrollDown | Action::ScrollUp | Action::PageDown | Action::PageUp if place == Place::Help => {
                let by = if matches!(action, Action::ScrollDown | Action::ScrollUp) {
                    1
                } else {
                    10
                };
                self.help_scroll = match action {
                    Action::ScrollDown | Action::PageDown => (self.help_scroll + by).min(self.help_most),
                    _ => self.help_scroll.saturating_sub(by),
                };
                // Nothing of the state changes; the message makes the loop draw.
                vec![Msg::Action(action)]
            }
            Action::TailPageDown | Action::TailPageUp => self.tail_page(app, action),
            Action::ScrollDown => self.scroll(app, |_| 1),
            Action::ScrollUp => self.scroll(app, |_| -1),
            Action::PageOfListDown => self.page_of_list(app, 1),
            Action::PageOfListUp => self.page_of_list(app, -1),
            Action::HalfPageDown => self.scroll(app, |page| page / 2),
            Action::HalfPageUp => self.scroll(app, |page| -(page / 2)),
            Action::PageDown => self.scroll(app, |page| page),
            Action::PageUp => self.scroll(app, |page| -page),
            Action::NextTurn
            | Action::PreviousTurn
            | Action::NextPart
            | Action::PreviousPart
            | Action::CallBelow
            | Action::CallAbove
            | Action::NextError => self.jump(app, action),
            Action::NextNeedsYou if place == Place::Transcript && searches(app) => self.step_match(app, true, action),
            Action::PreviousMatch => self.step_match(app, false, action),
            Action::RawEvents => self.toggle_raw(app),
            Action::Fold => self.fold(app),
            Action::CopyPart => vec![Msg::Copying(copying::Msg::AskCopy(self.looked_at(app)))],
            _ => vec![Msg::Action(action)],
        }
    }

    /// The transcript of the selected channel at the size of the screen, and the rows that it has.
    pub(super) fn with_viewport<T>(&mut self, app: &App, work: impl FnOnce(&mut Viewport, usize) -> T) -> Option<T> {
        let channel = app.selected_channel()?;
        let (_, pane) = self.areas_of(app).transcript?;
        let pane = super::playback::text_area(pane, channel);
        let cache = self.cache(channel);
        let mut viewport = Viewport::new(app, channel, cache, text_width(pane));
        Some(work(&mut viewport, usize::from(pane.height)))
    }

    /// Moves the view by so many rows of a page.
    pub(super) fn scroll(&mut self, app: &App, rows: impl FnOnce(isize) -> isize) -> Vec<Msg> {
        let mut moved = 0;
        let own = self.with_viewport(app, |viewport, height| {
            let window = viewport.window(height);
            // A row of the page before stays in view, to hold on to.
            let page = isize::try_from(height.saturating_sub(2).max(1)).unwrap_or(1);
            let by = rows(page);
            moved = by;
            if window.at_end && by > 0 {
                return Msg::ScrollTo(Scroll::Tail);
            }
            let top = viewport.moved(window.top, by);
            Msg::ScrollTo(scroll_at(viewport, top, height))
        });
        let mut messages: Vec<Msg> = own.into_iter().collect();
        messages.extend(self.scroll_others(app, moved));
        messages
    }

    /// Moves the list's mark by so many pages; a row of the page before stays in view.
    fn page_of_list(&mut self, app: &App, pages: isize) -> Vec<Msg> {
        let Some((_, pane)) = self.areas_of(app).list else {
            return Vec::new();
        };
        let page = isize::try_from(super::list::channels_of(app, pane)).unwrap_or(1);
        vec![Msg::List(crate::app::list::Msg::Step(pages * (page - 1).max(1)))]
    }

    /// The part that is looked at: the marked one if it is in view, else the last text in view at the end, and the
    /// first one in view elsewhere.
    fn looked_at(&mut self, app: &App) -> Option<BlockId> {
        self.with_viewport(app, |viewport, height| {
            let window = viewport.window(height);
            if viewport.is_raw() {
                return viewport.channel.marked;
            }
            let last = viewport.last_index(window);
            let blocks = (window.top.index..=last).filter_map(|index| viewport.channel.transcript.get(index));
            let mut blocks: Vec<_> = blocks.collect();
            if let Some(marked) = blocks.iter().find(|block| Some(block.id) == viewport.channel.marked) {
                return Some(marked.id);
            }
            blocks.retain(|block| {
                matches!(
                    block.kind,
                    BlockKind::Prompt { .. } | BlockKind::Answer { .. } | BlockKind::Published { .. }
                )
            });
            let found = if window.at_end { blocks.last() } else { blocks.first() };
            found.map(|block| block.id)
        })
        .flatten()
    }

    /// Folds or unfolds; the rows above the part stay where they are.
    fn fold(&mut self, app: &App) -> Vec<Msg> {
        self.with_viewport(app, |viewport, height| {
            let window = viewport.window(height);
            let Some(id) = viewport.fold_target(window) else {
                return vec![Msg::Action(Action::Fold)];
            };
            let Some(index) = viewport.channel.transcript.position(id) else {
                return Vec::new();
            };
            let Some(view) = viewport.view(index) else {
                return Vec::new();
            };
            let (folded, gap) = (view.folded, u16::try_from(view.gap).unwrap_or(0));
            let mut messages = vec![Msg::ToggleFold(id)];
            if folded {
                // Its beginning stays where it is, rather than the end of what follows.
                let at_tail = viewport.channel.shown_scroll() == Scroll::Tail;
                if !at_tail || viewport.rows_from(Row { index: 0, row: 0 }, height) >= height {
                    messages.push(Msg::ScrollTo(viewport.anchor(window.top)));
                }
            } else if window.top.index == index {
                messages.push(Msg::ScrollTo(Scroll::Anchor {
                    block: id,
                    spot: Spot::Head(gap),
                }));
            }
            messages
        })
        .unwrap_or_default()
    }
}

/// Whether a search is on in the channel that is looked at.
fn searches(app: &App) -> bool {
    app.selected_channel()
        .is_some_and(|channel| channel.reading.search.is_some())
}

/// Whether something was found.
fn finds(app: &App) -> bool {
    let search = app
        .selected_channel()
        .and_then(|channel| channel.reading.search.as_ref());
    search.is_some_and(|search| !search.hits().is_empty())
}

/// Whether a text to search for is being typed.
fn is_search(app: &App) -> bool {
    matches!(&app.overlay, Some(Overlay::Ask(ask)) if ask.purpose == AskFor::Search)
}

/// The scroll position with this row at the top; at the end it follows.
pub(super) fn scroll_at(viewport: &mut Viewport, top: Row, height: usize) -> Scroll {
    if top >= viewport.tail_top(height) {
        Scroll::Tail
    } else {
        viewport.anchor(top)
    }
}
