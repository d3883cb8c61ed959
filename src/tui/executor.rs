//! Carries out effects: calls to the server, saving, the system's clipboard.
//!
//! It decides nothing. What needs the server waits here, in order, until the server was found; a prompt that did not
//! reach a server that is gone waits for the next one. Every task is owned here and ends with the executor.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::Commands;
use super::child;
use super::reading::Highlighter;
use super::recordings::Recordings;
use super::saved::Saver;
use super::service::{CallError, Connected, Service};
use crate::app::reading::Do;
use crate::app::{Effect, Msg, Outage, RequestId, SavedState, copying, recordings};
use crate::term::clipboard::SystemClipboard;
use crate::wire::{ChannelId, DispatchRequest};

/// How many replies may wait for the loop.
const REPLIES: usize = 64;
/// The longest time for finding or starting a server, in all its steps.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// The wait before the server is sought again; it doubles with each further time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait before the server is sought again.
const LAST_RETRY: Duration = Duration::from_secs(30);
/// A server that was there for so long is sought again at once when it is gone.
const STABLE: Duration = Duration::from_secs(10);
/// How often a prompt is sent anew because the server was gone.
const MOST_RESENDS: u32 = 2;

/// Why nothing was sent to a run while the server is gone.
const SOUGHT: &str = "the server is gone and is being found or started again; try again when it is there";

/// The longest wait for the system's clipboard.
const CLIPBOARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoServer {
    /// A sentence that says why not and what to do.
    pub reason: String,
    /// It was reached and it refused.
    pub refused: bool,
}

impl<T: Into<String>> From<T> for NoServer {
    fn from(reason: T) -> Self {
        Self {
            reason: reason.into(),
            refused: false,
        }
    }
}

/// Finds or starts the server; called again until it succeeds.
pub type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<Connected, NoServer>> + Send + Sync>;

/// What comes back to the loop.
pub enum Reply {
    /// For the state.
    Msg(Msg),
    /// The server was found.
    Connected(Connected),
    /// A call found that the server is gone.
    Gone(Gone),
    /// The program that the terminal was lent to has ended.
    Returned(Msg),
    /// The screen looks otherwise from now on.
    Ui(crate::ui::UiOptions),
}

/// A call that found the server gone.
pub struct Gone {
    /// Which server it was made to.
    epoch: u64,
    /// What was found in its place.
    reason: String,
    /// What is to be carried out on the next one.
    unsent: Option<Effect>,
}

impl Gone {
    /// The prompt that is still to be sent, and its channel.
    fn prompt(&self) -> Option<(ChannelId, String)> {
        match &self.unsent {
            Some(Effect::Dispatch { channel, body, .. }) => Some((channel.clone(), prompt(body))),
            _ => None,
        }
    }
}

/// Carries out effects; what comes of them arrives as [`Reply`].
pub struct Executor {
    service: Option<Box<dyn Service>>,
    connect: Option<Arc<Connect>>,
    /// The server is being sought.
    seeking: bool,
    /// Counts the servers that were found.
    epoch: u64,
    found_at: Option<Instant>,
    /// How long the next search waits: a server that goes away again and again is not sought in a hurry.
    pause: Duration,
    held: VecDeque<Effect>,
    /// Why the server that was found last refused; until another one is found, it takes no prompts.
    refused: Option<String>,
    /// How often prompts were sent anew, by their requests.
    resends: HashMap<RequestId, u32>,
    shown: Vec<ChannelId>,
    listed: Option<Vec<ChannelId>>,
    /// Prompts on their way, by their requests.
    unanswered: HashMap<RequestId, (ChannelId, String)>,
    saver: Saver,
    highlighter: Highlighter,
    commands: Commands,
    /// The file of what was sent.
    history: PathBuf,
    clipboard: Option<Arc<Mutex<SystemClipboard>>>,
    recordings: Recordings,
    replies: mpsc::Sender<Reply>,
    /// Everything that may be dropped at the end.
    tasks: Tasks,
    /// What was sent by a person and is awaited at the end.
    sent: TaskTracker,
}

