//! How the screen looks: which themes there are, which one is on, and whether the terminal is dark or light.
//!
//! It knows colours by role only; how many a terminal has, and drawing with them, is `ui`'s matter.

use crate::config::theme::{Palette, Theme};

use super::picker::Entry;
use super::state::App;
use super::update::say;

/// What a theme's entry in the palette begins with.
const ENTRY: &str = "theme:";

/// The background that text stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Background {
    /// Dark.
    #[default]
    Dark,
    /// Light.
    Light,
}

/// What the configuration and the environment say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The themes by name; there is at least one.
    pub themes: Vec<(String, Theme)>,
    /// Which one is on: a place in `themes`.
    pub theme: usize,
    /// The background, where the configuration says it.
    pub background: Option<Background>,
    /// What the environment lets expect otherwise, until the terminal says it.
    pub expected: Background,
}

impl Default for Settings {
    fn default() -> Self {
        let themes = crate::config::theme::BUILT_IN
            .iter()
            .filter_map(|(name, _)| Some(((*name).to_owned(), Theme::built_in(name)?)))
            .collect();
        Self {
            themes,
            theme: 0,
            background: None,
            expected: Background::default(),
        }
    }
}

/// What is otherwise since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// The theme that the person chose.
    theme: Option<usize>,
    /// The background that the terminal told.
    background: Option<Background>,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Msg {
    /// The terminal said what its background is.
    Background(Background),
}

/// Takes in what happened.
pub(super) fn take(app: &mut App, msg: Msg) {
    let Msg::Background(background) = msg;
    app.look.background = Some(background);
}

impl App {
    /// The background: what the configuration says, else the terminal, else the environment.
    #[must_use]
    pub fn background(&self) -> Background {
        let settings = &self.settings.look;
        settings
            .background
            .or(self.look.background)
            .unwrap_or(settings.expected)
    }

    /// The colours of the theme that is on.
    #[must_use]
    pub fn palette(&self) -> Palette {
        let settings = &self.settings.look;
        let at = self.look.theme.unwrap_or(settings.theme);
        match (settings.themes.get(at).or(settings.themes.first()), self.background()) {
            (Some((_, theme)), Background::Dark) => theme.dark,
            (Some((_, theme)), Background::Light) => theme.light,
            (None, _) => Palette::default(),
        }
    }
}

/// An entry of the palette for each theme.
pub(super) fn entries(app: &App) -> Vec<Entry> {
    let settings = &app.settings.look;
    let on = app.look.theme.unwrap_or(settings.theme);
    let names = settings.themes.iter().enumerate();
    names
        .map(|(at, (name, _))| Entry {
            text: format!("theme: {name}"),
            detail: String::new(),
            right: if at == on { "on".to_owned() } else { String::new() },
            value: format!("{ENTRY}{name}"),
        })
        .collect()
}

/// Something was picked from the palette; `true`: it was a theme, which is on now.
pub(super) fn picked(app: &mut App, value: &str) -> bool {
    let Some(name) = value.strip_prefix(ENTRY) else {
        return false;
    };
    let name = name.to_owned();
    app.look.theme = app.settings.look.themes.iter().position(|(of, _)| *of == name);
    say(
        app,
        format!("Theme {name}; to keep it: theme = \"{name}\" under [ui] in the configuration"),
    );
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Msg as AppMsg, Now, SavedState, Settings as AppSettings, update};

    #[test]
    fn the_background_is_what_is_known_best() {
        let settings = AppSettings::default();
        let mut app = App::new(
            "local".to_owned(),
            settings,
            SavedState::default(),
            (80, 24),
            Now::default(),
        );
        assert_eq!(app.background(), Background::Dark);
        app.settings.look.expected = Background::Light;
        assert_eq!(app.background(), Background::Light);
        let light = app.palette();
        let before = app.revision();
        update(
            &mut app,
            AppMsg::Look(Msg::Background(Background::Dark)),
            Now::default(),
        );
        assert_eq!(app.background(), Background::Dark);
        assert!(app.palette() != light && app.revision() > before, "it is drawn anew");
        app.settings.look.background = Some(Background::Light);
        assert_eq!(app.background(), Background::Light, "the configuration decides");
    }

    #[test]
    fn every_theme_that_comes_with_the_program_is_there() {
        let names: Vec<String> = Settings::default().themes.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["terminal", "dusk", "moss", "ember", "clear"]);
    }
}
