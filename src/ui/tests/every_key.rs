//! Every key of the action table does something at every place where it holds.

use std::collections::HashSet;

use super::*;

/// A state in which every action of a place can do something.
fn ready(place: Place) -> Play {
    let (mut play, id) = long((80, 24), 100);
    let expires = play.now.unix_ms + 60_000;
    play.feed(
        &id,
        &[reasoning("hm"), wait("wait-8f3c0123456789abcdef", expires)],
        None,
    );
    let other = play.dispatch("other");
    play.feed(
        &other,
        &[user("other"), begin(), wait("wait-8f3c0123456789abcdef", expires)],
        None,
    );
    play.send(Msg::SelectIndex(1));
    play.app.focus = match place {
        Place::List => Focus::List,
        Place::Transcript | Place::PanePrefix | Place::Selection => Focus::Transcript,
        _ => Focus::Compose,
    };
    play.send(Msg::DraftChanged("draft".to_owned()));
    play.app.draft_revision += 1;
    match place {
        Place::Help => play.app.overlay = Some(Overlay::Help),
        Place::Dialogue => {
            play.app.overlay = Some(Overlay::Ask(Ask::new(AskFor::Watch, "x")));
        }
        Place::Inbox | Place::Field => {
            let function: crate::config::FunctionConfig = toml::from_str(
                "description = \"d\"\ncommand = [\"./approve.sh\"]\n[result]\ntype = \"object\"\n[result.properties]\n\
                 go = { enum = [1, 2, 3] }\nyes = { type = \"boolean\" }\ntext = { type = \"string\" }",
            )
            .expect("a function");
            let functions = &mut play.app.settings.calls.functions;
            functions.insert("approve_deploy".to_owned(), function.into());
            play.app.focus = Focus::List;
            play.keys("Ij");
            // In the middle of the fields, so that there is one before and one after.
            play.key(KeyCode::Tab);
            if place == Place::Field {
                play.key(KeyCode::Tab);
            }
        }
        Place::Confirm => play.app.overlay = Some(Overlay::Confirm(Question::CancelRun(id))),
        Place::Picker => {
            let entries = ["one", "two", "three"].map(|text| Entry {
                text: text.to_owned(),
                detail: String::new(),
                right: String::new(),
                value: text.to_owned(),
            });
            let mut picker = Picker::new(Purpose::Action, "commands", "Type to narrow", entries.to_vec());
            picker.step(1);
            play.app.overlay = Some(Overlay::Pick(picker));
        }
        Place::Tail => {
            play.send(Msg::Action(Action::MergedTail));
            let lines: String = (0..60).map(|n| format!("line {n}\n")).collect();
            play.feed(&other, &[token(&lines)], None);
            play.send(Msg::Panes(app::panes::Msg::TailStep(-30)));
        }
        Place::PanePrefix => {
            play.send(Msg::Action(Action::Layout4));
            play.send(Msg::Action(Action::PanePrefix));
        }
        Place::List | Place::Transcript | Place::Selection | Place::Compose => {}
    }
    if matches!(place, Place::Transcript | Place::Compose | Place::Selection) {
        play.app.focus = Focus::Transcript;
        play.key(KeyCode::PageUp);
        play.key(KeyCode::PageUp);
        if place == Place::Compose {
            play.send(Msg::Action(Action::Compose));
        } else if place == Place::Selection {
            play.keys("V");
        }
    }
    play
}

/// What a person sees and what the next start shows again, but the line of news.
fn seen(play: &mut Play) -> String {
    play.app.notice = None;
    format!("{:?}{:?}", play.app.saved_state(), play.app.copying) + &play.screen()
}

/// Puts a state in place in which an action of the recordings changes more than the line of news.
fn ready_for_recordings(play: &mut Play, action: Action) {
    match action {
        Action::PlayPause | Action::SeekBack | Action::SeekForward | Action::Faster => playing::opened(play),
        Action::Slower => {
            playing::opened(play);
            play.keys("+");
        }
        Action::Rescue => {
            // A run that its server forgets in five minutes.
            let id = play.app.selected.clone().expect("one is selected");
            play.feed(&id, &[result()], Some(Connection::Ended));
            play.pass(55 * 60 * 1_000);
        }
        _ => {}
    }
}

