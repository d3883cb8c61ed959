//! A user of their own for a test of the command line: home, configuration, and servers that end with it.

#![allow(dead_code, reason = "each test file uses a part of this support")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A user with a home directory and nothing in the environment. Their local server ends with them.
pub struct User {
    home: tempfile::TempDir,
}

impl User {
    /// A user whose servers use the demo model.
    pub fn new() -> Self {
        let user = Self {
            home: tempfile::tempdir().expect("a directory"),
        };
        std::fs::create_dir_all(user.path("config/switchboard")).expect("a directory");
        user.configure("[server.model]\ndemo = true\n");
        user
    }

    /// Replaces the configuration.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.config(), text).expect("a file");
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("config/switchboard/config.toml")
    }

    /// A place in the home directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file of the local server.
    pub fn state(&self, name: &str) -> PathBuf {
        self.path("state/switchboard").join(name)
    }

    /// The program, as this user runs it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args);
        self.environment(&mut command);
        command
    }

    /// Gives a command this user's environment and no other.
    pub fn environment(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_DATA_HOME", self.path("data"))
            .current_dir(self.home.path());
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Outcome {
        finish(self.command(args))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let outcome = self.run(&["server", "stop", "--force"]);
        if !std::thread::panicking() {
            assert_eq!(outcome.code, Some(0), "the local server stops: {outcome:?}");
        }
    }
}

/// The program under test.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_switchboard"))
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Outcome {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Checks the code and gives what was printed, without the white space at its end.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out.trim_end()
    }

    /// Checks the code, and that one message of the program's form says all of this.
    #[track_caller]
    pub fn fails(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.starts_with("switchboard: "), "{self:?}");
        for text in says {
            assert!(self.err.contains(text), "{text:?} in {self:?}");
        }
    }
}

/// The URL of a server, as soon as its log says where it listens.
pub fn listening(log: &Path) -> String {
    eventually("the server says where it listens", || {
        let log = std::fs::read_to_string(log).ok()?;
        let (_, rest) = log.split_once("listens on ")?;
        // A sentence ends the line; in JSON it ends its text.
        let end = rest.find(['\n', '"'])?;
        Some(rest[..end].to_owned())
    })
}

/// Runs a command without input to its end.
pub fn finish(mut command: Command) -> Outcome {
    Outcome::new(command.stdin(Stdio::null()).output().expect("it runs"))
}

/// Waits for a child that was started with pipes.
pub fn wait(child: Child) -> Outcome {
    Outcome::new(child.wait_with_output().expect("it ends"))
}

/// Asks again until there is an answer.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what} did not happen within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A `switchboard serve` with one secret, `one`; it ends with this value.
pub struct Serve {
    child: Child,
    _data: tempfile::TempDir,
    /// Its base URL.
    pub url: String,
}

impl Serve {
    /// Starts one on a free port.
    pub fn start(user: &User) -> Self {
        Self::of(user.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]))
    }

    /// Starts one by a command, with a data directory of its own unless the command names one by a flag.
    pub fn of(mut command: Command) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut child = command
            .env("SWITCHBOARD_SECRET", "one")
            .env("SWITCHBOARD_DATA_DIR", data.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let url = lines
            .find_map(|line| {
                let line = line.expect("text");
                line.split_once("listens on ").map(|(_, url)| url.to_owned())
            })
            .expect("it says where it listens");
        // What it says from now on is read away, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            _data: data,
            url,
        }
    }

    /// Its process.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Waits for its end and gives its exit code.
    pub fn end(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    /// The program as a client of this server.
    pub fn command(&self, user: &User, args: &[&str]) -> Command {
        let mut command = user.command(args);
        command
            .env("SWITCHBOARD_URL", &self.url)
            .env("SWITCHBOARD_TOKEN", "one");
        command
    }

    /// Runs the program as a client of this server.
    pub fn run(&self, user: &User, args: &[&str]) -> Outcome {
        finish(self.command(user, args))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
