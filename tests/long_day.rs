//! Eight simulated hours in one process: runs come, stream, wait, end and leave the list, the screen is drawn, and
//! the memory at the end is that of the second hour. Once with one transcript, once with everything that people leave
//! open: nine panes, the merged tail, filters, a search, groups, raw events, recordings that play; and once as a
//! dashboard on a wall.

use std::alloc::System;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use switchboard::app::recordings::Msg as RecordingsMsg;
use switchboard::app::{self, Action, App, Effect, Msg, Now, SavedState, Settings, wall};
use switchboard::record::{self, Head, Recording, Writer};
use switchboard::transcript::{Connection, FeedBatch, Item};
use switchboard::ui::{Ui, UiOptions};
use switchboard::wire::request::{RunStatus, RunSummary};
use switchboard::wire::{ChannelId, Event};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A run goes for so long, in seconds.
const RUN: u64 = 10 * 60;
/// Runs that stay in the list.
const KEPT: usize = 12;
/// Simulated hours.
const HOURS: usize = 8;
const SIZE: (u16, u16) = (120, 40);

struct Day {
    app: App,
    ui: Ui,
    terminal: Terminal<TestBackend>,
    second: u64,
    ids: u64,
    live: Vec<(ChannelId, u64, u64)>,
    /// What the server says that it runs: a dashboard watches these by itself.
    runs: Vec<RunSummary>,
}

impl Day {
    fn now(&self) -> Now {
        Now {
            unix_ms: 1_700_000_000_000 + self.second * 1_000,
            monotonic_ms: 1_000 + self.second * 1_000,
        }
    }

    /// Sends a message, answers what it asks for, and gives all that it wants done.
    fn send(&mut self, msg: Msg) -> Vec<Effect> {
        let now = self.now();
        let mut effects = app::update(&mut self.app, msg, now);
        let mut at = 0;
        while at < effects.len() {
            let answer = match &effects[at] {
                Effect::NeedIds(count) => {
                    let count = *count;
                    Some(Msg::FreshIds((0..count).map(|_| self.fresh_id()).collect()))
                }
                Effect::ListRuns { request } => Some(Msg::Runs {
                    request: *request,
                    runs: Some(self.runs.clone()),
                }),
                _ => None,
            };
            if let Some(answer) = answer {
                effects.extend(app::update(&mut self.app, answer, now));
            }
            at += 1;
        }
        effects
    }

    fn fresh_id(&mut self) -> ChannelId {
        self.ids += 1;
        let mut bytes = [0; 18];
        bytes[..8].copy_from_slice(&self.ids.to_le_bytes());
        ChannelId::from_random(bytes)
    }

    fn feed(&mut self, run: usize, events: &[Value], connection: Option<Connection>) {
        let (channel, generation, next) = self.live[run].clone();
        let at = self.now().unix_ms;
        let items = events
            .iter()
            .zip(next..)
            .map(|(event, id)| {
                let raw = json!({"type": "message", "id": id, "createdAt": at, "data": event}).to_string();
                Item::Event {
                    id: Some(id),
                    at: Some(at),
                    event: Event::from_json(&event.to_string()).expect("an event"),
                    raw: raw.into(),
                }
            })
            .collect();
        self.live[run].2 += events.len() as u64;
        self.send(Msg::Feed {
            channel,
            generation,
            batch: FeedBatch { items, connection },
        });
    }

    fn begin(&mut self) {
        if self.app.is_kiosk() {
            let run = json!({"channelId": self.fresh_id().to_string(), "title": format!("run of second {}", self.second),
                "status": "running", "model": "m", "createdAt": self.now().unix_ms});
            self.runs.insert(0, serde_json::from_value(run).expect("a run"));
            self.runs.truncate(KEPT);
            return;
        }
        let effects = self.send(Msg::Submit(format!("What happened in second {}?", self.second)));
        let watched = effects.iter().find_map(|effect| match effect {
            Effect::Watch {
                channel, generation, ..
            } => Some((channel.clone(), *generation, 0)),
            _ => None,
        });
        let watched = watched.expect("a run is watched");
        for effect in effects {
            if let Effect::Dispatch { request, channel, .. } = effect {
                let answered = channel.clone();
                self.send(Msg::Dispatched {
                    request,
                    channel,
                    result: Ok(answered),
                });
            }
        }
        self.watched(watched);
    }

