//! Keys of panes: layouts, splits, going to and fro. Rows of the table only: what they do is decided elsewhere.

use super::table::*;

/// The rows.
pub(super) static ROWS: &[ActionInfo] = &[];
