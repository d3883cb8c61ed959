//! The linear mode: the same state and the same effects as the screen, but lines in and lines out.
//!
//! No alternate screen, no raw mode, no cursor play: the terminal edits the line that is typed, and what happens is printed
//! below. Standard input and output may be pipes. What is said is decided in `app::linear`.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::executor::{Executor, Reply};
use super::session::Clock;
use super::{ARRIVALS, PATIENCE, TuiOptions, notifications, saved, with_feeds};
use crate::app::linear::Linear;
use crate::app::{self, App, Effect, Msg};
use crate::client;
use crate::client::supervisor::Arrival;

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 1024 * 1024;
/// How many typed lines may wait.
const LINES: usize = 16;
/// The size that the state believes in.
const SIZE: (u16, u16) = (80, 24);

/// Runs the linear mode until the person, a signal, or the end of the input ends it. At the end of the input the run that is
/// open is still told to its end.
///
/// # Errors
/// When the system gives no thread or no signal handler.
pub async fn run(options: TuiOptions) -> color_eyre::Result<()> {
    let clock = Clock::system();
    let loaded = saved::load(&options.state_file);
    let mut app = App::new(
        options.server_name,
        options.settings,
        loaded.state.clone(),
        SIZE,
        clock.now(),
    );
    app.server.local = options.local;
    let (executor, mut replies) = Executor::new(
        options.state_file,
        loaded.state,
        None,
        app.settings.recordings.directory.clone(),
        app.server.name.clone(),
    );
    let (arrivals_sender, mut arrivals) = mpsc::channel(ARRIVALS);
    let mut lines = read_lines()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut turn = Turn {
        linear: Linear::new(clock.now()),
        app,
        executor,
        clock,
        ended: false,
    };
    print(turn.linear.welcome(&mut turn.app));
    for warning in [loaded.warning, options.warning].into_iter().flatten() {
        turn.dispatch(Msg::Warning(warning));
    }
    turn.dispatch(Msg::Start);
    turn.executor.connect(with_feeds(options.connect, arrivals_sender));
    let mut reading = true;
    while !turn.ended {
        let open: Vec<_> = turn.linear.open().into_iter().cloned().collect();
        if open != turn.executor.shown() {
            turn.executor.show(open, None);
        }
        let tick = turn.app.next_tick().unwrap_or(u64::MAX);
        let in_ms = tick.saturating_sub(turn.clock.now().monotonic_ms).max(10);
        let at = tokio::time::Instant::now() + std::time::Duration::from_millis(in_ms.min(60_000));
        tokio::select! {
            biased;
            Some(()) = terminate.recv() => turn.dispatch(Msg::Shutdown),
            Some(()) = interrupt.recv() => turn.dispatch(Msg::Shutdown),
            Some(()) = hangup.recv() => turn.dispatch(Msg::Shutdown),
            line = lines.recv(), if reading => match line {
                Some(line) => turn.typed(&line),
                None => reading = false,
            },
            Some(reply) = replies.recv() => turn.take_reply(reply),
            Some(Arrival { channel, generation, batch }) = arrivals.recv() => {
                turn.dispatch(Msg::Feed { channel, generation, batch });
            }
            () = sleep_until(at) => turn.dispatch(Msg::Tick),
        }
        if !reading && turn.linear.is_at_rest(&turn.app) {
            turn.dispatch(Msg::Shutdown);
        }
    }
    drop(arrivals);
    let unsent = turn.executor.finish(replies, PATIENCE).await;
    if unsent > 0 {
        super::say("switchboard: no server took the last prompts. They are kept for the next start.");
    }
    Ok(())
}

struct Turn {
    linear: Linear,
    app: App,
    executor: Executor,
    clock: Clock,
    ended: bool,
}

impl Turn {
    fn typed(&mut self, line: &str) {
        let now = self.clock.now();
        let (effects, lines) = self.linear.typed(&mut self.app, line, now);
        print(lines);
        let mut messages = VecDeque::new();
        for effect in effects {
            messages.extend(self.carry_out(effect));
        }
        print(self.linear.report(&self.app, None));
        for message in messages {
            self.dispatch(message);
        }
    }

    /// Updates the state, carries out what it wants done, and says what came of it.
    fn dispatch(&mut self, message: Msg) {
        let mut messages = VecDeque::from([message]);
        while let Some(message) = messages.pop_front() {
            let of = match &message {
                Msg::Feed { channel, .. } => Some(channel.clone()),
                _ => None,
            };
            let before = self.app.revision();
            let effects = app::update(&mut self.app, message, self.clock.now());
            for effect in effects {
                messages.extend(self.carry_out(effect));
            }
            if self.app.revision() != before {
                print(self.linear.report(&self.app, of.as_ref()));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Msg> {
        match effect {
            Effect::NeedIds(count) => {
                return Some(Msg::FreshIds((0..count).map(|_| client::mint_channel_id()).collect()));
            }
            Effect::Quit => self.ended = true,
            Effect::Notifications(wanted) => {
                let bytes = notifications::bytes(&wanted, notifications::variable);
                if let Some(bytes) = bytes.filter(|_| std::io::stdout().is_terminal()) {
                    write(bytes.as_bytes());
                }
            }
            // There is no screen to draw on, to lend, or to copy from.
            Effect::Redraw | Effect::Suspend | Effect::Copy(_) => {}
            effect => self.executor.execute(effect),
        }
        None
    }

    fn take_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Msg(message) | Reply::Returned(message) => {
                let more = self.executor.note(&message);
                self.dispatch(message);
                for message in more {
                    self.dispatch(message);
                }
            }
            Reply::Connected(mut connected) => {
                let notice = connected.notice.take();
                let message = self.executor.connected(connected);
                self.dispatch(message);
                if let Some(notice) = notice {
                    self.dispatch(Msg::Warning(notice));
                }
            }
            Reply::Gone(gone) => {
                for message in self.executor.gone(gone) {
                    self.dispatch(message);
                }
            }
            Reply::Ui(_) => {}
        }
    }
}

/// Starts a thread that reads lines until the end of the input. It ends with the process: there is no other way out of a
/// blocking read.
fn read_lines() -> std::io::Result<mpsc::Receiver<String>> {
    let (sender, lines) = mpsc::channel(LINES);
    std::thread::Builder::new().name("lines".into()).spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
            if !read.is_ok_and(|count| count > 0) {
                return;
            }
            if sender
                .blocking_send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    })?;
    Ok(lines)
}

/// Prints lines. They are safe for a terminal.
fn print(lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    let mut text = lines.join("\n");
    text.push('\n');
    write(text.as_bytes());
}

/// Writes at once. Nobody may be there to read it any more; the state is kept all the same.
fn write(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}
