//! The first line (program, server, model, counts, clock) and the last one (hints, or news).

use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::Keymap;
use crate::app::action::{self, Action};
use crate::app::calls::Inbox;
use crate::app::calls::inbox::allowing;
use crate::app::picker::Purpose;
use crate::app::recordings::is_replay;
use crate::app::state::{Ask, AskFor, Focus, Overlay, ServerState};
use crate::app::{App, ChannelState, Counts, Now, copying};
use crate::text::sanitise_line;

use super::canvas::Canvas;
use super::format::clock;
use super::theme::Theme;
use super::{UiOptions, panes, wrap};

/// Columns of the first line that are kept for the names of program and server where counts can be written shorter.
const NAMES: u16 = 24;
/// The most rows that news and hints take; the fewer on a low screen.
pub(super) const MOST_ROWS: u16 = 4;
const MOST_ROWS_LOW: u16 = 3;
/// Under this many rows a dialogue needs the rows that news would take.
const LOW: u16 = 16;
/// Columns between two hints, where there is room and where there is not.
const WIDE_GAP: usize = 3;
const NARROW_GAP: usize = 2;

/// How many channels are in a state, for the first line.
struct Count {
    number: usize,
    word: &'static str,
    glyph: &'static str,
    style: Style,
}

impl Count {
    fn text(&self, words: bool) -> String {
        if words {
            format!("{} {}", self.number, self.word)
        } else {
            format!("{}{}", self.number, self.glyph)
        }
    }
}

/// The counts that are not zero, from the left. A cancelled run is no done one: it is counted by its own word.
fn counts(app: &App, theme: &Theme) -> Vec<Count> {
    counted(app.counts(), theme)
}

fn counted(counts: Counts, theme: &Theme) -> Vec<Count> {
    let Counts {
        live,
        waiting,
        done,
        cancelled,
        failed,
    } = counts;
    let all = [
        (live, "live", ChannelState::Live),
        (waiting, "waiting", ChannelState::Waiting),
        (done, "done", ChannelState::Done),
        (cancelled, "cancelled", ChannelState::Cancelled),
        (failed, "failed", ChannelState::Failed),
    ];
    all.into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, word, state)| {
            let (glyph, style) = theme.state(state);
            Count {
                number,
                word,
                glyph,
                style,
            }
        })
        .collect()
}

/// The same counts as texts with their styles, as words or as glyphs.
pub(super) fn count_texts(counts: Counts, theme: &Theme, words: bool) -> Vec<(String, Style)> {
    let counts = counted(counts, theme);
    counts.iter().map(|count| (count.text(words), count.style)).collect()
}

/// Draws the first line.
pub(super) fn draw_header(canvas: &mut Canvas, area: Rect, app: &App, options: UiOptions) {
    let theme = canvas.theme;
    let mut right = area.right().saturating_sub(1);
    right = canvas.put_right(area.x, right, area.y, &clock(app.now, options), theme.plain());
    right = right.saturating_sub(match area.width {
        0..60 => 1,
        60..100 => 2,
        _ => 5,
    });
    let counts = counts(app, &theme);
    let columns = |words: bool| -> usize { counts.iter().map(|count| count.text(words).len() + 2).sum() };
    let words = columns(true) + usize::from(NAMES) <= usize::from(right.saturating_sub(area.x));
    for count in counts.iter().rev() {
        right = canvas
            .put_right(area.x, right, area.y, &count.text(words), count.style)
            .saturating_sub(2);
    }
    let layout = panes::words(app);
    if !layout.is_empty() && usize::from(right.saturating_sub(area.x)) >= layout.len() + 2 + usize::from(NAMES) {
        right = canvas
            .put_right(area.x, right, area.y, &layout, theme.plain())
            .saturating_sub(2);
    }
    let put = |canvas: &mut Canvas, x: u16, text: &str, style: Style| {
        canvas.put(x, area.y, right.saturating_sub(x), text, style) + 2
    };
    let mut x = put(canvas, area.x + 1, "switchboard", theme.bold());
    x = put(canvas, x, &sanitise_line(&app.server.name), theme.plain());
    if let Some((since, next_try_at)) = app.outage() {
        let room = usize::from(right.saturating_sub(x));
        let text = outage(is_refused(app), since, next_try_at, app.now, options, room);
        put(canvas, x, &text, theme.error());
        return;
    }
    match (&app.server.state, &app.server.info) {
        (ServerState::Starting, _) if app.server.local => put(canvas, x, "starting", theme.dim()),
        (ServerState::Starting, _) => put(canvas, x, "connecting", theme.dim()),
        (ServerState::Unreachable { .. }, _) => x,
        (ServerState::Ready, Some(info)) if info.demo => put(canvas, x, "demo model", theme.warning()),
        (ServerState::Ready, Some(info)) => put(canvas, x, &sanitise_line(&info.model), theme.dim()),
        (ServerState::Ready, None) => x,
    };
}

