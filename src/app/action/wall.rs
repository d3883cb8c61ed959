//! Keys of what is shared with other screens: lobby, kiosk, recordings. Rows of the table only: what they do is decided elsewhere.

use super::table::*;

/// The rows.
pub(super) static ROWS: &[ActionInfo] = &[];
