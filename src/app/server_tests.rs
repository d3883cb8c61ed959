//! What becomes of the channels when their server goes away, comes back, or is another one.

use serde_json::json;

use super::channel::ChannelState;
use super::msg::Outage;
use super::state::{SavedChannel, ServerState};
use super::*;
use crate::transcript::{BlockKind, Connection, FeedBatch, Item};
use crate::wire::request::{RunSummary, ServerInfo};
use crate::wire::{ChannelId, Event};

fn now(ms: u64) -> Now {
    Now {
        unix_ms: 1_700_000_000_000 + ms,
        monotonic_ms: ms,
    }
}

fn id(n: u8) -> ChannelId {
    ChannelId::from_random([n; 18])
}

fn info() -> Msg {
    let info: ServerInfo = serde_json::from_value(
        json!({"version": "1", "model": "m", "demo": true, "retention": {"seconds": 3600, "events": 10000}}),
    )
    .expect("server info");
    Msg::Server(Ok(Box::new(info)))
}

fn run(channel: &ChannelId) -> RunSummary {
    serde_json::from_value(json!({
        "channelId": channel, "title": "t", "status": "running", "model": "m", "createdAt": 1
    }))
    .expect("a run")
}

/// A program with its server, and what it wanted done last.
struct Play {
    app: App,
    effects: Vec<Effect>,
}

impl Play {
    fn new(saved: &[u8]) -> Self {
        let channels = saved.iter().map(|n| SavedChannel::new(id(*n), format!("run {n}"), 5));
        let saved = SavedState {
            channels: channels.collect(),
            ..SavedState::default()
        };
        let mut play = Self {
            app: App::new("local".to_owned(), Settings::default(), saved, (120, 40), now(0)),
            effects: Vec::new(),
        };
        play.send(Msg::Start);
        play.send(Msg::FreshIds((100..108).map(id).collect()));
        play
    }

    fn send(&mut self, msg: Msg) {
        self.effects = update(&mut self.app, msg, now(1_000));
    }

    fn dispatch(&mut self, prompt: &str) -> (RequestId, ChannelId) {
        self.send(Msg::Submit(prompt.to_owned()));
        let found = self.effects.iter().find_map(|effect| match effect {
            Effect::Dispatch { request, channel, .. } => Some((*request, channel.clone())),
            _ => None,
        });
        found.expect("a dispatch")
    }

    fn accepted(&mut self, prompt: &str) -> ChannelId {
        let (request, channel) = self.dispatch(prompt);
        self.send(Msg::Dispatched {
            request,
            channel: channel.clone(),
            result: Ok(channel.clone()),
        });
        channel
    }

    fn feed(&mut self, channel: &ChannelId, events: &[serde_json::Value], connection: Connection) {
        let items = events.iter().enumerate().map(|(at, event)| {
            let text = event.to_string();
            Item::Event {
                id: Some(at as u64),
                at: None,
                event: Event::from_json(&text).expect("an event"),
                raw: text.into_bytes().into(),
            }
        });
        let batch = FeedBatch {
            items: items.collect(),
            connection: Some(connection),
        };
        let generation = self.app.channels[channel].generation;
        self.send(Msg::Feed {
            channel: channel.clone(),
            generation,
            batch,
        });
    }

    fn lists(&self) -> Option<RequestId> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::ListRuns { request } => Some(*request),
            _ => None,
        })
    }

    fn runs(&mut self, request: RequestId, channels: &[&ChannelId]) {
        let runs = channels.iter().map(|channel| run(channel)).collect();
        self.send(Msg::Runs {
            request,
            runs: Some(runs),
        });
    }

    fn watches(&self) -> Vec<(ChannelId, Option<u64>)> {
        let watch = |effect: &Effect| match effect {
            Effect::Watch { channel, after, .. } => Some((channel.clone(), *after)),
            _ => None,
        };
        self.effects.iter().filter_map(watch).collect()
    }

    fn state(&self, channel: &ChannelId) -> ChannelState {
        self.app.channels[channel].state(self.app.now)
    }
}

