//! Recordings on the screen: that one is made, that one plays, and which keys it takes.

use std::sync::Arc;

use super::*;
use crate::app::recordings::{Msg as Recorded, SpoolEnd};
use crate::record::{Head, Writer, read};

/// A run that waits for a while and ends, as it was recorded: the transcript has the focus.
fn playing(size: (u16, u16)) -> Play {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("run.jsonl");
    let mut writer = Writer::open(&path, &Head::new("deploy check", "local", 1)).expect("made");
    let start = START.unix_ms - 3_600_000;
    let answered = json!({"type": "waitForChannelMessageEnd", "data": {"channel": "waits-here-0123456789",
        "message": {"data": {"approved": true}}}});
    let events = [
        (0, user("May 1.8.2 be deployed?")),
        (10, begin()),
        (1_000, token("I ask somebody.")),
        (2_000, wait("waits-here-0123456789", start + 900_000)),
        (60_000, answered),
        (61_000, token("It may.")),
        (62_000, result()),
    ];
    let items: Vec<Item> = events
        .iter()
        .zip(0..)
        .map(|((after, event), id)| {
            let at = start + after;
            let raw = json!({"type": "message", "id": id, "createdAt": at, "data": event});
            Item::Event {
                id: Some(id),
                at: Some(at),
                event: RunEvent::from_json(&event.to_string()).expect("an event"),
                raw: raw.to_string().into(),
            }
        })
        .collect();
    writer.append(&items, 0).expect("written");
    let recording = Arc::new(read(&path).expect("read"));
    let mut play = Play::new(size);
    play.send(Msg::Recordings(Recorded::Opened(Ok(recording))));
    play.key(KeyCode::Esc);
    play.key(KeyCode::Enter);
    play
}

#[test]
fn a_recording_plays_by_the_clock_of_then_and_says_its_keys() {
    for (name, size) in [("80x24", (80, 24)), ("120x40", (120, 40)), ("200x60", (200, 60))] {
        let mut play = playing(size);
        play.pass(20_000);
        insta::assert_snapshot!(format!("recordings_playing_{name}"), play.screen());
    }
    let mut play = playing((120, 40));
    play.pass(20_000);
    let screen = play.screen();
    assert!(screen.contains("waited for an answer then"), "{screen}");
    assert!(screen.contains("waiting 00:18"), "{screen}");
    assert!(!screen.contains("press a"), "{screen}");
    assert!(screen.contains("P play, pause"), "{screen}");
    play.keys("P");
    assert!(play.screen().contains("paused"));
    play.keys("P+++");
    play.pass(60_000);
    let screen = play.screen();
    assert!(screen.contains("It may.") && screen.contains("01:02"), "{screen}");
}

#[test]
fn a_channel_that_is_recorded_says_so() {
    let mut play = Play::new((120, 40));
    let id = play.dispatch("nightly report");
    play.feed(
        &id,
        &[user("nightly report"), begin(), token("a")],
        Some(Connection::Live),
    );
    play.key(KeyCode::Esc);
    play.keys("S");
    let file = "f.jsonl".to_owned();
    play.send(Msg::Recordings(Recorded::Spooling {
        channel: id.clone(),
        file,
    }));
    assert!(play.row(1).contains("rec   live"), "{}", play.row(1));
    play.keys(".");
    let screen = play.screen();
    assert!(
        screen.lines().any(|line| line.contains("rec ") && line.contains("│")),
        "{screen}"
    );
    play.send(Msg::Recordings(Recorded::Spooled {
        channel: id.clone(),
        end: SpoolEnd::ServerGone,
    }));
    assert!(play.row(1).contains("rec paused"), "{}", play.row(1));
    play.feed(&id, &[result()], Some(Connection::Live));
    play.send(Msg::Recordings(Recorded::Spooled {
        channel: id,
        end: SpoolEnd::Whole,
    }));
    assert!(!play.row(1).contains("rec "), "{}", play.row(1));
    assert!(play.screen().contains("recorded"));
}
