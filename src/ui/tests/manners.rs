//! The palette, keys from the configuration, and the themes.

use std::collections::HashMap;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

use ratatui::style::{Color, Modifier};

use super::{Play, Ui, UiOptions, several, waiting};
use crate::app::action::{Action, Key};
use crate::app::look::{self, Background};
use crate::app::picker::Purpose;
use crate::app::state::{AskFor, Focus, Overlay};
use crate::app::{Effect, Keymap, Msg, Scroll};
use crate::ui::ColorDepth;

fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

/// The palette over the list, narrowed by what is typed.
pub(super) fn palette(size: (u16, u16), typed: &str) -> Play {
    let mut play = several(size);
    play.key(KeyCode::Tab);
    play.keys(":");
    play.keys(typed);
    play
}

#[test]
fn the_palette_finds_commands_by_a_few_letters() {
    // A table that grows is no change of how it looks.
    let shown = [
        "help",
        "compose",
        "watch",
        "quit",
        "stop_watching",
        "cancel_run",
        "select_next",
        "fold",
        "page_up",
    ];
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut play = palette(size, "");
        let Some(Overlay::Pick(picker)) = &mut play.app.overlay else {
            panic!("{:?}", play.app.overlay)
        };
        picker
            .entries
            .retain(|entry| shown.contains(&entry.value.as_str()) || entry.value.starts_with("theme:"));
        picker.narrow(String::new());
        insta::assert_snapshot!(format!("palette_{}x{}", size.0, size.1), play.screen());
    }
    let mut play = palette((80, 24), "can the run");
    assert!(play.screen().contains("▌  cancel the run"), "{}", play.screen());
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
fn a_command_of_another_place_is_carried_out_there() {
    let mut play = palette((120, 40), "copy a part");
    assert_eq!(play.app.focus, Focus::List);
    play.key(KeyCode::Enter);
    assert_eq!(play.app.focus, Focus::Transcript);
    assert!(matches!(&play.app.overlay, Some(Overlay::Pick(picker)) if picker.purpose == Purpose::Copy));
    // From the compose box, where the newcomer is.
    let mut play = waiting((120, 40));
    play.keys("c");
    play.event(Event::Key(KeyEvent::new(KeyCode::Char('x'), KeyModifiers::ALT)));
    play.keys("answer a waiting");
    play.key(KeyCode::Enter);
    assert!(matches!(play.app.overlay, Some(Overlay::Inbox(_))));
    // Its name in the configuration finds it too.
    let mut play = palette((120, 40), "race");
    play.key(KeyCode::Enter);
    assert!(matches!(&play.app.overlay, Some(Overlay::Ask(ask)) if ask.purpose == AskFor::Race));
}

#[test]
fn hints_name_the_key_that_holds_where_it_is_pressed() {
    let mut play = waiting((120, 40));
    assert!(play.screen().contains("waits for your answer: press a "));
    play.keys("c");
    let screen = play.screen();
    assert!(screen.contains("waits for your answer: Esc then a "), "{screen}");
    assert!(screen.contains("Esc a answer"), "{screen}");
    play.app.settings.keymap = Keymap::with(&HashMap::from([
        (Action::Answer, vec![key("F5")]),
        (Action::Fold, vec![key("F6")]),
    ]));
    let screen = play.screen();
    assert!(screen.contains("waits for your answer: Esc then F5 "), "{screen}");
    play.key(KeyCode::Esc);
    let screen = play.screen();
    assert!(screen.contains("waits for your answer: press F5 "), "{screen}");
    assert!(!screen.contains("(Space "), "{screen}");
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

/// Each style of the screen once, with the first text that has it.
pub(super) fn styles(play: &mut Play) -> String {
    let terminal = play.draw();
    let buffer = terminal.backend().buffer();
    let mut seen: Vec<((Color, Color, Modifier), String)> = Vec::new();
    for y in 0..buffer.area.height {
        // The style whose first text is being read.
        let mut open = None;
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = (cell.fg, cell.bg, cell.modifier);
            let is_new = seen.iter().all(|(of, _)| *of != style);
            match seen.last_mut() {
                Some((_, text)) if open == Some(style) => {
                    if text.chars().count() < 24 {
                        text.push_str(cell.symbol());
                    }
                }
                _ if is_new && cell.symbol() != " " => {
                    seen.push((style, cell.symbol().to_owned()));
                    open = Some(style);
                }
                _ => open = None,
            }
        }
    }
    let lines = seen
        .iter()
        .map(|((fg, bg, modifier), text)| format!("{fg} on {bg} {modifier:?}: {}", text.trim_end()));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_theme_paints_every_state_on_dark_and_on_light() {
    let names: Vec<String> = look::Settings::default()
        .themes
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for (at, name) in names.iter().enumerate() {
        for (word, background) in [("dark", Background::Dark), ("light", Background::Light)] {
            let mut play = waiting((120, 40));
            play.app.settings.look.theme = at;
            play.app.settings.look.background = Some(background);
            insta::assert_snapshot!(format!("theme_{name}_{word}"), styles(&mut play));
        }
    }
}

#[test]
fn a_theme_is_switched_live_and_the_terminal_may_say_what_it_is() {
    let mut play = palette((120, 40), "theme dusk");
    play.key(KeyCode::Enter);
    let colors = |play: &mut Play| {
        let terminal = play.draw();
        let cell = &terminal.backend().buffer()[(60, 20)];
        (cell.fg, cell.bg)
    };
    assert_eq!(colors(&mut play).1, Color::Rgb(0x1a, 0x1f, 0x2b));
    assert!(play.screen().contains("Theme dusk"), "{}", play.screen());
    play.send(Msg::Look(look::Msg::Background(Background::Light)));
    assert_eq!(colors(&mut play).1, Color::Rgb(0xf5, 0xf7, 0xfb));
    play.ui = Ui::new(UiOptions {
        color: false,
        ..UiOptions::default()
    });
    assert_eq!(
        colors(&mut play),
        (Color::Reset, Color::Reset),
        "NO_COLOR holds over themes"
    );
}

#[test]
fn a_terminal_with_fewer_colours_gets_the_nearest() {
    let mut play = several((120, 40));
    play.app.settings.look.theme = 1;
    for depth in [ColorDepth::Indexed, ColorDepth::Sixteen] {
        play.ui = Ui::new(UiOptions {
            depth,
            ..UiOptions::default()
        });
        let terminal = play.draw();
        for cell in &terminal.backend().buffer().content {
            let fits = |color: Color| match color {
                Color::Rgb(..) => false,
                Color::Indexed(_) => depth == ColorDepth::Indexed,
                _ => true,
            };
            assert!(fits(cell.fg) && fits(cell.bg), "{depth:?}: {cell:?}");
        }
    }
    insta::assert_snapshot!("theme_dusk_16_colours", styles(&mut play));
    let env = |pairs: &'static [(&'static str, &'static str)]| {
        move |name: &str| {
            pairs
                .iter()
                .find(|(of, _)| *of == name)
                .map(|(_, value)| (*value).to_owned())
        }
    };
    assert_eq!(ColorDepth::detect(env(&[("COLORTERM", "truecolor")])), ColorDepth::True);
    assert_eq!(
        ColorDepth::detect(env(&[("TERM", "xterm-256color")])),
        ColorDepth::Indexed
    );
    assert_eq!(ColorDepth::detect(env(&[("TERM", "linux")])), ColorDepth::Sixteen);
}
