//! What a run is made ready with before its first model call: its bot, what it knows, what it can do, whom it talks to.
//!
//! It refuses what cannot be made ready and emits nothing. What it makes is the same whenever it is made again from the
//! same order and the same configuration, so that a run that is resumed has the same functions under the same names.

use std::borrow::Cow;
use std::sync::Arc;

use super::abilities::{Dataset, Names, Resolved, Skillset};
use super::own::Own;
use super::{Engine, Order, date};
use crate::wire::request::{Contact, Function, Person};
use crate::wire::{ApiError, CompleteRequest, ErrorCode};

/// Up to this many bytes, in all of a run's datasets together and as the model reads them, are given to the model whole; what is in
/// datasets beyond them it has to search.
pub(super) const WHOLE: usize = 8_000;

/// Functions, datasets, abilities and features of a run together, each of which may become a function of its model.
const MOST_FUNCTIONS: usize = 512;

/// The longest text about a contact that the model is told, in characters.
const LONGEST_ABOUT: usize = 2_000;

/// A run that is ready for its first model call.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    /// The request, with its bot's configuration in the place of the reference.
    pub(super) request: Cow<'a, CompleteRequest>,
    /// What the model is told after the backstory.
    pub(super) told: Vec<String>,
    /// The functions that the run carries out itself.
    pub(super) own: Vec<(Function, Own)>,
}

impl Ready<'_> {
    /// What a function is that the run carries out itself.
    pub(super) fn own(&self, name: &str) -> Option<&Own> {
        let found = self.own.iter().find(|(function, _)| function.name == name);
        found.map(|(_, own)| own)
    }
}

/// Whether what a request refers to and brings is not more than a model can choose from.
///
/// # Errors
/// `BAD_REQUEST`, with how many there are and may be.
pub(super) fn check(resolved: &Resolved) -> Result<(), ApiError> {
    let inline = resolved.request.extensions.as_ref();
    let (datasets, skillsets) = inline.map_or((&[][..], &[][..]), |inline| (&inline.datasets, &inline.skillsets));
    let stored: usize = resolved.skillsets.iter().map(|stored| stored.abilities().len()).sum();
    let brought: usize = skillsets.iter().map(|inline| inline.abilities.len()).sum();
    let datasets = resolved.datasets.len() + datasets.len();
    let count = resolved.request.functions.len() + datasets + stored + brought + resolved.features.len();
    if count <= MOST_FUNCTIONS {
        return Ok(());
    }
    let text = format!(
        "`functions`, datasets, abilities and features are {count} together, and a run has {MOST_FUNCTIONS} at most"
    );
    Err(ApiError::new(ErrorCode::BadRequest, text))
}

/// Makes an order ready.
///
/// # Errors
/// What is wrong with it, naming the field.
pub(super) fn ready<'a>(engine: &Engine, order: &'a Order) -> Result<Ready<'a>, ApiError> {
    let Resolved {
        request,
        mut datasets,
        mut skillsets,
        features,
    } = engine.catalog.resolve(&order.request, order.timezone.as_deref())?;
    if let Some(extensions) = &request.extensions {
        datasets.extend(extensions.datasets.iter().map(|inline| Arc::new(Dataset::from(inline))));
        skillsets.extend(
            extensions
                .skillsets
                .iter()
                .map(|inline| Arc::new(Skillset::from(inline))),
        );
    }
    let of_model = engine.model.builtin_functions(request.model.as_deref());
    let given = request.functions.iter().chain(&of_model);
    let mut names = Names::taken(given.map(|function| function.name.as_str()));
    let mut told = Vec::new();
    let mut own = Vec::new();
    told.extend(date::sentence(order));
    told.extend(request.contact_id.as_ref().and_then(about));
    let mut room = WHOLE;
    for dataset in datasets {
        if dataset.size() == 0 {
            continue;
        }
        if dataset.size() <= room {
            let whole = dataset.whole();
            if whole.len() <= room {
                room -= whole.len();
                told.push(whole);
                continue;
            }
        }
        own.push(Own::Search(dataset).named(&mut names));
    }
    for skillset in &skillsets {
        for ability in skillset.abilities() {
            let description = skillset.describe(ability);
            own.push(Own::Ability(description, ability.clone()).named(&mut names));
        }
    }
    for feature in features {
        own.push(Own::Feature(feature).named(&mut names));
    }
    Ok(Ready { request, told, own })
}

/// What the model is told of the person: what people call each other by, never what they are reached or tracked by.
fn about(contact: &Contact) -> Option<String> {
    let Contact::Person(person) = contact else {
        return None;
    };
    let Person {
        name,
        nick,
        description,
        ..
    } = person.as_ref();
    let line = |what: &str, text: &Option<String>| {
        let text = text.as_deref()?.split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = text.chars().take(LONGEST_ABOUT).collect();
        (!text.is_empty()).then(|| format!("\n{what}: {text}"))
    };
    let lines: String = [line("Name", name), line("Called", nick), line("About", description)]
        .into_iter()
        .flatten()
        .collect();
    (!lines.is_empty()).then(|| format!("The person you talk to:{lines}"))
}
