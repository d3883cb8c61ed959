//! Lobby and kiosk: rules as scripts of messages.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{kiosk, lobby};
use crate::app::{App, Effect, Msg, Now, SavedState, Settings, update};
use crate::transcript::{Connection, FeedBatch, Item};
use crate::wire::lobby::LobbyMessage;
use crate::wire::request::ServerInfo;
use crate::wire::{ChannelId, Event};

const LOBBY: &str = "lobby-0123456789abcdef";

struct Script {
    app: App,
    now: Now,
    effects: Vec<Effect>,
}

fn id(n: u8) -> ChannelId {
    ChannelId::from_random([n; 18])
}

fn lobby_settings() -> lobby::Settings {
    lobby::Settings {
        channel: ChannelId::parse(LOBBY).expect("an id"),
        announce: true,
        follow: true,
        titles: true,
        name: "laptop-1".into(),
    }
}

fn kiosk_settings() -> kiosk::Settings {
    kiosk::Settings {
        tiles: None,
        rotate_ms: 15_000,
        only: Vec::new(),
        linger_ms: 600_000,
        linger_failed_ms: 3_600_000,
        most: 20,
        refresh_ms: 30_000,
    }
}

fn announcement(channel: &ChannelId, title: &str, from: &str) -> Value {
    json!({"switchboard": 1, "type": "run", "channelId": channel, "title": title, "from": from, "instance": from})
}

fn result(reason: &str) -> Value {
    json!({"type": "result", "data": {"text": "", "usage": {"token": 0}, "end": {"reason": reason}}})
}

impl Script {
    fn new(lobby: Option<lobby::Settings>, kiosk: Option<kiosk::Settings>) -> Self {
        Self::with(lobby, kiosk, SavedState::default())
    }

    fn with(lobby: Option<lobby::Settings>, kiosk: Option<kiosk::Settings>, saved: SavedState) -> Self {
        let settings = Settings {
            wall: super::Settings { kiosk, lobby, seed: 7 },
            ..Settings::default()
        };
        let now = Now {
            unix_ms: 1_700_000_000_000,
            monotonic_ms: 1_000,
        };
        let app = App::new("local".into(), settings, saved, (80, 24), now);
        let mut script = Self {
            app,
            now,
            effects: Vec::new(),
        };
        script.send(Msg::Start);
        script.send(Msg::FreshIds((1..=9).map(id).collect()));
        let info: ServerInfo = serde_json::from_value(json!({
            "version": "1", "model": "m", "demo": false, "retention": {"seconds": 3600, "events": 100}
        }))
        .expect("server info");
        script.send(Msg::Server(Ok(Box::new(info))));
        script
    }

    fn send(&mut self, msg: Msg) {
        self.effects.extend(update(&mut self.app, msg, self.now));
    }

    /// Time passes as the loop lets it: tick by tick.
    fn pass(&mut self, ms: u64) {
        let end = self.now.monotonic_ms + ms;
        while let Some(next) = self.app.next_tick().filter(|next| *next <= end) {
            let step = next - self.now.monotonic_ms;
            self.now.monotonic_ms += step;
            self.now.unix_ms += step;
            self.send(Msg::Tick);
        }
        self.now.unix_ms += end - self.now.monotonic_ms;
        self.now.monotonic_ms = end;
    }

    fn lobby_batch(&mut self, items: Vec<Item>, connection: Option<Connection>) {
        let watched = self.app.settings.wall.lobby.as_ref().map(|lobby| lobby.channel.clone());
        let generation = self.app.wall.lobby.generation.expect("the lobby is watched");
        self.send(Msg::Feed {
            channel: watched.expect("there is one"),
            generation,
            batch: FeedBatch { items, connection },
        });
    }

    fn say(&mut self, message: &Value) {
        let text = message.to_string();
        let raw = format!("{{\"type\":\"message\",\"data\":{text}}}");
        self.lobby_batch(
            vec![Item::Published {
                message: Bytes::from(text),
                raw: Bytes::from(raw),
            }],
            None,
        );
    }

    fn say_as_event(&mut self, message: &Value) {
        let text = message.to_string();
        let item = Item::Event {
            id: None,
            at: None,
            event: Event::from_json(&text).expect("it has a type"),
            raw: Bytes::from(format!("{{\"type\":\"message\",\"data\":{text}}}")),
        };
        self.lobby_batch(vec![item], None);
    }

