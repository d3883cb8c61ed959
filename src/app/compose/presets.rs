//! Presets: which one holds, the list to pick from, and `/preset NAME` typed in front of a prompt.

use crate::config::nearest;
use crate::text::sanitise_line;
use crate::wire::CompleteRequest;
use crate::wire::request::Limits;

use super::super::picker::{Entry, Picker, Purpose};
use super::super::state::{App, Overlay};
use super::super::update::{complain, say};

/// What prompts are sent with where no preset was chosen and none is the default.
pub const SERVERS_OWN: &str = "default";

/// What a prompt is sent with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The model; the server's own when absent.
    pub model: Option<String>,
    /// The bot's character.
    pub backstory: Option<String>,
    /// The configured functions that go along; `None`: all of them.
    pub functions: Option<Vec<String>>,
    /// The most model calls.
    pub iterations: Option<u64>,
    /// The most function calls.
    pub calls: Option<u64>,
}

impl Preset {
    /// Writes it into a request.
    pub(super) fn fill(&self, request: &mut CompleteRequest) {
        request.model.clone_from(&self.model);
        request.backstory.clone_from(&self.backstory);
        if self.iterations.is_some() || self.calls.is_some() {
            request.limits = Some(Limits {
                iterations: self.iterations,
                continuations: None,
                calls: self.calls,
            });
        }
    }

    /// What it sets, in a few words, for the list to pick from.
    fn detail(&self) -> String {
        let parts: Vec<&str> = [self.description.as_deref(), self.model.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        sanitise_line(&parts.join(" · ")).into_owned()
    }
}

impl App {
    /// The name of the preset that prompts are sent with.
    #[must_use]
    pub fn preset_name(&self) -> &str {
        let settings = &self.settings.compose;
        self.compose
            .preset
            .as_deref()
            .filter(|name| *name == SERVERS_OWN || find(self, name).is_some())
            .or(settings.default_preset.as_deref())
            .unwrap_or(SERVERS_OWN)
    }
}

/// The preset of a name, if the configuration has it.
pub(in crate::app) fn find<'a>(app: &'a App, name: &str) -> Option<&'a Preset> {
    app.settings.compose.presets.iter().find(|preset| preset.name == name)
}

/// Opens the list of presets.
pub(super) fn open(app: &mut App) {
    let current = app.preset_name().to_owned();
    let mut entries: Vec<Entry> = Vec::new();
    if find(app, SERVERS_OWN).is_none() {
        entries.push(Entry {
            text: SERVERS_OWN.to_owned(),
            detail: "the server's own model and bounds".to_owned(),
            right: String::new(),
            value: SERVERS_OWN.to_owned(),
        });
    }
    entries.extend(app.settings.compose.presets.iter().map(|preset| Entry {
        text: sanitise_line(&preset.name).into_owned(),
        detail: preset.detail(),
        right: String::new(),
        value: preset.name.clone(),
    }));
    let mut cursor = 0;
    for (at, entry) in entries.iter_mut().enumerate() {
        if entry.value == current {
            "in use".clone_into(&mut entry.right);
            cursor = at;
        }
    }
    let mut picker = Picker::new(Purpose::Preset, "presets", "Type to narrow", entries);
    picker.cursor = cursor;
    app.overlay = Some(Overlay::Pick(picker));
}

/// Takes a preset by its name; `false`: there is none of this name, and that was said.
pub(in crate::app) fn choose(app: &mut App, name: &str) -> bool {
    if name != SERVERS_OWN && find(app, name).is_none() {
        let known = app.settings.compose.presets.iter().map(|preset| preset.name.as_str());
        let near = nearest(name, known.chain([SERVERS_OWN]));
        let shown = sanitise_line(name);
        let text = match near {
            Some(near) => format!("There is no preset {shown}; did you mean {near}?"),
            None if app.settings.compose.presets.is_empty() => {
                format!("There is no preset {shown}: the configuration has none; a section [presets.NAME] makes one")
            }
            None => format!("There is no preset {shown}; /preset alone lists those there are"),
        };
        complain(app, text);
        return false;
    }
    app.compose.preset = Some(name.to_owned());
    super::super::update::save_later(app);
    say(app, format!("Prompts are sent with the preset {}", sanitise_line(name)));
    true
}

/// What `/preset` in front of a text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// It is not there.
    None,
    /// The list is to be shown.
    List,
    /// This preset is to be taken; what follows is a prompt, or nothing.
    Take(&'a str, &'a str),
}

/// Reads `/preset` in front of a text.
pub(super) fn command(text: &str) -> Command<'_> {
    let Some(rest) = text.trim_start().strip_prefix("/preset") else {
        return Command::None;
    };
    if rest.chars().next().is_some_and(|c| !c.is_whitespace()) {
        return Command::None;
    }
    let rest = rest.trim();
    if rest.is_empty() {
        return Command::List;
    }
    match rest.split_once(char::is_whitespace) {
        Some((name, prompt)) => Command::Take(name, prompt.trim_start()),
        None => Command::Take(rest, ""),
    }
}

/// A preset was picked from the list.
pub(in crate::app) fn picked(app: &mut App, name: &str) {
    choose(app, name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preset_in_front_of_a_text_is_read() {
        for (text, command_is) in [
            ("a prompt", Command::None),
            ("see /preset fast", Command::None),
            ("/presets are nice", Command::None),
            ("/preset", Command::List),
            (" /preset \n", Command::List),
            ("/preset fast", Command::Take("fast", "")),
            (
                "/preset fast which one?\nand why",
                Command::Take("fast", "which one?\nand why"),
            ),
            ("/preset fast\n  why", Command::Take("fast", "why")),
        ] {
            assert_eq!(command(text), command_is, "{text:?}");
        }
    }

    #[test]
    fn a_preset_sets_what_it_names_and_nothing_else() {
        let mut request = CompleteRequest::prompt("x");
        Preset::default().fill(&mut request);
        assert_eq!(request, CompleteRequest::prompt("x"));
        let preset = Preset {
            model: Some("m".into()),
            calls: Some(3),
            ..Preset::default()
        };
        preset.fill(&mut request);
        assert_eq!(request.model.as_deref(), Some("m"));
        let limits = request.limits.expect("limits");
        assert_eq!((limits.iterations, limits.calls), (None, Some(3)));
    }
}