/// Whether the server was reached and refused.
pub(super) fn is_refused(app: &App) -> bool {
    matches!(app.server.state, ServerState::Unreachable { refused: true, .. })
}

/// Since when the server is gone or refuses and when it is tried again, as much of it as there is room for.
fn outage(refused: bool, since: u64, next_try_at: u64, now: Now, options: UiOptions, room: usize) -> String {
    let word = if refused { "refused" } else { "unreachable" };
    let seconds = next_try_at.saturating_sub(now.unix_ms).div_ceil(1000);
    let since = clock(Now { unix_ms: since, ..now }, options);
    let next = if seconds == 0 {
        "trying now".to_owned()
    } else {
        format!("next try in {seconds} s")
    };
    [format!("{word} since {since}, {next}"), format!("{word} since {since}")]
        .into_iter()
        .find(|text| text.len() <= room)
        .unwrap_or_else(|| word.to_owned())
}

/// That the server cannot be reached, or refuses, since when, and why.
pub(super) fn outage_sentence(app: &App, options: UiOptions) -> Option<String> {
    let ServerState::Unreachable {
        reason, refused, since, ..
    } = &app.server.state
    else {
        return None;
    };
    let at = Now {
        unix_ms: *since,
        ..app.now
    };
    // Most reasons name the server themselves.
    let (name, word) = match (reason.contains(&app.server.name), refused) {
        (true, true) => ("", "refused"),
        (true, false) => ("", "unreachable"),
        (false, true) => (app.server.name.as_str(), "refuses"),
        (false, false) => (app.server.name.as_str(), "cannot be reached"),
    };
    let text = format!("{name} {word} since {}: {reason}", clock(at, options));
    Some(text.trim_start().to_owned())
}

/// What the last line says in words, if it is not hints: news, or that the server is gone.
fn news(app: &App, options: UiOptions) -> Option<(String, bool)> {
    if let Some(notice) = &app.notice {
        let glyph = if notice.error { "x " } else { "" };
        return Some((format!("{glyph}{}", notice.text), notice.error));
    }
    if app.channels.is_empty() {
        // There the pane says it.
        return None;
    }
    outage_sentence(app, options).map(|text| (format!("x {text}"), true))
}

/// The rows of news and whether the hints stand below them.
fn hint_parts(app: &App, width: u16, options: UiOptions) -> (Vec<(String, bool)>, bool) {
    let room = width.saturating_sub(2);
    let Some((text, error)) = news(app, options) else {
        return (Vec::new(), true);
    };
    // What is said for a few seconds may stand in for the hints, but never for the keys of a dialogue.
    let with_hints = app.overlay.is_some() || app.notice.is_none();
    let low = app.size.1 < LOW;
    let rows_in_all = if low { MOST_ROWS_LOW } else { MOST_ROWS };
    let most = match (with_hints, app.overlay.is_some() && low) {
        (_, true) => 0,
        (true, false) => usize::from(rows_in_all - 1),
        (false, false) => usize::from(rows_in_all),
    };
    let rows = wrap(&text, room);
    let mut rows: Vec<(String, bool)> = rows.rows().iter().map(|row| (row.text(), error)).collect();
    if rows.len() > most {
        rows.truncate(most);
        if let Some((last, _)) = rows.last_mut() {
            last.push('…');
        }
    }
    (rows, with_hints)
}

/// How many rows the last line would like to have.
pub(super) fn hint_rows(app: &App, width: u16, options: UiOptions) -> u16 {
    let (news, hints) = hint_parts(app, width, options);
    (u16::try_from(news.len()).unwrap_or(MOST_ROWS) + u16::from(hints)).clamp(1, MOST_ROWS)
}