fn begun() -> [serde_json::Value; 3] {
    [
        json!({"type": "message", "data": {"type": "user", "text": "hello"}}),
        json!({"type": "completeBegin", "data": {}}),
        json!({"type": "token", "data": {"token": "half an ans"}}),
    ]
}

fn gone() -> Connection {
    Connection::ServerGone {
        reason: "refused".to_owned(),
    }
}

#[test]
fn a_server_that_is_gone_is_sought_once_and_every_open_channel_is_watched_again() {
    let mut play = Play::new(&[]);
    play.send(info());
    let (one, two, over) = (play.accepted("one"), play.accepted("two"), play.accepted("over"));
    play.feed(&one, &begun(), Connection::Live);
    play.feed(&two, &[], Connection::Live);
    play.feed(&over, &[json!({"type": "result", "data": {}})], Connection::Ended);
    play.feed(&one, &[], gone());
    assert_eq!(play.effects, [Effect::Reconnect]);
    play.feed(&two, &[], gone());
    play.send(Msg::ServerGone);
    assert!(play.effects.is_empty(), "it is being sought already");
    assert!(matches!(play.state(&one), ChannelState::Reconnecting { .. }));
    let stale = play.app.channels[&one].generation;

    play.send(info());
    assert_eq!(play.watches(), [(two.clone(), None), (one.clone(), Some(2))]);
    assert!(play.app.channels[&one].generation > stale);
    let request = play.lists().expect("whether they are kept");
    // The same server, or one that kept the runs: they go on.
    play.runs(request, &[&one, &two]);
    play.feed(&one, &[], Connection::Live);
    assert_eq!(
        (play.state(&one), play.state(&two)),
        (ChannelState::Live, ChannelState::Queued)
    );
    assert_eq!(play.state(&over), ChannelState::Done);
}

#[test]
fn a_run_that_its_server_no_longer_has_is_over_with_a_reason_and_what_was_seen() {
    let mut play = Play::new(&[]);
    play.send(info());
    let (one, two) = (play.accepted("one"), play.accepted("two"));
    play.feed(&one, &begun(), Connection::Live);
    play.feed(&one, &[], gone());
    play.send(info());
    let request = play.lists().expect("asked");
    play.runs(request, &[]);
    for channel in [&one, &two] {
        assert_eq!(play.state(channel), ChannelState::Failed);
        assert!(play.effects.contains(&Effect::Unwatch {
            channel: channel.clone()
        }));
    }
    let blocks: Vec<String> = play.app.channels[&one]
        .transcript
        .blocks()
        .map(|block| format!("{:?}", block.kind))
        .collect();
    assert!(
        blocks[1].contains("half an ans") && blocks[1].contains("streaming: false"),
        "{blocks:?}"
    );
    assert!(blocks[2].contains("no longer has this run"), "{blocks:?}");
    let prompt = play.app.channels[&two]
        .transcript
        .get(0)
        .map(|block| block.kind.clone());
    assert!(matches!(prompt, Some(BlockKind::Prompt { text, .. }) if text == "two"));
    let notice = play.app.notice.as_ref().expect("said");
    assert!(notice.error && notice.text.contains("2 runs"), "{}", notice.text);
    assert_eq!(play.app.title(), "switchboard: 2 failed");
}

#[test]
fn a_prompt_that_was_not_answered_is_not_judged_and_begins_anew() {
    let mut play = Play::new(&[]);
    play.send(info());
    let (request, one) = play.dispatch("one");
    play.feed(&one, &begun()[..1], Connection::Live);
    play.send(Msg::ServerGone);
    let (_, meanwhile) = play.dispatch("meanwhile");
    play.send(info());
    assert_eq!(
        play.watches(),
        [(one.clone(), None)],
        "what was begun meanwhile waits for itself"
    );
    assert_eq!(play.lists(), None);
    assert!(play.app.channels[&one].transcript.is_empty());
    assert_eq!(
        (play.state(&one), play.state(&meanwhile)),
        (ChannelState::Queued, ChannelState::Queued)
    );
    play.feed(&one, &begun(), Connection::Live);
    play.send(Msg::Dispatched {
        request,
        channel: one.clone(),
        result: Ok(one.clone()),
    });
    assert_eq!(play.state(&one), ChannelState::Live);
}

