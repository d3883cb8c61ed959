//! What the program changes about the terminal, and how all of it is taken back.
//!
//! There is one terminal to a process, so its state is one static: the panic hook needs it from any thread.
//! Nothing here draws, and nothing here reads keys.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Signal, getpid, getsid, kill_current_process_group, kill_process};

/// Puts the title on the terminal's stack, changes to the alternate screen, clears it once, asks for
/// bracketed paste and for focus reports, says that right-to-left text is in its order already, and hides the cursor until a frame places it.
const ENTER: &[u8] = b"\x1b[22;2t\x1b[?1049h\x1b[H\x1b[2J\x1b[?2004h\x1b[?1004h\x1b[8l\x1b[?25l";
/// Asks for reports of the mouse: its buttons, its wheel, and where it goes while a button is held, in the form that
/// has no bounds (SGR). Motion alone is not reported: nothing wakes up for it.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";
/// The reverse of [`MOUSE_ON`].
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l\x1b[?1000l";
/// The reverse of [`ENTER`] and of [`MOUSE_ON`], and the end of a frame that was cut off in the middle.
const LEAVE: &[u8] =
    b"\x1b[?2026l\x1b[0m\x1b[?1006l\x1b[?1002l\x1b[?1000l\x1b[8h\x1b[?1004l\x1b[?2004l\x1b[?1049l\x1b[?25h\x1b[23;2t";
/// The most columns and rows that are drawn on: more than a wall of screens has.
const MOST_COLUMNS: u16 = 2_000;
const MOST_ROWS: u16 = 1_000;
/// How long a terminal that takes no output may hold up the way out.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether the terminal is ours. Whoever writes to it holds the lock, so that nothing is written after the restoring.
static ENTERED: Mutex<bool> = Mutex::new(false);
/// Whether the mouse is asked for whenever the terminal is taken.
static MOUSE: AtomicBool = AtomicBool::new(false);

/// Why the screen cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Standard input or output is a file, a pipe or nothing.
    #[error(
        "the screen needs a terminal, but standard {0} is not one. Without a terminal use \
         `switchboard dispatch` to start a run and `switchboard watch` to read one"
    )]
    NotATerminal(&'static str),
    /// The terminal cannot place text.
    #[error(
        "the screen cannot be shown on a terminal of the type `dumb`. Set TERM to what the terminal is, or use \
         `switchboard dispatch` and `switchboard watch`, which print plain lines"
    )]
    Dumb,
    /// The terminal refused.
    #[error("the terminal could not be set up: {0}")]
    Io(#[from] io::Error),
}

/// Gives the terminal back when it is dropped.
#[must_use = "the terminal is given back when this is dropped"]
#[derive(Debug)]
pub struct TerminalGuard(());

impl TerminalGuard {
    /// Takes the terminal: raw mode, alternate screen, bracketed paste, focus reports.
    ///
    /// # Errors
    /// When standard input or output is no terminal, when it is `dumb`, or when it refuses.
    pub fn enter() -> Result<Self, EnterError> {
        if !io::stdin().is_terminal() {
            return Err(EnterError::NotATerminal("input"));
        }
        if !io::stdout().is_terminal() {
            return Err(EnterError::NotATerminal("output"));
        }
        if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return Err(EnterError::Dumb);
        }
        enter()?;
        Ok(Self(()))
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        leave();
    }
}

/// What became of a wish to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspended {
    /// The terminal was given back and the process is being stopped; SIGCONT says that it goes on.
    Stopped,
    /// There is no shell that could continue the process, so it was not stopped.
    NoShell,
}

/// Gives the terminal back and stops the process group until the shell continues it. This thread may run on for a
/// moment, since any other may take the signal first: the terminal is to be taken again ([`reenter`]) when SIGCONT comes.
///
/// # Errors
/// When the process cannot be stopped; the terminal is ours again then.
pub fn suspend() -> io::Result<Suspended> {
    // The leader of a session was started by a terminal, not by a shell: stopped, it would stay so for ever.
    if getsid(None).is_ok_and(|session| session == getpid()) {
        return Ok(Suspended::NoShell);
    }
    leave();
    // The whole group, so that the shell sees its job stop also where something stands between (`cargo run`).
    if let Err(error) = kill_current_process_group(Signal::STOP) {
        enter()?;
        return Err(error.into());
    }
    Ok(Suspended::Stopped)
}

