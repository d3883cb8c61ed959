//! What is always to be seen: the keys of a dialogue, the way out, the id that was copied, what numbers count.

use super::*;

/// The rows of the screen, from the top.
fn lines(play: &mut Play) -> Vec<String> {
    let terminal = play.draw();
    let buffer = terminal.backend().buffer();
    let (width, height) = (buffer.area.width, buffer.area.height);
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(row).collect()
}

fn last(play: &mut Play) -> String {
    lines(play).pop().expect("a row")
}

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

#[test]
fn no_news_hide_the_keys_of_a_dialogue() {
    for size in SIZES {
        let mut play = several(size);
        play.key(KeyCode::Tab);
        play.keys("X");
        for news in ["Answer published", "a long piece of bad news ".repeat(20).as_str()] {
            play.send(Msg::Warning(news.to_owned()));
            let shown = last(&mut play);
            assert!(shown.contains("y yes") && shown.contains("n no"), "{size:?}: {shown}");
        }
        let mut play = waiting(size);
        play.send(Msg::Warning("bad news".to_owned()));
        play.pass(2_000);
        play.keys("ae");
        assert!(last(&mut play).contains("Enter publish   Esc leave") || last(&mut play).contains("Ctrl-J newline"));
        play.send(Msg::Warning("worse news".to_owned()));
        let shown = last(&mut play);
        assert!(
            shown.contains("Enter publish") && shown.contains("Esc leave"),
            "{size:?}: {shown}"
        );
    }
}

#[test]
fn a_dialogue_comes_with_its_keys_right_after_news() {
    let mut play = several((80, 24));
    play.key(KeyCode::Tab);
    play.send(Msg::Published {
        request: RequestId(99),
        result: Ok(()),
    });
    assert!(last(&mut play).contains("Answer published"));
    play.keys("X");
    assert!(
        !play.screen().contains("Answer published"),
        "the next action takes it away"
    );
    assert!(last(&mut play).contains("y yes"));
}

#[test]
fn the_way_out_is_always_shown() {
    for size in SIZES {
        for make in [several, waiting] {
            let mut play = make(size);
            if play.app.focus == Focus::Compose {
                let shown = last(&mut play);
                assert!(
                    shown.contains("Enter send") && shown.contains("Esc back"),
                    "{size:?}: {shown}"
                );
                play.key(KeyCode::Tab);
            }
            for _ in 0..2 {
                let shown = last(&mut play);
                assert!(
                    shown.contains("? help") && shown.contains("q quit"),
                    "{size:?}: {shown}"
                );
                play.app.focus = Focus::List;
            }
        }
    }
}

#[test]
fn keys_are_named_only_where_they_work() {
    let mut play = Play::new((80, 24));
    assert!(!play.screen().contains("or w "), "w would type a w");
    play.key(KeyCode::Esc);
    assert!(
        play.screen()
            .contains("Press c to write a prompt, or w to watch a channel id.")
    );
    let (mut play, id) = long((80, 24), 300);
    play.key(KeyCode::PageUp);
    play.feed(&id, &[token("more\n\n")], None);
    assert!(play.screen().contains("2 new: G follows"));
    play.keys("c");
    assert!(play.screen().contains("2 new ") && !play.screen().contains("G follows"));
}

#[test]
fn the_channel_id_is_shown_when_it_is_copied() {
    for size in SIZES {
        let mut play = several(size);
        play.key(KeyCode::Tab);
        let id = play.app.selected.clone().expect("a channel").to_string();
        assert!(!play.screen().contains(&id), "nowhere unasked: it is a secret");
        play.keys("y");
        assert_eq!(play.effects, [Effect::Copy(id.clone())]);
        play.send(Msg::Copied(Ok("by the terminal, if it allows that".to_owned())));
        assert!(
            lines(&mut play).iter().any(|row| row.contains(&id)),
            "whole on one row at {size:?}"
        );
        play.pass(20_000);
        assert!(play.screen().contains(&id), "long enough to select it");
        play.keys("j");
        assert!(!play.screen().contains(&id));
    }
}

