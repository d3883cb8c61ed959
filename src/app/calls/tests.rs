//! What is answered by itself, what is asked about, and that no call is taken up twice.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::msg::{Msg as AppMsg, Now};
use super::super::state::{App, Overlay, SavedState};
use super::super::update::update;
use super::super::{Action, Effect, RequestId, Settings};
use super::*;
use crate::config::FunctionConfig;
use crate::transcript::{Connection, Item};
use crate::wire::Event;

const DEVICE: &str = "laptop-2";

fn function(text: &str) -> Arc<FunctionConfig> {
    Arc::new(toml::from_str(&format!("description = \"d\"\n{text}")).expect("a function"))
}

fn settings(function_text: &str) -> Settings {
    let mut settings = Settings::default();
    settings.calls.device = DEVICE.to_owned();
    settings
        .calls
        .functions
        .insert("deploy".to_owned(), function(function_text));
    settings
}

/// A program, the channel's log on a server, and what both did.
struct World {
    app: App,
    settings: Settings,
    now: Now,
    run: ChannelId,
    /// The result channel of the run.
    channel: String,
    log: Vec<Value>,
    /// Whether the server numbers its events.
    numbered: bool,
    /// The log has been handed over up to here.
    read: usize,
    saved: SavedState,
    commands: Vec<(RequestId, Value, Option<String>)>,
    /// How far the log had been handed over at each command.
    read_at: Vec<usize>,
    published: Vec<(RequestId, Value)>,
    stopped: usize,
}

impl World {
    fn new(function: &str, numbered: bool) -> Self {
        let settings = settings(function);
        let now = Now {
            unix_ms: 1_700_000_000_000,
            monotonic_ms: 1_000,
        };
        let app = App::new("local".into(), settings.clone(), SavedState::default(), (120, 40), now);
        let mut world = Self {
            app,
            settings,
            now,
            run: ChannelId::from_random([0; 18]),
            channel: String::new(),
            log: Vec::new(),
            numbered,
            read: 0,
            saved: SavedState::default(),
            commands: Vec::new(),
            read_at: Vec::new(),
            published: Vec::new(),
            stopped: 0,
        };
        world.send(AppMsg::Start);
        let info = json!({"version": "0.1.0", "model": "m", "demo": false, "retention": {"seconds": 1, "events": 1}});
        world.send(AppMsg::Server(Ok(Box::new(
            serde_json::from_value(info).expect("info"),
        ))));
        world.send(AppMsg::FreshIds(
            (1..9).map(|n| ChannelId::from_random([n; 18])).collect(),
        ));
        let effects = update(&mut world.app, AppMsg::Submit("deploy it".into()), world.now);
        for effect in &effects {
            if let Effect::Dispatch { channel, body, .. } = effect {
                let function = &body.complete.functions[0];
                assert_eq!(function.name, "deploy");
                let result = function.result.clone().expect("a result").channel.expect("a channel");
                world.channel = result.to_string();
                world.run = channel.clone();
            }
        }
        world.carry_out(effects);
        world
            .log
            .push(json!({"type": "completeBegin", "data": {"instance": "i", "iteration": 1}}));
        world
    }

    fn send(&mut self, msg: AppMsg) {
        let effects = update(&mut self.app, msg, self.now);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Calls(Do::Run {
                    job, arguments, claim, ..
                }) => {
                    self.commands.push((job, arguments, claim));
                    self.read_at.push(self.read);
                }
                Effect::Calls(Do::Stop { .. }) => self.stopped += 1,
                Effect::Publish { request, message, .. } => self.published.push((request, message)),
                Effect::Save(state) => self.saved = *state,
                _ => {}
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.unix_ms += ms;
        self.now.monotonic_ms += ms;
        self.send(AppMsg::Tick);
    }

    fn asks(&mut self, arguments: &Value) {
        self.log.push(json!({"type": "waitForChannelMessageBegin",
            "data": {"channel": self.channel, "function": {"name": "deploy", "args": arguments}}}));
    }

    fn answered(&mut self, arguments: &Value, message: &Value) {
        self.log.push(json!({"type": "waitForChannelMessageEnd",
            "data": {"channel": self.channel, "function": {"name": "deploy", "args": arguments}, "message": message}}));
    }