#[test]
fn saved_channels_of_which_nothing_is_kept_say_so_until_something_comes() {
    let mut play = Play::new(&[1, 2]);
    assert_eq!(play.state(&id(1)), ChannelState::Connecting);
    play.send(info());
    let request = play.lists().expect("asked");
    play.feed(&id(1), &[], Connection::Live);
    play.feed(&id(2), &[], Connection::Live);
    assert_eq!(play.state(&id(1)), ChannelState::Connecting, "not known yet");
    play.runs(request, &[&id(2)]);
    assert_eq!(play.state(&id(1)), ChannelState::NotKept);
    assert_ne!(play.state(&id(2)), ChannelState::NotKept);
    assert!(play.app.notice.is_none(), "nothing went wrong");
    assert_eq!(play.app.channels[&id(1)].title, "run 1");
    assert!(!play.state(&id(1)).is_open());
    play.feed(&id(1), &begun(), Connection::Live);
    assert_eq!(play.state(&id(1)), ChannelState::Live);
}

#[test]
fn an_id_on_which_nothing_is_yet_waits_for_events() {
    let mut play = Play::new(&[]);
    play.send(info());
    play.send(Msg::Action(Action::Watch));
    play.send(Msg::DialogueSubmit(id(7).to_string()));
    let request = play.lists().expect("its title");
    play.feed(&id(7), &[], Connection::Live);
    play.runs(request, &[]);
    assert_eq!(play.state(&id(7)), ChannelState::Quiet);
    // Also on the next server.
    play.send(Msg::ServerGone);
    play.send(info());
    if let Some(request) = play.lists() {
        play.runs(request, &[]);
    }
    play.feed(&id(7), &[], Connection::Live);
    assert_eq!(play.state(&id(7)), ChannelState::Quiet);
}

#[test]
fn a_server_without_a_list_of_runs_leaves_channels_as_they_are() {
    for with_info in [false, true] {
        let mut play = Play::new(&[1]);
        play.send(if with_info { info() } else { Msg::ServerReady });
        if let Some(request) = play.lists() {
            play.send(Msg::Runs { request, runs: None });
        }
        play.feed(&id(1), &[], Connection::Live);
        assert_eq!(play.state(&id(1)), ChannelState::Quiet, "not connecting for ever");
    }
}

#[test]
fn the_list_of_the_server_that_is_gone_is_not_believed() {
    let mut play = Play::new(&[1]);
    play.send(info());
    let old = play.lists().expect("asked");
    play.send(Msg::ServerGone);
    play.send(info());
    let new = play.lists().expect("asked again");
    play.runs(old, &[&id(1)]);
    play.runs(new, &[]);
    assert_eq!(play.state(&id(1)), ChannelState::NotKept);
}

#[test]
fn a_server_at_one_address_that_was_started_anew_is_noticed() {
    let mut play = Play::new(&[]);
    play.send(info());
    let one = play.accepted("one");
    play.feed(&one, &begun(), Connection::Live);
    let lost = |attempt, next| Connection::Reconnecting {
        reason: "lost".to_owned(),
        next_try_at: now(next).unix_ms,
        attempt,
    };
    play.feed(&one, &[], lost(1, 1_200));
    assert_eq!(play.app.outage(), None, "it may come back at once");
    play.feed(&one, &[], lost(2, 3_000));
    assert_eq!(play.app.outage(), Some((now(1_000).unix_ms, now(3_000).unix_ms)));
    assert_eq!(
        play.app.server.state,
        ServerState::Ready,
        "its feeds try again by themselves"
    );
    play.feed(&one, &[], Connection::Live);
    assert_eq!(play.app.outage(), None);
    let request = play.lists().expect("it may be another one");
    play.runs(request, &[]);
    assert_eq!(play.state(&one), ChannelState::Failed);
}

