//! The loop: takes what comes, updates the state, carries out effects, paints on the frame clock.
//!
//! It knows no key and no widget. It is generic over the screen, the input and the view, so that tests run this loop
//! and no other. It wakes up for nothing but input, arrivals, replies, a frame that is due and a tick that is due.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossterm::event::Event;
use futures::FutureExt as _;
use ratatui::Frame;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::executor::{Connect, Executor, Reply};
use crate::app::look::{self, Background};
use crate::app::{self, App, Effect, Msg, Now, copying};
use crate::client::{self, supervisor::Arrival};
use crate::term::modes::Suspended;
use crate::term::{Alarm, Burst, FrameLimiter, Input, InputStream, Screen, Urgency, panic};
use crate::ui::{Ui, UiOptions};
use crate::wire::ChannelId;

/// How long arrivals or keys are taken in before a frame may be painted.
const DRAIN_BUDGET: Duration = Duration::from_millis(4);
/// A turn of the loop that takes longer is logged.
const SLOW_TURN: Duration = Duration::from_millis(50);
/// Ticks are not closer together than this, whatever the state asks for.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// What draws the state and knows the keys.
pub trait View {
    /// What a terminal event means in the present state.
    fn handle(&mut self, app: &App, event: Event) -> Vec<Msg>;
    /// Whether keys type a text in the present state.
    fn types(&self, _app: &App) -> bool {
        false
    }
    /// Draws the state.
    fn draw(&mut self, app: &App, frame: &mut Frame<'_>);
    /// What the frames that were drawn want done.
    fn wanted(&mut self) -> Vec<Msg> {
        Vec::new()
    }
    /// How the screen looks from now on.
    fn set_options(&mut self, _: UiOptions) {}
    /// The channels of which a line is in view in a list, as drawn last; `None`: all of them.
    fn listed(&self) -> Option<&[ChannelId]> {
        None
    }
}

impl View for Ui {
    fn handle(&mut self, app: &App, event: Event) -> Vec<Msg> {
        Ui::handle(self, app, event)
    }

    fn types(&self, app: &App) -> bool {
        Ui::types(app)
    }

    fn draw(&mut self, app: &App, frame: &mut Frame<'_>) {
        Ui::draw(self, app, frame);
    }

    fn wanted(&mut self) -> Vec<Msg> {
        Ui::wanted(self)
    }

    fn listed(&self) -> Option<&[ChannelId]> {
        Ui::listed(self)
    }

    fn set_options(&mut self, options: UiOptions) {
        Ui::set_options(self, options);
    }
}

/// The time of the loop; in tests the wall clock stands where it is put and moves with the paused time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    fixed_unix_ms: Option<u64>,
}

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self {
            start: Instant::now(),
            fixed_unix_ms: None,
        }
    }

    /// A wall clock that shows this Unix time, in milliseconds, at the start.
    #[must_use]
    pub fn starting_at(unix_ms: u64) -> Self {
        Self {
            start: Instant::now(),
            fixed_unix_ms: Some(unix_ms),
        }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Now {
        let monotonic_ms = millis(self.elapsed());
        let unix_ms = match self.fixed_unix_ms {
            Some(start) => start + monotonic_ms,
            None => millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        };
        Now { unix_ms, monotonic_ms }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The person or a signal ended it.
    Quit,
    /// The terminal is gone.
    TerminalGone,
    /// Something panicked; its report was printed.
    Panicked,
}

/// Everything that the loop works with.
pub struct Session<'a, S, I, V> {
    /// The state.
    pub app: &'a mut App,
    /// What draws it and knows the keys.
    pub view: &'a mut V,
    /// Where it is painted.
    pub screen: &'a mut S,
    /// Where keys and signals come from.
    pub input: &'a mut I,
    /// What carries out effects.
    pub executor: &'a mut Executor,
    /// What comes back of them.
    pub replies: &'a mut mpsc::Receiver<Reply>,
    /// What the feeds bring.
    pub arrivals: &'a mut mpsc::Receiver<Arrival>,
    /// The time.
    pub clock: Clock,
    /// What wakes the loop for ticks.
    pub alarm: Alarm,
}