    /// Hands over what is new of the log, in batches of this size. `age`: how old the events are said to be.
    fn feed(&mut self, batch: usize, age: u64) {
        while self.read < self.log.len() {
            let end = (self.read + batch.max(1)).min(self.log.len());
            let items = (self.read..end)
                .map(|at| {
                    let text = self.log[at].to_string();
                    Item::Event {
                        id: self.numbered.then_some(at as u64),
                        at: self.numbered.then_some(self.now.unix_ms - age),
                        event: Event::from_json(&text).expect("an event"),
                        raw: text.into_bytes().into(),
                    }
                })
                .collect();
            self.read = end;
            let generation = self.app.channels[&self.run].generation;
            let (channel, connection) = (self.run.clone(), Some(Connection::Live));
            self.send(AppMsg::Feed {
                channel,
                generation,
                batch: FeedBatch { items, connection },
            });
        }
    }

    /// The program ends without a word and is started again; the channel is read from its beginning.
    fn restart(&mut self) {
        let saved = self.saved.clone();
        self.app = App::new("local".into(), self.settings.clone(), saved, (120, 40), self.now);
        self.read = 0;
        self.send(AppMsg::Start);
    }

    /// The watch is taken up again without positions: everything comes once more.
    fn read_anew(&mut self) {
        let generation = self.app.last_generation + 1;
        self.app.last_generation = generation;
        let channel = self.app.channels.get_mut(&self.run).expect("it is watched");
        channel.begin_anew(generation);
        self.read = 0;
    }

    fn ran(&mut self, job: RequestId, result: Result<Value, String>) {
        self.send(AppMsg::Calls(Msg::Ran { job, result }));
    }

    fn notice(&self) -> &str {
        self.app.notice.as_ref().map_or("", |notice| &notice.text)
    }
}

