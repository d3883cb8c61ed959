//! Following a run on standard output: `watch` for one that goes on in the background, `complete` for
//! one that goes on with the command.

use std::future::pending;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Fuse};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::args::{CompleteArgs, WatchArgs};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::printer::{self, Printer};
use super::request;
use crate::client::{Client, ClientError, feed};
use crate::local::{self, Files, Record};
use crate::transcript::{Connection, FeedBatch};
use crate::wire::ChannelId;
use crate::wire::request::RunStatus;

/// How many batches may wait to be printed; a slow reader slows the server down.
const BATCHES: usize = 16;
/// How long nothing comes over a channel before it is looked up whether it has a run.
const QUIET: Duration = Duration::from_millis(300);

/// Shows a channel's run from its beginning to its end.
pub(super) async fn watch(context: &Context, args: &WatchArgs) -> Result<Exit, Failure> {
    let channel = request::channel(&args.channel)?;
    let (client, record) = context.client_and_record().await?;
    let again = context.command_line(&["watch", channel.as_str()]);
    let mut watcher = Watcher {
        client,
        channel,
        local: record.map(|record| (context.local_files(), record)),
        leave_at_end: !args.stay,
        printer: Printer::new(args.json, context.command_line(&["publish"])),
        came: false,
        was_live: false,
        told: None,
    };
    let outcome = tokio::select! {
        biased;
        // Without a handler for the signal an interrupt ends the process, which is well too.
        Ok(()) = tokio::signal::ctrl_c() => None,
        outcome = within(args.timeout, watcher.follow()) => Some(outcome),
    };
    match outcome {
        Some(Ok(outcome)) => {
            watcher.printer.leave();
            outcome
        }
        Some(Err(time)) => {
            watcher.printer.leave();
            let message = if watcher.came {
                format!("the run had not ended after {time}; it goes on, watch it again to see the rest")
            } else {
                format!("nothing came within {time}")
            };
            Err(Failure::new(Exit::Timeout, message))
        }
        None => {
            watcher.printer.leave();
            let goes_on = watcher.came && watcher.printer.exit().is_none();
            let begin = if goes_on { "the run goes on; " } else { "" };
            watcher.printer.note(&format!("{begin}watch it again with: {again}"));
            Ok(Exit::Interrupted)
        }
    }
}

