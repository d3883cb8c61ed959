//! Reading a request: who asks, in what form the answer is wanted, and the body within its limits.
//!
//! What a body must hold is checked in `validate`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::App;
use super::error::Refusal;
use super::framing::Flaw;
use crate::hub::{AccountId, ChannelKey};
use crate::wire::{ChannelId, ErrorCode, Scope, SecretHash};

/// Whoever showed a secret of an account that may do everything.
pub(super) struct Caller(pub(super) AccountId);

/// Whoever showed a secret of an account that may subscribe and list.
pub(super) struct Watcher(pub(super) AccountId);

/// Whoever showed a secret of some account, whatever it may do.
pub(super) struct Known;

/// Whoever showed the secret of the metrics.
pub(super) struct Observer;

/// The channel of a request's path, under the account of a [`Caller`].
pub(super) struct Channel(pub(super) ChannelKey);

/// The same for a [`Watcher`].
pub(super) struct WatchedChannel(pub(super) ChannelKey);

/// The same for who may publish.
pub(super) struct AnsweredChannel(pub(super) ChannelKey);

/// The secret that a request shows.
fn secret(parts: &Parts) -> Result<&[u8], Refusal> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value.as_bytes(),
        (Some(_), Some(_)) => {
            return Err(Refusal::not_authenticated(
                "the request has two `Authorization` headers",
            ));
        }
        (None, _) => {
            return Err(Refusal::not_authenticated(
                "the request has no `Authorization: Bearer SECRET` header",
            ));
        }
    };
    match value.split_at_checked(7) {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case(b"bearer ") => Ok(secret.trim_ascii()),
        _ => Err(Refusal::not_authenticated(
            "the `Authorization` header is not of the form `Bearer SECRET`",
        )),
    }
}

/// The account of a request's secret and what the secret may do.
fn account(parts: &Parts, app: &App) -> Result<(AccountId, Scope), Refusal> {
    let secret = secret(parts)?;
    let (account, scope) = app
        .accounts
        .of_secret(secret)
        .ok_or_else(|| Refusal::not_authenticated("the secret of the `Authorization` header belongs to no account"))?;
    if let Some(requests) = &account.requests {
        requests.count().map_err(Refusal::too_many_requests)?;
    }
    Ok((account.id.clone(), scope))
}

/// The account of a request whose secret has to have one of some scopes.
fn allowed(parts: &Parts, app: &App, scopes: &[Scope]) -> Result<AccountId, Refusal> {
    let (account, scope) = account(parts, app)?;
    if scopes.contains(&scope) {
        return Ok(account);
    }
    let may = match scope {
        Scope::Full => "do everything",
        Scope::Watch => "subscribe and list",
        Scope::Answer => "publish",
    };
    Err(Refusal::new(
        ErrorCode::NotAuthorized,
        format!(
            "this secret has the scope `{}`: it may {may}, and not this",
            scope.as_str()
        ),
    ))
}

async fn channel(parts: &mut Parts, app: &Arc<App>, scopes: &[Scope]) -> Result<ChannelKey, Refusal> {
    let account = allowed(parts, app, scopes)?;
    let Path(channel) = Path::<String>::from_request_parts(parts, app)
        .await
        .map_err(|error| Refusal::bad_request(format!("`channelId` in the path: {}", error.body_text())))?;
    let channel = ChannelId::parse(&channel).map_err(|error| Refusal::bad_request(format!("`channelId`: {error}")))?;
    Ok(ChannelKey { account, channel })
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        allowed(parts, app, &[Scope::Full]).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Watcher {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        allowed(parts, app, &[Scope::Full, Scope::Watch]).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Known {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        account(parts, app).map(|_| Self)
    }
}

impl FromRequestParts<Arc<App>> for Observer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let shown = SecretHash::of(secret(parts)?);
        match &app.options.metrics {
            Some(known) if known.matches(&shown) => Ok(Self),
            _ => Err(Refusal::not_authenticated(
                "the secret of the `Authorization` header is not that of the metrics",
            )),
        }
    }
}

impl FromRequestParts<Arc<App>> for Channel {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        channel(parts, app, &[Scope::Full]).await.map(Self)
    }
}

impl FromRequestParts<Arc<App>> for WatchedChannel {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        channel(parts, app, &[Scope::Full, Scope::Watch]).await.map(Self)
    }
}

impl FromRequestParts<Arc<App>> for AnsweredChannel {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        channel(parts, app, &[Scope::Full, Scope::Answer]).await.map(Self)
    }
}

