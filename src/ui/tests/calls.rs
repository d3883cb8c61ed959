//! The inbox of waiting calls and its form, as pictures and by keys.

use std::sync::Arc;

use super::*;
use crate::app::calls;
use crate::config::FunctionConfig;

fn function(text: &str) -> Arc<FunctionConfig> {
    Arc::new(toml::from_str(text).expect("a function"))
}

/// What two configured functions are.
fn configure(play: &mut Play) {
    let functions = &mut play.app.settings.calls.functions;
    functions.insert(
        "approve_deploy".to_owned(),
        function("description = \"d\"\ncommand = [\"./approve.sh\", \"--quick\"]"),
    );
    functions.insert(
        "triage".to_owned(),
        function(
            "description = \"d\"\n[result]\ntype = \"object\"\nrequired = [\"severity\", \"page\"]\n[result.properties]\n\
             severity = { enum = [\"low\", \"high\"], description = \"How bad it is\" }\n\
             page = { type = \"boolean\" }\nowner = { type = \"string\", description = \"Whom to ask\" }\n\
             hours = { type = \"number\" }\nmore = { type = \"object\" }",
        ),
    );
    play.app.settings.calls.device = "laptop-2".to_owned();
}

fn asked(channel: &str, name: &str, arguments: serde_json::Value) -> serde_json::Value {
    json!({"type": "waitForChannelMessageBegin", "data": {"channel": channel,
        "function": {"name": name, "args": arguments}, "expiresAt": START.unix_ms + 1_200_000}})
}

/// Three calls of three runs wait; the oldest is marked.
pub(super) fn inbox(size: (u16, u16)) -> Play {
    let mut play = waiting(size);
    let ticket = play.dispatch("triage the tickets of the night");
    let arguments = json!({"id": 4411, "title": "cannot log in", "history": [{"at": "09:00", "what": "opened"}]});
    play.feed(
        &ticket,
        &[begin(), asked("wait-0001-0123456789", "triage", arguments)],
        Some(Connection::Live),
    );
    play.pass(13_000);
    let other = play.dispatch("fetch what is known");
    play.feed(
        &other,
        &[
            begin(),
            asked("wait-0002-0123456789", "fetch_ticket", json!({"id": 4411})),
        ],
        Some(Connection::Live),
    );
    play.pass(5_000);
    configure(&mut play);
    play.key(KeyCode::Esc);
    play.keys("I");
    play
}

#[test]
fn all_waiting_calls_are_in_one_place() {
    screens!("inbox", inbox);
    screens!("inbox_form", |size| {
        let mut play = inbox(size);
        play.keys("j ");
        play.key(KeyCode::Tab);
        play.keys(" ");
        play.key(KeyCode::Tab);
        play.keys("the night shift");
        play
    });
    let mut play = inbox((40, 10));
    insta::assert_snapshot!("inbox_40x10", play.screen());
    play.keys("jj");
    play.key(KeyCode::Tab);
    play.keys("forty-two");
    insta::assert_snapshot!("inbox_typing_40x10", play.screen());
    let mut play = Play::new((80, 24));
    play.key(KeyCode::Esc);
    play.keys("I");
    assert!(play.screen().contains("Nothing waits for an answer now."));
    play.key(KeyCode::Esc);
    assert_eq!(play.app.overlay, None);
}

#[test]
fn the_arguments_are_all_to_be_seen_before_a_call_is_allowed() {
    for size in [(40, 10), (80, 24), (120, 40), (200, 60)] {
        let mut play = inbox(size);
        let screen = play.screen();
        assert!(screen.contains("approve_deploy") && screen.contains("prod"), "{screen}");
        if size.1 > 10 {
            assert!(
                screen.contains("1.8.2") && screen.contains("y runs ./approve.sh --quick"),
                "{screen}"
            );
        }
        for key in ["y allow once", "d deny", "Esc leave"] {
            assert!(screen.contains(key), "{key} at {size:?}: {screen}");
        }
    }
}