/// Runs a completion and prints it as it comes.
pub(super) async fn complete(context: &Context, args: &CompleteArgs) -> Result<Exit, Failure> {
    let request = request::request(&args.request)?.complete;
    let client = context.client().await?;
    let mut printer = Printer::new(args.json, context.command_line(&["publish"]));
    let streaming = async {
        let mut stream = client.complete_stream(&request).await?;
        while let Some(event) = stream.next().await {
            match event {
                Ok((event, raw)) => printer.completion(&event, &raw)?,
                // The stream goes on after a line that cannot be read.
                Err(error @ ClientError::BadAnswer { .. }) => printer.note(&format!("a line was left out: {error}")),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(printer.exit().unwrap_or(Exit::Other))
    };
    let outcome = within(args.timeout, streaming).await;
    printer.leave();
    // The run ends with its connection, which is gone with the future.
    outcome.unwrap_or_else(|time| {
        let message = format!("the run had not ended after {time}, so it was stopped; give it more with --timeout");
        Err(Failure::new(Exit::Timeout, message))
    })
}

/// What the work gives, or the time in words when it passed first.
async fn within<T>(timeout: Option<Duration>, work: impl Future<Output = T>) -> Result<T, String> {
    let time_out = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        output = work => Ok(output),
        () = time_out => Err(humantime::format_duration(timeout.unwrap_or_default()).to_string()),
    }
}

/// Follows one channel.
struct Watcher {
    client: Client,
    channel: ChannelId,
    /// The local server's files and record, if that is the server.
    local: Option<(Files, Record)>,
    leave_at_end: bool,
    printer: Printer,
    /// Whether anything came over the channel.
    came: bool,
    was_live: bool,
    /// What was told about the connection since it was lost.
    told: Option<String>,
}

impl Watcher {
    async fn follow(&mut self) -> Result<Exit, Failure> {
        let options = feed::FeedOptions {
            leave_at_end: self.leave_at_end,
            ..feed::FeedOptions::default()
        };
        let (sender, mut batches) = mpsc::channel(BATCHES);
        let cancel = CancellationToken::new();
        let _cancel = cancel.clone().drop_guard();
        let feed = feed::run(self.client.clone(), self.channel.clone(), options, sender, cancel);
        tokio::spawn(feed);
        let mut looking: Fuse<BoxFuture<'static, Kept>> = Fuse::terminated();
        loop {
            let batch = tokio::select! {
                biased;
                batch = batches.recv() => batch,
                kept = &mut looking => {
                    match kept {
                        Kept::Nothing => self.printer.note("the server keeps no run of this channel: it is over and forgotten, not begun, or another id. Waiting (Ctrl-C leaves)"),
                        Kept::Ended(exit) if self.leave_at_end => {
                            self.printer.note("the run has ended, and of what it said nothing is kept");
                            return Ok(exit);
                        }
                        Kept::Ended(_) | Kept::Unknown => {}
                    }
                    continue;
                }
            };
            let Some(FeedBatch { items, connection }) = batch else {
                break;
            };
            if !items.is_empty() {
                self.came = true;
                looking = Fuse::terminated();
            }
            for item in &items {
                self.printer.item(item)?;
            }
            match connection {
                Some(Connection::Live) => {
                    if self.told.take().is_some() {
                        self.printer.note("connected again");
                    }
                    if !self.was_live && !self.came {
                        looking = kept(self.client.clone(), self.channel.clone()).boxed().fuse();
                    }
                    self.was_live = true;
                }
                Some(Connection::Ended) => break,
                Some(Connection::Failed { reason } | Connection::ServerGone { reason }) => {
                    self.check_local()?;
                    return Err(Failure::new(Exit::Refused, reason));
                }
                Some(Connection::Reconnecting { reason, .. }) => self.lost(reason)?,
                Some(Connection::Connecting) | None => {}
            }
        }
        self.printer.exit().ok_or_else(|| {
            Failure::new(
                Exit::Other,
                "the watch ended before the run did; watch it again to see the rest",
            )
        })
    }

    /// The connection was lost and is made again; each reason is told once.
    fn lost(&mut self, reason: String) -> Result<(), Failure> {
        self.check_local()?;
        // Whoever never got through is told at once.
        if !self.was_live {
            return Err(Failure::new(Exit::Unreachable, reason));
        }
        if self.told.as_ref() != Some(&reason) {
            self.printer.note(&format!("{reason} (trying again)"));
            self.told = Some(reason);
        }
        Ok(())
    }

    /// Refuses to wait for a local server that is gone: it does not come back by itself.
    fn check_local(&self) -> Result<(), Failure> {
        if let Some((files, record)) = &self.local
            && !local::is_running(files, record)?
        {
            return Err(Failure::new(
                Exit::Unreachable,
                "the local server ended; it keeps its runs, and they go on when the next command starts it again",
            ));
        }
        Ok(())
    }
}

/// What a server keeps of a channel over which nothing comes.
enum Kept {
    /// It has no run.
    Nothing,
    /// Its run is over, and ended so.
    Ended(Exit),
    /// Something may come yet; or the server is of another make, and has no list of runs.
    Unknown,
}

/// Looks a channel up in the list of runs, after a while in which something might have come.
async fn kept(client: Client, channel: ChannelId) -> Kept {
    tokio::time::sleep(QUIET).await;
    let Ok(list) = client.runs().await else {
        return Kept::Unknown;
    };
    match list.items.iter().find(|run| run.channel_id == channel) {
        None => Kept::Nothing,
        Some(run) if run.status == RunStatus::Failed => Kept::Ended(Exit::Failed),
        Some(run) if run.status == RunStatus::Ended => {
            Kept::Ended(printer::exit_of(run.end_reason.as_deref().unwrap_or_default()))
        }
        Some(_) => Kept::Unknown,
    }
}