/// Draws the last line: news, hints, or news above hints.
pub(super) fn draw_hint(canvas: &mut Canvas, area: Rect, app: &App, options: UiOptions) {
    let theme = canvas.theme;
    let (news, hints) = hint_parts(app, area.width, options);
    let news_rows = area.height.saturating_sub(u16::from(hints));
    for ((text, error), y) in news.iter().zip(area.y..area.y + news_rows) {
        let style = if *error { theme.error() } else { theme.plain() };
        canvas.put(area.x + 1, y, area.width.saturating_sub(2), text, style);
    }
    if hints {
        let last = Rect::new(area.x, area.bottom().saturating_sub(1), area.width, 1);
        draw_keys(canvas, last, hints_of(app));
    }
}

/// Draws keys with their words. Where they do not fit, those that may go do, from the end; nothing is cut in the middle.
fn draw_keys(canvas: &mut Canvas, area: Rect, mut hints: Vec<Hint>) {
    let theme = canvas.theme;
    // The key map may leave an action without a key.
    hints.retain(|hint| !hint.key.trim().is_empty());
    let room = usize::from(area.width.saturating_sub(2));
    let columns = |hints: &[Hint], gap: usize| -> usize {
        let columns: usize = hints.iter().map(|hint| hint.columns() + gap).sum();
        columns.saturating_sub(gap)
    };
    while columns(&hints, NARROW_GAP) > room
        && let Some(at) = hints.iter().rposition(|hint| !hint.kept)
    {
        hints.remove(at);
    }
    let gap = if columns(&hints, WIDE_GAP) > room {
        NARROW_GAP
    } else {
        WIDE_GAP
    };
    let mut x = area.x + 1;
    for hint in &hints {
        if usize::from(x) + hint.columns() > usize::from(area.right()) {
            break;
        }
        x = canvas.put(x, area.y, area.right() - x, &hint.key, theme.bold()) + 1;
        x = canvas.put(x, area.y, area.right() - x, hint.word, theme.dim()) + u16::try_from(gap).unwrap_or(1);
    }
}

/// A key that is worth pressing, and what it does, in a word or two.
struct Hint {
    key: String,
    word: &'static str,
    /// It stays where others go for want of room.
    kept: bool,
}

impl Hint {
    fn columns(&self) -> usize {
        self.key.len() + 1 + self.word.len()
    }
}

fn may_go(keymap: &Keymap, action: Action) -> Hint {
    let info = action::info(action);
    Hint {
        key: keymap.first(action),
        word: info.map_or("", |info| info.hint),
        kept: false,
    }
}

fn kept(keymap: &Keymap, action: Action) -> Hint {
    Hint {
        kept: true,
        ..may_go(keymap, action)
    }
}

/// What Enter does in a dialogue.
fn enter(keymap: &Keymap, word: &'static str) -> Hint {
    Hint {
        word,
        ..kept(keymap, Action::Accept)
    }
}

/// What Enter does with a line that is asked for.
fn asked(ask: &Ask) -> &'static str {
    match &ask.purpose {
        AskFor::Watch => "watch",
        AskFor::Export { .. } => "write it",
        AskFor::Search => "find",
        AskFor::Deny(_) => "deny",
        AskFor::Filter => "keep the filter",
        AskFor::Rename(_) => "rename",
        AskFor::Group(_) => "set",
        AskFor::Race => "take them",
        AskFor::RacePrompt(_) => "start the race",
    }
}

