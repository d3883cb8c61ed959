//! The compose box: what Enter does, what waits, what goes along, what was pasted and what was sent before.

use super::*;
use crate::app::compose::attach::{File, Found};
use crate::app::compose::{Do, Preset};

pub(super) fn with_presets(size: (u16, u16)) -> Play {
    let mut play = Play::new(size);
    let preset = |name: &str, description: &str, model: &str| Preset {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        model: Some(model.to_owned()),
        ..Preset::default()
    };
    let settings = &mut play.app.settings.compose;
    settings.presets = vec![
        preset("review", "reads closely, answers briefly", "large"),
        preset("fast", "the small model", "qwen2.5:0.5b"),
    ];
    settings.default_preset = Some("review".to_owned());
    play
}

/// A thread that goes on still.
pub(super) fn live(size: (u16, u16)) -> (Play, ChannelId) {
    let mut play = with_presets(size);
    let id = play.dispatch("Which vector database runs on one machine, and what does it cost?");
    play.feed(
        &id,
        &[
            user("Which vector database runs on one machine, and what does it cost?"),
            begin(),
            token("Several do. "),
        ],
        Some(Connection::Live),
    );
    (play, id)
}

/// The rows from the box's title bar on.
fn bottom(play: &mut Play) -> String {
    let screen = play.screen();
    let rows: Vec<&str> = screen.lines().collect();
    let bar = rows.iter().rposition(|row| row.contains("preset:")).unwrap_or(0);
    rows[bar..].join("\n")
}

const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (120, 40)];

fn each(name: &str, make: impl Fn((u16, u16)) -> Play) {
    for size in SIZES {
        let mut play = make(size);
        let (width, height) = size;
        insta::assert_snapshot!(format!("compose_{name}_{width}x{height}"), bottom(&mut play));
    }
}

fn look(play: &mut Play, files: Vec<File>) {
    play.pass(1_000);
    let request = play.effects.iter().find_map(|effect| match effect {
        Effect::Compose(Do::Read { request, .. }) => Some(*request),
        _ => None,
    });
    let request = request.expect("the files are looked at");
    play.send(Msg::Compose(app::compose::Msg::Files { request, files }));
}

fn file(word: &str, found: Found) -> File {
    File {
        word: word.to_owned(),
        found,
    }
}

fn text(word: &str, bytes: u64) -> File {
    let path = word.to_owned();
    file(
        word,
        Found::Text {
            path,
            bytes,
            text: None,
        },
    )
}

#[test]
fn the_box_in_each_state() {
    each("new", |size| {
        let mut play = with_presets(size);
        play.keys("And which of them runs on one machine?");
        play
    });
    each("continues", |size| {
        let (mut play, id) = live(size);
        play.feed(&id, &[result()], Some(Connection::Ended));
        play.ctrl('t');
        play
    });
    each("queued", |size| {
        let (mut play, _) = live(size);
        play.ctrl('t');
        play.keys("And which of them runs on a phone, without the network, for a year?");
        play.key(KeyCode::Enter);
        play.keys("more");
        play
    });
    each("stuck", |size| {
        let (mut play, id) = live(size);
        play.ctrl('t');
        play.keys("one");
        play.key(KeyCode::Enter);
        play.keys("two");
        play.key(KeyCode::Enter);
        play.feed(
            &id,
            &[json!({"type": "error", "data": {"message": "upstream answered 429"}})],
            Some(Connection::Ended),
        );
        play
    });
    each("files", |size| {
        let mut play = with_presets(size);
        play.keys("compare @src/main.rs with @notes.md");
        look(&mut play, vec![text("src/main.rs", 2_000), text("notes.md", 1_174)]);
        play
    });
    each("files_missing", |size| {
        let mut play = with_presets(size);
        play.keys("compare @a @b @logo.png");
        let files = vec![
            text("a", 10),
            file("b", Found::Missing),
            file("logo.png", Found::Refused("is no text (UTF-8)".to_owned())),
        ];
        look(&mut play, files);
        play
    });
    each("pasted", |size| {
        let mut play = with_presets(size);
        play.keys("why does this fail? ");
        play.event(Event::Paste("error: it does\n".repeat(120)));
        play.keys(" and this?");
        play
    });
}

#[test]
fn presets_and_history_are_picked_from_a_list() {
    for size in [(80, 24), (120, 40)] {
        let mut play = with_presets(size);
        play.keys("kept");
        play.ctrl('p');
        insta::assert_snapshot!(format!("compose_presets_{}x{}", size.0, size.1), play.screen());
        play.keys("fa");
        play.key(KeyCode::Enter);
        assert!(bottom(&mut play).contains("preset: fast"), "{}", bottom(&mut play));
        assert_eq!(play.app.draft, "kept");
        for prompt in ["deploy 1.8.2 to staging", "summarise\nincident 4411", "kept"] {
            play.send(Msg::DraftChanged(prompt.to_owned()));
            play.send(Msg::Submit(prompt.to_owned()));
            play.pass(3_600_000);
        }
        play.ctrl('r');
        insta::assert_snapshot!(format!("compose_history_{}x{}", size.0, size.1), play.screen());
        play.keys("incid");
        play.key(KeyCode::Enter);
        assert_eq!(play.app.draft, "summarise\nincident 4411");
    }
}

