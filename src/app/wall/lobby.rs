//! The lobby: when this program asks, what it announces, and what of the others' announcements it watches.
//!
//! An announcement is data. All that can come of one is that a channel is watched, at a bounded rate and up to a
//! bounded number; nothing is dispatched, answered or cancelled by it. Published messages are live only, so whoever
//! comes later asks, and those who drive runs announce theirs again, each after a delay of its own.

use indexmap::IndexSet;

use crate::text::sanitise_line;
use crate::transcript::{Connection, FeedBatch, Item};
use crate::wire::ChannelId;
use crate::wire::lobby::{Announcement, LobbyMessage, Sender};

use super::super::effect::Effect;
use super::super::msg::RequestId;
use super::super::state::{App, ServerState};
use super::super::update::{complain, next_request, say};

/// Answers to questions are not closer together than this, in milliseconds.
const ANSWER_PAUSE_MS: u64 = 5_000;
/// An answer comes within this time after the question, in milliseconds: those who answer do not all speak at once.
const ANSWER_SPREAD_MS: u64 = 1_500;
/// The first question comes within this time after the lobby was entered, in milliseconds.
const ASK_SPREAD_MS: u64 = 300;
/// When nobody said anything, it is asked once more after this time, in milliseconds.
const ASK_AGAIN_MS: u64 = 5_000;
/// How many runs are announced at once; the next ones follow a second later.
const ANNOUNCED_AT_ONCE: usize = 8;
/// The most runs that one question brings, the newest.
const MOST_ANNOUNCED: usize = 64;
/// How many runs may be added at once; one more a second after that.
const MOST_AT_ONCE: u64 = 50;
/// The most channels of the list that came by a lobby.
const MOST_ADDED: usize = 200;
/// How many runs are remembered, so that one that was taken off the list does not come back.
const MOST_KNOWN: usize = 2_048;
/// How many publications may be unanswered.
const MOST_REQUESTS: usize = 256;
/// How many runs that were taken off the list are remembered for the next start.
const MOST_DISMISSED: usize = 64;
/// News of added runs are gathered for this time, in milliseconds.
const NEWS_MS: u64 = 800;
/// A feed that ended is begun again after this time, in milliseconds.
const ENTER_AGAIN_MS: u64 = 60_000;

/// How this program is in a lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The lobby's channel.
    pub channel: ChannelId,
    /// Runs that are dispatched here are announced.
    pub announce: bool,
    /// Runs that others announce are watched.
    pub follow: bool,
    /// Announcements say the runs' titles.
    pub titles: bool,
    /// What this terminal is called.
    pub name: String,
}

/// What is known of the lobby.
#[derive(Debug, Default)]
pub struct Lobby {
    /// The generation that its channel is watched with.
    pub(super) generation: Option<u64>,
    /// Whether its channel is connected.
    live: bool,
    /// Its failure was told.
    told: bool,
    /// State of the random numbers.
    random: u64,
    /// The word that tells this program from others.
    pub(super) instance: String,
    /// Runs that were announced, here or by others.
    pub(super) known: IndexSet<ChannelId>,
    /// Runs of others that were taken off the list.
    dismissed: Vec<ChannelId>,
    /// The person was told that this is a lobby.
    greeted: bool,
    /// Runs that are to be announced.
    queue: IndexSet<ChannelId>,
    announce_due: Option<u64>,
    answered_at: Option<u64>,
    ask_due: Option<u64>,
    asks_left: u8,
    enter_due: Option<u64>,
    /// What may still be added at once, and since when that holds.
    allowance: Allowance,
    /// Who announced how many runs that were added.
    news: Vec<(String, usize)>,
    not_added: usize,
    news_due: Option<u64>,
    /// Publications that were not answered yet.
    requests: Vec<RequestId>,
}

/// A bucket that fills by one a second.
#[derive(Debug, Default)]
struct Allowance {
    used: u64,
    at: u64,
}

impl Allowance {
    fn take(&mut self, now: u64) -> bool {
        let refilled = now.saturating_sub(self.at) / 1_000;
        self.used = self.used.saturating_sub(refilled);
        self.at += refilled * 1_000;
        if self.used == 0 {
            self.at = now;
        }
        let free = self.used < MOST_AT_ONCE;
        self.used += u64::from(free);
        free
    }
}

