//! What is told, when, and what never is.

use serde_json::{Value, json};

use super::*;
use crate::app::{Msg, Now, SavedState, Settings as AppSettings, update};
use crate::wire::Event;

const START: u64 = 1_700_000_000_000;

struct Play {
    app: App,
    now: Now,
    told: Vec<(Way, String)>,
}

impl Play {
    fn new() -> Self {
        let now = Now {
            unix_ms: START,
            monotonic_ms: 0,
        };
        let settings = AppSettings::default();
        let mut play = Self {
            app: App::new("local".to_owned(), settings, SavedState::default(), (80, 24), now),
            now,
            told: Vec::new(),
        };
        let ids = (1..100).map(|n| ChannelId::from_random([n; 18])).collect();
        play.send(Msg::FreshIds(ids));
        play.send(Msg::TerminalFocus(false));
        play
    }

    fn send(&mut self, msg: Msg) {
        for effect in update(&mut self.app, msg, self.now) {
            if let Effect::Notifications(Do::Tell { way, text }) = effect {
                self.told.push((way, text));
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.unix_ms += ms;
        self.now.monotonic_ms += ms;
        self.send(Msg::Tick);
    }

    fn run(&mut self, prompt: &str) -> ChannelId {
        self.send(Msg::Submit(prompt.to_owned()));
        self.app.selected.clone().expect("the new run is selected")
    }

    fn feed(&mut self, id: &ChannelId, at: Option<u64>, events: &[Value], connection: Option<Connection>) {
        let generation = self.app.channels[id].generation;
        let items = events.iter().map(|event| Item::Event {
            id: None,
            at,
            event: Event::from_json(&event.to_string()).expect("an event"),
            raw: event.to_string().into_bytes().into(),
        });
        let batch = FeedBatch {
            items: items.collect(),
            connection,
        };
        self.send(Msg::Feed {
            channel: id.clone(),
            generation,
            batch,
        });
    }

    fn end(&mut self, id: &ChannelId) {
        let at = Some(self.now.unix_ms);
        self.feed(id, at, &[begin(), end()], Some(Connection::Live));
    }
}

fn begin() -> Value {
    json!({"type": "completeBegin", "data": {"instance": "i", "iteration": 1}})
}

fn end() -> Value {
    json!({"type": "result", "data": {"text": "", "usage": {"token": 1}, "end": {"reason": "stop"}}})
}

fn wait() -> Value {
    json!({"type": "waitForChannelMessageBegin", "data": {"channel": "wait-8f3c0123456789abcdef",
        "function": {"name": "approve_deploy", "args": {}}, "expiresAt": START + 900_000}})
}

#[test]
fn an_end_a_failure_and_a_wait_are_told_when_nobody_looks() {
    let mut play = Play::new();
    let one = play.run("deploy \u{1b}[31mcheck");
    play.feed(&one, Some(START), &[begin(), wait()], Some(Connection::Live));
    assert!(play.told.is_empty(), "gathered first");
    play.pass(GATHER_MS);
    let text = "deploy ^[[31mcheck: waits for an answer".to_owned();
    assert_eq!(play.told, [(Way::Auto, text)]);
    // The same again is no news.
    let now = Some(play.now.unix_ms);
    play.feed(&one, now, &[wait()], None);
    play.pass(60_000);
    assert_eq!(play.told.len(), 1);
    let two = play.run("index rebuild");
    let now = Some(play.now.unix_ms);
    let failure = json!({"type": "error", "data": {"message": "no", "code": "X"}});
    play.feed(&two, now, &[begin(), failure], Some(Connection::Live));
    play.pass(GATHER_MS);
    assert_eq!(play.told[1].1, "index rebuild: failed");
    assert_eq!(next_due(&play.app), None, "nothing wakes up any more");
}

#[test]
fn a_burst_is_one_notification_and_the_next_has_to_wait() {
    let mut play = Play::new();
    let runs: Vec<ChannelId> = (0..51).map(|n| play.run(&format!("run {n}"))).collect();
    for id in &runs[..50] {
        play.end(id);
        play.pass(5);
    }
    play.pass(1_000);
    assert_eq!(play.told, [(Way::Auto, "50 runs finished".to_owned())]);
    play.end(&runs[50]);
    play.pass(GATHER_MS);
    assert_eq!(play.told.len(), 1, "too soon");
    play.pass(DISTANCE_MS);
    assert_eq!(play.told[1].1, "run 50: finished");
}

#[test]
fn nothing_is_told_to_who_looks_and_nothing_that_is_replayed() {
    let mut play = Play::new();
    play.send(Msg::TerminalFocus(true));
    let one = play.run("one");
    play.end(&one);
    play.pass(30_000);
    assert!(play.told.is_empty());
    // Coming back in time is enough.
    play.send(Msg::TerminalFocus(false));
    let two = play.run("two");
    play.end(&two);
    play.send(Msg::TerminalFocus(true));
    play.pass(30_000);
    assert!(play.told.is_empty());
    // What ended before this program watched it.
    play.send(Msg::TerminalFocus(false));
    let old = play.run("old");
    play.feed(&old, Some(START - 1), &[begin(), end()], Some(Connection::Live));
    // And what a server without times sends at once.
    let untimed = play.run("untimed");
    play.feed(&untimed, None, &[begin()], Some(Connection::Live));
    play.feed(&untimed, None, &[end()], None);
    play.pass(30_000);
    assert!(play.told.is_empty(), "{:?}", play.told);
    let live = play.run("live");
    play.feed(&live, None, &[begin()], Some(Connection::Live));
    play.pass(REPLAY_MS);
    play.feed(&live, None, &[end()], None);
    play.pass(GATHER_MS);
    assert_eq!(play.told, [(Way::Auto, "live: finished".to_owned())]);
}

#[test]
fn without_reports_of_the_focus_a_minute_without_a_key_counts_as_away() {
    let mut play = Play::new();
    play.app.notifications.focus_is_known = false;
    play.app.terminal_focused = true;
    let (one, two) = (play.run("one"), play.run("two"));
    play.pass(PRESENT_MS - 1);
    play.end(&one);
    play.pass(5_000);
    assert!(play.told.is_empty());
    play.end(&two);
    play.pass(GATHER_MS);
    assert_eq!(play.told.len(), 1);
}

#[test]
fn each_kind_has_its_own_way() {
    let mut play = Play::new();
    play.app.settings.notifications = Settings {
        finished: Way::Off,
        failed: Way::Bell,
        waiting: Way::Osc9,
    };
    let runs: Vec<ChannelId> = (0..4).map(|n| play.run(&format!("run {n}"))).collect();
    play.end(&runs[0]);
    let now = Some(play.now.unix_ms);
    for id in &runs[1..3] {
        let failure = json!({"type": "error", "data": {"message": "no", "code": "X"}});
        play.feed(id, now, &[begin(), failure], Some(Connection::Live));
    }
    play.feed(&runs[3], now, &[begin(), wait()], Some(Connection::Live));
    play.pass(GATHER_MS);
    assert_eq!(
        play.told,
        [
            (Way::Osc9, "run 3: waits for an answer".to_owned()),
            (Way::Bell, "2 runs failed".to_owned())
        ]
    );
}

#[test]
fn an_id_is_never_told() {
    let mut play = Play::new();
    let id = ChannelId::from_random([200; 18]);
    play.send(Msg::Action(Action::Watch));
    play.send(Msg::DialogueSubmit(id.to_string()));
    let now = Some(play.now.unix_ms);
    play.feed(&id, now, &[begin(), end()], Some(Connection::Live));
    play.pass(GATHER_MS);
    assert_eq!(play.told, [(Way::Auto, "A run: finished".to_owned())]);
}