impl Executor {
    /// An executor that has found no server. `loaded` is what the state file held at the start; `clipboard`: the
    /// system's, where the session is local; `recordings`: where they are kept; `server`: what it is called in them.
    #[must_use]
    pub fn new(
        state_file: PathBuf,
        loaded: SavedState,
        clipboard: Option<SystemClipboard>,
        recordings: PathBuf,
        server: String,
    ) -> (Self, mpsc::Receiver<Reply>) {
        let (replies, receiver) = mpsc::channel(REPLIES);
        let executor = Self {
            service: None,
            connect: None,
            seeking: false,
            epoch: 0,
            found_at: None,
            pause: Duration::ZERO,
            resends: HashMap::new(),
            held: VecDeque::new(),
            refused: None,
            shown: Vec::new(),
            listed: None,
            unanswered: HashMap::new(),
            highlighter: Highlighter::default(),
            commands: Commands::new(&state_file),
            history: super::compose::history_file(&state_file),
            saver: Saver::start(state_file, loaded, replies.clone()),
            clipboard: clipboard.map(|clipboard| Arc::new(Mutex::new(clipboard))),
            recordings: Recordings::new(recordings, server, replies.clone()),
            replies,
            tasks: Tasks::default(),
            sent: TaskTracker::new(),
        };
        (executor, receiver)
    }

    /// Where what is done beside it may answer to.
    #[must_use]
    pub fn replies(&self) -> mpsc::Sender<Reply> {
        self.replies.clone()
    }

    /// Begins to look for the server, again and again until it was found.
    pub fn connect(&mut self, connect: Connect) {
        self.connect = Some(Arc::new(connect));
        self.seek(Duration::ZERO);
    }

    /// The server is gone: leaves it, so that no more secrets go to its address, and looks for it again.
    pub fn reconnect(&mut self) {
        if self.seeking {
            return;
        }
        self.service = None;
        let pause = if self.found_at.is_none_or(|at| at.elapsed() >= STABLE) {
            Duration::ZERO
        } else {
            self.pause
        };
        self.pause = (pause * 2).clamp(FIRST_RETRY, LAST_RETRY);
        tracing::info!(?pause, "the server is gone, it is sought again");
        self.seek(pause);
    }

