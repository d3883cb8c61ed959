//! The transcript pane: the rows in view of the selected channel, and what to say where there are none.

use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::reading::{Detail, Search, Times};
use crate::app::recordings::{Spool, is_replay};
use crate::app::state::{Focus, ServerState};
use crate::app::{App, Channel, ChannelState, Now, Spot};
use crate::text::sanitise_line;
use crate::text::width::width as columns;
use crate::transcript::{Block, BlockId, BlockKind, CallState, Connection};

use super::block::{BlockView, Line, Right, Tone, WAITS};
use super::canvas::Canvas;
use super::format::{ago, count, duration, number, time};
use super::header::{is_refused, outage_sentence};
use super::inbox;
use super::theme::Theme;
use super::viewport::{Place, RowCache, Viewport};
use super::{UiOptions, wrap};

/// Columns in front of the text: the mark and a blank.
pub(super) const MARGIN: u16 = 2;
/// The widest column of text: longer lines are hard to read.
const WIDEST_TEXT: u16 = 120;
/// Columns of a title bar that the title keeps.
const LEAST_TITLE: u16 = 20;
/// Rows below the view are counted up to here.
const COUNTED_ROWS: usize = 99;

/// The width of the text in a pane.
pub(super) fn text_width(pane: Rect) -> u16 {
    pane.width.saturating_sub(MARGIN + 1).clamp(1, WIDEST_TEXT)
}

/// The part of a pane that text is written in.
fn column(pane: Rect) -> Rect {
    Rect {
        width: pane.width.min(MARGIN + text_width(pane) + 1),
        ..pane
    }
}

/// Draws the title bar of a channel that is shown alone (or of none).
pub(super) fn draw_bar(canvas: &mut Canvas, bar: Rect, app: &App, channel: Option<&Channel>, focused: bool) {
    let Some(channel) = channel else {
        canvas.bar(bar, "transcript", "", focused);
        return;
    };
    let room = usize::from(bar.width.saturating_sub(LEAST_TITLE));
    canvas.bar(bar, &channel.title, &summary(app, channel, room), focused);
}

