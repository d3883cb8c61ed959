//! The rules as a table of what happens and what comes of it.

use serde_json::json;

use super::action::Action;
use super::dialogue::{check, envelope};
use super::state::{Ask, Focus, JsonCheck, Overlay, SavedChannel};
use super::*;
use crate::transcript::{Connection, FeedBatch, Item};
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

fn app() -> App {
    let mut app = App::new(
        "local".to_owned(),
        Settings::default(),
        SavedState::default(),
        (120, 40),
        now(0),
    );
    update(&mut app, Msg::Start, now(0));
    update(&mut app, Msg::FreshIds((1..9).map(id).collect()), now(0));
    app
}

fn dispatch(app: &mut App, prompt: &str) -> (RequestId, ChannelId) {
    let effects = update(app, Msg::Submit(prompt.to_owned()), now(1));
    let found = effects.into_iter().find_map(|effect| match effect {
        Effect::Dispatch { request, channel, .. } => Some((request, channel)),
        _ => None,
    });
    found.expect("a dispatch")
}

fn feed(app: &mut App, channel: &ChannelId, generation: u64, json: &serde_json::Value) -> Vec<Effect> {
    let text = json.to_string();
    let item = Item::Event {
        id: None,
        at: None,
        event: Event::from_json(&text).expect("an event"),
        raw: text.into_bytes().into(),
    };
    let batch = FeedBatch {
        items: vec![item],
        connection: Some(Connection::Live),
    };
    update(
        app,
        Msg::Feed {
            channel: channel.clone(),
            generation,
            batch,
        },
        now(10),
    )
}

#[test]
fn a_dispatch_is_watched_first_listed_first_and_selected() {
    let mut app = app();
    let (_, one) = dispatch(&mut app, "one");
    let effects = update(&mut app, Msg::Submit("two\nlines".to_owned()), now(2));
    assert!(
        matches!(&effects[0], Effect::Watch { channel, .. } if Some(channel) == app.selected.as_ref()),
        "{effects:?}"
    );
    assert!(matches!(&effects[1], Effect::Dispatch { body, .. } if body.complete.messages[0].text == "two\nlines"));
    assert!(matches!(&effects[2], Effect::Save(saved) if saved.channels.len() == 2));
    let titles: Vec<&str> = app.channels.values().map(|channel| channel.title.as_str()).collect();
    assert_eq!(titles, ["two", "one"]);
    assert_ne!(app.selected, Some(one));
}

#[test]
fn a_prompt_waits_for_a_fresh_id() {
    let mut app = App::new(
        "local".to_owned(),
        Settings::default(),
        SavedState::default(),
        (80, 24),
        now(0),
    );
    let effects = update(&mut app, Msg::Submit("early".to_owned()), now(0));
    assert!(matches!(effects[0], Effect::NeedIds(_)), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Dispatch { .. })));
    let effects = update(&mut app, Msg::FreshIds(vec![id(1)]), now(0));
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Dispatch { .. })),
        "{effects:?}"
    );
}

#[test]
fn a_failed_dispatch_gives_the_draft_back_and_says_why() {
    for (typed, expected) in [("", "one"), ("next", "one\n\nnext")] {
        let mut app = app();
        let (request, channel) = dispatch(&mut app, "one");
        assert_eq!(app.draft, "");
        update(&mut app, Msg::DraftChanged(typed.to_owned()), now(2));
        let before = app.draft_revision;
        let result = Err("the server refused it".to_owned());
        let effects = update(
            &mut app,
            Msg::Dispatched {
                request,
                channel: channel.clone(),
                result,
            },
            now(3),
        );
        assert_eq!(app.draft, expected);
        assert!(app.draft_revision > before, "the compose box takes it over");
        assert!(
            app.notice
                .as_ref()
                .is_some_and(|notice| notice.error && notice.text.contains("refused"))
        );
        assert!(effects.contains(&Effect::Unwatch { channel }), "{effects:?}");
        assert!(app.channels.is_empty() && app.selected.is_none());
    }
}

