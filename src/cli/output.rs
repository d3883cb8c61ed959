//! Standard output and standard error: a closed pipe ends the program quietly, notes have one form, and
//! nothing that steers a terminal gets to one.

use std::io::{self, IsTerminal as _, Write as _};

use super::exit::{Exit, Failure};

/// Standard output. Every write is flushed: what is printed is seen.
#[derive(Debug)]
pub struct Output {
    terminal: bool,
    error_terminal: bool,
    /// Whether the last character on standard output ended its line.
    line_ended: bool,
}

/// Why writing stopped.
#[derive(Debug)]
pub enum Stopped {
    /// Nobody reads any more; the command ends without a word.
    Closed,
    /// It cannot be written.
    Failed(io::Error),
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            // An empty message is not printed.
            Stopped::Closed => Self::new(Exit::Done, ""),
            Stopped::Failed(error) => Self::new(Exit::Other, format!("cannot write to standard output: {error}")),
        }
    }
}

impl Output {
    /// The process's standard streams.
    #[must_use]
    pub fn new() -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            error_terminal: io::stderr().is_terminal(),
            line_ended: true,
        }
    }

    /// Writes text that came from outside, without control characters: what goes into a file or a pipe ends on a
    /// terminal sooner or later.
    ///
    /// # Errors
    /// When nobody reads, or it cannot be written.
    pub fn text(&mut self, text: &str) -> Result<(), Stopped> {
        if text.is_empty() {
            return Ok(());
        }
        let text = sanitise(text);
        if let Some(last) = text.chars().next_back() {
            self.line_ended = last == '\n';
        }
        write(text.as_bytes())
    }

    /// Writes one line of bytes as they are.
    ///
    /// # Errors
    /// When nobody reads, or it cannot be written.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Stopped> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        self.line_ended = true;
        write(&bytes)
    }

    /// Ends the line on standard output, if one is begun.
    ///
    /// # Errors
    /// When nobody reads, or it cannot be written.
    pub fn end_line(&mut self) -> Result<(), Stopped> {
        if self.line_ended {
            return Ok(());
        }
        self.line_ended = true;
        write(b"\n")
    }

    /// Whether a person reads standard output, and how many columns there are.
    #[must_use]
    pub fn columns(&self) -> Option<usize> {
        let size = self.terminal.then(|| rustix::termios::tcgetwinsize(io::stdout()).ok());
        match size.flatten() {
            // Some terminals say nothing about their size.
            Some(size) if size.ws_col > 0 => Some(usize::from(size.ws_col)),
            _ => self.terminal.then_some(80),
        }
    }

    /// Writes a note to standard error, on a line of its own. Notes never stop a command.
    pub fn note(&mut self, text: &str) {
        if self.terminal && self.error_terminal && !self.line_ended {
            self.line_ended = true;
            let _ = write(b"\n");
        }
        let _ = writeln!(io::stderr(), "{}", sanitise(text));
    }

    /// Writes a piece of reasoning to standard error, dimmed; only where a person sees it.
    pub fn aside(&mut self, text: &str) {
        if self.error_terminal {
            let _ = write!(io::stderr(), "\u{1b}[2m{}\u{1b}[22m", sanitise(text));
        }
    }
}

fn write(bytes: &[u8]) -> Result<(), Stopped> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Stopped::Closed,
            _ => Stopped::Failed(error),
        })
}

/// The text without what steers a terminal or turns the direction of text around; line breaks and tabs stay.
///
/// Unlike the screen's own (`text::sanitise`) it looks at each character alone, so that a stream can be cut
/// anywhere, within an emoji too.
#[must_use]
pub fn sanitise(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || is_invisible(*c)))
        .collect()
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_that_steers_a_terminal_is_left(text in any::<String>()) {
            prop_assert!(sanitise(&text).chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        }
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(sanitise("a\tü\n😀"), "a\tü\n😀");
        assert_eq!(sanitise("\u{1b}[31mred\u{202e}\r\n"), "[31mred\n");
    }
}