/// Draws the rows of a channel.
pub(super) fn draw_body(
    canvas: &mut Canvas,
    pane: Rect,
    app: &App,
    channel: &Channel,
    focused: bool,
    cache: &mut RowCache,
    options: UiOptions,
) {
    let pane = super::playback::draw(canvas, pane, channel);
    if channel.transcript.is_empty() {
        draw_empty(canvas, pane, app, channel);
        return;
    }
    let pane = column(pane);
    let mut viewport = Viewport::new(app, channel, cache, text_width(pane));
    let window = viewport.window(usize::from(pane.height));
    let target = if focused { viewport.fold_target(window) } else { None };
    let keys = Keys::of(app, channel);
    let search = channel.reading.search.as_ref();
    let mut y = pane.top();
    let end = pane.top() + u16::try_from(window.rows).unwrap_or(pane.height).min(pane.height);
    let mut index = window.top.index;
    let mut row = window.top.row;
    while y < end {
        let Some(id) = viewport.id(index) else { break };
        let block = viewport.block(index);
        let is_target = target == Some(id);
        let is_marked = focused && block.is_some() && channel.marked == Some(id);
        let stamp = block.and_then(|block| stamp(block, app, options));
        let Some(view) = viewport.view(index) else { break };
        let rows = view.len();
        let in_view = row..rows.min(row + usize::from(end - y));
        let jobs = match block.filter(|_| options.color) {
            Some(block) => super::highlight::jobs(channel, block, view, view.body_in(in_view.clone())),
            None => Vec::new(),
        };
        let found = search.map(|search| Found::new(search, id, view, in_view));
        let drawn = Drawn {
            channel: Some(channel),
            options,
            view,
            block,
            stamp: stamp.as_deref(),
            keys: Some(&keys),
            now: Now {
                unix_ms: channel.clock(app.now),
                ..app.now
            },
        };
        while row < rows && y < end {
            let area = Rect { y, height: 1, ..pane };
            drawn.row(canvas, area, row, is_target);
            if let Some(found) = &found {
                found.mark(canvas, area, &drawn, row);
            }
            if row + view.foot.len() >= rows
                && block.is_some()
                && let Some((text, style)) = inbox::doing(&canvas.theme, app, &channel.id, id)
            {
                // Instead of what a person might do about the call.
                canvas.fill(area, " ", canvas.theme.plain());
                canvas.put(area.x + MARGIN + 2, y, text_width(pane).saturating_sub(2), &text, style);
            }
            if is_marked && row >= view.gap {
                let style = canvas.theme.accent();
                let mark = canvas.theme.mark;
                canvas.put(pane.x, y, 1, mark, style);
            }
            row += 1;
            y += 1;
        }
        if !jobs.is_empty() {
            viewport.want(jobs);
        }
        row = 0;
        index += 1;
    }
    if focused {
        super::selection::paint(canvas, pane, app, &mut viewport, window);
    }
    let mut bottom = pane.bottom();
    if viewport.status_rows() > 0 && pane.height > 0 {
        bottom -= 1;
        let (text, style) = match &channel.connection {
            Connection::Failed { reason } => (format!("x no longer watched: {reason}"), canvas.theme.error()),
            Connection::Reconnecting { reason, attempt: 0, .. } => {
                (format!("~ connection lost: {reason}"), canvas.theme.warning())
            }
            Connection::Reconnecting { reason, attempt, .. } => (
                format!("~ connection lost: {reason} (try {attempt})"),
                canvas.theme.warning(),
            ),
            _ => (String::new(), canvas.theme.plain()),
        };
        canvas.put(pane.x + MARGIN, bottom, text_width(pane), &sanitise_line(&text), style);
    }
    if window.at_end && bottom == pane.bottom() {
        super::list::draw_footing(canvas, pane, app, channel);
    }
    if !window.at_end && bottom > pane.top() {
        let below = viewport.moved(window.top, isize::try_from(window.rows).unwrap_or(0));
        let rows = viewport.rows_from(below, COUNTED_ROWS + 1);
        let more = if rows > COUNTED_ROWS {
            "99+ lines".to_owned()
        } else {
            count(rows as u64, "line")
        };
        let new = new_rows(&mut viewport);
        let new_rows = if new > COUNTED_ROWS {
            "99+".to_owned()
        } else {
            number(new as u64)
        };
        let end = app.settings.keymap.first(Action::End);
        // In the compose box `G` would type one.
        let text = match (new > 0, focused) {
            (true, true) => format!("{more} below, {new_rows} new: {end} follows"),
            (false, true) => format!("{more} below: {end} goes to the end"),
            (true, false) => format!("{more} below, {new_rows} new"),
            (false, false) => format!("{more} below"),
        };
        let style = canvas.theme.accent();
        canvas.put_right(
            pane.x + MARGIN,
            pane.right().saturating_sub(1),
            pane.bottom() - 1,
            &text,
            style,
        );
    }
}

/// How many rows came since the reader left the end, up to a little more than are counted.
fn new_rows(viewport: &mut Viewport) -> usize {
    let channel = viewport.channel;
    let Some((block, length)) = channel.reading.left.filter(|_| !viewport.is_raw()) else {
        return 0;
    };
    let spot = Spot::Body {
        offset: length.saturating_sub(1),
        skip: 0,
    };
    let Some(index) = viewport.position(block) else {
        return COUNTED_ROWS + 1;
    };
    let place = if length > 0 {
        viewport.resolve(block, spot)
    } else {
        Place {
            index,
            row: viewport.view(index).map_or(0, |view| view.len().saturating_sub(1)),
        }
    };
    viewport.rows_from(place, COUNTED_ROWS + 2).saturating_sub(1)
}

/// The time that stands beside a block, as the reader wants it.
fn stamp(block: &Block, app: &App, options: UiOptions) -> Option<String> {
    let at = block.at?;
    let is_prompt = matches!(block.kind, BlockKind::Prompt { .. });
    match app.reading.times {
        Times::Off => None,
        Times::Prompts if !is_prompt => None,
        Times::Prompts | Times::Absolute => Some(time(at, options)),
        Times::Relative => Some(ago(at, app.now, app.shows_seconds())),
    }
}

