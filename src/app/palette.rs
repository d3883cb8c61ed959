//! The palette: every action of the table, found by a few letters of what it does.
//!
//! It says what there is and what was picked. What an action does is decided in `commands`, and where rows of the
//! screen matter in `ui`, which asks [`chosen`] first.

use super::action::{self, Action, ActionInfo, Place};
use super::effect::Effect;
use super::picker::{Entry, Picker, Purpose};
use super::state::{App, Focus, Overlay};
use super::update::say;

/// The place that the palette lies over.
#[must_use]
pub fn place_below(app: &App) -> Place {
    match app.focus {
        Focus::List => Place::List,
        Focus::Transcript => Place::Transcript,
        Focus::Compose => Place::Compose,
    }
}

/// Opens it: first what can be done at this place, in the help's order, then what can be done elsewhere.
pub(super) fn open(app: &mut App) {
    let here = place_below(app);
    let (mut entries, mut elsewhere) = (Vec::new(), Vec::new());
    for info in action::actions() {
        let is_here = has_meaning(info, here);
        let place = info.places.iter().copied().find(|place| is_a_pane(*place));
        let Some(place) = place.or(info.is_prefixed().then_some(here)) else {
            // What only answers a question or moves in a list has no meaning from here.
            continue;
        };
        if matches!(info.action, Action::Palette | Action::ComposePalette) {
            continue;
        }
        let keys: Vec<String> = app
            .settings
            .keymap
            .keys(info.action)
            .iter()
            .map(ToString::to_string)
            .collect();
        let entry = Entry {
            text: info.help.to_owned(),
            detail: if is_here {
                String::new()
            } else {
                place.words().to_owned()
            },
            right: if info.is_prefixed() {
                let prefix = app.settings.keymap.first(Action::PanePrefix);
                keys.iter()
                    .map(|key| format!("{prefix} {key}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            } else {
                keys.join(" ")
            },
            value: info.action.name(),
        };
        if is_here { &mut entries } else { &mut elsewhere }.push(entry);
    }
    entries.extend(super::look::entries(app));
    entries.extend(elsewhere);
    app.overlay = Some(Overlay::Pick(Picker::new(
        Purpose::Action,
        "commands",
        "what do you want to do?",
        entries,
    )));
}

/// Whether an action does something at a place; what comes after the prefix of the panes does everywhere.
fn has_meaning(info: &ActionInfo, place: Place) -> bool {
    info.places.contains(&place) || info.is_prefixed()
}

fn is_a_pane(place: Place) -> bool {
    matches!(place, Place::List | Place::Transcript | Place::Compose)
}

/// The action that is marked in the open palette and the place where it means something: the one below, else another
/// one to go to first. `None`: there is nothing to go to.
#[must_use]
pub fn chosen(app: &App) -> Option<(Place, Action)> {
    let Some(Overlay::Pick(picker)) = &app.overlay else {
        return None;
    };
    if picker.purpose != Purpose::Action {
        return None;
    }
    let action = Action::by_name(&picker.picked()?.value)?;
    let info = action::info(action)?;
    let below = place_below(app);
    if has_meaning(info, below) {
        return Some((below, action));
    }
    // From the compose box to what was looked at before.
    let before = match app.focus_before_compose {
        Focus::Transcript => Place::Transcript,
        _ => Place::List,
    };
    let can_go = |place: &Place| match place {
        Place::Transcript => app.selected.is_some(),
        Place::List | Place::Compose => true,
        _ => false,
    };
    let places = [before].into_iter().chain(info.places.iter().copied());
    let mut places = places.filter(|place| has_meaning(info, *place));
    places.find(can_go).map(|place| (place, action))
}

/// The focus that goes with a place of the palette's choice.
#[must_use]
pub fn focus_of(place: Place) -> Option<Focus> {
    match place {
        Place::List => Some(Focus::List),
        Place::Transcript => Some(Focus::Transcript),
        Place::Compose => Some(Focus::Compose),
        _ => None,
    }
}

/// Something was picked; the palette is closed already.
pub(super) fn picked(app: &mut App, value: &str, effects: &mut Vec<Effect>) {
    if super::look::picked(app, value) {
        return;
    }
    let Some(info) = Action::by_name(value).and_then(action::info) else {
        return;
    };
    if has_meaning(info, place_below(app)) {
        super::commands::perform(app, info.action, effects);
        return;
    }
    let place = info.places.iter().copied().find(|place| is_a_pane(*place));
    let place = place.unwrap_or(Place::List);
    let key = app.settings.keymap.first(Action::FocusNext);
    say(
        app,
        format!(
            "\"{}\" is for {}: {key} goes there",
            info.help,
            place.words().trim_start_matches("in ")
        ),
    );
}
