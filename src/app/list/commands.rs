//! What the keys of the list do: moving the mark and the channels, sorting, groups, filter, titles, width, peeking.
//!
//! How many rows a page has is the screen's matter; finding runs is in `finder`.

use crate::app::action::Action;
use crate::app::channel::ChannelState;
use crate::app::effect::Effect;
use crate::app::state::{App, Ask, AskFor, Focus, Overlay, Question};
use crate::app::update::{save_later, say, select, unwatch};
use crate::text::sanitise_line;
use crate::transcript::Status;
use crate::wire::ChannelId;

use super::order::Row;
use super::{Filter, GroupBy, SIDE_BY_SIDE, Sort, finder, order, width};

/// How much a key changes the list's width, in columns.
const WIDTH_STEP: u16 = 4;
/// The longest group label, in characters.
const LONGEST_GROUP: usize = 40;

/// Does what an action says; `false`: the action belongs elsewhere.
pub(in crate::app) fn perform(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    // What is peeked at goes with the next key, whatever it does.
    let peeked = app.list.peek.take();
    match action {
        Action::SelectNext => step(app, 1),
        Action::SelectPrevious => step(app, -1),
        Action::SelectFirst => step(app, isize::MIN),
        Action::SelectLast => step(app, isize::MAX),
        Action::NextNeedsYou => next_needs_you(app),
        Action::Peek => {
            let marked = with_channel(app, |app, id| {
                Some(id.clone()).filter(|id| app.channels.contains_key(id))
            });
            app.list.peek = marked.flatten().filter(|_| peeked.is_none());
        }
        Action::CycleSort => cycle_sort(app),
        Action::GroupList => cycle_groups(app),
        Action::CycleLines => {
            app.list.more_lines = (app.list.more_lines + 1) % 3;
            save_later(app);
            say(
                app,
                match app.list.lines() {
                    1 => "One line a channel",
                    2 => "Two lines a channel",
                    _ => "Three lines a channel",
                }
                .to_owned(),
            );
        }
        Action::NarrowList => resize(app, false),
        Action::WidenList => resize(app, true),
        Action::FilterList => {
            let text = app.list.filter.text().to_owned();
            app.overlay = Some(Overlay::Ask(Ask::new(AskFor::Filter, text)));
        }
        Action::ClearFilter if app.list.filter.is_empty() => {
            if peeked.is_none() {
                say(app, "No filter is on: / narrows the list".to_owned());
            }
        }
        Action::ClearFilter => set_filter(app, ""),
        Action::Rename => {
            with_channel(app, |app, id| {
                let title = app.channels.get(id).map(|channel| channel.title.clone());
                app.overlay = Some(Overlay::Ask(Ask::new(
                    AskFor::Rename(id.clone()),
                    title.unwrap_or_default(),
                )));
            });
        }
        Action::SetGroup => {
            with_channel(app, |app, id| {
                let group = app.channels.get(id).map(|channel| channel.list.group.clone());
                app.overlay = Some(Overlay::Ask(Ask::new(
                    AskFor::Group(id.clone()),
                    group.unwrap_or_default(),
                )));
            });
        }
        Action::Pin => pin(app),
        Action::MoveDown => move_channel(app, true),
        Action::MoveUp => move_channel(app, false),
        Action::StopWatchingEnded => ask_to_stop(app),
        Action::FindRuns => finder::open(app, effects),
        // Leaving the filter's line takes the filter off.
        Action::Close if leave_dialogue(app) => {}
        _ => return false,
    }
    true
}

/// Does something with the selected channel; says so where there is none.
fn with_channel<T>(app: &mut App, work: impl FnOnce(&mut App, &ChannelId) -> T) -> Option<T> {
    match app.selected.clone() {
        Some(id) => Some(work(app, &id)),
        None => {
            let text = nothing_watched(app);
            say(app, text);
            None
        }
    }
}

