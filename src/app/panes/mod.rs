//! The panes: which channels are shown side by side, splits, zoom, the merged tail, races. State and rules; what is
//! drawn is `ui`'s matter.
//!
//! The channel of the pane in focus is always [`App::selected`]: `settle` sees to it after every message. A channel
//! is in one pane at most: going to one that is shown goes to its pane.

pub mod race;
pub mod tail;
#[cfg(test)]
mod tests;
pub mod tree;

use serde::{Deserialize, Serialize};

use crate::transcript::FeedBatch;
use crate::wire::ChannelId;

use super::action::Action;
use super::channel::ChannelState;
use super::effect::Effect;
use super::list::Row;
use super::msg::{Scroll, Spot};
use super::state::{App, Focus};
use super::update::{save_later, say, select};
use tree::{Along, Direction, MOST_PANES, Node};

/// What the configuration and the flags say of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {}

/// Its part of the state.
#[derive(Debug, Default)]
pub struct Panes {
    /// The panes; one without a split.
    pub layout: Node,
    /// The number of the pane in focus, from 0.
    pub focus: usize,
    /// The pane in focus has the whole body while the list has not the focus.
    pub zoomed: bool,
    /// Scrolling one pane scrolls all of them.
    pub together: bool,
    /// The prefix was pressed: the next key is one of the panes'.
    pub prefix: bool,
    /// The merged tail, once it was opened.
    pub tail: Option<tail::Tail>,
    /// Who ran in the last race, as it was typed.
    pub(super) contestants: String,
    /// A race that waits for channel ids.
    pending_race: Option<race::Pending>,
    /// The channels of races, by race.
    lanes: Vec<(u64, ChannelId)>,
}

/// Its part of a channel.
#[derive(Debug, Clone, Default)]
pub struct OfChannel {
    /// Its part in a race.
    pub race: Option<race::Lane>,
}

impl OfChannel {
    /// What is to be written down.
    pub(super) fn saved(&self) -> SavedOfChannel {
        SavedOfChannel {
            race: self.race.clone(),
        }
    }
}

impl From<SavedOfChannel> for OfChannel {
    fn from(saved: SavedOfChannel) -> Self {
        Self { race: saved.race }
    }
}

/// What of it the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The panes with their channels, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Node>,
    /// The number of the pane in focus.
    pub focus: usize,
    /// See [`Panes::zoomed`].
    pub zoomed: bool,
    /// See [`Panes::together`].
    pub together: bool,
    /// Who ran in the last race.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub contestants: String,
}

/// What of a channel the next start shows again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedOfChannel {
    /// Its part in a race.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub race: Option<race::Lane>,
}

/// What can happen to it.
#[derive(Debug)]
pub enum Msg {
    /// A key that means nothing after the prefix was pressed.
    LeavePrefix,
    /// Another pane than the one in focus is to be shown from here.
    Scroll {
        /// Its channel.
        channel: ChannelId,
        /// From where.
        to: Scroll,
    },
    /// The mark of the merged tail moves by so many lines.
    TailStep(isize),
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {}

impl Panes {
    /// What was written down, as far as it can be worked with.
    pub(super) fn restore(saved: Saved) -> Self {
        let layout = saved.layout.filter(Node::is_sound).unwrap_or_default();
        Self {
            focus: saved.focus.min(layout.count() - 1),
            layout,
            zoomed: saved.zoomed,
            together: saved.together,
            contestants: saved.contestants,
            ..Self::default()
        }
    }

    /// What is to be written down.
    pub(super) fn saved(&self) -> Saved {
        let several = self.is_several();
        Saved {
            layout: several.then(|| self.layout.clone()),
            focus: if several { self.focus } else { 0 },
            zoomed: self.zoomed,
            together: several && self.together,
            contestants: self.contestants.clone(),
        }
    }

    /// The channels that run in a race.
    pub(super) fn lanes(&self, race: u64) -> impl Iterator<Item = &ChannelId> {
        let of_race = self.lanes.iter().filter(move |(of, _)| *of == race);
        of_race.map(|(_, id)| id)
    }