    fn seek(&mut self, pause: Duration) {
        let Some(connect) = self.connect.clone() else {
            return;
        };
        self.seeking = true;
        let replies = self.replies.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            let mut wait = FIRST_RETRY;
            loop {
                let NoServer { reason, refused } = match tokio::time::timeout(CONNECT_TIMEOUT, connect()).await {
                    Ok(Ok(connected)) => {
                        let _ = replies.send(Reply::Connected(connected)).await;
                        return;
                    }
                    Ok(Err(failure)) => failure,
                    Err(_) => format!("no server was found or started within {} s", CONNECT_TIMEOUT.as_secs()).into(),
                };
                tracing::warn!(retry_in = ?wait, "no server yet");
                let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                let outage = Outage {
                    reason,
                    refused,
                    retry_ms,
                };
                if replies.send(Reply::Msg(Msg::Server(Err(outage)))).await.is_err() {
                    return;
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LAST_RETRY);
            }
        });
    }

    /// The server was found: what waited for it is carried out. The messages are for the state.
    pub fn connected(&mut self, mut connected: Connected) -> Msg {
        connected.service.show(&self.shown, self.listed.as_deref());
        self.service = Some(connected.service);
        self.seeking = false;
        self.refused = None;
        self.epoch += 1;
        self.found_at = Some(Instant::now());
        for effect in std::mem::take(&mut self.held) {
            self.execute(effect);
        }
        match connected.info {
            Some(info) => Msg::Server(Ok(Box::new(info))),
            None => Msg::ServerReady,
        }
    }

    /// A call found the server gone. What it did not bring there is carried out on the next one, a few times. The
    /// messages are for the state.
    pub fn gone(&mut self, gone: Gone) -> Vec<Msg> {
        let Gone { epoch, reason, unsent } = gone;
        let mut messages = Vec::new();
        // Else the search is on, or over already.
        let is_news = epoch == self.epoch && self.service.is_some();
        if let Some(effect) = unsent
            && let Effect::Dispatch { request, channel, .. } = &effect
        {
            let resends = self.resends.entry(*request).or_default();
            *resends += 1;
            if *resends > MOST_RESENDS {
                let refused = Msg::Dispatched {
                    request: *request,
                    channel: channel.clone(),
                    result: Err(reason.clone()),
                };
                let _ = self.note(&refused);
                messages.push(refused);
            } else {
                self.unanswered.remove(request);
                if is_news {
                    self.held.push_back(effect);
                } else {
                    self.execute(effect);
                }
            }
        }
        if is_news {
            tracing::info!(reason, "a call found the server gone");
            messages.push(Msg::ServerGone);
        }
        messages
    }

    /// Says which channels are shown, and which are in view in a list (`None`: all).
    pub fn show(&mut self, shown: Vec<ChannelId>, listed: Option<Vec<ChannelId>>) {
        self.shown = shown;
        self.listed = listed;
        if let Some(service) = &mut self.service {
            service.show(&self.shown, self.listed.as_deref());
        }
    }

    /// The channels that are in view in a list; `None`: all.
    #[must_use]
    pub fn listed(&self) -> Option<&[ChannelId]> {
        self.listed.as_deref()
    }

    /// The channels that are shown.
    #[must_use]
    pub fn shown(&self) -> &[ChannelId] {
        &self.shown
    }

    /// Carries out an effect of the server or of the disk; the others are the loop's own.
    pub fn execute(&mut self, effect: Effect) {
        if let Effect::Save(state) = effect {
            self.saver.save(*state);
            return;
        }
        if let Effect::Reading(Do::ReadCode(job)) = effect {
            self.highlighter.read(*job, &self.replies);
            return;
        }
        if let Effect::Copying(effect) = effect {
            self.write_export(effect);
            return;
        }
        if let Effect::Compose(effect) = effect {
            let history = self.history.clone();
            self.send(async move {
                let done = tokio::task::spawn_blocking(move || super::compose::carry_out(effect, &history)).await;
                done.ok()
                    .flatten()
                    .map(|msg| Reply::Msg(Msg::Compose(msg)))
                    .into_iter()
                    .collect()
            });
            return;
        }
        if effect == Effect::Reconnect {
            self.reconnect();
            return;
        }
        if let Effect::Calls(effect) = effect {
            self.commands.execute(effect, self.replies.clone());
            return;
        }
        let effect = match effect {
            Effect::Recordings(what) => match self.recordings.execute(what) {
                // This one needs the server.
                Some(what) => Effect::Recordings(what),
                None => return,
            },
            effect => effect,
        };
        let epoch = self.epoch;
        let Some(service) = &mut self.service else {
            self.hold(effect);
            return;
        };
        match effect {
            Effect::Watch {
                channel,
                generation,
                after,
            } => service.watch(channel, generation, after),
            Effect::Unwatch { channel } => service.unwatch(&channel),
            Effect::Dispatch { request, channel, body } => {
                self.unanswered.insert(request, (channel.clone(), prompt(&body)));
                let answer = service.dispatch((*body).clone());
                self.send(async move {
                    match answer.await {
                        Err(error) if error.gone => vec![Reply::Gone(Gone {
                            epoch,
                            reason: error.reason,
                            unsent: Some(Effect::Dispatch { request, channel, body }),
                        })],
                        result => vec![Reply::Msg(Msg::Dispatched {
                            request,
                            channel,
                            result: result.map_err(|error| error.reason),
                        })],
                    }
                });
            }
            Effect::Publish {
                request,
                channel,
                message,
            } => {
                let answer = service.publish(channel, message);
                self.send(async move {
                    let (result, gone) = split(answer.await, epoch);
                    [Reply::Msg(Msg::Published { request, result })]
                        .into_iter()
                        .chain(gone)
                        .collect()
                });
            }
            Effect::CancelRun { channel } => {
                let answer = service.cancel(channel.clone());
                self.send(async move {
                    let (result, gone) = split(answer.await, epoch);
                    [Reply::Msg(Msg::Cancelled { channel, result })]
                        .into_iter()
                        .chain(gone)
                        .collect()
                });
            }
            Effect::ListRuns { request } => {
                let (answer, replies) = (service.runs(), self.replies.clone());
                self.tasks.spawn(async move {
                    // Servers of other makes have no such list: that is no error.
                    let (result, gone) = split(answer.await, epoch);
                    let runs = Reply::Msg(Msg::Runs {
                        request,
                        runs: result.ok(),
                    });
                    for reply in [runs].into_iter().chain(gone) {
                        let _ = replies.send(reply).await;
                    }
                });
            }
            Effect::List(effect) => match effect {},
            Effect::Panes(effect) => match effect {},
            Effect::Copying(_) => {}
            // Carried out above: commands need no server.
            Effect::Calls(_) => {}
            Effect::Wall(effect) => match effect {},
            Effect::Recordings(what) => {
                if let recordings::Do::Spool { channel, title, file } = what {
                    self.recordings.spool(&**service, channel, &title, file);
                }
            }
            Effect::Reading(_)
            | Effect::Notifications(_)
            | Effect::NeedIds(_)
            | Effect::Save(_)
            | Effect::Compose(_)
            | Effect::Reconnect
            | Effect::Copy(_)
            | Effect::Redraw
            | Effect::Suspend
            | Effect::Quit => {}
        }
    }

    /// Takes note of a reply on its way to the state. The messages that follow from it are for the state too: what
    /// waits for a server that refuses is not sent.
    pub fn note(&mut self, reply: &Msg) -> Vec<Msg> {
        match reply {
            Msg::Dispatched { request, .. } => {
                self.unanswered.remove(request);
                self.resends.remove(request);
                Vec::new()
            }
            Msg::Server(Err(outage)) => {
                self.refused = outage.refused.then(|| outage.reason.clone());
                if outage.refused {
                    self.take_back_held(&outage.reason)
                } else {
                    Vec::new()
                }
            }
            _ => Vec::new(),
        }
    }

    /// The prompts that wait for the server are not to be sent.
    fn take_back_held(&mut self, reason: &str) -> Vec<Msg> {
        let mut messages = Vec::new();
        self.held.retain(|effect| match effect {
            Effect::Dispatch { request, channel, .. } => {
                self.resends.remove(request);
                messages.push(Msg::Dispatched {
                    request: *request,
                    channel: channel.clone(),
                    result: Err(reason.to_owned()),
                });
                false
            }
            _ => true,
        });
        messages
    }

    /// Writes an export; programs on the terminal are the loop's own. The end of the program waits for it.
    fn write_export(&self, effect: copying::Do) {
        let copying::Do::Write {
            export,
            text,
            overwrite,
        } = effect
        else {
            return;
        };
        self.send(async move {
            let work = move || super::copying::write(export, &text, overwrite);
            match tokio::task::spawn_blocking(work).await {
                Ok(written) => vec![Reply::Msg(Msg::Copying(copying::Msg::Written(written)))],
                Err(_) => vec![Reply::Msg(Msg::Warning("The export was not written".to_owned()))],
            }
        });
    }

    /// Runs a program on the terminal, which is not ours until [`Reply::Returned`] comes.
    pub fn run_on_terminal(&self, open: copying::Open) {
        let replies = self.replies.clone();
        let then = open.then;
        self.tasks.spawn(async move {
            let result = child::run(open).await;
            let returned = Msg::Copying(copying::Msg::Returned { then, result });
            let _ = replies.send(Reply::Returned(returned)).await;
        });
    }

    /// Copies a text with the system's clipboard, if there is one, and says which ways were used.
    /// `by_terminal`: the terminal was asked too.
    pub fn copy(&self, text: String, by_terminal: bool) {
        let (clipboard, replies) = (self.clipboard.clone(), self.replies.clone());
        self.tasks.spawn(async move {
            let by_system = match clipboard {
                Some(clipboard) => Some(copy_to_system(clipboard, text).await),
                None => None,
            };
            let _ = replies
                .send(Reply::Msg(Msg::Copied(ways(by_terminal, by_system))))
                .await;
        });
    }

    /// The end: waits for what was sent and for the last save, but not longer than `patience` each; then everything
    /// is cancelled. Returns how many prompts no server took; they are the draft of the next start.
    pub async fn finish(mut self, mut replies: mpsc::Receiver<Reply>, patience: Duration) -> usize {
        let mut refused = Vec::new();
        let mut moved = Vec::new();
        // Commands end with the program: nobody would publish what they give.
        self.commands.finish().await;
        self.sent.close();
        let deadline = tokio::time::sleep(patience);
        tokio::pin!(deadline);
        while self.holds_prompts() || !self.unanswered.is_empty() {
            tokio::select! {
                biased;
                Some(reply) = replies.recv() => match reply {
                    Reply::Connected(connected) => drop(self.connected(connected)),
                    Reply::Gone(gone) => {
                        let prompt = gone.prompt();
                        for message in self.gone(gone) {
                            match message {
                                Msg::ServerGone => self.reconnect(),
                                _ => refused.extend(prompt.clone()),
                            }
                        }
                    }
                    Reply::Msg(Msg::Dispatched { request, channel, result }) => {
                        let prompt = self.unanswered.remove(&request);
                        match result {
                            Ok(answered) if answered != channel => moved.push((channel, answered)),
                            Ok(_) => {}
                            Err(_) => refused.extend(prompt),
                        }
                    }
                    Reply::Msg(_) | Reply::Returned(_) | Reply::Ui(_) => {}
                },
                () = &mut deadline => break,
            }
        }
        // Room for the last replies, so that answers and cancellations also get their time on the wire.
        replies.close();
        let _ = tokio::time::timeout_at(deadline.deadline(), self.sent.wait()).await;
        for effect in std::mem::take(&mut self.held) {
            if let Effect::Dispatch { channel, body, .. } = effect {
                refused.push((channel, prompt(&body)));
            }
        }
        // Whether these arrived is not known: their channels stay, and their prompts too.
        let unknown: Vec<String> = self.unanswered.drain().map(|(_, (_, prompt))| prompt).collect();
        let count = refused.len() + unknown.len();
        if count > 0 || !moved.is_empty() {
            let mut state = self.saver.last();
            follow_moved(&mut state, moved);
            keep_unsent(&mut state, refused, unknown);
            self.saver.save(state);
        }
        // The receiver goes first, so that a failing save does not wait for a reader.
        drop(replies);
        let _ = tokio::time::timeout(patience, self.saver.finish()).await;
        count
    }

    /// Whether something that the person sent has not arrived, as far as is known.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.holds_prompts() || !self.unanswered.is_empty() || !self.sent.is_empty()
    }

    fn holds_prompts(&self) -> bool {
        self.held.iter().any(|effect| matches!(effect, Effect::Dispatch { .. }))
    }

    fn hold(&mut self, effect: Effect) {
        match &effect {
            Effect::Unwatch { channel: unwatched } => {
                self.held
                    .retain(|held| !matches!(held, Effect::Watch { channel, .. } if channel == unwatched));
            }
            // They were for a run of the server that is gone: another one could only say that it has none.
            Effect::Publish { request, .. } if self.epoch > 0 => {
                let refused = Msg::Published {
                    request: *request,
                    result: Err(SOUGHT.to_owned()),
                };
                self.send(async move { vec![Reply::Msg(refused)] });
            }
            Effect::CancelRun { channel } if self.epoch > 0 => {
                let refused = Msg::Cancelled {
                    channel: channel.clone(),
                    result: Err(SOUGHT.to_owned()),
                };
                self.send(async move { vec![Reply::Msg(refused)] });
            }
            Effect::Dispatch { request, channel, body } if self.refused.is_some() => {
                // Until the state has the answer, the prompt is kept here for the end of the program.
                self.unanswered.insert(*request, (channel.clone(), prompt(body)));
                let refused = Msg::Dispatched {
                    request: *request,
                    channel: channel.clone(),
                    result: Err(self.refused.clone().unwrap_or_default()),
                };
                self.send(async move { vec![Reply::Msg(refused)] });
            }
            _ => self.held.push_back(effect),
        }
    }

    /// Runs what a person sent; it is not cut off by the end of the program.
    fn send(&self, answer: impl Future<Output = Vec<Reply>> + Send + 'static) {
        let replies = self.replies.clone();
        self.sent.spawn(self.tasks.cancelled_with(async move {
            for reply in answer.await {
                let _ = replies.send(reply).await;
            }
        }));
    }
}

