//! Drawing a transcript of 1,000 and of 100,000 rows, at the end and in the middle: it takes the same time.

use divan::Bencher;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use switchboard::app::{self, App, Msg, Now, SavedState, Settings};
use switchboard::transcript::{FeedBatch, Item};
use switchboard::ui::{Ui, UiOptions};
use switchboard::wire::{ChannelId, Event};

fn main() {
    divan::main();
}

const NOW: Now = Now {
    unix_ms: 1_700_000_000_000,
    monotonic_ms: 0,
};

fn token(text: &str) -> Item {
    Item::Event {
        id: None,
        at: None,
        event: Event::token(text),
        raw: Vec::new().into(),
    }
}

fn feed(app: &mut App, items: Vec<Item>) {
    let Some(channel) = app.selected.clone() else { return };
    let generation = app.channels[&channel].generation;
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
        NOW,
    );
}

fn filled(rows: usize) -> (App, Ui, Terminal<TestBackend>) {
    let mut app = App::new(
        "local".to_owned(),
        Settings::default(),
        SavedState::default(),
        (120, 40),
        NOW,
    );
    app::update(&mut app, Msg::FreshIds(vec![ChannelId::from_random([1; 18])]), NOW);
    app::update(&mut app, Msg::Submit("prompt".to_owned()), NOW);
    // A paragraph is two rows: its text and a blank one.
    for n in 0..rows / 2 {
        feed(&mut app, vec![token(&format!("paragraph {n} of the text\n\n"))]);
    }
    let mut ui = Ui::new(UiOptions::default());
    let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("a terminal");
    terminal.draw(|frame| ui.draw(&app, frame)).expect("a frame");
    (app, ui, terminal)
}

/// A frame after one more token, at the end of the transcript.
#[divan::bench(args = [1_000, 100_000])]
fn token_and_frame(bencher: Bencher, rows: usize) {
    let (mut app, mut ui, mut terminal) = filled(rows);
    bencher.bench_local(|| {
        feed(&mut app, vec![token("word ")]);
        terminal.draw(|frame| ui.draw(&app, frame)).expect("a frame");
    });
}

/// A frame of an unchanged transcript.
#[divan::bench(args = [1_000, 100_000])]
fn frame(bencher: Bencher, rows: usize) {
    let (app, mut ui, mut terminal) = filled(rows);
    bencher.bench_local(|| terminal.draw(|frame| ui.draw(&app, frame)).map(drop));
}
