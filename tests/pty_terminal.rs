//! The terminal layer and the loop in a real pseudo-terminal, driven by a view made for it: panics in every place,
//! signals, a terminal that goes away, suspension.
//!
//! The test executable starts itself again in the pseudo-terminal as the program under test (the test `probe`).

#[path = "support/pty.rs"]
mod pty;

use std::path::Path;
use std::time::Duration;

use crossterm::event::{Event, KeyCode};
use pty::Pty;
use ratatui::Frame;
use rustix::process::Signal;
use switchboard::app::{Action, App, Msg, SavedState, Settings};
use switchboard::term::{Screen as _, TerminalInput, TerminalScreen, panic};
use switchboard::tui::executor::Executor;
use switchboard::tui::session::{Clock, Ending, Session, View, run_loop};
use tokio::sync::mpsc;

/// Set in the process that is the program under test.
const PROBE: &str = "SWITCHBOARD_TEST_PROBE";

struct Probe {
    pressed: String,
}

impl View for Probe {
    fn handle(&mut self, _: &App, event: Event) -> Vec<Msg> {
        match event {
            Event::Key(key) => match key.code {
                KeyCode::Char('T') => {
                    tokio::spawn(async { panic!("a task has a fault") });
                }
                KeyCode::Char('B') => {
                    tokio::task::spawn_blocking(|| panic!("a thread has a fault"));
                }
                KeyCode::Char('L') => panic!("the loop has a fault"),
                KeyCode::Char('Z') => return vec![Msg::Action(Action::Suspend)],
                KeyCode::Char('q') => return vec![Msg::Shutdown],
                KeyCode::Char(c) => self.pressed.push(c),
                _ => {}
            },
            Event::Resize(columns, rows) => return vec![Msg::Resize(columns, rows)],
            Event::Paste(text) => self.pressed.push_str(&format!("<{}>", text.len())),
            _ => {}
        }
        Vec::new()
    }

    fn draw(&mut self, app: &App, frame: &mut Frame<'_>) {
        let (columns, rows) = app.size;
        frame.render_widget(
            format!("probe {columns}x{rows} pressed {}.", self.pressed),
            frame.area(),
        );
        frame.set_cursor_position((0, 0));
    }
}

/// Not a test of its own: the program under test, in the process that [`start`] starts.
#[test]
fn probe() {
    let Some(directory) = std::env::var_os(PROBE) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let ending = runtime.block_on(async {
        panic::install_hook();
        let mut screen = TerminalScreen::enter().expect("a terminal");
        let mut input = TerminalInput::start(false).expect("input");
        let clock = Clock::system();
        let mut app = App::new(
            "probe".into(),
            Settings::default(),
            SavedState::default(),
            screen.size(),
            clock.now(),
        );
        let mut view = Probe { pressed: String::new() };
        let (mut executor, mut replies) = Executor::new(
            Path::new(&directory).join("state.json"),
            SavedState::default(),
            None,
            Path::new(&directory).join("recordings"),
            "probe".into(),
        );
        let (_arrivals, mut arrivals) = mpsc::channel(1);
        let session = Session {
            app: &mut app,
            view: &mut view,
            screen: &mut screen,
            input: &mut input,
            executor: &mut executor,
            replies: &mut replies,
            arrivals: &mut arrivals,
            clock,
            alarm: switchboard::term::Alarm::system(),
        };
        let connect = Box::new(|| Box::pin(std::future::pending()) as _);
        let ending = run_loop(session, connect, None).await;
        drop(screen);
        executor.finish(replies, Duration::from_secs(1)).await;
        ending
    });
    // What the harness of the tests would print and return is none of the program's.
    std::process::exit(match ending {
        Ending::Quit => 0,
        Ending::TerminalGone => 4,
        Ending::Panicked => 3,
    });
}

fn start(directory: &Path) -> Pty {
    let program = std::env::current_exe().expect("this program has a path");
    let directory = directory.to_str().expect("a plain path");
    let env = [(PROBE, directory), ("HOME", directory)];
    let pty = Pty::spawn(
        &program,
        &["probe", "--exact", "--nocapture", "--test-threads=1"],
        &env,
        80,
        24,
    );
    pty.wait_for("probe 80x24 pressed .");
    pty
}

#[test]
fn keys_and_pastes_arrive_and_leaving_gives_the_terminal_back() {
    let home = tempfile::tempdir().expect("a directory");
    let mut pty = start(home.path());
    pty.send("abc");
    pty.wait_for("pressed abc.");
    let paste = "x".repeat(5_000);
    pty.send(&format!("\x1b[200~{paste}\x1b[201~d"));
    pty.wait_for("pressed abc<5000>d.");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
}