    /// Whether there are several panes.
    #[must_use]
    pub fn is_several(&self) -> bool {
        matches!(self.layout, Node::Split { .. })
    }
}

impl App {
    /// Whether the list takes the keys, or what is typed goes back to it.
    #[must_use]
    pub fn is_in_list(&self) -> bool {
        self.focus == Focus::List || (self.focus == Focus::Compose && self.focus_before_compose == Focus::List)
    }

    /// Whether one pane has the whole body now.
    #[must_use]
    pub fn is_zoomed(&self) -> bool {
        self.panes.zoomed && !self.is_in_list() && self.selected.is_some()
    }

    /// The channels of the panes that are shown, as far as the size of the screen allows.
    pub fn channels_in_view(&self) -> impl Iterator<Item = &ChannelId> {
        let several = self.panes.is_several() && !self.is_zoomed();
        let panes = if several {
            self.panes.layout.channels()
        } else {
            Vec::new()
        };
        let alone = self.selected.as_ref().filter(|_| !several);
        alone.into_iter().chain(panes.into_iter().flatten())
    }

    /// Whether a channel is in one of the panes that are shown.
    #[must_use]
    pub fn is_in_view(&self, id: &ChannelId) -> bool {
        self.selected.as_ref() == Some(id)
            || (self.panes.is_several() && !self.is_zoomed() && self.panes.layout.find(id).is_some())
    }
}

/// Does what an action says; `false`: the action belongs elsewhere.
pub(super) fn perform(app: &mut App, action: Action, _effects: &mut Vec<Effect>) -> bool {
    let prefixed = std::mem::take(&mut app.panes.prefix);
    match action {
        // Twice, as vim has it: the next pane.
        Action::PanePrefix if prefixed => next_pane(app),
        Action::PanePrefix => app.panes.prefix = true,
        Action::LeavePrefix => {}
        Action::Layout1 => lay_out(app, &[1]),
        Action::Layout2 => lay_out(app, &[2]),
        Action::Layout3 => lay_out(app, &[3]),
        Action::Layout4 => lay_out(app, &[2, 2]),
        Action::Layout6 => lay_out(app, &[3, 3]),
        Action::Layout9 => lay_out(app, &[3, 3, 3]),
        Action::SplitBelow => split(app, Along::Below),
        Action::SplitRight => split(app, Along::Right),
        Action::ClosePane => close(app),
        Action::PaneLeft => go_beside(app, Direction::Left),
        Action::PaneDown => go_beside(app, Direction::Down),
        Action::PaneUp => go_beside(app, Direction::Up),
        Action::PaneRight => go_beside(app, Direction::Right),
        Action::NextPane => next_pane(app),
        Action::EvenPanes => {
            if several(app) {
                app.panes.layout.even();
                save_later(app);
            }
        }
        Action::WiderPane => grow(app, Along::Right, true),
        Action::NarrowerPane => grow(app, Along::Right, false),
        Action::HigherPane => grow(app, Along::Below, true),
        Action::LowerPane => grow(app, Along::Below, false),
        Action::ScrollTogether => {
            if several(app) {
                app.panes.together = !app.panes.together;
                let text = if app.panes.together {
                    "The panes scroll together"
                } else {
                    "Each pane scrolls by itself"
                };
                say(app, text.to_owned());
                save_later(app);
            }
        }
        Action::Zoom => zoom(app),
        Action::GoToPane1 => go_to_number(app, 0),
        Action::GoToPane2 => go_to_number(app, 1),
        Action::GoToPane3 => go_to_number(app, 2),
        Action::GoToPane4 => go_to_number(app, 3),
        Action::GoToPane5 => go_to_number(app, 4),
        Action::GoToPane6 => go_to_number(app, 5),
        Action::GoToPane7 => go_to_number(app, 6),
        Action::GoToPane8 => go_to_number(app, 7),
        Action::GoToPane9 => go_to_number(app, 8),
        Action::Top | Action::End => {
            all_to(app, action == Action::End);
            // The pane in focus goes there like any other transcript.
            return false;
        }
        Action::PaneTail => tail::toggle(app),
        Action::Race => race::ask(app),
        action => return tail::perform(app, action),
    }
    true
}

/// What was written down is there: who runs in which race, and what the panes show.
pub(super) fn begin(app: &mut App) {
    let lanes = app.channels.values().filter_map(|channel| {
        let lane = channel.panes.race.as_ref()?;
        Some((lane.race, channel.id.clone()))
    });
    app.panes.lanes = lanes.collect();
    settle(app);
}

/// Starts a run of a contestant.
fn dispatch(app: &mut App, prompt: &str, name: &str, effects: &mut Vec<Effect>) -> Option<ChannelId> {
    let is_preset = super::compose::presets::find(app, name).is_some();
    let name = Some(name.to_owned());
    let (preset, model) = if is_preset { (name, None) } else { (None, name) };
    super::compose::dispatch_with(app, prompt, super::compose::Target { preset, model }, effects)
}

/// Says that there is only one pane; `true`: there are several.
fn several(app: &mut App) -> bool {
    let several = app.panes.is_several();
    if !several {
        let prefix = app.settings.keymap.first(Action::PanePrefix);
        say(
            app,
            format!("There is one pane: {prefix} then 2, 4 or v shows more side by side"),
        );
    }
    several
}

/// The channels that are listed, in the list's order: those that its filter hides are none of them.
fn listed(app: &App) -> Vec<usize> {
    let channels = app.list.rows().iter().filter_map(|row| match row {
        Row::Channel(at) => Some(*at),
        Row::Heading(_) => None,
    });
    channels.collect()
}

/// The listed channels that no pane shows, those that need someone and those that run first, each kind in the list's
/// order from the selected one on.
fn not_shown(app: &App) -> Vec<ChannelId> {
    let listed = listed(app);
    let count = listed.len();
    let from = app
        .selected
        .as_ref()
        .and_then(|id| app.channels.get_index_of(id))
        .and_then(|selected| listed.iter().position(|at| *at == selected))
        .map_or(0, |at| at + 1);
    let mut found: Vec<(u8, &ChannelId)> = (0..count)
        .filter_map(|step| app.channels.get_index(*listed.get((from + step) % count)?))
        .filter(|(id, _)| app.panes.layout.find(id).is_none())
        .map(|(id, channel)| {
            let rank = match channel.state(app.now) {
                ChannelState::Waiting => 0,
                ChannelState::Live | ChannelState::Queued | ChannelState::Reconnecting { .. } => 1,
                ChannelState::NotKept => 3,
                _ => 2,
            };
            (rank, id)
        })
        .collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, id)| id.clone()).collect()
}

