//! The body of an answer that streams: lines as they come, a heartbeat in silence, JSONL or SSE.
//!
//! It forwards shared bytes without looking at them in JSONL; only SSE takes lines apart.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{BoxStream, Stream};
use http::{HeaderValue, header};
use http_body::Frame;
use prometheus_client::metrics::gauge::Gauge;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, Sleep};

use super::request::Format;
use crate::wire::LineDecoder;

/// What a subscription's server-sent events begin with: how long a browser waits before it connects again, in milliseconds.
/// Other streams are not to be asked for again: that would be another run.
const RETRY: &[u8] = b"retry: 1000\n\n";

/// An answer that streams whole JSON lines in a form; its head is sent at once.
pub(super) fn answer(lines: BoxStream<'static, Bytes>, format: Format, heartbeat: Duration) -> Response {
    respond(lines, format, heartbeat, None)
}

/// The same, counted as long as it is open.
pub(super) fn counted(lines: BoxStream<'static, Bytes>, format: Format, heartbeat: Duration, open: &Gauge) -> Response {
    open.inc();
    respond(lines, format, heartbeat, Some(open.clone()))
}

fn respond(lines: BoxStream<'static, Bytes>, format: Format, heartbeat: Duration, open: Option<Gauge>) -> Response {
    let body = StreamBody {
        lines,
        // The lines are our own: none is too long.
        sse: (format == Format::Sse).then(|| LineDecoder::with_limit(usize::MAX)),
        heartbeat,
        last: Instant::now(),
        timer: Box::pin(tokio::time::sleep(heartbeat)),
        begun: false,
        open,
    };
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would hold live lines back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct StreamBody {
    lines: BoxStream<'static, Bytes>,
    sse: Option<LineDecoder>,
    heartbeat: Duration,
    /// When something was sent last. The timer is set anew only when it fires: that is cheaper than
    /// with every delivery.
    last: Instant,
    timer: Pin<Box<Sleep>>,
    /// Whether anything was sent.
    begun: bool,
    /// Where it is counted.
    open: Option<Gauge>,
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.dec();
        }
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !std::mem::replace(&mut self.begun, true) && self.sse.is_some() && self.open.is_some() {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(RETRY)))));
        }
        loop {
            match Pin::new(&mut self.lines).poll_next(context) {
                Poll::Ready(Some(lines)) => {
                    self.last = Instant::now();
                    let data = match &mut self.sse {
                        None => lines,
                        Some(decoder) => sse_events(decoder, &lines),
                    };
                    if data.is_empty() {
                        continue;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            ready!(self.timer.as_mut().poll(context));
            let due = self.last + self.heartbeat;
            let now = Instant::now();
            if due > now {
                self.timer.as_mut().reset(due);
                continue;
            }
            self.last = now;
            let next = now + self.heartbeat;
            self.timer.as_mut().reset(next);
            let life: &'static [u8] = if self.sse.is_some() { b":\n\n" } else { b" " };
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(life)))));
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    id: Option<u64>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// Whole JSON lines as server-sent events: `event: TYPE`, `id: N`, `data: JSON of data`.
fn sse_events(decoder: &mut LineDecoder, lines: &[u8]) -> Bytes {
    let mut events = Vec::with_capacity(lines.len());
    decoder.push(lines);
    while let Some(line) = decoder.next_line() {
        // Our own lines can always be read.
        let Some(line) = line
            .as_ref()
            .ok()
            .and_then(|line| serde_json::from_slice::<Line<'_>>(line).ok())
        else {
            continue;
        };
        events.extend_from_slice(b"event: ");
        events.extend_from_slice(line.name.as_bytes());
        if let Some(id) = line.id {
            events.extend_from_slice(format!("\nid: {id}").as_bytes());
        }
        events.extend_from_slice(b"\ndata: ");
        events.extend_from_slice(line.data.map_or("null", RawValue::get).as_bytes());
        events.extend_from_slice(b"\n\n");
    }
    events.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use http_body_util::BodyExt;

    #[test]
    fn lines_become_server_sent_events() {
        let lines = b"{\"type\":\"message\",\"id\":3,\"createdAt\":1,\"data\":{\"type\":\"token\"}}\n{\"type\":\"message\",\"data\":\"x\"}\n";
        let events = sse_events(&mut LineDecoder::default(), lines);
        assert_eq!(
            std::str::from_utf8(&events),
            Ok("event: message\nid: 3\ndata: {\"type\":\"token\"}\n\nevent: message\ndata: \"x\"\n\n")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_shows_life_and_a_busy_one_does_not() {
        let begin = Instant::now();
        let lines = futures::stream::unfold(0, |count| async move {
            let wait = if count < 3 { 10 } else { 1000 };
            tokio::time::sleep(Duration::from_secs(wait)).await;
            Some((Bytes::from_static(b"{}\n"), count + 1))
        });
        let mut body = answer(lines.boxed(), Format::Jsonl, Duration::from_secs(15)).into_body();
        let mut seen = Vec::new();
        for _ in 0..5 {
            let frame = body.frame().await.expect("a frame").expect("no error");
            let data = frame.into_data().expect("data");
            seen.push((begin.elapsed().as_secs(), data));
        }
        let line = Bytes::from_static(b"{}\n");
        let space = Bytes::from_static(b" ");
        assert_eq!(
            seen,
            [
                (10, line.clone()),
                (20, line.clone()),
                (30, line),
                (45, space.clone()),
                (60, space)
            ]
        );
    }

    #[tokio::test]
    async fn only_a_subscription_asks_to_be_connected_again() {
        let lines = || futures::stream::once(async { Bytes::from_static(b"{\"type\":\"a\"}\n") }).boxed();
        let open = Gauge::default();
        let heartbeat = Duration::from_secs(15);
        for (response, begins) in [
            (answer(lines(), Format::Sse, heartbeat), "event: a"),
            (counted(lines(), Format::Sse, heartbeat, &open), "retry: 1000"),
            (counted(lines(), Format::Jsonl, heartbeat, &open), "{"),
        ] {
            let body = response.into_body().collect().await.expect("no error").to_bytes();
            assert!(body.starts_with(begins.as_bytes()), "{body:?}");
        }
    }

    #[tokio::test]
    async fn a_line_of_any_length_becomes_an_event() {
        let text = "x".repeat(crate::wire::jsonl::LONGEST_LINE);
        let line = Bytes::from(format!("{{\"type\":\"message\",\"data\":\"{text}\"}}\n"));
        let lines = futures::stream::once(async { line }).boxed();
        let body = answer(lines, Format::Sse, Duration::from_secs(15)).into_body();
        let body = body.collect().await.expect("no error").to_bytes();
        assert!(body.len() > text.len(), "{}", body.len());
    }
}
