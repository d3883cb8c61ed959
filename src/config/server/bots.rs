//! Bots of the server: configurations that a request may name with `botId`.

use std::collections::HashSet;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;
use toml::Spanned;

use super::super::functions::{self, Schema};
use super::super::presets;
use super::super::value;
use super::ServerConfig;
use crate::wire::ChannelId;

/// A configuration that a request may name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BotConfig {
    /// Its model; the server's own when absent.
    #[serde(deserialize_with = "value::filled")]
    pub model: Option<String>,
    /// Its character.
    #[serde(deserialize_with = "value::filled")]
    pub backstory: Option<String>,
    /// The names of datasets that it knows.
    pub datasets: Vec<Spanned<String>>,
    /// The names of skillsets that it has.
    pub skillsets: Vec<Spanned<String>>,
    /// What the server does for it.
    pub features: Vec<FeatureName>,
    /// Whether the texts of its runs go when they have ended.
    pub privacy: bool,
    /// Whether what is said to it is moderated.
    pub moderation: bool,
    /// Bounds of its runs.
    pub limits: BotLimits,
    /// Functions that it may call, besides those of the request.
    pub functions: Vec<Spanned<BotFunction>>,
}

/// What the server can do for a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureName {
    /// It can ask for the time.
    Time,
}

impl FeatureName {
    /// The name as requests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Time => "time",
        }
    }
}

/// Bounds of a bot's runs; the server's own where absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BotLimits {
    /// Model calls.
    #[serde(deserialize_with = "value::count")]
    pub iterations: Option<u64>,
    /// Continuations after an answer that ran into the model's longest.
    #[serde(deserialize_with = "value::count")]
    pub continuations: Option<u64>,
    /// Function calls.
    #[serde(deserialize_with = "value::count")]
    pub calls: Option<u64>,
}

/// A function of a bot, as requests define theirs (PROTOCOL, "Functions").
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BotFunction {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// What it is called with.
    #[serde(deserialize_with = "functions::parameters")]
    pub parameters: Option<Schema>,
    /// Where its result comes from; the request's caller handles it when absent.
    pub result: Option<BotFunctionResult>,
    /// When it is called without the model's choice.
    pub call: BotFunctionCall,
}

/// Where the result of a bot's function comes from. Both given: the channel decides.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BotFunctionResult {
    /// This value.
    pub data: Option<Value>,
    /// What is published on this channel of the run's account.
    #[serde(deserialize_with = "channel")]
    pub channel: Option<ChannelId>,
}

/// When a bot's function is called without the model's choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BotFunctionCall {
    /// First of all.
    pub start: bool,
    /// Last of all.
    pub end: bool,
}

impl BotFunction {
    /// What is wrong with it by itself, and what was expected.
    pub(super) fn problem(&self) -> Option<String> {
        let name = &self.name;
        if name.is_empty() {
            return Some("a function without a name, expected `name = \"…\"`".to_owned());
        }
        if !functions::is_name(name) {
            return Some(functions::no_name(name));
        }
        if self.description.trim().is_empty() {
            return Some(functions::no_description(name));
        }
        let nowhere = |result: &BotFunctionResult| result.data.is_none() && result.channel.is_none();
        self.result.as_ref().is_some_and(nowhere).then(|| {
            format!(
                "the result of function `{name}` comes from nowhere, expected `data = …` or `channel = \"…\"`, or no \
                 `result` at all"
            )
        })
    }
}

/// Whether bots, datasets and skillsets fit together and are complete. `Err`: where, and what is wrong.
pub(super) fn check(config: &ServerConfig) -> Result<(), (Range<usize>, String)> {
    for (name, dataset) in &config.datasets {
        name_of("dataset", name)?;
        if dataset.records.is_empty() && dataset.files.is_empty() {
            let name_only = name.get_ref();
            return Err((
                name.span(),
                format!("dataset `{name_only}` holds nothing, expected `records = […]` or `files = […]`"),
            ));
        }
    }
    for (name, skillset) in &config.skillsets {
        name_of("skillset", name)?;
        let of = name.get_ref();
        if skillset.abilities.is_empty() {
            return Err((
                name.span(),
                format!("skillset `{of}` can do nothing, expected a section [[server.skillsets.{of}.abilities]]"),
            ));
        }
        for ability in &skillset.abilities {
            if let Some(missing) = ability.get_ref().missing() {
                return Err((
                    ability.span(),
                    format!("an ability of skillset `{of}` without {missing}, expected `{missing} = \"…\"`"),
                ));
            }
        }
    }
    for (name, bot) in &config.bots {
        name_of("bot", name)?;
        for dataset in &bot.datasets {
            there("dataset", dataset, || config.datasets.keys().map(Spanned::get_ref))?;
        }
        for skillset in &bot.skillsets {
            there("skillset", skillset, || config.skillsets.keys().map(Spanned::get_ref))?;
        }
        let mut names = HashSet::new();
        for function in &bot.functions {
            if let Some(problem) = function.get_ref().problem() {
                return Err((function.span(), problem));
            }
            let named = &function.get_ref().name;
            if !names.insert(named) {
                return Err((
                    function.span(),
                    format!(
                        "bot `{}` has two functions `{named}`, expected one of each name",
                        name.get_ref()
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn name_of(what: &str, name: &Spanned<String>) -> Result<(), (Range<usize>, String)> {
    let text = name.get_ref();
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err((
            name.span(),
            format!("{text:?} is no name of a {what}, expected one that requests can give, such as \"support\""),
        ));
    }
    Ok(())
}

fn there<'a, I: Iterator<Item = &'a String>>(
    what: &str,
    name: &Spanned<String>,
    names: impl Fn() -> I,
) -> Result<(), (Range<usize>, String)> {
    if names().any(|known| known == name.get_ref()) {
        return Ok(());
    }
    let names = || names().map(String::as_str);
    let section = format!("server.{what}s");
    Err((name.span(), presets::unknown(what, &section, name.get_ref(), names)))
}

fn channel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ChannelId>, D::Error> {
    let text = String::deserialize(deserializer)?;
    // It may be a secret, and is not repeated.
    ChannelId::parse(&text).map(Some).map_err(|error| {
        D::Error::custom(format!(
            "{error}, expected the id of a channel, such as 24 random letters"
        ))
    })
}
