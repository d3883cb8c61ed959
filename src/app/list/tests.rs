//! The list's rules as what happens and what comes of it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Filter, GroupBy, Row, Samples, Sort};
use crate::app::picker::Purpose;
use crate::app::state::{AskFor, Overlay, SavedChannel};
use crate::app::{self, Action, App, Counts, Effect, Msg, Now, SavedState, Settings};
use crate::transcript::{Connection, FeedBatch, Item};
use crate::wire::request::RunSummary;
use crate::wire::{ChannelId, Event};

const START: u64 = 1_700_000_000_000;

fn id(n: u8) -> ChannelId {
    ChannelId::from_random([n; 18])
}

struct Play {
    app: App,
    ms: u64,
    effects: Vec<Effect>,
}

impl Play {
    /// Channels of these titles, in this order from the top.
    fn new(titles: &[&str]) -> Self {
        let channels = titles
            .iter()
            .zip(1..)
            .map(|(title, n)| SavedChannel::new(id(n), *title, START))
            .collect();
        let saved = SavedState {
            channels,
            ..SavedState::default()
        };
        Self::of(saved)
    }

    fn of(saved: SavedState) -> Self {
        let now = Now {
            unix_ms: START,
            monotonic_ms: 0,
        };
        let app = App::new("local".to_owned(), Settings::default(), saved, (120, 40), now);
        let mut play = Self {
            app,
            ms: 0,
            effects: Vec::new(),
        };
        play.send(Msg::Start);
        play
    }

    fn send(&mut self, msg: Msg) {
        let now = Now {
            unix_ms: START + self.ms,
            monotonic_ms: self.ms,
        };
        self.effects = app::update(&mut self.app, msg, now);
        self.check();
    }

    fn act(&mut self, action: Action) {
        self.send(Msg::Action(action));
    }

    fn ask(&mut self, action: Action, text: &str) {
        self.act(action);
        self.send(Msg::DialogueSubmit(text.to_owned()));
    }

    fn pass(&mut self, ms: u64) {
        self.ms += ms;
        self.send(Msg::Tick);
    }

    fn feed(&mut self, n: u8, events: &[Value]) {
        let items = events
            .iter()
            .map(|event| {
                let text = event.to_string();
                Item::Event {
                    id: None,
                    at: Some(START + self.ms),
                    event: Event::from_json(&text).expect("an event"),
                    raw: text.into_bytes().into(),
                }
            })
            .collect();
        let generation = self.app.channels[&id(n)].generation;
        let batch = FeedBatch {
            items,
            connection: Some(Connection::Live),
        };
        self.send(Msg::Feed {
            channel: id(n),
            generation,
            batch,
        });
    }

    /// What the list shows: titles, and headings in brackets.
    fn rows(&self) -> Vec<String> {
        self.app
            .list
            .rows()
            .iter()
            .map(|row| match row {
                Row::Heading(at) => {
                    let heading = self.app.list.heading(*at).expect("a heading");
                    format!("[{} {}]", heading.text, heading.count)
                }
                Row::Channel(index) => self.app.channels[*index].title.clone(),
            })
            .collect()
    }

    fn selected(&self) -> &str {
        self.app.selected_channel().map_or("", |channel| &channel.title)
    }

    /// What is kept is what working it out anew gives.
    fn check(&self) {
        let mut counts = Counts::default();
        let mut unread = 0;
        for channel in self.app.channels.values() {
            unread += usize::from(channel.unread);
            match channel.state(self.app.now).word() {
                "live" | "queued" => counts.live += 1,
                "waiting" => counts.waiting += 1,
                "done" => counts.done += 1,
                "failed" => counts.failed += 1,
                "cancelled" => counts.cancelled += 1,
                _ => {}
            }
        }
        assert_eq!(self.app.counts(), counts);
        assert_eq!(self.app.list.unread(), unread);
        let listed: Vec<usize> = (0..self.app.channels.len())
            .filter(|index| self.app.list.row_of(*index).is_some())
            .collect();
        assert_eq!(listed.len(), self.app.list.listed());
        for index in listed {
            let row = self.app.list.row_of(index).expect("a row");
            assert_eq!(self.app.list.rows()[row], Row::Channel(index));
        }
    }
}