    fn live(&mut self) {
        self.lobby_batch(Vec::new(), Some(Connection::Live));
    }

    fn dispatch(&mut self, prompt: &str) -> ChannelId {
        self.send(Msg::Submit(prompt.into()));
        let dispatch = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Dispatch { request, channel, .. } => Some((*request, channel.clone())),
            _ => None,
        });
        let (request, channel) = dispatch.expect("it was dispatched");
        self.send(Msg::Dispatched {
            request,
            channel: channel.clone(),
            result: Ok(channel.clone()),
        });
        channel
    }

    fn run(&mut self, channel: &ChannelId, events: &[Value]) {
        let generation = self.app.channels[channel].generation;
        let items = events.iter().map(|event| Item::Event {
            id: None,
            at: Some(self.now.unix_ms),
            event: Event::from_json(&event.to_string()).expect("an event"),
            raw: Bytes::new(),
        });
        let batch = FeedBatch {
            items: items.collect(),
            connection: Some(Connection::Live),
        };
        self.send(Msg::Feed {
            channel: channel.clone(),
            generation,
            batch,
        });
    }

    /// What was published in the lobby since the last call.
    fn published(&mut self) -> Vec<LobbyMessage> {
        let effects = std::mem::take(&mut self.effects);
        let mut said = Vec::new();
        for effect in effects {
            if let Effect::Publish {
                request,
                channel,
                message,
            } = effect
            {
                assert_eq!(channel.as_str(), LOBBY);
                said.push(LobbyMessage::read(message.to_string().as_bytes()).expect("it can be read"));
                self.send(Msg::Published {
                    request,
                    result: Ok(()),
                });
            }
        }
        said
    }

    fn watched(&self) -> Vec<ChannelId> {
        self.app.channels.keys().cloned().collect()
    }

    fn notice(&self) -> &str {
        self.app.notice.as_ref().map_or("", |notice| &notice.text)
    }
}

fn asks(said: &[LobbyMessage]) -> usize {
    said.iter()
        .filter(|message| matches!(message, LobbyMessage::Ask { .. }))
        .count()
}

fn runs(said: &[LobbyMessage]) -> Vec<(ChannelId, Option<String>)> {
    let runs = said.iter().filter_map(|message| match message {
        LobbyMessage::Run(run) => Some((run.channel.clone(), run.title.clone())),
        LobbyMessage::Ask { .. } => None,
    });
    runs.collect()
}

#[test]
fn a_newcomer_asks_and_asks_once_more_where_nobody_answers() {
    let mut script = Script::new(Some(lobby_settings()), None);
    script.pass(10_000);
    assert!(script.published().is_empty(), "not before the lobby is connected");
    script.live();
    script.pass(400);
    assert_eq!(asks(&script.published()), 1);
    script.pass(60_000);
    assert_eq!(asks(&script.published()), 1);
    script.pass(600_000);
    assert_eq!(asks(&script.published()), 0);
    // Connected again, something may have been missed; this time somebody is there.
    script.live();
    script.pass(400);
    script.say(&announcement(&id(100), "one", "laptop-2"));
    assert_eq!(asks(&script.published()), 1);
    script.pass(60_000);
    assert_eq!(asks(&script.published()), 0);
}

#[test]
fn the_person_is_told_once_that_this_is_a_lobby() {
    let mut script = Script::new(Some(lobby_settings()), None);
    script.live();
    assert_eq!(
        script.notice(),
        "In the lobby as laptop-1: your runs are announced, those of others are added"
    );
    script.app.notice = None;
    script.live();
    assert_eq!(script.notice(), "");
}