#[test]
fn the_answer_is_copied_as_it_was_written() {
    let mut play = several((120, 40));
    play.send(Msg::SelectIndex(4));
    play.key(KeyCode::Tab);
    play.keys("Y");
    assert_eq!(play.effects, [Effect::Copy("Fixed things.".to_owned())]);
    play.send(Msg::Copied(Err("no clipboard".to_owned())));
    assert!(
        play.screen()
            .contains("Not copied, no clipboard: the answer, 13 characters")
    );
    play.send(Msg::SelectIndex(1));
    play.keys("Y");
    assert!(play.effects.is_empty());
    assert!(play.screen().contains("There is no answer to copy yet"));
}

#[test]
fn a_cancelled_run_is_counted_by_its_own_word() {
    let mut play = Play::new((120, 40));
    let id = play.dispatch("one");
    let end = json!({"type": "result", "data": {"text": "", "usage": {"token": 0}, "end": {"reason": "abort"}}});
    play.feed(&id, &[user("one"), begin(), end], Some(Connection::Ended));
    let header = lines(&mut play)[0].clone();
    assert!(header.contains("1 cancelled") && !header.contains("done"), "{header}");
    assert!(lines(&mut play)[2].contains("cancelled"));
}

#[test]
fn the_counts_never_push_the_names_out() {
    for size in SIZES {
        let mut play = several(size);
        let header = lines(&mut play)[0].clone();
        assert!(header.contains("switchboard  lo"), "{size:?}: {header}");
    }
}

#[test]
fn a_refused_secret_is_no_server_that_cannot_be_reached() {
    let mut play = Play::new((120, 40));
    play.send(Msg::Server(Err(Outage {
        reason: "the secret belongs to no account; check the secret of this server".to_owned(),
        refused: true,
        retry_ms: 4_000,
    })));
    let screen = play.screen();
    assert!(screen.contains("refused since 14:02") && screen.contains("local refuses since 14:02: the secret"));
    assert!(!screen.contains("reach"), "{screen}");
    play.dispatch("one");
    play.send(Msg::Server(Err(Outage {
        reason: "local answered with an error: the secret of the `Authorization` header belongs to no account \
                 (NOT_AUTHENTICATED); check the secret of this server"
            .to_owned(),
        refused: true,
        retry_ms: 4_000,
    })));
    for width in [80, 120] {
        play.app.size = (width, 24);
        let screen = lines(&mut play).join(" ");
        let screen = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(screen.contains("x refused since 14:02: local answered"), "{screen}");
        assert!(screen.contains("check the secret of this server"), "whole: {screen}");
        assert!(last(&mut play).contains("Esc back"), "{screen}");
    }
}

#[test]
fn nobody_approves_a_call_unseen() {
    for size in SIZES {
        let mut play = waiting(size);
        play.keys("ae");
        let screen = play.screen();
        assert!(screen.contains("prod"), "the arguments at {size:?}: {screen}");
        if size.1 > 10 {
            assert!(screen.contains("from the run: deploy check"), "{screen}");
        }
        // A long answer does not take the row either.
        play.event(Event::Paste("\n".repeat(12)));
        assert!(play.screen().contains("approve_deploy"), "{size:?}");
    }
    let mut play = waiting((40, 10));
    play.keys("ae");
    insta::assert_snapshot!("answer_40x10", play.screen());
    let mut play = several((40, 10));
    play.key(KeyCode::Tab);
    play.keys("X");
    insta::assert_snapshot!("confirm_40x10", play.screen());
}

#[test]
fn what_was_wrong_is_forgotten_with_the_text_and_tab_types_nothing() {
    let mut play = waiting((120, 40));
    play.keys("ae");
    play.keys("nonsense");
    play.key(KeyCode::Enter);
    assert!(play.screen().contains("Not published: this is not JSON"));
    play.ctrl('c');
    assert!(!play.screen().contains("Not published"));
    play.key(KeyCode::Tab);
    assert!(matches!(&play.app.overlay, Some(Overlay::Answer(answer)) if answer.input.is_empty()));
}

