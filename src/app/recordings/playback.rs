//! Playing a recording back: at its own tempo, faster, or at once; paused; from any moment.
//!
//! The transcript is what the moments up to the position add up to. Going back means adding up anew, some
//! moments a tick, so that no frame waits for a long recording.

use std::sync::Arc;

use crate::record::Recording;
use crate::transcript::{Connection, Transcript};
use crate::wire::ChannelId;

use super::super::action::Action;
use super::super::channel::{Channel, Kept};
use super::super::msg::Scroll;
use super::super::state::{App, Focus};
use super::super::update::{say, select};

/// The most moments that are taken in with one tick.
const MOST_AT_ONCE: usize = 2_000;
/// How far one key goes to and fro, in milliseconds, for recordings of up to a few minutes; a twentieth of longer ones.
const STEP_MS: u64 = 5_000;
/// Playing ticks are at least so far apart, in milliseconds.
const FRAME_MS: u64 = 16;
/// The bar moves at least so often while it plays, in milliseconds.
const BAR_MS: u64 = 250;

/// How fast a recording plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speed {
    /// So many times as fast as it was.
    Times(u32),
    /// As it was.
    #[default]
    Own,
    /// All of it now.
    AtOnce,
}

const SPEEDS: [Speed; 6] = [
    Speed::Own,
    Speed::Times(2),
    Speed::Times(5),
    Speed::Times(10),
    Speed::Times(50),
    Speed::AtOnce,
];

impl Speed {
    fn step(self, by: isize) -> Self {
        let at = SPEEDS.iter().position(|speed| *speed == self).unwrap_or(0);
        SPEEDS[at.saturating_add_signed(by).min(SPEEDS.len() - 1)]
    }

    fn factor(self) -> u64 {
        match self {
            Self::Own => 1,
            Self::Times(times) => u64::from(times.max(1)),
            Self::AtOnce => u64::MAX,
        }
    }

    /// What to call it.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Own => "1x".to_owned(),
            Self::Times(times) => format!("{times}x"),
            Self::AtOnce => "at once".to_owned(),
        }
    }
}

/// A recording that is played back.
#[derive(Debug, Clone)]
pub struct Playback {
    recording: Arc<Recording>,
    /// The first moment that is not in the transcript.
    next: usize,
    /// How far it is, in milliseconds from the first moment.
    position: u64,
    /// How fast it plays.
    pub speed: Speed,
    /// Whether it plays.
    pub playing: bool,
    /// When the position was moved last, monotonic milliseconds.
    moved_at: u64,
}

impl Playback {
    /// How far it is, in milliseconds from its beginning.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.min(self.length())
    }

    /// How long it is, in milliseconds.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.recording.length()
    }

    /// Its file ends within a line: the end is missing.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.recording.cut
    }

    fn start(&self) -> u64 {
        self.recording.moments.first().map_or(0, |moment| moment.at)
    }

    /// The time on the clocks of then, Unix time in milliseconds.
    #[must_use]
    pub fn clock(&self) -> u64 {
        self.start().saturating_add(self.position())
    }

    /// The time of the next moment, in milliseconds from the beginning.
    fn next_at(&self) -> Option<u64> {
        let moment = self.recording.moments.get(self.next)?;
        Some(moment.at.saturating_sub(self.start()))
    }

    fn is_behind(&self) -> bool {
        self.next_at().is_some_and(|at| at <= self.position)
    }
}

/// Shows a recording as the entry of this id at the top of the list, and begins to play it.
pub(super) fn show(app: &mut App, id: ChannelId, recording: Arc<Recording>) {
    app.last_generation += 1;
    let mut channel = Channel::new(id.clone(), app.last_generation, app.now);
    channel.set_title(&format!("replay: {}", recording.head.title));
    // Nothing is watched: all of it is here.
    channel.connection = Connection::Ended;
    channel.kept = Kept::Yes;
    let cut = recording.cut;
    channel.recordings.playback = Some(Playback {
        recording,
        next: 0,
        position: 0,
        speed: Speed::Own,
        playing: true,
        moved_at: app.now.monotonic_ms,
    });
    app.channels.shift_insert(0, id.clone(), channel);
    app.recordings.playbacks += 1;
    select(app, &id);
    app.focus = Focus::Transcript;
    if cut {
        say(
            app,
            "This recording ends early: it was being written when its program stopped".to_owned(),
        );
    }
}