/// What is searched for in the rows of a block that are in view.
struct Found<'a> {
    search: &'a Search,
    /// The first row of text that was looked at.
    first: usize,
    body: Vec<Vec<std::ops::Range<usize>>>,
    /// The row of the match that the search went to, and which one of that row it is.
    here: Option<(usize, usize)>,
}

impl<'a> Found<'a> {
    fn new(search: &'a Search, id: BlockId, view: &BlockView, rows: std::ops::Range<usize>) -> Self {
        let head = view.head.len();
        let body = view.body();
        let first = rows.start.saturating_sub(head).min(body.len());
        let last = rows.end.saturating_sub(head).min(body.len());
        Self {
            search,
            first,
            body: super::search::matches(search, &body[first..last]),
            here: super::search::here(search, id, view),
        }
    }

    /// Marks the matches of a row that was drawn.
    fn mark(&self, canvas: &mut Canvas, area: Rect, drawn: &Drawn<'_>, row: usize) {
        let view = drawn.view;
        let head = view.head.len();
        let mut ranges = Vec::new();
        let (text, indent) = if let Some(line) = view.head.get(row) {
            if let Some(pattern) = self.search.pattern() {
                ranges.extend(pattern.find_iter(&line.text).map(|found| found.range()));
            }
            (std::borrow::Cow::Borrowed(line.text.as_str()), line.indent)
        } else if let Some(text) = view.body().get(row - head) {
            let Some(found) = (row - head).checked_sub(self.first).and_then(|at| self.body.get(at)) else {
                return;
            };
            ranges.clone_from(found);
            (std::borrow::Cow::Owned(text.text()), view.body_indent)
        } else {
            return;
        };
        for (at, range) in ranges.into_iter().enumerate() {
            let style = if self.here == Some((row, at)) {
                canvas.theme.found_here()
            } else {
                canvas.theme.found()
            };
            let from = area.x + MARGIN + indent + small(columns(&text[..range.start]));
            let to = from + small(columns(&text[range]));
            let right = area.right().saturating_sub(1);
            for x in from.min(right)..to.min(right) {
                canvas.buffer[(x, area.y)].set_style(style);
            }
        }
    }
}

fn small(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// What a title bar says first: that it is recorded, what is searched for, and what is not shown as usual.
pub(super) fn front(app: &App, channel: &Channel) -> String {
    let mut front = String::new();
    match channel.recordings.spool {
        Spool::On(_) => front.push_str("rec   "),
        Spool::Paused(_) => front.push_str("rec paused   "),
        Spool::Off | Spool::Done(_) => {}
    }
    if let Some(search) = channel.reading.search.as_ref().and_then(super::search::summary) {
        front.push_str(&format!("{search}   "));
    }
    if channel.reading.raw.is_some() {
        front.push_str("raw events   ");
    } else if app.detail(channel) != Detail::Full {
        front.push_str(&format!("{}   ", app.detail(channel).word()));
    }
    front
}

/// State, time, tokens and rate for the title bar, as much as there is room for; before them, what is not as usual.
pub(super) fn summary(app: &App, channel: &Channel, room: usize) -> String {
    let now = app.now;
    let state = channel.state(now);
    let front = front(app, channel);
    let mut text = format!("{front}{}", state.word());
    if let ChannelState::Reconnecting { seconds: seconds @ 1.. } = state {
        text = format!("{front}reconnecting in {seconds} s");
    }
    let mut parts = Vec::with_capacity(3);
    if let Some(elapsed) = channel.elapsed(now) {
        parts.push(format!("  {}", duration(elapsed)));
    }
    let tokens = channel.tokens();
    if tokens > 0 {
        // What was streamed; what the prompt took is told at the end of the run.
        parts.push(format!("  {:>5} tok out", number(tokens)));
    }
    if state == ChannelState::Live {
        parts.push(format!("  {:>3.0}/s", channel.transcript.rate(channel.clock(now))));
    }
    for part in parts {
        if text.len() + part.len() > room {
            break;
        }
        text.push_str(&part);
    }
    text
}

fn tone(theme: &Theme, tone: Tone) -> Style {
    match tone {
        Tone::Plain => theme.plain(),
        Tone::Dim => theme.dim(),
        Tone::Bold => theme.bold(),
        Tone::Warning => theme.warning(),
        Tone::Error => theme.error(),
        Tone::Good => theme.good(),
    }
}

/// Whether the time of a block stands on its own first line, and not on the blank row above it.
fn has_room(view: &BlockView) -> bool {
    let first = view.head.get(view.gap);
    first.is_some_and(|line| matches!(line.right, Right::At(_) | Right::Nothing))
}

/// A block that is being drawn.
struct Drawn<'a> {
    /// Whose code has colours.
    channel: Option<&'a Channel>,
    options: UiOptions,
    view: &'a BlockView,
    /// `None`: a raw event.
    block: Option<&'a Block>,
    /// The time beside it.
    stamp: Option<&'a str>,
    /// What keys do here; `None`: nothing.
    keys: Option<&'a Keys>,
    now: Now,
}

