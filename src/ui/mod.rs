//! What a person sees and presses: keys by focus become messages, the state becomes a frame.
//!
//! It changes nothing of [`App`]; the text areas and the caches of rows live here. It does no I/O beyond
//! the frame that it is handed.

mod bidi;
mod block;
mod canvas;
mod compose;
mod editor;
mod form;
mod format;
mod header;
mod highlight;
mod inbox;
mod input;
mod keys;
mod kiosk;
mod layout;
mod links;
mod list;
mod mouse;
mod overlay;
mod panes;
mod peek;
mod picker;
mod playback;
mod search;
mod selection;
mod tail;
#[cfg(test)]
mod tests;
mod theme;
mod transcript;
mod viewport;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::recordings::rows_of;
use crate::app::state::{Focus, Overlay};
use crate::app::{App, Channel};
use crate::text::{BlockRows, Format};
use crate::wire::ChannelId;

use canvas::Canvas;
use editor::Editor;
use layout::{Areas, SMALLEST};
use overlay::Dialogue;
pub use theme::ColorDepth;
use theme::Theme;
use viewport::RowCache;

/// How many channels' rows are kept besides those in view: going to and fro between a few costs nothing.
const CACHED_CHANNELS: usize = 3;

/// How the screen looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UiOptions {
    /// Only ASCII glyphs.
    pub ascii: bool,
    /// The theme's colours; without: only bold, dim and reversed (NO_COLOR).
    pub color: bool,
    /// Addresses can be clicked, where the terminal knows how.
    pub links: bool,
    /// How many colours the terminal has.
    pub depth: ColorDepth,
    /// Offset of the local time from UTC, in seconds, for the clock and the times of messages.
    pub utc_offset_seconds: i32,
}

impl Default for UiOptions {
    fn default() -> Self {
        Self {
            ascii: false,
            color: true,
            depth: ColorDepth::default(),
            utc_offset_seconds: 0,
            links: true,
        }
    }
}

/// Whose rows they are: the channel, and what its blocks' names and revisions hold for.
type CacheKey = (ChannelId, (u64, u32));

/// The screen: text areas and caches, no truth of its own.
#[derive(Debug)]
pub struct Ui {
    options: UiOptions,
    compose: Editor,
    /// The revision of the draft that the compose box took over last.
    draft_revision: u64,
    dialogue: Editor,
    help_scroll: usize,
    help_most: usize,
    first_channel: usize,
    /// The channels of which a line is in view in a list; `None`: all of them.
    listed: Option<Vec<ChannelId>>,
    /// Where the mouse was pressed in the transcript.
    press: Option<mouse::Press>,
    /// The row of the screen that the list's mark is on.
    marked_row: Option<u16>,
    /// The name of the line at the top of the merged tail.
    tail_top: u64,
    /// Rows by channel and generation, the one used last at the end.
    caches: Vec<(CacheKey, RowCache)>,
    /// How many of them are kept.
    cached_channels: usize,
}

impl Ui {
    /// A screen that nothing was drawn on.
    #[must_use]
    pub fn new(options: UiOptions) -> Self {
        Self {
            options,
            compose: Editor::default(),
            draft_revision: 0,
            dialogue: Editor::default(),
            help_scroll: 0,
            help_most: 0,
            first_channel: 0,
            listed: None,
            press: None,
            marked_row: None,
            tail_top: 0,
            caches: Vec::new(),
            cached_channels: CACHED_CHANNELS,
        }
    }

    /// How the screen looks from now on.
    pub fn set_options(&mut self, options: UiOptions) {
        self.options = options;
        self.caches.clear();
    }

    /// What the frames that were drawn want done.
    pub fn wanted(&mut self) -> Vec<crate::app::Msg> {
        let jobs = self.caches.iter_mut().flat_map(|(_, cache)| cache.wanted.drain(..));
        jobs.map(|job| crate::app::Msg::Reading(crate::app::reading::Msg::CodeSeen(Box::new(job))))
            .collect()
    }

    /// The channels of which a line is in view in a list, as drawn last; `None`: all of them.
    #[must_use]
    pub fn listed(&self) -> Option<&[ChannelId]> {
        self.listed.as_deref()
    }

    /// Draws the state. The work does not grow with the transcripts.
    pub fn draw(&mut self, app: &App, frame: &mut Frame) {
        self.draw_parts(app, frame);
        if self.options.ascii {
            theme::to_ascii(frame.buffer_mut());
        }
        bidi::reorder(frame.buffer_mut());
    }