/// Lays so many panes out in rows; what is shown stays as far as there is room, the channel in focus always.
pub(super) fn lay_out(app: &mut App, rows: &[usize]) {
    let mut layout = Node::grid(rows);
    let count = layout.count();
    let mut shown: Vec<ChannelId> = app.panes.layout.channels().into_iter().flatten().cloned().collect();
    if shown.len() > count
        && let Some(selected) = &app.selected
        && let Some(at) = shown.iter().position(|id| id == selected)
        && at >= count
    {
        shown.swap(at, count - 1);
    }
    shown.truncate(count);
    if shown.len() < count {
        let more = not_shown(app);
        shown.extend(more.into_iter().take(count - shown.len()));
    }
    let mut channels = shown.into_iter();
    layout.put_all(|_, channel| *channel = channels.next());
    show(app, layout);
}

/// Shows these panes; the focus stays with its channel.
pub(super) fn show(app: &mut App, layout: Node) {
    let several = layout.count() > 1;
    app.panes.focus = app.selected.as_ref().and_then(|id| layout.find(id)).unwrap_or(0);
    app.panes.layout = layout;
    app.panes.zoomed = false;
    app.panes.together &= several;
    if several {
        into_panes(app);
    }
    save_later(app);
}

/// The panes take the keys, so that they are seen where there is no room for the list beside them.
fn into_panes(app: &mut App) {
    match app.focus {
        Focus::List => app.focus = Focus::Transcript,
        Focus::Transcript => {}
        Focus::Compose => app.focus_before_compose = Focus::Transcript,
    }
}

