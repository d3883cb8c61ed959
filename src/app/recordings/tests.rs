//! Recording on and off, playing back by the clock, and the bound on memory.

use std::sync::Arc;

use serde_json::json;

use super::super::action::Action;
use super::super::msg::{Msg, Now};
use super::super::state::{App, SavedState};
use super::super::{ChannelState, Effect, Settings, update};
use super::{Away, Do, Msg as Recorded, Speed, Spool, SpoolEnd};
use crate::record::{Head, Recording, Writer, read};
use crate::transcript::{Connection, FeedBatch, Item, Status, Transcript};
use crate::wire::{ChannelId, Event};

fn now(ms: u64) -> Now {
    Now {
        unix_ms: 1_700_000_000_000 + ms,
        monotonic_ms: 1_000 + ms,
    }
}

fn item(id: u64, at: u64, event: &serde_json::Value) -> Item {
    let raw = json!({"type": "message", "id": id, "createdAt": at, "data": event}).to_string();
    Item::Event {
        id: Some(id),
        at: Some(at),
        event: Event::from_json(&event.to_string()).expect("an event"),
        raw: raw.into(),
    }
}

fn events(text: &str) -> Vec<Item> {
    let start = 1_699_000_000_000;
    vec![
        item(
            0,
            start,
            &json!({"type": "message", "data": {"type": "user", "text": "a prompt"}}),
        ),
        item(
            1,
            start + 10,
            &json!({"type": "completeBegin", "data": {"iteration": 0}}),
        ),
        item(2, start + 1_000, &json!({"type": "token", "data": {"token": "one "}})),
        item(3, start + 4_000, &json!({"type": "token", "data": {"token": text}})),
        item(4, start + 9_000, &json!({"type": "completeEnd", "data": {}})),
        item(
            5,
            start + 10_000,
            &json!({"type": "result", "data": {"end": {"reason": "stop"}}}),
        ),
    ]
}

fn recording() -> Arc<Recording> {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("run.jsonl");
    let mut writer = Writer::open(&path, &Head::new("nightly", "local", 1)).expect("made");
    writer.append(&events("two"), 0).expect("written");
    Arc::new(read(&path).expect("read"))
}

fn app(settings: Settings) -> App {
    let mut app = App::new("local".to_owned(), settings, SavedState::default(), (120, 40), now(0));
    update(&mut app, Msg::Start, now(0));
    let ids = (1..=40).map(|n| ChannelId::from_random([n; 18])).collect();
    update(&mut app, Msg::FreshIds(ids), now(0));
    app
}

fn watched(app: &mut App, text: &str) -> ChannelId {
    update(app, Msg::Submit("a prompt".to_owned()), now(1));
    let id = app.selected.clone().expect("selected");
    let generation = app.channels[&id].generation;
    let batch = FeedBatch {
        items: events(text),
        connection: Some(Connection::Ended),
    };
    let feed = Msg::Feed {
        channel: id.clone(),
        generation,
        batch,
    };
    update(app, feed, now(2));
    id
}

fn act(app: &mut App, action: Action, at: u64) -> Vec<Effect> {
    update(app, Msg::Action(action), now(at))
}

#[test]
fn a_recording_plays_at_its_own_tempo_faster_and_at_once() {
    let mut app = app(Settings::default());
    update(&mut app, Msg::Recordings(Recorded::Opened(Ok(recording()))), now(100));
    let id = app.selected.clone().expect("it is shown");
    let shown = |app: &App| app.channels[&id].transcript.plain_answer();
    assert_eq!(app.channels[&id].state(app.now), ChannelState::Replay);
    assert_eq!(app.counts(), crate::app::Counts::default(), "no run of the server");
    update(&mut app, Msg::Tick, now(1_000));
    assert_eq!(shown(&app), "", "a tenth of a second is missing");
    update(&mut app, Msg::Tick, now(1_100));
    assert_eq!(shown(&app), "one ");
    act(&mut app, Action::Faster, 1_100);
    update(&mut app, Msg::Tick, now(2_600));
    assert_eq!(shown(&app), "one two", "one and a half seconds at twice the tempo");
    act(&mut app, Action::PlayPause, 2_600);
    update(&mut app, Msg::Tick, now(60_000));
    let playback = |app: &App| app.channels[&id].recordings.playback.clone().expect("one");
    assert_eq!((playback(&app).position(), playback(&app).playing), (4_000, false));
    act(&mut app, Action::SeekBack, 60_000);
    assert_eq!((shown(&app).as_str(), playback(&app).position()), ("", 0));
    act(&mut app, Action::SeekForward, 60_000);
    assert_eq!((shown(&app).as_str(), playback(&app).position()), ("one two", 5_000));
    for _ in 0..9 {
        act(&mut app, Action::Faster, 60_000);
    }
    assert_eq!(playback(&app).speed, Speed::AtOnce);
    assert_eq!(super::next_due(&app), None, "a paused one wakes nobody");
    act(&mut app, Action::PlayPause, 60_000);
    update(&mut app, Msg::Tick, now(60_020));
    assert_eq!(app.channels[&id].state(app.now), ChannelState::Done);
    assert!(!playback(&app).playing);
    assert_eq!(
        app.channels[&id].elapsed(app.now),
        Some(10_000),
        "by the clocks of then"
    );
    assert_eq!(super::next_due(&app), None);
    assert!(
        app.saved_state().channels.is_empty(),
        "nothing to watch at the next start"
    );
}

