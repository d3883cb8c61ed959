//! Names for functions, made of names that people gave to datasets and abilities.

use std::collections::{HashMap, HashSet};

use super::words;

/// The longest name of a function, in characters (PROTOCOL, "complete").
const LONGEST: usize = 64;

/// The function names of a run; each is given once.
#[derive(Debug, Default)]
pub(in crate::engine) struct Names {
    taken: HashSet<String>,
    /// The last number that was tried behind a name.
    numbers: HashMap<String, u32>,
}

impl Names {
    /// Names that are taken already.
    pub(in crate::engine) fn taken<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            taken: names.into_iter().map(str::to_owned).collect(),
            numbers: HashMap::new(),
        }
    }

    /// A name that fits the protocol's pattern and that no other function has, as near to the wanted one as can be;
    /// `other` stands for one of which nothing is left.
    pub(in crate::engine) fn make(&mut self, prefix: &str, wanted: &str, other: &str) -> String {
        let mut name = String::with_capacity(prefix.len() + wanted.len());
        name.push_str(prefix);
        let begun = name.len();
        for character in words::fold(wanted, false).chars() {
            if character.is_ascii_alphanumeric() || character == '$' {
                name.push(character);
            } else if name.len() > begun && !name.ends_with('_') {
                name.push('_');
            }
        }
        name.truncate(LONGEST);
        name.truncate(name.trim_end_matches('_').len().max(begun));
        let first = name.as_bytes().get(begun);
        if first.is_none() || (begun == 0 && first.is_some_and(u8::is_ascii_digit)) {
            name.insert_str(begun, other);
            name.truncate(LONGEST);
        }
        let mut unique = name.clone();
        while !self.taken.insert(unique.clone()) {
            let number = self.numbers.entry(name.clone()).or_insert(1);
            *number += 1;
            let suffix = format!("_{number}");
            unique.clone_from(&name);
            unique.truncate(LONGEST - suffix.len());
            unique.push_str(&suffix);
        }
        unique
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_valid_and_given_once() {
        let mut names = Names::taken(["taken"]);
        for (prefix, wanted, expected) in [
            ("search_", "Employee Handbook", "search_Employee_Handbook"),
            ("search_", "Employee Handbook", "search_Employee_Handbook_2"),
            ("search_", "", "search_dataset"),
            ("search_", "手册", "search_dataset_2"),
            ("search_", "2024", "search_2024"),
            ("", "taken", "taken_2"),
            ("", "  Übersetzen / ins Deutsche! ", "Ubersetzen_ins_Deutsche"),
            ("", "_private", "private"),
            ("", "3 ideas", "dataset3_ideas"),
            ("", "?!", "dataset"),
            ("", "a__b", "a_b"),
        ] {
            assert_eq!(names.make(prefix, wanted, "dataset"), expected, "{wanted:?}");
        }
        let long = names.make("search_", &"x".repeat(100), "dataset");
        let longer = names.make("search_", &"x".repeat(100), "dataset");
        assert_eq!((long.len(), longer.len()), (LONGEST, LONGEST));
        assert_ne!(long, longer);
    }

    #[test]
    fn many_of_the_same_name_are_numbered_one_after_the_other() {
        let mut names = Names::taken(["same_3"]);
        let made: Vec<String> = (0..50_000).map(|_| names.make("", "same", "other")).collect();
        assert_eq!(made[..4], ["same", "same_2", "same_4", "same_5"]);
        assert_eq!(made.last().map(String::as_str), Some("same_50001"));
    }
}
