//! What one program changed of the saved state, applied to what another one wrote meanwhile. Pure: values in, a value out.
//!
//! Three states meet: `before` (what this program wrote or read last), `ours` (what it has now) and `theirs` (what the
//! file holds). The difference between the first two is what this program did; it is done to the third. So what another
//! program added stays, and what somebody removed stays away. It works on the JSON, so that fields which this version
//! does not know are kept.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// The list of watched channels in the saved state.
const CHANNELS: &str = "channels";
/// What tells one entry of that list from another.
const ID: &str = "id";
/// The text that is being typed.
const DRAFT: &str = "draft";
/// What is known of the compose box, and what the markers in the text stand for.
const COMPOSE: &str = "compose";
const PASTES: &str = "pastes";
/// What is known of the panes.
const PANES: &str = "panes";

/// Does to `theirs` what was done between `before` and `ours`.
#[must_use]
pub fn merge(before: &Value, ours: &Value, theirs: &Value) -> Value {
    let (Value::Object(old), Value::Object(new), Value::Object(kept)) = (before, ours, theirs) else {
        return if before == ours { theirs.clone() } else { ours.clone() };
    };
    let of = |state: &Map<String, Value>| state.get(DRAFT).cloned().unwrap_or_default();
    let (old_draft, new_draft, kept_draft) = (of(old), of(new), of(kept));
    // An emptied box does not take away what somebody else types.
    let emptied = new_draft == "" && old_draft != kept_draft;
    let keeps_draft = old_draft == new_draft || emptied;
    let mut merged = fields(old, new, kept, &|key, old, new, kept| match key {
        CHANNELS => channels(old, new, kept),
        DRAFT if keeps_draft => kept.clone(),
        // Which channel is in which pane says nothing without the other panes.
        PANES => new.clone(),
        _ => part(old, new, kept),
    });
    // What a draft's markers stand for belongs to the draft.
    let side = if keeps_draft { kept } else { new };
    if let Some(compose) = merged.get_mut(COMPOSE).and_then(Value::as_object_mut) {
        match side.get(COMPOSE).and_then(|compose| compose.get(PASTES)) {
            Some(pastes) => drop(compose.insert(PASTES.to_owned(), pastes.clone())),
            None => drop(compose.shift_remove(PASTES)),
        }
    }
    Value::Object(merged)
}

/// Merges field by field; `merge_field` decides about one that was changed here, from what it was, is, and is there.
fn fields(
    before: &Map<String, Value>,
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    merge_field: &dyn Fn(&str, &Value, &Value, &Value) -> Value,
) -> Map<String, Value> {
    let mut merged = theirs.clone();
    for (key, new) in ours {
        let of = |state: &Map<String, Value>| state.get(key).cloned().unwrap_or_default();
        let old = of(before);
        if old != *new {
            merged.insert(key.clone(), merge_field(key, &old, new, &of(theirs)));
        }
    }
    // A field that is gone was given up here: it went back to its default.
    for key in before.keys() {
        if !ours.contains_key(key) && theirs.get(key) == before.get(key) {
            merged.shift_remove(key);
        }
    }
    merged
}

/// A changed part of the state, such as the channel list's: its fields one by one. What stands deeper belongs together.
fn part(old: &Value, new: &Value, kept: &Value) -> Value {
    let empty = Map::new();
    match (new, kept) {
        (Value::Object(new), Value::Object(kept)) => {
            let old = old.as_object().unwrap_or(&empty);
            Value::Object(fields(old, new, kept, &|_, _, new, _| new.clone()))
        }
        _ => new.clone(),
    }
}

/// A changed channel: its fields one by one, and those of its parts.
fn channel(old: &Value, new: &Value, kept: &Value) -> Value {
    let empty = Map::new();
    match (new, kept) {
        (Value::Object(new), Value::Object(kept)) => {
            let old = old.as_object().unwrap_or(&empty);
            Value::Object(fields(old, new, kept, &|_, old, new, kept| part(old, new, kept)))
        }
        _ => new.clone(),
    }
}

fn id(entry: &Value) -> Option<&str> {
    entry.get(ID)?.as_str()
}

