//! Several transcripts side by side, as a person sees and drives them.

use super::*;

/// The channels of `several` and two more, in this layout; the pane in focus has the keys.
pub(super) fn grid(size: (u16, u16), key: char) -> Play {
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

fn screens(name: &str, make: fn((u16, u16)) -> Play) {
    for size in [(80, 24), (120, 40), (200, 60)] {
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), make(size).screen());
    }
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
        links: true,
        color: false,
        utc_offset_seconds: 0,
        ..UiOptions::default()
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

/// Three channels that write in turns, with the merged tail open.
pub(super) fn tail(size: (u16, u16)) -> Play {
    let mut play = Play::new(size);
    let ids: Vec<ChannelId> = ["research: vector databases", "deploy check", "nightly report"]
        .into_iter()
        .map(|prompt| {
            let id = play.dispatch(prompt);
            play.feed(&id, &[user(prompt), begin()], Some(Connection::Live));
            id
        })
        .collect();
    play.key(KeyCode::Esc);
    play.keys("M");
    for n in 0..40 {
        play.pass(250);
        let id = &ids[n % 2];
        play.feed(
            id,
            &[
                token(&format!("**line {n}** of the text, ")),
                token("which ends here\n"),
            ],
            None,
        );
    }
    play.feed(&ids[0], &[reasoning("Now I think about it")], None);
    let expires = play.now.unix_ms + 60_000;
    play.feed(&ids[1], &[wait("wait-8f3c0123456789abcdef", expires)], None);
    play.feed(&ids[2], &[result()], Some(Connection::Ended));
    play.feed(&ids[0], &[token("A line that is not comp")], None);
    play
}

#[test]
fn the_merged_tail_shows_the_lines_of_all_channels() {
    screens("panes_tail", tail);
    let mut play = tail((120, 30));
    assert!(!play.screen().contains("not comp"), "it may be complete soon");
    let due = play.app.next_tick().expect("a wake-up for the partial line");
    assert!(due <= play.now.monotonic_ms + 700, "{due}");
    play.pass(700);
    assert!(play.screen().contains("not comp"), "its text has paused");
}

