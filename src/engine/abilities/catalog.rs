//! What is stored on this server under an id, and what a request that names it means.
//!
//! It checks references and reads nothing: who fills the catalog has read it all before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::dataset::Dataset;
use super::feature;
use super::skillset::Skillset;
use crate::wire::request::{Feature, Function, Limits};
use crate::wire::{ApiError, CompleteRequest, ErrorCode};

/// A bot that is stored on this server: what a request may name instead of a configuration of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bot {
    /// Its model; the server's own when absent.
    pub model: Option<String>,
    /// Its character.
    pub backstory: Option<String>,
    /// Functions that it may call, besides those of the request.
    pub functions: Vec<Function>,
    /// The ids of what it knows.
    pub datasets: Vec<String>,
    /// The ids of what it can do.
    pub skillsets: Vec<String>,
    /// What the server does for it.
    pub features: Vec<Feature>,
    /// Bounds of its runs; a request may ask for less, not for more.
    pub limits: Limits,
    /// Whether its runs' texts are not kept when they have ended.
    pub privacy: bool,
    /// Whether what is said to it is moderated.
    pub moderation: bool,
}

/// What is stored on this server, by id. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    bots: HashMap<String, Arc<Bot>>,
    datasets: HashMap<String, Arc<Dataset>>,
    skillsets: HashMap<String, Arc<Skillset>>,
}

/// A request with what it refers to.
#[derive(Debug)]
pub(in crate::engine) struct Resolved<'a> {
    /// The request; of one that names a bot, with the bot's configuration in its place.
    pub(in crate::engine) request: Cow<'a, CompleteRequest>,
    /// The stored datasets.
    pub(in crate::engine) datasets: Vec<Arc<Dataset>>,
    /// The stored skillsets.
    pub(in crate::engine) skillsets: Vec<Arc<Skillset>>,
    /// The features of the bot and of the request.
    pub(in crate::engine) features: Vec<feature::Feature>,
}

impl Catalog {
    /// Adds a bot under an id; one that was there is replaced.
    pub fn bot(&mut self, id: impl Into<String>, bot: Bot) {
        self.bots.insert(id.into(), Arc::new(bot));
    }

    /// Adds a dataset under an id; one that was there is replaced.
    pub fn dataset(&mut self, id: impl Into<String>, dataset: Dataset) {
        self.datasets.insert(id.into(), Arc::new(dataset));
    }

    /// Adds a skillset under an id; one that was there is replaced.
    pub fn skillset(&mut self, id: impl Into<String>, skillset: Skillset) {
        self.skillsets.insert(id.into(), Arc::new(skillset));
    }

    /// How many bots, datasets and skillsets there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.bots.len(), self.datasets.len(), self.skillsets.len())
    }

    /// Puts what a request refers to in place of its references.
    ///
    /// # Errors
    /// `NOT_FOUND` for an id that leads nowhere, `NOT_IMPLEMENTED` for a feature that is not there, `BAD_REQUEST` for a
    /// function that the bot has too; each names the field.
    pub(in crate::engine) fn resolve<'a>(
        &self,
        request: &'a CompleteRequest,
        timezone: Option<&str>,
    ) -> Result<Resolved<'a>, ApiError> {
        let mut datasets = Vec::new();
        let mut skillsets = Vec::new();
        let mut features = Vec::new();
        let request = match &request.bot_id {
            None => Cow::Borrowed(request),
            Some(id) => {
                let bot = found(&self.bots, id, "botId", "bot")?;
                for id in &bot.datasets {
                    datasets.push(Arc::clone(found(&self.datasets, id, "botId", "dataset")?));
                }
                for id in &bot.skillsets {
                    skillsets.push(Arc::clone(found(&self.skillsets, id, "botId", "skillset")?));
                }
                features = feature::of(&bot.features, "botId", timezone)?;
                Cow::Owned(configured(request, bot)?)
            }
        };
        if let Some(id) = &request.dataset_id {
            datasets.push(Arc::clone(found(&self.datasets, id, "datasetId", "dataset")?));
        }
        if let Some(id) = &request.skillset_id {
            skillsets.push(Arc::clone(found(&self.skillsets, id, "skillsetId", "skillset")?));
        }
        if let Some(extensions) = &request.extensions {
            let asked = feature::of(&extensions.features, "extensions.features", timezone)?;
            // What the request says of a feature is nearer than what the bot says.
            features.retain(|known| asked.iter().all(|other| other.name() != known.name()));
            features.extend(asked);
        }
        Ok(Resolved {
            request,
            datasets,
            skillsets,
            features,
        })
    }
}

fn found<'a, T>(known: &'a HashMap<String, T>, id: &str, field: &str, what: &str) -> Result<&'a T, ApiError> {
    known.get(id).ok_or_else(|| {
        let id: String = id.chars().take(64).collect();
        ApiError::new(
            ErrorCode::NotFound,
            format!("`{field}`: there is no {what} {id:?} on this server"),
        )
    })
}