#[test]
fn a_server_that_is_not_found_at_the_start_leaves_no_channel_connecting() {
    let mut play = Play::new(&[1]);
    play.send(Msg::Server(Err(Outage {
        reason: "no route".to_owned(),
        refused: false,
        retry_ms: 2_000,
    })));
    assert_eq!(play.state(&id(1)), ChannelState::Reconnecting { seconds: 2 });
    assert_eq!(play.app.counts(), Counts::default());
    play.send(info());
    play.feed(&id(1), &[], Connection::Connecting);
    play.feed(&id(1), &[], Connection::Live);
    let request = RequestId(1);
    play.runs(request, &[]);
    assert_eq!(play.state(&id(1)), ChannelState::NotKept);
}

#[test]
fn an_outage_says_since_when_and_when_it_is_tried_again() {
    let mut play = Play::new(&[]);
    play.send(info());
    let one = play.accepted("one");
    play.feed(&one, &begun(), gone());
    play.send(Msg::Server(Err(Outage {
        reason: "it does not start".to_owned(),
        refused: false,
        retry_ms: 4_000,
    })));
    assert_eq!(play.app.outage(), Some((now(1_000).unix_ms, now(5_000).unix_ms)));
    assert_eq!(play.state(&one), ChannelState::Reconnecting { seconds: 4 });
    assert!(play.app.next_tick().expect("seconds") <= 2_000);
    play.send(info());
    assert_eq!(play.app.outage(), None);
}

#[test]
fn a_run_goes_to_the_channel_that_the_server_answers() {
    let mut play = Play::new(&[1]);
    play.send(info());
    let (request, asked) = play.dispatch("one prompt");
    let answered = id(50);
    play.send(Msg::Dispatched {
        request,
        channel: asked.clone(),
        result: Ok(answered.clone()),
    });
    let ids: Vec<&ChannelId> = play.app.channels.keys().collect();
    assert_eq!(ids, [&answered, &id(1)]);
    assert_eq!(play.app.selected.as_ref(), Some(&answered));
    let channel = &play.app.channels[&answered];
    assert_eq!((channel.title.as_str(), channel.dispatching), ("one prompt", false));
    assert_eq!(play.state(&answered), ChannelState::Queued);
    assert_eq!(play.effects[0], Effect::Unwatch { channel: asked.clone() });
    assert!(matches!(&play.effects[1], Effect::Watch { channel, .. } if *channel == answered));
    play.feed(&answered, &begun(), Connection::Live);
    assert_eq!(play.state(&answered), ChannelState::Live);

    // The answer may name a channel that is watched already.
    let (request, asked) = play.dispatch("two");
    play.send(Msg::Dispatched {
        request,
        channel: asked.clone(),
        result: Ok(id(1)),
    });
    assert_eq!(play.app.selected, Some(id(1)));
    assert_eq!(play.app.channels.len(), 2);
}

#[test]
fn a_prompt_whose_run_is_seen_was_sent_whatever_became_of_the_answer() {
    let mut play = Play::new(&[]);
    play.send(info());
    let (request, channel) = play.dispatch("one prompt");
    play.feed(&channel, &begun(), Connection::Live);
    play.send(Msg::Dispatched {
        request,
        channel: channel.clone(),
        result: Err("no answer within 30 s".to_owned()),
    });
    assert_eq!(play.state(&channel), ChannelState::Live);
    assert_eq!(play.app.draft, "");
    assert!(!play.app.channels[&channel].dispatching && play.app.notice.is_none());
}

#[test]
fn a_channel_that_is_gone_leaves_no_question_and_no_transcript_behind() {
    let mut play = Play::new(&[]);
    play.send(info());
    let (request, channel) = play.dispatch("one prompt");
    play.send(Msg::Action(Action::LeaveCompose));
    assert_eq!(play.app.focus, state::Focus::Transcript);
    play.send(Msg::Action(Action::CancelRun));
    assert!(play.app.overlay.is_some());
    play.send(Msg::Dispatched {
        request,
        channel,
        result: Err("it is full".to_owned()),
    });
    assert_eq!((play.app.overlay.as_ref(), play.app.focus), (None, state::Focus::List));
}