    fn draw_parts(&mut self, app: &App, frame: &mut Frame) {
        self.sync(app);
        let screen = frame.area();
        let mut canvas = Canvas {
            buffer: frame.buffer_mut(),
            theme: Theme::of(self.options, app),
        };
        if let Some(base) = canvas.theme.base() {
            canvas.buffer.set_style(screen, base);
        }
        if let Some(settings) = &app.settings.wall.kiosk {
            self.listed = None;
            kiosk::draw(&mut canvas, screen, app, settings, self.options);
            return;
        }
        if screen.width < SMALLEST.0 || screen.height < SMALLEST.1 {
            draw_too_small(&mut canvas, screen);
            return;
        }
        let dialogue = dialogue(&canvas, app, screen.width);
        let areas = self.areas(app, screen, dialogue.as_ref());
        if app.overlay == Some(Overlay::Help) {
            let area = Rect::new(screen.x, screen.y, screen.width, screen.height.saturating_sub(1));
            self.help_most = overlay::draw_help(&mut canvas, area, &app.settings.keymap, self.help_scroll);
            let hint = Rect::new(screen.x, screen.bottom() - 1, screen.width, 1);
            header::draw_hint(&mut canvas, hint, app, self.options);
            return;
        }
        if let Some(Overlay::Pick(picker)) = &app.overlay {
            let area = Rect::new(screen.x, screen.y, screen.width, screen.height.saturating_sub(1));
            picker::draw(&mut canvas, area, picker, &self.dialogue);
            let hint = Rect::new(screen.x, screen.bottom() - 1, screen.width, 1);
            header::draw_hint(&mut canvas, hint, app, self.options);
            return;
        }
        if let Some(Overlay::Inbox(inbox)) = &app.overlay {
            let rows = header::hint_rows(app, screen.width, self.options).min(screen.height / 2);
            let area = Rect::new(screen.x, screen.y, screen.width, screen.height.saturating_sub(rows));
            inbox::draw(&mut canvas, area, app, inbox, &self.dialogue, self.options);
            let hint = Rect::new(screen.x, area.bottom(), screen.width, rows);
            header::draw_hint(&mut canvas, hint, app, self.options);
            return;
        }
        header::draw_header(&mut canvas, areas.header, app, self.options);
        if app.overlay == Some(Overlay::Tail) {
            let area = Rect::new(screen.x, screen.y + 1, screen.width, screen.height.saturating_sub(2));
            self.listed = None;
            tail::draw(&mut canvas, area, app, &mut self.tail_top, self.options);
            let hint = Rect::new(screen.x, screen.bottom() - 1, screen.width, 1);
            header::draw_hint(&mut canvas, hint, app, self.options);
            return;
        }
        if let Some((bar, pane)) = areas.list {
            let wide = areas.beside;
            self.marked_row = list::draw(&mut canvas, bar, pane, app, &mut self.first_channel, wide, self.options);
        }
        self.note_listed(app, areas.list.map_or(0, |(_, pane)| pane.height));
        self.cached_channels = areas.panes.len() + CACHED_CHANNELS;
        if app.panes.is_several() {
            panes::draw(self, &mut canvas, &areas, app);
        } else if let Some((bar, pane)) = areas.transcript {
            let options = self.options;
            let focused = app.focus == Focus::Transcript;
            transcript::draw_bar(&mut canvas, bar, app, app.selected_channel(), focused);
            match app.selected_channel() {
                Some(channel) => {
                    let cache = self.cache(channel);
                    transcript::draw_body(&mut canvas, pane, app, channel, focused, cache, options);
                }
                None => transcript::draw_welcome(&mut canvas, pane, app, options),
            }
        }
        self.draw_peek(&mut canvas, &areas, app);
        self.draw_bottom(&mut canvas, &areas, app, dialogue.as_ref());
        panes::draw_dividers(&mut canvas, &areas);
        header::draw_hint(&mut canvas, areas.hint, app, self.options);
    }

    /// Remembers of which channels a line is in view in so many rows of the list; without a list, of none.
    fn note_listed(&mut self, app: &App, height: u16) {
        let listed = self.listed.get_or_insert_default();
        if listed.iter().ne(list::in_view(app, self.first_channel, height)) {
            listed.clear();
            listed.extend(list::in_view(app, self.first_channel, height).cloned());
        }
    }

    fn draw_bottom(&self, canvas: &mut Canvas, areas: &Areas, app: &App, dialogue: Option<&Dialogue>) {
        if let Some(dialogue) = dialogue {
            dialogue.draw(canvas, areas.bottom_bar, areas.bottom, &self.dialogue);
            return;
        }
        compose::draw(canvas, areas.bottom_bar, areas.bottom, app, &self.compose);
    }