/// Makes the result channel of the marked call one that was made here.
fn own_waiting(play: &mut Play) {
    let id = play.dispatch("a run with functions");
    let Some(Effect::Dispatch { body, .. }) = play
        .effects
        .iter()
        .find(|effect| matches!(effect, Effect::Dispatch { .. }))
    else {
        panic!("{:?}", play.effects)
    };
    let result = body.complete.functions[0].result.clone().expect("a result");
    let channel = result.channel.expect("a channel").to_string();
    let expires = play.now.unix_ms + 60_000;
    play.feed(&id, &[begin(), wait(&channel, expires)], Some(Connection::Live));
    play.send(Msg::Action(Action::Answer));
}

/// The next key comes after the prefix of the panes, where that is the place.
fn prefix_again(play: &mut Play, place: Place) {
    if place == Place::PanePrefix {
        play.app.panes.prefix = false;
        play.send(Msg::Action(Action::PanePrefix));
    }
}

/// A state in which this action, by a key at this place, changes what is seen or asks for something to be done.
fn ready_for(action: Action, place: Place) -> Play {
    let mut play = ready(place);
    let selected = play.app.selected.clone().expect("one is selected");
    match action {
        Action::SelectPrevious | Action::SelectFirst | Action::PageOfListUp => play.send(Msg::SelectIndex(1)),
        Action::SelectNext | Action::SelectLast | Action::PageOfListDown | Action::MoveDown => {
            play.send(Msg::SelectIndex(0));
        }
        Action::GoToPane3
        | Action::GoToPane4
        | Action::GoToPane5
        | Action::GoToPane6
        | Action::GoToPane7
        | Action::GoToPane8
        | Action::GoToPane9 => {
            let focus = play.app.focus;
            play.send(Msg::Resize(200, 60));
            play.send(Msg::Action(Action::Layout9));
            play.app.focus = focus;
            prefix_again(&mut play, place);
        }
        Action::Layout4 => {
            play.send(Msg::Action(Action::Layout2));
            prefix_again(&mut play, place);
        }
        Action::GoToPane2 if place != Place::PanePrefix => play.send(Msg::SelectIndex(0)),
        Action::GoToPane1 | Action::GoToPane2 | Action::PaneUp | Action::PaneLeft if place == Place::PanePrefix => {
            play.send(Msg::Action(Action::GoToPane4));
            prefix_again(&mut play, place);
        }
        Action::EvenPanes => {
            play.send(Msg::Action(Action::WiderPane));
            prefix_again(&mut play, place);
        }
        // With nothing to clear it asks for itself again, and then quits.
        Action::Interrupt if matches!(place, Place::List | Place::Transcript | Place::Selection) => play.ctrl('c'),
        Action::NarrowList | Action::WidenList => play.send(Msg::Resize(120, 40)),
        Action::StopWatchingEnded => {
            play.feed(&selected, &[result()], Some(Connection::Ended));
            // It was read.
            play.send(Msg::Action(Action::Open));
            play.app.focus = Focus::List;
        }
        Action::NextCall => play.send(Msg::Action(Action::PreviousCall)),
        Action::AllowAlways => own_waiting(&mut play),
        Action::ClearFilter => {
            play.send(Msg::Action(Action::FilterList));
            play.send(Msg::DialogueSubmit("other".to_owned()));
        }
        Action::HistoryForward => play.send(Msg::Action(Action::HistoryBack)),
        Action::NextTurn => {
            play.feed(&selected, &[user("and another question"), begin(), token("Yes.")], None);
            play.keys("g");
        }
        Action::CallAbove => {
            let lines = "more of it\n\n".repeat(40);
            play.feed(&selected, &[begin(), token(&lines)], None);
            play.keys("G");
        }
        Action::NextError => {
            let error = json!({"type": "error", "data": {"message": "upstream answered 429"}});
            play.feed(&selected, &[error], Some(Connection::Ended));
            play.keys("g");
        }
        Action::FirstUnread => {
            // Something comes in while another channel is looked at.
            play.send(Msg::SelectIndex(0));
            play.feed(&selected, &[begin(), token(&"news\n\n".repeat(40))], None);
            play.send(Msg::SelectIndex(1));
            play.keys("g");
        }
        Action::PreviousMatch => {
            play.keys("/many");
            play.key(KeyCode::Enter);
        }
        Action::Fold => play.keys("G"),
        Action::Unfold => play.event(Event::Paste("a line\n".repeat(60))),
        Action::TakeBackQueued | Action::DropQueued => {
            play.ctrl('t');
            play.key(KeyCode::Enter);
        }
        _ => ready_for_recordings(&mut play, action),
    }
    if place == Place::Help {
        // The help knows how far it scrolls once it was drawn; in its middle it scrolls both ways.
        let _ = play.screen();
        play.key(KeyCode::PageDown);
    }
    play
}

