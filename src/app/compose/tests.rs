//! Rules of the compose box: threads, queued prompts, drafts, history, presets, files.

use serde_json::json;

use super::super::action::Action;
use super::super::state::SavedState;
use super::super::{App, Effect, Msg, Now, Settings, update};
use super::attach::{File, Found};
use super::history::Sent;
use super::{Do, Mode, Preset};
use crate::transcript::{BlockKind, Connection, FeedBatch, Item, Status};
use crate::wire::event::MessageKind;
use crate::wire::{ChannelId, DispatchRequest, Event};

fn now(at: u64) -> Now {
    Now {
        unix_ms: 1_700_000_000_000 + at,
        monotonic_ms: at,
    }
}

struct Play {
    app: App,
    at: u64,
    effects: Vec<Effect>,
    ids: u8,
}

impl Play {
    fn new() -> Self {
        Self::with(SavedState::default(), Settings::default())
    }

    fn with(saved: SavedState, settings: Settings) -> Self {
        let mut play = Self {
            app: App::new("local".to_owned(), settings, saved, (80, 24), now(0)),
            at: 0,
            effects: Vec::new(),
            ids: 0,
        };
        play.send(Msg::Start);
        play.ids = 100;
        let ids = (0..20).map(|n| ChannelId::from_random([n + 1; 18])).collect();
        play.send(Msg::FreshIds(ids));
        play
    }

    fn send(&mut self, msg: Msg) {
        self.at += 1;
        self.effects = update(&mut self.app, msg, now(self.at));
    }

    fn act(&mut self, action: Action) {
        self.send(Msg::Action(action));
    }

    fn type_and_send(&mut self, text: &str) {
        self.send(Msg::DraftChanged(text.to_owned()));
        self.send(Msg::Submit(text.to_owned()));
    }

    fn selected(&self) -> ChannelId {
        self.app.selected.clone().expect("a channel is selected")
    }

    fn dispatched(&self) -> Option<&DispatchRequest> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Dispatch { body, .. } => Some(&**body),
            _ => None,
        })
    }

    fn accept(&mut self) {
        let Some((request, channel, _)) = self.app.dispatches.last().cloned() else {
            panic!("nothing was dispatched")
        };
        let result = Ok(channel.clone());
        self.send(Msg::Dispatched {
            request,
            channel,
            result,
        });
    }

    fn refuse(&mut self) {
        let Some((request, channel, _)) = self.app.dispatches.last().cloned() else {
            panic!("nothing was dispatched")
        };
        let result = Err("no".to_owned());
        self.send(Msg::Dispatched {
            request,
            channel,
            result,
        });
    }

    fn feed(&mut self, events: &[serde_json::Value]) {
        let id = self.selected();
        let channel = &self.app.channels[&id];
        let (generation, from) = (
            channel.generation,
            channel.transcript.last_id().map_or(0, |last| last + 1),
        );
        let at = now(self.at).unix_ms;
        let items = events
            .iter()
            .zip(from..)
            .map(|(event, position)| {
                let text = event.to_string();
                Item::Event {
                    id: Some(position),
                    at: Some(at),
                    event: Event::from_json(&text).expect("an event"),
                    raw: text.into_bytes().into(),
                }
            })
            .collect();
        let batch = FeedBatch {
            items,
            connection: Some(Connection::Live),
        };
        self.send(Msg::Feed {
            channel: id,
            generation,
            batch,
        });
    }

    /// The run's whole course.
    fn run(&mut self, prompt: &str, answer: &str, reason: &str) {
        self.feed(&[message("user", prompt), begin(), message("bot", answer), end(reason)]);
    }

    fn texts(&self) -> Vec<String> {
        let channel = &self.app.channels[&self.selected()];
        channel
            .transcript
            .blocks()
            .filter_map(|block| match &block.kind {
                BlockKind::Prompt { text, .. } => Some(format!("> {text}")),
                BlockKind::Answer { text, .. } => Some(text.clone()),
                _ => None,
            })
            .collect()
    }

    fn notice(&self) -> &str {
        self.app.notice.as_ref().map_or("", |notice| notice.text.as_str())
    }
}

fn message(kind: &str, text: &str) -> serde_json::Value {
    json!({"type": "message", "data": {"type": kind, "text": text}})
}

fn begin() -> serde_json::Value {
    json!({"type": "completeBegin", "data": {"instance": "i", "iteration": 1}})
}

fn end(reason: &str) -> serde_json::Value {
    json!({"type": "result", "data": {"text": "", "usage": {"token": 1}, "end": {"reason": reason}}})
}