fn begin() -> Value {
    json!({"type": "completeBegin", "data": {}})
}

fn token() -> Value {
    json!({"type": "token", "data": {"token": "word "}})
}

fn end() -> Value {
    json!({"type": "result", "data": {"text": "", "usage": {"token": 1}, "end": {"reason": "stop"}}})
}

fn failure() -> Value {
    json!({"type": "error", "data": {"message": "no"}})
}

fn wait() -> Value {
    json!({"type": "waitForChannelMessageBegin", "data": {"channel": "wait-0123456789abcdef0123",
        "function": {"name": "f", "args": {}}}})
}

#[test]
fn attention_puts_first_what_needs_the_person_and_the_mark_stays_on_its_channel() {
    let mut play = Play::new(&["idle", "done", "waits", "failed", "live"]);
    play.feed(2, &[begin(), token(), end()]);
    play.feed(3, &[begin(), wait()]);
    play.feed(4, &[begin(), failure()]);
    play.feed(5, &[begin(), token()]);
    play.pass(200);
    assert_eq!(play.rows(), ["idle", "done", "waits", "failed", "live"]);
    play.act(Action::CycleSort);
    assert_eq!(play.app.list.sort, Sort::Attention);
    assert_eq!(play.rows(), ["waits", "failed", "done", "live", "idle"]);
    assert_eq!(play.selected(), "idle");
    // Down the list: what was read goes down once the mark has moved on, not under it.
    play.act(Action::SelectFirst);
    play.act(Action::SelectNext);
    assert_eq!((play.selected(), play.rows()[1].as_str()), ("failed", "failed"));
    play.act(Action::SelectNext);
    assert_eq!(play.selected(), "done");
    assert_eq!(play.rows(), ["waits", "done", "live", "idle", "failed"]);
    play.feed(3, &[end()]);
    play.pass(200);
    assert_eq!(play.rows(), ["done", "waits", "live", "idle", "failed"]);
}

#[test]
fn activity_moves_nothing_while_a_stream_goes_on() {
    let mut play = Play::new(&["one", "two", "three"]);
    play.act(Action::CycleSort);
    play.act(Action::CycleSort);
    assert_eq!(play.app.list.sort, Sort::Activity);
    play.pass(10_000);
    play.feed(2, &[begin(), token()]);
    play.pass(1_000);
    play.feed(3, &[begin(), token()]);
    play.pass(200);
    assert_eq!(play.rows(), ["three", "two", "one"]);
    for _ in 0..100 {
        play.pass(150);
        play.feed(2, &[token()]);
        play.feed(3, &[token()]);
    }
    assert_eq!(play.rows(), ["three", "two", "one"]);
    assert_eq!(play.app.list.order.due(), None, "nothing is worked out in vain");
    play.feed(2, &[end()]);
    play.pass(200);
    assert_eq!(play.rows(), ["two", "three", "one"]);
}

#[test]
fn feeds_put_the_list_in_order_at_counter_pace() {
    let mut play = Play::new(&["one", "two"]);
    play.act(Action::CycleSort);
    play.pass(10);
    play.feed(2, &[begin()]);
    assert_eq!(play.rows(), ["one", "two"], "not at once");
    let due = super::next_due(&play.app).expect("a time");
    assert!(due <= 110, "{due}");
    play.pass(100);
    assert_eq!(play.rows(), ["two", "one"]);
    assert_eq!(super::next_due(&play.app), None);
}