/// The listed channels in their order.
fn listed(app: &App) -> impl DoubleEndedIterator<Item = usize> + '_ {
    app.list.rows().iter().filter_map(|row| match row {
        Row::Channel(index) => Some(*index),
        Row::Heading(_) => None,
    })
}

/// The listed channel at a place from the top.
pub(in crate::app) fn listed_at(app: &App, place: usize) -> Option<ChannelId> {
    let channel = listed(app).nth(place)?;
    id_at(app, channel)
}

/// The channel that the mark goes to when the one at this place in [`App::channels`] goes: the next in the list's
/// order, else the one before.
pub(in crate::app) fn neighbour_of(app: &mut App, channel: usize) -> Option<ChannelId> {
    order::settle_if_stale(app);
    let row = app.list.row_of(channel)?;
    let channel_in = |row: &Row| match row {
        Row::Channel(index) => Some(*index),
        Row::Heading(_) => None,
    };
    let rows = app.list.rows();
    let next = rows[row + 1..].iter().find_map(channel_in);
    let neighbour = next.or_else(|| rows[..row].iter().rev().find_map(channel_in))?;
    id_at(app, neighbour)
}

fn id_at(app: &App, channel: usize) -> Option<ChannelId> {
    app.channels.get_index(channel).map(|(id, _)| id.clone())
}

/// What to do where no channel is watched.
fn nothing_watched(app: &App) -> String {
    let key = |action| app.settings.keymap.first(action);
    let (compose, watch) = (key(Action::Compose), key(Action::Watch));
    format!("No channel is watched yet: {compose} writes a prompt, {watch} watches a channel id")
}

/// The key that takes the filter off.
fn filter_off(app: &App) -> String {
    app.settings.keymap.first(Action::ClearFilter)
}

/// Moves the mark by so many channels, staying within what is listed.
pub(super) fn step(app: &mut App, by: isize) {
    order::settle_if_stale(app);
    let count = app.list.listed();
    let Some(last) = count.checked_sub(1) else {
        let text = if app.channels.is_empty() {
            nothing_watched(app)
        } else {
            format!("The filter hides every channel; {} takes it off", filter_off(app))
        };
        say(app, text);
        return;
    };
    let at = match app.selected_index() {
        Some(at) => at.saturating_add_signed(by).min(last),
        // The mark is on a channel that the filter hides: it comes back at the near end.
        None if by < 0 => last,
        None => 0,
    };
    if let Some(id) = listed_at(app, at) {
        select(app, &id);
    }
}

/// The next channel after the selected one that waits; without any, the next that ended and was not looked at. What
/// the filter hides is found too, after what it shows.
fn next_needs_you(app: &mut App) {
    order::settle_if_stale(app);
    let shown: Vec<usize> = listed(app).collect();
    let from = app.selected_index().map_or(0, |at| at + 1);
    let hidden = (0..app.channels.len()).filter(|channel| app.list.row_of(*channel).is_none());
    let (before, after) = shown.split_at(from.min(shown.len()));
    // The selected one comes last: there may be no other.
    let around: Vec<usize> = match before.split_last() {
        Some((selected, before)) if app.selected_index().is_some() => after
            .iter()
            .chain(before)
            .copied()
            .chain(hidden)
            .chain([*selected])
            .collect(),
        _ => after.iter().chain(before).copied().chain(hidden).collect(),
    };
    let now = app.now;
    let find = |wanted: &dyn Fn(&crate::app::Channel) -> bool| {
        around
            .iter()
            .filter_map(|channel| app.channels.get_index(*channel))
            .find(|(_, channel)| wanted(channel))
            .map(|(id, _)| id.clone())
    };
    let found = find(&|channel| channel.state(now) == ChannelState::Waiting)
        .or_else(|| find(&|channel| channel.unread && !channel.state(now).is_open()));
    match found {
        Some(id) => {
            select(app, &id);
            crate::app::update::with_selected(app, |channel| channel.scroll = crate::app::Scroll::Tail);
            app.focus = Focus::Transcript;
        }
        None => say(app, "Nothing needs you now".to_owned()),
    }
}

