//! The kiosk: a read-only dashboard of tiles. Which channels are in view and for how long, and which ones leave.
//!
//! What needs somebody (waiting, failed) is in view first and stays; the others take turns where there are more than
//! tiles. Ended runs leave after a while and there are never more channels than a bound, so that it can run for weeks.
//! How a tile looks is `ui`'s matter.

use crate::wire::ChannelId;
use crate::wire::request::{RunStatus, RunSummary};

use super::super::channel::{Channel, ChannelState, Counts};
use super::super::effect::Effect;
use super::super::server::ask_runs;
use super::super::state::{App, ServerState};
use super::super::update::unwatch;

/// Columns and rows under which a tile says nothing any more.
const SMALLEST_TILE: (u16, u16) = (24, 4);
/// Columns and rows that a tile has at least where nothing else is configured.
const CLEAR_TILE: (u16, u16) = (38, 7);
/// The most columns and rows of tiles where nothing else is configured: more are not read from afar.
const MOST_A_SIDE: u16 = 3;
/// Columns between two tiles.
pub const GAP: u16 = 3;
/// Rows that are no tiles': the first line and the one below it.
pub const HEAD: u16 = 2;

/// What the dashboard is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Columns and rows of tiles; `None`: as many as are clear.
    pub tiles: Option<(u16, u16)>,
    /// How long channels stay in view, in milliseconds.
    pub rotate_ms: u64,
    /// Only channels whose title has one of these texts, in small letters; all when empty.
    pub only: Vec<String>,
    /// How long a run stays that is done, in milliseconds.
    pub linger_ms: u64,
    /// How long a run stays that failed, in milliseconds.
    pub linger_failed_ms: u64,
    /// The most channels.
    pub most: usize,
    /// How often the server's list of runs is asked for, in milliseconds.
    pub refresh_ms: u64,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Rotation {
    /// Counts the turns.
    turn: u64,
    /// When the next ones take their turn, monotonic milliseconds.
    turn_due: Option<u64>,
    /// When the list of runs is asked for, monotonic milliseconds.
    refresh_due: Option<u64>,
}

/// What is in view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View<'a> {
    /// Columns of tiles.
    pub columns: u16,
    /// Rows of tiles.
    pub rows: u16,
    /// The channels, from the top left.
    pub tiles: Vec<&'a ChannelId>,
    /// Which page it is, from 0, and how many there are.
    pub page: (usize, usize),
    /// How many need somebody and are not in view.
    pub hidden_needy: usize,
    /// The counts of all channels that the dashboard shows.
    pub counts: Counts,
}

/// The most columns and rows of tiles that a screen has room for.
fn capacity(size: (u16, u16), tiles: Option<(u16, u16)>) -> (u16, u16) {
    let room = |all: u16, gap: u16, tile: u16| ((all + gap) / (tile + gap)).max(1);
    let height = size.1.saturating_sub(HEAD);
    match tiles {
        Some((columns, rows)) => (
            columns.min(room(size.0, GAP, SMALLEST_TILE.0)),
            rows.min(room(height, 0, SMALLEST_TILE.1)),
        ),
        None => (
            room(size.0, GAP, CLEAR_TILE.0).min(MOST_A_SIDE),
            room(height, 0, CLEAR_TILE.1).min(MOST_A_SIDE),
        ),
    }
}

/// The fewest tiles that hold so many channels, as near to the screen's form as they can be.
fn grid(most: (u16, u16), count: usize) -> (u16, u16) {
    let mut best = most;
    let mut best_rank = (u16::MAX, u16::MAX);
    for columns in 1..=most.0 {
        for rows in 1..=most.1 {
            let places = columns * rows;
            if usize::from(places) >= count.max(1) {
                // As few empty places as can be; of those with equally many, the squarest.
                let rank = (places, columns.abs_diff(rows));
                if rank < best_rank {
                    (best, best_rank) = ((columns, rows), rank);
                }
            }
        }
    }
    best
}

fn needs_somebody(state: ChannelState) -> bool {
    matches!(state, ChannelState::Waiting | ChannelState::Failed)
}

fn is_shown(channel: &Channel, settings: &Settings) -> bool {
    if settings.only.is_empty() {
        return true;
    }
    let title = channel.title.to_lowercase();
    settings.only.iter().any(|text| title.contains(text))
}

