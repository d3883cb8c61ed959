//! What a person sees, as snapshots; what keys do, through the action table; what stays where it is.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::{Ui, UiOptions, keys};
use crate::app::action::{Action, Place, actions};
use crate::app::picker::{Entry, Picker, Purpose};
use crate::app::state::{Ask, AskFor, Focus, Overlay, Question, SavedChannel};
use crate::app::{self, App, Effect, Msg, Now, Outage, RequestId, SavedState, Scroll, Settings};
use crate::transcript::{Connection, FeedBatch, Item};
use crate::wire::request::ServerInfo;
use crate::wire::{ChannelId, Event as RunEvent};

const START: Now = Now {
    unix_ms: 1_700_056_920_000,
    monotonic_ms: 1_000,
};

fn info() -> Msg {
    let info: ServerInfo = serde_json::from_value(json!({
        "version": "0.1.0", "model": "qwen2.5:1.5b", "demo": false, "retention": {"seconds": 3600, "events": 10000}
    }))
    .expect("server info");
    Msg::Server(Ok(Box::new(info)))
}

/// A program with a screen, played by messages and keys.
struct Play {
    app: App,
    ui: Ui,
    now: Now,
    effects: Vec<Effect>,
    next_id: u8,
}

impl Play {
    fn new(size: (u16, u16)) -> Self {
        let mut play = Self {
            app: App::new(
                "local".to_owned(),
                Settings::default(),
                SavedState::default(),
                size,
                START,
            ),
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

    fn ids(&mut self) {
        let ids = (0..8)
            .map(|_| {
                self.next_id += 1;
                ChannelId::from_random([self.next_id; 18])
            })
            .collect();
        self.send(Msg::FreshIds(ids));
    }

    fn send(&mut self, msg: Msg) {
        self.effects = app::update(&mut self.app, msg, self.now);
    }

    fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        for msg in self.ui.handle(&self.app, event) {
            effects.extend(app::update(&mut self.app, msg, self.now));
        }
        self.effects = effects;
    }

    fn key(&mut self, code: KeyCode) {
        self.event(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    fn keys(&mut self, text: &str) {
        for c in text.chars() {
            self.key(KeyCode::Char(c));
        }
    }

    fn ctrl(&mut self, c: char) {
        self.event(Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)));
    }

    fn pass(&mut self, ms: u64) {
        self.now.unix_ms += ms;
        self.now.monotonic_ms += ms;
        self.send(Msg::Tick);
    }

    /// Dispatches a prompt and gives its channel.
    fn dispatch(&mut self, prompt: &str) -> ChannelId {
        self.send(Msg::Submit(prompt.to_owned()));
        self.app.selected.clone().expect("the new run is selected")
    }

    fn feed(&mut self, id: &ChannelId, events: &[serde_json::Value], connection: Option<Connection>) {
        let generation = self.app.channels[id].generation;
        let items = events
            .iter()
            .map(|event| {
                let text = event.to_string();
                Item::Event {
                    id: None,
                    at: Some(self.now.unix_ms),
                    event: RunEvent::from_json(&text).expect("an event"),
                    raw: text.into_bytes().into(),
                }
            })
            .collect();
        self.send(Msg::Feed {
            channel: id.clone(),
            generation,
            batch: FeedBatch { items, connection },
        });
    }

    fn draw(&mut self) -> Terminal<TestBackend> {
        let (width, height) = self.app.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| self.ui.draw(&self.app, frame)).expect("a frame");
        terminal
    }

    fn screen(&mut self) -> String {
        self.draw().backend().to_string()
    }