    /// Where the parts of the screen are at the size that the state knows.
    fn areas_of(&self, app: &App) -> Areas {
        let screen = Rect::new(0, 0, app.size.0, app.size.1);
        let mut scratch = ratatui::buffer::Buffer::empty(Rect::new(0, 0, 1, 1));
        let canvas = Canvas {
            buffer: &mut scratch,
            theme: Theme::new(self.options),
        };
        let open = dialogue(&canvas, app, screen.width);
        self.areas(app, screen, open.as_ref())
    }

    /// Where the parts of the screen are.
    fn areas(&self, app: &App, screen: Rect, dialogue: Option<&Dialogue>) -> Areas {
        let bottom_rows = match dialogue {
            Some(dialogue) => dialogue.rows(&self.dialogue, screen.width),
            None => compose::rows(app, &self.compose, screen.width),
        };
        layout::areas(
            app,
            screen,
            bottom_rows,
            header::hint_rows(app, screen.width, self.options),
        )
    }

    /// The end of the channel that is peeked at, over the transcript, else over a part of the list.
    fn draw_peek(&mut self, canvas: &mut Canvas, areas: &Areas, app: &App) {
        let Some(channel) = app.list.peek.as_ref().and_then(|id| app.channels.get(id)) else {
            return;
        };
        let Some(area) = peek::area(areas, self.marked_row) else {
            return;
        };
        let cache = self.cache(channel);
        peek::draw(canvas, area, app, channel, cache);
    }

    /// The rows of a channel.
    fn cache(&mut self, channel: &Channel) -> &mut RowCache {
        // The names and revisions of blocks begin anew with a new watch, so its rows are never those of the one before.
        match self
            .caches
            .iter()
            .position(|((id, rows), _)| *rows == rows_of(channel) && *id == channel.id)
        {
            Some(at) => {
                self.caches[at..].rotate_left(1);
                let last = self.caches.len() - 1;
                &mut self.caches[last].1
            }
            None => self.push_cache(channel.id.clone(), rows_of(channel)),
        }
    }

    fn push_cache(&mut self, id: ChannelId, rows: (u64, u32)) -> &mut RowCache {
        // An earlier watch of the same channel is over.
        self.caches.retain(|((of, _), _)| *of != id);
        let most = self.cached_channels.max(CACHED_CHANNELS);
        if self.caches.len() >= most {
            self.caches.drain(..=self.caches.len() - most);
        }
        self.caches.push(((id, rows), RowCache::default()));
        let last = self.caches.len() - 1;
        &mut self.caches[last].1
    }

    /// Takes over texts that the state changed.
    fn sync(&mut self, app: &App) {
        if self.draft_revision != app.draft_revision {
            self.draft_revision = app.draft_revision;
            self.compose = Editor::of_draft(&app.draft, &app.compose.pastes);
        }
        let typed = match &app.overlay {
            Some(Overlay::Ask(ask)) => &ask.input,
            Some(Overlay::Pick(picker)) => &picker.input,
            Some(Overlay::Answer(answer)) => &answer.input,
            Some(Overlay::Inbox(inbox)) => match inbox.form.typing() {
                Some(typed) => typed,
                None => return,
            },
            Some(Overlay::Help | Overlay::Confirm(_) | Overlay::Tail) | None => return,
        };
        if !self.dialogue.holds(typed) {
            self.dialogue = Editor::new(typed);
        }
    }
}

/// The open dialogue, laid out for a width in columns.
fn dialogue(canvas: &Canvas, app: &App, width: u16) -> Option<Dialogue> {
    match &app.overlay {
        Some(Overlay::Ask(ask)) => Some(overlay::ask(canvas, app, ask, width)),
        Some(Overlay::Answer(answer)) => Some(overlay::answer(canvas, app, answer, width)),
        Some(Overlay::Confirm(question)) => Some(overlay::confirm(canvas, app, question, width)),
        Some(Overlay::Help | Overlay::Pick(_) | Overlay::Inbox(_) | Overlay::Tail) | None => None,
    }
}

fn draw_too_small(canvas: &mut Canvas, screen: Rect) {
    let text = format!(
        "The terminal is too small: switchboard needs {} x {}, this is {} x {}.",
        SMALLEST.0, SMALLEST.1, screen.width, screen.height
    );
    let style = canvas.theme.plain();
    for (row, y) in wrap(&text, screen.width.max(1))
        .rows()
        .iter()
        .zip(screen.top()..screen.bottom())
    {
        canvas.put(screen.x, y, screen.width, &row.text(), style);
    }
}

/// A text of the program's own on rows of a width.
fn wrap(text: &str, width: u16) -> BlockRows {
    let mut rows = BlockRows::new(Format::Plain);
    rows.update(text, 0, width.max(1));
    rows
}