#[test]
fn a_dispatch_is_announced_and_announced_again_when_somebody_asks() {
    let mut script = Script::new(Some(lobby_settings()), None);
    script.live();
    script.pass(10_000);
    script.published();
    let run = script.dispatch("deploy check\nof the second line");
    script.pass(50);
    assert_eq!(runs(&script.published()), [(run.clone(), Some("deploy check".into()))]);
    let question = |by: &str| json!({"switchboard": 1, "type": "ask", "instance": by, "at": 3});
    script.pass(10_000);
    script.say(&question("other"));
    script.pass(1_600);
    assert_eq!(runs(&script.published()).len(), 1);
    // Many ask at once: one answer, and the next one after a pause.
    for _ in 0..50 {
        script.say(&question("other"));
    }
    script.pass(3_000);
    assert_eq!(runs(&script.published()).len(), 0);
    script.pass(4_000);
    assert_eq!(runs(&script.published()).len(), 1);
    // Its own question is none.
    let own = script.app.wall.lobby.instance.clone();
    script.pass(10_000);
    script.say(&question(&own));
    script.pass(10_000);
    assert!(script.published().is_empty());
    // What is over is not announced again.
    script.run(&run, &[result("stop")]);
    script.say(&question("other"));
    script.pass(10_000);
    assert!(script.published().is_empty());
}

#[test]
fn what_is_announced_holds_no_title_where_that_is_set() {
    let mut settings = lobby_settings();
    settings.titles = false;
    let mut script = Script::new(Some(settings), None);
    script.live();
    script.pass(10_000);
    script.published();
    let run = script.dispatch("secret plans");
    script.pass(50);
    assert_eq!(runs(&script.published()), [(run, None)]);
}

#[test]
fn announced_runs_are_watched_and_the_person_is_told_once() {
    let mut script = Script::new(Some(lobby_settings()), None);
    script.live();
    let own = script.dispatch("mine");
    let selected = script.app.selected.clone();
    script.say(&announcement(&id(100), "deploy\u{1b}[31m check", "laptop-2"));
    script.say(&announcement(&id(101), "triage", "laptop-2"));
    script.say(&announcement(&id(101), "triage", "laptop-2"));
    script.say(&announcement(&id(102), "", "ci"));
    // The own one, as the server hands it back, and the lobby itself.
    script.say(&announcement(&own, "mine", "laptop-3"));
    script.say(&announcement(&ChannelId::parse(LOBBY).expect("an id"), "x", "laptop-3"));
    assert_eq!(script.watched(), [id(102), id(101), id(100), own]);
    assert_eq!(script.app.selected, selected, "the mark stays");
    assert_eq!(script.app.channels[&id(100)].title, "deploy^[[31m check");
    script.pass(1_000);
    assert_eq!(script.notice(), "Added 2 runs from laptop-2, 1 run from ci");
    // What the person took off does not come back.
    script.send(Msg::SelectIndex(0));
    script.send(Msg::Action(crate::app::Action::StopWatching));
    script.say(&announcement(&id(102), "", "ci"));
    assert_eq!(script.watched().len(), 3);
    // Nor after another start, and on a server without positions, where a message looks like an event.
    let mut next = Script::with(Some(lobby_settings()), None, script.app.saved_state());
    next.live();
    next.say_as_event(&announcement(&id(102), "", "ci"));
    assert_eq!(next.watched().len(), 3);
    next.say_as_event(&announcement(&id(103), "fresh", "laptop-1"));
    assert_eq!(next.watched().len(), 4);
    next.pass(1_000);
    assert_eq!(next.notice(), "Added 1 run from another terminal here");
    // The next start knows which runs are driven here.
    let saved = script.app.saved_state();
    let driven: Vec<bool> = saved.channels.iter().map(|channel| channel.wall.driven).collect();
    assert_eq!(driven, [false, false, true]);
}

#[test]
fn a_flood_of_announcements_adds_a_bounded_number() {
    let mut script = Script::new(Some(lobby_settings()), None);
    script.live();
    for n in 0..200_u32 {
        let channel = ChannelId::parse(&format!("flood-0123456789-{n}")).expect("an id");
        script.say(&announcement(&channel, "x", "flooder"));
    }
    assert_eq!(script.watched().len(), 50);
    script.pass(1_000);
    assert_eq!(
        script.notice(),
        "Added 50 runs from flooder; 150 runs announced in the lobby, too many to add"
    );
    script.pass(10_000);
    for n in 200..300_u32 {
        let channel = ChannelId::parse(&format!("flood-0123456789-{n}")).expect("an id");
        script.say(&announcement(&channel, "x", "flooder"));
    }
    assert!(
        (59..=62).contains(&script.watched().len()),
        "{}",
        script.watched().len()
    );
}