fn split(app: &mut App, along: Along) {
    let at = app.panes.focus;
    if !app.panes.layout.split(at, along) {
        say(app, format!("There are {MOST_PANES} panes already"));
        return;
    }
    let next = not_shown(app).into_iter().next();
    app.panes.zoomed = false;
    app.panes.layout.put(at + 1, next);
    into_panes(app);
    go_to(app, at + 1);
}

fn close(app: &mut App) {
    if !several(app) {
        return;
    }
    let at = app.panes.focus;
    app.panes.layout.close(at);
    let left = app.panes.layout.count();
    app.panes.together &= left > 1;
    app.panes.zoomed &= left > 1;
    go_to(app, at.min(left - 1));
}

fn grow(app: &mut App, direction: Along, more: bool) {
    if several(app) {
        let at = app.panes.focus;
        if app.panes.layout.grow(at, direction, more) {
            save_later(app);
        } else {
            let where_ = match direction {
                Along::Right => "beside this pane",
                Along::Below => "above or below this pane",
            };
            say(app, format!("Nothing is {where_}"));
        }
    }
}

/// A pane takes the focus, and its channel the mark of the list.
pub(super) fn go_to(app: &mut App, number: usize) {
    app.panes.focus = number;
    match app.panes.layout.channel(number).cloned() {
        Some(id) => select(app, &id),
        None => app.selected = None,
    }
    save_later(app);
}

fn next_pane(app: &mut App) {
    if several(app) {
        let next = (app.panes.focus + 1) % app.panes.layout.count();
        into_panes(app);
        go_to(app, next);
    }
}

fn go_beside(app: &mut App, direction: Direction) {
    let at = app.panes.focus;
    if app.panes.is_several()
        && !app.is_in_list()
        && let Some(next) = app.panes.layout.neighbour(at, direction)
    {
        go_to(app, next);
        return;
    }
    match direction {
        // The list stands to the left of the panes.
        Direction::Left => app.focus = Focus::List,
        Direction::Right if app.focus == Focus::List && (app.selected.is_some() || app.panes.is_several()) => {
            app.focus = Focus::Transcript;
        }
        _ => {
            let word = match direction {
                Direction::Left => "to the left of",
                Direction::Right => "to the right of",
                Direction::Up => "above",
                Direction::Down => "below",
            };
            say(app, format!("There is no pane {word} this one"));
        }
    }
}

/// Goes to the pane of a number; with one pane to the channel of that place in the list.
fn go_to_number(app: &mut App, number: usize) {
    if app.panes.is_several() {
        let count = app.panes.layout.count();
        if number >= count {
            say(app, format!("There are {count} panes"));
            return;
        }
        if app.focus == Focus::List {
            app.focus = Focus::Transcript;
        }
        go_to(app, number);
        return;
    }
    let listed = listed(app);
    let id = listed.get(number).and_then(|at| app.channels.get_index(*at));
    if let Some((id, _)) = id {
        let id = id.clone();
        select(app, &id);
    } else {
        let text = match listed.len() {
            _ if app.channels.is_empty() => "No channel is watched yet".to_owned(),
            0 => "No channel is listed".to_owned(),
            1 => "There is 1 channel".to_owned(),
            count => format!("There are {count} channels"),
        };
        say(app, text);
    }
}

fn zoom(app: &mut App) {
    if app.selected.is_none() {
        say(app, "There is nothing to zoom here".to_owned());
        return;
    }
    let is_zoomed = app.is_zoomed();
    app.panes.zoomed = !is_zoomed;
    if !is_zoomed {
        into_panes(app);
        if app.focus == Focus::Transcript {
            let key = app.settings.keymap.first(Action::Zoom);
            say(app, format!("Zoomed; {key} goes back"));
        }
    }
    save_later(app);
}

