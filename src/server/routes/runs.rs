//! The list of an account's runs: by pages, or streamed whole in bounded memory.
//!
//! Pages follow places in the list, so that runs that are dispatched meanwhile shift nothing.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::HeaderMap;

use super::{DOCUMENT, document};
use crate::hub::{AccountId, RunPlace, RunQuery};
use crate::server::error::Refusal;
use crate::server::request::{Format, Watcher};
use crate::server::{App, stream as streaming};
use crate::store::RunRecord;
use crate::wire::ascii;
use crate::wire::request::{LARGEST_PAGE, RunList, RunStatus, RunSummary};

/// How many runs a page holds when the request does not say.
const USUAL_PAGE: usize = 100;
/// How many runs are taken from the hub in one go for a list that is streamed.
const STREAMED_AT_ONCE: usize = 256;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Watcher(account): Watcher,
    headers: HeaderMap,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Refusal> {
    let format = Format::negotiate(&headers, DOCUMENT)?;
    let Query(parameters) =
        parameters.map_err(|error| Refusal::bad_request(format!("the query: {}", error.body_text())))?;
    let query = read_query(&parameters)?;
    if format == Format::Json {
        let mut query = RunQuery {
            take: query.take.unwrap_or(USUAL_PAGE),
            ..query.runs
        };
        let wanted = query.take;
        // One more tells whether there is another page.
        query.take += 1;
        let mut runs = app.hub.runs(&account, &query).await;
        let more = runs.len() > wanted;
        runs.truncate(wanted);
        let cursor = runs.last().filter(|_| more).map(|run| RunPlace::of(run).to_string());
        let items = runs.into_iter().map(summary).collect();
        return Ok(document(format, &RunList { items, cursor }));
    }
    let lines = lines(Arc::clone(&app), account, query.runs, query.take.unwrap_or(usize::MAX));
    Ok(streaming::answer(lines.boxed(), format, app.options.heartbeat))
}

/// The runs as lines, taken from the hub as the client reads them.
fn lines(app: Arc<App>, account: AccountId, query: RunQuery, left: usize) -> impl futures::Stream<Item = Bytes> + Send {
    stream::unfold(
        (app, account, query, left),
        |(app, account, mut query, left)| async move {
            query.take = left.min(STREAMED_AT_ONCE);
            if query.take == 0 {
                return None;
            }
            let runs = app.hub.runs(&account, &query).await;
            query.after = Some(RunPlace::of(runs.last()?));
            let left = if runs.len() < query.take { 0 } else { left - runs.len() };
            let mut lines = Vec::new();
            for run in runs {
                ascii::write_json(&mut lines, &summary(run));
                lines.push(b'\n');
            }
            Some((Bytes::from(lines), (app, account, query, left)))
        },
    )
}

#[derive(Debug, PartialEq, Eq)]
struct ListQuery {
    runs: RunQuery,
    take: Option<usize>,
}

fn read_query(parameters: &[(String, String)]) -> Result<ListQuery, Refusal> {
    let mut query = ListQuery {
        runs: RunQuery::newest(0),
        take: None,
    };
    for (name, value) in parameters {
        match name.as_str() {
            "take" => {
                let take = value.parse().ok().filter(|take| (1..=LARGEST_PAGE).contains(take));
                let refused = || Refusal::bad_request(format!("`take` is a whole number from 1 to {LARGEST_PAGE}"));
                query.take = Some(take.ok_or_else(refused)?);
            }
            "cursor" => {
                let refused = |_| Refusal::bad_request("`cursor` is what the page before gave as `cursor`");
                query.runs.after = Some(value.parse().map_err(refused)?);
            }
            "order" => {
                query.runs.oldest_first = match value.as_str() {
                    "desc" => false,
                    "asc" => true,
                    _ => return Err(Refusal::bad_request("`order` is `desc` (the newest first) or `asc`")),
                };
            }
            "status" => {
                for status in value.split(',') {
                    let refused = || {
                        let known = RunStatus::ALL.map(RunStatus::as_str).join(", ");
                        Refusal::bad_request(format!("`status` is one or more of {known}, separated by commas"))
                    };
                    query
                        .runs
                        .statuses
                        .push(RunStatus::parse(status.trim()).ok_or_else(refused)?);
                }
            }
            other => return Err(Refusal::not_implemented(other)),
        }
    }
    Ok(query)
}

fn summary(run: RunRecord) -> RunSummary {
    RunSummary {
        channel_id: run.key.channel,
        title: run.title,
        status: run.progress.status,
        model: run.model,
        created_at: run.created_at,
        ended_at: run.progress.ended_at,
        end_reason: run.progress.end_reason,
        restarts: run.progress.restarts,
        waiting: run.progress.waiting.iter().map(|call| call.function.clone()).collect(),
        waiting_on: run.progress.waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ListQuery, Refusal> {
        let parameters: Vec<(String, String)> = text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        read_query(&parameters)
    }

    #[test]
    fn parameters_are_read_and_refused_by_name() {
        let all = read("").expect("nothing is needed");
        assert_eq!((all.take, all.runs), (None, RunQuery::newest(0)));
        let some =
            read("take=7&order=asc&status=running,waiting&status=failed&cursor=1f-00000000000000ab").expect("read");
        assert_eq!(some.take, Some(7));
        assert!(some.runs.oldest_first && some.runs.wants(RunStatus::Failed) && !some.runs.wants(RunStatus::Ended));
        assert_eq!(
            some.runs.after.map(|place| place.to_string()).as_deref(),
            Some("1f-00000000000000ab")
        );
        for (text, named) in [
            ("take=0", "take"),
            ("take=1001", "take"),
            ("take=x", "take"),
            ("order=up", "order"),
            ("status=", "status"),
            ("status=asleep", "status"),
            ("cursor=", "cursor"),
            ("cursor=one", "cursor"),
            ("meta.a=b", "meta.a"),
        ] {
            let refusal = format!("{:?}", read(text).expect_err(text));
            assert!(refusal.contains(named), "{text}: {refusal}");
        }
    }
}
