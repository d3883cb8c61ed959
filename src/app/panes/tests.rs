//! The rules of the panes: what is shown where, and that the selection is the channel of the pane in focus.

use proptest::prelude::*;

use super::tree::Node;
use crate::app::action::Action;
use crate::app::state::{Focus, SavedState};
use crate::app::{App, Effect, Msg, Now, Settings, update};
use crate::wire::ChannelId;

const NOW: Now = Now {
    unix_ms: 1_700_000_000_000,
    monotonic_ms: 5,
};

fn id(n: u8) -> ChannelId {
    ChannelId::from_random([n; 18])
}

/// A program that dispatched so many prompts; the last one is selected.
fn app(channels: u8) -> App {
    let mut app = App::new(
        "local".to_owned(),
        Settings::default(),
        SavedState::default(),
        (160, 40),
        NOW,
    );
    update(&mut app, Msg::Start, NOW);
    update(&mut app, Msg::FreshIds((1..60).rev().map(id).collect()), NOW);
    for n in 1..=channels {
        update(&mut app, Msg::Submit(format!("prompt {n}")), NOW);
    }
    app.focus = Focus::Transcript;
    app
}

fn act(app: &mut App, actions: &[Action]) -> Vec<Effect> {
    actions
        .iter()
        .flat_map(|action| update(app, Msg::Action(*action), NOW))
        .collect()
}

/// The panes by the numbers of their channels; 0: empty.
fn shown(app: &App) -> Vec<usize> {
    let number = |of: &ChannelId| (1..60_u8).find(|n| id(*n) == *of).map_or(0, usize::from);
    app.panes
        .layout
        .channels()
        .into_iter()
        .map(|id| id.map_or(0, number))
        .collect()
}

fn agrees(app: &App) {
    assert_eq!(app.panes.layout.channel(app.panes.focus), app.selected.as_ref());
    assert!(app.panes.focus < app.panes.layout.count());
    let mut shown: Vec<&ChannelId> = app.panes.layout.channels().into_iter().flatten().collect();
    assert!(shown.iter().all(|id| app.channels.contains_key(*id)), "all are watched");
    let all = shown.len();
    shown.sort();
    shown.dedup();
    assert_eq!(all, shown.len(), "none is shown twice");
}

#[test]
fn a_layout_is_filled_with_what_comes_next_in_the_list() {
    let mut app = app(5);
    act(&mut app, &[Action::Layout4]);
    // The newest stands first in the list.
    assert_eq!((shown(&app), app.panes.focus), (vec![5, 4, 3, 2], 0));
    act(&mut app, &[Action::GoToPane4, Action::Layout2]);
    assert_eq!(
        (shown(&app), app.panes.focus),
        (vec![5, 2], 1),
        "the one in focus stays"
    );
    act(&mut app, &[Action::Layout6]);
    assert_eq!(
        shown(&app),
        [5, 2, 1, 4, 3, 0],
        "the next of the list after the selected one"
    );
    act(&mut app, &[Action::Layout1]);
    assert_eq!(shown(&app), [2]);
    agrees(&app);
}

#[test]
fn what_the_filter_hides_fills_no_pane_and_has_no_number() {
    let mut app = app(3);
    update(&mut app, Msg::Action(Action::FilterList), NOW);
    update(&mut app, Msg::DialogueChanged("!2".to_owned()), NOW);
    update(&mut app, Msg::DialogueSubmit("!2".to_owned()), NOW);
    act(&mut app, &[Action::Layout4]);
    assert_eq!(shown(&app), [3, 1, 0, 0], "the second is hidden");
    act(&mut app, &[Action::Layout1, Action::GoToPane2]);
    assert_eq!(app.selected, Some(id(1)), "the second that is listed");
}

#[test]
fn the_mark_of_the_list_and_the_pane_in_focus_go_together() {
    let mut app = app(4);
    act(&mut app, &[Action::Layout2]);
    assert_eq!(shown(&app), [4, 3]);
    act(&mut app, &[Action::PaneRight]);
    assert_eq!(app.selected, Some(id(3)));
    act(&mut app, &[Action::SelectNext]);
    assert_eq!(shown(&app), [4, 2], "the pane in focus shows what the mark is on");
    act(&mut app, &[Action::SelectFirst]);
    assert_eq!(
        (shown(&app), app.panes.focus),
        (vec![4, 2], 0),
        "what is shown already is gone to"
    );
    act(&mut app, &[Action::PaneLeft]);
    assert_eq!(app.focus, Focus::List, "the list stands to the left");
    act(&mut app, &[Action::PaneRight]);
    assert_eq!(app.focus, Focus::Transcript);
}

#[test]
fn new_runs_go_into_an_empty_pane_else_into_the_one_in_focus() {
    let mut app = app(2);
    act(&mut app, &[Action::Layout3]);
    assert_eq!(shown(&app), [2, 1, 0]);
    update(&mut app, Msg::Submit("third".to_owned()), NOW);
    assert_eq!((shown(&app), app.panes.focus), (vec![2, 1, 3], 2));
    update(&mut app, Msg::Submit("fourth".to_owned()), NOW);
    assert_eq!(shown(&app), [2, 1, 4]);
    agrees(&app);
}

#[test]
fn a_channel_that_goes_leaves_its_pane_to_the_next_one() {
    let mut app = app(4);
    act(&mut app, &[Action::Layout3, Action::StopWatching]);
    assert_eq!(shown(&app), [1, 3, 2], "one that nobody saw moves in");
    act(&mut app, &[Action::StopWatching]);
    assert_eq!(
        (shown(&app), app.panes.focus),
        (vec![0, 3, 2], 2),
        "nothing is left to move in"
    );
    act(&mut app, &[Action::StopWatching, Action::StopWatching]);
    assert_eq!((shown(&app), app.selected.clone()), (vec![0, 0, 0], None));
    agrees(&app);
}

