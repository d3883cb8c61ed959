//! The rows of the list in their order, and what is counted over all channels: worked out once and kept.
//!
//! A batch of events touches one channel: its share of the counts is replaced, and the rows are put in order again
//! at most ten times a second, and only if that channel's place may be another one. Everything else that happens is
//! rare and works all of it out anew. It knows no keys.

use std::collections::BTreeMap;

use crate::app::channel::{Channel, ChannelState, Counts};
use crate::app::msg::Now;
use crate::app::state::App;
use crate::wire::ChannelId;

use super::{GroupBy, Sort};

/// The rows are put in order again at most so often because of what feeds bring, in milliseconds.
const PACE_MS: u64 = 100;
/// A channel that the filter hides.
const HIDDEN: u32 = u32::MAX;

/// A row of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// The heading of a group, by its number.
    Heading(usize),
    /// A channel, by its place in [`App::channels`].
    Channel(usize),
}

/// The heading of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// What the group is.
    pub text: String,
    /// How many listed channels it has.
    pub count: usize,
}

/// What a channel adds to the counts, and what its place may depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    /// Without what changes by the second.
    state: ChannelState,
    unread: bool,
    untouched: bool,
    /// A recording that is played back is no run.
    replay: bool,
    titled: bool,
}

impl Tally {
    fn of(channel: &Channel, now: Now) -> Self {
        let state = match channel.state(now) {
            ChannelState::Reconnecting { .. } => ChannelState::Reconnecting { seconds: 0 },
            state => state,
        };
        Self {
            state,
            unread: channel.unread,
            untouched: channel.is_untouched(),
            replay: crate::app::recordings::is_replay(channel),
            titled: channel.titled,
        }
    }

    fn shows_seconds(self) -> bool {
        matches!(
            self.state,
            ChannelState::Live | ChannelState::Queued | ChannelState::Waiting | ChannelState::Reconnecting { .. }
        )
    }

    /// The count that it belongs to; nothing is known of a run where nothing came yet.
    fn counted(self, counts: &mut Counts) -> Option<&mut usize> {
        match self.state {
            _ if self.replay => None,
            ChannelState::Waiting => Some(&mut counts.waiting),
            ChannelState::Done => Some(&mut counts.done),
            ChannelState::Cancelled => Some(&mut counts.cancelled),
            ChannelState::Failed => Some(&mut counts.failed),
            ChannelState::Connecting | ChannelState::Reconnecting { .. } if self.untouched => None,
            ChannelState::Connecting
            | ChannelState::Queued
            | ChannelState::Live
            | ChannelState::Reconnecting { .. } => Some(&mut counts.live),
            ChannelState::Quiet | ChannelState::NotKept | ChannelState::Replay => None,
        }
    }
}

/// The rows and the counts.
#[derive(Debug, Default)]
pub(super) struct Order {
    rows: Vec<Row>,
    headings: Vec<Heading>,
    /// By place in [`App::channels`]: the row, or [`HIDDEN`].
    row_of: Vec<u32>,
    /// The rows of headings, ascending.
    heading_rows: Vec<u32>,
    /// The rows of channels that wait, ascending.
    waiting: Vec<u32>,
    listed: usize,
    counts: Counts,
    unread: usize,
    seconds: usize,
    /// The order may be another one by now.
    stale: bool,
    /// When it was worked out, monotonic milliseconds.
    built_at: Option<u64>,
}

impl Order {
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn heading(&self, at: usize) -> Option<&Heading> {
        self.headings.get(at)
    }

    pub fn row_of(&self, channel: usize) -> Option<usize> {
        let row = *self.row_of.get(channel)?;
        (row != HIDDEN).then_some(row as usize)
    }

    pub fn place_of(&self, channel: usize) -> Option<usize> {
        let row = self.row_of(channel)?;
        Some(row - self.heading_rows.partition_point(|heading| (*heading as usize) < row))
    }