/// What is worth pressing now.
fn hints_of(app: &App) -> Vec<Hint> {
    let keymap = &app.settings.keymap;
    let may_go = |action| may_go(keymap, action);
    let kept = |action| kept(keymap, action);
    let enter = |word| enter(keymap, word);
    match (&app.overlay, app.focus) {
        (Some(Overlay::Help), _) => vec![
            kept(Action::Close),
            together(keymap, &[Action::ScrollDown, Action::ScrollUp], "scroll"),
        ],
        (Some(Overlay::Ask(ask)), _) => vec![enter(asked(ask)), kept(Action::Close)],
        (Some(Overlay::Pick(picker)), _) => vec![
            enter(picked(picker.purpose)),
            together(keymap, &[Action::PickNext, Action::PickPrevious], "move"),
            kept(Action::Close),
        ],
        (Some(Overlay::Tail), _) => vec![
            kept(Action::TailOpen),
            together(keymap, &[Action::TailDown, Action::TailUp], "move"),
            kept(Action::TailEnd),
            may_go(Action::TailTop),
            kept(Action::TailClose),
            may_go(Action::Help),
        ],
        (Some(Overlay::Answer(_)), _) => vec![enter("publish"), may_go(Action::Newline), kept(Action::Close)],
        (Some(Overlay::Inbox(inbox)), _) => inbox_hints(app, inbox, &kept, &may_go),
        (Some(Overlay::Confirm(_)), _) => vec![kept(Action::Yes), kept(Action::No)],
        (None, Focus::List | Focus::Transcript) if app.panes.prefix => prefix_hints(keymap),
        (None, Focus::Compose) => composing(app),
        (None, Focus::Transcript) if search_is_on(app) => vec![
            Hint {
                word: "next match",
                ..kept(Action::NextNeedsYou)
            },
            kept(Action::PreviousMatch),
            Hint {
                word: "end the search",
                ..kept(Action::Back)
            },
            kept(Action::Help),
            kept(Action::Quit),
        ],
        (None, Focus::Transcript) if copying::selection(app).is_some() => vec![
            kept(Action::SelectionCopy),
            kept(Action::SelectionKind),
            together(
                keymap,
                &[
                    Action::SelectionLeft,
                    Action::SelectionDown,
                    Action::SelectionUp,
                    Action::SelectionRight,
                ],
                "extend",
            ),
            kept(Action::SelectionLeave),
        ],
        (None, Focus::List | Focus::Transcript) => {
            let hint = |action| match action {
                Action::Answer => kept(action),
                action => may_go(action),
            };
            let mut hints: Vec<Hint> = browsing(app).into_iter().map(hint).collect();
            let replay = app.selected_channel().is_some_and(is_replay);
            if app.focus == Focus::Transcript && replay {
                let of_replay = [
                    kept(Action::PlayPause),
                    together(keymap, &[Action::SeekBack, Action::SeekForward], "back, forward"),
                    together(keymap, &[Action::Slower, Action::Faster], "slower, faster"),
                ];
                hints.splice(0..0, of_replay);
            }
            if app.copying.mouse {
                hints.push(Hint {
                    key: "Shift-drag".to_owned(),
                    word: "terminal's own selection",
                    kept: true,
                });
            }
            hints.extend([kept(Action::Help), kept(Action::Quit)]);
            hints
        }
    }
}

/// What Enter does with an entry of a list.
fn picked(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Action => "do it",
        Purpose::Run => "watch",
        Purpose::Preset | Purpose::History => "take it",
        Purpose::Copy => "copy",
        Purpose::Export => "then the path",
        Purpose::Recording => "open",
    }
}

/// Keys that belong together.
fn together(keymap: &Keymap, actions: &[Action], word: &'static str) -> Hint {
    let keys = actions.iter().map(|action| keymap.first(*action));
    Hint {
        key: keys.collect::<Vec<_>>().join(" "),
        word,
        kept: false,
    }
}

/// What is worth pressing in the compose box. What needs someone is not forgotten there, where its key would type.
fn composing(app: &App) -> Vec<Hint> {
    let keymap = &app.settings.keymap;
    let mut hints = vec![kept(keymap, Action::Send)];
    let waits = |channel: &crate::app::Channel| channel.state(app.now) == ChannelState::Waiting;
    let answer = if app.selected_channel().is_some_and(waits) {
        Some((Action::Answer, "answer"))
    } else {
        (app.counts().waiting > 0).then_some((Action::NextNeedsYou, "next that needs you"))
    };
    if let Some((action, word)) = answer {
        let key = format!("{} {}", keymap.first(Action::LeaveCompose), keymap.first(action));
        hints.push(Hint { key, word, kept: false });
    }
    hints.push(may_go(keymap, Action::Newline));
    if app.selected_channel().is_some() {
        let word = match app.continued() {
            Some(_) => "new run",
            None => "continue this thread",
        };
        hints.push(Hint {
            word,
            ..may_go(keymap, Action::SwitchThread)
        });
    }
    hints.push(kept(keymap, Action::LeaveCompose));
    hints.push(may_go(keymap, Action::ComposePalette));
    if app.settings.compose.presets.len() > 1 {
        hints.push(may_go(keymap, Action::Presets));
    }
    hints.push(may_go(keymap, Action::FocusNext));
    hints
}