/// A request with a bot's configuration in place of the reference.
fn configured(request: &CompleteRequest, bot: &Bot) -> Result<CompleteRequest, ApiError> {
    let taken = |name: &str| bot.functions.iter().any(|function| function.name == name);
    if let Some(at) = request.functions.iter().position(|function| taken(&function.name)) {
        return Err(ApiError::new(
            ErrorCode::BadRequest,
            format!("`functions[{at}].name`: the bot has a function of this name"),
        ));
    }
    // The request's come first, so that what is said of them names their places.
    let mut functions = request.functions.clone();
    functions.extend(bot.functions.iter().cloned());
    Ok(CompleteRequest {
        messages: request.messages.clone(),
        model: bot.model.clone(),
        backstory: bot.backstory.clone(),
        privacy: Some(bot.privacy),
        moderation: Some(bot.moderation),
        functions,
        limits: Some(fewest(request.limits.as_ref(), &bot.limits)),
        bot_id: request.bot_id.clone(),
        dataset_id: None,
        skillset_id: None,
        attachments: request.attachments.clone(),
        contact_id: request.contact_id.clone(),
        extensions: request.extensions.clone(),
    })
}

fn fewest(asked: Option<&Limits>, limits: &Limits) -> Limits {
    let asked = asked.cloned().unwrap_or_default();
    let fewer = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    Limits {
        iterations: fewer(asked.iterations, limits.iterations),
        continuations: fewer(asked.continuations, limits.continuations),
        calls: fewer(asked.calls, limits.calls),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ability, Record};
    use super::*;
    use serde_json::{Value, json};

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        let functions = json!([{"name": "approve", "description": "d"}]);
        catalog.bot(
            "support",
            Bot {
                model: Some("m".into()),
                backstory: Some("You are calm.".into()),
                functions: serde_json::from_value(functions).expect("functions"),
                datasets: vec!["handbook".into()],
                skillsets: vec!["writing".into()],
                features: vec![Feature {
                    name: "time".into(),
                    options: None,
                }],
                limits: Limits {
                    iterations: Some(3),
                    calls: Some(9),
                    continuations: None,
                },
                privacy: true,
                moderation: false,
            },
        );
        catalog.dataset(
            "handbook",
            Dataset::new("handbook".to_owned(), None, vec![Record::text("a")]),
        );
        let ability = Ability {
            name: "n".into(),
            description: "d".into(),
            instruction: "i".into(),
            meta: None,
        };
        catalog.skillset("writing", Skillset::new(None, None, vec![ability]));
        catalog
    }

    fn request(fields: Value) -> CompleteRequest {
        let mut body = json!({"messages": [{"type": "user", "text": "hi"}]});
        for (name, value) in fields.as_object().expect("an object") {
            body[name] = value.clone();
        }
        serde_json::from_value(body).expect("a request")
    }

    #[test]
    fn a_bots_configuration_stands_in_the_place_of_its_id() {
        let request = request(json!({
            "botId": "support", "limits": {"iterations": 5, "calls": 2},
            "functions": [{"name": "other", "description": "d"}],
            "extensions": {"features": [{"name": "time", "options": {"timezone": "Asia/Tokyo"}}]},
        }));
        let catalog = catalog();
        let resolved = catalog.resolve(&request, None).expect("it is there");
        let names: Vec<&str> = resolved.request.functions.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["other", "approve"]);
        assert_eq!(resolved.request.model.as_deref(), Some("m"));
        assert_eq!(resolved.request.backstory.as_deref(), Some("You are calm."));
        assert_eq!(resolved.request.privacy, Some(true));
        let limits = resolved.request.limits.clone().expect("limits");
        assert_eq!(
            (limits.iterations, limits.calls, limits.continuations),
            (Some(3), Some(2), None)
        );
        let count = (
            resolved.datasets.len(),
            resolved.skillsets.len(),
            resolved.features.len(),
        );
        assert_eq!(count, (1, 1, 1));
    }

    #[test]
    fn a_reference_that_leads_nowhere_names_its_field() {
        let catalog = catalog();
        for (fields, code, named) in [
            (
                json!({"botId": "x"}),
                ErrorCode::NotFound,
                "`botId`: there is no bot \"x\"",
            ),
            (json!({"datasetId": "x"}), ErrorCode::NotFound, "`datasetId`"),
            (json!({"skillsetId": "x"}), ErrorCode::NotFound, "`skillsetId`"),
            (
                json!({"extensions": {"features": [{"name": "time"}, {"name": "browse"}]}}),
                ErrorCode::NotImplemented,
                "`extensions.features[1].name`",
            ),
            (
                json!({"botId": "support", "functions": [{"name": "approve", "description": "d"}]}),
                ErrorCode::BadRequest,
                "`functions[0].name`",
            ),
        ] {
            let request = request(fields);
            let error = catalog.resolve(&request, None).expect_err(named);
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(named), "{error}");
        }
        let long = request(json!({"botId": "x".repeat(100_000)}));
        let error = catalog.resolve(&long, None).expect_err("it is not there");
        assert!(error.message.len() < 200, "{error}");
        for fields in [json!({}), json!({"datasetId": "handbook", "skillsetId": "writing"})] {
            assert!(catalog.resolve(&request(fields), None).is_ok());
        }
    }
}