    pub fn listed(&self) -> usize {
        self.listed
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn unread(&self) -> usize {
        self.unread
    }

    pub fn shows_seconds(&self) -> bool {
        self.seconds > 0
    }

    pub fn waiting_outside(&self, first: usize, end: usize) -> (usize, usize) {
        let above = self.waiting.partition_point(|row| (*row as usize) < first);
        let below = self.waiting.len() - self.waiting.partition_point(|row| (*row as usize) < end);
        (above, below)
    }

    /// When it is to be worked out again, monotonic milliseconds.
    pub fn due(&self) -> Option<u64> {
        self.stale.then(|| self.built_at.unwrap_or(0) + PACE_MS)
    }

    pub fn activity_moved(&mut self, sort: Sort) {
        self.stale |= sort == Sort::Activity;
    }

    fn add(&mut self, tally: Tally) {
        if let Some(count) = tally.counted(&mut self.counts) {
            *count += 1;
        }
        self.unread += usize::from(tally.unread);
        self.seconds += usize::from(tally.shows_seconds());
    }

    fn remove(&mut self, tally: Tally) {
        if let Some(count) = tally.counted(&mut self.counts) {
            *count = count.saturating_sub(1);
        }
        self.unread = self.unread.saturating_sub(usize::from(tally.unread));
        self.seconds = self.seconds.saturating_sub(usize::from(tally.shows_seconds()));
    }
}

/// A batch of this channel was taken in. The work does not grow with the number of channels, but for the order
/// itself where that may have changed.
pub(super) fn touched(app: &mut App, id: &ChannelId) {
    let now = app.now;
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    let tally = Tally::of(channel, now);
    let before = channel.list.tally.replace(tally);
    if before == Some(tally) {
        settle_if_stale(app);
        return;
    }
    let order = &mut app.list.order;
    if let Some(before) = before {
        if before.state != tally.state {
            channel.list.active_at = channel.list.last_event_at.unwrap_or(now.unix_ms);
        }
        order.remove(before);
    }
    order.add(tally);
    order.stale |= match before {
        Some(before) if before.state == tally.state && before.titled == tally.titled => {
            app.list.sort == Sort::Attention || !app.list.filter.is_empty()
        }
        _ => true,
    };
    settle_if_stale(app);
}

/// Puts the rows in order if that is due. `true`: it was.
pub(in crate::app) fn settle_if_stale(app: &mut App) -> bool {
    let order = &app.list.order;
    // Channels that came or went leave no row as it was.
    let others = order.row_of.len() != app.channels.len();
    if others {
        settle(app);
        return true;
    }
    if order.due().is_none_or(|due| app.now.monotonic_ms < due) {
        return false;
    }
    build(app);
    true
}

/// Something happened that may concern any channel: everything is counted and put in order anew.
pub(in crate::app) fn settle(app: &mut App) {
    let now = app.now;
    if app.terminal_focused
        && super::transcript_is_shown(app)
        && let Some(channel) = app.selected.as_ref().and_then(|id| app.channels.get_mut(id))
        && channel.unread
    {
        channel.unread = false;
        channel.list.held = true;
    }
    let order = &mut app.list.order;
    order.counts = Counts::default();
    order.unread = 0;
    order.seconds = 0;
    for channel in app.channels.values_mut() {
        let tally = Tally::of(channel, now);
        if channel
            .list
            .tally
            .replace(tally)
            .is_some_and(|before| before.state != tally.state)
        {
            channel.list.active_at = now.unix_ms;
        }
        order.add(tally);
    }
    build(app);
}

fn build(app: &mut App) {
    let (sort, group_by) = (app.list.sort, app.list.group_by);
    let filter = &app.list.filter;
    let shown = |channel: &Channel| {
        let state = state_of(channel);
        filter.fits(channel, state).then_some(state)
    };
    let listed = app
        .channels
        .values()
        .enumerate()
        .filter_map(|(index, channel)| Some((index, channel, shown(channel)?)));
    let labels = labels(app);
    let selected = app.selected.as_ref();
    let mut places: Vec<(u32, u64, usize)> = listed
        .map(|(index, channel, state)| {
            let rank = match sort {
                Sort::Stable | Sort::Name => 0,
                Sort::Attention => attention(channel, state, selected == Some(&channel.id)),
                Sort::Activity => u64::MAX - channel.list.active_at.max(channel.added_at),
            };
            (section(channel, state, group_by, &labels), rank, index)
        })
        .collect();
    match sort {
        Sort::Name => places.sort_by_cached_key(|(section, _, index)| {
            let title = app
                .channels
                .get_index(*index)
                .map(|(_, channel)| channel.title.to_lowercase());
            (*section, title, *index)
        }),
        // Without groups the stable order is the channels' own, but for those that are pinned.
        _ => places.sort_unstable(),
    }
    let order = &mut app.list.order;
    order.stale = false;
    order.built_at = Some(app.now.monotonic_ms);
    order.listed = places.len();
    order.rows.clear();
    order.headings.clear();
    order.heading_rows.clear();
    order.waiting.clear();
    order.row_of.clear();
    order.row_of.resize(app.channels.len(), HIDDEN);
    let mut last = None;
    for (section, _, index) in places {
        let Some((_, channel)) = app.channels.get_index(index) else {
            continue;
        };
        let state = state_of(channel);
        if group_by != GroupBy::None {
            if last != Some(section) {
                last = Some(section);
                order
                    .heading_rows
                    .push(u32::try_from(order.rows.len()).unwrap_or(HIDDEN));
                order.rows.push(Row::Heading(order.headings.len()));
                order.headings.push(Heading {
                    text: heading(channel, state, group_by),
                    count: 0,
                });
            }
            if let Some(heading) = order.headings.last_mut() {
                heading.count += 1;
            }
        }
        let row = u32::try_from(order.rows.len()).unwrap_or(HIDDEN);
        if state == ChannelState::Waiting {
            order.waiting.push(row);
        }
        order.row_of[index] = row;
        order.rows.push(Row::Channel(index));
    }
}

/// The state as it was counted.
fn state_of(channel: &Channel) -> ChannelState {
    channel.list.tally.map_or(ChannelState::Connecting, |tally| tally.state)
}

/// The labels that are in use, in the order of their groups.
fn labels(app: &App) -> BTreeMap<String, u32> {
    let mut labels = BTreeMap::new();
    if app.list.group_by == GroupBy::Label {
        for channel in app.channels.values().filter(|channel| !channel.list.group.is_empty()) {
            labels.entry(channel.list.group.to_lowercase()).or_insert(0);
        }
        for (place, number) in labels.values_mut().zip(1..) {
            *place = number;
        }
    }
    labels
}

/// Which part of the list a channel stands in: the pinned ones on top, then the groups.
fn section(channel: &Channel, state: ChannelState, group_by: GroupBy, labels: &BTreeMap<String, u32>) -> u32 {
    if channel.list.pinned {
        return 0;
    }
    match group_by {
        GroupBy::None => 1,
        GroupBy::State => 1 + state_rank(state),
        GroupBy::Label => labels
            .get(&channel.list.group.to_lowercase())
            .copied()
            .unwrap_or(u32::MAX),
    }
}

fn heading(channel: &Channel, state: ChannelState, group_by: GroupBy) -> String {
    if channel.list.pinned {
        return "pinned".to_owned();
    }
    match group_by {
        GroupBy::None => String::new(),
        GroupBy::State => state.word().to_owned(),
        GroupBy::Label if channel.list.group.is_empty() => "no group".to_owned(),
        GroupBy::Label => channel.list.group.clone(),
    }
}

fn state_rank(state: ChannelState) -> u32 {
    match state {
        ChannelState::Waiting => 0,
        ChannelState::Live => 1,
        ChannelState::Queued => 2,
        ChannelState::Reconnecting { .. } => 3,
        ChannelState::Connecting => 4,
        ChannelState::Failed => 5,
        ChannelState::Done => 6,
        ChannelState::Cancelled => 7,
        ChannelState::Quiet => 8,
        ChannelState::NotKept => 9,
        ChannelState::Replay => 10,
    }
}

/// How much a channel needs the person: 0 is the most. One that was unread when it was selected stays where it was.
fn attention(channel: &Channel, state: ChannelState, selected: bool) -> u64 {
    let unread = channel.unread || (selected && channel.list.held);
    match state {
        ChannelState::Waiting => 0,
        ChannelState::Failed if unread => 1,
        ChannelState::Done | ChannelState::Cancelled if unread => 2,
        ChannelState::Live => 3,
        ChannelState::Queued | ChannelState::Reconnecting { .. } => 4,
        ChannelState::Connecting => 5,
        ChannelState::Failed => 6,
        ChannelState::Done => 7,
        ChannelState::Cancelled => 8,
        ChannelState::Quiet => 9,
        ChannelState::NotKept => 10,
        ChannelState::Replay => 11,
    }
}
