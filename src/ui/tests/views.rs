//! Every view at every size: what has no picture elsewhere, a file a view, the sizes below each other.

use ratatui::style::{Color, Modifier};

use super::*;
use crate::app::look::Background;

/// Large, usual, small, narrow (a half of a split terminal), and the smallest that can be drawn on.
const SIZES: [(u16, u16); 5] = [(200, 60), (120, 40), (80, 24), (60, 30), (40, 10)];
/// The sizes that views with pictures of the three usual sizes elsewhere still need.
const SMALL: [(u16, u16); 2] = [(60, 30), (40, 10)];

/// The pictures of a view at these sizes.
fn view(name: &str, sizes: &[(u16, u16)], make: impl Fn((u16, u16)) -> Play) {
    let mut pictures = String::new();
    for size in sizes {
        let terminal = make(*size).draw();
        let buffer = terminal.backend().buffer();
        pictures.push_str(&format!("-- {} x {}\n", size.0, size.1));
        for y in 0..buffer.area.height {
            let mut row = String::new();
            let mut hidden = 0;
            for x in 0..buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                // A wide character hides the cell behind it.
                if hidden > 0 {
                    hidden -= 1;
                    continue;
                }
                hidden = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
                row.push_str(symbol);
            }
            pictures.push_str(row.trim_end());
            pictures.push('\n');
        }
    }
    insta::assert_snapshot!(name, pictures);
}

/// The program with the list in focus and this typed.
fn in_list(size: (u16, u16), keys: &str) -> Play {
    let mut play = list::listed(size);
    play.keys(keys);
    play.pass(10_000);
    play
}

#[test]
fn the_list() {
    view("list", &SMALL, |size| in_list(size, ""));
    view("list_two_lines", &SMALL, |size| in_list(size, "."));
    view("list_three_lines", &SMALL, |size| in_list(size, ".."));
    view("list_groups", &SMALL, |size| in_list(size, "sb"));
    view("list_filtering", &SMALL, |size| in_list(size, "/state:d"));
    view("list_filter_hides_all", &SIZES, |size| {
        let mut play = in_list(size, "/nothing like this");
        play.key(KeyCode::Enter);
        play
    });
    view("list_peek", &SMALL, |size| {
        let mut play = list::listed(size);
        play.keys("jj ");
        play
    });
    view("list_rename", &SIZES, |size| {
        let mut play = list::listed(size);
        play.keys("r and more");
        play
    });
    view("list_many", &[(200, 60), (120, 40), (60, 30), (40, 10)], |size| {
        list::many(size, 80)
    });
}

#[test]
fn panes_and_what_lies_over_them() {
    for (name, key) in [("two", '2'), ("four", '4'), ("six", '6'), ("nine", '9')] {
        view(&format!("panes_{name}"), &[(80, 24), (60, 30), (40, 10)], |size| {
            panes::grid(size, key)
        });
    }
    view("panes_zoom", &[(200, 60), (80, 24), (60, 30), (40, 10)], |size| {
        let mut play = panes::grid(size, '4');
        play.keys("z");
        play
    });
    view("panes_tail", &SMALL, panes::tail);
    view("panes_race", &SMALL, panes::race);
}

#[test]
fn the_transcript() {
    for (name, keys) in [("full", ""), ("summary", "d"), ("answers", "dd"), ("raw", "g}v")] {
        view(&format!("transcript_{name}"), &SIZES, |size| {
            let (mut play, _) = reading::every_kind(size);
            play.keys(keys);
            play.pass(10_000);
            play
        });
    }
    view("transcript_search", &SIZES, |size| {
        let (mut play, _) = reading::every_kind(size);
        play.keys("/recall");
        play.key(KeyCode::Enter);
        play.keys("n");
        play
    });
    view("transcript_searching", &SIZES, |size| {
        let (mut play, _) = reading::every_kind(size);
        play.keys("/recall");
        play
    });
    view("transcript_selection", &SIZES, |size| {
        let (mut play, _) = copying::answered(size);
        play.keys("Vkk");
        play
    });
    view("transcript_away", &[(200, 60), (120, 40), (60, 30), (40, 10)], |size| {
        let (mut play, id) = long(size, 500);
        play.key(KeyCode::PageUp);
        play.feed(&id, &[token("more\n\nand more\n\n")], None);
        play
    });
    view("transcript_waiting", &SMALL, waiting);
    view("transcript_streaming", &SMALL, several);
    for (name, index) in [("reconnecting", 3), ("done", 4), ("failed", 5)] {
        view(&format!("transcript_{name}"), &SIZES, |size| {
            let mut play = several(size);
            play.send(Msg::SelectIndex(index));
            play.key(KeyCode::Esc);
            play.send(Msg::Action(Action::Open));
            play
        });
    }
}

