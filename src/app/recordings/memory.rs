//! The bound on the memory of all transcripts together: those that are over and were not looked at for the longest
//! are put away on disk, and fetched when somebody looks at them again.
//!
//! Runs that still go on keep their newest part; each one's share shrinks when there are very many.

use std::sync::Arc;

use crate::transcript::{FeedBatch, Item, Transcript};
use crate::wire::ChannelId;

use super::super::channel::Channel;
use super::super::effect::Effect;
use super::super::state::App;
use super::super::update::complain;
use super::Do;

/// The memory is added up with every so many batches.
const EVERY: u32 = 64;
/// The least that a run keeps, in bytes of text.
const LEAST_SHARE: usize = 64 * 1024;
/// A transcript that is smaller is not worth putting away, in bytes.
const WORTH: usize = 16 * 1024;
/// What is said in place of a transcript that is away.
const NOTE: &str = "This transcript was put away on disk to bound the memory; it is being fetched.";

/// Where a channel's transcript is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Away {
    /// In memory.
    #[default]
    Here,
    /// On disk, or on its way there.
    Gone,
    /// It is being fetched.
    Coming,
}

/// The most items that are kept for a transcript until it is back.
const MOST_LATE: usize = 4_096;

/// What a channel knows of its transcript's whereabouts.
#[derive(Debug, Clone, Default)]
pub struct Whereabouts {
    /// Where it is.
    pub away: Away,
    /// Which putting away it was: what belongs to another one is of no use.
    number: u64,
    /// What came meanwhile.
    late: Vec<Item>,
    /// How often it came back: the names of its blocks are the same then, their revisions are not.
    pub(super) returns: u32,
}

impl Whereabouts {
    /// The transcript that was away is of no use any more.
    pub(super) fn begin_anew(&mut self) {
        self.away = Away::Here;
        self.late = Vec::new();
    }
}

/// What is known of the memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    batches: u32,
    /// The last transcript that was put away.
    last: u64,
    /// Putting away failed, and that was said.
    failed: bool,
}

/// A transcript on its way to the disk. Equal only to itself.
#[derive(Debug, Clone)]
pub struct Whole(pub Arc<Transcript>);