#[test]
fn the_arrows_move_by_rows_and_go_on_to_the_history() {
    let mut play = Play::new((80, 24));
    play.dispatch("sent before");
    play.keys("one");
    play.ctrl('j');
    play.keys("two");
    play.key(KeyCode::Up);
    assert_eq!(play.app.draft, "one\ntwo", "there is a row above");
    play.key(KeyCode::Up);
    assert_eq!(play.app.draft, "sent before");
    play.key(KeyCode::Down);
    assert_eq!(play.app.draft, "one\ntwo", "what was typed comes back");
    play.keys("!");
    assert_eq!(play.app.draft, "one\ntwo!");
}

#[test]
fn a_pasted_text_is_one_unit_that_unfolds() {
    let mut play = Play::new((120, 40));
    let long = "a line of the log\n".repeat(30);
    play.keys("see ");
    play.event(Event::Paste(long.clone()));
    assert!(play.screen().contains("see [pasted 30 lines]"), "{}", play.screen());
    play.key(KeyCode::Backspace);
    assert_eq!(play.app.draft, "see ");
    play.event(Event::Paste(long.clone()));
    play.ctrl('o');
    assert_eq!(play.app.draft, format!("see {long}"));
    play.ctrl('o');
    assert!(play.screen().contains("No pasted text"), "{}", play.screen());
    // A megabyte stands for itself in a few columns, however often it is drawn.
    let mut play = Play::new((120, 40));
    play.event(Event::Paste("x".repeat(1024 * 1024)));
    assert!(play.app.draft.len() < 8);
    assert!(play.screen().contains("[pasted 1024 KB]"));
    assert!(bottom(&mut play).contains("~262,144 tokens"), "{}", bottom(&mut play));
    play.ctrl('o');
    assert!(play.screen().contains("too long to be shown here"), "{}", play.screen());
    play.key(KeyCode::Enter);
    let sent = play.effects.iter().find_map(|effect| match effect {
        Effect::Dispatch { body, .. } => Some(body.complete.messages[0].text.len()),
        _ => None,
    });
    assert_eq!(sent, Some(1024 * 1024));
    play.event(Event::Paste("x".repeat(5 * 1024 * 1024)));
    assert!(play.screen().contains("Not pasted: 5.0 MB"), "{}", play.screen());
}

#[test]
fn an_editor_gets_the_whole_draft_and_gives_it_back() {
    let mut play = Play::new((80, 24));
    let long = "line\n".repeat(40);
    play.event(Event::Paste(long.clone()));
    play.ctrl('g');
    let [Effect::Copying(app::copying::Do::Open(open))] = play.effects.as_slice() else {
        panic!("{:?}", play.effects)
    };
    assert_eq!(open.text, long);
    let returned = app::copying::Msg::Returned {
        then: open.then,
        result: Ok(Some(format!("look:\n{long}"))),
    };
    play.send(Msg::Copying(returned));
    assert!(play.screen().contains("[pasted 40 lines]"), "{}", play.screen());
    assert_eq!(play.app.draft.lines().next(), Some("look:"));
}

#[test]
fn queued_prompts_are_taken_back_and_dropped_by_key() {
    let (mut play, id) = live((120, 40));
    let alt = |code: KeyCode| Event::Key(KeyEvent::new(code, KeyModifiers::ALT));
    play.ctrl('t');
    for prompt in ["one", "two"] {
        play.keys(prompt);
        play.key(KeyCode::Enter);
    }
    assert_eq!(play.app.channels[&id].compose.queue.len(), 2);
    play.event(alt(KeyCode::Up));
    assert_eq!(play.app.draft, "two");
    play.event(alt(KeyCode::Delete));
    assert!(play.app.channels[&id].compose.queue.is_empty());
    assert!(play.screen().contains("was dropped"), "{}", play.screen());
    assert_eq!(play.app.draft, "two");
}

#[test]
fn a_thread_is_one_row_with_its_earlier_runs_above() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let (mut play, id) = live(size);
        play.feed(
            &id,
            &[
                json!({"type": "message", "data": {"type": "bot", "text": "Several do. **None** of them costs anything."}}),
                result(),
            ],
            Some(Connection::Ended),
        );
        play.ctrl('t');
        play.keys("And on a phone?");
        play.key(KeyCode::Enter);
        assert_eq!(play.app.channels.len(), 1);
        let next = play.app.selected.clone().expect("selected");
        play.feed(
            &next,
            &[user("And on a phone?"), begin(), token("One of them")],
            Some(Connection::Live),
        );
        insta::assert_snapshot!(format!("compose_thread_{}x{}", size.0, size.1), play.screen());
    }
}
