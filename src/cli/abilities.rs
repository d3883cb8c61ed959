//! The bots, datasets and skillsets of the configuration, read for the server.
//!
//! Files are read here, once, when the server starts. What they are used for is the engine's.

use std::path::Path;

use super::exit::Failure;
use crate::config::{BotConfig, BotFunction, DatasetConfig, ServerConfig, SkillsetConfig};
use crate::engine::Engine;
use crate::engine::abilities::{Ability, Bot, Catalog, Dataset, Record, Skillset, read};
use crate::wire::CompleteRequest;
use crate::wire::request::{Feature, Function, FunctionCall, FunctionResult, Limits};

/// The most text of all datasets together, in bytes: all of it is kept in memory, with its words.
const MOST_TEXT: usize = 256 << 20;

/// Everything that requests may name.
///
/// # Errors
/// When a dataset's file cannot be read, naming the dataset, the file and the line.
pub(super) fn catalog(config: &ServerConfig) -> Result<Catalog, Failure> {
    let mut catalog = Catalog::default();
    let mut text = 0;
    for (name, dataset) in &config.datasets {
        let name = name.get_ref();
        let dataset = self::dataset(name, dataset, read)?;
        text += dataset.size();
        if text > MOST_TEXT {
            return Err(Failure::usage(format!(
                "the datasets up to `{name}` hold more than {} MiB of text together, the most that is kept in memory",
                MOST_TEXT >> 20
            )));
        }
        catalog.dataset(name, dataset);
    }
    for (name, skillset) in &config.skillsets {
        catalog.skillset(name.get_ref(), self::skillset(name.get_ref(), skillset));
    }
    for (name, bot) in &config.bots {
        catalog.bot(name.get_ref(), self::bot(bot));
    }
    Ok(catalog)
}

/// Whether every bot can be used: its model is there, and what it needs of the rest of the configuration.
///
/// # Errors
/// When one cannot, naming it; each of its requests would be refused.
pub(super) fn check(config: &ServerConfig, engine: &Engine) -> Result<(), Failure> {
    for name in config.bots.keys().map(toml::Spanned::get_ref) {
        let request = CompleteRequest {
            bot_id: Some(name.clone()),
            ..CompleteRequest::prompt("")
        };
        engine.check(&request.into()).map_err(|error| {
            Failure::usage(format!(
                "the bot `{name}` of [server.bots] cannot be used: {}",
                error.message
            ))
        })?;
    }
    Ok(())
}

fn dataset<E: std::fmt::Display>(
    name: &str,
    config: &DatasetConfig,
    read: impl Fn(&Path) -> Result<Vec<Record>, E>,
) -> Result<Dataset, Failure> {
    let mut records: Vec<Record> = config.records.iter().map(Record::text).collect();
    for path in &config.files {
        let more = read(path).map_err(|error| {
            Failure::usage(format!(
                "the dataset `{name}` of [server.datasets] cannot be read: {error}"
            ))
        })?;
        records.extend(more);
    }
    let dataset = Dataset::new(name.to_owned(), config.description.clone(), records);
    dataset.warm();
    Ok(dataset)
}

fn skillset(name: &str, config: &SkillsetConfig) -> Skillset {
    let abilities = config.abilities.iter().map(|ability| {
        let ability = ability.get_ref();
        Ability {
            name: ability.name.clone(),
            description: ability.description.clone(),
            instruction: ability.instruction.clone(),
            meta: None,
        }
    });
    Skillset::new(Some(name.to_owned()), config.description.clone(), abilities.collect())
}

fn bot(config: &BotConfig) -> Bot {
    let names = |names: &[toml::Spanned<String>]| names.iter().map(|name| name.get_ref().clone()).collect();
    Bot {
        model: config.model.clone(),
        backstory: config.backstory.clone(),
        functions: config
            .functions
            .iter()
            .map(|function| self::function(function.get_ref()))
            .collect(),
        datasets: names(&config.datasets),
        skillsets: names(&config.skillsets),
        features: config
            .features
            .iter()
            .map(|feature| Feature {
                name: feature.as_str().to_owned(),
                options: None,
            })
            .collect(),
        limits: Limits {
            iterations: config.limits.iterations,
            continuations: config.limits.continuations,
            calls: config.limits.calls,
        },
        privacy: config.privacy,
        moderation: config.moderation,
    }
}

fn function(config: &BotFunction) -> Function {
    let called = config.call.start || config.call.end;
    Function {
        name: config.name.clone(),
        description: config.description.clone(),
        parameters: config.parameters.as_ref().map(|schema| schema.json().clone()),
        result: config.result.as_ref().map(|result| FunctionResult {
            data: result.data.clone(),
            channel: result.channel.clone(),
        }),
        call: called.then_some(FunctionCall {
            start: Some(config.call.start),
            end: Some(config.call.end),
        }),
    }
}