/// What is in view now. The work grows with the number of channels, which is bounded.
#[must_use]
pub fn view<'a>(app: &'a App, settings: &Settings) -> View<'a> {
    let mut counts = Counts::default();
    let (mut waiting, mut failed, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for channel in app.channels.values().filter(|channel| is_shown(channel, settings)) {
        let state = channel.state(app.now);
        match state {
            ChannelState::Waiting => counts.waiting += 1,
            ChannelState::Done => counts.done += 1,
            ChannelState::Cancelled => counts.cancelled += 1,
            ChannelState::Failed => counts.failed += 1,
            ChannelState::Queued | ChannelState::Live => counts.live += 1,
            ChannelState::Reconnecting { .. } | ChannelState::Connecting if !channel.is_untouched() => counts.live += 1,
            _ => {}
        }
        match state {
            ChannelState::Waiting => waiting.push(channel),
            ChannelState::Failed => failed.push(channel),
            // Nothing is known of a run there: it is no tile yet.
            _ if channel.is_untouched() && !channel.titled => {}
            _ => others.push(channel),
        }
    }
    // Who has waited longest comes first, and runs that go on before those that are over.
    waiting.sort_by_key(|channel| channel.transcript.waiting_calls().next().and_then(|call| call.asked_at));
    others.sort_by_key(|channel| !channel.state(app.now).is_open());
    let needy: Vec<&Channel> = waiting.into_iter().chain(failed).collect();
    let most = capacity(app.size, settings.tiles);
    let (columns, rows) = grid(most, needy.len() + others.len());
    let places = usize::from(columns) * usize::from(rows);
    let turn = usize::try_from(app.wall.rotation.turn).unwrap_or(0);
    // What needs somebody stays, but for one place at least that the others take turns at.
    let (stay, turns): (&[&Channel], Vec<&Channel>) =
        if needy.len() < places || (needy.len() == places && others.is_empty()) {
            (&needy[..], others)
        } else {
            let stay = places - 1;
            let turns = needy[stay..].iter().copied().chain(others).collect();
            (&needy[..stay], turns)
        };
    let free = (places - stay.len()).max(1);
    let pages = turns.len().div_ceil(free).max(1);
    let page = turn % pages;
    let in_turn = turns.iter().skip(page * free).take(free);
    let tiles: Vec<&Channel> = stay.iter().chain(in_turn).copied().take(places).collect();
    let seen = tiles
        .iter()
        .filter(|channel| needs_somebody(channel.state(app.now)))
        .count();
    View {
        columns,
        rows,
        tiles: tiles.into_iter().map(|channel| &channel.id).collect(),
        page: (page, pages),
        hidden_needy: needy.len() - seen,
        counts,
    }
}

/// When a channel leaves, Unix time in milliseconds; `None`: it stays for now.
fn leaves_at(channel: &Channel, settings: &Settings, app: &App) -> Option<u64> {
    let counters = channel.transcript.counters();
    let over_at = counters
        .ended_at
        .or(channel.wall.over_at)
        .unwrap_or(channel.watching_since);
    match channel.state(app.now) {
        ChannelState::Done | ChannelState::Cancelled => Some(over_at.saturating_add(settings.linger_ms)),
        ChannelState::Failed => Some(over_at.saturating_add(settings.linger_failed_ms)),
        // Nothing ever came of it.
        ChannelState::NotKept | ChannelState::Quiet => Some(channel.watching_since.saturating_add(settings.linger_ms)),
        _ => None,
    }
}

/// Makes sure that one more channel can be kept; `false`: all that are there go on. Without a kiosk there is room.
pub(super) fn make_room(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    let Some(settings) = app.settings.wall.kiosk.clone() else {
        return true;
    };
    while app.channels.len() >= settings.most {
        let first = app
            .channels
            .values()
            .filter_map(|channel| Some((leaves_at(channel, &settings, app)?, &channel.id)))
            .min_by_key(|(at, _)| *at)
            .map(|(_, id)| id.clone());
        match first {
            Some(id) => unwatch(app, &id, effects),
            None => return false,
        }
    }
    true
}