#[test]
fn what_is_allowed_runs_by_itself_and_its_result_is_published_signed() {
    let mut world = World::new("command = [\"./deploy\"]\npolicy = \"allow\"", true);
    world.asks(&json!({"env": "prod"}));
    world.feed(9, 0);
    let [(job, arguments, Some(claim))] = world.commands.as_slice() else {
        panic!("{:?}", world.commands)
    };
    assert_eq!(*arguments, json!({"env": "prod"}));
    assert!(!claim.contains(&world.channel) && claim.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let job = *job;
    assert_ne!(
        world.saved.channels[0].calls,
        SavedOfChannel::default(),
        "written down before it runs"
    );
    world.ran(job, Ok(json!({"ok": true})));
    let (request, message) = world.published[0].clone();
    assert_eq!(message, json!({"data": {"ok": true}, "from": DEVICE}));
    // The server cannot take it yet: it is kept, and sent again.
    world.send(AppMsg::Published {
        request,
        result: Err("it is full".into()),
    });
    assert!(world.notice().contains("not published yet: it is full"));
    world.pass(999);
    assert_eq!(world.published.len(), 1);
    world.pass(1);
    assert_eq!(world.published[1].1, message);
    let request = world.published[1].0;
    world.send(AppMsg::Published {
        request,
        result: Ok(()),
    });
    assert_eq!(world.app.calls.jobs, []);
    // A second call of the same kind in the same run is another call.
    world.answered(&json!({"env": "prod"}), &message);
    world.asks(&json!({"env": "prod"}));
    world.feed(9, 0);
    assert_eq!(world.commands.len(), 2);
    assert_ne!(world.commands[0].2, world.commands[1].2);
}

#[test]
fn what_goes_wrong_is_published_as_an_error() {
    let mut world = World::new(
        "command = [\"./deploy\"]\npolicy = \"allow\"\nparameters = { type = \"object\", properties = { env = { enum = [\"prod\"] } } }\n\
         result = { type = \"boolean\" }",
        true,
    );
    world.asks(&json!({"env": "moon"}));
    world.feed(9, 0);
    assert_eq!(world.commands, [], "arguments that do not fit run nothing");
    let error = world.published[0].1["error"].as_str().expect("an error").to_owned();
    assert!(error.starts_with("the arguments do not fit: at /env: "), "{error}");
    world.answered(&json!({"env": "moon"}), &json!({"error": error}));
    world.asks(&json!({"env": "prod"}));
    world.feed(9, 0);
    let job = world.commands[0].0;
    world.ran(job, Err("./deploy exited with 3".into()));
    assert_eq!(world.published[1].1["error"], "./deploy exited with 3");
    world.answered(&json!({"env": "prod"}), &json!({"error": "x"}));
    world.asks(&json!({"env": "prod"}));
    world.feed(9, 0);
    let job = world.commands[1].0;
    world.ran(job, Ok(json!("yes")));
    let error = world.published[2].1["error"].as_str().expect("an error");
    assert!(error.starts_with("the result of deploy does not fit"), "{error}");
}

#[test]
fn what_is_denied_is_answered_at_once() {
    let mut world = World::new("command = [\"./deploy\"]\npolicy = \"deny\"", true);
    world.asks(&json!({}));
    world.feed(9, 0);
    assert_eq!(world.commands, []);
    assert_eq!(world.published[0].1["error"], "denied by the configuration of laptop-2");
}

#[test]
fn a_person_is_asked_and_always_means_this_command() {
    let mut world = World::new("command = [\"./deploy\"]", true);
    world.asks(&json!({}));
    world.feed(9, 0);
    assert_eq!((world.commands.len(), world.published.len()), (0, 0));
    world.send(AppMsg::Action(Action::Answer));
    world.send(AppMsg::Action(Action::AllowAlways));
    assert_eq!(world.commands.len(), 1);
    let job = world.commands[0].0;
    world.ran(job, Ok(json!(1)));
    world.answered(&json!({}), &json!({"data": 1}));
    world.asks(&json!({"n": 2}));
    world.feed(9, 0);
    assert_eq!(world.commands.len(), 2, "by itself");
    world.answered(&json!({"n": 2}), &json!({"data": 1}));
    world.pass(2_000);
    world.settings = settings("command = [\"./deploy\", \"--force\"]");
    world.restart();
    world.asks(&json!({"n": 3}));
    world.feed(9, 10_000);
    world.pass(5_000);
    assert_eq!(world.commands.len(), 2, "another command is asked about");
    world.settings = settings("command = [\"./deploy\"]");
    world.restart();
    world.feed(9, 10_000);
    world.pass(5_000);
    assert_eq!(world.commands.len(), 3);
}

#[test]
fn a_run_from_elsewhere_runs_nothing_here_unless_a_person_says_so() {
    let mut world = World::new("command = [\"./deploy\"]\npolicy = \"allow\"", true);
    world.channel = "another-result-channel".into();
    world.asks(&json!({}));
    world.feed(9, 0);
    world.pass(10_000);
    assert_eq!(world.commands, []);
    world.send(AppMsg::Action(Action::Answer));
    world.send(AppMsg::Action(Action::AllowAlways));
    assert_eq!(world.commands, []);
    world.send(AppMsg::Action(Action::AllowOnce));
    let [(_, _, None)] = world.commands.as_slice() else {
        panic!("{:?}", world.commands)
    };
    // A kiosk does not even then.
    let mut world = World::new("command = [\"./deploy\"]\npolicy = \"allow\"", true);
    world.app.settings.wall.kiosk = Some(crate::app::wall::kiosk::Settings {
        tiles: None,
        rotate_ms: 1_000,
        only: Vec::new(),
        linger_ms: 1_000,
        linger_failed_ms: 1_000,
        most: 20,
        refresh_ms: 1_000,
    });
    world.asks(&json!({}));
    world.feed(9, 0);
    world.pass(10_000);
    world.send(AppMsg::Action(Action::Answer));
    for action in [
        Action::AllowOnce,
        Action::RunCommand,
        Action::DenyCall,
        Action::PublishAnswer,
        Action::AnswerJson,
    ] {
        world.send(AppMsg::Action(action));
    }
    assert_eq!((world.commands.len(), world.published.len()), (0, 0));
}

#[test]
fn a_replay_runs_nothing_that_was_answered() {
    for numbered in [true, false] {
        let mut world = World::new("command = [\"./deploy\"]\npolicy = \"allow\"", numbered);
        for n in 0..5 {
            world.asks(&json!({ "n": n }));
            world.answered(&json!({ "n": n }), &json!(n));
        }
        world.asks(&json!({"n": 5}));
        // One event at a time: each call stands there as waiting for a moment.
        world.feed(1, 60_000);
        assert_eq!(world.commands, [], "not while more comes");
        world.pass(2_000);
        assert_eq!(world.commands.len(), 1);
        assert_eq!(world.commands[0].1, json!({"n": 5}));
    }
}

#[test]
fn what_was_begun_before_a_restart_is_asked_about() {
    for numbered in [true, false] {
        let mut world = World::new("command = [\"./deploy\"]\npolicy = \"allow\"", numbered);
        world.asks(&json!({}));
        world.feed(9, 0);
        world.pass(2_000);
        assert_eq!(world.commands.len(), 1);
        world.restart();
        world.feed(9, 10_000);
        world.pass(5_000);
        assert_eq!(world.commands.len(), 1, "not again");
        world.send(AppMsg::Action(Action::Inbox));
        let all = waiting(&world.app);
        let told = inbox::standing(&world.app, &all[0]).expect("it is said");
        assert!(told.contains("taken up before"), "{told}");
        world.send(AppMsg::Action(Action::AllowOnce));
        let [_, (_, _, None)] = world.commands.as_slice() else {
            panic!("{:?}", world.commands)
        };
    }
}

#[test]
fn a_result_whose_call_waits_no_longer_is_not_published() {
    let mut world = World::new("command = [\"./deploy\"]\npolicy = \"allow\"", true);
    world.asks(&json!({"n": 1}));
    world.feed(9, 0);
    let job = world.commands[0].0;
    world.answered(&json!({"n": 1}), &json!({"data": 1, "from": "laptop-3"}));
    world.asks(&json!({"n": 2}));
    world.feed(9, 0);
    world.ran(job, Ok(json!("late")));
    assert_eq!(
        world.published,
        [],
        "the other call on this channel is not answered by it"
    );
    assert!(world.notice().contains("answered by laptop-3"), "{}", world.notice());
    // A run that ends takes its command along.
    world.log.push(json!({"type": "error", "data": {"message": "over"}}));
    world.feed(9, 0);
    assert_eq!(world.stopped, 1);
}

#[test]
fn another_program_that_was_first_is_believed() {
    let mut world = World::new("command = [\"./deploy\"]\npolicy = \"allow\"", true);
    world.asks(&json!({}));
    world.feed(9, 0);
    let job = world.commands[0].0;
    world.send(AppMsg::Calls(Msg::Taken { job }));
    world.pass(10_000);
    assert_eq!((world.commands.len(), world.app.calls.jobs.len()), (1, 0));
    assert!(world.notice().is_empty() || world.notice().contains("taken up before"));
}

#[test]
fn a_dispatch_waits_for_ids_enough_for_its_functions() {
    let now = Now::default();
    let mut app = App::new(
        "local".into(),
        settings("command = [\"c\"]"),
        SavedState::default(),
        (80, 24),
        now,
    );
    update(&mut app, AppMsg::FreshIds(vec![ChannelId::from_random([1; 18])]), now);
    let effects = update(&mut app, AppMsg::Submit("one".into()), now);
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::NeedIds(_))),
        "{effects:?}"
    );
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Dispatch { .. })));
    let effects = update(&mut app, AppMsg::FreshIds(vec![ChannelId::from_random([2; 18])]), now);
    let sent = effects.iter().find_map(|effect| match effect {
        Effect::Dispatch { body, .. } => Some(body.complete.functions.len()),
        _ => None,
    });
    assert_eq!(sent, Some(1), "{effects:?}");
    assert!(!matches!(app.overlay, Some(Overlay::Inbox(_))));
}