fn entries(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn find<'a>(list: &'a [Value], wanted: &str) -> Option<&'a Value> {
    list.iter().find(|entry| id(entry) == Some(wanted))
}

/// The list of channels: removed, added, moved and changed by id.
fn channels(before: &Value, ours: &Value, theirs: &Value) -> Value {
    let (before, ours, theirs) = (entries(before), entries(ours), entries(theirs));
    let ids = |list: &[Value]| -> HashSet<String> { list.iter().filter_map(id).map(str::to_owned).collect() };
    let (known_before, known_now) = (ids(before), ids(ours));
    let removed = |of: &str| known_before.contains(of) && !known_now.contains(of);
    let mut merged: Vec<Value> = theirs
        .iter()
        .filter(|entry| !id(entry).is_some_and(removed))
        .cloned()
        .collect();
    for entry in &mut merged {
        let Some(new) = id(entry).and_then(|of| find(ours, of)) else {
            continue;
        };
        match id(entry).and_then(|of| find(before, of)) {
            Some(old) if old != new => *entry = channel(old, new, entry),
            Some(_) => {}
            // Added at both sides: ours is what was done last.
            None => *entry = channel(&Value::Null, new, entry),
        }
    }
    if was_moved(before, ours) {
        reorder(&mut merged, ours);
    }
    // What was added comes behind what it stands behind here.
    let mut at = 0;
    for entry in ours {
        let Some(of) = id(entry) else { continue };
        match merged.iter().position(|other| id(other) == Some(of)) {
            Some(found) => at = found + 1,
            None if known_before.contains(of) => {}
            None => {
                merged.insert(at.min(merged.len()), entry.clone());
                at += 1;
            }
        }
    }
    Value::Array(merged)
}

/// Whether the channels that are in both lists stand in another order.
fn was_moved(before: &[Value], ours: &[Value]) -> bool {
    let common = |list: &[Value], other: &[Value]| -> Vec<String> {
        let known: HashSet<&str> = other.iter().filter_map(id).collect();
        let ids = list.iter().filter_map(id).filter(|id| known.contains(id));
        ids.map(str::to_owned).collect()
    };
    common(before, ours) != common(ours, before)
}