fn said(request: &DispatchRequest) -> Vec<(MessageKind, &str)> {
    let messages = request.complete.messages.iter();
    messages
        .map(|message| (message.kind.clone(), message.text.as_str()))
        .collect()
}

/// A thread whose first run ended; Enter continues it.
fn thread() -> Play {
    let mut play = Play::new();
    play.type_and_send("one");
    play.accept();
    play.run("one", "first answer", "stop");
    play.act(Action::SwitchThread);
    play
}

#[test]
fn a_thread_sends_the_whole_conversation_and_is_one_channel() {
    let mut play = thread();
    let first = play.selected();
    play.type_and_send("two");
    let request = play.dispatched().expect("sent").clone();
    assert_eq!(
        said(&request),
        [
            (MessageKind::User, "one"),
            (MessageKind::Bot, "first answer"),
            (MessageKind::User, "two")
        ]
    );
    let second = play.selected();
    assert_ne!(first, second, "a channel holds one run");
    assert_eq!(request.channel_id.as_ref(), Some(&second));
    assert_eq!(play.app.channels.len(), 1);
    assert_eq!(play.app.channels[&second].title, "one");
    assert!(play.effects.contains(&Effect::Unwatch { channel: first }));
    assert_eq!(play.app.channels[&second].transcript.status(), Status::Empty);
    play.accept();
    play.feed(&[message("user", "two")]);
    assert_eq!(play.app.channels[&second].transcript.status(), Status::Queued);
    play.feed(&[begin(), message("bot", "second answer"), end("stop")]);
    assert_eq!(play.texts(), ["> one", "first answer", "> two", "second answer"]);
    assert_eq!(play.app.channels[&second].transcript.plain_answer(), "second answer");
    // And on, over a restart of the program.
    let saved = play.app.saved_state();
    let mut play = Play::with(saved, Settings::default());
    assert_eq!(play.texts(), ["> one", "first answer"], "the server brings the rest");
    assert_eq!(play.app.compose.mode, Mode::Continue);
    play.run("two", "second answer", "stop");
    play.app.fresh_ids = vec![ChannelId::from_random([99; 18])];
    play.type_and_send("three");
    let request = play.dispatched().expect("sent").clone();
    assert_eq!(said(&request).len(), 5);
    assert_eq!(said(&request)[3], (MessageKind::Bot, "second answer"));
}

#[test]
fn a_thread_that_no_server_takes_is_as_it_was() {
    let mut play = thread();
    let first = play.selected();
    play.type_and_send("two");
    play.send(Msg::DraftChanged("typed since".to_owned()));
    play.refuse();
    assert_eq!(play.selected(), first);
    assert_eq!(play.texts(), ["> one", "first answer"]);
    assert_eq!(play.app.draft, "two\n\ntyped since");
    assert!(play.notice().contains("Not sent: no"), "{}", play.notice());
    play.type_and_send("two");
    assert_eq!(said(play.dispatched().expect("sent")).len(), 3);
}

#[test]
fn a_prompt_whose_run_failed_is_sent_along_and_shown_once() {
    let mut play = Play::new();
    play.type_and_send("one");
    play.accept();
    play.feed(&[
        message("user", "one"),
        json!({"type": "error", "data": {"message": "busy"}}),
    ]);
    play.act(Action::SwitchThread);
    play.type_and_send("try again");
    assert_eq!(
        said(play.dispatched().expect("sent")),
        [(MessageKind::User, "one"), (MessageKind::User, "try again")]
    );
    play.accept();
    // The server shows all messages after the last one of the bot.
    play.feed(&[message("user", "one"), message("user", "try again"), begin()]);
    assert_eq!(play.texts(), ["> one", "> try again"]);
    assert!(play.app.channels[&play.selected()].state(now(play.at)).is_open());
}

#[test]
fn an_incomplete_conversation_is_said_before_it_is_sent() {
    let mut play = Play::new();
    play.type_and_send("one");
    play.accept();
    let id = play.selected();
    let generation = play.app.channels[&id].generation;
    let batch = FeedBatch {
        items: vec![Item::Gap { missing: Some(7) }],
        connection: None,
    };
    play.send(Msg::Feed {
        channel: id,
        generation,
        batch,
    });
    play.run("one", "the end of it", "stop");
    play.act(Action::SwitchThread);
    play.type_and_send("two");
    assert!(play.dispatched().is_none());
    assert!(
        play.notice().contains("only what is shown goes along"),
        "{}",
        play.notice()
    );
    assert_eq!(play.app.draft, "two", "nothing is lost");
    play.send(Msg::Submit("two".to_owned()));
    assert!(play.dispatched().is_some());
}

