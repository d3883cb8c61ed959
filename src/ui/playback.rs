//! The scrub bar of a recording that is played back, in the last row of its pane.

use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::recordings::Playback;
use crate::app::{Channel, Keymap};
use crate::text::width::width;

use super::canvas::Canvas;
use super::format::duration;

/// The fewest columns of the bar itself that say anything.
const SHORTEST_BAR: usize = 8;

/// What is left of a pane for text.
pub(super) fn text_area(pane: Rect, channel: &Channel) -> Rect {
    let bar = u16::from(channel.recordings.playback.is_some() && pane.height > 1);
    Rect {
        height: pane.height - bar,
        ..pane
    }
}

/// Draws the bar of a recording; gives what is left of the pane for text.
pub(super) fn draw(canvas: &mut Canvas, pane: Rect, channel: &Channel, keymap: &Keymap) -> Rect {
    let text = text_area(pane, channel);
    if let Some(playback) = channel
        .recordings
        .playback
        .as_ref()
        .filter(|_| text.height < pane.height)
    {
        draw_bar(
            canvas,
            Rect::new(pane.x, text.bottom(), pane.width, 1),
            playback,
            keymap,
        );
    }
    text
}

fn draw_bar(canvas: &mut Canvas, area: Rect, playback: &Playback, keymap: &Keymap) {
    let theme = canvas.theme;
    let word = if playback.playing { "playing" } else { "paused " };
    let before = format!("{word} {:>5}", duration(playback.position()));
    let after = format!("{}  {:>7}", duration(playback.length()), playback.speed.word());
    let keys = [
        (Action::PlayPause, if playback.playing { "pause" } else { "play" }),
        (Action::SeekBack, "back"),
        (Action::SeekForward, "forward"),
        (Action::Faster, "faster"),
    ];
    let hints: String = keys
        .into_iter()
        .map(|(action, word)| format!("   {} {word}", keymap.first(action)))
        .collect();
    let room = usize::from(area.width.saturating_sub(3));
    let taken = width(&before) + width(&after) + 2;
    // The bar comes before the keys: the help has those too.
    let hints = if taken + width(&hints) + SHORTEST_BAR * 2 <= room {
        hints
    } else {
        String::new()
    };
    let bar = room.saturating_sub(taken + width(&hints));
    let mut x = canvas.put(area.x + 2, area.y, area.width.saturating_sub(2), &before, theme.plain()) + 1;
    if bar >= SHORTEST_BAR {
        let done = playback.position().saturating_mul(bar as u64 - 1) / playback.length().max(1);
        let done = u16::try_from(done)
            .unwrap_or(0)
            .min(u16::try_from(bar - 1).unwrap_or(0));
        let whole = u16::try_from(bar).unwrap_or(u16::MAX);
        canvas.fill(Rect::new(x, area.y, whole, 1), theme.rule, theme.dim());
        canvas.fill(Rect::new(x, area.y, done, 1), theme.heavy, theme.accent());
        canvas.put(x + done, area.y, 1, theme.mark, theme.accent());
        x += whole + 1;
    }
    x = canvas.put(x, area.y, area.right().saturating_sub(x), &after, theme.plain());
    canvas.put(x, area.y, area.right().saturating_sub(x), &hints, theme.dim());
}