fn cycle_sort(app: &mut App) {
    app.list.sort = match app.list.sort {
        Sort::Stable => Sort::Attention,
        Sort::Attention => Sort::Activity,
        Sort::Activity => Sort::Name,
        Sort::Name => Sort::Stable,
    };
    let what = match app.list.sort {
        Sort::Stable => "Stable order: new channels come at the top, J and K move one",
        Sort::Attention => "Sorted by attention: what waits, what failed or ended unread, what goes on",
        Sort::Activity => "Sorted by activity: what came to life or changed last at the top",
        Sort::Name => "Sorted by title",
    };
    save_later(app);
    say(app, what.to_owned());
}

fn cycle_groups(app: &mut App) {
    app.list.group_by = match app.list.group_by {
        GroupBy::None => GroupBy::State,
        GroupBy::State => GroupBy::Label,
        GroupBy::Label => GroupBy::None,
    };
    let what = match app.list.group_by {
        GroupBy::None => "Not grouped",
        GroupBy::State => "Grouped by state",
        GroupBy::Label => "Grouped by your labels: B puts a channel in a group",
    };
    save_later(app);
    say(app, what.to_owned());
}

fn resize(app: &mut App, wider: bool) {
    let columns = app.size.0;
    if columns < SIDE_BY_SIDE {
        say(
            app,
            format!("Here the list has the whole width; from {SIDE_BY_SIDE} columns on it can be changed"),
        );
        return;
    }
    let before = width(app, columns);
    let step = |width: u16| {
        if wider {
            width + WIDTH_STEP
        } else {
            width.saturating_sub(WIDTH_STEP)
        }
    };
    app.list.width = Some(step(before));
    let after = width(app, columns);
    app.list.width = Some(after);
    if after == before {
        let word = if wider { "wide" } else { "narrow" };
        say(app, format!("The list is as {word} as it gets here"));
    } else {
        save_later(app);
    }
}

/// The filter's text changed, with every key.
pub(in crate::app) fn filter_changed(app: &mut App, text: &str) {
    app.list.filter = Filter::new(text);
    order::settle(app);
}

fn set_filter(app: &mut App, text: &str) {
    filter_changed(app, text);
    if text.is_empty() {
        say(app, "The filter is off".to_owned());
    }
}

/// The filter was entered: it stays, and the mark goes to a channel that it shows.
pub(in crate::app) fn submit_filter(app: &mut App, text: &str) {
    filter_changed(app, text.trim());
    if app.selected_index().is_none() && app.list.listed() > 0 {
        step(app, 1);
    }
    if app.list.listed() == 0 && !app.channels.is_empty() {
        let text = format!("Nothing fits this filter; {} takes it off", filter_off(app));
        say(app, text);
    }
    if app.focus == Focus::Compose {
        app.focus = Focus::List;
    }
}

/// The open dialogue is left: `true`: it was the filter's, which goes with it.
pub(in crate::app) fn leave_dialogue(app: &mut App) -> bool {
    let is_filter = matches!(&app.overlay, Some(Overlay::Ask(ask)) if ask.purpose == AskFor::Filter);
    if is_filter {
        app.overlay = None;
        filter_changed(app, "");
    }
    is_filter
}

/// A title was entered; an empty one gives the prompt's back.
pub(in crate::app) fn renamed(app: &mut App, id: &ChannelId, text: &str) {
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    let said = if text.trim().is_empty() {
        let before = channel.list.title_before.take();
        let from_events = channel.transcript.title().map(str::to_owned);
        match before.filter(|title| !title.is_empty()).or(from_events) {
            Some(title) => {
                channel.set_title(&title);
            }
            None if !channel.titled => {}
            None => {
                channel.title = sanitise_line(&channel.id.masked()).into_owned();
                channel.titled = false;
            }
        }
        format!("The title is the prompt's again: {}", channel.title)
    } else {
        if channel.list.title_before.is_none() {
            let before = if channel.titled {
                channel.title.clone()
            } else {
                String::new()
            };
            channel.list.title_before = Some(before);
        }
        channel.set_title(text);
        format!("Renamed to {}", channel.title)
    };
    save_later(app);
    say(app, said);
}

