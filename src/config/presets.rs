//! Presets: what a prompt is sent with, by name. Only what a dispatch can carry stands here; whether a
//! server offers a model is for the server to say.

use indexmap::IndexMap;
use serde::Deserialize;
use toml::Spanned;

use super::error::nearest;
use super::value;

/// What a prompt is sent with.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PresetConfig {
    /// What it is for, in a few words, for the list to pick from.
    pub description: Option<String>,
    /// The model, by the name that the server knows it by; the server's own when absent.
    #[serde(deserialize_with = "value::filled")]
    pub model: Option<String>,
    /// The bot's character.
    #[serde(deserialize_with = "value::filled")]
    pub backstory: Option<String>,
    /// The configured functions that go along; all of them when absent.
    pub functions: Option<Vec<Spanned<String>>>,
    /// Bounds of the run.
    pub limits: PresetLimits,
}

/// Bounds of a run that a preset asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PresetLimits {
    /// Model calls.
    #[serde(deserialize_with = "value::count")]
    pub iterations: Option<u64>,
    /// Function calls.
    #[serde(deserialize_with = "value::count")]
    pub calls: Option<u64>,
}

/// What is wrong with the presets among each other: where, and what was expected.
pub(super) fn check(
    presets: &IndexMap<Spanned<String>, PresetConfig>,
    default: Option<&Spanned<String>>,
    functions: &[&str],
) -> Result<(), (std::ops::Range<usize>, String)> {
    for name in presets.values().flat_map(|preset| preset.functions.iter().flatten()) {
        if !functions.contains(&name.get_ref().as_str()) {
            let names = || functions.iter().copied();
            return Err((name.span(), unknown("function", "functions", name.get_ref(), names)));
        }
    }
    for name in presets.keys() {
        let text = name.get_ref();
        if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err((
                name.span(),
                format!(
                    "{text:?} is no name of a preset, expected one without blanks, so that `/preset NAME` can be typed"
                ),
            ));
        }
    }
    if let Some(name) = default
        && !presets.keys().any(|known| known.get_ref() == name.get_ref())
    {
        let names = || presets.keys().map(|name| name.get_ref().as_str());
        return Err((name.span(), unknown("preset", "presets", name.get_ref(), names)));
    }
    Ok(())
}

/// What to say about a name that the file does not have, and the section that it would stand in.
pub(super) fn unknown<'a, I: IntoIterator<Item = &'a str>>(
    what: &str,
    section: &str,
    name: &str,
    names: impl Fn() -> I,
) -> String {
    let mut list: Vec<String> = names().into_iter().map(|name| format!("`{name}`")).collect();
    list.sort_unstable();
    if list.is_empty() {
        return format!("there is no {what} `{name}`, expected a section [{section}.{name}]");
    }
    let list = list.join(", ");
    match nearest(name, names()) {
        Some(near) => format!("there is no {what} `{name}`; did you mean `{near}`? (expected one of {list})"),
        None => format!("there is no {what} `{name}`, expected one of {list}"),
    }
}
