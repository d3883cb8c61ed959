//! The program in a real pseudo-terminal, with its own local server and the demo model.

#[path = "support/pty.rs"]
mod pty;

use std::path::Path;
use std::process::Command;

use pty::Pty;
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

/// A home of its own for a program and its server; at the end the server is stopped.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a directory"));
        let config = home.0.path().join("config/switchboard");
        std::fs::create_dir_all(&config).expect("a directory");
        // Tests ask no model server that may run on this machine.
        std::fs::write(config.join("config.toml"), "[server.model]\ndemo = true\n").expect("written");
        home
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        let at = |name: &str| self.0.path().join(name).display().to_string();
        vec![
            ("HOME", at("")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_DATA_HOME", at("data")),
            ("XDG_STATE_HOME", at("state")),
            ("XDG_CACHE_HOME", at("cache")),
        ]
    }

    /// The process of the local server that runs now.
    fn server(&self) -> Option<Pid> {
        let record = self.0.path().join("state/switchboard/local-server.json");
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record).ok()?).ok()?;
        Pid::from_raw(i32::try_from(record["pid"].as_i64()?).ok()?)
    }

    fn start(&self, columns: u16, rows: u16) -> Pty {
        let env = self.env();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Pty::spawn(Path::new(PROGRAM), &[], &env, columns, rows)
    }
}

impl Home {
    /// Stops the local server, as another terminal does.
    fn stop_server(&self) {
        let mut stop = Command::new(PROGRAM);
        stop.args(["server", "stop", "--force"]).env_clear().envs(self.env());
        let _ = stop.output();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.stop_server();
    }
}

#[test]
fn a_prompt_streams_to_its_end_also_across_another_size() {
    let home = Home::new();
    let mut pty = home.start(120, 30);
    pty.wait_for("Type a prompt");
    pty.send("hello there\r");
    pty.wait_for("live");
    pty.resize(90, 24);
    pty.wait_until("the list on the narrower screen", |screen| {
        let (rows, columns) = screen.size();
        (columns, rows) == (90, 24) && screen.contents().contains("hello there")
    });
    pty.wait_for("done");
    // Out of the compose box, then out of the program.
    pty.send("\t");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
    // The next start shows it again.
    let mut again = home.start(120, 30);
    again.wait_for("hello there");
    again.wait_for("done");
    again.signal(Signal::TERM);
    assert_eq!(again.wait_exit().exit_code(), 0);
    again.assert_restored();
}

#[test]
fn a_killed_server_is_started_again_and_its_runs_go_on() {
    let home = Home::new();
    let mut pty = home.start(120, 30);
    pty.wait_for("Type a prompt");
    pty.send("the first one\r");
    pty.wait_for("1 done");
    pty.send("deploy the second one\r");
    pty.wait_for("1 waiting");
    let killed = home.server().expect("a server runs");
    kill_process(killed, Signal::KILL).expect("the signal is sent");
    // The next server has what this one had: the run waits there, and its answer is taken.
    pty.wait_until("the run waits at another server", |screen| {
        let text = screen.contents();
        let another = home.server().is_some_and(|server| server != killed);
        another && text.contains("1 waiting") && text.contains("1 done") && !text.contains("connecting")
    });
    pty.send("\t");
    pty.send("a");
    pty.wait_for("y allow once");
    pty.send("y");
    pty.wait_for("2 done");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
    let again = home.start(120, 30);
    again.wait_until("the channels as they are", |screen| {
        let text = screen.contents();
        text.contains("2 done") && text.contains("the first one") && !text.contains("nothing kept")
    });
}

#[test]
fn a_prompt_that_meets_a_killed_server_is_not_lost() {
    let home = Home::new();
    let mut pty = home.start(120, 30);
    pty.wait_for("demo model");
    let killed = home.server().expect("a server runs");
    kill_process(killed, Signal::KILL).expect("the signal is sent");
    pty.send("never lost\r");
    pty.wait_for("done");
    assert_ne!(home.server(), Some(killed), "another server was started");
    pty.send("\t");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
}

#[test]
fn a_server_that_was_stopped_elsewhere_is_started_again() {
    let home = Home::new();
    let mut pty = home.start(120, 30);
    pty.wait_for("Type a prompt");
    pty.send("deploy the first one\r");
    pty.wait_for("1 waiting");
    let stopped = home.server().expect("a server runs");
    home.stop_server();
    pty.wait_until("the run waits at another server", |screen| {
        let text = screen.contents();
        let another = home.server().is_some_and(|server| server != stopped);
        another && text.contains("1 waiting") && !text.contains("connecting")
    });
    pty.send("the second one\r");
    pty.wait_until("the end of the second run", |screen| {
        screen.contents().contains("+ the second one")
    });
    assert_ne!(home.server(), Some(stopped), "another server was started");
    pty.send("\t");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
}

#[test]
fn what_is_being_typed_is_there_at_the_next_start() {
    let home = Home::new();
    let mut pty = home.start(100, 24);
    pty.wait_for("Type a prompt");
    pty.send("half a thought");
    pty.wait_for("half a thought");
    pty.signal(Signal::TERM);
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
    let again = home.start(100, 24);
    again.wait_for("half a thought");
}

#[test]
fn the_program_ends_when_its_terminal_is_closed() {
    let home = Home::new();
    let mut pty = home.start(100, 24);
    pty.wait_for("Type a prompt");
    pty.close(|pty| pty.send("x"));
    pty.wait_exit();
}