/// The list of runs came: what goes on, and what ended just now, is watched.
pub(super) fn runs(app: &mut App, runs: &[RunSummary], effects: &mut Vec<Effect>) {
    let Some(settings) = app.settings.wall.kiosk.clone() else {
        return;
    };
    let now = app.now.unix_ms;
    // The list is newest first, and so are the tiles.
    let mut wanted: Vec<&RunSummary> = runs
        .iter()
        .filter(|run| {
            let ended = run.ended_at.unwrap_or(run.created_at);
            match run.status {
                RunStatus::Ended => now < ended.saturating_add(settings.linger_ms),
                RunStatus::Failed => now < ended.saturating_add(settings.linger_failed_ms),
                _ => true,
            }
        })
        .filter(|run| !app.channels.contains_key(&run.channel_id))
        .take(settings.most)
        .collect();
    wanted.reverse();
    for run in wanted {
        if !make_room(app, effects) {
            return;
        }
        super::add(app, &run.channel_id, Some(&run.title), None, effects);
    }
}

/// The list of runs is asked for at the next tick.
pub(super) fn refresh_now(app: &mut App) {
    if app.is_kiosk() {
        app.wall.rotation.refresh_due = Some(app.now.monotonic_ms);
    }
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    let Some(settings) = app.settings.wall.kiosk.clone() else {
        return false;
    };
    let now = app.now;
    if app.wall.rotation.refresh_due.is_some_and(|due| now.monotonic_ms >= due) {
        app.wall.rotation.refresh_due = None;
        // A server that tells nothing about itself has no list.
        if app.server.info.is_some() {
            app.wall.rotation.refresh_due = Some(now.monotonic_ms + settings.refresh_ms);
            if app.server.state == ServerState::Ready {
                ask_runs(app, effects);
            }
        }
    }
    let leaving: Vec<ChannelId> = app
        .channels
        .values()
        .filter(|channel| leaves_at(channel, &settings, app).is_some_and(|at| at <= now.unix_ms))
        .map(|channel| channel.id.clone())
        .collect();
    for id in &leaving {
        unwatch(app, id, effects);
    }
    let several = view(app, &settings).page.1 > 1;
    let rotation = &mut app.wall.rotation;
    let turned = several && rotation.turn_due.is_some_and(|due| now.monotonic_ms >= due);
    if turned {
        rotation.turn += 1;
    }
    if turned || !several {
        rotation.turn_due = None;
    }
    if several {
        rotation.turn_due.get_or_insert(now.monotonic_ms + settings.rotate_ms);
    }
    turned || !leaving.is_empty()
}

/// When the next tick is needed, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    let settings = app.settings.wall.kiosk.as_ref()?;
    let now = app.now;
    let leaving = app
        .channels
        .values()
        .filter_map(|channel| leaves_at(channel, settings, app))
        .min();
    let leaving = leaving.map(|at| now.monotonic_ms + at.saturating_sub(now.unix_ms));
    let (columns, rows) = capacity(app.size, settings.tiles);
    // This is asked for with every message: what fits needs no closer look.
    let fits = app.channels.len() <= usize::from(columns) * usize::from(rows);
    let turn = app.wall.rotation.turn_due.or_else(|| {
        // The first tick sets the time of the first turn.
        (!fits && view(app, settings).page.1 > 1).then_some(now.monotonic_ms + 1)
    });
    [leaving, turn, app.wall.rotation.refresh_due]
        .into_iter()
        .flatten()
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_has_as_many_tiles_as_are_clear_and_no_more_than_are_needed() {
        for (size, tiles, count, expected) in [
            ((80, 24), None, 0, (1, 1)),
            ((80, 24), None, 1, (1, 1)),
            ((80, 24), None, 2, (1, 2)),
            ((80, 24), None, 4, (2, 2)),
            ((80, 24), None, 30, (2, 3)),
            ((119, 40), None, 30, (2, 3)),
            ((120, 40), None, 30, (3, 3)),
            ((200, 60), None, 5, (2, 3)),
            ((200, 60), None, 30, (3, 3)),
            ((20, 5), None, 30, (1, 1)),
            ((0, 0), None, 3, (1, 1)),
            ((200, 60), Some((6, 5)), 30, (6, 5)),
            ((80, 24), Some((6, 5)), 30, (3, 5)),
        ] {
            assert_eq!(
                grid(capacity(size, tiles), count),
                expected,
                "{size:?} {tiles:?} {count}"
            );
        }
    }
}