#[test]
fn pins_stay_on_top_and_moving_keeps_to_the_stable_order() {
    let mut play = Play::new(&["b", "a", "c"]);
    play.act(Action::SelectLast);
    play.act(Action::Pin);
    assert_eq!(play.rows(), ["c", "b", "a"]);
    play.act(Action::MoveDown);
    assert_eq!(play.rows(), ["c", "b", "a"], "a pinned one stays above the others");
    play.act(Action::SelectNext);
    play.act(Action::MoveDown);
    assert_eq!((play.rows().join(" "), play.selected()), ("c a b".to_owned(), "b"));
    for _ in 0..3 {
        play.act(Action::CycleSort);
    }
    assert_eq!(play.app.list.sort, Sort::Name);
    assert_eq!(play.rows(), ["c", "a", "b"]);
    play.act(Action::MoveUp);
    assert!(
        play.app
            .notice
            .as_ref()
            .is_some_and(|notice| notice.text.contains("sorted by name"))
    );
    // All of it is there again at the next start.
    let next = Play::of(play.app.saved_state());
    assert_eq!((next.app.list.sort, next.rows()), (Sort::Name, play.rows()));
}

#[test]
fn groups_have_headings_with_counts() {
    let mut play = Play::new(&["one", "two", "three"]);
    play.feed(2, &[begin(), wait()]);
    play.act(Action::GroupList);
    play.pass(200);
    assert_eq!(play.rows(), ["[waiting 1]", "two", "[connecting 2]", "one", "three"]);
    assert_eq!(play.app.selected_index(), Some(1));
    play.act(Action::SelectFirst);
    assert_eq!(play.selected(), "two");
    play.ask(Action::SetGroup, " nightly\n");
    play.act(Action::GroupList);
    assert_eq!(play.app.list.group_by, GroupBy::Label);
    assert_eq!(play.rows(), ["[nightly 1]", "two", "[no group 2]", "one", "three"]);
    play.act(Action::MoveDown);
    assert!(
        play.app
            .notice
            .as_ref()
            .is_some_and(|notice| notice.text.contains("end of its group"))
    );
    play.act(Action::SelectLast);
    play.act(Action::Pin);
    assert_eq!(play.rows()[0], "[pinned 1]");
}

#[test]
fn the_filter_narrows_with_every_key_and_what_it_hides_is_still_counted() {
    let mut play = Play::new(&["deploy check", "nightly report", "deploy docs"]);
    play.feed(2, &[begin(), wait()]);
    play.act(Action::FilterList);
    play.send(Msg::DialogueChanged("dep".to_owned()));
    assert_eq!(play.rows(), ["deploy check", "deploy docs"]);
    assert_eq!(play.app.counts().waiting, 1);
    play.send(Msg::DialogueSubmit("dep docs".to_owned()));
    assert_eq!(play.rows(), ["deploy docs"]);
    assert_eq!(play.selected(), "deploy docs", "the mark goes to what is shown");
    play.act(Action::NextNeedsYou);
    assert_eq!(
        play.selected(),
        "nightly report",
        "what waits is found behind the filter"
    );
    play.act(Action::SelectNext);
    assert_eq!(play.selected(), "deploy docs");
    play.act(Action::ClearFilter);
    assert_eq!(play.rows().len(), 3);
    play.act(Action::FilterList);
    play.send(Msg::DialogueChanged("state:wait".to_owned()));
    assert_eq!(play.rows(), ["nightly report"]);
    play.act(Action::Close);
    assert_eq!(play.rows().len(), 3, "Esc takes it off");
}

#[test]
fn filters_are_words_states_groups_and_their_opposites() {
    let mut play = Play::new(&["Deploy check", "nightly report"]);
    play.act(Action::SelectFirst);
    play.ask(Action::SetGroup, "Ops");
    play.feed(2, &[begin(), wait()]);
    play.feed(1, &[begin(), end()]);
    for (filter, shown) in [
        ("", "12"),
        ("DEPLOY", "1"),
        ("check deploy", "1"),
        ("wait", "2"),
        ("state:", "12"),
        ("state:done", "1"),
        ("state:wait", "2"),
        ("is:waiting", "2"),
        ("!state:done", "2"),
        ("ops", "1"),
        ("group:ops", "1"),
        ("group:", "2"),
        ("!group:", "1"),
        ("is:unread", "2"),
        ("is:pinned", ""),
        ("report !wait", ""),
        ("!", "12"),
    ] {
        let filter_of = Filter::new(filter);
        let found: String = play
            .app
            .channels
            .values()
            .zip(["1", "2"])
            .filter(|(channel, _)| filter_of.fits(channel, channel.state(play.app.now)))
            .map(|(_, name)| name)
            .collect();
        assert_eq!(found, shown, "{filter:?}");
    }
}