/// Does what a key of the scrub bar says.
pub(super) fn perform(app: &mut App, action: Action) {
    let now = app.now.monotonic_ms;
    let playing = app.selected.clone().and_then(|id| app.channels.get_mut(&id));
    let Some(channel) = playing.filter(|channel| channel.recordings.playback.is_some()) else {
        say(app, "This is no recording; o in the list opens one".to_owned());
        return;
    };
    advance(channel, now);
    let Some(playback) = &mut channel.recordings.playback else {
        return;
    };
    let length = playback.length();
    let step = STEP_MS.max(length / 20);
    match action {
        Action::PlayPause => {
            playback.playing = !playback.playing;
            if playback.playing && playback.position >= length {
                // At its end it begins anew.
                seek(channel, 0);
            }
        }
        Action::SeekBack => {
            let to = playback.position().saturating_sub(step);
            seek(channel, to);
        }
        Action::SeekForward => {
            let to = playback.position().saturating_add(step).min(length);
            seek(channel, to);
        }
        Action::Faster => playback.speed = playback.speed.step(1),
        Action::Slower => playback.speed = playback.speed.step(-1),
        _ => {}
    }
    advance(channel, now);
}

/// Goes to a position, in milliseconds from the beginning.
fn seek(channel: &mut Channel, to: u64) {
    let Some(playback) = &mut channel.recordings.playback else {
        return;
    };
    if to < playback.position {
        playback.next = 0;
        // The names of blocks begin anew with the transcript, so rows of the one before must not be taken for these.
        let limit = Transcript::new();
        channel.transcript = limit;
        channel.scroll = Scroll::Tail;
        channel.read_tokens = 0;
        channel.marked = None;
        channel.toggled.clear();
        channel.generation += GENERATION_STEP;
    }
    if let Some(playback) = &mut channel.recordings.playback {
        playback.position = to;
    }
}

/// Generations of a playback are far from those of feeds, which bring nothing for it.
const GENERATION_STEP: u64 = 1 << 32;

/// Moves the position to `now` (monotonic milliseconds) and takes in what happened up to it. `true`: something changed.
fn advance(channel: &mut Channel, now: u64) -> bool {
    let Some(playback) = &mut channel.recordings.playback else {
        return false;
    };
    let passed = now.saturating_sub(playback.moved_at);
    playback.moved_at = now;
    let length = playback.length();
    let before = playback.position;
    if playback.playing {
        playback.position = playback
            .position
            .saturating_add(passed.saturating_mul(playback.speed.factor()))
            .min(length);
        if playback.speed == Speed::AtOnce {
            playback.position = length;
        }
    }
    let mut changed = playback.position != before;
    let recording = Arc::clone(&playback.recording);
    let start = playback.start();
    let mut taken = 0;
    while taken < MOST_AT_ONCE
        && let Some(moment) = recording.moments.get(playback.next)
        && moment.at.saturating_sub(start) <= playback.position
    {
        channel.transcript.apply(moment.item(), moment.at);
        playback.next += 1;
        taken += 1;
    }
    changed |= taken > 0;
    if playback.playing && playback.position >= length && playback.next >= recording.moments.len() {
        playback.playing = false;
        changed = true;
    }
    if channel.scroll == Scroll::Tail {
        channel.read_tokens = channel.tokens();
    }
    changed
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App) -> bool {
    if app.recordings.playbacks == 0 {
        return false;
    }
    let now = app.now.monotonic_ms;
    let mut changed = false;
    for channel in app.channels.values_mut() {
        if channel.recordings.playback.is_some() {
            changed |= advance(channel, now);
        }
    }
    changed
}

/// When the next moment of a recording that plays is due, monotonic milliseconds.
pub(super) fn next_due(app: &App) -> Option<u64> {
    if app.recordings.playbacks == 0 {
        return None;
    }
    let playbacks = app
        .channels
        .values()
        .filter_map(|channel| channel.recordings.playback.as_ref());
    playbacks.filter_map(due).min()
}

fn due(playback: &Playback) -> Option<u64> {
    if playback.is_behind() {
        return Some(playback.moved_at + 1);
    }
    if !playback.playing {
        return None;
    }
    let to_next = playback.next_at().unwrap_or_else(|| playback.length());
    let wait = to_next.saturating_sub(playback.position) / playback.speed.factor().max(1);
    Some(playback.moved_at + wait.clamp(FRAME_MS, BAR_MS))
}