/// The person's time zone, from the header `X-Timezone`; `None` when there is none.
///
/// # Errors
/// When it is no zone of the IANA time zone database.
pub(super) fn timezone(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let refused = || {
        Refusal::bad_request("`X-Timezone` is the name of a time zone, such as Europe/Berlin, from the IANA database")
    };
    let mut values = headers.get_all("x-timezone").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key("x-timezone") {
            Err(refused())
        } else {
            Ok(None)
        };
    };
    let name = value.to_str().map_err(|_| refused())?.trim();
    if name.is_empty() {
        return Ok(None);
    }
    match jiff::tz::TimeZone::get(name) {
        Ok(zone) => Ok(zone.iana_name().map(str::to_owned)),
        Err(_) => Err(refused()),
    }
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON document.
    Json,
    /// A JSON object a line.
    Jsonl,
    /// Server-sent events.
    Sse,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Jsonl => "application/jsonl",
            Self::Sse => "text/event-stream",
        }
    }

    /// The form that the `Accept` header asks for among those that a route has; the first one is the
    /// route's own.
    pub(super) fn negotiate(headers: &HeaderMap, offered: &[Self]) -> Result<Self, Refusal> {
        let ranges: Vec<Range> = headers
            .get_all(header::ACCEPT)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .filter_map(Range::read)
            .collect();
        if ranges.is_empty() {
            return Ok(offered[0]);
        }
        let mut best: Option<(Self, f32, usize)> = None;
        for format in offered {
            // The range that names it most closely decides (RFC 9110, 12.5.1); among equals the first one.
            let closest = ranges
                .iter()
                .enumerate()
                .filter_map(|(at, range)| Some((range.names(*format)?, at, range.quality)))
                .max_by_key(|(closeness, at, _)| (*closeness, std::cmp::Reverse(*at)));
            if let Some((_, at, quality)) = closest
                && quality > 0.0
                && best.is_none_or(|(_, known, before)| quality > known || (quality == known && at < before))
            {
                best = Some((*format, quality, at));
            }
        }
        match best {
            Some((format, ..)) => Ok(format),
            None => {
                let names: Vec<&str> = offered.iter().map(|format| format.content_type()).collect();
                Err(Refusal::bad_request(format!(
                    "`Accept`: this route answers {}",
                    names.join(" or ")
                )))
            }
        }
    }
}

/// One of the ranges of media that an `Accept` header names.
struct Range {
    media: String,
    quality: f32,
}

impl Range {
    fn read(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().filter(|media| !media.is_empty())?.to_owned();
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let quality = quality.and_then(|quality| quality.parse().ok()).unwrap_or(1.0);
        Some(Self { media, quality })
    }

    /// How closely it names a format; `None` if it does not.
    fn names(&self, format: Format) -> Option<u8> {
        let own = format.content_type();
        match self.media.strip_suffix("/*") {
            None => (self.media == own).then_some(2),
            Some("*") => Some(0),
            Some(kind) => (own.split('/').next() == Some(kind)).then_some(1),
        }
    }
}

/// Reads a JSON body whole, within the limits of size and time.
pub(super) async fn read_body(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let limit = app.options.body_limit;
    let body = tokio::time::timeout(app.options.body_timeout, collect(body, limit))
        .await
        .map_err(|_| {
            Refusal::new(
                ErrorCode::Timeout,
                format!(
                    "the request's body did not come within {} seconds",
                    app.options.body_timeout.as_secs()
                ),
            )
            .closing()
        })??;
    if let Some(kind) = headers.get(header::CONTENT_TYPE).filter(|_| !body.is_empty()) {
        let media = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        let media = media.trim().to_ascii_lowercase();
        if media != "application/json" && !media.ends_with("+json") {
            return Err(Refusal::bad_request(
                "`Content-Type`: the body has to be JSON, sent as `application/json`",
            ));
        }
    }
    Ok(body)
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Refusal> {
    // Before anything of it is read, and who asks whether to send it is told to.
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::too_large(limit));
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(error).closing())?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(Refusal::too_large(limit));
        }
        // Most bodies come in one piece, which is taken as it is.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn unreadable(error: axum::Error) -> Refusal {
    let error = error.into_inner();
    if let Some(flaw) = error.downcast_ref::<Flaw>() {
        return Refusal::bad_request(flaw.message());
    }
    let message = match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_incomplete_message() => "the request's body ended too early",
        _ => "the request's body cannot be read",
    };
    Refusal::bad_request(message)
}

/// Reads a body as a value; an empty one counts as `{}`.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        if reason.is_data() && path != "." {
            Refusal::bad_request(format!("`{path}`: {reason}"))
        } else if reason.is_data() {
            Refusal::bad_request(format!("the body: {reason}"))
        } else {
            Refusal::bad_request(format!("the body is no valid JSON: {reason}"))
        }
    })?;
    reader
        .end()
        .map_err(|reason| Refusal::bad_request(format!("the body is no valid JSON: {reason}")))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_form_is_what_the_closest_range_allows() {
        let all = [Format::Json, Format::Jsonl, Format::Sse];
        for (accept, form) in [
            ("", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("application/jsonl", Some(Format::Jsonl)),
            ("text/event-stream, application/json", Some(Format::Sse)),
            ("application/json;q=0.5, text/*", Some(Format::Sse)),
            ("application/json;q=0, */*", Some(Format::Jsonl)),
            ("*/*, application/json;Q=0", Some(Format::Jsonl)),
            ("application/*;q=0, */*;q=0.1", Some(Format::Sse)),
            ("text/html, */*;q=0.1", Some(Format::Json)),
            ("application/json;q=0, application/jsonl;q=0, text/*;q=0, */*", None),
            ("text/html", None),
            ("*/*;q=0", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Format::negotiate(&headers, &all).ok(), form, "{accept}");
        }
    }
}
