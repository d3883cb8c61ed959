//! Servers as processes: the local one that commands find or start, and `serve`.

mod cli_support;

use std::process::{Command, Stdio};

use cli_support::{Serve, User, eventually, finish, program, wait};

fn record(user: &User) -> serde_json::Value {
    let text = std::fs::read_to_string(user.state("local-server.json")).expect("a record");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_command_substitution_returns_while_the_server_stays() {
    let user = User::new();
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "id=$(\"$0\" dispatch 'a long answer'); echo \"<$id>\"; \"$0\" server status",
    ]);
    shell.arg(program());
    user.environment(&mut shell);
    let outcome = finish(shell);
    let said = outcome.ok();
    let id = said.trim_start_matches('<').split('>').next().expect("an id");
    assert!(id.len() >= 24 && said.contains("the local server runs"), "{outcome:?}");

    // It has a session of its own, works in `/`, and its secret is in no argument.
    let record = record(&user);
    let (pid, secret) = (&record["pid"], record["secret"].as_str().expect("a secret"));
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline"));
    if let Ok(arguments) = arguments {
        assert!(!String::from_utf8_lossy(&arguments).contains(secret));
        assert_eq!(
            std::fs::read_link(format!("/proc/{pid}/cwd")).expect("a link"),
            std::path::Path::new("/")
        );
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its state");
        let session = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(3).map(str::to_owned));
        assert_eq!(session, Some(pid.to_string()), "it leads its session");
    }
    assert!(!user.run(&["server", "logs"]).ok().contains(secret));

    // It has a live run, so stopping it needs force.
    user.run(&["server", "stop"]).fails(9, &["1 run", "--force"]);
    user.run(&["server", "stop", "--force"]).ok();
    assert!(user.run(&["server", "status"]).ok().contains("does not run"));
    assert!(!user.state("local-server.json").exists());
}

