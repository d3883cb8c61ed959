//! Calls that have no result yet, in their order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Calls that have no result yet; the ids are unique. Nothing of it grows with how many there are but what it holds.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Id and name by the call's place among all calls.
    calls: BTreeMap<u64, (String, String)>,
    ids: HashMap<String, u64>,
    names: HashMap<String, BTreeSet<u64>>,
    next: u64,
}

impl Open {
    /// Adds a call at the end.
    pub(super) fn add(&mut self, id: &str, name: &str) {
        let place = self.next;
        self.next += 1;
        self.calls.insert(place, (id.to_owned(), name.to_owned()));
        self.ids.insert(id.to_owned(), place);
        self.names.entry(name.to_owned()).or_default().insert(place);
    }

    /// Takes a call away, if it is there.
    pub(super) fn remove(&mut self, id: &str) {
        let Some(place) = self.ids.remove(id) else { return };
        let Some((_, name)) = self.calls.remove(&place) else {
            return;
        };
        if let Some(places) = self.names.get_mut(&name) {
            places.remove(&place);
        }
    }

    /// The id of the call that a result belongs to: the one with its id, else the first one of the function.
    pub(super) fn find(&self, id: &str, name: &str) -> Option<&str> {
        let of_name = || self.names.get(name).and_then(BTreeSet::first);
        let place = self.ids.get(id).filter(|_| !id.is_empty()).or_else(of_name)?;
        self.calls.get(place).map(|(id, _)| id.as_str())
    }

    /// Takes all of them away and gives their ids.
    pub(super) fn take(&mut self) -> impl Iterator<Item = String> + use<> {
        std::mem::take(self).calls.into_values().map(|(id, _)| id)
    }
}