#[test]
fn a_recording_is_begun_ended_and_gone_on_with() {
    let mut app = app(Settings::default());
    let id = watched(&mut app, "x");
    let effects = act(&mut app, Action::Record, 10);
    let begins = |effects: &[Effect], wanted: Option<&str>| {
        effects.iter().any(|effect| {
            matches!(effect, Effect::Recordings(Do::Spool { channel, file, .. }) if *channel == id && file.as_deref() == wanted)
        })
    };
    assert!(begins(&effects, None));
    let spooling = Recorded::Spooling {
        channel: id.clone(),
        file: "f.jsonl".to_owned(),
    };
    update(&mut app, Msg::Recordings(spooling), now(11));
    let saved = app.saved_state();
    let mut next = App::new("local".to_owned(), Settings::default(), saved, (80, 24), now(0));
    assert!(
        begins(&update(&mut next, Msg::Start, now(0)), Some("f.jsonl")),
        "after a restart"
    );
    let end = |app: &mut App, end| {
        let channel = id.clone();
        update(app, Msg::Recordings(Recorded::Spooled { channel, end }), now(12));
    };
    end(&mut app, SpoolEnd::ServerGone);
    assert_eq!(app.channels[&id].recordings.spool, Spool::Paused("f.jsonl".to_owned()));
    let generation = app.channels[&id].generation;
    let live = Msg::Feed {
        channel: id.clone(),
        generation,
        batch: FeedBatch {
            items: Vec::new(),
            connection: Some(Connection::Live),
        },
    };
    assert!(
        begins(&update(&mut app, live, now(13)), Some("f.jsonl")),
        "when it is there again"
    );
    end(&mut app, SpoolEnd::Whole);
    assert_eq!(app.channels[&id].recordings.spool, Spool::Done("f.jsonl".to_owned()));
    act(&mut app, Action::Record, 14);
    assert!(
        app.notice
            .as_ref()
            .is_some_and(|notice| notice.text.contains("f.jsonl"))
    );
}

#[test]
fn what_the_server_is_about_to_forget_is_offered_once_and_recorded_by_one_key() {
    let mut app = app(Settings::default());
    let info = serde_json::from_value(json!({
        "version": "1", "model": "m", "demo": false, "retention": {"seconds": 2_000_000, "events": 10}
    }))
    .expect("info");
    update(&mut app, Msg::Server(Ok(Box::new(info))), now(0));
    let id = watched(&mut app, "x");
    let expires = super::expires_at(&app, &app.channels[&id]).expect("known");
    let at = |before: u64| expires - before - now(0).unix_ms;
    app.notice = None;
    update(&mut app, Msg::Tick, now(at(11 * 60_000)));
    assert_eq!(app.notice, None);
    update(&mut app, Msg::Tick, now(at(9 * 60_000)));
    assert!(
        app.notice
            .take()
            .is_some_and(|notice| notice.text.contains("in 9 min; Alt-S"))
    );
    update(&mut app, Msg::Tick, now(at(8 * 60_000)));
    assert_eq!(app.notice, None, "once");
    let effects = act(&mut app, Action::Rescue, at(8 * 60_000));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Recordings(Do::Spool { .. })))
    );
    let effects = act(&mut app, Action::Rescue, at(8 * 60_000));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Recordings(_))));
}

