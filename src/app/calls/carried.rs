//! The functions that runs were dispatched with from here, and which of their calls were taken up already.
//!
//! A replay brings every call again, a restart of this program or of the server too. So each wait on one of our
//! result channels has a number (and on servers with ids its event), and how far they were taken up is kept. A number
//! may come out too low, where events are missing, never too high: a call that was taken up is never taken for new.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::transcript::{Connection, FeedBatch, Item, Status};
use crate::wire::event::{EventKind, Wait};
use crate::wire::request::{Function, FunctionResult};
use crate::wire::{ChannelId, CompleteRequest};

use super::super::state::App;
use super::SavedOfChannel;

/// A call that was asked for so lately is no replay, in milliseconds.
const FRESH_MS: u64 = 2_000;
/// A connection that is live for so long brings no replay any more, in milliseconds.
const LONG_LIVE_MS: u64 = 10_000;
/// The most waits of a run that are followed at once.
const MOST_OPEN: usize = 64;
/// The most calls without a seen answer that are remembered of a function.
const MOST_UNSETTLED: usize = 32;

/// A function that a run was dispatched with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Its name.
    pub function: String,
    /// Where its results are published; made for this run and known to its watchers alone.
    pub channel: ChannelId,
    /// Calls before this number were taken up.
    #[serde(default)]
    begun: u64,
    /// Calls up to this event were taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun_event: Option<u64>,
    /// Calls that were taken up and whose answer was not seen, by what they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unsettled: Vec<String>,
    /// Waits that were seen since the channel's first event.
    #[serde(skip)]
    seen: u64,
}

/// A wait that began and has not ended.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub channel: ChannelId,
    /// What is called with what.
    pub call: String,
    pub number: u64,
    pub event: Option<u64>,
    /// It was asked for just now: it is no part of a replay.
    pub fresh: bool,
    /// What is to become of it was decided.
    pub decided: bool,
    /// It was taken up before, and nothing is known of the answer.
    pub begun_before: bool,
}

/// Its part of a channel.
#[derive(Debug, Clone, Default)]
pub struct OfChannel {
    carried: Vec<Carried>,
    pub(super) open: Vec<Open>,
    /// When something came last, monotonic milliseconds.
    pub(super) last_batch: u64,
    /// Since when it is live without a break, monotonic milliseconds.
    live_since: Option<u64>,
}

impl OfChannel {
    /// What was saved of it.
    pub(in crate::app) fn new(saved: SavedOfChannel) -> Self {
        Self {
            carried: saved.carried,
            ..Self::default()
        }
    }

    /// What the next start needs of it.
    pub(in crate::app) fn saved(&self) -> SavedOfChannel {
        SavedOfChannel {
            carried: self.carried.clone(),
        }
    }

    /// Whether its run was dispatched from here with functions.
    #[must_use]
    pub fn carries(&self) -> bool {
        !self.carried.is_empty()
    }

    /// Whether a result channel was made here for its run.
    #[must_use]
    pub fn is_ours(&self, channel: &ChannelId) -> bool {
        self.carried.iter().any(|carried| carried.channel == *channel)
    }

    /// The wait that a waiting call is, if it is one on a channel of ours.
    pub(super) fn open(&mut self, channel: &str, function: &str, arguments: &Value) -> Option<&mut Open> {
        if self.open.is_empty() {
            return None;
        }
        let call = digest(function, arguments);
        self.open
            .iter_mut()
            .find(|open| open.channel.as_str() == channel && open.call == call)
    }

    /// Whether a waiting call was taken up before, with an unknown end.
    #[must_use]
    pub fn was_begun(&self, channel: &str, function: &str, arguments: &Value) -> bool {
        if !self.open.iter().any(|open| open.begun_before) {
            return false;
        }
        let call = digest(function, arguments);
        self.open
            .iter()
            .any(|open| open.begun_before && open.channel.as_str() == channel && open.call == call)
    }

    /// Whether nobody here has taken this call up yet.
    pub(super) fn is_new(&self, open: &Open) -> bool {
        self.carried.iter().any(|carried| {
            carried.channel == open.channel
                && open.number >= carried.begun
                && carried
                    .begun_event
                    .zip(open.event)
                    .is_none_or(|(begun, event)| event > begun)
                && !carried.unsettled.contains(&open.call)
        })
    }

    /// The call is taken up now: it is never new again.
    pub(super) fn begin(&mut self, open: &Open) {
        let Some(carried) = self.carried.iter_mut().find(|carried| carried.channel == open.channel) else {
            return;
        };
        carried.begun = carried.begun.max(open.number + 1);
        carried.begun_event = carried.begun_event.max(open.event);
        if !carried.unsettled.contains(&open.call) {
            if carried.unsettled.len() >= MOST_UNSETTLED {
                carried.unsettled.remove(0);
            }
            carried.unsettled.push(open.call.clone());
        }
    }

    /// The channel is read from its beginning again.
    fn begin_anew(&mut self) {
        self.open.clear();
        self.live_since = None;
        for carried in &mut self.carried {
            carried.seen = 0;
        }
    }

    fn wait_begins(&mut self, wait: &Wait, event: Option<u64>, fresh: bool) {
        let Some(carried) = self
            .carried
            .iter_mut()
            .find(|carried| carried.channel.as_str() == wait.channel && carried.function == wait.function.name)
        else {
            return;
        };
        let call = digest(&wait.function.name, &wait.function.args);
        // The same wait once more, after a restart of the server, is no second call.
        if self
            .open
            .iter()
            .any(|open| open.channel == carried.channel && open.call == call)
        {
            return;
        }
        let number = carried.seen;
        carried.seen += 1;
        if self.open.len() >= MOST_OPEN {
            self.open.remove(0);
        }
        self.open.push(Open {
            channel: carried.channel.clone(),
            call,
            number,
            event,
            fresh,
            decided: false,
            begun_before: false,
        });
    }

