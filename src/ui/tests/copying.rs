//! Taking text out: what can be picked, what selections hold, exports, the mouse.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::style::Modifier;

use super::*;
use crate::app::copying::{self, Do, Program, Then, Written};
use crate::transcript::export::Form;

const ANSWER: &str = "## Short answer\n\nHNSW keeps recall above 0.97 for a catalogue of ten million rows, and it \
                      needs more memory than the others do, which matters on one machine.\n\n- **first** item\n- second \
                      item, which is a little longer than the screen is wide, so that it goes on below\n\n> quoted \
                      words\n\n```rust\nfn main() {\n    println!(\"hi\");\n}\n```\n\nThat is all.";

/// An answer with everything in it, in the transcript.
pub(super) fn answered(size: (u16, u16)) -> (Play, ChannelId) {
    let mut play = Play::new(size);
    let id = play.dispatch("Compare three databases");
    play.feed(
        &id,
        &[user("Compare three databases"), begin(), token(ANSWER)],
        Some(Connection::Live),
    );
    play.feed(&id, &[result()], Some(Connection::Ended));
    play.key(KeyCode::Tab);
    play.key(KeyCode::Tab);
    (play, id)
}

fn screens(name: &str, make: fn((u16, u16)) -> Play) {
    for size in [(80, 24), (120, 40), (200, 60)] {
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), make(size).screen());
    }
}