/// What may happen, in any order.
#[derive(Debug, Clone)]
enum Step {
    Asks(u8),
    Answered,
    Ran,
    Feed {
        batch: usize,
        age: u64,
    },
    Passes(u64),
    Restart,
    ReadAnew,
    /// The server lost its place and runs the iteration again.
    AsksAgain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..2).prop_map(Step::Asks),
        2 => Just(Step::Answered),
        2 => Just(Step::Ran),
        4 => (1_usize..4, prop_oneof![Just(0_u64), Just(60_000)]).prop_map(|(batch, age)| Step::Feed { batch, age }),
        3 => prop_oneof![Just(100_u64), Just(2_500)].prop_map(Step::Passes),
        1 => Just(Step::Restart),
        1 => Just(Step::ReadAnew),
        1 => Just(Step::AsksAgain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_call_is_ever_run_twice(numbered: bool, steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new("command = [\"./deploy\"]\npolicy = \"allow\"", numbered);
        // The call that the server waits for: which one of all, and its arguments.
        let mut open: Option<(usize, Value)> = None;
        let mut asked = 0;
        let mut runs: HashMap<usize, usize> = HashMap::new();
        for step in steps {
            let before = world.commands.len();
            match step {
                Step::Asks(n) => if open.is_none() {
                    let arguments = json!({"n": n});
                    world.asks(&arguments);
                    open = Some((asked, arguments));
                    asked += 1;
                },
                Step::AsksAgain => if let Some((_, arguments)) = open.clone() {
                    world.asks(&arguments);
                },
                Step::Answered => if let Some((_, arguments)) = open.take() {
                    world.answered(&arguments, &json!({"data": 0}));
                },
                Step::Ran => if let Some((job, ..)) = world.commands.last().cloned() {
                    world.ran(job, Ok(json!(1)));
                },
                Step::Feed { batch, age } => world.feed(batch, age),
                Step::Passes(ms) => world.pass(ms),
                Step::Restart => world.restart(),
                Step::ReadAnew => world.read_anew(),
            }
            for ((_, arguments, _), read) in world.commands[before..].iter().zip(&world.read_at[before..]) {
                // What was run is the last call of the log that was handed over.
                let call = world.log[..*read].iter().enumerate().filter(|(_, event)| {
                    event["type"] == "waitForChannelMessageBegin"
                }).map(|(at, _)| at).next_back().expect("a call");
                prop_assert_eq!(&world.log[call]["data"]["function"]["args"], arguments);
                // Asked for again is the same call.
                let first = (0..=call).rev().take_while(|at| world.log[*at]["type"] != "waitForChannelMessageEnd")
                    .filter(|at| world.log[*at]["type"] == "waitForChannelMessageBegin").last().unwrap_or(call);
                let count = runs.entry(first).or_default();
                *count += 1;
                prop_assert_eq!(*count, 1, "the call at {} of {:?}", first, &world.log);
            }
        }
    }
}

