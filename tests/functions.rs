//! Configured functions, the whole way: the real program in a pseudo-terminal, its local server with the demo model, and
//! commands that write down that they ran.

#[path = "support/pty.rs"]
mod pty;

use std::path::{Path, PathBuf};
use std::process::Command;

use pty::Pty;
use rustix::process::Signal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

/// A home of its own with one function; at the end its server is stopped.
struct Home(tempfile::TempDir);

impl Home {
    /// `policy` of the function `approve_deploy`, whose command runs this script.
    fn new(policy: &str, script: &str) -> Self {
        let home = Self(tempfile::tempdir().expect("a directory"));
        std::fs::create_dir_all(home.path("config/switchboard")).expect("a directory");
        let config = format!(
            "device = \"laptop-2\"\n[server.model]\ndemo = true\n[functions.approve_deploy]\n\
             description = \"Asks whether a deploy may go on\"\ncommand = [\"/bin/sh\", \"{}\"]\npolicy = \"{policy}\"\n\
             parameters = {{ type = \"object\", properties = {{ version = {{ type = \"string\" }} }}, required = [\"version\"] }}\n",
            home.path("script").display()
        );
        std::fs::write(home.path("config/switchboard/config.toml"), config).expect("written");
        let script = format!("echo ran >> {}\n{script}\n", home.path("runs").display());
        std::fs::write(home.path("script"), script).expect("written");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        let at = |name: &str| self.path(name).display().to_string();
        vec![
            ("HOME", at("")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_DATA_HOME", at("data")),
            ("XDG_STATE_HOME", at("state")),
            ("XDG_CACHE_HOME", at("cache")),
        ]
    }

    fn start(&self) -> Pty {
        let env = self.env();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let pty = Pty::spawn(Path::new(PROGRAM), &[], &env, 120, 30);
        pty.wait_for("Type a prompt");
        pty
    }

    /// How often the command ran.
    fn runs(&self) -> usize {
        std::fs::read_to_string(self.path("runs"))
            .unwrap_or_default()
            .lines()
            .count()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let mut stop = Command::new(PROGRAM);
        stop.args(["server", "stop", "--force"]).env_clear().envs(self.env());
        let _ = stop.output();
    }
}

#[test]
fn an_allowed_function_is_answered_once_by_its_command() {
    let home = Home::new("allow", "cat > \"$HOME/arguments\"; echo '{\"approved\": true}'");
    let mut pty = home.start();
    pty.send("deploy the new version\r");
    pty.wait_for("answered by laptop-2");
    pty.wait_for("1 done");
    assert_eq!(home.runs(), 1);
    let arguments = std::fs::read_to_string(home.path("arguments")).expect("they came in");
    assert!(arguments.contains("\"version\""), "{arguments}");
    pty.signal(Signal::TERM);
    pty.wait_exit();
    // A replay of the run runs nothing.
    let mut again = home.start();
    again.wait_for("1 done");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(home.runs(), 1);
    again.signal(Signal::TERM);
    again.wait_exit();
}

#[test]
fn a_function_that_is_asked_about_runs_when_it_is_allowed_and_not_again_after_a_restart() {
    let home = Home::new("ask", "sleep 60");
    let mut pty = home.start();
    pty.send("deploy the new version\r");
    pty.wait_for("1 waiting");
    assert_eq!(home.runs(), 0);
    pty.send("\ta");
    pty.wait_for("waiting for an answer (1)");
    pty.wait_for("runs /bin/sh");
    pty.send("A");
    pty.wait_for("* running /bin/sh");
    pty.wait_until("the command ran", |_| home.runs() == 1);
    // The program is killed in the middle of it.
    pty.signal(Signal::KILL);
    pty.wait_exit();
    let mut again = home.start();
    again.wait_for("1 waiting");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(home.runs(), 1, "allowed always, and yet not twice");
    again.send("\ta");
    again.wait_for("it was taken up before");
    again.send("d");
    again.wait_for("deny the call");
    again.send("not today\r");
    again.wait_for("1 done");
    assert_eq!(home.runs(), 1);
    again.signal(Signal::TERM);
    again.wait_exit();
}