/// Puts the channels that are known here into the order that they have here; the others keep their places.
fn reorder(merged: &mut [Value], ours: &[Value]) {
    let places: Vec<usize> = (0..merged.len())
        .filter(|place| id(&merged[*place]).is_some_and(|of| find(ours, of).is_some()))
        .collect();
    let ordered: Vec<Value> = ours
        .iter()
        .filter_map(id)
        .filter_map(|of| find(merged, of).cloned())
        .collect();
    for (place, entry) in places.into_iter().zip(ordered) {
        merged[place] = entry;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn list(ids: &[&str]) -> Value {
        let channels: Vec<Value> = ids.iter().map(|id| json!({"id": id, "title": ""})).collect();
        json!({ "channels": channels, "draft": "" })
    }

    fn ids_of(state: &Value) -> Vec<String> {
        let ids = entries(&state["channels"]).iter().filter_map(id);
        ids.map(str::to_owned).collect()
    }

    #[test]
    fn what_each_side_did_is_there() {
        for (before, ours, theirs, merged) in [
            // Nothing was done here.
            (&["a", "b"][..], &["a", "b"][..], &["b"][..], &["b"][..]),
            // Added at the top, and something else by another program.
            (&["a"], &["x", "a"], &["y", "a"], &["x", "y", "a"]),
            // Added in the middle.
            (&["a", "b"], &["a", "x", "b"], &["a", "b", "z"], &["a", "x", "b", "z"]),
            // Removed here, added there.
            (&["a", "b"], &["b"], &["a", "b", "c"], &["b", "c"]),
            // Removed there, kept here.
            (&["a", "b"], &["a", "b"], &["a"], &["a"]),
            // Moved here, while another was added there.
            (
                &["a", "b", "c"],
                &["c", "a", "b"],
                &["a", "n", "b", "c"],
                &["c", "n", "a", "b"],
            ),
            // Added by both.
            (&["a"], &["x", "a"], &["a", "x"], &["a", "x"]),
        ] {
            let result = merge(&list(before), &list(ours), &list(theirs));
            assert_eq!(ids_of(&result), merged, "{before:?} {ours:?} {theirs:?}");
        }
    }

    #[test]
    fn fields_are_merged_one_by_one_and_unknown_ones_stay() {
        let before = json!({"channels": [{"id": "a", "title": "one", "pin": {"at": 1}}], "draft": "", "list": {"sort": 1, "width": 3}});
        let ours = json!({"channels": [{"id": "a", "title": "two", "pin": {"at": 1}}], "draft": "", "list": {"sort": 2, "width": 3}});
        let theirs = json!({"channels": [{"id": "a", "title": "one", "pin": {"at": 9}, "later": true}], "draft": "typed there",
            "list": {"sort": 1, "width": 7}, "more": 5});
        let merged = merge(&before, &ours, &theirs);
        assert_eq!(
            merged,
            json!({"channels": [{"id": "a", "title": "two", "pin": {"at": 9}, "later": true}], "draft": "typed there",
                "list": {"sort": 2, "width": 7}, "more": 5})
        );
    }

    #[test]
    fn an_emptied_box_does_not_take_away_what_somebody_else_types() {
        let state = |draft: &str| json!({"channels": [], "draft": draft});
        let merged = |before, ours, theirs| merge(&state(before), &state(ours), &state(theirs))["draft"].clone();
        assert_eq!(merged("mine", "", "yours"), "yours");
        assert_eq!(merged("mine", "", "mine"), "");
        assert_eq!(merged("mine", "mine too", "yours"), "mine too");
        assert_eq!(merged("mine", "mine", "yours"), "yours");
    }

    #[test]
    fn what_belongs_together_is_taken_whole() {
        let leaf = |id: &str| json!({"channels": [], "draft": "", "panes": {"layout": {"leaf": id}, "focus": 0}});
        let split = json!({"channels": [], "draft": "", "panes": {"layout": {"split": ["a", "b"]}, "focus": 1}});
        assert_eq!(merge(&leaf("a"), &split, &leaf("c")), split);
        assert_eq!(merge(&leaf("a"), &leaf("a"), &split), split);
        let deep =
            |word: &str| json!({"channels": [{"id": "a", "title": "", "panes": {"race": {word: 1}}}], "draft": ""});
        assert_eq!(merge(&deep("one"), &deep("two"), &deep("three")), deep("two"));

        // What is pasted goes with the draft whose markers it stands for.
        let box_with = |draft: &str, paste: &str, preset: &str| json!({"channels": [], "draft": draft, "compose": {"pastes": [["x", paste]], "preset": preset}});
        let emptied = json!({"channels": [], "draft": "", "compose": {"preset": "new"}});
        let theirs = box_with("their draft", "their paste", "old");
        let merged = merge(&box_with("my draft", "my paste", "old"), &emptied, &theirs);
        assert_eq!(merged, box_with("their draft", "their paste", "new"));
        let typed = box_with("my other draft", "my other paste", "old");
        assert_eq!(merge(&box_with("my draft", "my paste", "old"), &typed, &theirs), typed);
    }

    #[test]
    fn a_field_that_went_back_to_its_default_goes_unless_it_was_changed_there() {
        let before = json!({"channels": [], "list": {"sort": 1}, "panes": 4});
        let ours = json!({"channels": []});
        let theirs = json!({"channels": [], "list": {"sort": 1}, "panes": 6});
        assert_eq!(merge(&before, &ours, &theirs), json!({"channels": [], "panes": 6}));
    }

    /// What a program that is played does.
    #[derive(Debug, Clone)]
    enum Step {
        Add(u8),
        Remove(u8),
        Rename(u8),
        Move(u8),
        Save,
        Restart,
    }

    /// A program: what it has, and what it wrote or read last.
    struct Program {
        before: Value,
        now: Value,
    }

    impl Program {
        fn channels(&mut self) -> &mut Vec<Value> {
            self.now["channels"].as_array_mut().expect("a list")
        }

        fn save(&mut self, file: &mut Value) {
            *file = merge(&self.before, &self.now, file);
            self.before = self.now.clone();
        }
    }

    fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
        let step = prop_oneof![
            3 => any::<u8>().prop_map(Step::Add),
            1 => any::<u8>().prop_map(Step::Remove),
            1 => any::<u8>().prop_map(Step::Rename),
            1 => any::<u8>().prop_map(Step::Move),
            3 => Just(Step::Save),
            1 => Just(Step::Restart),
        ];
        prop::collection::vec((0_usize..3, step), 1..80)
    }

    proptest! {
        /// Three programs share a file, in any order: what one added and saved is there unless somebody removed it, what
        /// was removed does not come back, and nothing stands there twice.
        #[test]
        fn nothing_is_lost_that_nobody_removed(steps in steps()) {
            let mut file = list(&[]);
            let mut programs: Vec<Program> = (0..3).map(|_| Program { before: list(&[]), now: list(&[]) }).collect();
            let (mut saved, mut removed) = (BTreeSet::new(), BTreeSet::new());
            let mut unsaved: Vec<BTreeSet<String>> = vec![BTreeSet::new(); 3];
            let mut unremoved: Vec<BTreeSet<String>> = vec![BTreeSet::new(); 3];
            let mut count = 0;
            let end = (0..3).map(|who| (who, Step::Save));
            for (who, step) in steps.into_iter().chain(end) {
                let length = programs[who].channels().len();
                match step {
                    Step::Add(at) => {
                        count += 1;
                        let id = format!("c{count}");
                        let at = usize::from(at) % (length + 1);
                        programs[who].channels().insert(at, json!({"id": id, "title": ""}));
                        unsaved[who].insert(id);
                    }
                    Step::Remove(at) if length > 0 => {
                        let gone = programs[who].channels().remove(usize::from(at) % length);
                        let gone = id(&gone).expect("an id").to_owned();
                        if !unsaved[who].remove(&gone) {
                            unremoved[who].insert(gone);
                        }
                    }
                    Step::Rename(at) if length > 0 => {
                        programs[who].channels()[usize::from(at) % length]["title"] = json!(format!("t{who}"));
                    }
                    Step::Move(at) if length > 1 => {
                        let entry = programs[who].channels().remove(usize::from(at) % length);
                        programs[who].channels().push(entry);
                    }
                    Step::Remove(_) | Step::Rename(_) | Step::Move(_) => {}
                    Step::Save | Step::Restart => {
                        programs[who].save(&mut file);
                        saved.append(&mut unsaved[who]);
                        removed.append(&mut unremoved[who]);
                        if matches!(step, Step::Restart) {
                            programs[who] = Program { before: file.clone(), now: file.clone() };
                        }
                    }
                }
                let there = ids_of(&file);
                let distinct: BTreeSet<String> = there.iter().cloned().collect();
                prop_assert_eq!(distinct.len(), there.len(), "twice");
                let expected: BTreeSet<String> = saved.difference(&removed).cloned().collect();
                prop_assert_eq!(distinct, expected);
            }
        }

        /// A program alone finds its own list again, order and all.
        #[test]
        fn alone_the_file_is_what_the_program_has(steps in steps()) {
            let mut file = list(&[]);
            let mut program = Program { before: list(&[]), now: list(&[]) };
            let mut count = 0;
            for (_, step) in steps {
                let length = program.channels().len();
                match step {
                    Step::Add(at) => {
                        count += 1;
                        let at = usize::from(at) % (length + 1);
                        program.channels().insert(at, json!({"id": format!("c{count}"), "title": ""}));
                    }
                    Step::Remove(at) if length > 0 => drop(program.channels().remove(usize::from(at) % length)),
                    Step::Move(at) if length > 1 => {
                        let entry = program.channels().remove(usize::from(at) % length);
                        program.channels().push(entry);
                    }
                    Step::Save => {
                        program.save(&mut file);
                        prop_assert_eq!(&file, &program.now);
                    }
                    _ => {}
                }
            }
        }
    }
}
