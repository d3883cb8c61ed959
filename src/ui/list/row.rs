//! One channel of the list on one, two or three lines. Columns of numbers stay where they are, whatever they hold.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::app::list::{SAMPLES, kept_for};
use crate::app::recordings::Spool;
use crate::app::state::Focus;
use crate::app::{App, Channel, ChannelState};
use crate::text::{json, preview, sanitise_line};
use crate::transcript::{BlockKind, Connection, Honesty};

use crate::ui::UiOptions;
use crate::ui::canvas::Canvas;
use crate::ui::format::number;

/// Columns in front of the title: the mark, what is unread, the state, the pin.
const LEFT: u16 = 4;
/// Columns of the fields, each with the blank in front of it.
const WORD: u16 = 8;
const ELAPSED: u16 = 6;
const RATE: u16 = 6;
const SPARK: u16 = SAMPLES as u16 + 1;
const TOKENS: u16 = 12;
const KEPT: u16 = 23;
/// From these widths on a field has its column.
const ELAPSED_FROM: u16 = 32;
const RATE_FROM: u16 = 48;
const SPARK_FROM: u16 = 60;
const TEXT_FROM: u16 = 78;
const TOKENS_FROM: u16 = 98;
const KEPT_FROM: u16 = 130;
/// Columns of the title where the last words stand beside it.
const LEAST_TITLE: u16 = 24;
const MOST_TITLE: u16 = 48;

const BARS: [&str; SAMPLES + 1] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_BARS: [&str; SAMPLES + 1] = [" ", "_", ".", "-", "~", "=", "+", "*", "#"];

/// Which fields the first line has at a width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    elapsed: bool,
    rate: bool,
    spark: bool,
    tokens: bool,
    kept: bool,
    text: bool,
}

impl Columns {
    pub fn of(width: u16) -> Self {
        Self {
            elapsed: width >= ELAPSED_FROM,
            rate: width >= RATE_FROM,
            spark: width >= SPARK_FROM,
            tokens: width >= TOKENS_FROM,
            kept: width >= KEPT_FROM,
            text: width >= TEXT_FROM,
        }
    }

    /// How many columns the fields take.
    fn fields(&self) -> u16 {
        [
            (self.elapsed, ELAPSED),
            (self.rate, RATE),
            (self.spark, SPARK),
            (self.tokens, TOKENS),
            (self.kept, KEPT),
        ]
        .into_iter()
        .map(|(there, columns)| if there { columns } else { 0 })
        .sum::<u16>()
            + WORD
    }
}

/// Draws a channel.
pub(super) fn draw(
    canvas: &mut Canvas,
    area: Rect,
    columns: &Columns,
    app: &App,
    channel: &Channel,
    options: UiOptions,
) {
    let theme = canvas.theme;
    let state = channel.state(app.now);
    let (glyph, style) = theme.state(state);
    let selected = app.selected.as_ref() == Some(&channel.id);
    if selected {
        let mark_style = if app.focus == Focus::List {
            theme.accent()
        } else {
            theme.plain()
        };
        for y in area.top()..area.bottom() {
            canvas.put(area.x, y, 1, theme.mark, mark_style);
        }
    }
    if channel.unread {
        canvas.put(area.x + 1, area.y, 1, theme.unread, theme.accent());
    }
    canvas.put(area.x + 2, area.y, 1, glyph, style);
    if channel.list.pinned {
        canvas.put(area.x + 3, area.y, 1, "^", theme.dim());
    }
    let line = Line {
        app,
        channel,
        state,
        left: area.x + LEFT,
        right: area.right().saturating_sub(1),
        options,
    };
    let mut title_style = theme.plain();
    if selected || channel.unread || state == ChannelState::Waiting {
        title_style = title_style.add_modifier(Modifier::BOLD);
    }
    let limit = line.fields(canvas, area.y, columns);
    let one_line = app.list.lines() == 1;
    let room = limit.saturating_sub(line.left + 1);
    let mut title_room = room;
    if one_line && columns.text {
        // The last words begin where those of other channels do, however long this one's state is in words.
        let usual = area.width.saturating_sub(columns.fields() + LEFT + 2);
        let x = line.left + (usual * 3 / 5).clamp(LEAST_TITLE, MOST_TITLE) + 2;
        let text_room = (line.left + room).saturating_sub(x);
        let text = last_words(channel, state, usize::from(text_room));
        if !text.is_empty() {
            title_room = room.min(x - 2 - line.left);
            canvas.put(x, area.y, text_room, &text, theme.dim());
        }
    }
    canvas.put(line.left, area.y, title_room, &channel.title, title_style);
    if area.height > 1 {
        let y = area.y + 1;
        let limit = if area.height == 2 {
            line.beside_text(canvas, y, columns)
        } else {
            line.right + 1
        };
        let room = limit.saturating_sub(line.left + 1);
        let text = last_words(channel, state, usize::from(room));
        canvas.put(line.left, y, room, &text, theme.dim());
    }
    if area.height > 2 {
        line.facts(canvas, area.y + 2, columns);
    }
}