impl PartialEq for Whole {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A batch was taken in: now and then the memory is added up.
pub(super) fn fed(app: &mut App, effects: &mut Vec<Effect>) {
    app.recordings.memory.batches += 1;
    if app.recordings.memory.batches >= EVERY {
        app.recordings.memory.batches = 0;
        bound(app, effects);
    }
}

/// Brings the memory under its limit, as far as that goes.
pub(super) fn bound(app: &mut App, effects: &mut Vec<Effect>) {
    let limit = app.settings.recordings.memory;
    let mut total: usize = app.channels.values().map(|channel| channel.transcript.bytes()).sum();
    if total <= limit {
        return;
    }
    let target = limit - limit / 8;
    if !app.recordings.memory.failed {
        for id in oldest(app) {
            if total <= target {
                return;
            }
            if let Some(channel) = app.channels.get_mut(&id) {
                let rest = channel.transcript.remainder(NOTE);
                total = total.saturating_sub(channel.transcript.bytes()) + rest.bytes();
                let whole = std::mem::replace(&mut channel.transcript, rest);
                app.recordings.memory.last += 1;
                let number = app.recordings.memory.last;
                channel.recordings.whole.away = Away::Gone;
                channel.recordings.whole.number = number;
                effects.push(Effect::Recordings(Do::PutAway {
                    channel: id,
                    number,
                    transcript: Whole(Arc::new(whole)),
                }));
            }
        }
    }
    if total > limit {
        share(app, target);
    }
}

/// The channels whose transcripts may be put away, the one that was looked at longest ago first.
fn oldest(app: &App) -> Vec<ChannelId> {
    let mut found: Vec<&Channel> = app
        .channels
        .values()
        .filter(|channel| {
            channel.transcript.status().is_over()
                && channel.recordings.whole.away == Away::Here
                && channel.recordings.playback.is_none()
                && channel.transcript.bytes() >= WORTH
                && !app.is_in_view(&channel.id)
        })
        .collect();
    found.sort_by_key(|channel| (channel.recordings.looked_at, channel.generation));
    found.into_iter().map(|channel| channel.id.clone()).collect()
}

/// Gives every transcript that is out of view an equal share.
fn share(app: &mut App, target: usize) {
    let each = (target / app.channels.len().max(1)).max(LEAST_SHARE);
    let in_view: Vec<ChannelId> = app.channels_in_view().cloned().collect();
    for channel in app.channels.values_mut() {
        if channel.transcript.bytes() > each && !in_view.contains(&channel.id) {
            channel.transcript.set_limit(each);
        }
    }
}

/// What is in view is looked at now, and fetched if it is away.
pub(super) fn settle(app: &mut App, effects: &mut Vec<Effect>) {
    let now = app.now.monotonic_ms;
    let in_view: Vec<ChannelId> = app.channels_in_view().cloned().collect();
    for id in in_view {
        if let Some(channel) = app.channels.get_mut(&id) {
            channel.recordings.looked_at = now;
            fetch(channel, effects);
        }
    }
}

fn fetch(channel: &mut Channel, effects: &mut Vec<Effect>) {
    let whole = &mut channel.recordings.whole;
    if whole.away == Away::Gone {
        whole.away = Away::Coming;
        effects.push(Effect::Recordings(Do::Fetch {
            channel: channel.id.clone(),
            number: whole.number,
        }));
    }
}

/// A batch is about to be taken in. Where the transcript is away it is fetched, and what comes is kept for it.
pub(super) fn before_feed(app: &mut App, id: &ChannelId, batch: &FeedBatch, effects: &mut Vec<Effect>) {
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    if channel.recordings.whole.away == Away::Here || batch.items.is_empty() {
        return;
    }
    fetch(channel, effects);
    let whole = &mut channel.recordings.whole;
    if whole.late.len() + batch.items.len() <= MOST_LATE {
        whole.late.extend(batch.items.iter().cloned());
    } else {
        // Rather the new than the old: what was put away is not waited for.
        whole.begin_anew();
        effects.push(Effect::Recordings(Do::Forget { channel: id.clone() }));
    }
}

/// Putting a transcript away worked, or brought it back.
pub(super) fn put_away(app: &mut App, id: &ChannelId, number: u64, result: Result<(), (Box<Transcript>, String)>) {
    let Err((whole, reason)) = result else {
        return;
    };
    if !std::mem::replace(&mut app.recordings.memory.failed, true) {
        complain(
            app,
            format!("Transcripts cannot be put away on disk, so the memory grows: {reason}"),
        );
    }
    restore(app, id, number, *whole);
}

/// A transcript was fetched, or could not be.
pub(super) fn fetched(app: &mut App, id: &ChannelId, number: u64, result: Result<Box<Transcript>, String>) {
    match result {
        Ok(whole) => restore(app, id, number, *whole),
        Err(reason) => {
            let Some(channel) = app.channels.get_mut(id) else {
                return;
            };
            let whole = &mut channel.recordings.whole;
            if whole.number == number && whole.away != Away::Here {
                whole.begin_anew();
                complain(app, format!("The rest of this transcript is lost: {reason}"));
            }
        }
    }
}

fn restore(app: &mut App, id: &ChannelId, number: u64, mut transcript: Transcript) {
    let now = app.now.unix_ms;
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    let whole = &mut channel.recordings.whole;
    if whole.number == number && whole.away != Away::Here {
        for item in std::mem::take(&mut whole.late) {
            transcript.apply(item, now);
        }
        whole.away = Away::Here;
        whole.returns += 1;
        channel.transcript = transcript;
    }
}