/// What keys do with the parts of a transcript, in words.
struct Keys {
    fold: String,
    unfold: String,
    answer: String,
}

impl Keys {
    fn of(app: &App, channel: &Channel) -> Self {
        let key = |action| app.settings.keymap.first(action);
        let fold = key(Action::Fold);
        let without = key(Action::Answer).is_empty();
        let answer = if without || is_replay(channel) || app.selected.as_ref() != Some(&channel.id) {
            // A recording waits for nobody, and in a pane beside the one in focus the key is that of the one in focus.
            String::new()
        } else if app.focus == Focus::Compose {
            // There the key would type itself.
            format!(": {} then {}", key(Action::LeaveCompose), key(Action::Answer))
        } else {
            format!(": press {}", key(Action::Answer))
        };
        // The key map may leave it without a key.
        let with_key = |word: &str| match fold.as_str() {
            "" => String::new(),
            fold => format!("({fold} {word})"),
        };
        Self {
            unfold: with_key("opens"),
            fold: with_key("folds"),
            answer,
        }
    }
}

/// Draws one row of a block as it is, without the time beside it and without what a key would do.
pub(super) fn draw_plain_row(
    canvas: &mut Canvas,
    area: Rect,
    block: Option<&Block>,
    view: &BlockView,
    row: usize,
    now: Now,
) {
    let options = UiOptions {
        color: false,
        links: false,
        ..UiOptions::default()
    };
    let drawn = Drawn {
        channel: None,
        options,
        view,
        block,
        stamp: None,
        keys: None,
        now,
    };
    drawn.row(canvas, area, row, false);
}

