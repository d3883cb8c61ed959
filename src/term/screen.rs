//! The screen that the loop paints on: the real terminal, or any ratatui backend in its place.
//!
//! It does not know what is painted and does not decide when.

use std::convert::Infallible;
use std::future::Future;
use std::io;

use ratatui::backend::{Backend, TestBackend};
use ratatui::layout::Size;
use ratatui::{Frame, Terminal};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::backend::FrameBackend;
use super::clipboard::osc52;
use super::modes::{self, EnterError, Suspended, TerminalGuard};
use super::output::FrameWriter;

/// The most characters of a title.
const LONGEST_TITLE: usize = 120;

/// What the loop needs of a screen.
pub trait Screen {
    /// Paints a frame. What did not change since the last frame costs nothing.
    ///
    /// # Errors
    /// When the terminal is gone.
    fn paint(&mut self, draw: &mut dyn FnMut(&mut Frame<'_>)) -> io::Result<()>;

    /// Whether the last frame is still on its way; painting another now would wait for it.
    fn is_busy(&self) -> bool;

    /// Waits until the last frame was taken by the terminal. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the terminal is gone.
    fn idle(&self) -> impl Future<Output = io::Result<()>>;

    /// The terminal has another size, in columns and rows.
    fn resize(&mut self, columns: u16, rows: u16);

    /// Makes the next frame draw every cell again.
    ///
    /// # Errors
    /// When the terminal is gone.
    fn clear(&mut self) -> io::Result<()>;

    /// Sets the window's title with the next frame. Control characters are left out.
    fn set_title(&mut self, title: &str);

    /// Asks the terminal with the next frame to take a text into its clipboard; `false` when it is too long for that.
    fn copy(&mut self, text: &str) -> bool;

    /// Sends the terminal a sequence that draws nothing, with the next frame.
    fn send(&mut self, sequence: &str);

    /// Gives the terminal back and stops the process until the shell continues it; then SIGCONT comes, and
    /// [`Screen::reenter`] is due.
    ///
    /// # Errors
    /// When the process cannot be stopped.
    fn suspend(&mut self) -> io::Result<Suspended>;

    /// Takes the terminal again after the process was stopped and continued.
    ///
    /// # Errors
    /// When the terminal is gone.
    fn reenter(&mut self) -> io::Result<()>;

    /// Gives the terminal to another program, until [`Screen::reenter`].
    fn lend(&mut self);

    /// The program that the terminal is lent to is being stopped: this process stops along with it.
    fn stop_along(&mut self) {}

    /// Asks the terminal, with the next frame, to report the mouse, or to keep it to itself.
    fn set_mouse(&mut self, on: bool);

    /// The size now, in columns and rows.
    fn size(&self) -> (u16, u16);
}

/// The process's own terminal. It is given back when this is dropped.
#[derive(Debug)]
pub struct TerminalScreen {
    terminal: Terminal<FrameBackend>,
    writer: FrameWriter,
    /// How the terminal was when it was lent.
    lent: Option<Termios>,
    _guard: TerminalGuard,
}

impl TerminalScreen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard input or output is no terminal, or the terminal refuses.
    pub fn enter() -> Result<Self, EnterError> {
        let guard = TerminalGuard::enter()?;
        let (columns, rows) = modes::size();
        let terminal = Terminal::new(FrameBackend::new(Size::new(columns, rows)))?;
        let writer = FrameWriter::start(modes::write)?;
        Ok(Self {
            terminal,
            writer,
            lent: None,
            _guard: guard,
        })
    }

    fn start_anew(&mut self) -> io::Result<()> {
        let (columns, rows) = modes::size();
        self.terminal.backend_mut().forget();
        self.resize(columns, rows);
        self.terminal.clear()
    }
}

impl Screen for TerminalScreen {
    fn paint(&mut self, draw: &mut dyn FnMut(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame))?;
        match self.terminal.backend_mut().take_frame()? {
            Some(frame) => self.writer.send(frame),
            None => Ok(()),
        }
    }

    fn is_busy(&self) -> bool {
        self.writer.is_busy()
    }

    async fn idle(&self) -> io::Result<()> {
        self.writer.idle().await
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        // ratatui compares this with what it drew last and draws everything again.
        self.terminal
            .backend_mut()
            .set_size(Size::new(columns.max(1), rows.max(1)));
    }

    fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    fn set_title(&mut self, title: &str) {
        self.terminal.backend_mut().push_extra(&title_sequence(title));
    }

    fn copy(&mut self, text: &str) -> bool {
        let sequence = osc52(text);
        if let Some(sequence) = &sequence {
            self.terminal.backend_mut().push_extra(sequence);
        }
        sequence.is_some()
    }

