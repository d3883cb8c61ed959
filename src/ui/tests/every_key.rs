//! Every key of the action table does something at every place where it holds.

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
            let mut picker = Picker::new(Purpose::Action, "commands", "type to narrow", entries.to_vec());
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

#[test]
fn every_key_of_the_table_does_something() {
    for info in actions() {
        for place in info.places {
            // The help scrolls where it does not fit; here it does.
            if *place == Place::Help && !matches!(info.action, Action::Help | Action::Close | Action::CloseHelp) {
                continue;
            }
            for key in info.keys {
                let mut play = ready(*place);
                if matches!(
                    info.action,
                    Action::SelectPrevious | Action::SelectFirst | Action::PageOfListUp
                ) {
                    play.send(Msg::SelectIndex(1));
                } else if matches!(
                    info.action,
                    Action::SelectNext | Action::SelectLast | Action::PageOfListDown | Action::GoToPane2
                ) {
                    play.send(Msg::SelectIndex(0));
                } else if info.action == Action::NextCall {
                    play.send(Msg::Action(Action::PreviousCall));
                } else if info.action == Action::AllowAlways {
                    own_waiting(&mut play);
                } else if info.action == Action::ClearFilter {
                    play.send(Msg::Action(Action::FilterList));
                    play.send(Msg::DialogueSubmit("other".to_owned()));
                }
                if info.action == Action::HistoryForward {
                    play.send(Msg::Action(Action::HistoryBack));
                }
                let before = format!("{:?}{:?}", play.app.saved_state(), play.app.copying) + &play.screen();
                play.event(Event::Key(keys::event_of(*key)));
                let after = format!("{:?}{:?}", play.app.saved_state(), play.app.copying) + &play.screen();
                assert!(
                    before != after || !play.effects.is_empty(),
                    "{:?} by {key} at {place:?} does nothing",
                    info.action
                );
            }
        }
    }
}