/// Takes the terminal again after something else may have changed its modes (the process was stopped and continued).
///
/// # Errors
/// When the terminal refuses.
pub fn reenter() -> io::Result<()> {
    leave();
    enter()
}

/// The mouse is asked for from now on, or no longer; the sequence that says so to a terminal that is ours already.
pub(super) fn mouse(on: bool) -> &'static str {
    MOUSE.store(on, Ordering::SeqCst);
    if on { MOUSE_ON } else { MOUSE_OFF }
}

/// Stops this process alone, along with a program on the terminal that stops itself. Nothing happens where no shell
/// could continue it.
pub(super) fn stop_along() {
    if getsid(None).is_ok_and(|session| session != getpid()) {
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// The terminal's size in columns and rows, as far as it is drawn on; 80 by 24 where it does not know.
#[must_use]
pub fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stdout().as_fd()) {
        Ok(size) => bounded(size.ws_col, size.ws_row),
        Err(_) => bounded(0, 0),
    }
}

/// The part of a terminal that is drawn on: every cell takes memory, and sizes that no screen has are set by mistake.
fn bounded(columns: u16, rows: u16) -> (u16, u16) {
    if columns == 0 || rows == 0 {
        return (80, 24);
    }
    (columns.min(MOST_COLUMNS), rows.min(MOST_ROWS))
}

/// Writes bytes to the terminal while it is ours; afterwards they are dropped.
///
/// # Errors
/// When the terminal is gone.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let entered = lock();
    if *entered { write_all(bytes) } else { Ok(()) }
}

/// Gives the terminal back, if it is ours. It never fails and never waits long: the way out must be open.
pub(super) fn leave() {
    let mut entered = lock_within(PATIENCE);
    if let Some(entered) = &mut entered {
        if !**entered {
            return;
        }
        **entered = false;
    }
    // Without the lock a frame is stuck in a terminal that takes nothing; it is then most likely not writable here.
    if writable(PATIENCE) {
        let _ = write_all(LEAVE);
    }
    let _ = crossterm::terminal::disable_raw_mode();
}

fn enter() -> io::Result<()> {
    let mut entered = lock();
    crossterm::terminal::enable_raw_mode()?;
    *entered = true;
    let written = write_all(ENTER).and_then(|()| {
        if MOUSE.load(Ordering::SeqCst) {
            write_all(MOUSE_ON.as_bytes())
        } else {
            Ok(())
        }
    });
    drop(entered);
    if written.is_err() {
        leave();
    }
    written
}

fn lock() -> MutexGuard<'static, bool> {
    ENTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock_within(patience: Duration) -> Option<MutexGuard<'static, bool>> {
    let start = Instant::now();
    loop {
        match ENTERED.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if start.elapsed() >= patience => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Whether the terminal takes output within this time.
fn writable(patience: Duration) -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::OUT)];
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    matches!(rustix::event::poll(&mut fds, Some(&timeout)), Ok(count) if count > 0)
        && fds[0].revents().contains(PollFlags::OUT)
}

/// Writes past the lock and the buffer of the standard library: the panic hook may run while they are taken.
fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    let stdout = io::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(stdout.as_fd(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            // Whoever shares the terminal may have made it non-blocking.
            Err(rustix::io::Errno::AGAIN) => {
                writable(PATIENCE);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_one_that_can_be_drawn_on() {
        for (size, drawn) in [
            ((0, 24), (80, 24)),
            ((80, 0), (80, 24)),
            ((1, 1), (1, 1)),
            ((213, 60), (213, 60)),
            ((u16::MAX, u16::MAX), (MOST_COLUMNS, MOST_ROWS)),
        ] {
            assert_eq!(bounded(size.0, size.1), drawn);
        }
    }
}