/// Runs the loop until its end. The first frame is painted before `connect` is called for the first time.
///
/// `warning`: something that the person should know from the start.
pub async fn run_loop<S: Screen, I: InputStream, V: View>(
    session: Session<'_, S, I, V>,
    connect: Connect,
    warning: Option<String>,
) -> Ending {
    let mut turn = Turn {
        session,
        limiter: FrameLimiter::default(),
        ending: None,
        title: String::new(),
        last_tick: Duration::ZERO,
        suspended: false,
        burst: Burst::default(),
        lent: false,
        mouse: false,
    };
    if turn.run(connect, warning).await.is_err() {
        // Writing failed: there is no terminal any more to say so on.
        turn.handle_input(Input::Gone);
    }
    turn.ending.unwrap_or(Ending::TerminalGone)
}

/// The loop's own state.
struct Turn<'a, S, I, V> {
    session: Session<'a, S, I, V>,
    limiter: FrameLimiter,
    ending: Option<Ending>,
    title: String,
    last_tick: Duration,
    /// The terminal was given back until SIGCONT comes.
    suspended: bool,
    /// Tells pastes that the terminal does not mark from typing.
    burst: Burst,
    /// The terminal is another program's until that has ended.
    lent: bool,
    /// Whether the terminal was asked to report the mouse.
    mouse: bool,
}

