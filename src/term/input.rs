//! What comes from outside into the loop: keys, pastes, sizes, signals, and the news that the terminal is gone.
//!
//! It does not know what a key means.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossterm::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::background::{AnswerFilter, Taken};

/// How many events may wait for the loop; a paste is one event.
const QUEUE: usize = 256;
/// How long crossterm looks for what is there. With no time at all it does not look, and for less than a millisecond
/// it turns in circles, on a core that the frame of the key may need: so it is a short time, twice.
const LOOK: Duration = Duration::from_micros(30);
const LOOKS: u32 = 2;
/// A thread that was held up meanwhile may have looked at nothing: a little later it looks once more.
const SECOND_LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};
/// How often it is looked whether a key is still being read.
const PAUSE: Duration = Duration::from_millis(1);
/// How long a key that is being read may hold up the handing over of the terminal.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long a key that may begin the terminal's answer is held back for the rest of it.
const HELD: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 30_000_000,
};
/// So long after the question its answer may still come in pieces.
const PROMPT_ANSWER: Duration = Duration::from_secs(5);

/// Something from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A key, a paste, a mouse or focus event, or another size.
    Event(Event),
    /// The terminal said what its background is: light, or dark.
    Background {
        /// Text on it is to be dark.
        light: bool,
    },
    /// The process is asked to end: SIGTERM, SIGINT or SIGQUIT.
    Terminate,
    /// The terminal is gone: SIGHUP, a hang-up, or the end of its input. Nothing can be drawn any more.
    Gone,
    /// The process is asked to stop until it is continued: SIGTSTP.
    Stop,
    /// The process was continued; the terminal may have other modes and another content: SIGCONT.
    Continued,
}

/// Where the loop's input comes from.
pub trait InputStream {
    /// Waits for the next input. Dropping the future loses nothing. After the last one it waits for ever.
    fn next(&mut self) -> impl Future<Output = Input>;

    /// From here on the terminal's keys belong to another program: none is read, and the signals that it sends for
    /// keys (SIGINT, SIGQUIT) are that program's matter.
    fn pause(&mut self) {}

    /// The terminal's keys are ours again.
    fn resume(&mut self) {}
}

/// The process's own terminal and signals.
///
/// Two threads wait for the terminal: one for keys, one for its end, which is to be seen also while nobody takes keys.
/// Both end with the process.
#[derive(Debug)]
pub struct TerminalInput {
    gate: Arc<Gate>,
    events: mpsc::Receiver<io::Result<Input>>,
    gone: watch::Receiver<bool>,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    stop: Signal,
    continued: Signal,
    resized: Signal,
}

impl TerminalInput {
    /// Starts to read the terminal and to take signals. The terminal must be in raw mode already.
    ///
    /// `asked`: the terminal was asked for its background ([`super::background::QUERY`]): the answer is no key.
    ///
    /// # Errors
    /// When the system gives no thread or no signal handler.
    pub fn start(asked: bool) -> io::Result<Self> {
        let (keys, events) = mpsc::channel(QUEUE);
        let gate = Arc::new(Gate::default());
        let keys_gate = Arc::clone(&gate);
        std::thread::Builder::new()
            .name("terminal-input".into())
            .spawn(move || {
                let filter = asked.then(AnswerFilter::default);
                read_keys(&keys, &keys_gate, filter);
            })?;
        let (gone_sender, gone) = watch::channel(false);
        std::thread::Builder::new()
            .name("terminal-hang-up".into())
            .spawn(move || {
                let stdin = io::stdin();
                loop {
                    // Hang-ups and errors are reported without being asked for; keys do not wake this.
                    let mut fds = [PollFd::new(&stdin, PollFlags::empty())];
                    match rustix::event::poll(&mut fds, None) {
                        Err(rustix::io::Errno::INTR) => {}
                        Ok(_) | Err(_) => break,
                    }
                }
                let _ = gone_sender.send(true);
            })?;
        Ok(Self {
            gate,
            events,
            gone,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            continued: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
            resized: signal(SignalKind::window_change())?,
        })
    }
}

/// Whether keys are ours to read. Whoever reads holds the lock, so that after [`Gate::close`] nobody does.
#[derive(Debug, Default)]
struct Gate {
    closed: AtomicBool,
    reading: Mutex<()>,
    opened: Condvar,
}