#[test]
fn a_form_is_filled_in_by_keys_and_published_signed() {
    let mut play = inbox((120, 40));
    play.keys("j");
    play.key(KeyCode::Enter);
    assert!(
        play.screen().contains("severity: choose one of the values"),
        "{}",
        play.screen()
    );
    play.keys("  ");
    play.key(KeyCode::Tab);
    play.keys(" ");
    play.key(KeyCode::Down);
    play.keys("qy?");
    play.ctrl('j');
    play.event(Event::Paste("two".to_owned()));
    // To another call and back: nothing is lost.
    play.key(KeyCode::Esc);
    play.keys("kj");
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
    assert_eq!(channel.as_str(), "wait-0001-0123456789");
    assert_eq!(
        *message,
        json!({"data": {"severity": "high", "page": true, "owner": "qy?\ntwo"}, "from": "laptop-2"})
    );
    let request = *request;
    assert!(play.screen().contains("Publishing …"));
    play.key(KeyCode::Enter);
    assert_eq!(play.effects, [], "once");
    play.send(Msg::Published {
        request,
        result: Err("the server is full".to_owned()),
    });
    assert!(play.screen().contains("x Not published: the server is full"));
    assert!(play.screen().contains("qy?"), "nothing is lost");
    play.key(KeyCode::Enter);
    let [Effect::Publish { request, .. }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    let request = *request;
    play.send(Msg::Published {
        request,
        result: Ok(()),
    });
    assert!(play.screen().contains("Answered triage"));
    assert!(
        matches!(&play.app.overlay, Some(Overlay::Inbox(_))),
        "on to the next one"
    );
}

#[test]
fn a_denial_asks_why_and_says_who() {
    let mut play = inbox((120, 40));
    play.keys("d");
    assert!(play.screen().contains("deny the call"));
    play.key(KeyCode::Esc);
    assert!(
        matches!(&play.app.overlay, Some(Overlay::Inbox(_))),
        "back, nothing was done"
    );
    play.keys("dnot on a Friday");
    play.key(KeyCode::Enter);
    let [Effect::Publish { message, .. }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    assert_eq!(
        *message,
        json!({"error": "denied by laptop-2: not on a Friday", "from": "laptop-2"})
    );
    let mut play = inbox((80, 24));
    play.keys("d");
    play.key(KeyCode::Enter);
    let [Effect::Publish { message, .. }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    assert_eq!(message["error"], "denied by laptop-2");
}

#[test]
fn a_command_runs_when_it_is_allowed_and_is_seen_running() {
    let mut play = inbox((120, 40));
    play.keys("y");
    let run = play.effects.iter().find_map(|effect| match effect {
        Effect::Calls(calls::Do::Run { job, arguments, .. }) => Some((*job, arguments.clone())),
        _ => None,
    });
    let (job, arguments) = run.expect("a command");
    assert_eq!(arguments, json!({"env": "prod", "version": "1.8.2"}));
    play.pass(3_000);
    assert!(
        play.screen()
            .contains("* running ./approve.sh --quick 00:03: d stops it"),
        "{}",
        play.screen()
    );
    play.keys("y");
    assert!(
        !play.effects.iter().any(|effect| matches!(effect, Effect::Calls(_))),
        "once"
    );
    play.keys("o");
    assert!(
        play.screen().contains("running ./approve.sh --quick"),
        "{}",
        play.screen()
    );
    insta::assert_snapshot!("call_running_120x40", play.screen());
    play.send(Msg::Calls(calls::Msg::Ran {
        job,
        result: Ok(json!({"approved": true})),
    }));
    let [Effect::Publish { channel, message, .. }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    assert_eq!(channel.as_str(), "wait-8f3c0123456789abcdef");
    assert_eq!(*message, json!({"data": {"approved": true}, "from": "laptop-2"}));
}

#[test]
fn without_a_command_y_approves_and_other_calls_say_what_to_do() {
    let mut play = waiting((120, 40));
    play.keys("a");
    assert!(play.screen().contains("[ ]"), "{}", play.screen());
    play.keys("y");
    let [Effect::Publish { message, .. }] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    assert_eq!(*message, json!({"data": {"approved": true}}));
    let mut play = inbox((120, 40));
    play.keys("jjy");
    assert!(
        play.screen().contains("No command is configured for fetch_ticket"),
        "{}",
        play.screen()
    );
    play.keys("r");
    assert!(
        play.screen().contains("[functions.fetch_ticket] in the configuration"),
        "{}",
        play.screen()
    );
    play.keys("A");
    assert_eq!(play.effects, []);
    play.keys("e");
    assert!(matches!(play.app.overlay, Some(Overlay::Answer(_))));
    play.key(KeyCode::Esc);
    assert!(
        matches!(play.app.overlay, Some(Overlay::Inbox(_))),
        "back to where it came from"
    );
}

#[test]
fn what_others_answered_is_said() {
    let mut play = inbox((120, 40));
    let id = play
        .app
        .channels
        .values()
        .find(|channel| channel.title == "deploy check")
        .expect("it is there")
        .id
        .clone();
    let end = json!({"type": "waitForChannelMessageEnd", "data": {"channel": "wait-8f3c0123456789abcdef",
        "function": {"name": "approve_deploy", "args": {"env": "prod", "version": "1.8.2"}},
        "message": {"data": true, "from": "laptop-3"}, "from": "laptop-3"}});
    play.feed(&id, &[end], None);
    let screen = play.screen();
    assert!(screen.contains("approve_deploy was answered by laptop-3"), "{screen}");
    assert!(screen.contains("waiting for an answer (2)"), "{screen}");
}

#[test]
fn the_help_lies_over_the_inbox_and_gives_it_back_as_it_was() {
    let mut play = inbox((120, 40));
    play.keys("j");
    play.keys("  ");
    let before = play.screen();
    play.keys("?");
    assert_eq!(play.app.overlay, Some(Overlay::Help));
    play.key(KeyCode::Esc);
    assert_eq!(play.screen(), before, "call, form and all");
    play.keys("??");
    assert_eq!(play.screen(), before);
    play.key(KeyCode::Esc);
    play.keys("?q");
    assert_eq!(play.app.overlay, None, "where nothing lay below, nothing comes back");
}

#[test]
fn an_empty_form_is_published_by_a_second_enter_only() {
    let mut play = waiting((120, 40));
    play.key(KeyCode::Esc);
    play.keys("I");
    play.key(KeyCode::Enter);
    let screen = play.screen();
    assert!(screen.contains("Enter again publishes"), "{screen}");
    let publishes = |play: &Play| {
        play.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Publish { .. }))
    };
    assert!(!publishes(&play));
    play.key(KeyCode::Enter);
    assert!(publishes(&play));
}