/// A channel's line: what, and between which columns.
struct Line<'a> {
    app: &'a App,
    channel: &'a Channel,
    state: ChannelState,
    left: u16,
    right: u16,
    options: UiOptions,
}

impl Line<'_> {
    /// The fields at the right of the first line; gives the column where they begin.
    fn fields(&self, canvas: &mut Canvas, y: u16, columns: &Columns) -> u16 {
        let theme = canvas.theme;
        let (dim, mut right) = (theme.dim(), self.right);
        if columns.kept {
            let (kept, _) = self.kept();
            canvas.put_right(self.left, right, y, &kept, dim);
            right = right.saturating_sub(KEPT);
        }
        let (_, style) = theme.state(self.state);
        // A channel without a run has no time either: its longer word takes the room.
        let no_time = matches!(self.state, ChannelState::NotKept | ChannelState::Quiet);
        if columns.elapsed && !no_time {
            let elapsed = match self.state {
                ChannelState::Reconnecting { seconds: 0 } => String::new(),
                ChannelState::Reconnecting { seconds } => format!("{seconds:>3} s"),
                _ => self.channel.elapsed(self.app.now).map(elapsed).unwrap_or_default(),
            };
            canvas.put_right(self.left, right, y, &elapsed, dim);
            right = right.saturating_sub(ELAPSED);
        }
        if columns.rate {
            if !no_time {
                canvas.put_right(self.left, right, y, &self.rate(), dim);
            }
            right = right.saturating_sub(if no_time { ELAPSED + RATE } else { RATE });
        }
        if columns.spark {
            self.spark(canvas, right.saturating_sub(SPARK - 1), y);
            right = right.saturating_sub(SPARK);
        }
        if columns.tokens {
            canvas.put_right(self.left, right, y, &self.tokens(), dim);
            right = right.saturating_sub(TOKENS);
        }
        if no_time && columns.elapsed && !columns.rate {
            right = self.right;
        }
        let style = if self.state == ChannelState::Waiting {
            // The one thing that needs the person.
            style.add_modifier(Modifier::REVERSED)
        } else {
            style
        };
        let start = canvas.put_right(self.left, right, y, self.state.word(), style);
        start.min(right.saturating_sub(WORD - 1))
    }

    /// What stands at the right of the second of two lines; gives the column where it begins.
    fn beside_text(&self, canvas: &mut Canvas, y: u16, columns: &Columns) -> u16 {
        let dim = canvas.theme.dim();
        let mut right = self.right;
        if self.state == ChannelState::Live {
            if !columns.rate {
                canvas.put_right(self.left, right, y, &self.rate(), dim);
                right = right.saturating_sub(RATE);
            }
            if !columns.spark {
                self.spark(canvas, right.saturating_sub(SPARK - 1), y);
                right = right.saturating_sub(SPARK);
            }
        }
        let most = usize::from(self.right.saturating_sub(self.left) / 2);
        let (kept, short) = self.kept();
        let fits = [kept, short]
            .into_iter()
            .find(|text| text.len() <= most)
            .unwrap_or_default();
        if !columns.kept && !fits.is_empty() {
            return canvas.put_right(self.left, right, y, &fits, dim).saturating_sub(1);
        }
        if columns.spark && !columns.tokens {
            canvas.put_right(self.left, right, y, &self.tokens(), dim);
            right = right.saturating_sub(TOKENS - 1);
        }
        right
    }

    /// The third line: tokens and group, how whole it is and how long it is kept, or how fast it comes.
    fn facts(&self, canvas: &mut Canvas, y: u16, columns: &Columns) {
        let dim = canvas.theme.dim();
        let mut right = self.right;
        if self.state == ChannelState::Live {
            if !columns.rate {
                canvas.put_right(self.left, right, y, &self.rate(), dim);
                right = right.saturating_sub(RATE);
            }
            if !columns.spark {
                self.spark(canvas, right.saturating_sub(SPARK - 1), y);
                right = right.saturating_sub(SPARK);
            }
        }
        let (kept, short) = self.kept();
        let tokens = if columns.tokens { String::new() } else { self.tokens() };
        let room = usize::from(right.saturating_sub(self.left));
        let fits = [kept, short]
            .into_iter()
            .find(|text| text.len() + tokens.len() + 2 <= room)
            .unwrap_or_default();
        if !columns.kept && !fits.is_empty() {
            right = canvas.put_right(self.left, right, y, &fits, dim).saturating_sub(1);
        }
        let mut x = canvas.put(self.left, y, right.saturating_sub(self.left), &tokens, dim);
        if !self.channel.list.group.is_empty() {
            x += if tokens.is_empty() { 0 } else { 2 };
            let text = format!("in {}", self.channel.list.group);
            canvas.put(x, y, right.saturating_sub(x), &text, dim);
        }
    }

    fn tokens(&self) -> String {
        match self.channel.tokens() {
            0 => String::new(),
            // The column is as wide as this, whatever comes.
            tokens @ 100_000..1_000_000 => format!("{}k tok", tokens / 1_000),
            tokens => format!("{} tok", number(tokens)),
        }
    }

    fn rate(&self) -> String {
        if self.state != ChannelState::Live {
            return String::new();
        }
        match self.channel.transcript.rate(self.channel.clock(self.app.now)) {
            rate if rate >= 1_000.0 => format!("{:.0}k/s", rate / 1_000.0),
            rate => format!("{rate:.0}/s"),
        }
    }

    /// A bar a sample, the highest as high as the most of them.
    fn spark(&self, canvas: &mut Canvas, x: u16, y: u16) {
        if self.state != ChannelState::Live {
            return;
        }
        let samples = self.channel.list.samples(self.app.now.monotonic_ms);
        let most = samples.iter().copied().max().unwrap_or(0);
        if most == 0 {
            return;
        }
        let bars = if self.options.ascii { &ASCII_BARS } else { &BARS };
        let style = canvas.theme.good();
        for (sample, x) in samples.iter().zip(x..) {
            // Rounded up: a little is not nothing.
            let height = (u64::from(*sample) * SAMPLES as u64).div_ceil(u64::from(most)) as usize;
            canvas.put(x, y, 1, bars[height.min(SAMPLES)], style);
        }
    }

    /// How whole it is and how long it is kept, in full and in short.
    fn kept(&self) -> (String, String) {
        facts(self.app, self.channel)
    }
}

