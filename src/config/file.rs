//! The configuration file as types: every key, its default, and its check.
//!
//! `config.example.toml` shows the same keys with the same defaults; a test keeps the two equal. What
//! flags and the environment say over it is applied by `cli`.

use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;
use toml::Spanned;

use super::error::nearest;
use super::functions::{self, FunctionConfig};
use super::presets::{self, PresetConfig};
use super::secret::Secret;
use super::server::{self, ServerConfig};
use super::{ConfigError, Problem, value};

/// Everything that the file can say.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The profile to use when neither flags nor the environment name a server.
    pub profile: Option<Spanned<String>>,
    /// Servers by name.
    pub profiles: IndexMap<String, ProfileConfig>,
    /// What `switchboard serve` and the local server do.
    pub server: ServerConfig,
    /// How the terminal program looks.
    pub ui: UiConfig,
    /// The preset that prompts are sent with unless another one is chosen.
    pub default_preset: Option<Spanned<String>>,
    /// What prompts can be sent with, by name.
    pub presets: IndexMap<Spanned<String>, PresetConfig>,
    /// How much memory the terminal program takes.
    pub memory: super::MemoryConfig,
    /// Recordings of channels.
    pub recordings: super::RecordingsConfig,
    /// Its keys, where they are not the default ones.
    pub keys: super::KeysConfig,
    /// What it tells beside the screen.
    pub notifications: super::NotificationsConfig,
    /// The read-only dashboard.
    pub kiosk: super::KioskConfig,
    /// The channel on which terminals tell each other of their runs.
    pub lobby: super::LobbyConfig,
    /// What answers of this machine are signed with; its host name when absent.
    #[serde(deserialize_with = "functions::device")]
    pub device: Option<String>,
    /// Functions that runs dispatched from here may call, by name.
    pub functions: IndexMap<Spanned<String>, Spanned<FunctionConfig>>,
}

/// A server to talk to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileConfig {
    /// Its base URL; the hosted service's when absent and `hosted` is true.
    #[serde(deserialize_with = "value::url")]
    pub url: Option<String>,
    /// The environment variable that holds its token.
    #[serde(deserialize_with = "value::variable")]
    pub token_env: Option<String>,
    /// Its token itself.
    pub token: Option<Secret>,
    /// Whether it is to be given the hosted service's secrets (`CHATBOTKIT_API_SECRET` and the like).
    pub hosted: bool,
}

/// How the terminal program looks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UiConfig {
    /// Draw with ASCII characters alone.
    pub ascii: bool,
    /// Lines in and lines out instead of a screen, for screen readers.
    pub linear: bool,
    /// Whether to use colours.
    pub color: ColorChoice,
    /// Whether addresses can be clicked, where the terminal knows how.
    pub links: bool,
    /// Take the mouse from the start.
    pub mouse: bool,
    /// Copy what was selected with the mouse when its button is released.
    pub copy_on_select: bool,
    /// The theme's name, or the file of one; the terminal's own colours when absent.
    pub theme: Option<Spanned<String>>,
    /// Whether the terminal is dark or light.
    pub background: BackgroundChoice,
}

impl Default for UiConfig {
    fn default() -> Self {
        Self {
            ascii: false,
            linear: false,
            color: ColorChoice::default(),
            links: true,
            mouse: false,
            copy_on_select: false,
            theme: None,
            background: BackgroundChoice::default(),
        }
    }
}

/// Whether to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorChoice {
    /// Unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether the terminal is dark or light.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackgroundChoice {
    /// The terminal is asked, and not waited for.
    #[default]
    Auto,
    /// It is light.
    Light,
    /// It is dark.
    Dark,
}

impl Config {
    /// Reads a file's text. The path is for messages only.
    ///
    /// # Errors
    /// When it is not TOML, or holds a key or a value that is refused; with line and column.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Invalid(Problem::from_toml(path, text, &error)))?;
        let refuse = |span, message| Err(ConfigError::Invalid(Problem::at(path, text, span, message)));
        for (name, profile) in &config.profiles {
            let span = section(text, name);
            if profile.token.is_some() && profile.token_env.is_some() {
                return refuse(
                    span,
                    format!("profile `{name}` has both `token` and `token_env`, expected one of them"),
                );
            }
            if profile.url.is_none() && !profile.hosted {
                return refuse(
                    span,
                    format!("profile `{name}` names no server, expected `url = \"https://…\"` or `hosted = true`"),
                );
            }
        }
        if config.server.model.demo && config.server.model.url.is_some() {
            return refuse(
                find_line(text, "demo"),
                "`demo = true` and `url` exclude each other, expected one of them".to_owned(),
            );
        }
        if config.server.tls.certificate.is_some() != config.server.tls.key.is_some() {
            return refuse(
                find_line(text, "certificate").or_else(|| find_line(text, "key")),
                "a certificate and its key go together, expected both `certificate` and `key`".to_owned(),
            );
        }
        if let Err((span, message)) = server::check_models(&config.server.models) {
            return refuse(Some(span), message);
        }
        if let Err((span, message)) = server::check_accounts(&config.server.accounts) {
            return refuse(Some(span), message);
        }
        let names: Vec<&str> = config.functions.keys().map(|name| name.get_ref().as_str()).collect();
        if let Err((span, message)) = presets::check(&config.presets, config.default_preset.as_ref(), &names) {
            return refuse(Some(span), message);
        }
        if config.lobby.channel.is_some() && config.lobby.channel_env.is_some() {
            return refuse(
                find_line(text, "channel_env"),
                "`channel` and `channel_env` exclude each other, expected one of them".to_owned(),
            );
        }
        if let Some(profile) = &config.profile
            && !config.profiles.contains_key(profile.get_ref())
        {
            return refuse(Some(profile.span()), unknown_profile(profile.get_ref(), &config));
        }
        if let Err((span, message)) = config.server.check() {
            return refuse(Some(span), message);
        }
        if let Err((span, message)) = functions::check(&config.functions) {
            return refuse(Some(span), message);
        }
        Ok(config)
    }

    /// The name of the profile to use by default.
    #[must_use]
    pub fn profile_name(&self) -> Option<&str> {
        self.profile.as_ref().map(|name| name.get_ref().as_str())
    }
}

/// What to say about a profile that the file does not have.
pub(super) fn unknown_profile(name: &str, config: &Config) -> String {
    let names = || {
        let mut names: Vec<&str> = config.profiles.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    };
    if config.profiles.is_empty() {
        return format!("there is no profile `{name}`, expected a section [profiles.{name}]");
    }
    let list: Vec<String> = names().iter().map(|name| format!("`{name}`")).collect();
    let list = list.join(", ");
    match nearest(name, names()) {
        Some(near) => format!("there is no profile `{name}`; did you mean `{near}`? (expected one of {list})"),
        None => format!("there is no profile `{name}`, expected one of {list}"),
    }
}

/// Where a profile's section begins, when it is written as a section of its own.
fn section(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    [format!("[profiles.{name}]"), format!("[profiles.\"{name}\"]")]
        .iter()
        .find_map(|header| text.find(header.as_str()))
        .map(|at| at..at)
}

/// Where the first line that sets a key begins.
fn find_line(text: &str, key: &str) -> Option<std::ops::Range<usize>> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if trimmed
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
        {
            let at = offset + line.len() - trimmed.len();
            return Some(at..at);
        }
        offset += line.len();
    }
    None
}
