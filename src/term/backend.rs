//! Frames as bytes: what ratatui draws becomes one synchronized update (`CSI ? 2026`), with no erase but the asked-for.
//!
//! It does not write to the terminal; [`super::output`] does. It asks the terminal nothing.

use std::io;

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::Color;

use crate::text::LinkId;
use crate::text::link::LINK_SIGN;

const SYNC_BEGIN: &[u8] = b"\x1b[?2026h";
const SYNC_END: &[u8] = b"\x1b[?2026l";
const LINK_END: &[u8] = b"\x1b]8;;\x1b\\";

/// Draws into memory. The cursor is hidden while cells change, so that it never runs over the screen.
#[derive(Debug)]
pub struct FrameBackend {
    /// The frame so far.
    body: Vec<u8>,
    size: Size,
    /// What stands in front of the next frame: titles, clipboard.
    extra: Vec<u8>,
    /// What the terminal shows now; `None`: hidden.
    shown: Option<Position>,
    /// Whether a frame wants the cursor.
    wanted: bool,
    position: Position,
    drawn: bool,
}

impl FrameBackend {
    /// A screen of this size, empty, with the cursor hidden.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self {
            body: Vec::new(),
            size,
            extra: Vec::new(),
            shown: None,
            wanted: false,
            position: Position::ORIGIN,
            drawn: false,
        }
    }

    /// The terminal has another size.
    pub fn set_size(&mut self, size: Size) {
        self.size = size;
    }

    /// The terminal was taken anew: it is empty and the cursor is hidden.
    pub fn forget(&mut self) {
        self.shown = None;
        self.body.clear();
        self.drawn = false;
    }

    /// Puts a sequence that draws nothing in front of the next frame.
    pub fn push_extra(&mut self, sequence: &str) {
        self.extra.extend_from_slice(sequence.as_bytes());
    }

    /// The bytes of what was drawn since the last call; `None` when the terminal shows it already.
    ///
    /// # Errors
    /// None: memory takes everything.
    pub fn take_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.wanted {
            if self.drawn || self.shown != Some(self.position) {
                CrosstermBackend::new(&mut self.body).set_cursor_position(self.position)?;
            }
            if self.shown.is_none() {
                self.crossterm().show_cursor()?;
            }
            self.shown = Some(self.position);
        } else if self.shown.take().is_some() {
            self.crossterm().hide_cursor()?;
        }
        self.drawn = false;
        let body = std::mem::take(&mut self.body);
        let extra = std::mem::take(&mut self.extra);
        if body.is_empty() {
            return Ok((!extra.is_empty()).then_some(extra));
        }
        let mut frame = extra;
        frame.reserve(body.len() + SYNC_BEGIN.len() + SYNC_END.len());
        frame.extend_from_slice(SYNC_BEGIN);
        frame.extend_from_slice(&body);
        frame.extend_from_slice(SYNC_END);
        Ok(Some(frame))
    }

    /// crossterm's encoder keeps nothing between two calls.
    fn crossterm(&mut self) -> CrosstermBackend<&mut Vec<u8>> {
        CrosstermBackend::new(&mut self.body)
    }

    /// Draws cells that lead to the same address, or to none.
    fn run(&mut self, cells: &[(u16, u16, &Cell)]) -> io::Result<()> {
        let link = cells.first().and_then(|(_, _, cell)| link_of(cell));
        let Some((link, url)) = link.and_then(|link| Some((link, link.url()?))) else {
            return self.crossterm().draw(cells.iter().copied());
        };
        let mut plain = cells
            .iter()
            .map(|(x, y, cell)| (*x, *y, (*cell).clone()))
            .collect::<Vec<_>>();
        for (_, _, cell) in &mut plain {
            cell.underline_color = Color::Reset;
        }
        // The same name makes one link of rows that it goes on over (OSC 8).
        let name = u16::from_be_bytes(link.to_bytes());
        self.body
            .extend_from_slice(format!("\x1b]8;id=s{name};{url}\x1b\\").as_bytes());
        self.crossterm().draw(plain.iter().map(|(x, y, cell)| (*x, *y, cell)))?;
        self.body.extend_from_slice(LINK_END);
        Ok(())
    }

    fn hide_while_drawing(&mut self) -> io::Result<()> {
        self.drawn = true;
        if self.shown.take().is_some() {
            self.crossterm().hide_cursor()?;
        }
        Ok(())
    }
}

/// Where a cell leads: the screen's own sign for it, in place of a colour of underlines, which nothing else uses.
fn link_of(cell: &Cell) -> Option<LinkId> {
    match cell.underline_color {
        Color::Rgb(LINK_SIGN, high, low) => LinkId::from_bytes([high, low]),
        _ => None,
    }
}