    /// A run is watched: its first events come.
    fn watched(&mut self, watched: (ChannelId, u64, u64)) {
        self.live.push(watched);
        let run = self.live.len() - 1;
        let prompt = json!({"type": "message", "data": {"type": "user", "text": "What happened?"}});
        let begin = json!({"type": "completeBegin", "data": {"iteration": 0}});
        self.feed(run, &[prompt, begin], Some(Connection::Live));
    }

    fn end(&mut self) {
        let end = json!({"type": "completeEnd", "data": {}});
        let result = json!({"type": "result", "data": {"end": {"reason": "stop"}, "usage": {"token": 9}}});
        self.feed(0, &[end, result], Some(Connection::Ended));
        let (ended, ..) = self.live.remove(0);
        let at = self.now().unix_ms;
        for run in self.runs.iter_mut().filter(|run| run.channel_id == ended) {
            run.status = RunStatus::Ended;
            run.ended_at = Some(at);
        }
        if self.app.channels.len() > KEPT && !self.app.is_kiosk() {
            let oldest = self.app.channels.len() - 1;
            self.send(Msg::SelectIndex(oldest));
            self.send(Msg::Action(Action::StopWatching));
            self.send(Msg::SelectIndex(0));
        }
    }

    fn second(&mut self) {
        self.second += 1;
        if self.second.is_multiple_of(RUN / 2) {
            if self.live.len() > 1 {
                self.end();
            }
            self.begin();
        }
        for run in 0..self.live.len() {
            let words = ["a **word** ", "of it ", "\n\n", "- an item\n", "`code` "];
            let word = words[(self.second as usize + run) % words.len()];
            let token = json!({"type": "token", "data": {"token": word}});
            self.feed(run, &[token.clone(), token], None);
        }
        for effect in self.send(Msg::Tick) {
            if let Effect::Watch {
                channel, generation, ..
            } = effect
            {
                self.watched((channel, generation, 0));
            }
        }
        if self.second.is_multiple_of(20) {
            let (ui, app) = (&mut self.ui, &self.app);
            self.terminal.draw(|frame| ui.draw(app, frame)).expect("drawn");
        }
    }
}

fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

fn start(settings: Settings) -> Day {
    let mut day = Day {
        app: App::new(
            "local".to_owned(),
            settings,
            SavedState::default(),
            SIZE,
            Now::default(),
        ),
        ui: Ui::new(UiOptions::default()),
        terminal: Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).expect("a terminal"),
        second: 0,
        ids: 0,
        live: Vec::new(),
        runs: Vec::new(),
    };
    day.send(Msg::Start);
    let info = json!({"version": "0.1.0", "model": "m", "demo": false,
        "retention": {"seconds": 3600, "events": 10000}});
    let info = serde_json::from_value(info).expect("server info");
    day.send(Msg::Server(Ok(Box::new(info))));
    day
}

/// Plays the hours, with something done in each second besides, and asserts that memory does not grow.
fn play(mut day: Day, mut besides: impl FnMut(&mut Day)) -> Day {
    let mut hours = Vec::with_capacity(HOURS);
    for _ in 0..HOURS {
        for _ in 0..3_600 {
            day.second();
            besides(&mut day);
        }
        hours.push(in_use());
    }
    assert!(day.app.channels.len() <= KEPT + 4, "{}", day.app.channels.len());
    let most = hours[2..].iter().max().expect("hours");
    // A tenth is what a run more or less makes.
    assert!(*most < hours[1] + hours[1] / 10 + 64 * 1024, "{hours:?}");
    day
}

