//! The commands that make one request: dispatch, publish, cancel, runs.

use std::time::{SystemTime, UNIX_EPOCH};

use super::args::{CancelArgs, DispatchArgs, PublishArgs, RunsArgs};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::{Output, sanitise};
use super::printer::answer_command;
use super::request;
use crate::client::{Client, ClientError, mint_channel_id};
use crate::text::width::{truncate, width};
use crate::wire::request::{RunStatus, RunSummary};
use crate::wire::{ErrorCode, ascii};

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
    let client = context.client().await?;
    let Err(error) = client.cancel(&channel).await else {
        return Ok(Exit::Done);
    };
    if is_another_make(&client, &error).await {
        let name = client.endpoint().name();
        return Err(Failure::new(
            Exit::Refused,
            format!("the server {name} cannot cancel a run: it goes on to its end; leave its watch with Ctrl-C"),
        ));
    }
    match error {
        ClientError::Api { status: 404, error, .. } if error.code == ErrorCode::NotFound => Err(Failure::new(
            Exit::Refused,
            format!(
                "{} (NOT_FOUND): the id is another one, or the run ended so long ago that it is no longer kept; \
                 `switchboard runs` lists what there is",
                error.message
            ),
        )),
        error => Err(error.into()),
    }
}

/// Whether a request failed because the server is of another make, which has no such route.
async fn is_another_make(client: &Client, error: &ClientError) -> bool {
    let may_be = matches!(
        error,
        ClientError::Api {
            status: 404 | 405 | 501,
            ..
        } | ClientError::BadAnswer { .. }
    );
    may_be && matches!(client.server_info().await, Ok(None))
}

/// Lists the runs, newest first.
pub(super) async fn runs(context: &Context, args: &RunsArgs) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let list = match client.runs().await {
        Ok(list) => list,
        Err(error) if is_another_make(&client, &error).await => {
            let name = client.endpoint().name();
            return Err(Failure::new(
                Exit::Refused,
                format!(
                    "the server {name} has no list of its runs; `switchboard watch` takes the id that `dispatch` printed"
                ),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let mut out = Output::new();
    if args.json {
        for run in &list.items {
            out.line(&ascii::to_json(run))?;
        }
        return Ok(Exit::Done);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let table = Table {
        now: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        columns: out.columns(),
        publish: context.command_line(&["publish"]),
    };
    for line in table.lines(&list.items) {
        out.line(line.as_bytes())?;
    }
    if list.items.is_empty() {
        out.note("no runs; start one with: switchboard dispatch PROMPT");
    }
    Ok(Exit::Done)
}

/// The list of runs for a person: a row for each, and under one that waits the command that answers it.
struct Table {
    /// Unix time in milliseconds.
    now: u64,
    /// The terminal's columns; none where the list goes elsewhere, which then has no head and is never cut.
    columns: Option<usize>,
    /// The beginning of the command that publishes on the same server.
    publish: String,
}

impl Table {
    fn lines(&self, runs: &[RunSummary]) -> Vec<String> {
        let ids = runs.iter().map(|run| width(run.channel_id.as_str())).max().unwrap_or(0);
        let mut lines = Vec::new();
        if self.columns.is_some() && !runs.is_empty() {
            lines.push(self.row(ids, ["CHANNEL", "STATUS", "TOOK", "AGE"], "TITLE"));
        }
        for run in runs {
            let took = span(run.ended_at.unwrap_or(self.now).saturating_sub(run.created_at));
            let age = span(self.now.saturating_sub(run.created_at));
            let title: String = sanitise(&run.title).split_whitespace().collect::<Vec<_>>().join(" ");
            let mut tail = title;
            if run.restarts > 0 {
                tail.push_str("  (restarted)");
            }
            if !run.waiting.is_empty() {
                tail.push_str(&format!("  (waits for {})", sanitise(&run.waiting.join(", "))));
            }
            lines.push(self.row(ids, [run.channel_id.as_str(), status(run), &took, &age], &tail));
            for call in &run.waiting_on {
                let command = sanitise(&answer_command(&self.publish, &call.channel));
                lines.push(match run.waiting_on.len() {
                    1 => format!("  answer with: {command}"),
                    _ => format!("  answer {} with: {command}", sanitise(&call.function)),
                });
            }
        }
        lines
    }

    fn row(&self, ids: usize, [id, status, took, age]: [&str; 4], tail: &str) -> String {
        let row = format!("{id:<ids$}  {status:<9}  {took:>7}  {age:>7}  {tail}");
        match self.columns {
            Some(columns) => truncate(&row, columns).into_owned(),
            None => row,
        }
    }
}

fn status(run: &RunSummary) -> &'static str {
    match run.status {
        RunStatus::Queued => "queued",
        RunStatus::Running => "running",
        RunStatus::Waiting => "waiting",
        RunStatus::Ended if run.end_reason.as_deref() == Some("abort") => "cancelled",
        RunStatus::Ended => "ended",
        RunStatus::Failed => "failed",
    }
}

/// Milliseconds as `mm:ss`, then `h:mm h`.
fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
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
    use crate::wire::request::WaitingOn;

    fn run(status: RunStatus) -> RunSummary {
        RunSummary {
            channel_id: ChannelId::parse("0123456789abcdef").expect("an id"),
            title: "deploy\u{1b}[2J\ncheck".into(),
            status,
            model: "m".into(),
            created_at: 1_000,
            ended_at: None,
            end_reason: None,
            waiting: Vec::new(),
            restarts: 0,
            waiting_on: Vec::new(),
        }
    }

    fn table(columns: Option<usize>) -> Table {
        Table {
            now: 66_000,
            columns,
            publish: "switchboard publish".into(),
        }
    }

    fn waiting(functions: &[&str]) -> RunSummary {
        RunSummary {
            waiting: functions.iter().map(|name| (*name).to_owned()).collect(),
            waiting_on: functions
                .iter()
                .map(|name| WaitingOn {
                    function: (*name).to_owned(),
                    channel: format!("answers-of-{name}"),
                    call: None,
                    expires_at: None,
                })
                .collect(),
            ..run(RunStatus::Waiting)
        }
    }

    #[test]
    fn a_run_is_one_line_and_its_answer_another() {
        assert_eq!(
            table(None).lines(&[waiting(&["approve"])]),
            [
                "0123456789abcdef  waiting      01:05    01:05  deploy[2J check  (waits for approve)",
                "  answer with: switchboard publish answers-of-approve '{\"data\": ANSWER}'",
            ]
        );
        let two = table(None).lines(&[waiting(&["a", "b"])]);
        assert_eq!(
            two[2],
            "  answer b with: switchboard publish answers-of-b '{\"data\": ANSWER}'"
        );
        let cancelled = RunSummary {
            ended_at: Some(31_000),
            end_reason: Some("abort".into()),
            restarts: 2,
            ..run(RunStatus::Ended)
        };
        assert_eq!(
            table(None).lines(&[cancelled]),
            ["0123456789abcdef  cancelled    00:30    01:05  deploy[2J check  (restarted)"]
        );
        assert_eq!(span((3 * 3600 + 125) * 1000), "3:02 h");
    }

    #[test]
    fn on_a_terminal_there_is_a_head_and_rows_fit() {
        let lines = table(Some(60)).lines(&[waiting(&["approve_the_deploy"])]);
        assert!(lines[0].starts_with("CHANNEL           STATUS  "), "{lines:?}");
        assert!(width(&lines[0]) <= 60 && width(&lines[1]) == 60, "{lines:?}");
        assert!(lines[1].ends_with('…'));
        assert!(table(Some(60)).lines(&[]).is_empty());
    }
}
