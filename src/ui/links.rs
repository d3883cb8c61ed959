//! Links on the screen: which cells lead where.
//!
//! A cell carries the name of its address in place of a colour of its underline; what writes cells to the terminal
//! makes a hyperlink of it. So a link that changes is a cell that changed, and widths stay what they are.

use std::ops::Range;

use ratatui::style::Color;

use crate::text::LinkId;
use crate::text::link::LINK_SIGN;

use super::canvas::Canvas;

/// Makes the columns of a row lead to an address.
pub(super) fn cover(canvas: &mut Canvas, columns: Range<u16>, y: u16, link: LinkId) {
    let [high, low] = link.to_bytes();
    for x in columns {
        if let Some(cell) = canvas.buffer.cell_mut((x, y)) {
            cell.underline_color = Color::Rgb(LINK_SIGN, high, low);
        }
    }
}
