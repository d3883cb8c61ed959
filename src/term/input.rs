//! What comes from outside into the loop: keys, pastes, sizes, signals, and the news that the terminal is gone.
//!
//! It does not know what a key means.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use crossterm::event::Event;
use rustix::event::{PollFd, PollFlags};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::background::{AnswerFilter, Taken};

/// How many events may wait for the loop; a paste is one event.
const QUEUE: usize = 256;

/// How long a key that may begin the terminal's answer is held back for the rest of it.
const HELD: Duration = Duration::from_millis(30);
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
}

/// The process's own terminal and signals.
///
/// Two threads wait for the terminal: one for keys, one for its end, since the key reader of crossterm 0.29 turns in
/// circles on a terminal that is gone. Both end with the process; there is no other way out of a blocking read.
#[derive(Debug)]
pub struct TerminalInput {
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
        std::thread::Builder::new()
            .name("terminal-input".into())
            .spawn(move || {
                let mut filter = asked.then(AnswerFilter::default);
                let started = Instant::now();
                loop {
                    let event = next_event(filter.as_mut());
                    let inputs = match (event, filter.as_mut()) {
                        (Ok(None), Some(filter)) => keys_of(filter.give_up()),
                        (Ok(None), None) => Vec::new(),
                        // Sizes come with the signal, below.
                        (Ok(Some(Event::Resize(..))), _) => continue,
                        (Ok(Some(event)), None) => vec![Ok(Input::Event(event))],
                        (Ok(Some(event)), Some(filter)) => {
                            filter.late = started.elapsed() > PROMPT_ANSWER;
                            match filter.take(event) {
                                Taken::Keys(keys) => keys_of(keys),
                                Taken::Held | Taken::Answer(None) => Vec::new(),
                                Taken::Answer(Some(light)) => vec![Ok(Input::Background { light })],
                            }
                        }
                        (Err(error), _) => vec![Err(error)],
                    };
                    for input in inputs {
                        let ended = input.is_err();
                        if keys.blocking_send(input).is_err() || ended {
                            return;
                        }
                    }
                }
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

/// Waits for the next event; `None`: none came in time to belong to what is held back.
fn next_event(filter: Option<&mut AnswerFilter>) -> io::Result<Option<Event>> {
    if filter.is_some_and(|filter| filter.is_holding()) && !crossterm::event::poll(HELD)? {
        return Ok(None);
    }
    crossterm::event::read().map(Some)
}

fn keys_of(events: Vec<Event>) -> Vec<io::Result<Input>> {
    events.into_iter().map(|event| Ok(Input::Event(event))).collect()
}

impl InputStream for TerminalInput {
    async fn next(&mut self) -> Input {
        tokio::select! {
            biased;
            Ok(_) = self.gone.wait_for(|gone| *gone) => Input::Gone,
            Some(()) = self.hangup.recv() => Input::Gone,
            Some(()) = self.terminate.recv() => Input::Terminate,
            Some(()) = self.interrupt.recv() => Input::Terminate,
            Some(()) = self.quit.recv() => Input::Terminate,
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
        }
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