impl Lobby {
    /// The program begins, with these random bits.
    pub(super) fn begin(&mut self, seed: u64) {
        self.random = seed;
        self.instance = format!("{:012x}", self.next_random() >> 16);
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): good enough to spread delays.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, spread_ms: u64) -> u64 {
        self.next_random() % spread_ms.max(1)
    }

    /// Remembers a run; `false`: it was known.
    fn learn(&mut self, id: &ChannelId) -> bool {
        if self.known.len() >= MOST_KNOWN {
            self.known.shift_remove_index(0);
        }
        self.known.insert(id.clone())
    }

    /// A run was taken off the list: it is not added again.
    pub(super) fn dismiss(&mut self, id: &ChannelId) {
        self.learn(id);
        self.dismissed.retain(|other| other != id);
        if self.dismissed.len() >= MOST_DISMISSED {
            self.dismissed.remove(0);
        }
        self.dismissed.push(id.clone());
    }

    /// The runs that were taken off the list, the newest last.
    pub(super) fn dismissed(&self) -> &[ChannelId] {
        &self.dismissed
    }

    /// Whether its channel is connected.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }
}

/// Begins to watch the lobby's channel.
pub(super) fn enter(app: &mut App, effects: &mut Vec<Effect>) {
    let lobby = &mut app.wall.lobby;
    lobby.live = false;
    lobby.enter_due = None;
    lobby.generation = None;
    let Some(settings) = app
        .settings
        .wall
        .lobby
        .as_ref()
        .filter(|lobby| lobby.announce || lobby.follow)
    else {
        return;
    };
    app.last_generation += 1;
    app.wall.lobby.generation = Some(app.last_generation);
    effects.push(Effect::Watch {
        channel: settings.channel.clone(),
        generation: app.last_generation,
        after: None,
    });
}

/// The settings are others now.
pub(super) fn moved(app: &mut App, before: Option<&Settings>, effects: &mut Vec<Effect>) {
    let channel = |settings: Option<&Settings>| settings.map(|settings| settings.channel.clone());
    let other = channel(before) != channel(app.settings.wall.lobby.as_ref());
    if let Some(before) = before.filter(|_| other)
        && app.wall.lobby.generation.is_some()
    {
        effects.push(Effect::Unwatch {
            channel: before.channel.clone(),
        });
    }
    app.wall.lobby.queue.clear();
    app.wall.lobby.told = false;
    enter(app, effects);
}

/// Whether a batch is the lobby's.
pub(in super::super) fn owns(app: &App, id: &ChannelId, generation: u64) -> bool {
    app.wall.lobby.generation == Some(generation)
        && app
            .settings
            .wall
            .lobby
            .as_ref()
            .is_some_and(|lobby| lobby.channel == *id)
}

/// Whether this channel is the lobby.
pub(in super::super) fn is_lobby(app: &App, id: &ChannelId) -> bool {
    app.settings
        .wall
        .lobby
        .as_ref()
        .is_some_and(|lobby| lobby.channel == *id)
}

/// Takes in what came on the lobby's channel; `false`: nothing visible changed.
pub(in super::super) fn feed(app: &mut App, batch: FeedBatch, effects: &mut Vec<Effect>) -> bool {
    let Some(settings) = app.settings.wall.lobby.clone() else {
        return false;
    };
    for item in batch.items {
        let message = match &item {
            Item::Published { message, .. } => LobbyMessage::read(message),
            Item::Event { raw, .. } => LobbyMessage::read_line(raw),
            _ => None,
        };
        match message {
            Some(LobbyMessage::Ask { sender, .. }) if settings.announce && !is_own(app, &sender) => answer(app),
            Some(LobbyMessage::Run(run)) if settings.follow && !is_own(app, &run.sender) => heard(app, run, effects),
            _ => {}
        }
    }
    match batch.connection {
        Some(Connection::Live) => return entered(app, &settings),
        Some(Connection::Failed { reason }) => {
            left(app);
            if !std::mem::replace(&mut app.wall.lobby.told, true) {
                let text = format!("The lobby cannot be watched: {reason}");
                complain(app, sanitise_line(&text).into_owned());
                return true;
            }
        }
        Some(Connection::Ended) => left(app),
        Some(Connection::Reconnecting { .. } | Connection::Connecting) => app.wall.lobby.live = false,
        // The server is found again, and then the lobby is entered again.
        Some(Connection::ServerGone { .. }) => {
            app.wall.lobby.live = false;
            super::super::server::gone(app, effects);
            return true;
        }
        None => {}
    }
    false
}

fn is_own(app: &App, sender: &Sender) -> bool {
    sender.instance.as_deref() == Some(app.wall.lobby.instance.as_str())
}