#[test]
fn a_lobby_that_cannot_be_watched_is_told_once_and_tried_again() {
    let mut script = Script::new(Some(lobby_settings()), None);
    let failed = || Connection::Failed {
        reason: "the server refuses the channel".into(),
    };
    script.lobby_batch(Vec::new(), Some(failed()));
    assert!(script.notice().contains("refuses the channel") && !script.notice().contains(LOBBY));
    script.app.notice = None;
    script.effects.clear();
    script.pass(61_000);
    let watches = script
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Watch { .. }));
    assert_eq!(watches.count(), 1);
    script.lobby_batch(Vec::new(), Some(failed()));
    assert_eq!(script.notice(), "", "told once");
}

#[test]
fn settings_that_are_read_again_move_to_the_other_lobby() {
    let mut script = Script::new(Some(lobby_settings()), None);
    script.effects.clear();
    let other = ChannelId::parse("another-lobby-0123456").expect("an id");
    let mut settings = Settings::default();
    settings.wall.lobby = Some(lobby::Settings {
        channel: other.clone(),
        ..lobby_settings()
    });
    settings.wall.kiosk = Some(kiosk_settings());
    script.send(Msg::Wall(super::Msg::Settings(Box::new(settings))));
    let [Effect::Unwatch { channel: left }, Effect::Watch { channel, .. }] = script.effects.as_slice() else {
        panic!("{:?}", script.effects)
    };
    assert_eq!((left.as_str(), channel), (LOBBY, &other));
    assert!(
        !script.app.is_kiosk(),
        "what kind of program it is was said at its start"
    );
    script.send(Msg::Wall(super::Msg::BadSettings(
        "config.toml:3:1: unknown key".into(),
    )));
    assert!(script.notice().contains("config.toml:3:1"), "{}", script.notice());
}

#[test]
fn a_kiosk_is_read_only() {
    let mut script = Script::new(None, Some(kiosk_settings()));
    script.effects.clear();
    for msg in [
        Msg::Submit("a prompt".into()),
        Msg::DraftChanged("typed".into()),
        Msg::Action(crate::app::Action::Watch),
        Msg::Action(crate::app::Action::Quit),
        Msg::DialogueSubmit(id(50).to_string()),
    ] {
        script.send(msg);
    }
    assert!(script.effects.is_empty() && script.app.overlay.is_none() && script.app.draft.is_empty());
    script.send(Msg::Action(crate::app::Action::Interrupt));
    assert!(script.effects.is_empty());
    script.send(Msg::Action(crate::app::Action::Interrupt));
    assert!(script.effects.contains(&Effect::Quit));
}

fn summary(n: u8, status: &str, ended_at: Option<u64>) -> Value {
    json!({"channelId": id(n), "title": format!("run {n}"), "status": status, "model": "m",
        "createdAt": 1_700_000_000_000_u64, "endedAt": ended_at})
}

fn list(script: &mut Script, runs: &[Value]) {
    let request = script.effects.iter().rev().find_map(|effect| match effect {
        Effect::ListRuns { request } => Some(*request),
        _ => None,
    });
    script.send(Msg::Runs {
        request: request.expect("the list is asked for"),
        runs: Some(serde_json::from_value(Value::from(runs.to_vec())).expect("runs")),
    });
}

#[test]
fn a_kiosk_finds_what_goes_on_and_forgets_what_is_over() {
    let mut script = Script::new(None, Some(kiosk_settings()));
    script.pass(10);
    let now = script.now.unix_ms;
    let old = now - 700_000;
    list(
        &mut script,
        &[
            summary(30, "running", None),
            summary(31, "ended", Some(now - 1_000)),
            summary(32, "ended", Some(old)),
            summary(33, "failed", Some(old)),
        ],
    );
    assert_eq!(script.watched(), [id(30), id(31), id(33)]);
    script.run(&id(31), &[result("stop")]);
    script.run(&id(30), &[json!({"type": "completeBegin", "data": {}})]);
    script.pass(590_000);
    assert!(script.watched().contains(&id(31)));
    list(&mut script, &[]);
    script.effects.clear();
    script.pass(31_000);
    assert!(!script.watched().contains(&id(31)), "it lingered and left");
    assert!(script.effects.contains(&Effect::Unwatch { channel: id(31) }));
    assert!(script.watched().contains(&id(30)), "what goes on stays");
    assert!(
        script
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::ListRuns { .. })),
        "asked again"
    );
}

