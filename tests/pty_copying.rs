//! Pager, editor, export and mouse in a real pseudo-terminal: whose the keys are, and that everything comes back.

#[path = "support/pty.rs"]
mod pty;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pty::Pty;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

/// A home of its own for a program and its server; at the end the server is stopped.
struct Home(tempfile::TempDir);

impl Home {
    fn new(config: &str) -> Self {
        let home = Self(tempfile::tempdir().expect("a directory"));
        let directory = home.path("config/switchboard");
        std::fs::create_dir_all(&directory).expect("a directory");
        let text = format!("{config}\n[server.model]\ndemo = true\n");
        std::fs::write(directory.join("config.toml"), text).expect("written");
        std::fs::create_dir_all(home.path("tmp")).expect("a directory");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        let at = |name: &str| self.path(name).display().to_string();
        vec![
            ("HOME", at("")),
            ("TMPDIR", at("tmp")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_DATA_HOME", at("data")),
            ("XDG_STATE_HOME", at("state")),
            ("XDG_CACHE_HOME", at("cache")),
        ]
    }

    /// A program for a person's environment.
    fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("executable");
        path.display().to_string()
    }

    fn start(&self, more: &[(&str, &str)]) -> Pty {
        let env = self.env();
        let mut env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        env.extend(more);
        Pty::spawn(Path::new(PROGRAM), &[], &env, 100, 30)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let mut stop = Command::new(PROGRAM);
        stop.args(["server", "stop", "--force"]).env_clear().envs(self.env());
        let _ = stop.output();
    }
}

/// A run that is done, in its transcript.
fn answered(pty: &mut Pty, prompt: &str) {
    pty.wait_for("Type a prompt");
    pty.send(&format!("{prompt}\r"));
    pty.wait_for("1 done");
    pty.send("\t\t");
    pty.wait_for("y copy");
}

fn quit(mut pty: Pty) {
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
}

#[test]
fn a_pager_has_the_terminal_and_its_keys_until_it_ends() {
    let home = Home::new("[ui]\nmouse = true");
    let got = home.path("got");
    let pager = home.script(
        "pager",
        &format!(
            "head -3 \"$1\"\nstat -c %a \"$1\" > '{0}'\nprintf 'your word> '\nread word\necho \"$word\" >> '{0}'",
            got.display()
        ),
    );
    let mut pty = home.start(&[("PAGER", &pager)]);
    pty.wait_until_raw("the mouse taken", |raw| raw.contains("\x1b[?1002h"));
    answered(&mut pty, "hello pager");
    pty.send("o");
    pty.wait_for("your word>");
    pty.wait_for("hello pager");
    let raw = pty.raw();
    assert!(
        raw.rfind("\x1b[?1049l") > raw.rfind("\x1b[?1049h"),
        "the alternate screen is given back"
    );
    assert!(raw.rfind("\x1b[?1002l") > raw.rfind("\x1b[?1002h"), "the mouse too");
    // Keys that would do something here: quit, move, another pager.
    pty.send("qqjo\r");
    pty.wait_until("the program again", |screen| {
        screen.alternate_screen() && screen.contents().contains("y copy")
    });
    assert_eq!(std::fs::read_to_string(&got).expect("the pager wrote"), "600\nqqjo\n");
    assert_eq!(
        std::fs::read_dir(home.path("tmp")).expect("listed").count(),
        0,
        "its file is gone"
    );
    let raw = pty.raw();
    assert!(
        raw.rfind("\x1b[?1002h") > raw.rfind("\x1b[?1002l"),
        "the mouse is taken again"
    );
    quit(pty);
}

#[test]
fn the_mouse_is_given_back_at_the_end() {
    let home = Home::new("");
    let mut pty = home.start(&[]);
    pty.wait_for("Type a prompt");
    assert!(!pty.raw().contains("\x1b[?1002h"), "off by default");
    pty.send("\tm");
    pty.wait_until_raw("the mouse taken", |raw| raw.contains("\x1b[?1002h"));
    pty.wait_for("With Shift");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
    let raw = pty.raw();
    assert!(raw.rfind("\x1b[?1002l") > raw.rfind("\x1b[?1002h"), "{raw:?}");
}

#[test]
fn runs_go_on_while_an_editor_is_open_and_ctrl_c_is_its_own() {
    let home = Home::new("");
    let editor = home.script("editor", "trap 'exit 0' INT\necho editing\nwhile :; do sleep 0.1; done");
    let mut pty = home.start(&[("EDITOR", &editor)]);
    pty.wait_for("Type a prompt");
    pty.send("something long\r");
    pty.wait_for("live  00:0");
    pty.send("\t\t");
    pty.wait_for("y copy");
    pty.send("O");
    pty.wait_until("the editor", |screen| {
        !screen.alternate_screen() && screen.contents().contains("editing")
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    pty.send("\x03");
    pty.wait_until("the program again, and the run further on", |screen| {
        screen.alternate_screen() && screen.contents().contains("Part 2")
    });
    quit(pty);
}

#[test]
fn a_missing_pager_is_named_and_nothing_else_happens() {
    let home = Home::new("");
    let mut pty = home.start(&[("PAGER", "no-such-pager -x")]);
    answered(&mut pty, "hello");
    pty.send("o");
    pty.wait_for("no-such-pager was not found");
    quit(pty);
}

#[test]
fn an_export_is_written_and_asks_before_it_overwrites() {
    let home = Home::new("");
    let mut pty = home.start(&[]);
    answered(&mut pty, "hello export");
    let export = |pty: &mut Pty| {
        pty.send("e");
        pty.wait_for("Markdown");
        pty.send("\r");
        pty.wait_for("Where to?");
        pty.send("\x15~/run.md\r");
    };
    export(&mut pty);
    pty.wait_for("Exported to");
    let path = home.path("run.md");
    let text = std::fs::read_to_string(&path).expect("it is there");
    assert!(text.starts_with("# hello export\n\n## You"), "{text}");
    assert_eq!(
        std::fs::metadata(&path).expect("there").permissions().mode() & 0o777,
        0o600
    );
    std::fs::write(&path, "mine").expect("written");
    export(&mut pty);
    pty.wait_for("Overwrite");
    pty.send("n");
    pty.wait_for("y copy");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "mine");
    export(&mut pty);
    pty.wait_for("Overwrite");
    pty.send("y");
    pty.wait_for("Exported to");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text);
    quit(pty);
}