#[test]
fn the_merged_tail_scrolls_back_and_opens_a_channel() {
    let mut play = tail((120, 30));
    play.keys("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
    insta::assert_snapshot!("panes_tail_back_120x30", play.screen());
    let before = play.screen();
    let (id, _) = play
        .app
        .channels
        .get_index(2)
        .map(|(id, _)| (id.clone(), ()))
        .expect("a channel");
    play.feed(&id, &[token("\nmore\nand more\n")], None);
    let row = |screen: &str| screen.lines().nth(4).map(str::to_owned);
    assert_eq!(row(&play.screen()), row(&before), "what is read stays where it is");
    play.key(KeyCode::PageUp);
    play.keys("g");
    assert!(play.screen().lines().nth(2).is_some_and(|row| row.contains("▌")));
    play.keys("G");
    assert!(play.screen().contains("follows"));
    play.keys("k");
    play.key(KeyCode::Enter);
    assert_eq!((play.app.overlay.clone(), play.app.focus), (None, Focus::Transcript));
    play.ctrl('w');
    play.keys("m");
    assert_eq!(play.app.overlay, Some(Overlay::Tail));
    play.keys("q");
    assert_eq!(play.app.overlay, None);
}

#[test]
fn the_merged_tail_is_bounded_and_costs_nothing_before_it_is_opened() {
    let mut play = Play::new((120, 30));
    let id = play.dispatch("one");
    play.feed(&id, &[user("one"), begin(), token("a\nb\nc\n")], Some(Connection::Live));
    assert!(play.app.panes.tail.is_none());
    play.key(KeyCode::Esc);
    play.keys("M");
    let many: String = (0..5_000).map(|n| format!("line {n}\n")).collect();
    play.feed(&id, &[token(&many)], None);
    assert_eq!(play.app.tail_lines().count(), app::panes::tail::MOST_LINES);
    let long = "日本語 ".repeat(2_000);
    play.feed(&id, &[token(&long)], None);
    let _ = play.screen();
    assert_eq!(play.app.tail_lines().count(), app::panes::tail::MOST_LINES);
}

/// Three contestants; the second is done, the first runs, the third has not begun.
pub(super) fn race(size: (u16, u16)) -> Play {
    let mut play = Play::new(size);
    play.key(KeyCode::Esc);
    play.keys("R");
    play.ctrl('u');
    play.keys("qwen2.5:1.5b, llama3.2:1b, phi4-mini");
    play.key(KeyCode::Enter);
    play.keys("Which sorting algorithm is the best?");
    play.key(KeyCode::Enter);
    let ids: Vec<ChannelId> = play
        .app
        .panes
        .layout
        .channels()
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    for (n, id) in ids.iter().enumerate() {
        play.feed(
            id,
            &[user("Which sorting algorithm is the best?")],
            Some(Connection::Live),
        );
        if n == 2 {
            continue;
        }
        play.pass(400);
        play.feed(id, &[begin(), token("It "), token("depends")], None);
    }
    for _ in 0..40 {
        play.pass(50);
        for id in &ids[..2] {
            play.feed(id, &[token(" on it,")], None);
        }
    }
    play.feed(&ids[1], &[result()], Some(Connection::Ended));
    play.pass(1_000);
    for _ in 0..20 {
        play.pass(25);
        play.feed(&ids[0], &[token(" and so on")], None);
    }
    play
}

#[test]
fn a_race_sends_one_prompt_to_several_and_shows_who_is_ahead() {
    screens("panes_race", race);
    let mut play = race((160, 40));
    let ids: Vec<ChannelId> = play
        .app
        .panes
        .layout
        .channels()
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    play.feed(&ids[0], &[result()], Some(Connection::Ended));
    let screen = play.screen();
    assert!(screen.contains("1st") && screen.contains("2nd"), "{screen}");
    let saved = play.app.saved_state();
    let again = App::new("local".to_owned(), Settings::default(), saved, (160, 40), play.now);
    assert_eq!(again.panes.layout, play.app.panes.layout);
    assert_eq!(
        again.channels[&ids[1]]
            .panes
            .race
            .as_ref()
            .map(|lane| lane.name.as_str()),
        Some("llama3.2:1b")
    );
}

#[test]
fn a_race_takes_the_draft_and_names_the_models() {
    let mut play = Play::new((120, 40));
    play.keys("the draft");
    play.key(KeyCode::Esc);
    play.keys("R");
    play.ctrl('u');
    play.keys("only one");
    play.key(KeyCode::Enter);
    insta::assert_snapshot!("panes_race_asks_120x40", play.screen());
    play.keys(", two");
    play.key(KeyCode::Enter);
    let sent: Vec<(Option<String>, String)> = play
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Dispatch { body, .. } => {
                Some((body.complete.model.clone(), body.complete.messages[0].text.clone()))
            }
            _ => None,
        })
        .collect();
    let draft = "the draft".to_owned();
    assert_eq!(
        sent,
        [
            (Some("two".to_owned()), draft.clone()),
            (Some("only one".to_owned()), draft)
        ]
    );
    assert_eq!(
        (play.app.draft.as_str(), play.app.panes.layout.words()),
        ("", "grid 2x1".to_owned())
    );
    let titles: Vec<&str> = play
        .app
        .channels
        .values()
        .map(|channel| channel.title.as_str())
        .collect();
    assert_eq!(titles, ["only one: the draft", "two: the draft"]);
}

#[test]
fn a_race_waits_for_channel_ids() {
    let mut play = Play::new((120, 40));
    play.key(KeyCode::Esc);
    play.keys("R");
    play.ctrl('u');
    play.keys("a, b, c, d, e, f, g, h, i");
    play.key(KeyCode::Enter);
    play.keys("go");
    play.key(KeyCode::Enter);
    assert!(
        matches!(
            play.effects.as_slice(),
            [
                Effect::Compose(crate::app::compose::Do::Remember(_)),
                Effect::NeedIds(9)
            ]
        ),
        "remembered, and eight are in stock: {:?}",
        play.effects
    );
    play.ids();
    let sent = play
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Dispatch { .. }))
        .count();
    assert_eq!((sent, play.app.panes.layout.count()), (9, 9));
}
