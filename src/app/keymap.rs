//! Which key does what where: the action table, with what the person set otherwise.
//!
//! It knows keys and actions; reading them from the configuration is `config`'s matter, and what an action
//! does that of `commands`.

use std::collections::HashMap;

use super::action::{self, Action, Key, Place};

/// The keys that hold, by place.
#[derive(Debug, Clone)]
pub struct Keymap {
    by_key: HashMap<(Place, Key), Action>,
    by_action: HashMap<Action, Vec<Key>>,
}

impl Default for Keymap {
    /// The keys of the action table.
    fn default() -> Self {
        let mut map = Self {
            by_key: HashMap::new(),
            by_action: HashMap::new(),
        };
        for info in action::actions() {
            map.bind(info.action, info.places, info.keys);
        }
        map
    }
}

impl Keymap {
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
