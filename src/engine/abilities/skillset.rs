//! Skillsets: abilities that a bot has, each of which becomes a function of its model.
//!
//! What an ability asks of the model that carries it out is in `own`.

use crate::wire::Object;
use crate::wire::request::InlineSkillset;

/// Something that a bot can do: an instruction that a model of its own carries out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ability {
    /// Its name; a function's name is made of it.
    pub name: String,
    /// What it does, for the model that decides to use it.
    pub description: String,
    /// What is to be done, for the model that does it.
    pub instruction: String,
    /// What else is known about it, for those who watch.
    pub meta: Option<Object>,
}

/// Abilities that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skillset {
    name: Option<String>,
    description: Option<String>,
    abilities: Vec<Ability>,
}

impl Skillset {
    /// A skillset; its name and description are for the model.
    #[must_use]
    pub fn new(name: Option<String>, description: Option<String>, abilities: Vec<Ability>) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        Self {
            name: filled(name),
            description: filled(description),
            abilities,
        }
    }

    /// What it can do.
    #[must_use]
    pub fn abilities(&self) -> &[Ability] {
        &self.abilities
    }

    /// What the model is told that an ability does.
    #[must_use]
    pub fn describe(&self, ability: &Ability) -> String {
        let mut text = ability.description.trim().to_owned();
        let around = match (&self.name, &self.description) {
            (Some(name), Some(description)) => format!("{name}: {description}"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => return text,
        };
        text.push_str(" (");
        text.push_str(around.trim());
        text.push(')');
        text
    }
}

impl From<&InlineSkillset> for Skillset {
    fn from(inline: &InlineSkillset) -> Self {
        let abilities = inline.abilities.iter().map(|ability| Ability {
            name: ability.name.clone(),
            description: ability.description.clone(),
            instruction: ability.instruction.clone(),
            meta: ability.meta.clone(),
        });
        Self::new(inline.name.clone(), inline.description.clone(), abilities.collect())
    }
}