#[test]
fn batches_of_another_watch_are_stale() {
    let mut app = app();
    let (_, channel) = dispatch(&mut app, "one");
    let generation = app.channels[&channel].generation;
    let before = app.revision();
    let token = json!({"type": "token", "data": {"token": "x"}});
    feed(&mut app, &channel, generation + 1, &token);
    feed(&mut app, &id(99), generation, &token);
    assert_eq!((app.revision(), app.channels[&channel].tokens()), (before, 0));
    feed(&mut app, &channel, generation, &token);
    assert_eq!(app.channels[&channel].tokens(), 1);
    assert!(app.revision() > before);
    let first = app.channels[&channel].transcript.get(0).map(|block| block.kind.clone());
    assert!(
        matches!(first, Some(crate::transcript::BlockKind::Prompt { ref text, .. }) if text == "one"),
        "a server that does not send the prompt: {first:?}"
    );
}

#[test]
fn watching_what_is_watched_selects_it_and_errors_keep_what_was_typed() {
    let mut app = app();
    let (_, one) = dispatch(&mut app, "one");
    dispatch(&mut app, "two");
    update(&mut app, Msg::Action(Action::Watch), now(3));
    update(&mut app, Msg::DialogueSubmit("short".to_owned()), now(3));
    assert!(
        matches!(&app.overlay, Some(Overlay::Ask(Ask { input, error: Some(error), .. })) if input == "short" && error.contains("16")),
        "{:?}",
        app.overlay
    );
    let effects = update(&mut app, Msg::DialogueSubmit(format!(" {one}\n")), now(3));
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::Watch { .. })),
        "{effects:?}"
    );
    assert_eq!((app.selected.as_ref(), app.channels.len()), (Some(&one), 2));
    assert_eq!(app.overlay, None);
}

#[test]
fn what_was_watched_is_watched_again() {
    let saved = SavedState {
        channels: [1, 2].map(|n| SavedChannel::new(id(n), format!("run {n}"), 5)).to_vec(),
        selected: Some(id(2)),
        draft: "half a pro".to_owned(),
        ..SavedState::default()
    };
    let mut app = App::new("local".to_owned(), Settings::default(), saved.clone(), (80, 24), now(0));
    let effects = update(&mut app, Msg::Start, now(0));
    let watched = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Watch { .. }))
        .count();
    assert_eq!(watched, 2);
    assert_eq!(app.saved_state(), saved);
}

#[test]
fn the_draft_is_saved_a_moment_after_typing_and_at_the_end() {
    let mut app = app();
    update(&mut app, Msg::DraftChanged("a".to_owned()), now(100));
    assert_eq!(app.next_tick(), Some(1_100));
    assert!(update(&mut app, Msg::Tick, now(500)).is_empty());
    let effects = update(&mut app, Msg::Tick, now(1_100));
    assert!(
        matches!(effects.as_slice(), [Effect::Save(saved)] if saved.draft == "a"),
        "{effects:?}"
    );
    update(&mut app, Msg::DraftChanged("ab".to_owned()), now(1_200));
    let effects = update(&mut app, Msg::Shutdown, now(1_300));
    assert!(
        matches!(effects.as_slice(), [Effect::Save(saved), Effect::Quit] if saved.draft == "ab"),
        "{effects:?}"
    );
}

#[test]
fn with_nothing_live_the_screen_wakes_once_a_minute() {
    let mut app = app();
    let at = app.next_tick().expect("the clock");
    assert!(at > 1_000 && (now(at).unix_ms).is_multiple_of(60_000), "{at}");
    let before = app.revision();
    update(&mut app, Msg::Tick, now(at - 1));
    assert_eq!(app.revision(), before);
    update(&mut app, Msg::Tick, now(at));
    assert!(app.revision() > before);
    dispatch(&mut app, "live");
    assert!(app.next_tick().expect("seconds") <= 1_001);
}

#[test]
fn a_call_on_a_short_channel_cannot_be_answered() {
    let mut app = app();
    let (_, channel) = dispatch(&mut app, "one");
    let generation = app.channels[&channel].generation;
    let wait = json!({"type": "waitForChannelMessageBegin", "data": {"channel": "tiny", "function": {"name": "f", "args": {}}}});
    feed(&mut app, &channel, generation, &wait);
    update(&mut app, Msg::Action(Action::Answer), now(20));
    let effects = update(&mut app, Msg::Action(Action::PublishAnswer), now(20));
    assert_eq!(effects, []);
    assert!(
        matches!(&app.overlay, Some(Overlay::Inbox(inbox)) if inbox.error.as_ref().is_some_and(|error| error.contains("cannot be answered")))
    );
}