/// A group was entered; an empty one takes the channel out of its group.
pub(in crate::app) fn grouped(app: &mut App, id: &ChannelId, text: &str) {
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    let short: String = text.trim().chars().take(LONGEST_GROUP).collect();
    channel.list.group = sanitise_line(&short).into_owned();
    let said = if channel.list.group.is_empty() {
        format!("{} is in no group", channel.title)
    } else {
        format!("{} is in the group {}", channel.title, channel.list.group)
    };
    let shown = app.list.group_by == GroupBy::Label;
    let how = if shown { "" } else { "; b groups the list by label" };
    save_later(app);
    say(app, format!("{said}{how}"));
}

fn pin(app: &mut App) {
    with_channel(app, |app, id| {
        let Some(channel) = app.channels.get_mut(id) else {
            return;
        };
        channel.list.pinned = !channel.list.pinned;
        let said = if channel.list.pinned {
            format!("Pinned to the top: {}", channel.title)
        } else {
            format!("No longer pinned: {}", channel.title)
        };
        save_later(app);
        say(app, said);
    });
}

/// Moves the selected channel past its neighbour.
fn move_channel(app: &mut App, down: bool) {
    if app.list.sort != Sort::Stable {
        let word = app.list.sort.word();
        say(
            app,
            format!("The list is sorted by {word}; s goes on to the stable order, which can be changed"),
        );
        return;
    }
    order::settle_if_stale(app);
    let Some(from) = app.selected.as_ref().and_then(|id| app.channels.get_index_of(id)) else {
        with_channel(app, |_, _| ());
        return;
    };
    let neighbour = app.list.row_of(from).and_then(|row| {
        let row = if down { row.checked_add(1) } else { row.checked_sub(1) };
        app.list.rows().get(row?).copied()
    });
    let pinned = |channel: usize| app.channels.get_index(channel).map(|(_, channel)| channel.list.pinned);
    match neighbour {
        Some(Row::Channel(to)) if app.list.group_by != GroupBy::None || pinned(from) == pinned(to) => {
            app.channels.move_index(from, to);
            save_later(app);
        }
        Some(Row::Channel(_)) => say(
            app,
            "Pinned channels stay above the others; p pins and unpins".to_owned(),
        ),
        Some(Row::Heading(_)) => say(app, "This is the end of its group; B puts it in another".to_owned()),
        None => {
            let end = if down { "last" } else { "first" };
            say(app, format!("This is the {end} channel"));
        }
    }
}

/// The channels that are over and were looked at, of those that are listed; pinned ones stay.
fn ended(app: &App) -> Vec<ChannelId> {
    listed(app)
        .filter_map(|channel| app.channels.get_index(channel))
        .filter(|(_, channel)| {
            let status = channel.transcript.status();
            let over = status.is_over() || (status == Status::Empty && !channel.state(app.now).is_open());
            over && !channel.unread && !channel.list.pinned
        })
        .map(|(id, _)| id.clone())
        .collect()
}

fn ask_to_stop(app: &mut App) {
    let count = ended(app).len();
    if count == 0 {
        say(
            app,
            "No channel here is over and was read (pinned ones do not count)".to_owned(),
        );
        return;
    }
    app.overlay = Some(Overlay::Confirm(Question::StopWatchingEnded { count }));
}

/// The question was answered with yes.
pub(in crate::app) fn stop_watching(app: &mut App, effects: &mut Vec<Effect>) {
    let ended = ended(app);
    for id in &ended {
        unwatch(app, id, effects);
    }
    let what = match ended.len() {
        1 => "1 channel that is over".to_owned(),
        count => format!("{count} channels that are over"),
    };
    say(app, format!("No longer watching {what}"));
}