    /// The text of the top row of the transcript pane.
    fn row(&mut self, y: u16) -> String {
        let terminal = self.draw();
        let buffer = terminal.backend().buffer();
        let left = if self.app.size.0 >= 100 { 41 } else { 0 };
        (left..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect()
    }
}

fn user(text: &str) -> serde_json::Value {
    json!({"type": "message", "data": {"type": "user", "text": text}})
}

fn token(text: &str) -> serde_json::Value {
    json!({"type": "token", "data": {"token": text}})
}

fn reasoning(text: &str) -> serde_json::Value {
    json!({"type": "reasoningToken", "data": {"token": text}})
}

fn begin() -> serde_json::Value {
    json!({"type": "completeBegin", "data": {"instance": "i", "iteration": 1}})
}

fn result() -> serde_json::Value {
    json!({"type": "result", "data": {"text": "", "usage": {"token": 1516}, "end": {"reason": "stop"}}})
}

fn wait(channel: &str, expires_at: u64) -> serde_json::Value {
    json!({"type": "waitForChannelMessageBegin", "data": {"channel": channel,
        "function": {"name": "approve_deploy", "args": {"env": "prod", "version": "1.8.2"}}, "expiresAt": expires_at}})
}

/// Seven channels in every state; the streaming one is selected.
fn several(size: (u16, u16)) -> Play {
    let mut play = Play::new(size);
    let failed = play.dispatch("index rebuild");
    play.feed(
        &failed,
        &[
            user("index rebuild"),
            begin(),
            json!({"type": "error", "data": {"message": "upstream answered 429", "code": "TOO_MANY_REQUESTS"}}),
        ],
        Some(Connection::Ended),
    );
    let done = play.dispatch("release notes");
    play.feed(
        &done,
        &[user("release notes"), begin(), token("Fixed "), token("things.")],
        Some(Connection::Live),
    );
    play.pass(362_000);
    play.feed(
        &done,
        &[
            json!({"type": "usage", "data": {"model": "qwen2.5:1.5b", "inputTokensUsed": 1204, "outputTokensUsed": 312}}),
            result(),
        ],
        Some(Connection::Ended),
    );
    let lost = play.dispatch("summarise incident 4411");
    let next_try_at = play.now.unix_ms + 45_000;
    play.feed(
        &lost,
        &[
            user("summarise incident 4411"),
            begin(),
            token("The first alert came at"),
        ],
        Some(Connection::Reconnecting {
            reason: "connection reset".to_owned(),
            next_try_at,
            attempt: 2,
        }),
    );
    let waiting = play.dispatch("deploy check");
    let expires = play.now.unix_ms + 900_000;
    play.feed(
        &waiting,
        &[
            user("deploy check"),
            begin(),
            wait("wait-8f3c0123456789abcdef", expires),
        ],
        Some(Connection::Live),
    );
    play.pass(18_000);
    let queued = play.dispatch("triage the new tickets");
    play.feed(&queued, &[user("triage the new tickets")], Some(Connection::Live));
    let live = play.dispatch("research: vector databases");
    play.feed(
        &live,
        &[
            user("research: vector databases\nCompare three of them for a catalogue of 10 M rows."),
            begin(),
            reasoning("The catalogue is large, "),
            reasoning("so recall matters."),
            json!({"type": "message", "data": {"type": "activity", "text": "", "meta": {"activity": {"type": "request",
                "id": "c1", "function": {"name": "search_docs", "arguments": {"query": "hnsw recall"}}}}}}),
        ],
        Some(Connection::Live),
    );
    play.pass(400);
    play.feed(
        &live,
        &[
            json!({"type": "message", "data": {"type": "activity", "text": "", "meta": {"activity": {"type": "response",
                "id": "c1", "function": {"name": "search_docs", "arguments": {"query": "hnsw recall"},
                "result": "3 results"}}}}}),
            begin(),
            token("## Short answer\n\n"),
            token("- **HNSW** keeps recall above 0.97\n- `ivf` needs less memory\n\nWhich one fits"),
        ],
        None,
    );
    play.pass(3_600);
    for _ in 0..60 {
        play.pass(25);
        play.feed(&live, &[token(" and")], None);
    }
    play
}

macro_rules! screens {
    ($name:literal, $make:expr) => {
        for size in [(80, 24), (120, 40), (200, 60)] {
            let make: fn((u16, u16)) -> Play = $make;
            let mut play = make(size);
            insta::assert_snapshot!(format!("{}_{}x{}", $name, size.0, size.1), play.screen());
        }
    };
}

mod calls;
mod compose;
mod copying;
mod every_key;
mod kiosk;
mod list;
mod manners;
mod panes;
mod playing;
mod reading;
mod recordings;
mod rules;
mod views;

#[test]
fn a_channel_that_is_watched_anew_shows_nothing_of_the_watch_before() {
    let mut play = Play::new((80, 24));
    let id = play.dispatch("one prompt");
    play.key(KeyCode::Esc);
    play.feed(&id, &[user("the first text")], None);
    assert!(play.screen().contains("the first text"));
    play.send(Msg::Action(Action::StopWatching));
    play.send(Msg::Action(Action::Watch));
    play.send(Msg::DialogueSubmit(id.to_string()));
    play.send(Msg::Action(Action::Open));
    // Its block has the name and the revision of the one before.
    play.feed(&id, &[user("a second text")], None);
    let screen = play.screen();
    assert!(
        screen.contains("a second text") && !screen.contains("the first text"),
        "{screen}"
    );
}

#[test]
fn an_empty_start_says_what_to_do() {
    screens!("empty", |size| Play::new(size));
    let mut play = Play::new((80, 24));
    play.send(Msg::Server(Err(Outage {
        reason: "the local server did not start: no such file".to_owned(),
        refused: false,
        retry_ms: 4_000,
    })));
    insta::assert_snapshot!("empty_unreachable", play.screen());
}

/// A program with saved channels before its local server is known.
fn starting(size: (u16, u16)) -> Play {
    let channels =
        [1, 2].map(|n| SavedChannel::new(ChannelId::from_random([100 + n; 18]), format!("saved run {n}"), 5));
    let saved = SavedState {
        channels: channels.to_vec(),
        ..SavedState::default()
    };
    let mut play = Play {
        app: App::new("local".to_owned(), Settings::default(), saved, size, START),
        ui: Ui::new(UiOptions::default()),
        now: START,
        effects: Vec::new(),
        next_id: 0,
    };
    play.app.server.local = true;
    play.send(Msg::Start);
    play.ids();
    play
}

#[test]
fn a_server_that_is_not_there_is_said_calmly() {
    let mut play = starting((100, 12));
    insta::assert_snapshot!("server_starting", play.screen());
    play.send(info());
    let ids: Vec<ChannelId> = play.app.channels.keys().cloned().collect();
    for id in &ids {
        play.feed(id, &[], Some(Connection::Live));
    }
    play.send(Msg::Runs {
        request: RequestId(1),
        runs: Some(Vec::new()),
    });
    insta::assert_snapshot!("server_keeps_nothing", play.screen());
    let live = play.dispatch("what is live");
    let request = RequestId(2);
    let result = Ok(live.clone());
    play.send(Msg::Dispatched {
        request,
        channel: live.clone(),
        result,
    });
    let begun = [
        json!({"type": "completeBegin", "data": {}}),
        json!({"type": "token", "data": {"token": "half an answer"}}),
    ];
    play.feed(&live, &begun, Some(Connection::Live));
    let reason = "refused".to_owned();
    play.feed(&live, &[], Some(Connection::ServerGone { reason }));
    insta::assert_snapshot!("server_gone", play.screen());
    play.send(Msg::Server(Err(Outage {
        reason: "it ended while it started".to_owned(),
        refused: false,
        retry_ms: 4_000,
    })));
    play.pass(1_000);
    insta::assert_snapshot!("server_unreachable", play.screen());
    play.send(info());
    play.send(Msg::Runs {
        request: RequestId(3),
        runs: Some(Vec::new()),
    });
    insta::assert_snapshot!("server_lost_a_run", play.screen());
}

#[test]
fn several_channels_at_once() {
    screens!("streaming", several);
    screens!("list", |size| {
        let mut play = several(size);
        play.key(KeyCode::Tab);
        play
    });
}

fn waiting(size: (u16, u16)) -> Play {
    let mut play = several(size);
    play.key(KeyCode::Tab);
    play.keys("n");
    play
}

#[test]
fn a_waiting_call_is_answered() {
    screens!("waiting", waiting);
    screens!("answer", |size| {
        let mut play = waiting(size);
        play.keys("ae");
        play.keys("{\"approved\": tru}");
        play
    });
    let mut play = waiting((120, 40));
    play.keys("ae");
    play.event(Event::Paste("{\"approved\": true}".to_owned()));
    play.key(KeyCode::Enter);
    let [
        Effect::Publish {
            request,
            channel,
            message,
        },
    ] = play.effects.as_slice()
    else {
        panic!("{:?}", play.effects)
    };
    assert_eq!(channel.as_str(), "wait-8f3c0123456789abcdef");
    assert_eq!(*message, json!({"data": {"approved": true}}));
    let request = *request;
    play.send(Msg::Published {
        request,
        result: Err("the server is gone".to_owned()),
    });
    assert!(matches!(&play.app.overlay, Some(Overlay::Answer(answer)) if answer.input == "{\"approved\": true}"));
    play.key(KeyCode::Enter);
    let [Effect::Publish { request, .. }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    let request = *request;
    play.send(Msg::Published {
        request,
        result: Ok(()),
    });
    assert_eq!(play.app.overlay, None);
}

#[test]
fn ends_and_failures_say_why() {
    let show = |index: usize, size| {
        let mut play = several(size);
        play.send(Msg::SelectIndex(index));
        play.send(Msg::Action(Action::LeaveCompose));
        play.key(KeyCode::Esc);
        play.key(KeyCode::Enter);
        play.screen()
    };
    insta::assert_snapshot!("done_120x40", show(4, (120, 40)));
    insta::assert_snapshot!("failed_80x24", show(5, (80, 24)));
    insta::assert_snapshot!("reconnecting_120x40", show(3, (120, 40)));
}

#[test]
fn the_help_shows_the_table() {
    screens!("help", |size| {
        let mut play = Play::new(size);
        play.key(KeyCode::Tab);
        play.keys("?");
        play
    });
}

#[test]
fn dialogues_say_what_is_wrong() {
    screens!("watch_error", |size| {
        let mut play = several(size);
        play.key(KeyCode::Tab);
        play.keys("wtoo short");
        play.key(KeyCode::Enter);
        play
    });
    let mut play = several((80, 24));
    play.key(KeyCode::Tab);
    play.keys("X");
    insta::assert_snapshot!("confirm_80x24", play.screen());
}

#[test]
fn a_small_terminal_says_what_it_needs() {
    insta::assert_snapshot!("too_small_39x9", several((39, 9)).screen());
    insta::assert_snapshot!("smallest_40x10", several((40, 10)).screen());
}

#[test]
fn hostile_and_wide_text_stays_in_its_place() {
    screens!("hostile", |size| {
        let mut play = Play::new(size);
        let prompt = "日本語のテキスト \u{1b}[31mred\u{1b}[0m \u{202e}evil\u{202c} 👩\u{200d}👩\u{200d}👧 e\u{301}";
        let id = play.dispatch(prompt);
        play.feed(
            &id,
            &[
                user(prompt),
                begin(),
                token("\u{1b}]0;title\u{7}\u{9b}2J\u{0}表が広い表が広い表が広い表が広い表が広い表が広い表が広い表が広い表が広い表が広い\n\n"),
                token("| a | 表 |\n|---|---|\n| 👩\u{200d}👩\u{200d}👧 | \u{1b}[2J x |\n"),
                wait("short", 0),
            ],
            Some(Connection::Live),
        );
        play.send(Msg::DraftChanged(String::new()));
        play.event(Event::Paste("sé 日本\r\nsecond \u{1b}[31mline".to_owned()));
        play
    });
}

fn thoughts(size: (u16, u16)) -> Play {
    let mut play = Play::new(size);
    let id = play.dispatch("why");
    play.feed(
        &id,
        &[
            user("why"),
            begin(),
            reasoning("First I look.\nThen "),
            reasoning("I think."),
            token("Because."),
        ],
        Some(Connection::Live),
    );
    play.key(KeyCode::Tab);
    play.key(KeyCode::Tab);
    play
}

#[test]
fn reasoning_opens_and_folds() {
    let mut play = thoughts((80, 24));
    let folded = play.screen();
    insta::assert_snapshot!("reasoning_folded_80x24", folded);
    play.keys(" ");
    insta::assert_snapshot!("reasoning_open_80x24", play.screen());
    play.keys(" ");
    assert_eq!(play.screen(), folded);
}

fn long(size: (u16, u16), lines: usize) -> (Play, ChannelId) {
    let mut play = Play::new(size);
    let id = play.dispatch("count");
    let text: String = (0..lines).map(|n| format!("line {n} of many\n\n")).collect();
    play.feed(&id, &[user("count"), begin(), token(&text)], Some(Connection::Live));
    play.key(KeyCode::Tab);
    play.key(KeyCode::Tab);
    (play, id)
}

#[test]
fn a_long_transcript_scrolls_and_follows() {
    let (mut play, id) = long((80, 24), 500);
    insta::assert_snapshot!("long_end_80x24", play.screen());
    play.key(KeyCode::PageUp);
    play.keys("kkk");
    play.feed(&id, &[token("more text\n\n"), token("and more")], None);
    insta::assert_snapshot!("long_scrolled_80x24", play.screen());
    play.keys("G");
    assert_eq!(play.app.channels[&id].scroll, Scroll::Tail);
    play.keys("g");
    insta::assert_snapshot!("long_top_80x24", play.screen());
    for _ in 0..2_000 {
        play.keys("j");
    }
    assert_eq!(
        play.app.channels[&id].scroll,
        Scroll::Tail,
        "down to the end follows again"
    );
    for _ in 0..2_000 {
        play.keys("k");
    }
    assert!(play.row(2).contains("you"), "up to the beginning: {}", play.row(2));
}

#[test]
fn only_what_is_in_view_is_laid_out() {
    let mut play = Play::new((120, 40));
    let id = play.dispatch("many");
    let prompts: Vec<serde_json::Value> = (0..5_000).map(|n| user(&format!("prompt {n}"))).collect();
    play.feed(&id, &prompts, Some(Connection::Live));
    let _ = play.screen();
    assert!(
        play.ui.caches[0].1.blocks() < 40,
        "at the end: {}",
        play.ui.caches[0].1.blocks()
    );
    play.key(KeyCode::Tab);
    play.key(KeyCode::Tab);
    play.keys("g");
    let _ = play.screen();
    assert!(
        play.ui.caches[0].1.blocks() < 120,
        "at the beginning: {}",
        play.ui.caches[0].1.blocks()
    );
}

#[test]
fn ascii_and_no_color_are_enough() {
    let mut play = several((120, 40));
    play.ui = Ui::new(UiOptions {
        ascii: true,
        links: true,
        color: false,
        depth: super::ColorDepth::Sixteen,
        utc_offset_seconds: 3_600,
    });
    let terminal = play.draw();
    let buffer = terminal.backend().buffer();
    assert!(
        buffer
            .content
            .iter()
            .all(|cell| cell.style().fg == Some(ratatui::style::Color::Reset))
    );
    insta::assert_snapshot!("ascii_120x40", terminal.backend().to_string());
}

#[test]
fn the_focus_is_seen_by_the_title_bar() {
    let mut play = several((120, 40));
    play.key(KeyCode::Tab);
    for (tabs, heavy) in [(0, (2, 1)), (1, (60, 1)), (2, (60, 37))] {
        if tabs > 0 {
            play.key(KeyCode::Tab);
        }
        let terminal = play.draw();
        let buffer = terminal.backend().buffer();
        let bars = [(0, 1), (41, 1), (0, 37)];
        let focused: Vec<bool> = bars.iter().map(|at| buffer[*at].symbol() == "━").collect();
        assert_eq!(focused.iter().filter(|focused| **focused).count(), 1, "{focused:?}");
        assert_eq!(focused.iter().position(|focused| *focused), Some(tabs), "{heavy:?}");
    }
}

#[test]
fn typing_reaches_the_draft_and_enter_dispatches() {
    let mut play = Play::new((80, 24));
    play.keys("hello qj?");
    play.ctrl('j');
    play.event(Event::Paste("two\r\nthree".to_owned()));
    assert_eq!(play.app.draft, "hello qj?\ntwo\nthree");
    play.key(KeyCode::Enter);
    let kinds: Vec<bool> = play
        .effects
        .iter()
        .map(|effect| matches!(effect, Effect::Dispatch { .. }))
        .collect();
    let watch = play
        .effects
        .iter()
        .position(|effect| matches!(effect, Effect::Watch { .. }));
    assert!(
        watch < kinds.iter().position(|is_dispatch| *is_dispatch),
        "{:?}",
        play.effects
    );
    assert_eq!(play.app.draft, "");
    assert!(
        play.screen().contains("hello qj?"),
        "the prompt is on the screen at once"
    );
}

#[test]
fn control_c_clears_then_quits() {
    let mut play = Play::new((80, 24));
    play.keys("text");
    play.ctrl('c');
    assert_eq!(
        (play.app.draft.as_str(), play.effects.contains(&Effect::Quit)),
        ("", false)
    );
    play.pass(5_000);
    play.ctrl('c');
    assert!(!play.effects.contains(&Effect::Quit), "too long ago");
    play.ctrl('c');
    assert!(play.effects.contains(&Effect::Quit));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_top_row_stays_while_text_streams(
        up in 1_usize..120,
        tokens in prop::collection::vec("[a-z]{1,8}( |\n\n)", 1..40),
        narrower in 0_u16..30,
    ) {
        let (mut play, id) = long((110, 30), 80);
        for _ in 0..up {
            play.keys("k");
        }
        let before = play.row(2);
        for text in &tokens {
            play.feed(&id, &[token(text)], None);
        }
        prop_assert_eq!(play.row(2).trim_end().to_owned(), before.trim_end().to_owned());
        // Another size, and back.
        play.send(Msg::Resize(110 - narrower, 24));
        let _ = play.screen();
        play.send(Msg::Resize(110, 30));
        prop_assert_eq!(play.row(2).trim_end().to_owned(), before.trim_end().to_owned());
    }
}
