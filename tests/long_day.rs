//! Eight simulated hours in one process: runs come, stream, wait, end and leave the list, the screen is drawn, and
//! the memory at the end is that of the second hour.

use std::alloc::System;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use switchboard::app::{self, Action, App, Effect, Msg, Now, SavedState, Settings};
use switchboard::transcript::{Connection, FeedBatch, Item};
use switchboard::ui::{Ui, UiOptions};
use switchboard::wire::{ChannelId, Event};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A run goes for so long, in seconds.
const RUN: u64 = 10 * 60;
/// Runs that stay in the list.
const KEPT: usize = 12;

struct Day {
    app: App,
    ui: Ui,
    terminal: Terminal<TestBackend>,
    second: u64,
    ids: u64,
    live: Vec<(ChannelId, u64, u64)>,
}

impl Day {
    fn now(&self) -> Now {
        Now {
            unix_ms: 1_700_000_000_000 + self.second * 1_000,
            monotonic_ms: 1_000 + self.second * 1_000,
        }
    }

    fn send(&mut self, msg: Msg) -> Vec<Effect> {
        let now = self.now();
        let effects = app::update(&mut self.app, msg, now);
        for effect in &effects {
            if let Effect::NeedIds(count) = effect {
                let ids = (0..*count).map(|_| self.fresh_id()).collect();
                app::update(&mut self.app, Msg::FreshIds(ids), now);
            }
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
        self.live.remove(0);
        if self.app.channels.len() > KEPT {
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
        self.send(Msg::Tick);
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

#[test]
fn eight_hours_take_the_memory_of_two() {
    let size = (120, 40);
    let mut day = Day {
        app: App::new(
            "local".to_owned(),
            Settings::default(),
            SavedState::default(),
            size,
            Now::default(),
        ),
        ui: Ui::new(UiOptions::default()),
        terminal: Terminal::new(TestBackend::new(size.0, size.1)).expect("a terminal"),
        second: 0,
        ids: 0,
        live: Vec::new(),
    };
    day.send(Msg::Start);
    let mut hours = Vec::new();
    for _ in 0..8 {
        for _ in 0..3_600 {
            day.second();
        }
        hours.push(in_use());
    }
    assert!(day.app.channels.len() <= KEPT + 2, "{}", day.app.channels.len());
    let screen = day.terminal.backend().to_string();
    assert!(screen.contains("live"), "{screen}");
    let most = hours[2..].iter().max().expect("hours");
    // A tenth is what a run more or less makes.
    assert!(*most < hours[1] + hours[1] / 10 + 64 * 1024, "{hours:?}");
}
