//! Logical lines: text with roles and places in the source, not yet broken to a width.
//!
//! Between reading a text (`markdown`) and breaking it (`wrap`, `table`).

use pulldown_cmark::Alignment;

use super::growing::OpenTable;
use super::{LinkId, Role};

/// A piece of a logical line: safe for a terminal, without line breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// What it is.
    pub role: Role,
    /// Where it begins in the source, in bytes.
    pub offset: usize,
    /// Where it leads, if that is not told by the text itself.
    pub link: Option<LinkId>,
}

/// How a logical line is brought to a width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Broken between words.
    Words(Vec<Piece>),
    /// Broken anywhere.
    Code(Vec<Piece>),
    /// A horizontal rule over the whole width.
    Rule,
    /// A table.
    Table(Table),
}

/// A logical line with what stands in front of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// In front of the first row.
    pub first: Vec<Piece>,
    /// In front of the further rows; as wide as `first`.
    pub rest: Vec<Piece>,
    /// The content.
    pub shape: Shape,
    /// Where it begins in the source, in bytes.
    pub offset: usize,
    /// Its end is being written: an address there may not be whole.
    pub is_open: bool,
}

/// A table before it is laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns' alignments.
    pub alignments: Vec<ColumnAlignment>,
    /// The rows of cells; the first one is the head.
    pub rows: Vec<Vec<Vec<Piece>>>,
    /// How far it has come, while it still grows.
    pub(super) open: Option<OpenTable>,
}

/// How the cells of a column are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnAlignment {
    /// To the left.
    Left,
    /// Centred.
    Centre,
    /// To the right.
    Right,
}

impl From<&Alignment> for ColumnAlignment {
    fn from(alignment: &Alignment) -> Self {
        match alignment {
            Alignment::None | Alignment::Left => Self::Left,
            Alignment::Center => Self::Centre,
            Alignment::Right => Self::Right,
        }
    }
}
