//! Skillsets of the server: what bots and requests may be able to do by name.

use serde::Deserialize;
use toml::Spanned;

use super::super::value;

/// Abilities that belong together.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SkillsetConfig {
    /// What they are for, for the model.
    #[serde(deserialize_with = "value::filled")]
    pub description: Option<String>,
    /// What it can do.
    pub abilities: Vec<Spanned<AbilityConfig>>,
}

/// Something that a bot can do: an instruction that a model call of its own carries out.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AbilityConfig {
    /// Its name; a function's name is made of it.
    pub name: String,
    /// What it does, for the model that decides to use it.
    pub description: String,
    /// What is to be done, for the model that does it.
    pub instruction: String,
}

impl AbilityConfig {
    /// The first of its texts that is missing.
    pub(super) fn missing(&self) -> Option<&'static str> {
        let texts = [
            ("name", &self.name),
            ("description", &self.description),
            ("instruction", &self.instruction),
        ];
        let missing = texts.into_iter().find(|(_, text)| text.trim().is_empty());
        missing.map(|(name, _)| name)
    }
}