fn copied(play: &Play) -> String {
    match play.effects.as_slice() {
        [Effect::Copy(text)] => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_can_be_copied_is_listed() {
    screens("copy", |size| {
        let (mut play, _) = answered(size);
        play.keys("y");
        play
    });
    let (mut play, id) = answered((80, 24));
    play.keys("y");
    play.key(KeyCode::Enter);
    assert_eq!(copied(&play), ANSWER, "the part that is looked at comes first");
    for (typed, text) in [
        ("rust", "fn main() {\n    println!(\"hi\");\n}".to_owned()),
        ("channel id", id.to_string()),
    ] {
        play.keys("y");
        play.keys(typed);
        play.key(KeyCode::Enter);
        assert_eq!(copied(&play), text);
        play.send(Msg::Copied(Ok("by the terminal".to_owned())));
    }
    play.keys("y");
    play.keys("markdown");
    play.key(KeyCode::Enter);
    let text = copied(&play);
    assert!(text.starts_with("# Compare three databases\n\n## You,"), "{text}");
    // A part that was marked comes first.
    play.keys("gy");
    play.key(KeyCode::Enter);
    assert_eq!(copied(&play), "Compare three databases");
}

#[test]
fn in_the_list_y_copies_the_id() {
    let (mut play, id) = answered((120, 40));
    play.app.focus = Focus::List;
    play.keys("y");
    assert_eq!(copied(&play), id.to_string());
}

/// The text of the cells that are drawn in reverse, a line a row.
fn reversed(play: &mut Play) -> String {
    let terminal = play.draw();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..buffer.area.height.saturating_sub(4) {
        let row: String = (0..buffer.area.width)
            .filter(|x| buffer[(*x, y)].modifier.contains(Modifier::REVERSED))
            .map(|x| buffer[(x, y)].symbol())
            .collect();
        if !row.is_empty() {
            text.push_str(row.trim_end());
            text.push('\n');
        }
    }
    text
}

#[test]
fn rows_are_selected_and_copied_as_they_stand_in_the_content() {
    let (mut play, _) = answered((60, 40));
    play.keys("gV");
    play.keys("G");
    assert_eq!(play.app.copying.selection.as_ref().map(|it| it.whole_rows), Some(true));
    insta::assert_snapshot!("selection_reversed", reversed(&mut play));
    play.keys("y");
    insta::assert_snapshot!("selection_text", copied(&play));
    assert_eq!(play.app.copying.selection, None);
}

#[test]
fn characters_and_words_are_selected_too() {
    let (mut play, _) = answered((80, 40));
    // To the paragraph.
    play.keys("gV");
    while !reversed(&mut play).contains("HNSW") {
        play.keys("j");
    }
    play.key(KeyCode::Esc);
    assert_eq!(play.app.copying.selection, None);
    play.keys("V");
    while !reversed(&mut play).contains("HNSW") {
        play.keys("j");
    }
    let selection = play.app.copying.selection.clone().expect("it is on");
    let mut start = selection.clone();
    start.anchor = selection.cursor;
    play.send(Msg::Copying(copying::Msg::Select(Some(start))));
    play.keys("w");
    assert_eq!(reversed(&mut play), "HNSW k\n");
    play.keys("ll");
    assert_eq!(reversed(&mut play), "HNSW kee\n");
    play.keys("bh");
    assert_eq!(reversed(&mut play), "HNSW\n");
    play.key(KeyCode::Enter);
    assert_eq!(copied(&play), "HNSW");
}

#[test]
fn a_selection_stays_on_its_text_while_more_comes_and_the_width_changes() {
    let (mut play, id) = long((80, 24), 60);
    play.keys("V");
    play.keys("jj");
    let before = reversed(&mut play);
    assert_eq!(before.lines().count(), 3, "{before}");
    for _ in 0..40 {
        play.feed(&id, &[token("more of it\n\n")], None);
    }
    assert_eq!(reversed(&mut play), before);
    play.send(Msg::Resize(60, 30));
    let _ = play.screen();
    assert_eq!(reversed(&mut play), before);
    play.keys("y");
    assert_eq!(copied(&play), before.trim_end());
    assert_eq!(play.app.channels[&id].scroll, Scroll::Tail, "it follows again");
}

#[test]
fn an_export_asks_for_its_form_its_path_and_before_it_overwrites() {
    screens("export", |size| {
        let (mut play, _) = answered(size);
        play.keys("e");
        play
    });
    let (mut play, id) = answered((80, 24));
    play.keys("e");
    play.key(KeyCode::Enter);
    insta::assert_snapshot!("export_path_80x24", play.screen());
    play.key(KeyCode::Enter);
    let [
        Effect::Copying(Do::Write {
            export,
            text,
            overwrite,
        }),
    ] = play.effects.as_slice()
    else {
        panic!("{:?}", play.effects)
    };
    assert_eq!((export.form, &export.channel, *overwrite), (Form::Markdown, &id, false));
    assert_eq!(export.path, "compare-three-databases-20231115-1402.md");
    assert!(text.contains("println!"), "{text}");
    let export = export.clone();
    play.send(Msg::Copying(copying::Msg::Written(Written::Exists(export.clone()))));
    insta::assert_snapshot!("export_overwrite_80x24", play.screen());
    play.keys("y");
    assert!(
        matches!(
            play.effects.as_slice(),
            [Effect::Copying(Do::Write { overwrite: true, .. })]
        ),
        "{:?}",
        play.effects
    );
    play.send(Msg::Copying(copying::Msg::Written(Written::Failed {
        export,
        reason: "there is no directory /no".to_owned(),
    })));
    assert!(play.screen().contains("Not exported: there is no directory /no"));
    play.key(KeyCode::Esc);
    play.send(Msg::Copying(copying::Msg::Written(Written::Done {
        path: "/tmp/run.md".into(),
        bytes: 12,
    })));
    assert!(play.screen().contains("Exported to /tmp/run.md (12 bytes)"));
}

#[test]
fn the_pager_and_the_editor_get_the_whole_transcript() {
    let (mut play, id) = answered((80, 24));
    play.feed(&id, &[], None);
    for (key, program, name) in [
        ("o", Program::Pager, "transcript.txt"),
        ("O", Program::Editor, "transcript.md"),
    ] {
        play.keys(key);
        let [Effect::Copying(Do::Open(open))] = play.effects.as_slice() else {
            panic!("{:?}", play.effects)
        };
        assert_eq!((open.program, open.name, open.then), (program, name, Then::Nothing));
        assert!(open.text.contains("println!"), "{}", open.text);
    }
    let returned = |then, result| Msg::Copying(copying::Msg::Returned { then, result });
    play.send(returned(Then::Nothing, Err("less was not found".to_owned())));
    assert!(play.screen().contains("less was not found"));
    play.send(returned(Then::Draft, Ok(Some("edited\ntext".to_owned()))));
    assert_eq!(play.app.draft, "edited\ntext");
    assert!(play.screen().contains("edited"));
}

impl Play {
    fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        self.event(Event::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        }));
    }

    fn click(&mut self, column: u16, row: u16) {
        self.mouse(MouseEventKind::Down(MouseButton::Left), column, row);
        self.mouse(MouseEventKind::Up(MouseButton::Left), column, row);
    }
}