#[test]
fn a_kiosk_runs_for_weeks_without_growing() {
    let mut script = Script::new(Some(lobby_settings()), Some(kiosk_settings()));
    script.live();
    for n in 0..3_000_u32 {
        let channel = ChannelId::parse(&format!("weeks-0123456789-{n}")).expect("an id");
        script.say(&announcement(&channel, &format!("run {n}"), "ci"));
        assert!(script.app.channels.contains_key(&channel), "there is room for {n}");
        script.run(&channel, &[json!({"type": "completeBegin", "data": {}})]);
        script.pass(5_000);
        script.run(&channel, &[result(if n % 7 == 0 { "error" } else { "stop" })]);
        script.effects.clear();
        assert!(script.app.channels.len() <= 20);
    }
    assert!(script.app.wall.lobby.known.len() <= 2_048);
    script.pass(2 * 3_600_000);
    assert!(script.app.channels.is_empty());
}

#[test]
fn what_needs_somebody_is_in_view_first_and_stays_while_the_others_take_turns() {
    let mut settings = kiosk_settings();
    settings.tiles = Some((2, 2));
    let mut script = Script::new(Some(lobby_settings()), Some(settings.clone()));
    script.live();
    for n in 40..48 {
        script.say(&announcement(&id(n), &format!("run {n}"), "ci"));
        script.run(&id(n), &[json!({"type": "completeBegin", "data": {}})]);
    }
    let wait = json!({"type": "waitForChannelMessageBegin", "data": {"channel": "wait-0123456789abcdef",
        "function": {"name": "approve", "args": {}}}});
    script.run(&id(44), &[wait]);
    script.run(&id(40), &[json!({"type": "error", "data": {"message": "no"}})]);
    let tiles = |script: &Script| -> Vec<ChannelId> {
        kiosk::view(&script.app, &settings).tiles.into_iter().cloned().collect()
    };
    let mut seen = Vec::new();
    for _ in 0..3 {
        let now = tiles(&script);
        assert_eq!(
            &now[..2],
            [id(44), id(40)],
            "what needs somebody stays, what waits before what failed"
        );
        seen.extend_from_slice(&now[2..]);
        script.pass(15_500);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "all others had their turn");
    assert_eq!(kiosk::view(&script.app, &settings).page, (0, 3));
    // More need somebody than there are tiles: they take turns, and their number is said.
    for n in [41, 42, 43, 45, 46, 47] {
        script.run(&id(n), &[json!({"type": "error", "data": {"message": "no"}})]);
    }
    let view = kiosk::view(&script.app, &settings);
    assert_eq!((view.tiles.len(), view.hidden_needy), (4, 4));
    assert_eq!(view.tiles[0], &id(44).clone());
}

proptest! {
    /// Whatever is said in a lobby: nothing is dispatched, answered, cancelled or taken off by it.
    #[test]
    fn announcements_are_data(kind in "run|ask|gone|cancel|result|error|token", channel in "[a-zA-Z0-9 ]{0,30}", text in any::<String>(), version in any::<i64>()) {
        let mut script = Script::new(Some(lobby_settings()), None);
        script.live();
        script.pass(20_000);
        let mine = script.dispatch("mine");
        script.pass(20_000);
        script.effects.clear();
        let before = script.app.selected.clone();
        script.say(&json!({"switchboard": version, "type": kind, "channelId": channel, "title": text, "from": text,
            "data": {"token": text, "message": text, "channelId": mine}}));
        script.say(&json!({"switchboard": 1, "type": kind, "channelId": channel, "title": text, "startedAt": text}));
        script.say(&json!(text));
        let harmless = script.effects.iter().all(|effect| matches!(effect, Effect::Watch { .. } | Effect::Save(_)));
        prop_assert!(harmless);
        prop_assert_eq!(&script.app.selected, &before);
        prop_assert!(script.app.channels.contains_key(&mine) && script.app.channels.len() <= 2);
    }
}