/// What is worth pressing in the inbox.
fn inbox_hints(app: &App, inbox: &Inbox, kept: &dyn Fn(Action) -> Hint, may_go: &dyn Fn(Action) -> Hint) -> Vec<Hint> {
    if inbox.marked.is_none() {
        return vec![kept(Action::LeaveInbox)];
    }
    if inbox.form.typing().is_some() {
        return vec![
            kept(Action::PublishAnswer),
            may_go(Action::NextField),
            kept(Action::LeaveField),
        ];
    }
    let can = inbox
        .marked
        .as_ref()
        .map(|call| allowing(app, call))
        .unwrap_or_default();
    let mut hints = Vec::with_capacity(9);
    if can.once || inbox.form.has_bool("approved") {
        hints.push(kept(Action::AllowOnce));
    }
    if can.always {
        hints.push(may_go(Action::AllowAlways));
    }
    hints.extend([
        kept(Action::DenyCall),
        may_go(Action::NextField),
        may_go(Action::AnswerJson),
        may_go(Action::PublishAnswer),
        may_go(Action::NextCall),
        may_go(Action::ShowCall),
        kept(Action::LeaveInbox),
        may_go(Action::Help),
    ]);
    hints
}

/// What may come after the prefix of the panes.
fn prefix_hints(keymap: &Keymap) -> Vec<Hint> {
    let several = |actions: &[Action], word: &'static str, kept: bool| Hint {
        key: actions
            .iter()
            .map(|action| keymap.first(*action))
            .collect::<Vec<_>>()
            .join(" "),
        word,
        kept,
    };
    use Action::{
        ClosePane, EvenPanes, Layout1, Layout2, Layout3, Layout4, Layout6, Layout9, LeavePrefix, NextPane, PaneDown,
        PaneLeft, PanePrefix, PaneRight, PaneTail, PaneUp, ScrollTogether, SplitBelow, SplitRight, Zoom,
    };
    vec![
        several(&[PanePrefix], "then", true),
        several(&[Layout1, Layout2, Layout3, Layout4, Layout6, Layout9], "layout", true),
        several(&[SplitBelow, SplitRight], "split", true),
        several(&[PaneLeft, PaneDown, PaneUp, PaneRight], "go", true),
        several(&[ClosePane], "close", true),
        several(&[NextPane], "next", false),
        several(&[Zoom], "zoom", false),
        several(&[PaneTail], "all live lines", false),
        several(&[EvenPanes], "even", false),
        several(&[ScrollTogether], "together", false),
        several(&[LeavePrefix], "leave", true),
    ]
}

/// Whether keys go from match to match.
fn search_is_on(app: &App) -> bool {
    app.selected_channel()
        .is_some_and(|channel| channel.reading.search.is_some())
}

/// What is worth pressing in the list or the transcript, the most useful first.
fn browsing(app: &App) -> Vec<Action> {
    let mut hints = Vec::with_capacity(10);
    let waits = |channel: &crate::app::Channel| channel.state(app.now) == ChannelState::Waiting;
    let selected_waits = app.selected_channel().is_some_and(waits);
    if selected_waits {
        hints.push(Action::Answer);
    }
    if app.counts().waiting > usize::from(selected_waits) {
        hints.push(Action::NextNeedsYou);
    }
    if app.focus == Focus::List {
        if app.selected.is_some() {
            hints.push(Action::Open);
        }
        hints.extend([Action::Compose, Action::Watch]);
        if !app.list.filter.is_empty() {
            hints.insert(0, Action::ClearFilter);
        }
        if app.selected.is_some() {
            hints.extend([Action::StopWatching, Action::Peek]);
        }
        hints.push(Action::FocusNext);
        if app.channels.len() > 1 {
            hints.extend([Action::FilterList, Action::CycleSort]);
        }
    } else {
        hints.extend([
            Action::Back,
            Action::Compose,
            Action::Fold,
            Action::CopyPart,
            Action::NextPart,
            Action::End,
        ]);
        // Where there are several panes, zooming and going between them is wanted sooner than more of them.
        if app.panes.is_several() {
            hints.insert(hints.len() - 4, Action::Zoom);
            hints.insert(hints.len() - 4, Action::PanePrefix);
        } else if app.channels.len() > 1 {
            hints.push(Action::PanePrefix);
        }
    }
    hints
}
