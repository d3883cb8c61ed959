//! Several programs on one server: a run that one of them dispatches appears in the others and on a kiosk, through
//! the lobby alone; a configuration that changes is read again.

#[path = "support/pty.rs"]
mod pty;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pty::Pty;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");
const LOBBY: &str = "lobby-of-the-test-0123456789";
const SECRET: &str = "secret-of-the-test";

/// A server of its own, which ends with the test.
struct Server {
    child: Child,
    url: String,
    _home: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let child = Command::new(PROGRAM)
            .args(["serve", "--demo", "--listen", &address.to_string()])
            .env_clear()
            .env("HOME", home.path())
            .env("SWITCHBOARD_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let deadline = Instant::now() + pty::DEADLINE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            url: format!("http://{address}"),
            _home: home,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A machine: a home with a configuration.
struct Machine {
    home: tempfile::TempDir,
    url: String,
}

impl Machine {
    fn new(server: &Server, config: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(home.path().join("config/switchboard")).expect("a directory");
        let machine = Self {
            home,
            url: server.url.clone(),
        };
        machine.configure(config);
        machine
    }

    /// Replaces the configuration, as an editor does.
    fn configure(&self, config: &str) {
        let path = self.home.path().join("config/switchboard/config.toml");
        let new = path.with_extension("new");
        std::fs::write(&new, config).expect("written");
        std::fs::rename(&new, &path).expect("replaced");
    }

    fn start(&self, args: &[&str]) -> Pty {
        let at = |name: &str| self.home.path().join(name).display().to_string();
        let env = [
            ("HOME", at("")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_DATA_HOME", at("data")),
            ("XDG_STATE_HOME", at("state")),
            ("XDG_CACHE_HOME", at("cache")),
            ("SWITCHBOARD_URL", self.url.clone()),
            ("SWITCHBOARD_TOKEN", SECRET.to_owned()),
            ("SWITCHBOARD_LOBBY", LOBBY.to_owned()),
        ];
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Pty::spawn(Path::new(PROGRAM), args, &env, 120, 30)
    }
}

#[test]
fn a_run_that_one_program_dispatches_appears_in_the_others_and_on_the_wall() {
    let server = Server::start();
    let desk = Machine::new(&server, "[lobby]\nname = \"desk-1\"\n");
    let laptop = Machine::new(&server, "[lobby]\nname = \"laptop-2\"\n");
    // The list of runs is read at the start alone, so that what comes later comes by the lobby.
    let kiosk_config = "[kiosk]\nrefresh = \"1h\"\n";
    let wall = Machine::new(&server, kiosk_config);
    let mut second = laptop.start(&[]);
    let mut screen = wall.start(&["--kiosk"]);
    let mut first = desk.start(&[]);
    screen.wait_for("No runs now");
    second.wait_for("Type a prompt");
    first.wait_for("Type a prompt");

    first.send("please approve a deploy\r");
    second.wait_for("Added 1 run from desk-1");
    second.wait_for("please approve a deploy");
    screen.wait_for("please approve a deploy");
    screen.wait_for("! waiting");

    // Who comes later asks, and is told.
    let late = Machine::new(&server, "");
    let third = late.start(&[]);
    third.wait_for("Added 1 run from desk-1");
    third.wait_for("please approve a deploy");

    // The other way round: what the second one dispatches is added by the first.
    second.send("hello there\r");
    first.wait_for("Added 1 run from laptop-2");
    screen.wait_for("hello there");

    // The wall takes over a configuration, and says what is wrong with one.
    wall.configure("[kiosk]\nrefresh = \"1h\"\nonly = [\"hello\"]\n");
    screen.wait_for_gone("please approve a deploy");
    wall.configure("[kiosk]\ntile = 3\n");
    screen.wait_for("config.toml:2:1");
    wall.configure(kiosk_config);
    screen.wait_for("please approve a deploy");

    // Nothing on it tells secrets, and no key does anything but its chord.
    screen.send("q:?w");
    screen.send("x\r");
    let text = screen.text();
    assert!(text.contains("please approve a deploy"), "{text}");
    for hidden in [LOBBY, SECRET, "Ctrl"] {
        assert!(!text.contains(hidden), "{hidden} in\n{text}");
    }
    screen.send("\u{3}\u{3}");
    assert!(screen.wait_exit().success());
    screen.assert_restored();
    for mut terminal in [first, second, third] {
        terminal.send("\u{3}\u{3}\u{3}");
        assert!(terminal.wait_exit().success());
    }
    let kept = wall.home.path().join("state/switchboard");
    let names = std::fs::read_dir(kept).expect("a directory").filter_map(Result::ok);
    let names: Vec<String> = names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(names.iter().any(|name| name.starts_with("kiosk-")), "{names:?}");
    assert!(
        !names.iter().any(|name| name.starts_with("terminal-")),
        "a list of its own: {names:?}"
    );
}
