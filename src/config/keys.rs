//! The section `[keys]`: which keys do what, by the names of actions.
//!
//! It reads names and keys with their places in the file; which names and keys there are is for `cli` to say, since the
//! action table is the terminal program's.

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use toml::Spanned;

/// Keys by action; only what is to be other than the default.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct KeysConfig {
    /// What stands in the file, in its order.
    pub actions: IndexMap<Spanned<String>, KeyList>,
}

/// One key or several; none takes the action's keys away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyList(pub Vec<Spanned<String>>);

impl<'de> Deserialize<'de> for KeyList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A key alone has a place in the file too, which an untagged enum would lose.
        let value = Spanned::<OneOrMany>::deserialize(deserializer)?;
        let span = value.span();
        Ok(match value.into_inner() {
            OneOrMany::One(key) => Self(vec![Spanned::new(span, key)]),
            OneOrMany::Many(keys) => Self(keys),
        })
    }
}

enum OneOrMany {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key such as \"Ctrl-K\", or a list of keys; an empty list takes the key away")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut keys: A) -> Result<OneOrMany, A::Error> {
        let mut list = Vec::new();
        while let Some(key) = keys.next_element()? {
            list.push(key);
        }
        Ok(OneOrMany::Many(list))
    }
}
