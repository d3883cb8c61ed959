//! Functions that a run carries out itself: searching a dataset, an ability of a skillset, a feature.
//!
//! None of them does anything outside of the run, so a run that is resumed in the middle of one just does it again.
//! It emits nothing; `run` tells when they begin and end.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::abilities::{Ability, Dataset, Feature, Names, border};
use super::functions::failure;
use super::iteration::estimate;
use super::json_bytes;
use crate::llm::{ChatMessage, Model, ModelError, ModelEvent, ModelRequest};
use crate::wire::Object;
use crate::wire::event::{Action, Usage};
use crate::wire::request::Function;

/// How long an ability may take.
const LONGEST_ABILITY: Duration = Duration::from_secs(5 * 60);
/// How much of what an ability gives goes to the model that asked for it, in bytes.
const LARGEST_RESULT: usize = 32 * 1024;
/// The largest `meta` of an ability that is told to those who watch, in bytes of its JSON.
const LARGEST_META: usize = 4 * 1024;

/// A function that the run carries out itself.
#[derive(Debug)]
pub(super) enum Own {
    /// Searches a dataset.
    Search(Arc<Dataset>),
    /// Has an instruction carried out by a model call of its own; with what the model is told that it does.
    Ability(String, Ability),
    /// What the server can do.
    Feature(Feature),
}

/// What a call gave.
#[derive(Debug)]
pub(super) struct Gave {
    /// The result, for the model.
    pub(super) result: Value,
    /// What it used, if a model was asked.
    pub(super) usage: Option<Usage>,
    /// Whether that is estimated.
    pub(super) estimated: bool,
}

impl Gave {
    /// A result for which no model was asked.
    pub(super) fn known(result: Value) -> Self {
        Self {
            result,
            usage: None,
            estimated: false,
        }
    }
}

impl Own {
    /// The function that the model calls it by.
    pub(super) fn named(self, names: &mut Names) -> (Function, Self) {
        let text = |name: &str, description: &str| {
            json!({
                "type": "object",
                "properties": {name: {"type": "string", "description": description}},
                "required": [name],
            })
        };
        let (name, description, parameters) = match &self {
            Self::Search(dataset) => (
                names.make("search_", dataset.name().unwrap_or_default(), "dataset"),
                dataset.describe(),
                text(
                    "query",
                    "What to look for, in a few words as they would stand in the text.",
                ),
            ),
            Self::Ability(description, ability) => (
                names.make("", &ability.name, "ability"),
                description.clone(),
                text(
                    "input",
                    "Everything that is needed to do it: whoever does it sees nothing of this conversation.",
                ),
            ),
            Self::Feature(feature) => (
                names.make("", feature.function(), "feature"),
                feature.description().to_owned(),
                feature.parameters(),
            ),
        };
        let function = Function {
            name,
            description,
            parameters: Some(parameters),
            result: None,
            call: None,
        };
        (function, self)
    }

    /// What it does, as `operationBegin` and `operationEnd` say it.
    pub(super) fn action(&self, id: &str, arguments: &Value) -> Action {
        let mut extra = Object::from_iter([("input".to_owned(), arguments.clone())]);
        if let Self::Ability(_, Ability { meta: Some(meta), .. }) = self
            && json_bytes(meta) <= LARGEST_META
        {
            extra.insert("meta".to_owned(), Value::Object(meta.clone()));
        }
        let (kind, name) = match self {
            Self::Search(dataset) => ("dataset", dataset.name().unwrap_or("dataset")),
            Self::Ability(_, ability) => ("skillset", ability.name.as_str()),
            Self::Feature(feature) => ("function", feature.name()),
        };
        Action {
            id: Some(json!(id)),
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            extra,
        }
    }

    /// Carries out a call. What goes wrong is a result too, so that the model can do better.
    pub(super) async fn carry_out(&self, arguments: &Value, model: &dyn Model, name: Option<&str>) -> Gave {
        match self {
            Self::Search(dataset) => {
                let Some(query) = arguments.get("query").and_then(Value::as_str) else {
                    return Gave::known(failure("`query` is missing: a text to look for"));
                };
                let (dataset, query) = (Arc::clone(dataset), query.to_owned());
                // Many records take a while, and other runs do not wait for it.
                let found = tokio::task::spawn_blocking(move || dataset.search(&query)).await;
                Gave::known(found.unwrap_or_else(|_| failure("the dataset could not be searched")))
            }
            Self::Ability(_, ability) => {
                let input = match arguments.get("input").and_then(Value::as_str) {
                    Some(input) if arguments.as_object().is_some_and(|all| all.len() == 1) => input.to_owned(),
                    _ => arguments.to_string(),
                };
                ask(ability, input, model, name).await
            }
            Self::Feature(feature) => Gave::known(feature.call(arguments, Timestamp::now())),
        }
    }
}

/// Has an ability's instruction carried out: one model call without functions, whose text is the result.
async fn ask(ability: &Ability, input: String, model: &dyn Model, name: Option<&str>) -> Gave {
    let mut stream = model.call(ModelRequest {
        model: name.map(str::to_owned),
        messages: vec![
            ChatMessage::System(ability.instruction.clone()),
            ChatMessage::User(input),
        ],
        ..ModelRequest::default()
    });
    let mut text = String::new();
    let mut pieces: u64 = 0;
    let mut used = None;
    let reading = async {
        while let Some(event) = stream.next().await {
            match event? {
                ModelEvent::Text(piece) => {
                    pieces += 1;
                    text.push_str(&piece);
                }
                ModelEvent::Reasoning(_) => pieces += 1,
                ModelEvent::Usage { model, input, output } => used = Some((model, input, output)),
                ModelEvent::ToolCall(_) | ModelEvent::Finish(_) => {}
            }
            // The model that asked for it has to read it all: giving up here is cheaper than reading on.
            if text.len() > LARGEST_RESULT || pieces > LARGEST_RESULT as u64 {
                break;
            }
        }
        Ok::<(), ModelError>(())
    };
    let outcome = timeout(LONGEST_ABILITY, reading).await;
    drop(stream);
    let result = match outcome {
        Ok(Ok(())) if text.trim().is_empty() => failure("this gave no answer"),
        Ok(Ok(())) => {
            let end = border(&text, LARGEST_RESULT);
            if end < text.len() {
                text.truncate(end);
                text.push_str(" … (cut here: it was too long)");
            }
            Value::String(text)
        }
        Ok(Err(error)) => failure(&error.to_string()),
        Err(_) => failure(&format!("this took longer than {} seconds", LONGEST_ABILITY.as_secs())),
    };
    let estimated = used.is_none();
    let (model, input, output) = used.unwrap_or_else(|| (name.unwrap_or_else(|| model.name()).to_owned(), 0, pieces));
    Gave {
        result,
        usage: Some(Usage {
            model: Some(model),
            input_tokens_used: input,
            output_tokens_used: output,
            extra: estimate(estimated),
        }),
        estimated,
    }
}
