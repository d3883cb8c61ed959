//! What the end of a text stands in, and which marks there stand for nothing: what `growing` needs to know of it.
//!
//! It reads and decides nothing.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::growing::is_escaped;
use super::markdown;

/// What a text ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Nothing that text can be added to.
    Nothing,
    /// A paragraph, or the text of an item.
    Text,
    /// The text of a heading.
    Heading,
    /// The text of a table's cell.
    Cell,
    /// Code, or HTML: shown as it stands.
    Raw,
}

/// What a text ends in, and the marks there that stand for nothing.
#[derive(Debug)]
pub(super) struct Scan {
    /// What the text ends in.
    pub leaf: Leaf,
    /// Where that begins, in bytes.
    pub start: usize,
    /// Where marks stand in it that nothing answers, in bytes.
    pub marks: Vec<usize>,
    /// The leaf has ended; what comes is the text of the item around it.
    left: bool,
}

impl Scan {
    /// Reads a text.
    pub fn of(text: &str) -> Self {
        let mut scan = Self {
            leaf: Leaf::Nothing,
            start: 0,
            marks: Vec::new(),
            left: false,
        };
        for (event, range) in Parser::new_ext(text, markdown::options()).into_offset_iter() {
            match event {
                Event::Start(tag) => match tag {
                    Tag::Paragraph | Tag::Item => scan.enter(Leaf::Text, range.start),
                    Tag::Heading { .. } => scan.enter(Leaf::Heading, range.start),
                    Tag::TableCell if range.is_empty() => {}
                    Tag::TableCell => scan.enter(Leaf::Cell, range.start),
                    Tag::CodeBlock(_) | Tag::HtmlBlock => scan.enter(Leaf::Raw, range.start),
                    Tag::BlockQuote(_) | Tag::List(_) | Tag::Table(_) => scan.enter(Leaf::Nothing, range.start),
                    _ => scan.inline(range.start),
                },
                Event::End(tag) => match tag {
                    TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image => {}
                    _ => scan.left = true,
                },
                Event::Rule => scan.enter(Leaf::Nothing, range.start),
                Event::Text(_) if scan.leaf != Leaf::Raw || scan.left => {
                    scan.inline(range.start);
                    let bytes = &text.as_bytes()[range.clone()];
                    let places = bytes.iter().enumerate().filter(|(at, byte)| {
                        matches!(byte, b'*' | b'_' | b'~' | b'`' | b'[' | b'<' | b'&')
                            && !is_escaped(text, range.start + at)
                    });
                    scan.marks.extend(places.map(|(at, _)| range.start + at));
                }
                Event::Text(_) | Event::Html(_) => {}
                _ => scan.inline(range.start),
            }
        }
        scan
    }

    fn enter(&mut self, leaf: Leaf, start: usize) {
        self.leaf = leaf;
        self.start = start;
        self.marks.clear();
        self.left = false;
    }

    fn inline(&mut self, start: usize) {
        if self.left {
            self.enter(Leaf::Text, start);
        }
    }

    /// Whether the text ends in code or HTML.
    pub fn is_raw(&self) -> bool {
        self.leaf == Leaf::Raw
    }

    /// Whether nothing can be added any more to what the text ends in.
    pub fn is_ended(&self, text: &str) -> bool {
        let Some(complete) = text.strip_suffix('\n') else {
            return self.leaf == Leaf::Nothing;
        };
        let line = &complete[markdown::line_start(complete, complete.len())..];
        match self.leaf {
            Leaf::Text => line.trim_matches([' ', '\t', '>', '\r']).is_empty(),
            // A table goes on with its next row.
            Leaf::Cell => line.trim().is_empty(),
            Leaf::Nothing | Leaf::Heading | Leaf::Raw => true,
        }
    }
}
