//! What the configuration says of the terminal program, in the terms of its state.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::context::env;
use super::exit::Failure;
use crate::app::action::{self, Action, Key};
use crate::app::look::{self, Background};
use crate::app::notifications::{self, Way};
use crate::app::{Keymap, Settings, calls, compose, copying, recordings};
use crate::config::theme::Theme;
use crate::config::{
    BackgroundChoice, Config, Loaded, NotificationsConfig, NotifyChoice, PresetConfig, Problem, nearest,
};
use crate::term::background;
use crate::text::sanitise_line;

/// The settings of the terminal program, and what the person should know of them.
///
/// # Errors
/// When the configuration names something that does not exist or does not fit; with what to do.
pub(super) fn settings(loaded: &Loaded) -> Result<(Settings, Vec<Problem>), Failure> {
    let mut warnings = Vec::new();
    let settings = Settings {
        keymap: keymap(loaded, &mut warnings)?,
        copying: copying::Settings {
            mouse: loaded.config.ui.mouse,
            copy_on_select: loaded.config.ui.copy_on_select,
            utc_offset_seconds: jiff::Zoned::now().offset().seconds(),
        },
        calls: calls(&loaded.config),
        recordings: recording(&loaded.config),
        compose: compose(&loaded.config),
        look: look(loaded)?,
        notifications: notifications(&loaded.config.notifications),
        ..Settings::default()
    };
    Ok((settings, warnings))
}

/// The configured functions, and the name that answers are signed with.
fn calls(config: &Config) -> calls::Settings {
    calls::Settings {
        functions: config
            .functions
            .iter()
            .map(|(name, function)| (name.get_ref().clone(), Arc::new(function.get_ref().clone())))
            .collect(),
        device: config.device.clone().unwrap_or_else(host_name),
    }
}

/// The machine's own name, without its domain.
fn host_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let name = name.split('.').next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    if name.is_empty() || name == "localhost" {
        "this machine".to_owned()
    } else {
        name
    }
}

/// How much memory there is; where recordings go is the platform's matter, unless the file says so.
fn recording(config: &Config) -> recordings::Settings {
    recordings::Settings {
        memory: usize::try_from(config.memory.transcripts_mib.saturating_mul(1024 * 1024)).unwrap_or(usize::MAX),
        directory: config.recordings.directory.clone().unwrap_or_default(),
    }
}

/// The presets.
fn compose(config: &Config) -> compose::Settings {
    let preset = |(name, preset): (&toml::Spanned<String>, &PresetConfig)| compose::Preset {
        name: name.get_ref().clone(),
        description: preset.description.clone(),
        model: preset.model.clone(),
        backstory: preset.backstory.clone(),
        functions: preset
            .functions
            .as_ref()
            .map(|names| names.iter().map(|name| name.get_ref().clone()).collect()),
        iterations: preset.limits.iterations,
        calls: preset.limits.calls,
    };
    compose::Settings {
        presets: config.presets.iter().map(preset).collect(),
        default_preset: config.default_preset.as_ref().map(|name| name.get_ref().clone()),
    }
}

fn notifications(config: &NotificationsConfig) -> notifications::Settings {
    let way = |choice| match choice {
        NotifyChoice::Off => Way::Off,
        NotifyChoice::Bell => Way::Bell,
        NotifyChoice::Osc9 => Way::Osc9,
        NotifyChoice::Osc777 => Way::Osc777,
        NotifyChoice::Osc99 => Way::Osc99,
        NotifyChoice::Auto => Way::Auto,
    };
    notifications::Settings {
        finished: way(config.finished),
        failed: way(config.failed),
        waiting: way(config.waiting),
    }
}

