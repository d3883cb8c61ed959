//! The terminal program: puts the terminal, the state, the view and the client together.
//!
//! The loop is in [`session`], what it carries out in [`executor`], what it remembers in [`saved`]. No rule of the
//! program is here (they are in `app`), and no drawing (it is in `ui`).

mod calls;
mod child;
pub mod compose;
mod copying;
pub mod executor;
pub mod linear;
mod notifications;
pub mod reading;
mod recordings;
pub mod saved;
pub mod service;
pub mod session;
#[cfg(test)]
mod tests;
pub mod wall;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use color_eyre::eyre::eyre;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::app::{App, Settings};
use crate::client::Client;
use crate::client::feed::FeedOptions;
use crate::client::supervisor::Supervisor;
use crate::client::thread::FeedThread;
use crate::term::clipboard::{SystemClipboard, is_local_session};
use crate::term::{Alarm, Screen as _, TerminalInput, TerminalScreen, background, panic};
use crate::ui::Ui;
pub use crate::ui::{ColorDepth, UiOptions};
use crate::wire::request::ServerInfo;
use executor::Executor;
pub use executor::NoServer;
use service::{ClientService, Connected, can_be_found_again};
use session::{Clock, Ending, Session};

/// How many batches may wait between all feeds and the loop.
const ARRIVALS: usize = 64;
/// How long the end waits for what was sent and for the last save.
const PATIENCE: Duration = Duration::from_secs(3);

/// Finds or starts the server; called again, with pauses, until it succeeds, and when the server is gone. The
/// error is a sentence for the person.
pub type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<Found, NoServer>> + Send + Sync>;

/// A server that was found or started.
pub struct Found {
    /// What talks to it.
    pub client: Client,
    /// What it tells about itself.
    pub info: Option<ServerInfo>,
    /// Something about it that the person should know, in a sentence.
    pub notice: Option<String>,
}

/// What the terminal program is started with.
pub struct TuiOptions {
    /// What to call the server on the screen. Never a secret.
    pub server_name: String,
    /// Whether it is this machine's own server, which is started when there is none.
    pub local: bool,
    /// Finds or starts the server. It is called after the first frame was painted.
    pub connect: Connect,
    /// The file that remembers what is watched; directories on the way to it are made.
    pub state_file: PathBuf,
    /// How the screen looks.
    pub ui: UiOptions,
    /// The terminal may be asked whether it is dark or light.
    pub ask_background: bool,
    /// What the configuration and the flags say.
    pub settings: Settings,
    /// Something about it that the person should know, in a sentence.
    pub warning: Option<String>,
    /// The configuration's file, to be read again when it changes; `None`: there is none.
    pub config: Option<wall::ConfigFile>,
}

/// Runs the terminal program until the person or a signal ends it. The terminal is given back on every way out.
///
/// It belongs on a runtime of one thread (`tokio::runtime::Builder::new_current_thread`), which sleeps when nothing
/// happens. The panic hook that is installed before the call prints the report.
///
/// # Errors
/// When there is no terminal, or when something panicked (its report was printed then).
pub async fn run(options: TuiOptions) -> color_eyre::Result<()> {
    panic::install_hook();
    let mut screen = TerminalScreen::enter()?;
    if options.ask_background {
        screen.send(background::QUERY);
    }
    let mut input = TerminalInput::start(options.ask_background)?;
    let clock = Clock::system();
    let loaded = saved::load(&options.state_file);
    let mut app = App::new(
        options.server_name,
        options.settings,
        loaded.state.clone(),
        screen.size(),
        clock.now(),
    );
    app.server.local = options.local;
    let mut view = Ui::new(options.ui);
    let clipboard = is_local_session(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        .then(SystemClipboard::default);
    let (mut executor, mut replies) = Executor::new(
        options.state_file,
        loaded.state,
        clipboard,
        app.settings.recordings.directory.clone(),
        app.server.name.clone(),
    );
    let mut warning = loaded.warning.or(options.warning);
    let watched = options.config.map(|file| wall::watch(file, executor.replies()));
    if let Some(Err(reason)) = &watched {
        warning.get_or_insert(format!("Changes of the configuration will not be noticed: {reason}"));
    }
    let (arrivals_sender, mut arrivals) = mpsc::channel(ARRIVALS);
    let session = Session {
        app: &mut app,
        view: &mut view,
        screen: &mut screen,
        input: &mut input,
        executor: &mut executor,
        replies: &mut replies,
        arrivals: &mut arrivals,
        clock,
        alarm: Alarm::system(),
    };
    let connect = with_feeds(options.connect, arrivals_sender);
    let ending = session::run_loop(session, connect, warning).await;
    drop(watched);
    // The person gets the shell back first; what is still to be sent and written follows.
    drop(screen);
    drop(arrivals);
    if ending == Ending::Quit && executor.is_sending() {
        say("Sending…");
    }
    let unsent = executor.finish(replies, PATIENCE).await;
    if unsent > 0 && ending == Ending::Quit {
        let (prompts, they) = if unsent == 1 {
            ("1 prompt", "It is")
        } else {
            ("some prompts", "They are")
        };
        say(&format!(
            "switchboard: no server took {prompts}. {they} in the compose box at the next start."
        ));
    }
    match ending {
        Ending::Quit | Ending::TerminalGone => Ok(()),
        Ending::Panicked => Err(eyre!(
            "the program ended because of a fault of its own, reported above; runs go on, and what was watched is kept"
        )),
    }
}

/// Says something beside the screen. Nobody may be there to read it any more; what is still to be written then goes on.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Gives every server that is found the feeds that bring to the loop what its channels carry.
fn with_feeds(connect: Connect, arrivals: mpsc::Sender<crate::client::supervisor::Arrival>) -> executor::Connect {
    let connect = Arc::new(connect);
    // It is started with the first server: nothing is before the first frame.
    let thread: Arc<OnceLock<Arc<FeedThread>>> = Arc::default();
    Box::new(move || {
        let (connect, arrivals) = (Arc::clone(&connect), arrivals.clone());
        let thread = Arc::clone(&thread);
        Box::pin(async move {
            let Found { client, info, notice } = connect().await?;
            let feeds = match thread.get() {
                Some(feeds) => Arc::clone(feeds),
                None => {
                    let feeds = FeedThread::start().map_err(|error| format!("no thread for the feeds: {error}"))?;
                    Arc::clone(thread.get_or_init(|| Arc::new(feeds)))
                }
            };
            let options = FeedOptions {
                leave_when_gone: can_be_found_again(&client),
                ..FeedOptions::default()
            };
            let out = feeds.gather(arrivals, ARRIVALS);
            let supervisor = Supervisor::new(client.clone(), options, out, feeds.handle().clone());
            Ok(Connected {
                service: Box::new(ClientService::new(client, supervisor, feeds)),
                info,
                notice,
            })
        })
    })
}
