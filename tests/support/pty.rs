//! A real program in a pseudo-terminal: what it shows, what it is sent, how it ends.
//!
//! It knows nothing of the program but its terminal. Every wait has a deadline, and dropping a [`Pty`] ends the process.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{Read as _, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// How long anything may take on a machine that is busy with other things.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A program in a pseudo-terminal.
pub struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

struct Shared {
    output: Mutex<Output>,
    more: Condvar,
    stop: AtomicBool,
}

struct Output {
    raw: Vec<u8>,
    screen: vt100::Parser,
    ended: bool,
}

impl Pty {
    /// Starts a program in a pseudo-terminal of this size, with no environment but `env` and PATH.
    pub fn spawn(program: &Path, args: &[&str], env: &[(&str, &str)], columns: u16, rows: u16) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal opens");
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TERM", "xterm-256color");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let mut source = pair.master.try_clone_reader().expect("the terminal can be read");
        let writer = pair.master.take_writer().expect("the terminal can be written");
        let screen = vt100::Parser::new(rows, columns, 0);
        let shared = Arc::new(Shared {
            output: Mutex::new(Output {
                raw: Vec::new(),
                screen,
                ended: false,
            }),
            more: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let thread_shared = Arc::clone(&shared);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            loop {
                let count = source.read(&mut buffer).unwrap_or(0);
                let mut output = thread_shared.output.lock().expect("no reader panics");
                if count == 0 {
                    output.ended = true;
                } else {
                    output.raw.extend_from_slice(&buffer[..count]);
                    output.screen.process(&buffer[..count]);
                }
                thread_shared.more.notify_all();
                if count == 0 || thread_shared.stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        Self {
            master: Some(pair.master),
            writer: Some(writer),
            child,
            shared,
            reader: Some(reader),
        }
    }

    /// What the screen shows, a line a row, without the blanks at their ends.
    pub fn text(&self) -> String {
        let output = self.shared.output.lock().expect("no reader panics");
        let (_, columns) = output.screen.screen().size();
        let lines = output.screen.screen().rows(0, columns);
        lines.map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// Everything that was written to the terminal so far.
    pub fn raw(&self) -> String {
        let output = self.shared.output.lock().expect("no reader panics");
        String::from_utf8_lossy(&output.raw).into_owned()
    }

    /// Waits until the screen shows a text.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(&format!("{text:?} on the screen"), |screen| {
            screen.contents().contains(text)
        });
    }

    /// Waits until the screen no longer shows a text.
    pub fn wait_for_gone(&self, text: &str) {
        self.wait_until(&format!("no {text:?} on the screen"), |screen| {
            !screen.contents().contains(text)
        });
    }

    /// Waits until the screen is as it should be.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut output = self.shared.output.lock().expect("no reader panics");
        while !is_so(output.screen.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = output.ended;
            assert!(
                !left.is_zero() && !ended,
                "waited for {what}{}; the screen is:\n{}",
                if ended { ", but the program has ended" } else { "" },
                output.screen.screen().contents()
            );
            output = self.shared.more.wait_timeout(output, left).expect("no reader panics").0;
        }
    }

    /// Waits until what was written is as it should be.
    pub fn wait_until_raw(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so(&self.raw()) {
            assert!(
                Instant::now() < deadline,
                "waited for {what}; the screen is:\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The process of the program.
    pub fn process_id(&self) -> u32 {
        self.child.process_id().expect("the process lives")
    }

    /// Forgets what was written to the terminal so far; the screen stays.
    pub fn forget_raw(&self) {
        self.shared.output.lock().expect("no reader panics").raw.clear();
    }

    /// The cells of the screen with their styles, as the bytes that would paint them.
    pub fn painted(&self) -> Vec<Vec<u8>> {
        let output = self.shared.output.lock().expect("no reader panics");
        let (_, columns) = output.screen.screen().size();
        output.screen.screen().rows_formatted(0, columns).collect()
    }

    /// Types keys.
    pub fn send(&mut self, keys: &str) {
        let writer = self.writer.as_mut().expect("the terminal is open");
        writer
            .write_all(keys.as_bytes())
            .and_then(|()| writer.flush())
            .expect("the terminal takes keys");
    }

    /// Gives the terminal another size; the program gets SIGWINCH.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.shared
            .output
            .lock()
            .expect("no reader panics")
            .screen
            .screen_mut()
            .set_size(rows, columns);
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master
            .as_ref()
            .expect("the terminal is open")
            .resize(size)
            .expect("the size changes");
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.process_id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(rustix::process::Pid::from_raw).expect("the process lives");
        rustix::process::kill_process(pid, signal).expect("the signal is sent");
    }

    /// Closes the terminal's other side, as a terminal window does. `nudge` makes the program write something, so that
    /// the reader here wakes up and lets go of the terminal too.
    pub fn close(&mut self, nudge: impl FnOnce(&mut Self)) {
        self.shared.stop.store(true, Ordering::SeqCst);
        nudge(self);
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader ends");
        }
        self.writer = None;
        self.master = None;
    }

    /// Waits until the process has ended.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "the program did not end; the screen is:\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until everything that the ended process wrote was read, and returns the screen.
    pub fn wait_end_of_output(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader ends");
        }
        self.text()
    }

    /// Asserts that an ended program gave the terminal back as it was.
    pub fn assert_restored(&mut self) {
        self.wait_end_of_output();
        let raw = self.raw();
        for (on, off, what) in [
            ("\x1b[?1049h", "\x1b[?1049l", "the alternate screen"),
            ("\x1b[?2004h", "\x1b[?2004l", "bracketed paste"),
            ("\x1b[?1004h", "\x1b[?1004l", "focus reports"),
            ("\x1b[?25l", "\x1b[?25h", "the hidden cursor"),
            ("\x1b[?2026h", "\x1b[?2026l", "the synchronized update"),
            ("\x1b[22;2t", "\x1b[23;2t", "the title"),
        ] {
            let last = |sequence: &str| raw.rfind(sequence);
            assert!(last(on).is_some(), "{what} was never changed");
            assert!(last(off) > last(on), "{what} was not given back");
        }
        // The mouse is taken by choice only; what was taken is given back.
        for mode in [1000, 1002, 1003, 1006] {
            let (on, off) = (
                raw.rfind(&format!("\x1b[?{mode}h")),
                raw.rfind(&format!("\x1b[?{mode}l")),
            );
            assert!(off >= on, "the mouse (mode {mode}) was not given back");
        }
        let output = self.shared.output.lock().expect("no reader panics");
        let screen = output.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
