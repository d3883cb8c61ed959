//! Following a run on standard output: `watch` for one that goes on in the background, `complete` for
//! one that goes on with the command.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::args::{CompleteArgs, WatchArgs};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::printer::Printer;
use super::request;
use crate::client::{Client, ClientError, feed};
use crate::transcript::{Connection, FeedBatch};
use crate::wire::ChannelId;

/// How many batches may wait to be printed; a slow reader slows the server down.
const BATCHES: usize = 16;

/// Shows a channel's run from its beginning to its end.
pub(super) async fn watch(context: &Context, args: &WatchArgs) -> Result<Exit, Failure> {
    let channel = request::channel(&args.channel)?;
    let client = context.client().await?;
    let following = follow(client, channel, args);
    match args.timeout {
        None => following.await,
        Some(timeout) => tokio::time::timeout(timeout, following)
            .await
            .unwrap_or_else(|_| Err(timed_out(timeout))),
    }
}

/// Runs a completion and prints it as it comes.
pub(super) async fn complete(context: &Context, args: &CompleteArgs) -> Result<Exit, Failure> {
    let request = request::request(&args.request)?.complete;
    let mut stream = context.client().await?.complete_stream(&request).await?;
    let mut printer = Printer::new(args.json);
    while let Some(event) = stream.next().await {
        match event {
            Ok((event, raw)) => printer.completion(&event, &raw)?,
            // The stream goes on after a line that cannot be read.
            Err(error @ ClientError::BadAnswer { .. }) => printer.note(&format!("a line was left out: {error}")),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(printer.exit().unwrap_or(Exit::Other))
}

fn timed_out(timeout: Duration) -> Failure {
    let time = humantime::format_duration(timeout);
    Failure::new(
        Exit::Timeout,
        format!("the run had not ended after {time}; it goes on, watch it again to see the rest"),
    )
}

async fn follow(client: Client, channel: ChannelId, args: &WatchArgs) -> Result<Exit, Failure> {
    let options = feed::FeedOptions {
        leave_at_end: !args.stay,
        ..feed::FeedOptions::default()
    };
    let (sender, mut batches) = mpsc::channel(BATCHES);
    let cancel = CancellationToken::new();
    let _cancel = cancel.clone().drop_guard();
    tokio::spawn(feed::run(client, channel, options, sender, cancel));
    let mut printer = Printer::new(args.json);
    let mut was_live = false;
    while let Some(FeedBatch { items, connection }) = batches.recv().await {
        for item in &items {
            printer.item(item)?;
        }
        match connection {
            Some(Connection::Live) => was_live = true,
            Some(Connection::Ended) => break,
            Some(Connection::Failed { reason } | Connection::ServerGone { reason }) => {
                return Err(Failure::new(Exit::Refused, reason));
            }
            // Whoever never got through is told at once; a connection that is lost is made again.
            Some(Connection::Reconnecting { reason, .. }) if !was_live => {
                return Err(Failure::new(Exit::Unreachable, reason));
            }
            Some(Connection::Reconnecting { reason, .. }) => printer.note(&reason),
            Some(Connection::Connecting) | None => {}
        }
    }
    printer.exit().ok_or_else(|| {
        Failure::new(
            Exit::Other,
            "the watch ended before the run did; watch it again to see the rest",
        )
    })
}