impl Backend for FrameBackend {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let cells: Vec<(u16, u16, &Cell)> = content.collect();
        if cells.is_empty() {
            return Ok(());
        }
        self.hide_while_drawing()?;
        for run in cells.chunk_by(|one, next| link_of(one.2) == link_of(next.2)) {
            self.run(run)?;
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.wanted = false;
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.wanted = true;
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(self.position)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.position = position.into();
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.hide_while_drawing()?;
        self.crossterm().clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size,
            pixels: Size::new(0, 0),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;

    use super::*;

    fn frame(terminal: &mut Terminal<FrameBackend>, text: &str, cursor: Option<(u16, u16)>) -> Option<String> {
        terminal
            .draw(|frame| {
                frame.render_widget(text, frame.area());
                if let Some(cursor) = cursor {
                    frame.set_cursor_position(cursor);
                }
            })
            .expect("memory takes everything");
        let bytes = terminal.backend_mut().take_frame().expect("memory takes everything");
        bytes.map(|bytes| String::from_utf8(bytes).expect("frames are UTF-8"))
    }

    #[test]
    fn a_frame_is_one_synchronized_update_without_an_erase() {
        let mut terminal = Terminal::new(FrameBackend::new(Size::new(20, 2))).expect("it starts");
        let first = frame(&mut terminal, "hello", Some((5, 0))).expect("something is new");
        assert!(
            first.starts_with("\x1b[?2026h") && first.ends_with("\x1b[?2026l"),
            "{first:?}"
        );
        assert!(first.contains("hello"), "{first:?}");
        assert!(first.contains("\x1b[?25h"), "the cursor is shown: {first:?}");
        assert!(!first.contains("\x1b[2J") && !first.contains("\x1b[K"), "{first:?}");
        assert_eq!(frame(&mut terminal, "hello", Some((5, 0))), None, "nothing changed");
        let moved = frame(&mut terminal, "hello", Some((2, 0))).expect("the cursor moved");
        assert_eq!(moved, "\x1b[?2026h\x1b[1;3H\x1b[?2026l");
        let changed = frame(&mut terminal, "hellO", Some((2, 0))).expect("a cell changed");
        let hide = changed.find("\x1b[?25l").expect("hidden while drawing");
        let show = changed.find("\x1b[?25h").expect("and shown after");
        assert!(hide < changed.find('O').expect("drawn") && changed.find('O').expect("drawn") < show);
        let hidden = frame(&mut terminal, "hellO", None).expect("the cursor goes");
        assert_eq!(hidden, "\x1b[?2026h\x1b[?25l\x1b[?2026l");
    }

    #[test]
    fn a_cell_that_leads_somewhere_is_wrapped_in_its_address() {
        let link = LinkId::of("https://a.b/c").expect("an address");
        let [high, low] = link.to_bytes();
        let mut terminal = Terminal::new(FrameBackend::new(Size::new(20, 2))).expect("it starts");
        let mut paint = |to: std::ops::Range<u16>| {
            terminal
                .draw(|frame| {
                    frame.render_widget("see here now", frame.area());
                    for x in to {
                        frame.buffer_mut()[(x, 0)].underline_color = Color::Rgb(LINK_SIGN, high, low);
                    }
                })
                .expect("memory takes everything");
            let bytes = terminal.backend_mut().take_frame().expect("memory takes everything");
            bytes.map(|bytes| String::from_utf8(bytes).expect("frames are UTF-8"))
        };
        let first = paint(4..8).expect("something is new");
        let name = u16::from_be_bytes([high, low]);
        let open = format!("\x1b]8;id=s{name};https://a.b/c\x1b\\");
        let (before, rest) = first.split_once(&open).expect("it is opened");
        let (inside, after) = rest.split_once("\x1b]8;;\x1b\\").expect("and closed");
        assert!(
            before.contains("see") && inside.contains("here") && after.contains("now"),
            "{first:?}"
        );
        assert!(
            !first.contains("58;") && !first.contains("58:"),
            "no colour of underlines: {first:?}"
        );
        assert_eq!(paint(4..8), None, "nothing changed");
        let gone = paint(0..0).expect("it leads nowhere now");
        assert!(gone.contains("here") && !gone.contains("]8;"), "{gone:?}");
    }

    #[test]
    fn a_title_goes_out_also_when_nothing_is_drawn() {
        let mut terminal = Terminal::new(FrameBackend::new(Size::new(20, 2))).expect("it starts");
        frame(&mut terminal, "x", None);
        terminal.backend_mut().push_extra("\x1b]2;title\x1b\\");
        assert_eq!(frame(&mut terminal, "x", None).as_deref(), Some("\x1b]2;title\x1b\\"));
    }

    #[test]
    fn another_size_draws_everything_again_within_one_update() {
        let mut terminal = Terminal::new(FrameBackend::new(Size::new(20, 2))).expect("it starts");
        frame(&mut terminal, "hello", None);
        terminal.backend_mut().set_size(Size::new(10, 3));
        let again = frame(&mut terminal, "hello", None).expect("drawn again");
        assert!(again.starts_with("\x1b[?2026h") && again.contains("hello"), "{again:?}");
    }
}