#[test]
fn the_inbox_goes_on_when_its_command_has_answered() {
    for published_first in [true, false] {
        let mut world = World::new("command = [\"./approve\"]", true);
        let arguments = json!({"env": "prod"});
        world.asks(&arguments);
        world.feed(10, 0);
        world.send(AppMsg::Action(Action::Inbox));
        world.send(AppMsg::Action(Action::AllowOnce));
        let job = world.commands[0].0;
        world.send(AppMsg::Calls(Msg::Ran {
            job,
            result: Ok(json!(true)),
        }));
        let (request, message) = world.published[0].clone();
        world.answered(&arguments, &message);
        if !published_first {
            world.feed(10, 0);
        }
        world.send(AppMsg::Published {
            request,
            result: Ok(()),
        });
        world.feed(10, 0);
        assert_eq!(world.app.overlay, None, "nothing else waits");
        assert_eq!(
            world.app.notice.as_ref().map(|notice| notice.text.as_str()),
            Some("Answered deploy")
        );
    }
}

#[test]
fn an_answer_by_hand_is_what_was_promised_or_says_what_went_wrong() {
    let mut world = World::new(
        "[result]\ntype = \"object\"\nrequired = [\"ring\"]\n[result.properties]\nring = { type = \"string\", minLength = 3 }",
        true,
    );
    let arguments = json!({});
    world.asks(&arguments);
    world.feed(10, 0);
    world.send(AppMsg::Action(Action::Inbox));
    world.send(AppMsg::Action(Action::NextField));
    world.send(AppMsg::DialogueChanged("x".into()));
    world.send(AppMsg::Action(Action::PublishAnswer));
    let Some(Overlay::Inbox(inbox)) = &world.app.overlay else {
        panic!("{:?}", world.app.overlay)
    };
    let error = inbox.error.clone().unwrap_or_default();
    assert!(error.contains("does not fit: at /ring"), "{error}");
    world.send(AppMsg::Action(Action::AnswerJson));
    for wrong in ["true", "{\"data\": {\"ring\": 1}}"] {
        world.send(AppMsg::DialogueSubmit(wrong.into()));
        assert!(world.published.is_empty(), "{wrong}");
    }
    world.send(AppMsg::DialogueSubmit("{\"ring\": \"canary\"}".into()));
    let (request, message) = world.published[0].clone();
    assert_eq!(message["data"], json!({"ring": "canary"}));
    world.send(AppMsg::Published {
        request,
        result: Ok(()),
    });
    assert_eq!(world.app.overlay, None, "nothing else waits");
    world.answered(&arguments, &message);
    world.asks(&json!({"again": 1}));
    world.feed(10, 0);
    world.send(AppMsg::Action(Action::Inbox));
    world.send(AppMsg::Action(Action::AnswerJson));
    world.send(AppMsg::DialogueSubmit("{\"error\": \"no\"}".into()));
    assert_eq!(world.published[1].1["error"], json!("no"));
}
