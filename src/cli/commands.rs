//! The commands that make one request: dispatch, publish, cancel, runs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::args::{CancelArgs, DispatchArgs, PublishArgs, RunsArgs};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::{Output, sanitise};
use super::request;
use crate::client::mint_channel_id;
use crate::wire::ascii;
use crate::wire::request::{RunStatus, RunSummary};

/// Starts a run and prints its channel's id, alone.
pub(super) async fn dispatch(context: &Context, args: &DispatchArgs) -> Result<Exit, Failure> {
    let mut request = request::request(&args.request)?;
    if let Some(id) = &args.channel {
        request.channel_id = Some(request::channel(id)?);
    }
    // With an id of its own the request can be repeated safely.
    request.channel_id.get_or_insert_with(mint_channel_id);
    let answer = context.client().await?.dispatch(&request).await?;
    Output::new().line(answer.channel_id.as_str().as_bytes())?;
    Ok(Exit::Done)
}

/// Publishes one message.
pub(super) async fn publish(context: &Context, args: &PublishArgs) -> Result<Exit, Failure> {
    let channel = request::channel(&args.channel)?;
    let message = request::json(&args.message)?;
    context.client().await?.publish(&channel, &message).await?;
    Ok(Exit::Done)
}

/// Stops a channel's run.
pub(super) async fn cancel(context: &Context, args: &CancelArgs) -> Result<Exit, Failure> {
    let channel = request::channel(&args.channel)?;
    context.client().await?.cancel(&channel).await?;
    Ok(Exit::Done)
}

/// Lists the runs, newest first.
pub(super) async fn runs(context: &Context, args: &RunsArgs) -> Result<Exit, Failure> {
    let list = context.client().await?.runs().await?;
    let mut out = Output::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for run in &list.items {
        if args.json {
            out.line(&ascii::to_json(run))?;
        } else {
            out.line(row(run, now).as_bytes())?;
        }
    }
    if list.items.is_empty() && !args.json {
        out.note("no runs; start one with: switchboard dispatch PROMPT");
    }
    Ok(Exit::Done)
}

/// One line of the list: channel, status, age, title.
fn row(run: &RunSummary, now: Duration) -> String {
    let status = match run.status {
        RunStatus::Queued => "queued",
        RunStatus::Running => "running",
        RunStatus::Waiting => "waiting",
        RunStatus::Ended => "ended",
        RunStatus::Failed => "failed",
    };
    let age = now.saturating_sub(Duration::from_millis(run.created_at)).as_secs();
    let title: String = sanitise(&run.title).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut row = format!("{}  {status:<7}  {:>7}  {title}", run.channel_id, span(age));
    if !run.waiting.is_empty() {
        row.push_str(&format!("  (waits for {})", sanitise(&run.waiting.join(", "))));
    }
    row
}

/// A time span as `mm:ss`, then `h:mm h`.
fn span(seconds: u64) -> String {
    if seconds < 3600 {
        format!("{:02}:{:02}", seconds / 60, seconds % 60)
    } else {
        format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ChannelId;

    #[test]
    fn a_run_is_one_line() {
        let run = RunSummary {
            channel_id: ChannelId::parse("0123456789abcdef").expect("an id"),
            title: "deploy\u{1b}[2J\ncheck".into(),
            status: RunStatus::Waiting,
            model: "m".into(),
            created_at: 1_000,
            ended_at: None,
            end_reason: None,
            waiting: vec!["approve".into()],
        };
        assert_eq!(
            row(&run, Duration::from_secs(66)),
            "0123456789abcdef  waiting    01:05  deploy[2J check  (waits for approve)"
        );
        assert_eq!(span(3 * 3600 + 125), "3:02 h");
    }
}
