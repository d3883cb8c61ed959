//! What is told, in which words, and what is typed.

use serde_json::{Value, json};

use super::*;
use crate::app::{SavedState, Settings};
use crate::transcript::{FeedBatch, Item};
use crate::wire::Event;

struct Play {
    app: App,
    now: Now,
    linear: Linear,
    effects: Vec<Effect>,
}

impl Play {
    fn new() -> Self {
        let now = Now {
            unix_ms: 1_700_000_000_000,
            monotonic_ms: 0,
        };
        let (settings, saved) = (Settings::default(), SavedState::default());
        let mut app = App::new("local".to_owned(), settings, saved, (80, 24), now);
        let ids = (1..9).map(|n| ChannelId::from_random([n; 18])).collect();
        update(&mut app, Msg::FreshIds(ids), now);
        Self {
            app,
            now,
            linear: Linear::new(now),
            effects: Vec::new(),
        }
    }

    fn typed(&mut self, line: &str) -> Vec<String> {
        let (effects, mut lines) = self.linear.typed(&mut self.app, line, self.now);
        self.effects = effects;
        lines.extend(self.linear.report(&self.app, None));
        lines
    }

    fn feed(&mut self, events: &[Value]) -> Vec<String> {
        let id = self.app.selected.clone().expect("a channel");
        let generation = self.app.channels[&id].generation;
        let items = events.iter().map(|event| Item::Event {
            id: None,
            at: Some(self.now.unix_ms),
            event: Event::from_json(&event.to_string()).expect("an event"),
            raw: event.to_string().into_bytes().into(),
        });
        let batch = FeedBatch {
            items: items.collect(),
            connection: Some(Connection::Live),
        };
        let channel = id.clone();
        update(
            &mut self.app,
            Msg::Feed {
                channel,
                generation,
                batch,
            },
            self.now,
        );
        self.linear.report(&self.app, Some(&id))
    }
}

fn token(text: &str) -> Value {
    json!({"type": "token", "data": {"token": text}})
}

fn begin() -> Value {
    json!({"type": "completeBegin", "data": {"instance": "i", "iteration": 1}})
}

fn wait() -> Value {
    json!({"type": "waitForChannelMessageBegin", "data": {"channel": "wait-8f3c0123456789abcdef",
        "function": {"name": "approve_deploy", "args": {"env": "prod"}}, "expiresAt": 1_700_000_900_000_u64}})
}

#[test]
fn a_run_is_told_by_whole_sentences_with_labels() {
    let mut play = Play::new();
    assert_eq!(play.typed("research"), ["[1 research] queued"]);
    let user = json!({"type": "message", "data": {"type": "user", "text": "research"}});
    assert_eq!(play.feed(&[user]), ["[1 research] you: research"]);
    assert_eq!(play.feed(&[begin(), token("It is go")]), ["[1 research] live"]);
    assert_eq!(play.feed(&[token("od. And it")]), ["[1 research] answer: It is good."]);
    assert_eq!(
        play.feed(&[token(" is\n\nshort\u{1b}[31m.\n")]),
        ["[1] And it is", "[1] short^[[31m."]
    );
    let end = json!({"type": "result", "data": {"text": "", "usage": {"token": 1}, "end": {"reason": "stop"}}});
    play.now.unix_ms += 65_000;
    assert_eq!(
        play.feed(&[token("Bye"), end]),
        ["[1] Bye", "[1 research] done, 4 tokens, took 1 min 5 s"]
    );
    assert!(play.linear.is_at_rest(&play.app));
    let list = play.typed("/list");
    assert_eq!(list, ["1 research, done, 4 tokens, 1 min 5 s"]);
    let again = play.typed("/open 1");
    assert_eq!(
        again,
        [
            "[1 research] from its beginning:",
            "[1 research] you: research",
            "[1 research] answer: It is good. And it is",
            "[1] short^[[31m.",
            "[1] Bye"
        ]
    );
}

