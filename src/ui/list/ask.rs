//! What the list asks for: a filter, a title, a group, and whether to stop watching what is over.

use crate::ui::canvas::Canvas;
use crate::ui::overlay::{Dialogue, that_fits, wrapped};

/// The line that narrows the list.
pub(in crate::ui) fn ask_filter(canvas: &Canvas, width: u16) -> Dialogue {
    let theme = canvas.theme;
    let ways = [
        "Words of the title, group or state; also state:failed, group:nightly, is:unread, is:pinned, !word",
        "Words, state:failed, group:nightly, is:unread, is:pinned, !word",
        "Words, state:failed, is:unread, !word",
    ];
    let mut dialogue = Dialogue::new("filter the list");
    dialogue.below = wrapped(that_fits(&ways, width), theme.dim(), width);
    dialogue.placeholder = "type to narrow the list";
    dialogue
}

/// The line for a title.
pub(in crate::ui) fn ask_title(canvas: &Canvas, width: u16) -> Dialogue {
    let theme = canvas.theme;
    let mut dialogue = Dialogue::new("rename the channel");
    dialogue.below = wrapped("Empty: the prompt's first line again.", theme.dim(), width);
    dialogue.placeholder = "the prompt's first line";
    dialogue
}

/// The line for a group.
pub(in crate::ui) fn ask_group(canvas: &Canvas, width: u16) -> Dialogue {
    let theme = canvas.theme;
    let mut dialogue = Dialogue::new("put the channel in a group");
    dialogue.below = wrapped("Any word, such as nightly. Empty: in no group.", theme.dim(), width);
    dialogue.placeholder = "no group";
    dialogue
}

/// The question whether to stop watching what is over.
pub(in crate::ui) fn confirm_ended(canvas: &Canvas, count: usize, width: u16) -> Dialogue {
    let theme = canvas.theme;
    let mut dialogue = Dialogue::new("stop watching");
    dialogue.has_editor = false;
    let asked = match count {
        1 => "Stop watching 1 ended channel?".to_owned(),
        count => format!("Stop watching {count} ended channels?"),
    };
    dialogue.above = wrapped(&asked, theme.bold(), width);
    dialogue.above.extend(wrapped(
        "They are over and were read. Pinned ones stay. What the server keeps of them stays there.",
        theme.plain(),
        width,
    ));
    dialogue
}
