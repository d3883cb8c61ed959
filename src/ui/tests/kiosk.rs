//! The dashboard on a wall, as snapshots; and that it takes no key but its chord.

use super::*;
use crate::app::wall::{self, kiosk};

fn settings(tiles: Option<(u16, u16)>) -> Settings {
    Settings {
        wall: wall::Settings {
            kiosk: Some(kiosk::Settings {
                tiles,
                rotate_ms: 15_000,
                only: Vec::new(),
                linger_ms: 600_000,
                linger_failed_ms: 3_600_000,
                most: 200,
                refresh_ms: 30_000,
            }),
            lobby: None,
            seed: 1,
        },
        ..Settings::default()
    }
}

/// A dashboard that watches these titles already.
fn dashboard(size: (u16, u16), tiles: Option<(u16, u16)>, titles: &[&str]) -> Play {
    let channels = titles
        .iter()
        .zip(0..)
        .map(|(title, n)| SavedChannel::new(ChannelId::from_random([150 + n; 18]), *title, 5));
    let saved = SavedState {
        channels: channels.collect(),
        ..SavedState::default()
    };
    let mut play = Play {
        app: App::new("local".to_owned(), settings(tiles), saved, size, START),
        ui: Ui::new(UiOptions::default()),
        now: START,
        effects: Vec::new(),
        next_id: 0,
    };
    play.send(Msg::Start);
    play.ids();
    play.send(info());
    play
}

fn channel(n: u8) -> ChannelId {
    ChannelId::from_random([150 + n; 18])
}

const TITLES: [&str; 8] = [
    "research: vector databases",
    "deploy check",
    "nightly report",
    "summarise incident 4411",
    "",
    "index rebuild",
    "triage the new tickets",
    "release notes",
];

pub(super) fn busy(size: (u16, u16), tiles: Option<(u16, u16)>) -> Play {
    let mut play = dashboard(size, tiles, &TITLES);
    for n in [0, 3] {
        play.feed(&channel(n), &[user("a prompt"), begin()], Some(Connection::Live));
    }
    let expires = play.now.unix_ms + 900_000;
    play.feed(
        &channel(1),
        &[
            user("deploy check"),
            begin(),
            wait("wait-8f3c0123456789abcdef", expires),
        ],
        Some(Connection::Live),
    );
    play.feed(
        &channel(2),
        &[
            user("nightly report"),
            begin(),
            token("All 12 checks passed. The report is in the usual place."),
            result(),
        ],
        Some(Connection::Ended),
    );
    play.feed(
        &channel(4),
        &[
            begin(),
            token("It uses the key sk-proj-0123456789abcdef and the password: hunter2, which nobody is to see."),
        ],
        Some(Connection::Live),
    );
    play.feed(
        &channel(5),
        &[
            user("index rebuild"),
            begin(),
            json!({"type": "error", "data": {"message": "upstream answered 429 for token=abcdef"}}),
        ],
        Some(Connection::Ended),
    );
    play.feed(&channel(6), &[user("triage the new tickets")], Some(Connection::Live));
    let next_try_at = play.now.unix_ms + 30_000;
    play.feed(
        &channel(7),
        &[
            user("release notes"),
            begin(),
            token("Fixed: the list keeps its place."),
        ],
        Some(Connection::Reconnecting {
            reason: "connection reset".to_owned(),
            next_try_at,
            attempt: 2,
        }),
    );
    play.pass(18_000);
    let text = "## Short answer\n\n- **HNSW** keeps recall above 0.97 with a few hundred megabytes of memory\n- `ivf` needs \
                less memory, and it is slower to build\n\nWhich one fits depends on how often the catalogue changes. ";
    for piece in text.split_inclusive(' ') {
        play.pass(25);
        play.feed(&channel(0), &[token(piece)], None);
    }
    play.feed(
        &channel(3),
        &[token(
            "The first alert came at 13:58 from the queue of the second region.",
        )],
        None,
    );
    play
}

#[test]
fn a_dashboard_shows_tiles_that_are_read_from_afar() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        insta::assert_snapshot!(format!("kiosk_{}x{}", size.0, size.1), busy(size, None).screen());
    }
    insta::assert_snapshot!("kiosk_4x2_200x60", busy((200, 60), Some((4, 2))).screen());
    insta::assert_snapshot!("kiosk_narrow_40x30", busy((40, 30), None).screen());
    insta::assert_snapshot!("kiosk_tiny_24x6", busy((24, 6), None).screen());
    for size in [(1, 1), (3, 2), (10, 3), (0, 0)] {
        busy(size, None).draw();
    }
}

#[test]
fn no_secret_and_no_id_is_on_the_wall() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let screen = busy(size, None).screen();
        for secret in ["hunter2", "0123456789", "abcdef", channel(4).as_str()] {
            assert!(!screen.contains(secret), "{secret} in\n{screen}");
        }
    }
}

#[test]
fn few_runs_have_large_tiles_and_none_says_so() {
    let mut play = dashboard((80, 24), None, &TITLES[..2]);
    play.feed(
        &channel(0),
        &[user("a prompt"), begin(), token("It begins.")],
        Some(Connection::Live),
    );
    play.feed(
        &channel(1),
        &[
            user("deploy check"),
            begin(),
            wait("wait-8f3c0123456789abcdef", play.now.unix_ms + 900_000),
        ],
        Some(Connection::Live),
    );
    play.pass(5_000);
    insta::assert_snapshot!("kiosk_two_80x24", play.screen());
    insta::assert_snapshot!("kiosk_empty_80x24", dashboard((80, 24), None, &[]).screen());
    let mut gone = dashboard((80, 24), None, &[]);
    gone.send(Msg::Server(Err(Outage {
        reason: "the local server did not start: no such file".to_owned(),
        refused: false,
        retry_ms: 4_000,
    })));
    insta::assert_snapshot!("kiosk_unreachable_80x24", gone.screen());
}

#[test]
fn no_key_does_anything_but_the_chord_that_leaves() {
    let mut play = busy((80, 24), None);
    let before = play.screen();
    play.keys("q?:acwnxX yjjGG/ \u{1b}");
    for code in [KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::Down] {
        play.key(code);
        assert!(play.effects.is_empty());
    }
    play.event(Event::Paste("a prompt".into()));
    assert_eq!(play.screen(), before);
    play.ctrl('c');
    assert_eq!(play.screen(), before, "nothing tells of it");
    assert!(play.effects.is_empty());
    play.ctrl('c');
    assert!(play.effects.contains(&Effect::Quit));
    play.ctrl('l');
    assert!(play.effects.contains(&Effect::Redraw));
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_on_the_wall() {
    let mut play = busy((80, 24), None);
    play.send(Msg::Wall(wall::Msg::BadSettings(
        "/etc/switchboard.toml:3:1: unknown key `tile`".into(),
    )));
    assert!(play.screen().contains("/etc/switchboard.toml:3:1"), "{}", play.screen());
}