#[test]
fn another_size_is_drawn_and_frames_erase_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    let mut pty = start(home.path());
    let erases = pty.raw().matches("\x1b[2J").count();
    pty.send("abc");
    pty.wait_for("pressed abc.");
    assert_eq!(
        pty.raw().matches("\x1b[2J").count(),
        erases,
        "a frame erased the screen"
    );
    pty.resize(100, 30);
    pty.wait_for("probe 100x30 pressed abc.");
    pty.resize(20, 5);
    pty.wait_for("probe 20x5");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
}

#[test]
fn a_panic_anywhere_gives_the_terminal_back_before_its_report() {
    for (key, report, code) in [
        ("T", "a task has a fault", 3),
        ("B", "a thread has a fault", 3),
        ("L", "the loop has a fault", 101),
    ] {
        let home = tempfile::tempdir().expect("a directory");
        let mut pty = start(home.path());
        pty.send(key);
        assert_eq!(pty.wait_exit().exit_code(), code, "{report}");
        pty.assert_restored();
        let raw = pty.raw();
        let (left, reported) = (raw.rfind("\x1b[?1049l"), raw.find(report));
        assert!(
            reported.is_some() && left < reported,
            "restored first, then reported: {raw:?}"
        );
        assert!(
            pty.text().contains(report),
            "the report stays on the screen:\n{}",
            pty.text()
        );
    }
}

#[test]
fn signals_end_the_program_and_give_the_terminal_back() {
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 0), (Signal::QUIT, 0), (Signal::HUP, 4)] {
        let home = tempfile::tempdir().expect("a directory");
        let mut pty = start(home.path());
        pty.signal(signal);
        assert_eq!(pty.wait_exit().exit_code(), code, "{signal:?}");
        pty.assert_restored();
    }
}

#[test]
fn the_program_ends_when_its_terminal_is_closed() {
    let home = tempfile::tempdir().expect("a directory");
    let mut pty = start(home.path());
    pty.close(|pty| pty.send("x"));
    assert_eq!(pty.wait_exit().exit_code(), 4);
}

#[test]
fn the_leader_of_a_session_is_not_stopped_and_says_so() {
    let home = tempfile::tempdir().expect("a directory");
    let mut pty = start(home.path());
    // Nobody could continue it: a terminal that runs the program alone would hang for ever.
    pty.signal(Signal::TSTP);
    pty.send("yes");
    pty.wait_for("yes.");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
}

#[test]
fn after_a_stop_from_outside_everything_is_drawn_again() {
    let home = tempfile::tempdir().expect("a directory");
    let mut pty = start(home.path());
    let entered = |pty: &Pty| pty.raw().matches("\x1b[?1049h").count();
    assert_eq!(entered(&pty), 1);
    pty.signal(Signal::STOP);
    pty.signal(Signal::CONT);
    pty.wait_until_raw("the terminal taken again", |raw| {
        raw.matches("\x1b[?1049h").count() == 2
    });
    pty.send("z");
    pty.wait_for("pressed z.");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
    assert_eq!(entered(&pty), 2, "the terminal was taken again");
}

/// Suspension under a shell with job control: stopped, continued, and the screen is back.
#[test]
fn a_shell_can_continue_the_stopped_program() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().to_str().expect("a plain path");
    let program = std::env::current_exe().expect("this program has a path");
    let program = program.to_str().expect("a plain path");
    let mut pty = Pty::spawn(
        Path::new("/bin/sh"),
        &["-i"],
        &[(PROBE, directory), ("HOME", directory), ("PS1", "ready> ")],
        100,
        24,
    );
    pty.wait_for("ready>");
    pty.send(&format!("'{program}' probe --exact --nocapture --test-threads=1\n"));
    pty.wait_for("probe 100x24 pressed .");
    pty.send("Z");
    pty.wait_until("the shell", |screen| !screen.alternate_screen());
    // Not before the shell says so: until then what is typed goes to the program.
    pty.wait_until("the shell's prompt", |screen| {
        screen.contents().trim_end().ends_with("ready>")
    });
    pty.send("fg\n");
    pty.wait_for("probe 100x24 pressed");
    pty.send("ab");
    pty.wait_for("ab.");
    pty.send("q");
    pty.wait_until("the shell again", |screen| {
        !screen.alternate_screen() && screen.contents().trim_end().ends_with("ready>")
    });
    pty.send("exit\n");
    pty.wait_exit();
}
