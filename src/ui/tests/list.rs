//! The channel list as a person sees it, and its keys.

use super::*;
use crate::app::list::Row;

pub(super) fn listed(size: (u16, u16)) -> Play {
    let mut play = several(size);
    play.send(Msg::Action(Action::LeaveCompose));
    play.send(Msg::Action(Action::Back));
    play
}

fn titles(play: &Play) -> Vec<&str> {
    play.app
        .list
        .rows()
        .iter()
        .filter_map(|row| match row {
            Row::Channel(index) => Some(play.app.channels[*index].title.as_str()),
            Row::Heading(_) => None,
        })
        .collect()
}

/// Many channels: every tenth waits.
pub(super) fn many(size: (u16, u16), count: usize) -> Play {
    let mut play = Play::new(size);
    for n in 0..count {
        let id = play.dispatch(&format!("run number {n}"));
        if n % 4 == 3 {
            play.ids();
        }
        let events = if n % 10 == 0 {
            vec![user("x"), begin(), wait("wait-8f3c0123456789abcdef", 0)]
        } else {
            vec![user("x"), begin(), token("some text of it")]
        };
        play.feed(&id, &events, Some(Connection::Live));
    }
    play.send(Msg::Action(Action::LeaveCompose));
    play.send(Msg::Action(Action::Back));
    play.send(Msg::Action(Action::SelectFirst));
    play
}

#[test]
fn one_two_or_three_lines_a_channel() {
    screens!("two_lines", |size| {
        let mut play = listed(size);
        play.keys(".");
        play.pass(10_000);
        play
    });
    screens!("three_lines", |size| {
        let mut play = listed(size);
        play.keys("Bnightly");
        play.key(KeyCode::Enter);
        play.keys("p..");
        play.pass(10_000);
        play
    });
}

#[test]
fn sorted_grouped_and_filtered() {
    screens!("by_state", |size| {
        let mut play = listed(size);
        play.keys("sb");
        play.pass(10_000);
        play
    });
    screens!("filtering", |size| {
        let mut play = listed(size);
        play.keys("/state:d");
        play.pass(10_000);
        play
    });
    let mut play = listed((80, 24));
    play.keys("/nothing like this");
    play.key(KeyCode::Enter);
    insta::assert_snapshot!("filter_hides_all_80x24", play.screen());
    play.key(KeyCode::Esc);
    assert_eq!(titles(&play).len(), 6);
    play.keys("sr");
    play.keys("!");
    play.key(KeyCode::Enter);
    assert!(play.screen().contains("research: vector databases!"));
}

#[test]
fn a_peek_shows_the_end_and_goes_with_the_next_key() {
    screens!("peek", |size| {
        let mut play = listed(size);
        play.keys("jj ");
        play
    });
    let mut play = listed((80, 24));
    play.keys(" ");
    assert!(play.screen().contains("peek: research"));
    let id = play.app.selected.clone();
    play.key(KeyCode::F(9));
    assert!(!play.screen().contains("peek:"), "a key without a meaning ends it");
    play.keys(" j");
    assert!(!play.screen().contains("peek:"));
    assert_ne!(play.app.selected, id);
    assert_eq!(play.app.focus, Focus::List);
}

#[test]
fn what_waits_out_of_view_is_said_at_the_top() {
    let mut play = many((80, 24), 40);
    insta::assert_snapshot!("many_80x24", play.screen());
    assert!(play.screen().contains("! 3 wait below"), "{}", play.screen());
    play.keys("G");
    assert!(play.screen().contains("! 2 wait above"), "{}", play.screen());
    play.key(KeyCode::PageUp);
    assert!(play.app.selected_index().is_some_and(|at| (10..30).contains(&at)));
    play.keys("g");
    play.ctrl('d');
    assert_eq!(play.app.selected_index(), Some(17));
}

#[test]
fn the_list_can_be_made_wider_and_narrower() {
    let width = |play: &mut Play| {
        let terminal = play.draw();
        let buffer = terminal.backend().buffer();
        (0..120).position(|x| buffer[(x, 1)].symbol() == "┬")
    };
    let mut play = listed((120, 40));
    assert_eq!(width(&mut play), Some(40));
    play.keys("<<");
    assert_eq!(width(&mut play), Some(32));
    play.keys(">>>>>>>>>>>>>>>>>>>>>>");
    assert_eq!(width(&mut play), Some(79));
    assert!(play.screen().contains("as wide as it gets"));
    insta::assert_snapshot!("widest_120x40", play.screen());
    play.keys("<<<<<<<<<<<<<<<<<<<<<<<<<<<<");
    assert_eq!(width(&mut play), Some(24));
    insta::assert_snapshot!("narrowest_120x40", play.screen());
}

#[test]
fn every_width_and_height_can_be_drawn() {
    for keys in ["", ".", "..", "b", "bb.", "/state:d"] {
        let mut play = listed((120, 40));
        play.keys(keys);
        for size in [
            (40, 10),
            (41, 11),
            (59, 12),
            (60, 10),
            (79, 24),
            (99, 13),
            (100, 10),
            (133, 12),
            (240, 70),
        ] {
            play.send(Msg::Resize(size.0, size.1));
            let _ = play.screen();
        }
    }
}

/// The runs that the server knows, to pick from.
pub(super) fn found_runs(size: (u16, u16)) -> Play {
    let mut play = listed(size);
    play.keys("W");
    let Some(Effect::ListRuns { request }) = play.effects.first().cloned() else {
        panic!("{:?}", play.effects)
    };
    let run = |n: u8, title: &str, status: &str, waiting: &[&str]| {
        serde_json::from_value(json!({"channelId": ChannelId::from_random([200 + n; 18]).to_string(),
            "title": title, "status": status, "model": "qwen2.5:1.5b", "waiting": waiting,
            "createdAt": START.unix_ms - 1_000_000 * u64::from(n)}))
        .expect("a run")
    };
    let runs = Some(vec![
        run(1, "translate the manual", "running", &[]),
        run(2, "deploy to staging", "waiting", &["approve_deploy"]),
        run(9, "nightly report", "ended", &[]),
    ]);
    play.send(Msg::Runs { request, runs });
    play
}

#[test]
fn runs_dispatched_elsewhere_are_picked_from_a_list() {
    screens!("find_runs", found_runs);
}

#[test]
fn ended_channels_go_after_a_question() {
    let mut play = listed((80, 24));
    for index in 0..6 {
        play.send(Msg::SelectIndex(index));
        play.key(KeyCode::Enter);
        play.key(KeyCode::Char('h'));
    }
    play.keys("C");
    insta::assert_snapshot!("stop_watching_ended_80x24", play.screen());
    play.keys("y");
    assert_eq!(play.app.channels.len(), 4);
}

#[test]
fn the_spark_has_an_ascii_form() {
    let mut play = listed((120, 40));
    play.ui = Ui::new(UiOptions {
        ascii: true,
        color: false,
        ..UiOptions::default()
    });
    play.keys(".>>>>");
    insta::assert_snapshot!("ascii_two_lines_120x40", play.screen());
}
