//! The first line (program, server, model, counts, clock) and the last one (hints, or news).

use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::{self, Action};
use crate::app::state::{Focus, Overlay, ServerState};
use crate::app::{App, ChannelState, Counts, Now};
use crate::text::sanitise_line;

use super::canvas::Canvas;
use super::format::clock;
use super::{UiOptions, wrap};

/// Draws the first line.
pub(super) fn draw_header(canvas: &mut Canvas, area: Rect, app: &App, options: UiOptions) {
    let theme = canvas.theme;
    let mut right = area.right().saturating_sub(1);
    right = canvas.put_right(area.x, right, area.y, &clock(app.now, options), theme.plain());
    let Counts {
        live,
        waiting,
        done,
        failed,
    } = app.counts();
    let narrow = area.width < 60;
    right = right.saturating_sub(match area.width {
        0..60 => 1,
        60..100 => 2,
        _ => 5,
    });
    let parts = [
        (failed, "failed", ChannelState::Failed),
        (done, "done", ChannelState::Done),
        (waiting, "waiting", ChannelState::Waiting),
        (live, "live", ChannelState::Live),
    ];
    for (count, word, state) in parts {
        if count > 0 {
            let (glyph, style) = theme.state(state);
            let text = if narrow {
                format!("{count}{glyph}")
            } else {
                format!("{count} {word}")
            };
            right = canvas.put_right(area.x, right, area.y, &text, style).saturating_sub(2);
        }
    }
    let put = |canvas: &mut Canvas, x: u16, text: &str, style: Style| {
        canvas.put(x, area.y, right.saturating_sub(x), text, style) + 2
    };
    let mut x = put(canvas, area.x + 1, "switchboard", theme.bold());
    x = put(canvas, x, &sanitise_line(&app.server.name), theme.plain());
    if let Some((since, next_try_at)) = app.outage() {
        let room = usize::from(right.saturating_sub(x));
        let text = unreachable(since, next_try_at, app.now, options, room);
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

/// Since when the server is gone and when it is tried again, as much of it as there is room for.
fn unreachable(since: u64, next_try_at: u64, now: Now, options: UiOptions, room: usize) -> String {
    let seconds = next_try_at.saturating_sub(now.unix_ms).div_ceil(1000);
    let since = clock(Now { unix_ms: since, ..now }, options);
    let next = if seconds == 0 {
        "trying now".to_owned()
    } else {
        format!("next try in {seconds} s")
    };
    [
        format!("unreachable since {since}, {next}"),
        format!("unreachable since {since}"),
    ]
    .into_iter()
    .find(|text| text.len() <= room)
    .unwrap_or_else(|| "unreachable".to_owned())
}

/// What the last line says in words, if it is not hints: news, or that the server is gone.
fn news(app: &App, options: UiOptions) -> Option<(String, bool)> {
    if let Some(notice) = &app.notice {
        let glyph = if notice.error { "x " } else { "" };
        return Some((format!("{glyph}{}", notice.text), notice.error));
    }
    match &app.server.state {
        ServerState::Unreachable { reason, since, .. } if !app.channels.is_empty() => {
            let at = Now {
                unix_ms: *since,
                ..app.now
            };
            Some((
                format!(
                    "x {} cannot be reached since {}: {reason}",
                    app.server.name,
                    clock(at, options)
                ),
                true,
            ))
        }
        _ => None,
    }
}

/// How many rows the last line would like to have.
pub(super) fn hint_rows(app: &App, width: u16, options: UiOptions) -> u16 {
    news(app, options).map_or(1, |(text, _)| {
        u16::try_from(wrap(&text, width.saturating_sub(2)).len())
            .unwrap_or(3)
            .clamp(1, 3)
    })
}

/// Draws the last line.
pub(super) fn draw_hint(canvas: &mut Canvas, area: Rect, app: &App, options: UiOptions) {
    let theme = canvas.theme;
    if let Some((text, error)) = news(app, options) {
        let style = if error { theme.error() } else { theme.plain() };
        let rows = wrap(&text, area.width.saturating_sub(2));
        for (row, y) in rows.rows().iter().zip(area.top()..area.bottom()) {
            canvas.put(area.x + 1, y, area.width.saturating_sub(2), &row.text(), style);
        }
        return;
    }
    let mut x = area.x + 1;
    for action in hints(app) {
        let Some(info) = action::info(action) else { continue };
        let key = info.keys[0].to_string();
        let columns = u16::try_from(key.len() + 1 + info.hint.len()).unwrap_or(u16::MAX);
        if x.saturating_add(columns) >= area.right() {
            break;
        }
        x = canvas.put(x, area.y, area.right() - x, &key, theme.bold()) + 1;
        x = canvas.put(x, area.y, area.right() - x, info.hint, theme.dim()) + 3;
    }
}

/// What is worth pressing now.
fn hints(app: &App) -> Vec<Action> {
    match &app.overlay {
        Some(Overlay::Help) => return vec![Action::Close, Action::ScrollDown, Action::ScrollUp],
        Some(Overlay::Watch { .. }) => return vec![Action::Accept, Action::Close],
        Some(Overlay::Answer(_)) => return vec![Action::Accept, Action::Newline, Action::Close],
        Some(Overlay::Confirm(_)) => return vec![Action::Yes, Action::No],
        None => {}
    }
    let mut hints = Vec::with_capacity(10);
    if app.focus == Focus::Compose {
        hints.extend([
            Action::Send,
            Action::Newline,
            Action::FocusNext,
            Action::LeaveCompose,
            Action::PageUp,
        ]);
        return hints;
    }
    let waits = |channel: &crate::app::Channel| channel.state(app.now) == ChannelState::Waiting;
    if app.selected_channel().is_some_and(waits) {
        hints.push(Action::Answer);
    }
    if app
        .channels
        .values()
        .any(|channel| waits(channel) && app.selected.as_ref() != Some(&channel.id))
    {
        hints.push(Action::NextNeedsYou);
    }
    if app.focus == Focus::List {
        if app.selected.is_some() {
            hints.push(Action::Open);
        }
        hints.extend([Action::Compose, Action::Watch, Action::FocusNext]);
        if app.selected.is_some() {
            hints.push(Action::StopWatching);
        }
    } else {
        hints.extend([
            Action::Back,
            Action::Compose,
            Action::Fold,
            Action::NextPart,
            Action::End,
        ]);
    }
    hints.extend([Action::Help, Action::Quit]);
    hints
}