/// Brings the other panes to their end or their beginning, where they scroll together.
fn all_to(app: &mut App, end: bool) {
    if !app.panes.together || !app.panes.is_several() {
        return;
    }
    let ids: Vec<ChannelId> = app.panes.layout.channels().into_iter().flatten().cloned().collect();
    for id in ids.iter().filter(|id| app.selected.as_ref() != Some(*id)) {
        let Some(channel) = app.channels.get_mut(id) else {
            continue;
        };
        if end {
            channel.scroll = Scroll::Tail;
            channel.read_tokens = channel.tokens();
        } else if let Some(first) = channel.transcript.get(0) {
            channel.scroll = Scroll::Anchor {
                block: first.id,
                spot: Spot::Head(0),
            };
        }
    }
}

/// A new channel is about to be selected: an empty pane takes it, so that nothing that is shown goes.
pub(super) fn make_room(app: &mut App) {
    if app.panes.is_several()
        && app.panes.layout.channel(app.panes.focus).is_some()
        && let Some(empty) = app.panes.layout.first_empty()
    {
        app.panes.focus = empty;
        app.selected = None;
    }
}

/// A channel goes on under another id.
pub(super) fn renamed(app: &mut App, from: &ChannelId, to: &ChannelId) {
    for (_, id) in app.panes.lanes.iter_mut().filter(|(_, id)| id == from) {
        *id = to.clone();
    }
    if let Some(at) = app.panes.layout.find(from) {
        let taken = app.panes.layout.find(to).is_some();
        app.panes.layout.put(at, (!taken).then(|| to.clone()));
    }
}

/// Makes the panes and the selection agree, whatever changed either of them.
pub(super) fn settle(app: &mut App) {
    if !app.panes.is_several() {
        if app.panes.layout.channel(0) != app.selected.as_ref() {
            app.panes.layout.put(0, app.selected.clone());
        }
        app.panes.focus = 0;
        return;
    }
    let focus = app.panes.focus;
    let mut lost = false;
    let channels = &app.channels;
    app.panes.layout.put_all(|number, channel| {
        if channel.as_ref().is_some_and(|id| !channels.contains_key(id)) {
            *channel = None;
            lost |= number == focus;
        }
    });
    if lost {
        // The next one that nobody sees moves in, the neighbour of the list before others.
        let next = app
            .selected
            .clone()
            .filter(|id| app.panes.layout.find(id).is_none())
            .or_else(|| not_shown(app).into_iter().next());
        if let Some(next) = next {
            app.panes.layout.put(focus, Some(next.clone()));
            app.selected = Some(next);
        }
    }
    let selected = app.selected.clone().filter(|id| app.channels.contains_key(id));
    match selected {
        None => {
            app.selected = None;
            app.panes.layout.put(focus, None);
        }
        Some(id) => match app.panes.layout.find(&id) {
            Some(number) => app.panes.focus = number,
            None => app.panes.layout.put(focus, Some(id)),
        },
    }
    if app.terminal_focused && super::list::transcript_is_shown(app) {
        let seen: Vec<ChannelId> = app.channels_in_view().cloned().collect();
        for id in seen {
            if let Some(channel) = app.channels.get_mut(&id) {
                channel.unread = false;
            }
        }
    }
}

/// Takes in what happened.
pub(super) fn take(app: &mut App, msg: Msg, _effects: &mut Vec<Effect>) {
    match msg {
        Msg::LeavePrefix => app.panes.prefix = false,
        Msg::TailStep(by) => tail::step(app, by),
        Msg::Scroll { channel, to } => {
            if let Some(channel) = app.channels.get_mut(&channel) {
                super::update::scroll_channel(channel, to);
            }
        }
    }
}

/// A batch is about to be taken in.
pub(super) fn before_feed(app: &mut App, id: &ChannelId, batch: &FeedBatch, _effects: &mut Vec<Effect>) {
    tail::take_in(app, id, batch);
}

/// A batch was taken in.
pub(super) fn after_feed(_app: &mut App, _id: &ChannelId, _effects: &mut Vec<Effect>) {}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, _effects: &mut Vec<Effect>) -> bool {
    tail::tick(app)
}

/// When it needs the next tick, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    tail::next_due(app)
}