impl Drawn<'_> {
    fn row(&self, canvas: &mut Canvas, area: Rect, row: usize, is_target: bool) {
        let view = self.view;
        let left = area.x + MARGIN;
        let right = area.right().saturating_sub(1);
        let body = view.body();
        let body_at = view.head.len();
        if row < body_at {
            let hint = is_target && row == view.gap;
            let line = &view.head[row];
            if row < view.gap {
                if let Some(stamp) = self.stamp.filter(|_| !has_room(view)) {
                    let dim = canvas.theme.dim();
                    canvas.put_right(left, right, area.y, stamp, dim);
                }
                return;
            }
            self.line(
                canvas,
                (left, right, area.y),
                line,
                hint.then_some(view.folded),
                row == view.gap,
            );
        } else if let Some(text) = body.get(row - body_at) {
            let base = tone(&canvas.theme, view.body_tone);
            let mut x = left + view.body_indent;
            let parts = match (self.block, self.channel) {
                (Some(block), Some(channel)) if self.options.color => {
                    super::highlight::parts(channel, block, view, text)
                }
                _ => Vec::new(),
            };
            for (part, role) in &parts {
                let style = base.patch(canvas.theme.role(*role));
                x = canvas.put(x, area.y, right.saturating_sub(x), part, style);
            }
            let whole = if parts.is_empty() { text.spans.as_slice() } else { &[] };
            for span in whole {
                let style = base.patch(canvas.theme.role(span.role));
                let start = x;
                x = canvas.put(x, area.y, right.saturating_sub(x), &span.text, style);
                if let Some(link) = span.link.filter(|_| self.options.links && !self.options.ascii) {
                    super::links::cover(canvas, start..x, area.y, link);
                }
            }
            if view.streaming && row + 1 == body_at + body.len() {
                let (mark, style) = (canvas.theme.mark, canvas.theme.accent());
                canvas.put(x, area.y, right.saturating_sub(x), mark, style);
            }
        } else if let Some(line) = view.foot.get(row - body_at - body.len()) {
            self.line(canvas, (left, right, area.y), line, None, false);
        }
    }

    fn line(
        &self,
        canvas: &mut Canvas,
        (left, right, y): (u16, u16, u16),
        line: &Line,
        fold_hint: Option<bool>,
        is_first: bool,
    ) {
        let now = self.now;
        let stamp = self.stamp.filter(|_| is_first);
        let mut said = line.text.as_str();
        let style = tone(&canvas.theme, line.tone);
        let dim = canvas.theme.dim();
        let mut limit = right;
        let mut answer = "";
        match &line.right {
            Right::Text(text) => limit = canvas.put_right(left, right, y, text, dim).saturating_sub(1),
            Right::Waiting { asked_at } => {
                let waited = asked_at.map(|at| duration(now.unix_ms.saturating_sub(at)));
                let text = format!("waiting {}", waited.unwrap_or_default());
                limit = canvas
                    .put_right(left, right, y, text.trim_end(), style)
                    .saturating_sub(1);
            }
            Right::At(_) => {
                if let Some(stamp) = self.stamp {
                    limit = canvas.put_right(left, right, y, stamp, dim).saturating_sub(1);
                }
            }
            Right::Nothing => {
                let gives_up = match self.block.map(|block| &block.kind) {
                    Some(BlockKind::Call {
                        state:
                            CallState::Waiting {
                                expires_at: Some(at), ..
                            },
                        ..
                    }) if line.indent > 0 => Some(format!("gives up in {}", duration(at.saturating_sub(now.unix_ms)))),
                    _ => None,
                };
                let hint = match fold_hint {
                    Some(true) => self.keys.map(|keys| keys.unfold.as_str()),
                    Some(false) => self.keys.map(|keys| keys.fold.as_str()),
                    None => None,
                };
                let hint = hint.filter(|hint| !hint.is_empty());
                if line.text == WAITS {
                    answer = self.keys.map_or("", |keys| keys.answer.as_str());
                }
                // What was recorded waits no more.
                let is_over = self.channel.is_some_and(is_replay);
                if is_over && line.text == WAITS {
                    said = "waited for an answer then";
                }
                let gives_up = gives_up.filter(|_| !is_over);
                // What a line says comes before what stands beside it.
                let room = usize::from(right.saturating_sub(left));
                let beside = |text: &&str| {
                    columns(said) + columns(answer) + usize::from(line.indent) + 2 + columns(text) <= room
                };
                if let Some(text) = gives_up.as_deref().or(hint).or(stamp).filter(beside) {
                    limit = canvas.put_right(left, right, y, text, dim).saturating_sub(1);
                }
            }
        }
        let x = left + line.indent;
        let x = canvas.put(x, y, limit.saturating_sub(x), said, style);
        if !answer.is_empty() {
            canvas.put(x, y, limit.saturating_sub(x), answer, style);
        }
    }
}

/// Writes wrapped paragraphs from the top of a pane, a blank row between them.
fn paragraphs(canvas: &mut Canvas, pane: Rect, texts: &[(String, Style)]) {
    let mut y = pane.top() + 1;
    for (text, style) in texts {
        for row in wrap(text, text_width(pane)).rows() {
            if y >= pane.bottom() {
                return;
            }
            canvas.put(pane.x + MARGIN, y, text_width(pane), &row.text(), *style);
            y += 1;
        }
        y += 1;
    }
}