/// A result for the state, and what is to be known if the server was gone.
fn split<T>(result: Result<T, CallError>, epoch: u64) -> (Result<T, String>, Option<Reply>) {
    match result {
        Ok(value) => (Ok(value), None),
        Err(CallError { reason, gone }) => {
            let gone = gone.then(|| Gone {
                epoch,
                reason: reason.clone(),
                unsent: None,
            });
            (Err(reason), gone.map(Reply::Gone))
        }
    }
}

/// Copies in a thread of its own, which holds up nothing when the display server does not answer, the end included.
async fn copy_to_system(clipboard: Arc<Mutex<SystemClipboard>>, text: String) -> Result<(), String> {
    let (done, answer) = oneshot::channel();
    std::thread::Builder::new()
        .name("clipboard".into())
        .spawn(move || done.send(clipboard.lock().unwrap_or_else(PoisonError::into_inner).copy(text)))
        .map_err(|error| error.to_string())?;
    match tokio::time::timeout(CLIPBOARD_TIMEOUT, answer).await {
        Ok(Ok(copied)) => copied,
        Ok(Err(_)) | Err(_) => Err("the system's clipboard does not answer".into()),
    }
}

/// Tasks that end with their owner.
#[derive(Debug, Default)]
struct Tasks(CancellationToken);