#[test]
fn composing() {
    view("compose_new", &SIZES, |size| {
        let mut play = compose::with_presets(size);
        play.keys("And which of them runs on one machine?");
        play
    });
    view("compose_queued", &SIZES, |size| {
        let (mut play, _) = compose::live(size);
        play.ctrl('t');
        play.keys("And which of them runs on a phone, without the network?");
        play.key(KeyCode::Enter);
        play.keys("more");
        play
    });
    view("compose_tall", &SIZES, |size| {
        let (mut play, _) = compose::live(size);
        for n in 0..14 {
            play.keys(&format!("line {n} of it"));
            play.ctrl('j');
        }
        play
    });
    view("compose_thread", &SMALL, |size| {
        let (mut play, id) = compose::live(size);
        play.feed(&id, &[token("None costs anything."), result()], Some(Connection::Ended));
        play.ctrl('t');
        play.keys("And on a phone?");
        play.key(KeyCode::Enter);
        let next = play.app.selected.clone().expect("selected");
        play.feed(
            &next,
            &[user("And on a phone?"), begin(), token("One of them")],
            Some(Connection::Live),
        );
        play
    });
}

#[test]
fn lists_to_pick_from() {
    view("pick_palette", &SMALL, |size| manners::palette(size, "co"));
    view("pick_presets", &[(200, 60), (60, 30), (40, 10)], |size| {
        let mut play = compose::with_presets(size);
        play.ctrl('p');
        play
    });
    view("pick_history", &[(200, 60), (60, 30), (40, 10)], |size| {
        let mut play = compose::with_presets(size);
        for prompt in ["deploy 1.8.2 to staging", "summarise\nincident 4411", "kept"] {
            play.send(Msg::DraftChanged(prompt.to_owned()));
            play.send(Msg::Submit(prompt.to_owned()));
            play.pass(3_600_000);
        }
        play.ctrl('r');
        play
    });
    for (name, key) in [("copy", "y"), ("export", "e")] {
        view(&format!("pick_{name}"), &SMALL, |size| {
            let (mut play, _) = copying::answered(size);
            play.keys(key);
            play
        });
    }
    view("pick_recordings", &SIZES, playing::listed);
    view("pick_runs", &SMALL, list::found_runs);
}

#[test]
fn calls_that_wait() {
    view("inbox", &SMALL, calls::inbox);
    view("inbox_form", &SMALL, |size| {
        let mut play = calls::inbox(size);
        play.keys("j ");
        play.key(KeyCode::Tab);
        play.keys(" ");
        play
    });
    view("inbox_empty", &SIZES, |size| {
        let mut play = Play::new(size);
        play.key(KeyCode::Esc);
        play.keys("I");
        play
    });
    view("answer_json", &[(60, 30)], |size| {
        let mut play = waiting(size);
        play.keys("ae");
        play.keys("{\"approved\": tru}");
        play.key(KeyCode::Enter);
        play
    });
}

#[test]
fn recordings_and_the_wall() {
    view("playback", &SIZES, playing::playing);
    view("kiosk", &SMALL, |size| kiosk::busy(size, None));
}

#[test]
fn help_and_dialogues() {
    view("help", &SMALL, |size| {
        let mut play = Play::new(size);
        play.key(KeyCode::Tab);
        play.keys("?");
        play
    });
    view("dialogue_watch_error", &SMALL, |size| {
        let mut play = list::listed(size);
        play.keys("wtoo short");
        play.key(KeyCode::Enter);
        play
    });
    view("dialogue_confirm", &[(200, 60), (120, 40), (60, 30)], |size| {
        let mut play = list::listed(size);
        play.keys("X");
        play
    });
    view("dialogue_race", &[(200, 60), (80, 24), (60, 30), (40, 10)], |size| {
        let mut play = Play::new(size);
        play.key(KeyCode::Esc);
        play.keys("R");
        play
    });
}

#[test]
fn nothing_there_and_no_server() {
    view("empty", &SMALL, Play::new);
    view("outage", &SIZES, |size| {
        let mut play = several(size);
        play.key(KeyCode::Esc);
        play.send(Msg::Server(Err(Outage {
            reason: "the local server did not start: no such file".to_owned(),
            refused: false,
            retry_ms: 9_000,
        })));
        play.pass(1_000);
        play
    });
    view("outage_empty", &SIZES, |size| {
        let mut play = Play::new(size);
        play.send(Msg::Server(Err(Outage {
            reason: "the local server did not start: no such file".to_owned(),
            refused: false,
            retry_ms: 9_000,
        })));
        play
    });
    view("too_small", &[(39, 10), (40, 9), (20, 4), (5, 2)], several);
}

#[test]
fn without_colours_and_without_glyphs() {
    for (name, ascii, color) in [
        ("no_color", false, false),
        ("ascii", true, true),
        ("ascii_no_color", true, false),
    ] {
        let mut play = waiting((120, 40));
        play.app.settings.look.background = Some(Background::Dark);
        play.ui = Ui::new(UiOptions {
            ascii,
            color,
            ..UiOptions::default()
        });
        insta::assert_snapshot!(format!("style_{name}"), manners::styles(&mut play));
        let terminal = play.draw();
        for cell in &terminal.backend().buffer().content {
            let bare = (cell.fg, cell.bg) == (Color::Reset, Color::Reset);
            assert!(color || bare, "{name}: {cell:?}");
            assert!(!ascii || cell.symbol().is_ascii(), "{name}: {cell:?}");
        }
        let marks = terminal.backend().buffer().content.iter();
        let reversed = marks.filter(|cell| cell.modifier.contains(Modifier::REVERSED)).count();
        assert!(color || reversed > 0, "{name}: something stands out without colours");
    }
}