#[test]
fn a_follow_up_waits_for_the_end_and_is_sent_by_itself() {
    let mut play = Play::new();
    play.type_and_send("one");
    play.accept();
    play.feed(&[message("user", "one"), begin()]);
    play.act(Action::SwitchThread);
    play.type_and_send("two");
    play.type_and_send("three");
    assert!(play.dispatched().is_none());
    let id = play.selected();
    assert_eq!(play.app.channels[&id].compose.queue.len(), 2);
    assert_eq!(play.app.draft, "");
    play.act(Action::TakeBackQueued);
    assert_eq!(play.app.draft, "three", "the last one comes back");
    play.type_and_send("three!");
    play.feed(&[message("bot", "first answer"), end("stop")]);
    let request = play.dispatched().expect("it is sent by itself").clone();
    assert_eq!(said(&request).last(), Some(&(MessageKind::User, "two")));
    play.accept();
    play.run("two", "second answer", "stop");
    let request = play.dispatched().expect("and the next one").clone();
    assert_eq!(said(&request).len(), 5);
    assert_eq!(said(&request).last(), Some(&(MessageKind::User, "three!")));
    assert_eq!(play.app.channels.len(), 1);
}

#[test]
fn a_follow_up_of_a_run_that_failed_stays_until_the_person_says_so() {
    for (reason, why) in [("abort", "cancelled"), ("error", "failed")] {
        let mut play = Play::new();
        play.type_and_send("one");
        play.accept();
        play.feed(&[message("user", "one"), begin()]);
        play.act(Action::SwitchThread);
        play.type_and_send("two");
        play.feed(&[message("bot", "half"), end(reason)]);
        assert!(play.dispatched().is_none());
        let channel = &play.app.channels[&play.selected()];
        assert_eq!(channel.compose.queue.len(), 1);
        let state = super::thread::queue_state(channel);
        assert!(
            matches!(state, super::thread::QueueState::Stuck(text) if text.contains(why)),
            "{state:?}"
        );
        // Enter in the empty box sends it.
        play.send(Msg::Submit(String::new()));
        assert_eq!(
            said(play.dispatched().expect("sent")).last(),
            Some(&(MessageKind::User, "two"))
        );
    }
}

#[test]
fn what_was_queued_in_an_earlier_session_is_kept_and_does_not_send_itself() {
    let mut play = Play::new();
    play.type_and_send("one");
    play.accept();
    play.feed(&[message("user", "one"), begin()]);
    play.act(Action::SwitchThread);
    play.type_and_send("two");
    let saved = play.app.saved_state();
    let mut play = Play::with(saved, Settings::default());
    play.run("one", "answer", "stop");
    assert!(play.dispatched().is_none(), "another program may have sent it");
    play.app.fresh_ids = vec![ChannelId::from_random([99; 18])];
    play.send(Msg::Submit(" ".to_owned()));
    assert!(play.dispatched().is_some());
}

#[test]
fn what_was_queued_earlier_waits_for_its_user_also_behind_another_prompt() {
    let mut play = Play::new();
    play.type_and_send("one");
    play.accept();
    play.feed(&[message("user", "one"), begin()]);
    play.act(Action::SwitchThread);
    play.type_and_send("two");
    let saved = play.app.saved_state();
    let mut play = Play::with(saved, Settings::default());
    play.run("one", "answer", "stop");
    play.app.fresh_ids = vec![ChannelId::from_random([98; 18]), ChannelId::from_random([99; 18])];
    play.type_and_send("three");
    assert!(play.dispatched().is_some());
    play.accept();
    play.run("three", "answer", "stop");
    assert!(play.dispatched().is_none(), "two is still the other session's");
    let channel = &play.app.channels[&play.selected()];
    assert_eq!(channel.compose.queue.len(), 1);
}