/// Connected: what was said meanwhile was not heard, and what was to be said was not said.
fn entered(app: &mut App, settings: &Settings) -> bool {
    let now = app.now.monotonic_ms;
    let lobby = &mut app.wall.lobby;
    lobby.live = true;
    lobby.told = false;
    if settings.follow {
        lobby.ask_due = Some(now + lobby.within(ASK_SPREAD_MS));
        lobby.asks_left = 2;
    }
    if settings.announce {
        answer(app);
    }
    if app.is_kiosk() || app.notice.is_some() || std::mem::replace(&mut app.wall.lobby.greeted, true) {
        return false;
    }
    let what = match (settings.announce, settings.follow) {
        (true, true) => "your runs are announced, those of others are added",
        (true, false) => "your runs are announced",
        _ => "runs of others are added",
    };
    say(
        app,
        format!("In the lobby as {}: {what}", sanitise_line(&settings.name)),
    );
    true
}

fn left(app: &mut App) {
    let lobby = &mut app.wall.lobby;
    lobby.live = false;
    lobby.enter_due = Some(app.now.monotonic_ms + ENTER_AGAIN_MS);
}

/// Everything that is driven here and goes on is announced again, soon.
fn answer(app: &mut App) {
    let now = app.now.monotonic_ms;
    let driven: Vec<ChannelId> = app
        .channels
        .values()
        .filter(|channel| channel.wall.driven && super::is_alive(channel, app))
        .map(|channel| channel.id.clone())
        .take(MOST_ANNOUNCED)
        .collect();
    if driven.is_empty() {
        return;
    }
    let lobby = &mut app.wall.lobby;
    let earliest = lobby.answered_at.map_or(now, |at| now.max(at + ANSWER_PAUSE_MS));
    let due = earliest + lobby.within(ANSWER_SPREAD_MS);
    lobby.queue.extend(driven);
    lobby.announce_due = Some(lobby.announce_due.map_or(due, |before| before.min(due)));
}

/// A run was dispatched here.
pub(super) fn announce(app: &mut App, id: &ChannelId) {
    let now = app.now.monotonic_ms;
    let lobby = &mut app.wall.lobby;
    lobby.learn(id);
    if app.settings.wall.lobby.as_ref().is_some_and(|lobby| lobby.announce) && lobby.queue.len() < MOST_ANNOUNCED {
        lobby.queue.insert(id.clone());
        lobby.announce_due = Some(now);
    }
}

/// Somebody announced a run.
fn heard(app: &mut App, run: Announcement, effects: &mut Vec<Effect>) {
    let now = app.now.monotonic_ms;
    // Somebody is there: no need to ask again.
    if app.wall.lobby.asks_left == 1 {
        app.wall.lobby.asks_left = 0;
        app.wall.lobby.ask_due = None;
    }
    if is_lobby(app, &run.channel) || app.wall.lobby.known.contains(&run.channel) {
        return;
    }
    if app.channels.contains_key(&run.channel) {
        app.wall.lobby.learn(&run.channel);
        return;
    }
    let own_name = app.settings.wall.lobby.as_ref().map(|lobby| lobby.name.as_str());
    let name = match run.sender.name.as_deref() {
        Some(name) if own_name == Some(name) => "another terminal here".to_owned(),
        Some(name) => sanitise_line(name).into_owned(),
        None => "another terminal".to_owned(),
    };
    let room = super::kiosk::make_room(app, effects)
        && (app.is_kiosk() || count_added(app) < MOST_ADDED)
        && app.wall.lobby.allowance.take(now);
    let lobby = &mut app.wall.lobby;
    lobby.news_due.get_or_insert(now + NEWS_MS);
    if !room {
        // It is not remembered: a later announcement may find room.
        lobby.not_added += 1;
        return;
    }
    lobby.learn(&run.channel);
    match lobby.news.iter_mut().find(|(by, _)| *by == name) {
        Some((_, count)) => *count += 1,
        None => lobby.news.push((name.clone(), 1)),
    }
    super::add(app, &run.channel, run.title.as_deref(), Some(name), effects);
}

fn count_added(app: &App) -> usize {
    let added = app
        .channels
        .values()
        .filter(|channel| channel.wall.announced_by.is_some());
    added.count()
}

/// A publication was answered; `true`: it was one of the lobby's.
pub(super) fn published(app: &mut App, request: RequestId, result: &Result<(), String>) -> bool {
    let lobby = &mut app.wall.lobby;
    let Some(at) = lobby.requests.iter().position(|of| *of == request) else {
        return false;
    };
    lobby.requests.swap_remove(at);
    // What was not said is said when the lobby is entered again, or asked for.
    if let Err(reason) = result
        && !std::mem::replace(&mut app.wall.lobby.told, true)
    {
        let text = format!("The lobby does not take announcements: {reason}");
        complain(app, sanitise_line(&text).into_owned());
    }
    true
}

