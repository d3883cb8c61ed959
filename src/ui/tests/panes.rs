//! Several transcripts side by side, as a person sees and drives them.

use super::*;

/// The channels of `several` and two more, in this layout; the pane in focus has the keys.
fn grid(size: (u16, u16), key: char) -> Play {
    let mut play = several(size);
    play.ids();
    for prompt in ["nightly report", "translate the manual", "compare the licences"] {
        let id = play.dispatch(prompt);
        play.feed(
            &id,
            &[
                user(prompt),
                begin(),
                token("First line of it.\n\n"),
                token("Second line of it."),
            ],
            Some(Connection::Live),
        );
    }
    play.key(KeyCode::Esc);
    play.ctrl('w');
    play.keys(&key.to_string());
    play
}

#[test]
fn layouts_of_panes() {
    for (name, key) in [("two", '2'), ("four", '4'), ("six", '6'), ("nine", '9')] {
        for size in [(120, 40), (200, 60)] {
            let mut play = grid(size, key);
            insta::assert_snapshot!(format!("panes_{name}_{}x{}", size.0, size.1), play.screen());
        }
    }
    insta::assert_snapshot!("panes_four_80x24", grid((80, 24), '4').screen());
    insta::assert_snapshot!("panes_three_120x40", grid((120, 40), '3').screen());
    let mut play = grid((120, 40), '4');
    play.ui = Ui::new(UiOptions {
        ascii: true,
        color: false,
        utc_offset_seconds: 0,
    });
    insta::assert_snapshot!("panes_four_ascii_120x40", play.screen());
}

#[test]
fn too_small_a_screen_shows_the_panes_that_fit() {
    let mut play = grid((200, 60), '9');
    play.event(Event::Key(KeyEvent::new(KeyCode::Char('9'), KeyModifiers::ALT)));
    let before = play.app.panes.layout.clone();
    play.send(Msg::Resize(60, 16));
    insta::assert_snapshot!("panes_nine_60x16", play.screen());
    play.send(Msg::Resize(40, 10));
    assert!(play.screen().contains("1 of 9 panes fit"), "{}", play.screen());
    play.send(Msg::Resize(200, 60));
    assert_eq!(play.app.panes.layout, before, "nothing is lost");
}

#[test]
fn the_prefix_shows_what_comes_next() {
    let mut play = grid((120, 40), '2');
    play.ctrl('w');
    insta::assert_snapshot!("panes_prefix_120x40", play.screen());
    play.keys("~");
    assert!(!play.app.panes.prefix, "a strange key leaves it");
    play.ctrl('w');
    play.key(KeyCode::Esc);
    assert!(!play.app.panes.prefix && play.app.focus == Focus::Transcript);
    let mut play = several((80, 24));
    play.key(KeyCode::Esc);
    play.ctrl('w');
    let screen = play.screen();
    let last = screen.lines().last().unwrap_or_default();
    assert!(last.contains("Ctrl-W then") && last.contains("Esc leave"), "{last}");
}

#[test]
fn free_splits_and_an_empty_pane() {
    let mut play = Play::new((120, 30));
    let id = play.dispatch("the only one");
    play.feed(
        &id,
        &[user("the only one"), begin(), token("Text.")],
        Some(Connection::Live),
    );
    play.key(KeyCode::Esc);
    play.ctrl('w');
    play.keys("v");
    play.ctrl('w');
    play.keys("s");
    play.ctrl('w');
    play.key(KeyCode::Left);
    insta::assert_snapshot!("panes_splits_120x30", play.screen());
    play.ctrl('w');
    play.keys("c");
    play.ctrl('w');
    play.keys("q");
    assert!(!play.app.panes.is_several());
}

#[test]
fn zoom_hides_the_rest_and_gives_it_back() {
    let mut play = grid((120, 40), '4');
    let before = play.screen();
    play.keys("z");
    insta::assert_snapshot!("panes_zoomed_120x40", play.screen());
    play.keys("z");
    assert_eq!(play.screen(), before);
}

#[test]
fn alt_and_a_number_go_to_a_pane_from_the_compose_box_too() {
    let mut play = grid((120, 40), '4');
    play.keys("chalf a prompt");
    let alt = |play: &mut Play, c: char| play.event(Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::ALT)));
    alt(&mut play, '3');
    assert_eq!((play.app.panes.focus, play.app.focus), (2, Focus::Compose));
    assert_eq!(play.app.draft, "half a prompt");
    alt(&mut play, '9');
    assert!(play.screen().contains("There are 4 panes"));
    play.ctrl('w');
    assert_eq!(play.app.draft, "half a ", "there it deletes a word");
}

#[test]
fn panes_scroll_apart_or_together() {
    let mut play = Play::new((120, 30));
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let id = play.dispatch(name);
        let text: String = (0..200).map(|n| format!("{name} line {n}\n\n")).collect();
        play.feed(&id, &[user(name), begin(), token(&text)], Some(Connection::Live));
        ids.push(id);
    }
    play.key(KeyCode::Esc);
    play.ctrl('w');
    play.keys("2");
    play.keys("kk");
    let at = |play: &Play, n: usize| play.app.channels[&ids[n]].scroll;
    assert_eq!(at(&play, 0), Scroll::Tail, "the other one stays");
    assert_ne!(at(&play, 1), Scroll::Tail);
    play.keys("G");
    play.ctrl('w');
    play.keys("b");
    play.key(KeyCode::PageUp);
    play.keys("k");
    let screen = play.screen();
    let line = |screen: &str, name: &str| {
        let found = screen
            .lines()
            .find_map(|row| row.split(&format!("{name} line ")).nth(1).map(str::to_owned));
        found.and_then(|rest| rest.split_whitespace().next().map(str::to_owned))
    };
    assert_eq!(line(&screen, "one"), line(&screen, "two"), "{screen}");
    assert_ne!(at(&play, 0), Scroll::Tail);
    play.keys("G");
    assert_eq!((at(&play, 0), at(&play, 1)), (Scroll::Tail, Scroll::Tail));
}

#[test]
fn nine_panes_keep_their_rows_from_frame_to_frame() {
    let mut play = grid((200, 60), '9');
    let _ = play.screen();
    assert_eq!(play.ui.caches.len(), 9);
    let before: Vec<ChannelId> = play.ui.caches.iter().map(|((id, _), _)| id.clone()).collect();
    let _ = play.screen();
    let after: Vec<ChannelId> = play.ui.caches.iter().map(|((id, _), _)| id.clone()).collect();
    assert_eq!(before, after);
    let seen: Vec<&ChannelId> = play.app.channels_in_view().collect();
    assert_eq!(seen.len(), 9, "the feeds hear of all of them");
}