#[test]
fn drafts_belong_to_their_threads_and_one_to_new_runs() {
    let mut play = thread();
    let first = play.selected();
    play.send(Msg::DraftChanged("for the thread".to_owned()));
    play.act(Action::SwitchThread);
    assert_eq!(play.app.draft, "for the thread", "what was being typed goes along");
    play.send(Msg::DraftChanged("for a new run".to_owned()));
    play.act(Action::SwitchThread);
    assert_eq!(play.app.draft, "for a new run");
    play.send(Msg::DraftChanged("thread".to_owned()));
    play.act(Action::SwitchThread);
    play.send(Msg::DraftChanged(String::new()));
    play.type_and_send("other");
    play.accept();
    play.run("other", "yes", "stop");
    let other = play.selected();
    play.send(Msg::DraftChanged("new".to_owned()));
    play.app.compose.mode = Mode::Continue;
    play.send(Msg::SelectIndex(0));
    play.send(Msg::DraftChanged("to the other".to_owned()));
    let saved = play.app.saved_state();
    assert_eq!(saved.draft, "new");
    let draft_of = |id: &ChannelId| {
        let channel = saved.channels.iter().find(|channel| channel.id == *id);
        channel.map(|channel| channel.compose.draft.clone()).expect("saved")
    };
    assert_eq!(draft_of(&other), "to the other");
    assert_eq!(draft_of(&first), "");
    // The mark moves: so does the draft.
    play.act(Action::SelectLast);
    assert_eq!(play.selected(), first);
    assert_eq!(play.app.draft, "");
    // A channel that goes leaves its draft behind.
    play.act(Action::SelectFirst);
    play.act(Action::StopWatching);
    play.app.compose.mode = Mode::New;
    play.send(Msg::Tick);
    play.send(Msg::Resize(80, 25));
    assert_eq!(play.app.draft, "to the other\n\nnew");
    let again = Play::with(saved, Settings::default());
    assert_eq!(again.app.draft, "to the other");
}

#[test]
fn the_arrows_go_through_what_was_sent_and_what_was_typed_comes_back() {
    let mut play = Play::new();
    let read = ["a", "b", "b"].map(|text| Sent {
        at: 1,
        text: text.into(),
    });
    play.type_and_send("c");
    assert!(
        play.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Compose(Do::Remember(sent)) if &*sent.text == "c"))
    );
    play.send(Msg::Compose(super::Msg::History(read.to_vec())));
    play.send(Msg::DraftChanged("typed".to_owned()));
    let mut seen = Vec::new();
    for _ in 0..4 {
        play.act(Action::HistoryBack);
        seen.push(play.app.draft.clone());
    }
    assert_eq!(seen, ["c", "b", "a", "a"]);
    assert!(play.notice().contains("oldest"));
    for expected in ["b", "c", "typed", "typed"] {
        play.act(Action::HistoryForward);
        assert_eq!(play.app.draft, expected);
    }
    play.act(Action::SearchHistory);
    play.send(Msg::DialogueChanged("a".to_owned()));
    play.send(Msg::DialogueSubmit("a".to_owned()));
    assert_eq!(play.app.draft, "a");
    play.act(Action::HistoryForward);
    assert_eq!(play.app.draft, "typed", "nothing is lost");
}

fn presets() -> Settings {
    let preset = |name: &str, model: &str| Preset {
        name: name.to_owned(),
        model: Some(model.to_owned()),
        iterations: Some(2),
        ..Preset::default()
    };
    let mut settings = Settings::default();
    settings.compose.presets = vec![preset("review", "large"), preset("fast", "small")];
    settings.compose.default_preset = Some("review".to_owned());
    settings
}

#[test]
fn a_preset_is_what_prompts_are_sent_with() {
    let mut play = Play::with(SavedState::default(), presets());
    assert_eq!(play.app.preset_name(), "review");
    play.type_and_send("one");
    let request = play.dispatched().expect("sent");
    assert_eq!(request.complete.model.as_deref(), Some("large"));
    assert_eq!(
        request.complete.limits.as_ref().and_then(|limits| limits.iterations),
        Some(2)
    );
    play.type_and_send("/preset fsat two");
    assert!(play.dispatched().is_none());
    assert!(play.notice().contains("did you mean fast?"), "{}", play.notice());
    assert_eq!(play.app.draft, "/preset fsat two", "nothing is lost");
    play.type_and_send("/preset fast two");
    let request = play.dispatched().expect("sent");
    assert_eq!(request.complete.model.as_deref(), Some("small"));
    assert_eq!(request.complete.messages[0].text, "two");
    play.type_and_send("/preset default");
    play.type_and_send("three");
    assert_eq!(play.dispatched().expect("sent").complete.model, None);
    // Picked from the list.
    play.act(Action::Presets);
    play.send(Msg::DialogueChanged("fa".to_owned()));
    play.send(Msg::DialogueSubmit("fa".to_owned()));
    assert_eq!(play.app.preset_name(), "fast");
    let saved = play.app.saved_state();
    assert_eq!(Play::with(saved, presets()).app.preset_name(), "fast");
    // A race says itself what each of its runs is sent with.
    let target = super::Target {
        preset: None,
        model: Some("tiny".to_owned()),
    };
    let mut effects = Vec::new();
    let id = super::dispatch_with(&mut play.app, "race", target, &mut effects);
    assert_eq!(id, play.app.selected);
    play.effects = effects;
    let request = play.dispatched().expect("sent");
    assert_eq!(request.complete.model.as_deref(), Some("tiny"));
}