/// How whole a channel's transcript is and how long the server still keeps it, in full and in short; each empty where
/// nothing can be said.
fn facts(app: &App, channel: &Channel) -> (String, String) {
    let honesty = match channel.transcript.honesty() {
        Honesty::Complete => "complete",
        Honesty::HeadTrimmed => "head trimmed",
        Honesty::Gap => "gap",
        Honesty::Unknown => "",
    };
    let kept = kept_for(app, channel).map(kept).unwrap_or_default();
    let gap = if honesty.is_empty() || kept.is_empty() {
        ""
    } else {
        "  "
    };
    let full = format!("{honesty}{gap}{kept}");
    if channel.recordings.spool.is_on() {
        // Nothing of it is about to be lost: that it is recorded says more than the rest.
        let gap = if full.is_empty() { "" } else { "  " };
        return (format!("rec{gap}{full}"), "rec".to_owned());
    }
    // What is missing says more than how long it is kept.
    let short = match channel.transcript.honesty() {
        Honesty::HeadTrimmed => "trimmed".to_owned(),
        Honesty::Gap => honesty.to_owned(),
        Honesty::Complete | Honesty::Unknown if kept.is_empty() => honesty.to_owned(),
        Honesty::Complete | Honesty::Unknown => kept,
    };
    (full, short)
}

