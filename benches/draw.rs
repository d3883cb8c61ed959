//! Drawing a transcript of 10, 1,000 and 100,000 rows, in one pane and in nine: the time of a frame is that of the rows
//! in view, whatever lies above them.

use divan::Bencher;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use switchboard::app::{self, Action, App, Msg, Now, SavedState, Settings};
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

fn feed(app: &mut App, channel: ChannelId, items: Vec<Item>) {
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

/// A screen of this size with so many panes, each on a transcript of so many rows.
fn filled(rows: usize, panes: u8, size: (u16, u16)) -> (App, Ui, Terminal<TestBackend>, Vec<ChannelId>) {
    let mut app = App::new(
        "local".to_owned(),
        Settings::default(),
        SavedState::default(),
        size,
        NOW,
    );
    let ids: Vec<ChannelId> = (1..=panes).map(|n| ChannelId::from_random([n; 18])).collect();
    app::update(&mut app, Msg::FreshIds(ids.clone()), NOW);
    for _ in &ids {
        app::update(&mut app, Msg::Submit("prompt".to_owned()), NOW);
    }
    for id in &ids {
        // A paragraph is two rows: its text and a blank one.
        for n in 0..rows / 2 {
            feed(
                &mut app,
                id.clone(),
                vec![token(&format!("paragraph {n} of the text\n\n"))],
            );
        }
    }
    if panes > 1 {
        app::update(&mut app, Msg::Action(Action::Layout9), NOW);
    }
    let mut ui = Ui::new(UiOptions::default());
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a terminal");
    terminal.draw(|frame| ui.draw(&app, frame)).expect("a frame");
    (app, ui, terminal, ids)
}

/// Numbers of rows; what is streamed above them is not laid out again.
const ROWS: [usize; 3] = [10, 1_000, 100_000];

/// A frame after one more token, at the end of the transcript.
#[divan::bench(args = ROWS)]
fn token_and_frame(bencher: Bencher, rows: usize) {
    let (mut app, mut ui, mut terminal, ids) = filled(rows, 1, (120, 40));
    bencher.bench_local(|| {
        feed(&mut app, ids[0].clone(), vec![token("word ")]);
        terminal.draw(|frame| ui.draw(&app, frame)).expect("a frame");
    });
}

/// A frame of an unchanged transcript.
#[divan::bench(args = ROWS)]
fn frame(bencher: Bencher, rows: usize) {
    let (app, mut ui, mut terminal, _) = filled(rows, 1, (120, 40));
    bencher.bench_local(|| terminal.draw(|frame| ui.draw(&app, frame)).map(drop));
}

/// The same on a large screen.
#[divan::bench(args = ROWS)]
fn one_pane_streams(bencher: Bencher, rows: usize) {
    let (mut app, mut ui, mut terminal, ids) = filled(rows, 1, (200, 60));
    bencher.bench_local(|| {
        feed(&mut app, ids[0].clone(), vec![token("word ")]);
        terminal.draw(|frame| ui.draw(&app, frame)).expect("a frame");
    });
}

/// A frame after one more token in each of nine panes.
#[divan::bench(args = ROWS)]
fn nine_panes_stream(bencher: Bencher, rows: usize) {
    let (mut app, mut ui, mut terminal, ids) = filled(rows, 9, (200, 60));
    bencher.bench_local(|| {
        for id in &ids {
            feed(&mut app, id.clone(), vec![token("word ")]);
        }
        terminal.draw(|frame| ui.draw(&app, frame)).expect("a frame");
    });
}

/// A token that the merged tail takes in, and its frame.
#[divan::bench]
fn merged_tail_streams(bencher: Bencher) {
    let (mut app, mut ui, mut terminal, ids) = filled(10, 9, (200, 60));
    app::update(&mut app, Msg::Action(Action::MergedTail), NOW);
    let lines: String = (0..2_000).map(|n| format!("line {n}\n")).collect();
    feed(&mut app, ids[0].clone(), vec![token(&lines)]);
    bencher.bench_local(|| {
        for id in &ids {
            feed(&mut app, id.clone(), vec![token("word ")]);
        }
        terminal.draw(|frame| ui.draw(&app, frame)).expect("a frame");
    });
}
