//! Keys of calls that wait: the inbox and the form. Rows of the table only: what they do is decided elsewhere.

use super::table::*;

/// The rows.
pub(super) static ROWS: &[ActionInfo] = &[];
