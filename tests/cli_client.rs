//! The commands against a real server: what they print, where, and how they end.

mod cli_support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use cli_support::{Serve, User, eventually, wait};
use serde_json::{Value, json};

/// A request whose function waits for an answer on a channel of its own, or that its caller handles.
fn body(function: Value) -> String {
    json!({"messages": [{"type": "user", "text": "deploy it"}], "functions": [function]}).to_string()
}

#[test]
fn a_run_is_dispatched_and_watched() {
    let user = User::new();
    let server = Serve::start(&user);
    let dispatched = server.run(&user, &["dispatch", "hello there"]);
    let id = dispatched.ok();
    assert_eq!(dispatched.out, format!("{id}\n"), "the id stands alone");
    assert!(id.len() >= 24 && dispatched.err.is_empty(), "{dispatched:?}");

    let watched = server.run(&user, &["watch", id, "--timeout", "60s"]);
    assert!(watched.ok().contains("hello there"), "{watched:?}");
    assert!(
        watched.err.contains("> hello there\n") && watched.err.contains("ended: stop"),
        "{watched:?}"
    );

    let lines = server.run(&user, &["watch", id, "--json"]);
    let events: Vec<Value> = lines
        .ok()
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        events.first().map(|event| &event["data"]["text"]),
        Some(&json!("hello there"))
    );
    assert_eq!(events.last().map(|event| &event["type"]), Some(&json!("result")));
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "token")
        .filter_map(|event| event["data"]["token"].as_str())
        .collect();
    assert_eq!(text.trim_end(), watched.out.trim_end());

    let listed = server.run(&user, &["runs", "--json"]);
    let run: Value = serde_json::from_str(listed.ok()).expect("one line of JSON");
    assert_eq!((&run["channelId"], &run["status"]), (&json!(id), &json!("ended")));
    assert!(server.run(&user, &["runs"]).ok().contains("ended"));
}

#[test]
fn the_end_of_a_run_is_the_exit_code() {
    let user = User::new();
    let server = Serve::start(&user);
    // One that fails.
    let failed = server.run(&user, &["complete", "please fail"]);
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(failed.err.contains("the run failed: "), "{failed:?}");
    // One whose function its caller is to handle.
    std::fs::write(
        user.path("activity.json"),
        body(json!({"name": "deploy", "description": "deploys"})),
    )
    .expect("a file");
    let activity = server.run(&user, &["complete", "--body", "activity.json", "--json"]);
    assert_eq!(activity.code, Some(5), "{activity:?}");
    // One that waits: the time passes, then it is cancelled.
    let waiting =
        body(json!({"name": "deploy", "description": "deploys", "result": {"channel": "answers-0123456789abcdef"}}));
    std::fs::write(user.path("waiting.json"), &waiting).expect("a file");
    let id = server
        .run(&user, &["dispatch", "--body", "waiting.json"])
        .ok()
        .to_owned();
    server
        .run(&user, &["watch", &id, "--timeout", "300ms"])
        .fails_with_note(7, "had not ended after 300ms");
    server.run(&user, &["cancel", &id]).ok();
    let cancelled = server.run(&user, &["watch", &id, "--timeout", "60s"]);
    assert_eq!(cancelled.code, Some(4), "{cancelled:?}");
    assert!(
        cancelled.err.lines().last().expect("a line").starts_with("cancelled"),
        "{cancelled:?}"
    );
    assert!(!cancelled.err.contains("abort"), "{cancelled:?}");
    assert!(server.run(&user, &["runs"]).ok().contains("  cancelled  "));
    // One that goes on with its command, which leaves.
    let late = server.run(&user, &["complete", "--body", "waiting.json", "--timeout", "300ms"]);
    late.fails_with_note(7, "had not ended after 300ms, so it was stopped");
}