impl Tasks {
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.cancelled_with(work));
    }

    fn cancelled_with(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let token = self.0.clone();
        async move {
            let _ = token.run_until_cancelled(work).await;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn ways(by_terminal: bool, by_system: Option<Result<(), String>>) -> Result<String, String> {
    match (by_terminal, by_system) {
        (true, Some(Ok(()))) => Ok("by the terminal and the system's clipboard".into()),
        (false, Some(Ok(()))) => Ok("by the system's clipboard".into()),
        (true, _) => Ok("by the terminal, if it allows that".into()),
        (false, Some(Err(reason))) => Err(reason),
        (false, None) => Err("the text is too long for this terminal's clipboard".into()),
    }
}

fn prompt(body: &DispatchRequest) -> String {
    body.complete
        .messages
        .last()
        .map(|message| message.text.clone())
        .unwrap_or_default()
}

/// Runs that their server put on other channels than were asked for are looked for there at the next start.
fn follow_moved(state: &mut SavedState, moved: Vec<(ChannelId, ChannelId)>) {
    for (asked, answered) in moved {
        let ids = state.channels.iter_mut().map(|saved| &mut saved.id);
        for id in ids.chain(&mut state.selected).filter(|id| **id == asked) {
            *id = answered.clone();
        }
    }
}

/// Puts prompts that no server took back into the draft. The channels of those that were refused never have a run.
fn keep_unsent(state: &mut SavedState, refused: Vec<(ChannelId, String)>, unknown: Vec<String>) {
    let mut prompts = unknown;
    for (channel, prompt) in refused {
        // The next run of a thread was not taken: its last one stands there again, with the prompt as its draft.
        let thread = state
            .channels
            .iter_mut()
            .find_map(|saved| (saved.id == channel).then(|| saved.take_back(&prompt)).flatten());
        if let Some(parent) = thread {
            if state.selected.as_ref() == Some(&channel) {
                state.selected = Some(parent);
            }
            continue;
        }
        state.channels.retain(|saved| saved.id != channel);
        if state.selected.as_ref() == Some(&channel) {
            state.selected = None;
        }
        prompts.push(prompt);
    }
    for prompt in prompts {
        if !state.draft.is_empty() {
            state.draft.push_str("\n\n");
        }
        state.draft.push_str(&prompt);
    }
}