#[test]
fn without_a_terminal_the_commands_for_scripts_are_named() {
    let home = Home::new();
    let mut command = Command::new(PROGRAM);
    command.env_clear().envs(home.env()).stdin(std::process::Stdio::null());
    let output = command.output().expect("the program starts");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("needs a terminal") && output.stdout.is_empty(),
        "{error}"
    );
}

#[test]
fn an_unsent_prompt_stays_with_its_server() {
    let home = Home::new();
    // A port that nobody listens on.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", taken.local_addr().expect("an address"));
    drop(taken);
    let mut env = home.env();
    env.push(("SWITCHBOARD_URL", url.clone()));
    env.push(("SWITCHBOARD_TOKEN", "geheim".to_owned()));
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut pty = Pty::spawn(Path::new(PROGRAM), &[], &env, 100, 24);
    pty.wait_for("Type a prompt");
    pty.send("for the other server\r");
    pty.wait_for("queued");
    pty.send("\t");
    pty.send("q");
    pty.wait_for("Sending…");
    pty.wait_for("no server took 1 prompt");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    let state = home.0.path().join("state/switchboard");
    let names: Vec<String> = std::fs::read_dir(&state)
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("terminal") && name.ends_with(".json"))
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0] != "terminal.json" && !names[0].contains("geheim"), "{names:?}");
    // The local server's compose box is empty, the other's is not.
    let local = home.start(100, 24);
    local.wait_for("Type a prompt");
    let again = Pty::spawn(Path::new(PROGRAM), &[], &env, 100, 24);
    again.wait_for("for the other server");
    assert!(!local.text().contains("for the other server"));
}

#[test]
fn the_answer_about_the_background_is_no_key_whenever_it_comes() {
    let home = Home::new();
    let mut pty = home.start(100, 24);
    pty.wait_for("Type a prompt");
    pty.wait_until_raw("the question", |raw| raw.contains("\x1b]11;?\x1b\\"));
    pty.send("one");
    pty.wait_for("> one");
    // Whole, among keys, while text is typed.
    pty.send("\x1b]11;rgb:ffff/ffff/ffff\x1b\\ two");
    pty.wait_for("> one two");
    assert!(
        !pty.text().contains("rgb") && !pty.text().contains("11;"),
        "{}",
        pty.text()
    );
    pty.signal(Signal::TERM);
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
    // In pieces; and a terminal that never answers goes on as if it had not been asked.
    let mut again = home.start(100, 24);
    again.wait_for("> one two");
    for piece in ["\x1b]1", "1;rgb:00/", "00/00\x07", " three"] {
        again.send(piece);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    again.wait_for("> one two three");
    again.send("\x1b");
    // Only the hints of the list have it: the welcome names the key that quits too.
    again.wait_for("? help");
    again.send("q");
    assert_eq!(again.wait_exit().exit_code(), 0);
}

impl Home {
    /// Adds to the configuration.
    fn configure(&self, text: &str) {
        let path = self.0.path().join("config/switchboard/config.toml");
        let before = std::fs::read_to_string(&path).expect("readable");
        std::fs::write(path, before + text).expect("written");
    }

    fn start_linear(&self) -> Pty {
        let env = self.env();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Pty::spawn(Path::new(PROGRAM), &["--linear"], &env, 120, 40)
    }
}

#[test]
fn who_looks_elsewhere_is_told_of_an_end_and_the_bytes_are_the_configured_ones() {
    let home = Home::new();
    home.configure("[notifications]\nfinished = \"osc9\"\n");
    let mut pty = home.start(100, 24);
    pty.wait_for("Type a prompt");
    pty.send("\x1b[O");
    pty.send("hello there\r");
    pty.wait_until_raw("the notification", |raw| {
        raw.contains("\x1b]9;switchboard: hello there: finished\x1b\\")
    });
    // Who looks is told nothing.
    pty.send("\x1b[I");
    pty.send("seen by somebody\r");
    pty.wait_for("2 done");
    assert!(!pty.raw().contains("seen by somebody: finished"));
    pty.signal(Signal::TERM);
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
}

#[test]
fn the_linear_mode_tells_a_run_in_lines_and_takes_an_answer() {
    let home = Home::new();
    let mut pty = home.start_linear();
    pty.wait_for("or /help.");
    pty.send("approve a deploy\r");
    pty.wait_until_raw("the call", |raw| raw.contains("Answer with /answer 1 JSON"));
    pty.send("/answer 1 {\"approved\": true}\r");
    pty.wait_until_raw("the end", |raw| raw.contains("[1 approve a deploy] done"));
    assert!(pty.raw().contains("[1 approve a deploy] answer: "), "{}", pty.raw());
    pty.send("/list\r");
    pty.wait_until_raw("the list", |raw| raw.contains("1 approve a deploy, done"));
    pty.send("/quit\r");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.wait_end_of_output();
    assert!(!pty.raw().contains('\x1b'), "no cursor play: {:?}", pty.raw());
}

#[test]
fn the_linear_mode_works_through_pipes_and_tells_the_open_run_to_its_end() {
    let home = Home::new();
    let mut command = Command::new(PROGRAM);
    command.arg("--linear").env_clear().envs(home.env());
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, b"hello there\n").expect("written");
    drop(input);
    let output = child.wait_with_output().expect("it ends by itself");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("[1 hello there] answer: ") && text.contains("[1 hello there] done"),
        "{text}"
    );
}
