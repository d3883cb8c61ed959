//! The scrub bar of a recording that is played back, in the last row of its pane.

use ratatui::layout::Rect;

use crate::app::Channel;
use crate::app::recordings::Playback;
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
pub(super) fn draw(canvas: &mut Canvas, pane: Rect, channel: &Channel) -> Rect {
    let text = text_area(pane, channel);
    if let Some(playback) = channel
        .recordings
        .playback
        .as_ref()
        .filter(|_| text.height < pane.height)
    {
        draw_bar(canvas, Rect::new(pane.x, text.bottom(), pane.width, 1), playback);
    }
    text
}

fn draw_bar(canvas: &mut Canvas, area: Rect, playback: &Playback) {
    let theme = canvas.theme;
    let word = if playback.playing { "playing" } else { "paused " };
    let before = format!("{word} {:>5}", duration(playback.position()));
    let after = format!("{}  {:>7}", duration(playback.length()), playback.speed.word());
    let room = usize::from(area.width.saturating_sub(3));
    let taken = width(&before) + width(&after) + 2;
    let bar = room.saturating_sub(taken);
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
    canvas.put(x, area.y, area.right().saturating_sub(x), &after, theme.plain());
}