impl Gate {
    /// From here on no key is read. A key that is being read is waited for, but not for long: a paste whose end does
    /// not come must not hold up the program.
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let start = Instant::now();
        while self.reading.try_lock().is_err() && start.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
        }
    }

    fn open(&self) {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(false, Ordering::SeqCst);
        drop(reading);
        self.opened.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// The next event that is there already, or is about to be; `None`: there is none, or it is not ours.
    fn read(&self) -> io::Result<Option<Event>> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        while self.is_closed() {
            reading = self.opened.wait(reading).unwrap_or_else(PoisonError::into_inner);
        }
        for _ in 0..LOOKS {
            if crossterm::event::poll(LOOK)? {
                return crossterm::event::read().map(Some);
            }
        }
        Ok(None)
    }
}

/// Reads keys as they come. It waits outside of crossterm, which cannot be told that the keys are another's for a
/// while, and which turns in circles on a terminal that is gone.
fn read_keys(keys: &mpsc::Sender<io::Result<Input>>, gate: &Gate, mut filter: Option<AnswerFilter>) {
    let stdin = io::stdin();
    let started = Instant::now();
    let send = |inputs: Vec<Input>| inputs.into_iter().all(|input| keys.blocking_send(Ok(input)).is_ok());
    let mut look_again = false;
    loop {
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        let held = filter.as_ref().is_some_and(AnswerFilter::is_holding).then_some(HELD);
        let timeout = held.or(look_again.then_some(SECOND_LOOK));
        let gone = match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => true,
            Ok(0) if held.is_none() => false,
            Ok(0) => {
                // What was held back is no part of an answer: its rest would be here.
                let events = filter.as_mut().map(AnswerFilter::give_up).unwrap_or_default();
                if !send(events.into_iter().map(Input::Event).collect()) {
                    return;
                }
                continue;
            }
            Ok(_) => fds[0]
                .revents()
                .intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
        };
        let mut any = false;
        loop {
            let event = match gate.read() {
                // Sizes come with the signal.
                Ok(Some(Event::Resize(..))) => continue,
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    let _ = keys.blocking_send(Err(error));
                    return;
                }
            };
            any = true;
            let late = started.elapsed() > PROMPT_ANSWER;
            if !send(inputs_of(event, filter.as_mut(), late)) {
                return;
            }
        }
        look_again = any;
        if gone && !any {
            return;
        }
    }
}

/// What an event is, without the terminal's answer; `late`: that does not come in pieces any more.
fn inputs_of(event: Event, filter: Option<&mut AnswerFilter>, late: bool) -> Vec<Input> {
    let Some(filter) = filter else {
        return vec![Input::Event(event)];
    };
    filter.late = late;
    match filter.take(event) {
        Taken::Keys(keys) => keys.into_iter().map(Input::Event).collect(),
        Taken::Held | Taken::Answer(None) => Vec::new(),
        Taken::Answer(Some(light)) => vec![Input::Background { light }],
    }
}

impl InputStream for TerminalInput {
    async fn next(&mut self) -> Input {
        loop {
            let for_us = !self.gate.is_closed();
            return tokio::select! {
                biased;
                Ok(_) = self.gone.wait_for(|gone| *gone) => Input::Gone,
                Some(()) = self.hangup.recv() => Input::Gone,
                Some(()) = self.terminate.recv() => Input::Terminate,
                Some(()) = self.interrupt.recv() => if for_us { Input::Terminate } else { continue },
                Some(()) = self.quit.recv() => if for_us { Input::Terminate } else { continue },
                Some(()) = self.continued.recv() => Input::Continued,
                Some(()) = self.stop.recv() => Input::Stop,
                Some(()) = self.resized.recv() => {
                    let (columns, rows) = super::modes::size();
                    Input::Event(Event::Resize(columns, rows))
                }
                event = self.events.recv() => match event {
                    Some(Ok(input)) => input,
                    Some(Err(_)) | None => Input::Gone,
                },
            };
        }
    }

    fn pause(&mut self) {
        self.gate.close();
    }

    fn resume(&mut self) {
        self.gate.open();
    }
}

/// Input that a test wrote down: given out in order, then silence.
#[derive(Debug)]
pub struct ScriptedInput {
    ready: VecDeque<Input>,
    more: mpsc::Receiver<Input>,
}

impl ScriptedInput {
    /// Input that is there from the start, and a sender for what comes later.
    #[must_use]
    pub fn new(ready: impl IntoIterator<Item = Input>) -> (Self, mpsc::Sender<Input>) {
        let (sender, more) = mpsc::channel(QUEUE);
        (
            Self {
                ready: ready.into_iter().collect(),
                more,
            },
            sender,
        )
    }
}

impl InputStream for ScriptedInput {
    async fn next(&mut self) -> Input {
        if let Some(input) = self.ready.pop_front() {
            return input;
        }
        match self.more.recv().await {
            Some(input) => input,
            None => std::future::pending().await,
        }
    }
}