#[test]
fn a_call_that_waits_says_how_it_is_answered_and_is() {
    let mut play = Play::new();
    play.typed("deploy");
    let lines = play.feed(&[begin(), wait()]);
    let call = "[1 deploy] waits for an answer: approve_deploy(env: \"prod\"). Answer with /answer 1 JSON";
    assert_eq!(lines, ["[1 deploy] you: deploy", call]);
    let shown = play.typed("/answer 1");
    assert_eq!(
        shown[0],
        "[1 deploy] waits for the answer to approve_deploy with these arguments:"
    );
    let wrong = play.typed("/answer 1 yes");
    assert!(
        wrong[0].starts_with("Not published: this is not JSON") && play.effects.is_empty(),
        "{wrong:?}"
    );
    assert!(play.typed("/answer 1 {\"approved\": true}").is_empty());
    let [Effect::Publish { channel, message, .. }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    assert_eq!(channel.as_str(), "wait-8f3c0123456789abcdef");
    assert_eq!(*message, json!({"data": {"approved": true}}));
}

#[test]
fn a_configured_command_answers_when_it_is_allowed_and_a_call_can_be_denied() {
    let mut play = Play::new();
    play.typed("deploy");
    play.feed(&[begin(), wait()]);
    assert_eq!(
        play.typed("/allow 1"),
        ["No command is configured for approve_deploy; /answer writes the answer."]
    );
    let function = toml::from_str("description = \"d\"\ncommand = [\"./approve\"]").expect("a function");
    let functions = &mut play.app.settings.calls.functions;
    functions.insert("approve_deploy".to_owned(), std::sync::Arc::new(function));
    play.typed("/deny 1 not today");
    let [Effect::Publish { message, .. }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    assert_eq!(message["error"], "denied by this terminal: not today");
    play.typed("/allow 1");
    let runs = |effect: &Effect| matches!(effect, Effect::Calls(calls::Do::Run { .. }));
    assert!(play.effects.iter().any(runs), "{:?}", play.effects);
}

#[test]
fn a_channel_that_is_not_open_tells_only_what_matters() {
    let mut play = Play::new();
    play.typed("one");
    let one = play.app.selected.clone();
    play.typed("two");
    play.app.selected = one;
    assert_eq!(play.feed(&[begin(), token("Hidden. Text.")]), ["[1 one] live"]);
    let lines = play.feed(&[wait()]);
    assert!(lines[0].starts_with("[1 one] waits for an answer"), "{lines:?}");
}

#[test]
fn commands_say_what_they_need() {
    let mut play = Play::new();
    assert_eq!(
        play.typed("/open 7"),
        ["/open needs the number of a channel; /list names them."]
    );
    assert_eq!(play.typed("/dance"), ["There is no command /dance; /help lists them."]);
    assert_eq!(play.typed("/list"), ["No channel is watched yet."]);
    assert!(play.typed("/watch short")[0].starts_with("Not watched:"));
    assert_eq!(play.app.overlay, None);
    assert!(play.typed("").is_empty());
    assert_eq!(play.typed("//not a command"), ["[1 /not a command] queued"]);
    let id = ChannelId::from_random([99; 18]);
    play.typed(&format!("/watch {id}"));
    assert_eq!(play.linear.open(), Some(&id));
    play.typed("/stop 2");
    assert!(!play.app.channels.contains_key(&id));
    play.typed("/quit");
    assert!(play.effects.contains(&Effect::Quit), "{:?}", play.effects);
}

#[test]
fn a_conversation_is_gone_on_with_when_that_is_said() {
    let mut play = Play::new();
    let end = json!({"type": "result", "data": {"text": "", "usage": {"token": 1}, "end": {"reason": "stop"}}});
    play.typed("one");
    play.feed(&[
        json!({"type": "message", "data": {"type": "user", "text": "one"}}),
        begin(),
        token("Yes."),
        end,
    ]);
    let said = play.typed("/continue 1");
    assert_eq!(said, ["[1 one] is gone on with; /new ends that."]);
    let messages = |play: &Play| {
        let Some(Effect::Dispatch { body, .. }) = play
            .effects
            .iter()
            .find(|effect| matches!(effect, Effect::Dispatch { .. }))
        else {
            panic!("{:?}", play.effects)
        };
        body.complete.messages.len()
    };
    play.typed("and?");
    assert_eq!(messages(&play), 3, "the whole conversation goes along");
    assert_eq!(play.typed("/new"), ["Prompts start new runs from now on."]);
    play.typed("two");
    assert_eq!(messages(&play), 1);
}