#[test]
fn a_channel_that_is_sent_again_forgets_the_places_of_its_old_transcript() {
    let mut play = Play::new(&[]);
    play.send(info());
    let (_, channel) = play.dispatch("one prompt");
    play.feed(&channel, &begun(), Connection::Live);
    let block = play.app.channels[&channel].transcript.get(0).expect("a block").id;
    play.send(Msg::ToggleFold(block));
    play.send(Msg::MarkPart(block));
    let spot = Spot::Head(0);
    play.send(Msg::ScrollTo(Scroll::Anchor { block, spot }));
    play.send(Msg::ServerGone);
    play.send(info());
    let again = &play.app.channels[&channel];
    assert!(again.transcript.is_empty() && again.toggled.is_empty());
    assert_eq!((again.marked, again.scroll, again.read_tokens), (None, Scroll::Tail, 0));
}

#[test]
fn a_channel_whose_watch_failed_is_watched_again_from_where_it_was() {
    let mut play = Play::new(&[]);
    play.send(info());
    let channel = play.accepted("one prompt");
    let reason = "refused".to_owned();
    play.feed(&channel, &begun(), Connection::Failed { reason });
    assert_eq!(play.state(&channel), ChannelState::Failed);
    // The run itself may go on, and can be cancelled.
    play.send(Msg::Action(Action::CancelRun));
    assert!(play.app.overlay.is_some());
    play.send(Msg::Dismiss);
    let before = play.app.channels[&channel].transcript.last_id();
    play.send(Msg::Action(Action::Watch));
    play.send(Msg::DialogueSubmit(channel.to_string()));
    let again = play.effects.iter().find_map(|effect| match effect {
        Effect::Watch { generation, after, .. } => Some((*generation, *after)),
        _ => None,
    });
    assert_eq!(again, Some((play.app.channels[&channel].generation, before)));
    assert!(before.is_some());
    play.feed(&channel, &[], Connection::Live);
    assert_eq!(play.state(&channel), ChannelState::Live);
    // One that is well stays as it is.
    play.send(Msg::Action(Action::Watch));
    play.send(Msg::DialogueSubmit(channel.to_string()));
    assert!(!play.effects.iter().any(|effect| matches!(effect, Effect::Watch { .. })));
}

#[test]
fn a_watch_without_positions_begins_anew_and_shows_nothing_twice() {
    let mut play = Play::new(&[]);
    play.send(Msg::ServerReady);
    let channel = play.accepted("one prompt");
    let seen = |play: &mut Play, connection| {
        let event = Event::token("an answer");
        let item = || Item::Event {
            id: None,
            at: None,
            event: event.clone(),
            raw: bytes::Bytes::new(),
        };
        play.send(Msg::Feed {
            channel: channel.clone(),
            generation: play.app.channels[&channel].generation,
            batch: FeedBatch {
                items: vec![item()],
                connection: Some(connection),
            },
        });
    };
    let reason = "refused".to_owned();
    seen(&mut play, Connection::Failed { reason });
    assert_eq!(play.app.channels[&channel].transcript.len(), 2);
    play.send(Msg::Action(Action::Watch));
    play.send(Msg::DialogueSubmit(channel.to_string()));
    assert_eq!(play.state(&channel), ChannelState::Queued);
    seen(&mut play, Connection::Live);
    let again = &play.app.channels[&channel].transcript;
    assert_eq!((again.len(), again.first_prompt()), (2, Some("one prompt")));
    assert_eq!(again.plain_answer(), "an answer");
}

#[test]
fn an_id_with_odd_characters_is_a_safe_title() {
    let odd = ChannelId::parse("\u{202e}\u{200b}abcdefghijklmnop").expect("an id");
    let title = Channel::new(odd, 1, now(0)).title;
    assert_eq!(title, crate::text::sanitise_line(&title));
}