#[test]
fn a_title_by_hand_stays_until_it_is_emptied() {
    let mut play = Play::new(&["the prompt"]);
    play.ask(Action::Rename, "my \u{1b}[31mname");
    assert_eq!(play.selected(), "my ^[[31mname");
    play.feed(
        1,
        &[json!({"type": "message", "data": {"type": "user", "text": "another"}})],
    );
    assert_eq!(play.selected(), "my ^[[31mname");
    let mut next = Play::of(play.app.saved_state());
    next.ask(Action::Rename, "once more");
    next.act(Action::Rename);
    assert!(
        matches!(&next.app.overlay, Some(Overlay::Ask(ask)) if ask.purpose == AskFor::Rename(id(1)) && ask.input == "once more")
    );
    next.send(Msg::DialogueSubmit(" ".to_owned()));
    assert_eq!(next.selected(), "the prompt");
    assert_eq!(next.app.channels[0].list.title_before, None);
}

#[test]
fn what_is_over_and_read_goes_at_once_after_a_question() {
    let mut play = Play::new(&["live", "read", "unread", "kept", "failed"]);
    for n in [2, 3, 4] {
        play.feed(n, &[begin(), end()]);
    }
    play.feed(5, &[begin(), failure()]);
    play.feed(1, &[begin(), token()]);
    for _ in 0..4 {
        play.act(Action::SelectNext);
    }
    play.act(Action::SelectPrevious);
    play.act(Action::Pin);
    play.feed(3, &[]);
    // The pinned one was moved to the top; something new came on none of them.
    play.app.channels[&id(3)].unread = true;
    play.act(Action::StopWatchingEnded);
    assert!(matches!(play.app.overlay, Some(Overlay::Confirm(_))));
    play.act(Action::No);
    assert_eq!(play.app.channels.len(), 5);
    play.act(Action::StopWatchingEnded);
    play.act(Action::Yes);
    assert_eq!(play.rows(), ["kept", "live", "unread"]);
    let unwatched = play
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Unwatch { .. }));
    assert_eq!(unwatched.count(), 2);
    let saves = play.effects.iter().filter(|effect| matches!(effect, Effect::Save(_)));
    assert_eq!(saves.count(), 1);
    play.act(Action::StopWatchingEnded);
    assert_eq!(play.app.overlay, None, "there is none any more");
}

fn summary(n: u8, title: &str, status: &str) -> RunSummary {
    serde_json::from_value(json!({"channelId": id(n).to_string(), "title": title, "status": status,
        "model": "m", "createdAt": START - 3_600_000 * u64::from(n)}))
    .expect("a run")
}