#[test]
fn splits_and_closes_keep_the_focus_in_sight() {
    let mut app = app(3);
    act(&mut app, &[Action::SplitRight, Action::SplitBelow]);
    assert_eq!((shown(&app), app.panes.focus), (vec![3, 2, 1], 2));
    act(&mut app, &[Action::SplitBelow]);
    assert_eq!(
        (shown(&app), app.selected.clone()),
        (vec![3, 2, 1, 0], None),
        "an empty pane"
    );
    act(&mut app, &[Action::ClosePane, Action::Zoom]);
    assert!(app.is_zoomed() && app.channels_in_view().eq([&id(1)]));
    act(&mut app, &[Action::ClosePane, Action::ClosePane]);
    assert_eq!((shown(&app), app.panes.zoomed), (vec![3], false));
    for _ in 0..20 {
        act(&mut app, &[Action::SplitBelow]);
    }
    assert_eq!(app.panes.layout.count(), super::MOST_PANES);
    agrees(&app);
}

#[test]
fn zoom_lets_the_list_be_seen_while_it_has_the_focus() {
    let mut app = app(1);
    act(&mut app, &[Action::Zoom]);
    assert!(app.is_zoomed());
    app.focus = Focus::List;
    assert!(!app.is_zoomed() && app.panes.zoomed);
    act(&mut app, &[Action::Open]);
    assert!(app.is_zoomed());
    act(&mut app, &[Action::Zoom]);
    assert!(!app.panes.zoomed);
}

#[test]
fn the_layout_is_there_again_at_the_next_start() {
    let mut first = app(5);
    act(
        &mut first,
        &[
            Action::Layout4,
            Action::SplitBelow,
            Action::ScrollTogether,
            Action::Zoom,
        ],
    );
    let saved = first.saved_state();
    let text = serde_json::to_string(&saved).expect("written");
    let read: SavedState = serde_json::from_str(&text).expect("read");
    let second = App::new("local".to_owned(), Settings::default(), read, (160, 40), NOW);
    assert_eq!(second.panes.layout, first.panes.layout);
    assert_eq!(second.saved_state(), saved);
    agrees(&second);
}

#[test]
fn the_prefix_is_left_by_any_key() {
    let mut app = app(2);
    act(&mut app, &[Action::PanePrefix]);
    assert!(app.panes.prefix);
    update(&mut app, Msg::Panes(super::Msg::LeavePrefix), NOW);
    assert!(!app.panes.prefix);
    act(&mut app, &[Action::PanePrefix, Action::LeavePrefix]);
    assert!(!app.panes.prefix);
    act(&mut app, &[Action::Layout2, Action::PanePrefix, Action::PanePrefix]);
    assert_eq!((app.panes.prefix, app.panes.focus), (false, 1), "twice: the next pane");
}

#[test]
fn a_layout_that_was_changed_by_hand_is_left_alone() {
    let broken: Node = serde_json::from_str("{\"split\": {\"along\": \"right\", \"parts\": []}}").expect("a node");
    let saved = SavedState {
        panes: super::Saved {
            layout: Some(broken),
            focus: 7,
            ..super::Saved::default()
        },
        ..SavedState::default()
    };
    let app = App::new("local".to_owned(), Settings::default(), saved, (80, 24), NOW);
    assert_eq!((app.panes.layout.count(), app.panes.focus), (1, 0));
}

proptest! {
    #[test]
    fn the_selection_is_always_the_channel_of_the_pane_in_focus(
        steps in prop::collection::vec((0_usize..30, 0_usize..12), 1..80),
    ) {
        const ACTIONS: [Action; 24] = [
            Action::Layout1, Action::Layout2, Action::Layout3, Action::Layout4, Action::Layout6, Action::Layout9,
            Action::SplitBelow, Action::SplitRight, Action::ClosePane, Action::PaneLeft, Action::PaneDown,
            Action::PaneUp, Action::PaneRight, Action::NextPane, Action::EvenPanes, Action::WiderPane,
            Action::LowerPane, Action::ScrollTogether, Action::Zoom, Action::StopWatching, Action::SelectNext,
            Action::SelectPrevious, Action::NextNeedsYou, Action::GoToPane3,
        ];
        let mut app = app(3);
        for (step, number) in steps {
            match step {
                24 => drop(update(&mut app, Msg::SelectIndex(number), NOW)),
                25 | 26 => drop(update(&mut app, Msg::Submit("more".to_owned()), NOW)),
                27 => drop(update(&mut app, Msg::Resize(40 + number as u16 * 10, 10 + number as u16 * 4), NOW)),
                28 => {
                    // Another channel than the one that was asked for is answered.
                    let last = app.dispatches.last().map(|(request, id, _)| (*request, id.clone()));
                    if let Some((request, channel)) = last {
                        let result = Ok(id(100 + number as u8));
                        update(&mut app, Msg::Dispatched { request, channel, result }, NOW);
                    }
                }
                29 => {
                    let last = app.dispatches.last().map(|(request, id, _)| (*request, id.clone()));
                    if let Some((request, channel)) = last {
                        let result = Err("no".to_owned());
                        update(&mut app, Msg::Dispatched { request, channel, result }, NOW);
                    }
                }
                step => drop(act(&mut app, &[ACTIONS[step]])),
            }
            agrees(&app);
        }
    }
}