/// A recording of five minutes.
fn recording() -> Arc<Recording> {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("run.jsonl");
    let mut writer = Writer::open(&path, &Head::new("nightly report", "local", 1)).expect("made");
    let items: Vec<Item> = (0..300)
        .map(|id| {
            let at = 1_600_000_000_000 + id * 1_000;
            let event = json!({"type": "token", "data": {"token": "a **word** of it "}});
            let raw = json!({"type": "message", "id": id, "createdAt": at, "data": event}).to_string();
            Item::Event {
                id: Some(id),
                at: Some(at),
                event: Event::from_json(&event.to_string()).expect("an event"),
                raw: raw.into(),
            }
        })
        .collect();
    writer.append(&items, 1).expect("written");
    Arc::new(record::read(&path).expect("read"))
}

/// What a person does in the course of a day, a thing each ten seconds, over and over.
fn busy(day: &mut Day, recording: &Arc<Recording>) {
    if !day.second.is_multiple_of(10) {
        return;
    }
    let action = |day: &mut Day, action: Action| drop(day.send(Msg::Action(action)));
    let answer = |day: &mut Day, text: &str| drop(day.send(Msg::DialogueSubmit(text.to_owned())));
    match day.second / 10 % 24 {
        0 => action(day, Action::Layout9),
        1 => action(day, Action::NextPane),
        2 => {
            action(day, Action::FilterList);
            answer(day, "happened");
        }
        3 => action(day, Action::ClearFilter),
        4 => action(day, Action::CycleSort),
        5 => action(day, Action::GroupList),
        6 => action(day, Action::CycleLines),
        7 => action(day, Action::Peek),
        8 => {
            action(day, Action::Search);
            answer(day, "word");
        }
        9 => action(day, Action::PreviousMatch),
        10 => action(day, Action::Back),
        11 => action(day, Action::RawEvents),
        12 => action(day, Action::RawEvents),
        13 => action(day, Action::Detail),
        14 => action(day, Action::Times),
        15 => action(day, Action::Zoom),
        16 => action(day, Action::Zoom),
        17 => {
            // One is played at a time: the one before is taken off the list.
            let replay = day
                .app
                .channels
                .values()
                .position(|channel| channel.recordings.playback.is_some());
            let opened = RecordingsMsg::Opened(Ok(Arc::clone(recording)));
            if let Some(index) = replay {
                day.send(Msg::SelectIndex(index));
                action(day, Action::StopWatching);
            }
            day.send(Msg::Recordings(opened));
        }
        18 => action(day, Action::Faster),
        19 => action(day, Action::SeekBack),
        20 => action(day, Action::Layout4),
        // The merged tail is open the rest of the time.
        21 => action(day, Action::MergedTail),
        _ if day.app.overlay.is_none() => action(day, Action::MergedTail),
        23 => action(day, Action::TailClose),
        _ => {}
    }
}

/// The tests measure the memory of the process, so there is one of them.
#[test]
fn eight_hours_take_the_memory_of_two() {
    let day = play(start(Settings::default()), |_| ());
    let screen = day.terminal.backend().to_string();
    assert!(screen.contains("live"), "{screen}");
    drop(day);

    let recording = recording();
    let mut most_lines = 0;
    let mut played = 0;
    let day = play(start(Settings::default()), |day| {
        busy(day, &recording);
        most_lines = most_lines.max(day.app.tail_lines().count());
        played += usize::from(day.app.channels.values().any(|channel| {
            let playback = channel.recordings.playback.as_ref();
            playback.is_some_and(|playback| playback.position() > 0)
        }));
    });
    assert!(
        most_lines > 50 && played > 3_600,
        "{most_lines} lines, played {played} s"
    );
    drop(day);

    let wall = wall::Settings {
        kiosk: Some(wall::kiosk::Settings {
            tiles: None,
            rotate_ms: 15_000,
            only: Vec::new(),
            linger_ms: 600_000,
            linger_failed_ms: 3_600_000,
            most: KEPT,
            refresh_ms: 30_000,
        }),
        lobby: None,
        seed: 1,
    };
    let day = play(
        start(Settings {
            wall,
            ..Settings::default()
        }),
        |_| (),
    );
    let screen = day.terminal.backend().to_string();
    assert!(screen.contains("live") && !screen.contains("sort:"), "{screen}");
}