/// Time passed. `true`: something visible changed.
pub(super) fn tick(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    let now = app.now.monotonic_ms;
    let is_due = |due: Option<u64>| due.is_some_and(|due| now >= due);
    if is_due(app.wall.lobby.enter_due) {
        enter(app, effects);
    }
    if is_due(app.wall.lobby.announce_due) {
        announce_some(app, effects);
    }
    if is_due(app.wall.lobby.ask_due) {
        ask(app, effects);
    }
    if is_due(app.wall.lobby.news_due) {
        app.wall.lobby.news_due = None;
        return tell(app);
    }
    false
}

/// When the next tick is needed.
pub(super) fn next_due(app: &App) -> Option<u64> {
    let lobby = &app.wall.lobby;
    let due = [lobby.enter_due, lobby.announce_due, lobby.ask_due, lobby.news_due];
    due.into_iter().flatten().min()
}

fn ask(app: &mut App, effects: &mut Vec<Effect>) {
    let now = app.now;
    let lobby = &mut app.wall.lobby;
    lobby.asks_left = lobby.asks_left.saturating_sub(1);
    let again = now.monotonic_ms + ASK_AGAIN_MS + lobby.within(ASK_SPREAD_MS);
    lobby.ask_due = (lobby.asks_left > 0).then_some(again);
    let sender = sender(app);
    publish(
        app,
        &LobbyMessage::Ask {
            sender,
            at: now.unix_ms,
        },
        effects,
    );
}

fn announce_some(app: &mut App, effects: &mut Vec<Effect>) {
    let now = app.now.monotonic_ms;
    app.wall.lobby.announce_due = None;
    if !app.wall.lobby.live {
        // When it is, everything that goes on is announced.
        app.wall.lobby.queue.clear();
        return;
    }
    let count = app.wall.lobby.queue.len().min(ANNOUNCED_AT_ONCE);
    let some: Vec<ChannelId> = app.wall.lobby.queue.drain(..count).collect();
    let titles = app.settings.wall.lobby.as_ref().is_some_and(|lobby| lobby.titles);
    for id in some {
        let Some(channel) = app.channels.get(&id) else { continue };
        let counters = channel.transcript.counters();
        let message = LobbyMessage::Run(Announcement {
            channel: id,
            title: (titles && channel.titled).then(|| channel.title.clone()),
            started_at: Some(counters.started_at.unwrap_or(channel.added_at)),
            sender: sender(app),
        });
        app.wall.lobby.answered_at = Some(now);
        publish(app, &message, effects);
    }
    if !app.wall.lobby.queue.is_empty() {
        app.wall.lobby.announce_due = Some(now + 1_000);
    }
}

fn sender(app: &App) -> Sender {
    Sender {
        name: app.settings.wall.lobby.as_ref().map(|lobby| lobby.name.clone()),
        instance: Some(app.wall.lobby.instance.clone()),
    }
}

fn publish(app: &mut App, message: &LobbyMessage, effects: &mut Vec<Effect>) {
    let Some(settings) = &app.settings.wall.lobby else {
        return;
    };
    if !app.wall.lobby.live || app.server.state != ServerState::Ready {
        return;
    }
    let channel = settings.channel.clone();
    let request = next_request(app);
    if app.wall.lobby.requests.len() >= MOST_REQUESTS {
        app.wall.lobby.requests.swap_remove(0);
    }
    app.wall.lobby.requests.push(request);
    effects.push(Effect::Publish {
        request,
        channel,
        message: message.to_value(),
    });
}

/// Says what was added.
fn tell(app: &mut App) -> bool {
    let lobby = &mut app.wall.lobby;
    let (news, not_added) = (std::mem::take(&mut lobby.news), std::mem::take(&mut lobby.not_added));
    if app.is_kiosk() {
        return false;
    }
    let runs = |count: usize| {
        if count == 1 {
            "1 run".to_owned()
        } else {
            format!("{count} runs")
        }
    };
    let mut text = String::new();
    for (name, count) in news.iter().take(3) {
        text.push_str(if text.is_empty() { "Added " } else { ", " });
        text.push_str(&format!("{} from {name}", runs(*count)));
    }
    if news.len() > 3 {
        let rest = news.iter().skip(3).map(|(_, count)| count).sum();
        text.push_str(&format!(", {} from others", runs(rest)));
    }
    if not_added > 0 {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&format!("{} announced in the lobby, too many to add", runs(not_added)));
    }
    say(app, text);
    true
}
