//! Recordings on the screen: the bar, what can be picked, and what keys do to one that plays.

use std::sync::Arc;

use super::*;
use crate::app::recordings::Msg as Recorded;
use crate::record::{Head, Summary, Writer, read};

/// A recording of a minute.
fn minute() -> Arc<crate::record::Recording> {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("run.jsonl");
    let mut writer = Writer::open(&path, &Head::new("nightly report", "local", 1)).expect("made");
    let start = START.unix_ms - 7_200_000;
    let mut events = vec![(0, user("nightly report")), (10, begin())];
    for n in 0..60 {
        events.push((1_000 * n + 500, token(&format!("Check {n} of the night passed. "))));
    }
    events.push((60_000, result()));
    let items: Vec<Item> = events
        .into_iter()
        .zip(0..)
        .map(|((after, event), id)| {
            let at = start + after;
            let raw = json!({"type": "message", "id": id, "createdAt": at, "data": event}).to_string();
            Item::Event {
                id: Some(id),
                at: Some(at),
                event: RunEvent::from_json(&event.to_string()).expect("an event"),
                raw: raw.into(),
            }
        })
        .collect();
    writer.append(&items, start).expect("written");
    Arc::new(read(&path).expect("read"))
}

/// Opens a recording and plays 20 seconds of it.
pub(super) fn opened(play: &mut Play) {
    play.send(Msg::Recordings(Recorded::Opened(Ok(minute()))));
    for _ in 0..80 {
        play.pass(250);
    }
}

pub(super) fn playing(size: (u16, u16)) -> Play {
    let mut play = several(size);
    opened(&mut play);
    play
}

/// The recordings to pick from.
pub(super) fn listed(size: (u16, u16)) -> Play {
    let mut play = several(size);
    play.app.focus = Focus::List;
    play.keys("o");
    let summary = |title: &str, server: &str, age: u64, bytes: u64| Summary {
        name: format!("{title}.jsonl"),
        head: Head::new(title, server, play.now.unix_ms - age * 60_000),
        bytes,
    };
    let found = vec![
        summary("nightly report", "local", 3, 48_000),
        summary("research: vector databases for a catalogue", "team", 90, 2_300_000),
        summary("deploy check", "https://api.example.com", 4_000, 900),
    ];
    play.send(Msg::Recordings(Recorded::Listed(Ok(found))));
    play
}

/// The row with the bar.
fn bar(play: &mut Play) -> String {
    let screen = play.screen();
    let row = screen
        .lines()
        .find(|row| row.contains("playing ") || row.contains("paused "));
    row.unwrap_or_else(|| panic!("no bar:\n{screen}")).to_owned()
}

#[test]
fn the_bar_goes_with_the_recording_and_obeys_its_keys() {
    let mut play = playing((120, 40));
    assert!(bar(&mut play).contains("00:20"), "{}", bar(&mut play));
    assert!(play.screen().contains("Check 19 of the night"), "{}", play.screen());
    play.keys("P");
    assert!(bar(&mut play).contains("paused"), "{}", bar(&mut play));
    play.pass(30_000);
    assert!(bar(&mut play).contains("00:20"), "it stands still");
    play.keys(".");
    assert!(bar(&mut play).contains("00:25"), "{}", bar(&mut play));
    play.keys(",,");
    assert!(bar(&mut play).contains("00:15"), "{}", bar(&mut play));
    let screen = play.screen();
    assert!(screen.contains("Check 14") && !screen.contains("Check 15"), "{screen}");
    play.keys("++P");
    assert!(bar(&mut play).contains("5x"), "{}", bar(&mut play));
    play.pass(1_000);
    assert!(bar(&mut play).contains("00:20"), "{}", bar(&mut play));
    play.keys("-");
    assert!(bar(&mut play).contains("2x"), "{}", bar(&mut play));
    play.pass(60_000);
    assert!(
        bar(&mut play).contains("01:00"),
        "at its end it stops: {}",
        bar(&mut play)
    );
    assert!(bar(&mut play).contains("paused"), "{}", bar(&mut play));
    play.keys("P");
    assert!(bar(&mut play).contains("00:00"), "and begins anew");
}