#[test]
fn the_memory_of_all_is_bounded_and_what_was_put_away_comes_back() {
    let mut settings = Settings::default();
    settings.recordings.memory = 1024 * 1024;
    let mut app = app(settings);
    let mut disk: std::collections::HashMap<ChannelId, Arc<Transcript>> = std::collections::HashMap::new();
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(watched(&mut app, &"x".repeat(100_000)));
        let mut effects = Vec::new();
        super::memory::bound(&mut app, &mut effects);
        for effect in effects {
            if let Effect::Recordings(Do::PutAway {
                channel, transcript, ..
            }) = effect
            {
                disk.insert(channel, transcript.0);
            }
        }
        let total: usize = app.channels.values().map(|channel| channel.transcript.bytes()).sum();
        assert!(total <= 1024 * 1024, "{total}");
    }
    assert!(disk.len() > 15 && disk.len() < 30, "{}", disk.len());
    let first = &ids[0];
    assert_eq!(
        app.channels[first].recordings.whole.away,
        Away::Gone,
        "the oldest goes first"
    );
    assert!(matches!(app.channels[first].transcript.status(), Status::Done { .. }));
    let index = app.channels.get_index_of(first).expect("listed");
    let effects = update(&mut app, Msg::SelectIndex(index), now(50));
    let generation = app.channels[first].generation;
    let rows = super::rows_of(&app.channels[first]);
    let number = effects.iter().find_map(|effect| match effect {
        Effect::Recordings(Do::Fetch { channel, number }) if channel == first => Some(*number),
        _ => None,
    });
    let number = number.expect("it is fetched");
    let whole = Arc::try_unwrap(disk.remove(first).expect("put away")).expect("the only one");
    let fetched = Recorded::Fetched {
        channel: first.clone(),
        number,
        result: Ok(Box::new(whole)),
    };
    update(&mut app, Msg::Recordings(fetched), now(51));
    assert!(app.channels[first].transcript.plain_answer().len() > 100_000);
    assert_ne!(
        super::rows_of(&app.channels[first]),
        rows,
        "rows of the remainder are not taken for it"
    );
    assert_eq!(app.channels[first].generation, generation, "its feed is the same one");
}

#[test]
fn a_disk_that_takes_nothing_is_told_once_and_loses_nothing() {
    let mut app = app(Settings::default());
    let id = watched(&mut app, "kept");
    app.settings.recordings.memory = 4_096;
    let whole = std::mem::take(&mut app.channels[&id].transcript);
    app.channels[&id].recordings.whole.away = Away::Gone;
    let failed = Recorded::PutAway {
        channel: id.clone(),
        number: 0,
        result: Err((Box::new(whole), "no space left".to_owned())),
    };
    update(&mut app, Msg::Recordings(failed), now(5));
    assert!(app.channels[&id].transcript.plain_answer().contains("kept"));
    assert!(
        app.notice
            .as_ref()
            .is_some_and(|notice| notice.text.contains("no space left"))
    );
}

#[test]
fn what_comes_while_a_transcript_is_away_is_in_it_when_it_is_back() {
    let mut app = app(Settings::default());
    let first = watched(&mut app, &"x".repeat(20_000));
    watched(&mut app, "another one is in view");
    app.settings.recordings.memory = 4_096;
    let mut effects = Vec::new();
    super::memory::bound(&mut app, &mut effects);
    let away = effects.into_iter().find_map(|effect| match effect {
        Effect::Recordings(Do::PutAway {
            channel,
            number,
            transcript,
        }) if channel == first => Some((number, transcript.0)),
        _ => None,
    });
    let (number, whole) = away.expect("it is put away");
    let more = FeedBatch {
        items: vec![Item::BadLine {
            reason: "a late word".to_owned(),
        }],
        connection: None,
    };
    let generation = app.channels[&first].generation;
    let feed = Msg::Feed {
        channel: first.clone(),
        generation,
        batch: more,
    };
    let effects = update(&mut app, feed, now(3));
    let fetch = Do::Fetch {
        channel: first.clone(),
        number,
    };
    assert!(effects.contains(&Effect::Recordings(fetch)), "it is wanted back");
    let text = serde_json::to_vec(&*whole).expect("written");
    let read: Transcript = serde_json::from_slice(&text).expect("read");
    assert_eq!(read.raw().len(), whole.raw().len(), "raw events come back too");
    let fetched = Recorded::Fetched {
        channel: first.clone(),
        number,
        result: Ok(Box::new(read)),
    };
    update(&mut app, Msg::Recordings(fetched), now(4));
    let transcript = &app.channels[&first].transcript;
    assert!(transcript.plain_answer().len() > 20_000);
    let last = transcript.blocks().next_back().expect("a block");
    assert!(matches!(&last.kind, crate::transcript::BlockKind::Note { text } if text.contains("a late word")));
}