/// The actions of the source, in its order.
fn variants(source: &str, name: &str) -> Vec<String> {
    let file = syn::parse_file(source).expect("the source is Rust");
    let found = file.items.iter().find_map(|item| match item {
        syn::Item::Enum(it) if it.ident == name => Some(it),
        _ => None,
    });
    let found = found.unwrap_or_else(|| panic!("no enum {name}"));
    found.variants.iter().map(|variant| variant.ident.to_string()).collect()
}

#[test]
fn every_action_and_every_place_is_in_the_table() {
    let source = include_str!("../../app/action/mod.rs");
    let rows: Vec<String> = actions().map(|info| format!("{:?}", info.action)).collect();
    for action in variants(source, "Action") {
        assert!(rows.contains(&action), "{action} has no row, so no key");
    }
    let places: Vec<String> = actions()
        .flat_map(|info| info.places)
        .map(|place| format!("{place:?}"))
        .collect();
    for place in variants(source, "Place") {
        assert!(places.contains(&place), "no key holds at {place}");
    }
}

#[test]
fn every_key_of_the_table_does_something() {
    let mut nothing = Vec::new();
    let mut pressed = 0;
    for info in actions() {
        for place in info.places {
            for key in info.keys {
                let mut play = ready_for(info.action, *place);
                assert_eq!(keys::place(&play.app), *place, "the set-up of {:?}", info.action);
                assert_eq!(play.app.settings.keymap.lookup(*place, *key), Some(info.action));
                let mut before = seen(&mut play);
                if *place == Place::PanePrefix && !matches!(info.action, Action::LeavePrefix | Action::Interrupt) {
                    // That it leaves the prefix is no meaning of its own.
                    let mut left = ready_for(info.action, *place);
                    left.key(KeyCode::F(9));
                    before = seen(&mut left);
                }
                play.event(Event::Key(keys::event_of(*key)));
                let asked = !play.effects.is_empty();
                if before == seen(&mut play) && !asked {
                    nothing.push(format!("{:?} by {key} at {place:?}", info.action));
                }
                pressed += 1;
            }
        }
    }
    assert!(pressed > actions().count(), "{pressed}");
    assert!(nothing.is_empty(), "these do nothing:\n{}", nothing.join("\n"));
}

/// Keys that do nothing are told from those that do: the test above cannot pass by itself.
#[test]
fn a_key_without_a_meaning_changes_nothing_anywhere() {
    let places: HashSet<Place> = actions().flat_map(|info| info.places).copied().collect();
    for place in places {
        let mut play = ready(place);
        let before = seen(&mut play);
        play.key(KeyCode::F(9));
        // A strange key leaves the prefix of the panes, as the hint says.
        assert!(place == Place::PanePrefix || before == seen(&mut play), "{place:?}");
        assert!(play.effects.is_empty(), "{place:?}: {:?}", play.effects);
    }
}
