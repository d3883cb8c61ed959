//! Which key does what where: the action table, with what the person set otherwise.
//!
//! It knows keys and actions; reading them from the configuration is `config`'s matter, and what an action
//! does that of `commands`.

use std::collections::HashMap;

use super::action::{self, Action, Key, Place};

/// What a key would do twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: Key,
    /// The other action that has it.
    pub other: Action,
    /// Where both hold.
    pub place: Place,
}

/// The keys that hold, by place.
#[derive(Debug, Clone)]
pub struct Keymap {
    by_key: HashMap<(Place, Key), Action>,
    by_action: HashMap<Action, Vec<Key>>,
}

impl Default for Keymap {
    /// The keys of the action table.
    fn default() -> Self {
        Self::with(&HashMap::new())
    }
}

impl Keymap {
    /// The table's keys, but for these actions other ones; an action without keys is left to the palette.
    #[must_use]
    pub fn with(changes: &HashMap<Action, Vec<Key>>) -> Self {
        let mut map = Self {
            by_key: HashMap::new(),
            by_action: HashMap::new(),
        };
        for info in action::actions() {
            let keys = changes.get(&info.action).map_or(info.keys, Vec::as_slice);
            map.bind(info.action, info.places, keys);
        }
        map
    }

    /// The first other action that has this key at a place of this action.
    #[must_use]
    pub fn conflict(&self, action: Action, key: Key) -> Option<Conflict> {
        let places = action::info(action)?.places;
        action::actions()
            .filter(|other| other.action != action && self.keys(other.action).contains(&key))
            .find_map(|other| {
                let place = *places.iter().find(|place| other.places.contains(place))?;
                Some(Conflict {
                    key,
                    other: other.action,
                    place,
                })
            })
    }

    /// Gives an action these keys at these places.
    fn bind(&mut self, action: Action, places: &[Place], keys: &[Key]) {
        self.by_action.insert(action, keys.to_vec());
        for place in places {
            for key in keys {
                self.by_key.insert((*place, *key), action);
            }
        }
    }

    /// The action of a key at a place; `None`: the key means nothing there, or types.
    #[must_use]
    pub fn lookup(&self, place: Place, key: Key) -> Option<Action> {
        self.by_key.get(&(place, key)).copied()
    }

    /// The keys of an action; the first is the one that hints name.
    #[must_use]
    pub fn keys(&self, action: Action) -> &[Key] {
        self.by_action.get(&action).map_or(&[], Vec::as_slice)
    }

    /// The key that hints name, as people say it; empty when it has none.
    #[must_use]
    pub fn first(&self, action: Action) -> String {
        self.keys(action).first().map(ToString::to_string).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::action::KeyCode;

    fn key(text: &str) -> Key {
        text.parse().expect("a key")
    }

    #[test]
    fn other_keys_take_the_place_of_the_tables() {
        let changes = HashMap::from([
            (Action::Quit, vec![key("Q"), key("F10")]),
            (Action::Suspend, Vec::new()),
        ]);
        let map = Keymap::with(&changes);
        assert_eq!(map.lookup(Place::List, key("Q")), Some(Action::Quit));
        assert_eq!(map.lookup(Place::List, key("F10")), Some(Action::Quit));
        assert_eq!(map.lookup(Place::List, key("q")), None);
        assert_eq!(map.lookup(Place::Compose, key("Ctrl-Z")), None);
        assert_eq!(
            (map.first(Action::Quit).as_str(), map.first(Action::Suspend).as_str()),
            ("Q", "")
        );
        assert_eq!(map.lookup(Place::Help, key("?")), Some(Action::Help), "the others stay");
    }

    #[test]
    fn two_actions_on_one_key_at_one_place_are_found() {
        let map = Keymap::with(&HashMap::from([(Action::Open, vec![key("w")])]));
        let conflict = map.conflict(Action::Open, key("w")).expect("w watches in the list");
        assert_eq!((conflict.other, conflict.place), (Action::Watch, Place::List));
        assert_eq!(map.conflict(Action::Quit, key("q")), None);
        // The same key at different places is none.
        let enter = Key {
            modifier: action::Modifier::None,
            code: KeyCode::Enter,
        };
        assert_eq!(Keymap::default().conflict(Action::Send, enter), None);
    }

    #[test]
    fn the_table_itself_has_no_conflict() {
        let map = Keymap::default();
        for info in action::actions() {
            for key in info.keys {
                assert_eq!(map.conflict(info.action, *key), None, "{:?}", info.action);
            }
        }
    }
}
