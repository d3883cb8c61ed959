//! Text for the screen: made safe, read as markdown, wrapped to a width, kept as rows.
//!
//! It knows no terminal and no colours: a piece of text has a [`Role`], and the theme says how that looks.

mod ending;
mod fence;
mod growing;
#[cfg(test)]
mod growing_tests;
pub mod highlight;
pub mod json;
pub mod layout;
pub mod lines;
pub mod link;
mod markdown;
pub mod mask;
pub mod preview;
pub mod sanitise;
mod table;
#[cfg(test)]
mod tests;
pub mod width;
pub mod wrap;

pub use layout::{BlockRows, CodeFence, Format, Growth};
pub use link::LinkId;
pub use sanitise::{sanitise, sanitise_line};

/// What a piece of text is; the theme says how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Plain text.
    #[default]
    Plain,
    /// A heading of level 1 to 6.
    Heading(u8),
    /// Emphasis (italic).
    Emphasis,
    /// Strong emphasis (bold).
    Strong,
    /// Both.
    StrongEmphasis,
    /// Struck through.
    Strike,
    /// Code within a line.
    Code,
    /// A line of a code block.
    CodeBlock,
    /// Code whose parts have roles of their own, and this one has none.
    CodeText,
    /// A word of the language.
    Keyword,
    /// A text within code.
    Str,
    /// A comment within code.
    Comment,
    /// A number or a constant within code.
    Number,
    /// The name of a function.
    Function,
    /// The name of a type, of a field, of an attribute.
    Type,
    /// A line that a patch adds.
    Inserted,
    /// A line that a patch takes away.
    Deleted,
    /// The language of a code block.
    CodeInfo,
    /// The bar in front of a quotation.
    QuoteBar,
    /// Text of a quotation.
    Quote,
    /// The text of a link.
    Link,
    /// The address of a link.
    LinkTarget,
    /// A bullet, a number, the box of a task.
    ListMarker,
    /// A horizontal rule.
    Rule,
    /// The lines between a table's cells.
    TableBorder,
    /// The head of a table.
    TableHeader,
    /// Said by the program or beside the point.
    Muted,
}

/// A piece of a row: safe for a terminal, never with a line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What to show.
    pub text: String,
    /// What it is.
    pub role: Role,
    /// Where it leads, if it may be opened.
    pub link: Option<LinkId>,
}

impl Span {
    /// A piece of text with its role.
    pub fn new(text: impl Into<String>, role: Role) -> Self {
        Self {
            text: text.into(),
            role,
            link: None,
        }
    }
}

/// One row of the screen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Its pieces, from the left.
    pub spans: Vec<Span>,
    /// Where it begins in the source, in bytes; grows (not strictly) from row to row: the key of a scroll anchor.
    pub source_offset: usize,
    /// How many columns it takes.
    pub width: u16,
    /// How it follows on the row above.
    pub joint: Joint,
    /// How many of its pieces stand in front of every row of its line: an indent, the bar of a quotation.
    pub front: usize,
}

/// How a row follows on the one above, for whoever takes the text out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Joint {
    /// It begins a line.
    #[default]
    Break,
    /// Its line was broken at white space.
    Space,
    /// Its line was broken where nothing stood.
    Nothing,
}

impl Row {
    /// The row's text without roles.
    #[must_use]
    pub fn text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }
}