    fn send(&mut self, sequence: &str) {
        self.terminal.backend_mut().push_extra(sequence);
    }

    fn suspend(&mut self) -> io::Result<Suspended> {
        modes::suspend()
    }

    fn reenter(&mut self) -> io::Result<()> {
        if let Some(before) = self.lent.take() {
            // Whatever it was lent to may have left it in any mode, and what is found now is what is given back.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
        modes::reenter()?;
        self.start_anew()
    }

    fn lend(&mut self) {
        modes::leave();
        self.lent = tcgetattr(io::stdin()).ok();
    }

    fn stop_along(&mut self) {
        modes::stop_along();
    }

    fn set_mouse(&mut self, on: bool) {
        self.terminal.backend_mut().push_extra(modes::mouse(on));
    }

    fn size(&self) -> (u16, u16) {
        let Size { width, height } = self.terminal.backend().size().unwrap_or(Size::new(80, 24));
        (width, height)
    }
}

/// A screen without a terminal around it: tests read its cells, titles and copied texts.
#[derive(Debug)]
pub struct BackendScreen {
    /// What was painted.
    pub terminal: Terminal<TestBackend>,
    /// Every title that was set.
    pub titles: Vec<String>,
    /// Every text that was copied.
    pub copied: Vec<String>,
    /// Every sequence that was sent.
    pub sent: Vec<String>,
    /// How many frames were painted.
    pub frames: usize,
    /// How often the process would have been stopped.
    pub suspensions: usize,
    /// How often it was lent to another program.
    pub lent: usize,
    /// Whether the mouse is reported.
    pub mouse: bool,
}

impl BackendScreen {
    /// An empty screen of this size.
    #[must_use]
    pub fn new(columns: u16, rows: u16) -> Self {
        let Ok(terminal) = Terminal::new(TestBackend::new(columns, rows)).map_err(|never: Infallible| match never {});
        Self {
            terminal,
            titles: Vec::new(),
            copied: Vec::new(),
            sent: Vec::new(),
            frames: 0,
            suspensions: 0,
            lent: 0,
            mouse: false,
        }
    }

    /// What the screen shows, a line a row, without the blanks at their ends.
    #[must_use]
    pub fn text(&self) -> String {
        let buffer = self.terminal.backend().buffer();
        let mut text = String::new();
        for row in 0..buffer.area.height {
            let mut line = String::new();
            for column in 0..buffer.area.width {
                line.push_str(buffer[(column, row)].symbol());
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

impl Screen for BackendScreen {
    fn paint(&mut self, draw: &mut dyn FnMut(&mut Frame<'_>)) -> io::Result<()> {
        let Ok(_) = self
            .terminal
            .draw(|frame| draw(frame))
            .map_err(|never: Infallible| match never {});
        self.frames += 1;
        Ok(())
    }

    fn is_busy(&self) -> bool {
        false
    }

    async fn idle(&self) -> io::Result<()> {
        Ok(())
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.terminal.backend_mut().resize(columns, rows);
    }

    fn clear(&mut self) -> io::Result<()> {
        let Ok(()) = self.terminal.clear().map_err(|never: Infallible| match never {});
        Ok(())
    }

    fn set_title(&mut self, title: &str) {
        self.titles.push(clean_title(title));
    }

    fn copy(&mut self, text: &str) -> bool {
        self.copied.push(text.to_owned());
        osc52(text).is_some()
    }

    fn send(&mut self, sequence: &str) {
        self.sent.push(sequence.to_owned());
    }

    fn suspend(&mut self) -> io::Result<Suspended> {
        self.suspensions += 1;
        Ok(Suspended::Stopped)
    }

    fn reenter(&mut self) -> io::Result<()> {
        self.clear()
    }

    fn lend(&mut self) {
        self.lent += 1;
    }

    fn set_mouse(&mut self, on: bool) {
        self.mouse = on;
    }

    fn size(&self) -> (u16, u16) {
        let area = self.terminal.backend().buffer().area;
        (area.width, area.height)
    }
}

fn title_sequence(title: &str) -> String {
    format!("\x1b]2;{}\x1b\\", clean_title(title))
}

/// A title comes from a prompt: without control characters it can neither end its sequence nor begin another.
fn clean_title(title: &str) -> String {
    let visible = |c: &char| {
        !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    title.chars().filter(visible).take(LONGEST_TITLE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_cannot_leave_its_sequence() {
        assert_eq!(
            title_sequence("a\x1b\\b\x07c\u{9c}d\u{202e}e\n"),
            "\x1b]2;a\\bcde\x1b\\"
        );
        assert_eq!(clean_title(&"x".repeat(500)).len(), LONGEST_TITLE);
    }
}