#[test]
fn runs_of_the_account_are_found_and_watched() {
    let mut play = Play::new(&["mine"]);
    play.act(Action::FindRuns);
    let [Effect::ListRuns { request }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    let request = *request;
    let runs = vec![
        summary(1, "mine", "ended"),
        summary(7, "theirs", "running"),
        summary(8, "", "queued"),
    ];
    play.send(Msg::Runs {
        request,
        runs: Some(runs),
    });
    let Some(Overlay::Pick(picker)) = &play.app.overlay else {
        panic!("no picker")
    };
    assert_eq!(picker.purpose, Purpose::Run);
    let shown: Vec<(&str, &str, &str)> = picker
        .entries
        .iter()
        .map(|entry| (entry.text.as_str(), entry.detail.as_str(), entry.right.as_str()))
        .collect();
    assert_eq!(shown[0], ("theirs", "live   m", "7 h ago"));
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(!format!("{picker:?}").contains(&id(7).to_string()), "ids are secrets");
    play.send(Msg::DialogueChanged("theirs".to_owned()));
    play.act(Action::Accept);
    assert!(matches!(&play.effects[0], Effect::Watch { channel, .. } if *channel == id(7)));
    assert_eq!(play.selected(), "theirs");
}

#[test]
fn a_server_without_a_run_list_is_said_to_have_none() {
    let mut play = Play::new(&["mine"]);
    play.act(Action::FindRuns);
    let [Effect::ListRuns { request }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    let request = *request;
    play.send(Msg::Runs { request, runs: None });
    assert!(matches!(&play.app.overlay, Some(Overlay::Pick(picker)) if picker.empty.contains("no list of its runs")));
    // An answer that comes after it was left opens nothing.
    play.act(Action::Close);
    play.act(Action::FindRuns);
    play.act(Action::Close);
    play.send(Msg::Runs {
        request: app::RequestId(request.0 + 1),
        runs: Some(Vec::new()),
    });
    assert_eq!(play.app.overlay, None);
}

#[test]
fn samples_are_of_two_seconds_and_go_by_with_time() {
    let mut samples = Samples::default();
    assert_eq!(samples.read(50_000), [0; 8]);
    samples.add(3, 1_000);
    samples.add(4, 1_999);
    samples.add(5, 2_000);
    assert_eq!(samples.read(2_500), [0, 0, 0, 0, 0, 0, 7, 5]);
    assert_eq!(samples.read(6_000), [0, 0, 0, 0, 7, 5, 0, 0]);
    samples.add(1, 8_000);
    assert_eq!(samples.read(8_000), [0, 0, 0, 7, 5, 0, 0, 1]);
    assert_eq!(samples.read(17_000), [5, 0, 0, 1, 0, 0, 0, 0]);
    samples.add(9, 100_000);
    assert_eq!(samples.read(100_000), [0, 0, 0, 0, 0, 0, 0, 9]);
}

#[test]
fn a_channel_is_not_read_where_only_the_list_is_seen() {
    let mut play = Play::new(&["one", "two"]);
    play.send(Msg::Resize(80, 24));
    play.act(Action::Back);
    play.feed(2, &[begin(), token(), end()]);
    play.act(Action::SelectNext);
    assert!(play.app.channels[&id(2)].unread);
    play.act(Action::Peek);
    assert_eq!(play.app.list.peek, Some(id(2)));
    play.act(Action::Peek);
    assert_eq!(
        (play.app.list.peek.clone(), play.app.channels[&id(2)].unread),
        (None, true)
    );
    play.act(Action::Open);
    assert!(!play.app.channels[&id(2)].unread);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, what is counted and ordered step by step is what working it out anew gives.
    #[test]
    fn the_kept_order_is_the_one_worked_out_anew(steps in prop::collection::vec((0_u8..12, 1_u8..7), 1..60)) {
        let mut play = Play::new(&["one", "two", "three", "four", "five", "six"]);
        for (what, n) in steps {
            let there = play.app.channels.contains_key(&id(n));
            match what {
                0 if there => play.feed(n, &[begin()]),
                1 if there => play.feed(n, &[begin(), token()]),
                2 if there => play.feed(n, &[wait()]),
                3 if there => play.feed(n, &[end()]),
                4 if there => play.feed(n, &[failure()]),
                5 => play.act(Action::CycleSort),
                6 => play.act(Action::GroupList),
                7 => play.act(Action::SelectNext),
                8 => play.act(Action::MoveUp),
                9 => play.act(Action::Pin),
                10 => play.act(Action::StopWatching),
                _ => play.pass(u64::from(n) * 40),
            }
        }
        play.pass(1_000);
        let kept = play.rows();
        super::settle(&mut play.app);
        prop_assert_eq!(kept, play.rows());
    }
}