/// The themes that there are, which one is on, and what is known of the background.
fn look(loaded: &Loaded) -> Result<look::Settings, Failure> {
    let ui = &loaded.config.ui;
    let mut look = look::Settings {
        background: match ui.background {
            BackgroundChoice::Auto => None,
            BackgroundChoice::Light => Some(Background::Light),
            BackgroundChoice::Dark => Some(Background::Dark),
        },
        ..look::Settings::default()
    };
    let by_environment = env("COLORFGBG").and_then(|value| background::is_light_by_colorfgbg(&value));
    if by_environment == Some(true) {
        look.expected = Background::Light;
    }
    let Some(theme) = &ui.theme else {
        return Ok(look);
    };
    let name = theme.get_ref();
    if let Some(at) = look.themes.iter().position(|(of, _)| of == name) {
        look.theme = at;
        return Ok(look);
    }
    if !name.contains('/') {
        let names: Vec<&str> = look.themes.iter().map(|(of, _)| of.as_str()).collect();
        let list = names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let near = nearest(name, names)
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        let message =
            format!("there is no theme `{name}`{near} (expected one of {list}, or the path of a theme's file)");
        return Err(loaded.refuse(theme.span(), message).into());
    }
    // A relative path is one beside the configuration, wherever the program was started.
    let path = loaded.path.parent().unwrap_or(Path::new("")).join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        loaded.refuse(
            theme.span(),
            format!("cannot read the theme {}: {error}", path.display()),
        )
    })?;
    let colors = Theme::parse(&path, &text)?;
    let stem = path
        .file_stem()
        .map_or(name.as_str().into(), |stem| stem.to_string_lossy());
    look.theme = look.themes.len();
    look.themes.push((sanitise_line(&stem).into_owned(), colors));
    Ok(look)
}

/// The keys of the action table with what `[keys]` says over them.
fn keymap(loaded: &Loaded, warnings: &mut Vec<Problem>) -> Result<Keymap, Failure> {
    let mut changes: HashMap<Action, Vec<Key>> = HashMap::new();
    let mut written = Vec::new();
    for (name, keys) in &loaded.config.keys.actions {
        let refuse = |span, message: String| Failure::from(loaded.refuse(span, message));
        let Some(action) = Action::by_name(name.get_ref()) else {
            return Err(refuse(name.span(), unknown_action(name.get_ref())));
        };
        let places = action::info(action).map_or(&[][..], |info| info.places);
        let mut list = Vec::new();
        for text in &keys.0 {
            let key: Key = text.get_ref().parse().map_err(|error| refuse(text.span(), error))?;
            if let Some(reason) = key.never_arrives() {
                return Err(refuse(text.span(), format!("`{key}` {reason}, expected another key")));
            }
            if let Some(place) = places.iter().find(|place| place.is_typed_in())
                && key.is_printable()
            {
                let message = format!(
                    "`{key}` types {}, where `{}` holds; expected a key such as \"Ctrl-K\", \"Alt-K\" or \"F5\"",
                    place.words(),
                    name.get_ref()
                );
                return Err(refuse(text.span(), message));
            }
            if let Some(reason) = key.may_not_arrive() {
                warnings.push(loaded.problem(text.span(), format!("`{key}` {reason}")));
            }
            list.push(key);
            written.push((action, key, text.span()));
        }
        changes.insert(action, list);
    }
    let keymap = Keymap::with(&changes);
    for (action, key, span) in written {
        if let Some(conflict) = keymap.conflict(action, key) {
            let other = conflict.other.name();
            let message = format!(
                "`{key}` is the key of `{other}` {} too; give `{other}` another key, or none: {other} = []",
                conflict.place.words()
            );
            return Err(loaded.refuse(span, message).into());
        }
    }
    Ok(keymap)
}

fn unknown_action(name: &str) -> String {
    let names: Vec<String> = action::actions().map(|info| info.action.name()).collect();
    let all = "`switchboard config keys` lists them";
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("there is no action `{name}`; did you mean `{near}`? ({all})"),
        None => format!("there is no action `{name}` ({all})"),
    }
}

/// The section `[keys]` as it is in effect, complete: for people to copy from.
#[must_use]
pub(super) fn keys_section(keymap: &Keymap) -> String {
    let mut text = String::from(
        "# Which keys do what: what `switchboard config keys` prints. Take what is to be otherwise into your configuration.\n\n[keys]\n",
    );
    for group in action::Group::ALL {
        text.push_str(&format!("\n# {}\n", group.title()));
        for info in action::actions().filter(|info| info.group == group) {
            let keys = keymap.keys(info.action).iter().map(|key| quoted(&key.to_string()));
            let keys = match keys.collect::<Vec<_>>().as_slice() {
                [key] => key.clone(),
                keys => format!("[{}]", keys.join(", ")),
            };
            text.push_str(&format!("{} = {keys} # {}\n", info.action.name(), info.help));
        }
    }
    text
}