/// The row of the screen that shows a text, and its column.
fn find(play: &mut Play, text: &str) -> (u16, u16) {
    let terminal = play.draw();
    let buffer = terminal.backend().buffer();
    for y in 0..buffer.area.height {
        let row: Vec<&str> = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        if let Some(at) = row.concat().find(text) {
            let columns = row.concat()[..at].chars().count();
            return (u16::try_from(columns).expect("a column"), y);
        }
    }
    panic!("no {text:?} in\n{}", play.screen());
}

#[test]
fn the_mouse_is_off_until_it_is_taken_and_says_how_to_get_around_it() {
    let mut play = several((120, 40));
    play.key(KeyCode::Tab);
    let (x, y) = find(&mut play, "deploy check");
    play.click(x, y);
    assert_eq!(
        play.app.selected_channel().map(|channel| channel.title.as_str()),
        Some("research: vector databases")
    );
    play.keys("m");
    assert!(play.app.copying.mouse);
    play.pass(20_000);
    insta::assert_snapshot!("mouse_120x40", play.screen());
    play.click(x, y);
    assert_eq!(
        play.app.selected_channel().map(|channel| channel.title.as_str()),
        Some("deploy check")
    );
    play.keys("m");
    assert!(!play.app.copying.mouse);
}

#[test]
fn clicks_focus_fold_and_place_the_cursor_and_the_wheel_scrolls() {
    let (mut play, id) = long((120, 40), 200);
    play.feed(
        &id,
        &[
            json!({"type": "completeBegin", "data": {}}),
            reasoning("hm, let me see"),
            token("so"),
        ],
        None,
    );
    play.app.copying.mouse = true;
    let top = play.row(2);
    play.mouse(MouseEventKind::ScrollUp, 60, 10);
    assert_ne!(play.row(2), top);
    play.mouse(MouseEventKind::ScrollDown, 60, 10);
    assert_eq!(play.app.channels[&id].scroll, Scroll::Tail);
    let (x, y) = find(&mut play, "> thought");
    play.click(x, y);
    assert!(play.screen().contains("hm, let me see"), "{}", play.screen());
    play.click(3, 3);
    assert_eq!(play.app.focus, Focus::List);
    play.send(Msg::Action(Action::Compose));
    play.event(Event::Paste("one two\nthree".to_owned()));
    play.send(Msg::Action(Action::LeaveCompose));
    let (x, y) = find(&mut play, "two");
    play.click(x, y);
    assert_eq!(play.app.focus, Focus::Compose);
    play.keys("X");
    assert_eq!(play.app.draft, "one Xtwo\nthree");
}

#[test]
fn dragging_selects_and_copies_on_release_where_that_is_wanted() {
    let (mut play, _) = answered((100, 40));
    play.app.copying.mouse = true;
    let (x, y) = find(&mut play, "recall above");
    play.mouse(MouseEventKind::Down(MouseButton::Left), x, y);
    play.mouse(MouseEventKind::Drag(MouseButton::Left), x + 11, y);
    play.mouse(MouseEventKind::Up(MouseButton::Left), x + 11, y);
    assert_eq!(reversed(&mut play), "recall above\n");
    assert!(play.effects.is_empty(), "{:?}", play.effects);
    play.keys("y");
    assert_eq!(copied(&play), "recall above");
    play.app.settings.copying.copy_on_select = true;
    play.mouse(MouseEventKind::Down(MouseButton::Left), x, y);
    play.mouse(MouseEventKind::Drag(MouseButton::Left), x + 5, y);
    play.mouse(MouseEventKind::Up(MouseButton::Left), x + 5, y);
    assert_eq!(copied(&play), "recall");
    assert_eq!(play.app.copying.selection, None);
    // Dragging over the edge goes on into what is not in view.
    let (mut play, id) = long((80, 24), 200);
    play.app.copying.mouse = true;
    play.mouse(MouseEventKind::Down(MouseButton::Left), 5, 10);
    for _ in 0..30 {
        play.mouse(MouseEventKind::Drag(MouseButton::Left), 5, 1);
    }
    play.keys("y");
    let lines = copied(&play).lines().filter(|line| !line.is_empty()).count();
    assert!(lines > 10, "{lines} of {id:?}");
}
