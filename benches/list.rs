//! A list of 10 and of 500 channels: drawing it, and taking in a batch of one of them, cost the same.

use divan::Bencher;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use switchboard::app::state::SavedChannel;
use switchboard::app::{self, Action, App, Msg, Now, SavedState, Settings};
use switchboard::transcript::{FeedBatch, Item};
use switchboard::ui::{Ui, UiOptions};
use switchboard::wire::{ChannelId, Event};

fn main() {
    divan::main();
}

/// The time after so many batches of 5,000 a second.
fn after(batches: u64) -> Now {
    Now {
        unix_ms: 1_700_000_000_000 + batches / 5,
        monotonic_ms: batches / 5,
    }
}

fn id(n: usize) -> ChannelId {
    let mut bytes = [7; 18];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    ChannelId::from_random(bytes)
}

fn feed(app: &mut App, n: usize, now: Now) {
    let channel = id(n);
    let generation = app.channels[&channel].generation;
    let items = vec![Item::Event {
        id: None,
        at: Some(now.unix_ms),
        event: Event::token("word "),
        raw: Vec::new().into(),
    }];
    let batch = FeedBatch {
        items,
        connection: None,
    };
    app::update(
        app,
        Msg::Feed {
            channel,
            generation,
            batch,
        },
        now,
    );
}

/// So many channels that stream, sorted by activity.
fn streaming(count: usize) -> App {
    let channels = (0..count)
        .map(|n| SavedChannel::new(id(n), format!("run {n}"), 0))
        .collect();
    let saved = SavedState {
        channels,
        ..SavedState::default()
    };
    let mut app = App::new("local".to_owned(), Settings::default(), saved, (120, 40), after(0));
    app::update(&mut app, Msg::Start, after(0));
    app::update(&mut app, Msg::Action(Action::CycleSort), after(0));
    app::update(&mut app, Msg::Action(Action::CycleSort), after(0));
    for n in 0..count {
        feed(&mut app, n, after(1));
    }
    app
}

/// One more batch, each of another channel.
#[divan::bench(args = [10, 500])]
fn batch(bencher: Bencher, channels: usize) {
    let mut app = streaming(channels);
    let mut batches = 1_000_u64;
    bencher.bench_local(|| {
        batches += 1;
        feed(&mut app, batches as usize % channels, after(batches));
    });
}

/// A frame of the list beside a transcript.
#[divan::bench(args = [10, 500])]
fn frame(bencher: Bencher, channels: usize) {
    let app = streaming(channels);
    let mut ui = Ui::new(UiOptions::default());
    let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("a terminal");
    bencher.bench_local(|| terminal.draw(|frame| ui.draw(&app, frame)).map(drop));
}