impl<S: Screen, I: InputStream, V: View> Turn<'_, S, I, V> {
    async fn run(&mut self, connect: Connect, warning: Option<String>) -> io::Result<()> {
        if let Some(warning) = warning {
            self.dispatch(Msg::Warning(warning));
        }
        self.limiter.request(self.session.clock.elapsed(), Urgency::AtOnce);
        self.paint()?;
        self.dispatch(Msg::Start);
        self.session.executor.connect(connect);
        while self.ending.is_none() {
            // A key waits for its frame, not for the feeds to be told.
            self.paint()?;
            self.show();
            self.wait().await?;
        }
        Ok(())
    }

    /// Tells the feeds which channels are shown, if these are others now.
    fn show(&mut self) {
        let app = &*self.session.app;
        let listed = self.session.view.listed();
        let executor = &mut self.session.executor;
        if app.channels_in_view().ne(executor.shown()) || executor.listed() != listed {
            let shown = app.channels_in_view().cloned().collect();
            executor.show(shown, listed.map(<[ChannelId]>::to_vec));
        }
    }

    /// Waits for the next thing to happen and takes it in.
    async fn wait(&mut self) -> io::Result<()> {
        let session = &mut self.session;
        let busy = session.screen.is_busy();
        let frame = self.limiter.due().filter(|_| !self.suspended && !self.lent);
        let tick = self.tick_at();
        let (start, session) = (self.session.clock.start, &mut self.session);
        tokio::select! {
            biased;
            () = panic::panicked() => self.ending = Some(Ending::Panicked),
            input = session.input.next() => self.take_inputs(input),
            Some(reply) = session.replies.recv() => self.take_reply(reply),
            () = sleep_until(start + frame.unwrap_or_default()), if frame.is_some() && !busy => {}
            written = session.screen.idle(), if busy => written?,
            () = session.alarm.wait_until(start + tick.unwrap_or_default()), if tick.is_some() => {
                self.flush_burst();
                self.last_tick = self.session.clock.elapsed();
                self.dispatch(Msg::Tick);
            }
            Some(arrival) = session.arrivals.recv() => self.take_arrivals(arrival),
        }
        Ok(())
    }

    fn tick_at(&self) -> Option<Duration> {
        let tick = self.session.app.next_tick().map(Duration::from_millis);
        let tick = tick.map(|at| at.max(self.last_tick + SHORTEST_TICK));
        tick.into_iter().chain(self.burst.due()).min()
    }

    /// Paints if a frame is due and the terminal has taken the last one.
    fn paint(&mut self) -> io::Result<()> {
        let session = &mut self.session;
        let now = session.clock.elapsed();
        if self.suspended || self.lent || !self.limiter.is_due(now) || session.screen.is_busy() {
            return Ok(());
        }
        let title = session.app.title();
        if title != self.title {
            session.screen.set_title(&title);
            self.title = title;
        }
        let mouse = session.app.copying.mouse;
        if mouse != self.mouse {
            session.screen.set_mouse(mouse);
            self.mouse = mouse;
        }
        let started = std::time::Instant::now();
        let (view, app) = (&mut *session.view, &*session.app);
        session.screen.paint(&mut |frame| view.draw(app, frame))?;
        slow_turn("frame", started);
        self.limiter.painted(now);
        for message in self.session.view.wanted() {
            self.dispatch(message);
        }
        Ok(())
    }

    /// Takes an input and those behind it that are there already.
    fn take_inputs(&mut self, first: Input) {
        let started = std::time::Instant::now();
        let mut next = Some(first);
        while let Some(input) = next {
            self.handle_input(input);
            if self.ending.is_some() || started.elapsed() >= DRAIN_BUDGET {
                return;
            }
            next = self.session.input.next().now_or_never();
        }
    }

    /// What came at once and is followed by nothing is taken in.
    fn flush_burst(&mut self) {
        if self.burst.due().is_some_and(|due| due <= self.session.clock.elapsed()) {
            for event in self.burst.flush() {
                self.handle_event(event);
            }
        }
    }

    fn handle_event(&mut self, event: Event) {
        let now = self.session.clock.elapsed();
        if let Event::Resize(columns, rows) = event {
            self.session.screen.resize(columns, rows);
        }
        let messages = self.session.view.handle(self.session.app, event);
        for message in messages {
            self.dispatch(message);
        }
        // The view keeps cursors and text areas of its own, which change without a message.
        self.limiter.request(now, Urgency::AtOnce);
    }

    fn handle_input(&mut self, input: Input) {
        let now = self.session.clock.elapsed();
        match input {
            // The next size is asked for when the terminal is ours again, and keys that were typed ahead are not
            // for the screen that they were typed on.
            Input::Event(_) if self.lent => {}
            Input::Event(event) => {
                let typing = self.session.view.types(self.session.app);
                for event in self.burst.take(event, now, typing) {
                    self.handle_event(event);
                }
            }
            Input::Background { light } => {
                let background = if light { Background::Light } else { Background::Dark };
                self.dispatch(Msg::Look(look::Msg::Background(background)));
                self.limiter.request(now, Urgency::AtOnce);
            }
            Input::Terminate => {
                self.dispatch(Msg::Shutdown);
                self.ending = Some(Ending::Quit);
            }
            Input::Gone => {
                self.dispatch(Msg::Shutdown);
                self.ending = Some(Ending::TerminalGone);
            }
            Input::Stop if self.lent => self.session.screen.stop_along(),
            Input::Continued if self.lent => {}
            Input::Stop => self.suspend(),
            Input::Continued => {
                self.suspended = false;
                if self.session.screen.reenter().is_err() {
                    self.ending = Some(Ending::TerminalGone);
                }
                self.after_a_stop();
            }
        }
    }

    fn take_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Msg(message) => {
                let more = self.session.executor.note(&message);
                self.dispatch(message);
                for message in more {
                    self.dispatch(message);
                }
            }
            Reply::Connected(mut connected) => {
                let notice = connected.notice.take();
                let message = self.session.executor.connected(connected);
                self.dispatch(message);
                if let Some(notice) = notice {
                    self.dispatch(Msg::Warning(notice));
                }
            }
            Reply::Ui(options) => self.session.view.set_options(options),
            Reply::Returned(message) => {
                self.take_back();
                self.dispatch(message);
            }
            Reply::Gone(gone) => {
                for message in self.session.executor.gone(gone) {
                    self.dispatch(message);
                }
            }
        }
    }

    /// Takes in what arrived, within the budget: what is left stays in its queue, and the feeds wait.
    fn take_arrivals(&mut self, first: Arrival) {
        let started = std::time::Instant::now();
        let mut next = Some(first);
        while let Some(Arrival {
            channel,
            generation,
            batch,
        }) = next
        {
            self.dispatch(Msg::Feed {
                channel,
                generation,
                batch,
            });
            if self.ending.is_some() || started.elapsed() >= DRAIN_BUDGET {
                return;
            }
            next = self.session.arrivals.try_recv().ok();
        }
    }

    /// Updates the state and carries out what it wants done, until nothing more comes of it.
    fn dispatch(&mut self, message: Msg) {
        let mut messages = VecDeque::from([message]);
        while let Some(message) = messages.pop_front() {
            let started = std::time::Instant::now();
            let name = message.name();
            let urgency = match &message {
                Msg::Feed { channel, .. } if !self.session.executor.shown().contains(channel) => Urgency::Counter,
                _ => Urgency::Stream,
            };
            let before = self.session.app.revision();
            let effects = app::update(self.session.app, message, self.session.clock.now());
            if self.session.app.revision() != before {
                self.limiter.request(self.session.clock.elapsed(), urgency);
            }
            for effect in effects {
                messages.extend(self.carry_out(effect));
            }
            slow_turn(name, started);
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Msg> {
        match effect {
            Effect::NeedIds(count) => {
                return Some(Msg::FreshIds((0..count).map(|_| client::mint_channel_id()).collect()));
            }
            Effect::Copy(text) => {
                let by_terminal = self.session.screen.copy(&text);
                self.session.executor.copy(text, by_terminal);
                self.limiter.request(self.session.clock.elapsed(), Urgency::AtOnce);
            }
            Effect::Redraw => {
                if self.session.screen.clear().is_err() {
                    self.ending = Some(Ending::TerminalGone);
                }
                self.limiter.request(self.session.clock.elapsed(), Urgency::AtOnce);
            }
            Effect::Suspend => self.suspend(),
            Effect::Notifications(wanted) => {
                if let Some(bytes) = super::notifications::bytes(&wanted, super::notifications::variable) {
                    self.session.screen.send(&bytes);
                    self.limiter.request(self.session.clock.elapsed(), Urgency::AtOnce);
                }
            }
            Effect::Copying(copying::Do::Open(open)) => self.lend(open),
            Effect::Quit => self.ending = Some(Ending::Quit),
            effect => self.session.executor.execute(effect),
        }
        None
    }

    /// Gives the terminal to another program until that has ended. Runs go on meanwhile.
    fn lend(&mut self, open: copying::Open) {
        if self.lent || self.suspended {
            return;
        }
        self.lent = true;
        self.session.input.pause();
        self.session.screen.lend();
        self.session.executor.run_on_terminal(open);
    }

    /// The program that the terminal was lent to has ended.
    fn take_back(&mut self) {
        self.lent = false;
        if self.session.screen.reenter().is_err() {
            self.ending = Some(Ending::TerminalGone);
        }
        self.session.input.resume();
        self.after_a_stop();
    }

    fn suspend(&mut self) {
        match self.session.screen.suspend() {
            Ok(Suspended::Stopped) => self.suspended = true,
            Ok(Suspended::NoShell) => {
                let warning = "There is no shell to go back to: this terminal runs nothing else";
                self.dispatch(Msg::Warning(warning.to_owned()));
            }
            Err(_) => self.ending = Some(Ending::TerminalGone),
        }
    }

    /// The terminal is empty, and it may have another size and title.
    fn after_a_stop(&mut self) {
        let (columns, rows) = self.session.screen.size();
        self.title.clear();
        self.limiter.request(self.session.clock.elapsed(), Urgency::AtOnce);
        self.dispatch(Msg::Resize(columns, rows));
    }
}

fn slow_turn(name: &str, started: std::time::Instant) {
    let took = started.elapsed();
    if took > SLOW_TURN {
        tracing::warn!(name, took_ms = millis(took), "a slow turn of the loop");
    }
}
