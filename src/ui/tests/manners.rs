//! The palette, keys from the configuration, and the themes.

use std::collections::HashMap;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

use super::{Play, several, waiting};
use crate::app::action::{Action, Key};
use crate::app::state::{Focus, Overlay};
use crate::app::{Effect, Keymap, Scroll};

fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

/// The palette over the list, narrowed by what is typed.
fn palette(size: (u16, u16), typed: &str) -> Play {
    let mut play = several(size);
    play.key(KeyCode::Tab);
    play.keys(":");
    play.keys(typed);
    play
}

#[test]
fn the_palette_finds_commands_by_a_few_letters() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut play = palette(size, "can");
        insta::assert_snapshot!(format!("palette_{}x{}", size.0, size.1), play.screen());
    }
    let mut play = palette((80, 24), "");
    insta::assert_snapshot!("palette_all_80x24", play.screen());
    play.keys("zzzz");
    assert!(play.screen().contains("nothing matches"), "{}", play.screen());
    play.key(KeyCode::Esc);
    assert_eq!((&play.app.overlay, play.app.focus), (&None, Focus::List));
}

#[test]
fn what_is_picked_is_done_where_the_palette_was_opened() {
    let mut play = palette((120, 40), "watch a channel");
    play.key(KeyCode::Enter);
    assert!(
        matches!(play.app.overlay, Some(Overlay::Ask(_))),
        "{:?}",
        play.app.overlay
    );
    let mut play = palette((120, 40), "quit");
    play.key(KeyCode::Enter);
    assert!(play.effects.contains(&Effect::Quit), "{:?}", play.effects);
    // What needs rows of the screen is worked out with them.
    let (mut play, id) = super::long((120, 40), 200);
    play.keys(":");
    play.keys("page up");
    play.key(KeyCode::Enter);
    assert_eq!(play.app.overlay, None);
    assert_ne!(play.app.channels[&id].scroll, Scroll::Tail);
    // From the compose box, where a colon is typed.
    let mut play = several((120, 40));
    play.keys("a:");
    assert_eq!(play.app.draft, "a:");
    play.event(Event::Key(KeyEvent::new(KeyCode::Char('x'), KeyModifiers::ALT)));
    play.keys("new line");
    play.key(KeyCode::Enter);
    assert_eq!(play.app.draft, "a:\n");
}

#[test]
fn a_command_of_another_place_says_where_it_belongs() {
    let mut play = palette((120, 40), "half a page up");
    play.key(KeyCode::Enter);
    let screen = play.screen();
    assert!(
        screen.contains("\"half a page up\" is for the transcript: Tab goes there"),
        "{screen}"
    );
}

#[test]
fn keys_of_the_configuration_hold_and_are_shown() {
    let mut play = waiting((120, 40));
    play.app.settings.keymap = Keymap::with(&HashMap::from([
        (Action::Answer, vec![key("F5")]),
        (Action::Help, vec![key("F1")]),
        (Action::Quit, Vec::new()),
    ]));
    let screen = play.screen();
    assert!(screen.contains("F5 answer") && screen.contains("F1 help"), "{screen}");
    play.keys("a?q");
    assert_eq!(play.app.overlay, None, "the old keys do nothing");
    play.key(KeyCode::F(1));
    let screen = play.screen();
    assert!(screen.contains("F5        answer a waiting call"), "{screen}");
    play.key(KeyCode::Esc);
    play.key(KeyCode::F(5));
    assert!(matches!(play.app.overlay, Some(Overlay::Inbox(_))));
}
