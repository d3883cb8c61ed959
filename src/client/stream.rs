//! Streaming answers: a subscription's lines, a completion's events.
//!
//! It decodes lines, watches for silence, and hands over what came together at once. It neither
//! reconnects nor decides what a line means for a run.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use reqwest::Response;
use tokio::time::{Instant, Sleep};

use super::endpoint::Endpoint;
use super::error::ClientError;
use crate::wire::jsonl::LineError;
use crate::wire::surrogate::SurrogateJoiner;
use crate::wire::{Event, LineDecoder, SubscriptionLine};

/// About how many bytes are decoded before what they hold is handed over.
const BATCH_BYTES: usize = 256 * 1024;

/// The bytes of an answer as lines; keeps watch over its silence.
struct Lines {
    endpoint: Endpoint,
    response: Option<Response>,
    decoder: LineDecoder,
    idle: Duration,
    /// Fires when the silence may have been too long.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Lines {
    fn new(endpoint: Endpoint, response: Response, idle: Duration) -> Self {
        Self {
            endpoint,
            response: Some(response),
            decoder: LineDecoder::default(),
            idle,
            timer: None,
        }
    }

    /// Waits for the next bytes and takes all that are there. `false`: the stream is at its end.
    ///
    /// It can be dropped while it waits: nothing is lost.
    async fn fill(&mut self) -> Result<bool, ClientError> {
        let Some(response) = &mut self.response else {
            return Ok(false);
        };
        // One timer for the stream's whole life: it is put off when it fires, not with every chunk.
        let since = Instant::now();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(since + self.idle)));
        let first = loop {
            tokio::select! {
                biased;
                chunk = response.chunk() => break Some(chunk),
                () = timer.as_mut() => {
                    let due = since + self.idle;
                    if Instant::now() >= due {
                        break None;
                    }
                    timer.as_mut().reset(due);
                }
            }
        };
        let Some(first) = first else {
            self.response = None;
            return Err(ClientError::Timeout {
                server: self.endpoint.name().to_owned(),
                what: "sign of life",
                after: self.idle,
            });
        };
        let mut taken = 0;
        let mut next = Some(first);
        while let Some(chunk) = next {
            match chunk {
                Ok(Some(chunk)) => {
                    taken += chunk.len();
                    self.decoder.push(&chunk);
                }
                Ok(None) => {
                    self.response = None;
                    return Ok(taken > 0);
                }
                Err(error) => {
                    self.response = None;
                    return Err(ClientError::from_transport(
                        &self.endpoint,
                        &error,
                        "sign of life",
                        self.idle,
                    ));
                }
            }
            if taken >= BATCH_BYTES {
                break;
            }
            next = response.chunk().now_or_never();
            if next.is_none() {
                // The connection is a task of its own that hands over one chunk at a time: what waits in the
                // socket is there only after it ran. Without this a feed that is slow on purpose falls behind.
                tokio::task::yield_now().await;
                next = response.chunk().now_or_never();
            }
        }
        Ok(true)
    }
}

/// One line of a subscription: as it came, and what was understood of it.
#[derive(Debug)]
pub struct ReceivedLine {
    /// The line as it came, byte for byte, without its line break.
    pub raw: Bytes,
    /// What it says; an error for a line that cannot be read.
    pub line: Result<SubscriptionLine, LineError>,
}

/// An open subscription.
pub struct Subscription {
    lines: Lines,
    joiner: SurrogateJoiner,
    failure: Option<ClientError>,
}

impl Subscription {
    pub(super) fn new(endpoint: Endpoint, response: Response, idle: Duration) -> Self {
        Self {
            lines: Lines::new(endpoint, response, idle),
            joiner: SurrogateJoiner::default(),
            failure: None,
        }
    }

    /// The same subscription with another bound on its silence.
    #[must_use]
    pub fn with_idle_timeout(mut self, idle: Duration) -> Self {
        self.lines.idle = idle;
        self.lines.timer = None;
        self
    }

    /// The lines that came since the last call, at least one; `None` when the server ended the stream.
    ///
    /// Heartbeats keep it alive and are no lines. It can be dropped while it waits: nothing is lost.
    /// Half a line at the end of the stream is dropped; a new subscription brings it whole.
    ///
    /// # Errors
    /// Silence for longer than the idle timeout, or a broken connection. The stream is over then.
    pub async fn next(&mut self) -> Option<Result<Vec<ReceivedLine>, ClientError>> {
        loop {
            let mut lines = Vec::new();
            while let Some(line) = self.lines.decoder.next_line() {
                lines.push(self.receive(line));
            }
            if !lines.is_empty() {
                return Some(Ok(lines));
            }
            if let Some(error) = self.failure.take() {
                return Some(Err(error));
            }
            match self.lines.fill().await {
                Ok(true) => {}
                Ok(false) => {
                    // A whole object that only lacks its line break counts.
                    let last = self.lines.decoder.finish().map(|line| self.receive(line));
                    return last.filter(|last| last.line.is_ok()).map(|last| Ok(vec![last]));
                }
                Err(error) => self.failure = Some(error),
            }
        }
    }

    fn receive(&mut self, line: Result<Bytes, LineError>) -> ReceivedLine {
        match line {
            Ok(raw) => ReceivedLine {
                line: SubscriptionLine::parse(&self.joiner.repair(&raw)),
                raw,
            },
            Err(error) => ReceivedLine {
                raw: Bytes::new(),
                line: Err(error),
            },
        }
    }
}

/// The events of a completion.
pub struct EventStream {
    lines: Lines,
    joiner: SurrogateJoiner,
    over: bool,
    failure: Option<ClientError>,
}

impl EventStream {
    pub(super) fn new(endpoint: Endpoint, response: Response, idle: Duration) -> Self {
        Self {
            lines: Lines::new(endpoint, response, idle),
            joiner: SurrogateJoiner::default(),
            over: false,
            failure: None,
        }
    }

    /// The next event with its line as it came; `None` after the event that ends the run.
    ///
    /// # Errors
    /// [`ClientError::BadAnswer`] for a line that is no event (the next call goes on after it); anything
    /// else ends the stream, also a stream that ends before its run does.
    pub async fn next(&mut self) -> Option<Result<(Event, Bytes), ClientError>> {
        while !self.over {
            let line = match self.lines.decoder.next_line() {
                Some(line) => line,
                None if self.lines.response.is_some() && self.failure.is_none() => {
                    self.failure = self.lines.fill().await.err();
                    continue;
                }
                None => match (self.failure.take(), self.lines.decoder.finish()) {
                    (None, Some(line)) => line,
                    (failure, _) => {
                        self.over = true;
                        return Some(Err(failure.unwrap_or_else(|| ClientError::Lost {
                            server: self.lines.endpoint.name().to_owned(),
                            reason: "the stream ended before the run did".to_owned(),
                        })));
                    }
                },
            };
            return Some(self.read(line));
        }
        None
    }

    fn read(&mut self, line: Result<Bytes, LineError>) -> Result<(Event, Bytes), ClientError> {
        let bad = |reason: String| ClientError::bad_answer(&self.lines.endpoint, reason);
        let raw = line.map_err(|error| bad(error.to_string()))?;
        let repaired = self.joiner.repair(&raw);
        let event: Event = serde_json::from_slice(&repaired)
            .map_err(|error| bad(format!("a line of the stream is no event ({error})")))?;
        self.over = event.kind.ends_run();
        Ok((event, raw))
    }
}