/// For how long something is still kept.
fn kept(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        _ if ms == 0 => "may be gone".to_owned(),
        0 => "kept < 1 min".to_owned(),
        1..120 => format!("kept {minutes} min"),
        120..2_880 => format!("kept {} h", minutes / 60),
        _ => format!("kept {} days", minutes / 1_440),
    }
}

/// A duration of at most five columns.
fn elapsed(ms: u64) -> String {
    let hours = ms / 3_600_000;
    match hours {
        0..100 => crate::ui::format::duration(ms),
        100..2_400 => format!("{}d{:02}h", hours / 24, hours % 24),
        _ => format!("{}d", hours / 24),
    }
}

/// How whole a transcript is and how long it is kept, at the end of its pane's last row, where that is free.
pub(in crate::ui) fn draw_footing(canvas: &mut Canvas, pane: Rect, app: &App, channel: &Channel) {
    let (full, short) = facts(app, channel);
    let recorded = match channel.recordings.spool {
        Spool::Done(_) => format!("recorded  {full}"),
        _ => full.clone(),
    };
    let Some(y) = pane.bottom().checked_sub(1).filter(|y| *y >= pane.top()) else {
        return;
    };
    let right = pane.right().saturating_sub(1);
    let style = canvas.theme.dim();
    for text in [recorded, full, short] {
        let columns = u16::try_from(text.len()).unwrap_or(u16::MAX);
        let start = right.saturating_sub(columns);
        // A blank in front of it keeps it apart from what is written.
        let free = start > pane.x + 2 && (start - 2..right).all(|x| canvas.buffer[(x, y)].symbol() == " ");
        if free && !text.is_empty() {
            canvas.put(start, y, columns, &text, style);
            return;
        }
    }
}

/// What is worth knowing of a channel in one short line.
fn last_words(channel: &Channel, state: ChannelState, max: usize) -> String {
    if max < 4 {
        return String::new();
    }
    match state {
        ChannelState::Waiting => channel
            .transcript
            .waiting_calls()
            .next()
            .map(|call| json::call(call.function, call.arguments, max)),
        ChannelState::Reconnecting { .. } | ChannelState::Failed => match &channel.connection {
            Connection::Reconnecting { reason, .. } | Connection::Failed { reason } => {
                Some(sanitise_line(reason).into_owned())
            }
            _ => failure(channel),
        },
        ChannelState::NotKept => Some("the server has nothing of it any more".to_owned()),
        _ => {
            // The end of the text, not its beginning, is what is new.
            let text = channel.transcript.last_text(max);
            text.map(|text| sanitise_line(&preview::words(&text)).into_owned())
        }
    }
    .unwrap_or_default()
}

fn failure(channel: &Channel) -> Option<String> {
    channel
        .transcript
        .blocks()
        .rev()
        .take(4)
        .find_map(|block| match &block.kind {
            BlockKind::Failure { message, .. } => Some(sanitise_line(message).into_owned()),
            _ => None,
        })
}
