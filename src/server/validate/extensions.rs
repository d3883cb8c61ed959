//! What `contactId` and `extensions` must hold (PROTOCOL, "complete").
//!
//! Shapes alone: which datasets, skillsets and features there are is the engine's to know.

use serde_json::Value;

use super::{items, known_fields, only_objects};
use crate::server::error::Refusal;
use crate::wire::Object;
use crate::wire::request::Extensions;

/// What a contact may be told by.
const PERSON: [&str; 7] = ["fingerprint", "name", "description", "email", "phone", "nick", "meta"];

/// Whether the fields of `contactId` and `extensions` are known ones and the contact is one.
pub(super) fn fields(fields: &Object) -> Result<(), Refusal> {
    if let Some(contact) = fields.get("contactId") {
        check_contact(contact)?;
    }
    let extensions = match fields.get("extensions") {
        Some(Value::Object(extensions)) => extensions,
        Some(_) => return Err(Refusal::bad_request("`extensions` is an object")),
        None => return Ok(()),
    };
    let known = ["backstory", "datasets", "skillsets", "features"];
    known_fields(extensions, "extensions.", &known)?;
    for name in ["datasets", "skillsets", "features"] {
        only_objects(extensions, "extensions.", name)?;
    }
    for (index, dataset) in items(extensions, "datasets") {
        let path = format!("extensions.datasets[{index}].");
        known_fields(dataset, &path, &["name", "description", "records"])?;
        only_objects(dataset, &path, "records")?;
        for (record, fields) in items(dataset, "records") {
            known_fields(fields, &format!("{path}records[{record}]."), &["text", "meta"])?;
        }
    }
    for (index, skillset) in items(extensions, "skillsets") {
        let path = format!("extensions.skillsets[{index}].");
        known_fields(skillset, &path, &["name", "description", "abilities"])?;
        only_objects(skillset, &path, "abilities")?;
        for (ability, fields) in items(skillset, "abilities") {
            let path = format!("{path}abilities[{ability}].");
            let known = ["name", "description", "instruction", "secretId", "meta"];
            known_fields(fields, &path, &known)?;
            // A secret is of no use to a model that may not see it, and nothing here could show it to anybody else.
            if fields.get("secretId").is_some_and(|secret| !secret.is_null()) {
                return Err(Refusal::not_implemented(&format!("{path}secretId")));
            }
        }
    }
    for (index, feature) in items(extensions, "features") {
        known_fields(feature, &format!("extensions.features[{index}]."), &["name", "options"])?;
    }
    Ok(())
}

fn check_contact(contact: &Value) -> Result<(), Refusal> {
    let refused = |field: &str, reason: &str| Err(Refusal::bad_request(format!("`contactId{field}`: {reason}")));
    let person = match contact {
        Value::String(id) if id.trim().is_empty() => return refused("", "an empty text names nobody"),
        Value::String(_) => return Ok(()),
        Value::Object(person) => person,
        _ => return refused("", "a contact is a text, or an object with a `fingerprint`"),
    };
    known_fields(person, "contactId.", &PERSON)?;
    for name in PERSON {
        match person.get(name) {
            None | Some(Value::Null) if name == "fingerprint" => {
                return refused(
                    ".fingerprint",
                    "this is missing: it tells the contact apart from others",
                );
            }
            None | Some(Value::Null) => {}
            Some(Value::Object(_)) if name == "meta" => {}
            Some(Value::String(_)) if name != "meta" => {}
            Some(_) if name == "meta" => return refused(".meta", "this is an object"),
            Some(_) => return refused(&format!(".{name}"), "this is a text"),
        }
    }
    if person["fingerprint"]
        .as_str()
        .is_some_and(|text| text.trim().is_empty())
    {
        return refused(".fingerprint", "this is empty: it tells the contact apart from others");
    }
    Ok(())
}

/// Whether what the extensions hold can be used.
pub(super) fn check(extensions: &Extensions) -> Result<(), Refusal> {
    for (index, skillset) in extensions.skillsets.iter().enumerate() {
        for (at, ability) in skillset.abilities.iter().enumerate() {
            let texts = [
                ("name", &ability.name, "an ability needs a name"),
                (
                    "description",
                    &ability.description,
                    "an ability needs a description, for the model that decides to use it",
                ),
                (
                    "instruction",
                    &ability.instruction,
                    "an ability needs an instruction, for the model that carries it out",
                ),
            ];
            if let Some((field, _, reason)) = texts.iter().find(|(_, text, _)| text.trim().is_empty()) {
                return Err(Refusal::bad_request(format!(
                    "`extensions.skillsets[{index}].abilities[{at}].{field}`: {reason}"
                )));
            }
        }
    }
    Ok(())
}