#[test]
fn what_is_published_reaches_who_watches_and_answers_a_call() {
    let user = User::new();
    let server = Serve::start(&user);
    let answers = "answers-0123456789abcdef";
    let request = body(json!({"name": "deploy", "description": "deploys", "result": {"channel": answers}}));
    let mut dispatch = server
        .command(&user, &["dispatch", "--body", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    dispatch
        .stdin
        .take()
        .expect("a pipe")
        .write_all(request.as_bytes())
        .expect("it reads");
    let id = wait(dispatch).ok().to_owned();

    let mut watcher = server
        .command(&user, &["watch", &id, "--json", "--timeout", "60s"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(watcher.stdout.take().expect("a pipe")).lines();
    let mut next = |kind: &str| {
        lines
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("JSON"))
            .find(|event| event["type"] == kind)
            .unwrap_or_else(|| panic!("no {kind}"))
    };
    assert_eq!(next("waitForChannelMessageBegin")["data"]["channel"], answers);
    server.run(&user, &["publish", &id, r#"{"note": "ü"}"#]).ok();
    assert_eq!(next("published")["data"], json!({"note": "ü"}));
    server
        .run(&user, &["publish", answers, r#"{"data": {"approved": true}}"#])
        .ok();
    assert_eq!(
        next("waitForChannelMessageEnd")["data"]["message"]["data"]["approved"],
        true
    );
    assert_eq!(next("result")["data"]["end"]["reason"], "stop");
    assert_eq!(wait(watcher).code, Some(0));
}

#[test]
fn a_call_that_waits_is_shown_with_the_command_that_answers_it() {
    let user = User::new();
    let server = Serve::start(&user);
    let answers = "answers-0123456789abcdef";
    let request = body(json!({"name": "deploy", "description": "deploys", "result": {"channel": answers}}));
    std::fs::write(user.path("body.json"), request).expect("a file");
    let id = server.run(&user, &["dispatch", "--body", "body.json"]).ok().to_owned();
    let command = format!("switchboard publish {answers} '{{\"data\": ANSWER}}'");
    let listed = eventually("the wait", || {
        let listed = server.run(&user, &["runs"]);
        listed.ok().contains("waiting").then_some(listed)
    });
    assert!(
        listed.out.contains(&format!("\n  answer with: {command}\n")),
        "{listed:?}"
    );
    assert!(listed.out.contains("(waits for deploy)") && !listed.out.contains("CHANNEL"));
    let json: Value = serde_json::from_str(server.run(&user, &["runs", "--json"]).ok()).expect("JSON");
    assert_eq!(json["waitingOn"][0]["channel"], answers);
    assert_eq!(json["waitingOn"][0]["function"], "deploy");
    assert!(json["waitingOn"][0]["expiresAt"].is_u64(), "{json}");
    let watched = server.run(&user, &["watch", &id, "--timeout", "300ms"]);
    assert!(watched.err.contains(&command), "{watched:?}");
    // The flags that name the server are part of it.
    let flagged = server.run(&user, &["--url", &server.url, "runs"]);
    let command = format!("switchboard --url {} publish {answers}", server.url);
    assert!(flagged.ok().contains(&command), "{flagged:?}");

    // What a terminal would obey is not printed, wherever the output goes.
    let hostile = r#"{"data": "\u001b[31mred\u001b]0;ti\u0007\u009b2J"}"#;
    server.run(&user, &["publish", answers, hostile]).ok();
    let watched = server.run(&user, &["watch", &id, "--timeout", "60s"]);
    assert!(watched.ok().contains("[31mred]0;ti"), "{watched:?}");
    for text in [&watched.out, &watched.err] {
        assert!(
            text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()),
            "{watched:?}"
        );
    }
    let json = server.run(&user, &["watch", &id, "--json"]);
    assert!(json.ok().is_ascii() && json.out.contains(r"\u001b[31mred"), "{json:?}");
}

#[test]
fn a_channel_without_a_run_is_told_once_and_waited_for() {
    let user = User::new();
    let server = Serve::start(&user);
    let channel = "nothing-here-0123456789";
    let waited = server.run(&user, &["watch", channel, "--timeout", "3s"]);
    assert_eq!(waited.code, Some(7), "{waited:?}");
    assert_eq!(
        waited.err,
        "the server keeps no run of this channel: it is over and forgotten, not begun, or another id. Waiting (Ctrl-C leaves)\n\
         switchboard: nothing came within 3s\n"
    );
    assert!(waited.out.is_empty());
}

#[test]
fn a_lost_server_is_told_once_for_each_reason() {
    let user = User::new();
    let server = Serve::start(&user);
    let mut watcher = server
        .command(&user, &["watch", "nothing-here-0123456789", "--timeout", "4s"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // Its first note says that it is connected.
    let mut notes = BufReader::new(watcher.stderr.take().expect("a pipe"));
    let mut first = String::new();
    notes.read_line(&mut first).expect("a note");
    drop(server);
    let mut rest = String::new();
    notes.read_to_string(&mut rest).expect("text");
    assert_eq!(wait(watcher).code, Some(7), "{rest}");
    let told: Vec<&str> = rest.lines().filter(|line| line.ends_with("(trying again)")).collect();
    assert!(!told.is_empty(), "{rest}");
    for (at, line) in told.iter().enumerate() {
        assert!(!told[..at].contains(line), "said twice: {rest}");
    }
    assert!(rest.ends_with("nothing came within 4s\n"), "{rest}");
}

#[test]
fn an_interrupt_leaves_a_watch_and_says_that_the_run_goes_on() {
    let user = User::new();
    let server = Serve::start(&user);
    let id = server.run(&user, &["dispatch", "a long answer"]).ok().to_owned();
    let mut watcher = server
        .command(&user, &["watch", &id])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut out = watcher.stdout.take().expect("a pipe");
    out.read_exact(&mut [0; 1]).expect("a byte");
    let pid = watcher.id().to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("it runs").success());
    let mut text = String::new();
    out.read_to_string(&mut text).expect("text");
    assert!(text.ends_with('\n'), "the line is ended: {text:?}");
    let left = wait(watcher);
    assert_eq!(left.code, Some(130), "{left:?}");
    let says = format!("the run goes on; watch it again with: switchboard watch {id}\n");
    assert!(left.err.ends_with(&says), "{left:?}");
    let run: Value = serde_json::from_str(server.run(&user, &["runs", "--json"]).ok()).expect("JSON");
    assert_eq!(run["endedAt"], Value::Null, "{run}");
}

#[test]
fn what_is_wrong_is_told_with_its_code() {
    let user = User::new();
    let server = Serve::start(&user);
    let table: &[(&[&str], i32, &[&str])] = &[
        (&["watch", "short"], 2, &["at least 16 characters, this one has 5"]),
        (
            &["publish", "0123456789abcdef", "not json"],
            2,
            &["not JSON: line 1, column 2: a value is expected", "'\"text\"'"],
        ),
        (
            &["server", "status", "--url", "http://x"],
            2,
            &["local server", "no --url"],
        ),
        (
            &["--profile", "x", "server", "stop"],
            2,
            &["local server", "no --profile"],
        ),
        (&["publish", "0123456789abcdef", "null"], 2, &["null"]),
        (&["dispatch", " "], 2, &["the prompt is empty"]),
        (
            &["dispatch", "--body", "missing.json"],
            2,
            &["cannot read missing.json"],
        ),
        (&["dispatch", "x", "--channel", "short"], 2, &["at least 16 characters"]),
        (
            &["cancel", "0123456789abcdef-unknown"],
            9,
            &["this channel has no run", "NOT_FOUND", "switchboard runs"],
        ),
        (&["--url", "ftp://x", "runs"], 2, &["--url", "http://"]),
        (&["--url", "http://x", "--local", "runs"], 2, &["exclude each other"]),
        (&["--profile", "nobody", "runs"], 2, &["there is no profile `nobody`"]),
        (&["--config", "missing.toml", "runs"], 2, &["missing.toml"]),
        (&[], 2, &["needs a terminal"]),
    ];
    for (args, code, says) in table {
        server.run(&user, args).fails(*code, says);
    }
    assert_eq!(server.run(&user, &["no-such-command"]).code, Some(2));
    for (args, example) in [
        (&["watch", "0123456789abcdef", "--timeout", "abc"][..], "such as 30s"),
        (&["complete", "x", "--timeout", "5"], "such as 30s"),
        (&["serve", "--listen", "nonsense"], "such as 127.0.0.1:7280"),
    ] {
        let refused = server.run(&user, args);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains(example), "{refused:?}");
    }

    let mut wrong = server.command(&user, &["runs"]);
    wrong.env("SWITCHBOARD_TOKEN", "two-geheim");
    let refused = cli_support::finish(wrong);
    refused.fails(9, &["NOT_AUTHENTICATED", "secret"]);
    assert!(!refused.err.contains("geheim"), "{refused:?}");

    let mut missing = server.command(&user, &["runs"]);
    missing.env_remove("SWITCHBOARD_TOKEN");
    cli_support::finish(missing).fails(2, &["no token is known", "SWITCHBOARD_TOKEN"]);

    let unreachable = {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        taken.local_addr().expect("an address").to_string()
    };
    for args in [
        &["runs"][..],
        &["watch", "0123456789abcdef"],
        &["publish", "0123456789abcdef", "1"],
    ] {
        let mut command = server.command(&user, args);
        command.env("SWITCHBOARD_URL", format!("http://{unreachable}"));
        cli_support::finish(command).fails(8, &["cannot reach", &unreachable]);
    }

    user.configure("[server]\nlisen = 1\n");
    let broken = server.run(&user, &["runs"]);
    broken.fails(2, &["config.toml:2:1: unknown key `lisen`; did you mean `listen`?"]);
    server.run(&user, &["config", "check"]).fails(2, &[":2:1:"]);
    // What does not need the configuration works with a broken one.
    for args in [
        &["server", "status"][..],
        &["server", "logs"],
        &["server", "stop"],
        &["completions", "zsh"],
        &["man"],
        &["--version"],
    ] {
        server.run(&user, args).ok();
    }
    assert_eq!(
        server.run(&user, &["config", "path"]).ok(),
        user.config().display().to_string()
    );
    user.configure("");
    assert!(server.run(&user, &["config", "check"]).ok().ends_with("is good"));
}

/// A server that knows no route that it is asked for, at its address.
fn another_make() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().expect("a length");
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).expect("a body");
            let body = r#"{"message":"Not Found","code":"NOT_FOUND"}"#;
            let head = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-type: application/json";
            write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("an answer");
        }
    });
    format!("http://{address}")
}

#[test]
fn a_server_of_another_make_is_told_by_what_it_cannot_do() {
    let user = User::new();
    let url = another_make();
    let run = |args: &[&str]| {
        let mut command = user.command(&["--url", &url]);
        command.args(args).env("SWITCHBOARD_TOKEN", "geheim");
        cli_support::finish(command)
    };
    run(&["runs"]).fails(9, &["has no list of its runs", "switchboard watch"]);
    run(&["cancel", "0123456789abcdef"]).fails(9, &["cannot cancel a run"]);
}

#[test]
fn a_reader_that_leaves_ends_the_command_quietly() {
    let user = User::new();
    let server = Serve::start(&user);
    let mut child = server
        .command(&user, &["complete", "a long answer", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut first = [0; 1];
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut first).expect("a byte");
    drop(out);
    let outcome = wait(child);
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
}

#[test]
fn a_secret_is_hashed_for_the_configuration_and_what_is_no_secret_is_refused() {
    let user = User::new();
    let made = user.run(&["server", "hash-secret", "--new", "--scope", "watch"]);
    let lines: Vec<&str> = made.ok().lines().collect();
    let [secret, line] = lines.as_slice() else {
        panic!("{made:?}")
    };
    assert!(secret.starts_with("sb_") && secret.len() == 46, "{made:?}");
    let piped = |text: &str| {
        let file = user.path("secret");
        std::fs::write(&file, text).expect("written");
        let mut command = user.command(&["server", "hash-secret", "--scope", "watch"]);
        command.stdin(std::fs::File::open(&file).expect("a file"));
        wait(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it runs"),
        )
    };
    assert_eq!(piped(&format!("{secret}\n")).ok(), *line);
    piped("hunter2\n").fails(2, &["7 characters", "--new"]);
    assert!(!piped("hunter2\n").err.contains("hunter2"));
    // What it prints can stand in the configuration, and the secret may do what its scope says.
    user.configure(&format!(
        "[server.model]\ndemo = true\n[server.accounts.wall]\n{line}\n"
    ));
    let server = Serve::start(&user);
    let run = |args: &[&str]| {
        let mut command = server.command(&user, args);
        command.env("SWITCHBOARD_TOKEN", secret);
        cli_support::finish(command)
    };
    run(&["runs"]).ok();
    run(&["dispatch", "hello"]).fails(9, &["scope `watch`"]);
}

#[test]
fn a_certificate_that_cannot_be_read_is_told_before_the_server_listens() {
    let user = User::new();
    user.configure("[server.tls]\ncertificate = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"\n");
    let mut serve = user.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    serve.env("SWITCHBOARD_SECRET", "geheim");
    cli_support::finish(serve).fails(2, &["[server.tls]", "/nowhere/c.pem cannot be read"]);
}

#[test]
fn completions_and_the_manual_page_are_made() {
    let user = User::new();
    assert!(user.run(&["completions", "bash"]).ok().contains("switchboard"));
    assert!(user.run(&["man"]).ok().contains(".TH switchboard"));
    let help = user.run(&["--help"]);
    assert!(help.ok().contains("Exit codes:") && help.ok().contains("First steps:"));
    assert!(help.out.lines().all(|line| line.chars().count() <= 100), "{}", help.out);
    assert_eq!(help.out, user.run(&["-h"]).out);
    assert_eq!(
        user.run(&["--version"]).ok(),
        format!("switchboard {}", env!("CARGO_PKG_VERSION"))
    );
}

trait FailsWithNote {
    fn fails_with_note(&self, code: i32, says: &str);
}

impl FailsWithNote for cli_support::Outcome {
    /// As `fails`, where notes of the run come before the message.
    #[track_caller]
    fn fails_with_note(&self, code: i32, says: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(
            self.err.contains("switchboard: ") && self.err.contains(says),
            "{self:?}"
        );
    }
}