#[test]
fn the_end_says_how_its_number_comes_about() {
    let mut play = several((120, 40));
    play.send(Msg::SelectIndex(4));
    assert!(play.screen().contains("1,516 tokens in all (1,204 in, 312 out)"));
    let id = play.dispatch("no usage");
    play.feed(
        &id,
        &[user("no usage"), begin(), token("a"), result()],
        Some(Connection::Ended),
    );
    let screen = play.screen();
    assert!(
        screen.contains("1,516 tokens in all ") && !screen.contains(" in, "),
        "{screen}"
    );
    let id = play.dispatch("no count");
    let bare = serde_json::json!({"type": "result", "data": {}});
    play.feed(&id, &[user("no count"), token("a"), bare], Some(Connection::Ended));
    let screen = play.screen();
    assert!(
        screen.contains("+ ended: the server gives no reason") && !screen.contains("in all"),
        "{screen}"
    );
}

#[test]
fn ascii_means_the_screen_is_ascii() {
    let mut play = Play::new((120, 40));
    play.ui = Ui::new(UiOptions {
        ascii: true,
        links: true,
        ..UiOptions::default()
    });
    let id = play.dispatch("esc \u{1b}[31m bell \u{7} bidi \u{202e}");
    let text = "- item `x`\n- \u{1b}]0;t\u{7}\u{7f}\n\n> quote\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n";
    play.feed(
        &id,
        &[user("esc \u{1b}[31m bell \u{7}"), begin(), token(text)],
        Some(Connection::Live),
    );
    let screen: String = lines(&mut play).concat();
    assert!(
        screen.is_ascii(),
        "{:?}",
        screen.chars().filter(|c| !c.is_ascii()).collect::<String>()
    );
    assert!(screen.contains("^[]0;t^G^?"), "{screen}");
}

#[test]
fn a_wide_screen_gives_the_list_more_and_the_text_no_more_than_is_read_well() {
    for (width, list) in [(100, 33), (120, 40), (159, 40), (160, 40), (200, 50), (300, 56)] {
        let mut play = several((width, 40));
        let bar = lines(&mut play)[1].clone();
        assert_eq!(bar.chars().position(|c| c == '┬'), Some(list), "{width}");
        let most = lines(&mut play)[2..30]
            .iter()
            .filter_map(|row| row.split_once('│').map(|(_, text)| text.trim_end().chars().count()))
            .max();
        assert!(most <= Some(122), "{width}: {most:?}");
    }
}

#[test]
fn previews_show_words_without_marks() {
    let mut play = Play::new((120, 40));
    let id = play.dispatch("one");
    play.feed(
        &id,
        &[user("one"), begin(), token("- **bold** `code`\n")],
        Some(Connection::Live),
    );
    play.send(Msg::Action(Action::CycleLines));
    assert!(lines(&mut play)[3].contains("bold code"), "{}", lines(&mut play)[3]);
}

#[test]
fn a_help_that_was_scrolled_fills_a_screen_that_grew() {
    let mut play = Play::new((80, 12));
    play.send(Msg::Action(Action::LeaveCompose));
    play.keys("?");
    play.screen();
    for _ in 0..40 {
        play.keys("j");
    }
    assert!(!play.screen().contains("general") || play.ui.help_scroll > 0);
    play.send(Msg::Resize(200, 100));
    let grown = play.screen();
    let fresh = {
        let mut play = Play::new((200, 100));
        play.send(Msg::Action(Action::LeaveCompose));
        play.keys("?");
        play.screen()
    };
    assert_eq!(grown, fresh);
}

#[test]
fn a_question_is_answered_with_caps_lock_on_too() {
    for (answer, cancels) in [("Y", true), ("N", false)] {
        let mut play = Play::new((80, 24));
        let id = play.dispatch("one prompt");
        play.feed(&id, &[token("a")], Some(Connection::Live));
        play.send(Msg::Action(Action::CancelRun));
        play.keys(answer);
        assert_eq!(play.app.overlay, None);
        assert_eq!(play.effects.contains(&Effect::CancelRun { channel: id }), cancels);
    }
}