    fn wait_ends(&mut self, wait: &Wait, event: Option<u64>) {
        let Some(carried) = self
            .carried
            .iter_mut()
            .find(|carried| carried.channel.as_str() == wait.channel)
        else {
            return;
        };
        let call = digest(&wait.function.name, &wait.function.args);
        let of_call = |open: &Open| open.channel == carried.channel && open.call == call;
        let number = self.open.iter().find(|open| of_call(open)).map(|open| open.number);
        self.open.retain(|open| !of_call(open));
        // The answer to an earlier call of the same kind, seen again, settles nothing.
        let is_latest = number.is_none_or(|number| number + 1 >= carried.begun)
            && carried
                .begun_event
                .zip(event)
                .is_none_or(|(begun, event)| event > begun);
        if is_latest {
            carried.unsettled.retain(|unsettled| *unsettled != call);
        }
    }
}

/// How many fresh ids a dispatch with all configured functions needs beside its own.
pub(in crate::app) fn ids_needed(app: &App) -> usize {
    app.settings.calls.functions.len()
}

/// Gives a request the configured functions, each with a fresh result channel, and remembers them of the run, whose
/// channel is in the list already. What the request brings itself stays as it is.
pub(in crate::app) fn carry(app: &mut App, run: &ChannelId, request: &mut CompleteRequest) {
    let names: Vec<String> = app.settings.calls.functions.keys().cloned().collect();
    carry_only(app, run, request, &names);
}

/// The same for some of the configured functions; names that are not configured are left out.
pub(in crate::app) fn carry_only(app: &mut App, run: &ChannelId, request: &mut CompleteRequest, names: &[String]) {
    if let Some(channel) = app.channels.get_mut(run) {
        // A run that goes on with a thread takes over its place in the list; the calls are its own.
        channel.calls = OfChannel::default();
    }
    for name in names {
        let Some(config) = app.settings.calls.functions.get(name) else {
            continue;
        };
        if request.functions.iter().any(|function| function.name == *name) {
            continue;
        }
        let Some(channel) = app.fresh_ids.pop() else {
            // Whoever dispatches makes sure that there are enough.
            return;
        };
        request.functions.push(Function {
            name: name.clone(),
            description: config.description.clone(),
            parameters: config.parameters.as_ref().map(|schema| schema.json().clone()),
            result: Some(FunctionResult {
                data: None,
                channel: Some(channel.clone()),
            }),
            call: None,
        });
        if let Some(of) = app.channels.get_mut(run).map(|channel| &mut channel.calls) {
            of.carried.push(Carried {
                function: name.clone(),
                channel,
                begun: 0,
                begun_event: None,
                unsettled: Vec::new(),
                seen: 0,
            });
        }
    }
}

/// Takes note of the waits of a batch.
pub(super) fn read(app: &mut App, id: &ChannelId, batch: &FeedBatch) {
    let now = app.now;
    let Some(channel) = app.channels.get_mut(id).filter(|channel| channel.calls.carries()) else {
        return;
    };
    if channel.transcript.status() == Status::Empty && !batch.items.is_empty() {
        channel.calls.begin_anew();
    }
    let of = &mut channel.calls;
    of.last_batch = now.monotonic_ms;
    let long_live = of
        .live_since
        .is_some_and(|since| now.monotonic_ms - since >= LONG_LIVE_MS);
    for item in &batch.items {
        match item {
            Item::Event { id, at, event, .. } => match &event.kind {
                EventKind::WaitBegin(wait) => {
                    let fresh = match at {
                        Some(at) => now.unix_ms.abs_diff(*at) < FRESH_MS,
                        None => long_live,
                    };
                    of.wait_begins(wait, *id, fresh);
                }
                EventKind::WaitEnd(wait) => of.wait_ends(wait, *id),
                _ => {}
            },
            // What comes now is another run.
            Item::Reset => {
                of.carried.clear();
                of.open.clear();
            }
            _ => {}
        }
    }
    match &batch.connection {
        Some(Connection::Live) => {
            of.live_since.get_or_insert(now.monotonic_ms);
        }
        Some(_) => of.live_since = None,
        None => {}
    }
}

/// Names what is called with what.
pub(super) fn digest(function: &str, arguments: &Value) -> String {
    let parsed = match arguments {
        // Some servers write arguments as a text of JSON.
        Value::String(text) if text.trim_start().starts_with('{') => serde_json::from_str(text).ok(),
        _ => None,
    };
    let digest = Sha256::new_with_prefix(function)
        .chain_update([0])
        .chain_update(parsed.as_ref().unwrap_or(arguments).to_string())
        .finalize();
    hex(&digest[..12])
}

/// Names one call among all calls ever, without saying which: for a claim on it.
pub(super) fn claim(run: &ChannelId, open: &Open) -> String {
    let place = match open.event {
        Some(event) => format!("event {event}"),
        None => format!("call {}", open.number),
    };
    let digest = Sha256::new_with_prefix(run.as_str())
        .chain_update([0])
        .chain_update(open.channel.as_str())
        .chain_update([0])
        .chain_update(place)
        .finalize();
    hex(&digest[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