#[test]
fn what_happens_elsewhere_is_unread_until_it_is_looked_at() {
    let mut app = app();
    let (_, one) = dispatch(&mut app, "one");
    dispatch(&mut app, "two");
    let generation = app.channels[&one].generation;
    feed(
        &mut app,
        &one,
        generation,
        &json!({"type": "token", "data": {"token": "x"}}),
    );
    assert!(app.channels[&one].unread);
    update(&mut app, Msg::SelectIndex(1), now(30));
    assert!(!app.channels[&one].unread);
    assert_eq!(app.title(), "switchboard: 2 live");
}

#[test]
fn a_server_that_cannot_cancel_says_so() {
    let mut app = app();
    dispatch(&mut app, "one");
    app.focus = Focus::List;
    update(&mut app, Msg::Action(Action::CancelRun), now(5));
    assert_eq!(app.overlay, None);
    assert!(
        app.notice
            .as_ref()
            .is_some_and(|notice| notice.text.contains("cannot cancel"))
    );
}

#[test]
fn a_typed_value_becomes_the_usual_answer() {
    for (typed, published) in [
        (json!(true), json!({"data": true})),
        (json!({"a": 1}), json!({"data": {"a": 1}})),
        (json!({"data": 1}), json!({"data": 1})),
        (json!({"error": "no"}), json!({"error": "no"})),
        (json!({"data": 1, "more": 2}), json!({"data": {"data": 1, "more": 2}})),
    ] {
        assert_eq!(envelope(typed), published);
    }
}

#[test]
fn json_errors_have_a_place_in_characters() {
    assert_eq!(check("  "), JsonCheck::Empty);
    assert_eq!(check("{\"a\": [1, 2]}"), JsonCheck::Valid);
    let JsonCheck::Invalid { line, column, .. } = check("{\n \"日本\": x}") else {
        panic!("not JSON")
    };
    assert_eq!((line, column), (2, 8));
}

#[test]
fn news_go_with_the_next_action_or_after_a_while() {
    let mut app = app();
    update(&mut app, Msg::Warning("bad".to_owned()), now(10_000));
    update(&mut app, Msg::Action(Action::FocusNext), now(10_500));
    assert!(app.notice.is_some(), "nobody has read it yet");
    update(&mut app, Msg::Action(Action::FocusNext), now(11_000));
    assert_eq!(app.notice, None);
    update(&mut app, Msg::Warning("bad".to_owned()), now(20_000));
    update(&mut app, Msg::DraftChanged("typing".to_owned()), now(25_000));
    update(&mut app, Msg::Tick, now(31_999));
    assert!(app.notice.is_some());
    update(&mut app, Msg::Tick, now(32_000));
    assert_eq!(app.notice, None, "an error stays for 12 s");
    update(&mut app, Msg::Submit("  ".to_owned()), now(40_000));
    update(&mut app, Msg::Tick, now(45_999));
    assert!(app.notice.is_some());
    update(&mut app, Msg::Tick, now(46_000));
    assert_eq!(app.notice, None, "other news for 6 s");
    update(&mut app, Msg::Warning("bad".to_owned()), now(50_000));
    dispatch(&mut app, "one");
    assert!(app.notice.is_some(), "the time went backwards: held");
    update(&mut app, Msg::Submit("two".to_owned()), now(52_000));
    assert_eq!(app.notice, None, "a dispatch takes it away");
}

#[test]
fn only_two_interrupts_in_a_row_quit() {
    let mut app = app();
    let interrupt = || Msg::Action(Action::Interrupt);
    assert!(!update(&mut app, interrupt(), now(10)).contains(&Effect::Quit));
    update(&mut app, Msg::Action(Action::FocusNext), now(20));
    assert!(!update(&mut app, interrupt(), now(30)).contains(&Effect::Quit));
    assert!(update(&mut app, interrupt(), now(40)).contains(&Effect::Quit));
}