/// A text as TOML takes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Places};

    fn load(text: &str) -> Loaded {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("config.toml");
        std::fs::write(&path, text).expect("written");
        config::load(Some(&path), &Places::under(home.path())).expect("it is TOML of the right form")
    }

    fn refused(text: &str) -> String {
        let failure = settings(&load(text)).expect_err(text);
        let message = failure.message;
        message[message.find("config.toml").expect("the file is named") + "config.toml".len()..].to_owned()
    }

    #[test]
    fn keys_are_taken_over() {
        let (settings, warnings) = settings(&load(
            "[keys]\nquit = []\nhelp = [\"F1\", \"?\"]\n\"open\" = \"F9\"\nredraw = \"Ctrl-B\"",
        ))
        .expect("good");
        let keymap = settings.keymap;
        assert_eq!(keymap.first(Action::Help), "F1");
        assert_eq!(keymap.first(Action::Open), "F9");
        assert!(keymap.keys(Action::Quit).is_empty());
        let [warning] = warnings.as_slice() else {
            panic!("{warnings:?}")
        };
        assert_eq!((warning.line, warning.column), (Some(5), Some(10)));
        assert!(warning.message.contains("tmux"), "{warning}");
    }

    #[test]
    fn every_mistake_is_refused_with_its_place() {
        for (text, expected) in [
            (
                "[keys]\nstop_watchin = \"s\"",
                ":2:1: there is no action `stop_watchin`; did you mean `stop_watching`? (`switchboard config keys` lists them)",
            ),
            (
                "[keys]\nzebra = \"s\"",
                ":2:1: there is no action `zebra` (`switchboard config keys` lists them)",
            ),
            (
                "[keys]\nquit = [\"Q\", \"Ctlr-K\"]",
                ":2:14: `Ctlr-K` is no key, expected one such as \"x\", \"Ctrl-K\", \"Alt-Enter\", \"F5\" or \"Space\"",
            ),
            (
                "[keys]\nsend = \"s\"",
                ":2:8: `s` types in the compose box, where `send` holds; expected a key such as \"Ctrl-K\", \"Alt-K\" or \"F5\"",
            ),
            (
                "[keys]\nsend = \"Ctrl-S\"",
                ":2:8: `Ctrl-S` belongs to the terminal's flow control, expected another key",
            ),
            (
                "[keys]\nquit = \"w\"",
                ":2:8: `w` is the key of `watch` in the channel list too; give `watch` another key, or none: watch = []",
            ),
            (
                "[keys]\nquit = \"F7\"\nwatch = \"F7\"",
                ":2:8: `F7` is the key of `watch` in the channel list too; give `watch` another key, or none: watch = []",
            ),
        ] {
            assert_eq!(refused(text), expected, "{text}");
        }
    }

    #[test]
    fn themes_are_found_by_name_and_by_path() {
        let (settings, _) = settings(&load("[ui]\ntheme = \"clear\"\nbackground = \"light\"")).expect("good");
        let look = settings.look;
        assert_eq!(look.themes[look.theme].0, "clear");
        assert_eq!(look.background, Some(Background::Light));
        let home = tempfile::tempdir().expect("a directory");
        let config = home.path().join("config.toml");
        std::fs::write(&config, "[ui]\ntheme = \"./mine.toml\"").expect("written");
        let read = || config::load(Some(&config), &Places::under(home.path())).expect("TOML");
        let missing = super::settings(&read()).expect_err("there is no such file").message;
        assert!(missing.contains("config.toml:2:9: cannot read the theme"), "{missing}");
        std::fs::write(home.path().join("mine.toml"), "[dark]\naccent = \"pink\"").expect("written");
        let wrong = super::settings(&read()).expect_err("no colour").message;
        assert!(wrong.contains("mine.toml:2:10: `pink` is no colour"), "{wrong}");
        std::fs::write(home.path().join("mine.toml"), "[dark]\naccent = \"red\"").expect("written");
        let look = super::settings(&read()).expect("good").0.look;
        assert_eq!(look.themes[look.theme].0, "mine");
        let unknown = refused("[ui]\ntheme = \"dsuk\"");
        assert!(
            unknown.starts_with(":2:9: there is no theme `dsuk`; did you mean `dusk`?"),
            "{unknown}"
        );
    }

    #[test]
    fn the_printed_section_is_read_back_as_the_same_keys() {
        let text = keys_section(&Keymap::default());
        let (settings, _) = settings(&load(&text)).expect("its own words");
        assert_eq!(keys_section(&settings.keymap), text);
    }
}