#[test]
fn files_are_read_before_a_prompt_is_sent_and_nothing_is_lost() {
    let text = "look at @a.rs and @gone";
    let mut play = Play::new();
    play.send(Msg::DraftChanged(text.to_owned()));
    assert!(play.effects.is_empty(), "not with every key");
    let due = play.app.next_tick().expect("soon");
    play.at = due;
    play.send(Msg::Tick);
    let read = |play: &Play| {
        play.effects.iter().find_map(|effect| match effect {
            Effect::Compose(Do::Read { request, words, texts }) => Some((*request, words.clone(), *texts)),
            _ => None,
        })
    };
    let (request, words, texts) = read(&play).expect("looked at");
    assert_eq!((words.len(), texts), (2, false));
    let file = |word: &str, found: Found| File {
        word: word.to_owned(),
        found,
    };
    let found = |text: Option<&str>| Found::Text {
        path: "a.rs".to_owned(),
        bytes: 3174,
        text: text.map(str::to_owned),
    };
    let files = vec![file("a.rs", found(None)), file("gone", Found::Missing)];
    play.send(Msg::Compose(super::Msg::Files { request, files }));
    assert_eq!(
        super::attach::summary(play.app.compose.files.found()),
        "1 file, 3.0 KB attached   @gone is no file here"
    );
    // A missing one is said once.
    let answer = |play: &mut Play, second: Found| {
        play.send(Msg::Submit(text.to_owned()));
        let (request, _, texts) = read(play).expect("read");
        assert!(texts);
        let files = vec![file("a.rs", found(Some("fn a() {}"))), file("gone", second)];
        play.send(Msg::Compose(super::Msg::Files { request, files }));
    };
    answer(&mut play, Found::Missing);
    assert!(play.dispatched().is_none() && play.app.draft == text);
    assert!(play.notice().contains("@gone is no file here"), "{}", play.notice());
    // One that cannot go along stops the prompt.
    answer(&mut play, Found::Refused("is no text (UTF-8)".to_owned()));
    assert!(play.dispatched().is_none() && play.app.draft == text);
    assert!(
        play.notice().contains("Not sent: @gone is no text"),
        "{}",
        play.notice()
    );
    answer(&mut play, Found::Missing);
    let request = play.dispatched().expect("sent at the second time");
    let prompt = &request.complete.messages[0].text;
    assert_eq!(prompt, "look at @a.rs and @gone\n\na.rs:\n```rs\nfn a() {}\n```");
    assert_eq!(play.app.draft, "");
    // An answer that nobody waits for changes nothing.
    play.send(Msg::Submit("see @b".to_owned()));
    let (request, ..) = read(&play).expect("read");
    play.send(Msg::DraftChanged("something else".to_owned()));
    let files = vec![file("b", found(Some("x")))];
    play.send(Msg::Compose(super::Msg::Files { request, files }));
    assert!(play.dispatched().is_none() && play.app.draft == "something else");
}

#[test]
fn a_folded_paste_is_sent_whole_and_saved_with_its_draft() {
    let mut play = Play::new();
    let long = "line\n".repeat(50);
    let super::pastes::Fold::Yes(mark) = play.app.compose.pastes.fold(&long) else {
        panic!("not folded")
    };
    play.send(Msg::Compose(super::Msg::Pasted {
        mark,
        text: long.as_str().into(),
    }));
    play.send(Msg::DraftChanged(format!("why? {mark}")));
    assert_eq!(play.app.draft_characters(), 5 + 250);
    let saved = play.app.saved_state();
    let mut play = Play::with(saved, Settings::default());
    assert_eq!(play.app.draft, format!("why? {mark}"));
    let draft = play.app.draft.clone();
    play.send(Msg::Submit(draft));
    assert_eq!(
        play.dispatched().expect("sent").complete.messages[0].text,
        format!("why? {long}")
    );
    assert!(play.app.compose.pastes.get(mark).is_some(), "it may come back");
    play.refuse();
    assert_eq!(play.app.draft, format!("why? {mark}"));
    // In an editor it is whole, and folded again behind it.
    super::edited(&mut play.app, &format!("why, oh why? {long}"));
    assert_eq!(play.app.draft, format!("why, oh why? {mark}"));
}