/// No channel is watched.
pub(super) fn draw_welcome(canvas: &mut Canvas, pane: Rect, app: &App, options: UiOptions) {
    let theme = canvas.theme;
    let composing = app.focus == Focus::Compose;
    let key = |action| app.settings.keymap.first(action);
    let first = if composing {
        format!("Type a prompt and press {}.", key(Action::Send))
    } else {
        let (compose, watch) = (key(Action::Compose), key(Action::Watch));
        format!("Press {compose} to write a prompt, or {watch} to watch a channel id.")
    };
    let mut texts = vec![(first, theme.plain())];
    match &app.server.state {
        ServerState::Starting => texts.push((seeking(app), theme.dim())),
        ServerState::Unreachable { .. } => {
            texts.extend(outage_sentence(app, options).map(|text| (format!("x {text}"), theme.error())));
        }
        ServerState::Ready => {
            if app.server.info.as_ref().is_some_and(|info| info.demo) {
                let text = "No language model was found, so the built-in demo model answers: it shows what the program \
                            does, it knows nothing.";
                texts.push((text.to_owned(), theme.dim()));
            }
        }
    }
    let (watch, help, quit) = (key(Action::Watch), key(Action::Help), key(Action::Quit));
    let last = if composing {
        let leave = key(Action::LeaveCompose);
        format!(
            "{leave} leaves the compose box; then {watch} watches a channel id, {help} shows all keys and {quit} quits."
        )
    } else {
        format!("{help} shows all keys, {quit} quits; runs go on without this window.")
    };
    texts.push((last, theme.dim()));
    paragraphs(canvas, pane, &texts);
}

/// What is done while the server is not there yet.
fn seeking(app: &App) -> String {
    if app.server.local {
        "Starting the local server …".to_owned()
    } else {
        format!("Looking for the server {} …", app.server.name)
    }
}

/// A channel that nothing has come of.
pub(super) fn draw_empty(canvas: &mut Canvas, pane: Rect, app: &App, channel: &Channel) {
    let theme = canvas.theme;
    let mut texts = Vec::new();
    if let Some(prompt) = &channel.prompt {
        texts.push((format!("you\n{prompt}"), theme.plain()));
    }
    let text = match &channel.connection {
        Connection::Failed { reason } => (format!("x cannot be watched: {reason}"), theme.error()),
        _ if app.server.state == ServerState::Starting => (seeking(app), theme.dim()),
        _ if matches!(app.server.state, ServerState::Unreachable { .. }) => {
            let word = if is_refused(app) {
                "refuses"
            } else {
                "cannot be reached"
            };
            let when = if channel.dispatching {
                "the prompt is sent when it can be"
            } else {
                "what is kept of this channel is shown when it can be"
            };
            (format!("~ {} {word}; {when}.", app.server.name), theme.warning())
        }
        Connection::Reconnecting { reason, .. } => (format!("~ the connection was lost: {reason}"), theme.warning()),
        _ if channel.dispatching => ("Sending the prompt …".to_owned(), theme.dim()),
        _ if channel.prompt.is_some() => ("Queued: nothing has come yet.".to_owned(), theme.dim()),
        _ => match channel.state(app.now) {
            ChannelState::NotKept => (
                "Nothing of this channel is kept on this server any more: runs are kept for a while after their end, \
                 and a server that was started anew may have none. Should something come, it appears here; x takes \
                 the channel off the list."
                    .to_owned(),
                theme.dim(),
            ),
            ChannelState::Quiet => (
                "Waiting for events: nothing was published on this channel yet; what comes appears here.".to_owned(),
                theme.dim(),
            ),
            _ => (format!("Connecting to {} …", app.server.name), theme.dim()),
        },
    };
    texts.push(text);
    if let Spool::Done(file) = &channel.recordings.spool {
        let key = app.settings.keymap.first(Action::OpenRecording);
        texts.push((
            format!("This run is recorded: {key} in the list opens {file}."),
            theme.plain(),
        ));
    }
    paragraphs(canvas, pane, &texts);
}