#[test]
fn starters_at_once_end_with_one_server() {
    let user = User::new();
    let starters: Vec<_> = (0..4)
        .map(|_| {
            user.command(&["runs"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it runs")
        })
        .collect();
    for starter in starters {
        wait(starter).ok();
    }
    let log = user.run(&["server", "logs"]);
    assert_eq!(log.ok().matches("listens on").count(), 1, "{log:?}");
}

#[test]
fn a_stale_record_is_not_believed() {
    let user = User::new();
    user.run(&["runs"]).ok();
    let before = record(&user);
    // Killed, it leaves its record behind.
    let pid = before["pid"].to_string();
    assert!(
        Command::new("kill")
            .args(["-9", &pid])
            .status()
            .expect("it runs")
            .success()
    );
    eventually("the end of the server", || {
        user.run(&["server", "status"])
            .out
            .contains("does not run")
            .then_some(())
    });
    // Something else has its port now, and must not be shown the secret.
    let port = u16::try_from(before["port"].as_u64().expect("a port")).expect("a port");
    let stranger = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    stranger.set_nonblocking(true).expect("it can be asked");
    user.run(&["runs"]).ok();
    assert!(stranger.accept().is_err(), "nobody called");
    assert_ne!(record(&user)["pid"], before["pid"]);
}

#[test]
fn a_watch_ends_with_the_local_server() {
    let user = User::new();
    for (signal, channel) in [
        ("-KILL", "nothing-here-0123456789"),
        ("-TERM", "nothing-there-0123456789"),
    ] {
        user.run(&["runs"]).ok();
        let mut watcher = user
            .command(&["watch", channel, "--timeout", "60s"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        // Its first note says that it is connected.
        let mut first = [0; 1];
        std::io::Read::read_exact(watcher.stderr.as_mut().expect("a pipe"), &mut first).expect("a note");
        let pid = record(&user)["pid"].to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("it runs").success());
        let ended = wait(watcher);
        assert_eq!(ended.code, Some(8), "{ended:?}");
        assert!(
            ended
                .err
                .contains("switchboard: the local server ended; it keeps its runs"),
            "{ended:?}"
        );
    }
}

#[test]
fn a_broken_configuration_does_not_keep_the_server_from_being_stopped() {
    let user = User::new();
    user.run(&["runs"]).ok();
    user.configure("[server\n");
    user.run(&["runs"]).fails(2, &["config.toml:1:"]);
    assert!(user.run(&["server", "status"]).ok().contains("the local server runs"));
    user.run(&["server", "stop"]).ok();
    assert!(user.run(&["server", "status"]).ok().contains("does not run"));
}

#[test]
fn who_leaves_an_answer_early_leaves_no_warning() {
    let user = User::new();
    let late = user.run(&["complete", "a long answer", "--timeout", "500ms"]);
    assert_eq!(late.code, Some(7), "{late:?}");
    user.run(&["server", "stop", "--force"]).ok();
    let log = user.run(&["server", "logs"]);
    assert!(!log.ok().contains("WARN"), "{log:?}");
}

#[test]
fn another_configuration_restarts_it_unless_it_keeps_runs() {
    let user = User::new();
    user.run(&["runs"]).ok();
    let first = record(&user)["pid"].clone();
    user.configure("[server]\nidle_exit = \"20m\"\n[server.model]\ndemo = true\n");
    assert!(user.run(&["runs"]).err.contains("no runs"));
    let second = record(&user)["pid"].clone();
    assert_ne!(first, second, "it had no run, so it was restarted");

    // A run that is over is no reason to stay: the next server has it.
    let over = user.run(&["dispatch", "hello"]).ok().to_owned();
    user.run(&["watch", &over, "--timeout", "60s"]).ok();
    user.configure("[server]\nidle_exit = \"25m\"\n[server.model]\ndemo = true\n");
    assert!(user.run(&["runs"]).ok().contains("hello"));
    let third = record(&user)["pid"].clone();
    assert_ne!(second, third);

    let id = user.run(&["dispatch", "a long answer"]).ok().to_owned();
    user.configure("[server]\nidle_exit = \"30m\"\n[server.model]\ndemo = true\n");
    let told = user.run(&["runs"]);
    told.ok();
    assert!(
        told.err.contains("another configuration") && told.err.contains("server stop --force"),
        "{told:?}"
    );
    assert_eq!(record(&user)["pid"], third, "its run goes on, so it stays");
    // Stopped by force, it leaves the run to the next one, where it goes on.
    user.run(&["server", "stop", "--force"]).ok();
    assert!(user.run(&["runs"]).ok().contains(&id));
    assert_ne!(record(&user)["pid"], third);
    user.run(&["cancel", &id]).ok();
}

#[test]
fn runs_outlive_a_local_server_that_is_killed() {
    let user = User::new();
    let id = user.run(&["dispatch", "hello"]).ok().to_owned();
    let pid = record(&user)["pid"].to_string();
    let killed = Command::new("kill").args(["-KILL", &pid]).status();
    assert!(killed.expect("it runs").success());
    eventually("the end of the server", || {
        let status = user.run(&["server", "status"]);
        status.out.contains("does not run").then_some(())
    });
    let seen = user.run(&["watch", &id, "--timeout", "60s"]);
    assert!(!seen.ok().is_empty(), "{seen:?}");
    assert_ne!(record(&user)["pid"].to_string(), pid);
    assert!(user.path("data/switchboard/local/switchboard.db").exists());
}

#[test]
fn a_data_directory_has_one_server_and_outlives_it() {
    let user = User::new();
    let data = user.path("kept");
    let serve = |name: &str| {
        let dir = data.join(name).display().to_string();
        user.command(&["serve", "--demo", "--listen", "127.0.0.1:0", "--data-dir", &dir])
    };
    let first = Serve::of(serve("a"));
    let id = first.run(&user, &["dispatch", "hello"]).ok().to_owned();
    let mut second = serve("a");
    second.env("SWITCHBOARD_SECRET", "one");
    finish(second).fails(2, &["another server uses the data directory", "--data-dir"]);
    let before = first
        .run(&user, &["watch", &id, "--json", "--timeout", "60s"])
        .ok()
        .to_owned();
    drop(first);
    let again = Serve::of(serve("a"));
    assert_eq!(
        again.run(&user, &["watch", &id, "--json", "--timeout", "60s"]).ok(),
        before
    );

    std::fs::create_dir_all(data.join("b")).expect("a directory");
    std::fs::write(data.join("b/switchboard.db"), "no database ".repeat(100)).expect("a file");
    let mut broken = serve("b");
    broken.env("SWITCHBOARD_SECRET", "one");
    let refused = finish(broken);
    assert!(
        refused.code != Some(0) && refused.err.contains("is not a database"),
        "{refused:?}"
    );
}

#[test]
fn a_watch_of_a_run_whose_texts_are_gone_says_so_and_ends_as_the_run_did() {
    let user = User::new();
    let dir = user.path("kept").display().to_string();
    let serve = || user.command(&["serve", "--demo", "--listen", "127.0.0.1:0", "--data-dir", &dir]);
    let first = Serve::of(serve());
    std::fs::write(
        user.path("body.json"),
        r#"{"privacy": true, "messages": [{"type": "user", "text": "hello"}]}"#,
    )
    .expect("a file");
    let dispatched = first.run(&user, &["dispatch", "--body", "body.json"]);
    let id = dispatched.ok().to_owned();
    first.run(&user, &["watch", &id, "--timeout", "60s"]).ok();
    drop(first);
    let again = Serve::of(serve());
    let watched = again.run(&user, &["watch", &id, "--timeout", "60s"]);
    assert_eq!(watched.ok(), "");
    assert!(watched.err.contains("nothing is kept"), "{watched:?}");
}

#[test]
fn a_server_is_checked_without_being_started() {
    let user = User::new();
    let check = || {
        let mut check = user.command(&["serve", "--check", "--demo"]);
        check.env("SWITCHBOARD_SECRET", "one");
        finish(check)
    };
    assert!(check().ok().contains("would start"));
    assert!(!user.path("data").exists(), "nothing was made");
    for (config, says) in [
        ("[server.metrics]\nsecret_env = \"NOT_THERE\"\n", "NOT_THERE"),
        (
            "[server.tls]\ncertificate = \"/nowhere/a.pem\"\nkey = \"/nowhere/b.pem\"\n",
            "[server.tls]",
        ),
        ("[server.bots.one]\ndatasets = [\"nowhere\"]\n", "nowhere"),
    ] {
        user.configure(config);
        let refused = check();
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains(says), "{refused:?}");
    }
    user.configure("");
}

#[test]
fn a_log_of_json_is_json_from_its_first_line() {
    let user = User::new();
    let mut serve = user.command(&["serve", "--demo", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let log = user.path("log");
    let mut child = serve
        .env("SWITCHBOARD_SECRET", "one")
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("it starts");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("it listens", || read().contains("listens on ").then_some(()));
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    for line in read().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
}

#[test]
fn a_local_server_that_cannot_start_says_why() {
    let user = User::new();
    let state = user.path("state");
    std::fs::write(&state, "not a directory").expect("a file");
    user.run(&["runs"]).fails(8, &["cannot be used", "state/switchboard"]);
    std::fs::remove_file(&state).expect("removed");

    user.configure("[server.model]\nurl = \"http://127.0.0.1:1/v1\"\n");
    user.run(&["runs"]).fails(2, &["needs a name"]);
    user.configure("");
}

#[test]
fn serve_refuses_to_start_without_what_it_needs() {
    let user = User::new();
    let serve = |args: &[&str], secret: &str| {
        let mut command = user.command(&["serve", "--demo"]);
        command.args(args).env("SWITCHBOARD_SECRET", secret);
        finish(command)
    };
    serve(&["--listen", "127.0.0.1:0"], " , ").fails(2, &["no secret is set", "SWITCHBOARD_SECRET"]);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    serve(&["--listen", &address], "a").fails(2, &[&address, "another program has this port", "--listen"]);

    std::fs::write(user.path("file"), "").expect("a file");
    let below = user.path("file/data").display().to_string();
    serve(&["--listen", "127.0.0.1:0", "--data-dir", &below], "a").fails(2, &[&below, "cannot be written"]);
    serve(&["--listen", "127.0.0.1:0", "--local"], "a").fails(2, &["takes no --url"]);
    assert_eq!(serve(&["--listen", "nowhere"], "a").code, Some(2));
}

#[test]
fn serve_ends_on_a_signal() {
    let user = User::new();
    let server = Serve::start(&user);
    server.run(&user, &["runs"]).ok();
    let status = Command::new("kill").args(["-TERM", &server.pid()]).status();
    assert!(status.expect("it runs").success());
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_look_at_the_lock_does_not_keep_the_server_from_starting() {
    let user = User::new();
    let lock = switchboard::local::Files::in_dir(&user.state(""))
        .lock_server()
        .expect("lockable")
        .expect("free");
    let mut command = user.command(&["local-server"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(lock);
    eventually("the start", || user.state("local-server.json").exists().then_some(()));
    user.run(&["server", "stop"]).ok();
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_server_under_nohup_outlives_its_terminal() {
    let user = User::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" serve --demo --listen 127.0.0.1:0"]);
    shell.arg(program());
    user.environment(&mut shell);
    let serve = Serve::of(shell);
    let hang_up = |pid: &str| {
        finish({
            let mut kill = Command::new("kill");
            kill.args(["-HUP", pid]);
            kill
        })
    };
    // Once it answers, it listens for signals too.
    serve.run(&user, &["runs"]).ok();
    hang_up(&serve.pid()).ok();
    std::thread::sleep(std::time::Duration::from_millis(300));
    if cfg!(target_os = "linux") {
        serve.run(&user, &["runs"]).ok();
    }

    // A service, which has no terminal, is not ended by what others take for "read your files again".
    let serve = Serve::start(&user);
    serve.run(&user, &["runs"]).ok();
    hang_up(&serve.pid()).ok();
    std::thread::sleep(std::time::Duration::from_millis(300));
    serve.run(&user, &["runs"]).ok();
}

#[test]
fn a_secret_that_is_given_twice_is_refused() {
    let user = User::new();
    let mut command = user.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    command.env("SWITCHBOARD_SECRET", "one,two,one");
    finish(command).fails(2, &["given twice", "once"]);
}

#[test]
fn a_server_that_does_not_answer_is_stopped_by_force_alone() {
    let user = User::new();
    user.run(&["runs"]).ok();
    let pid = record(&user)["pid"].to_string();
    let mut kill = Command::new("kill");
    kill.args(["-STOP", &pid]);
    finish(kill).ok();
    user.run(&["server", "stop"]).fails(8, &["does not answer", "--force"]);
    user.run(&["server", "stop", "--force"]).ok();
    assert!(user.run(&["server", "status"]).ok().contains("does not run"));
}
