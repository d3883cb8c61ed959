//! The configuration: built-in defaults, then the file, then the environment, then flags.
//!
//! This module reads the file, refuses what it does not know with file, line and column, knows the
//! platform's places, and decides which server a command talks to. It opens no connection, and what
//! flags there are is for `cli` to say.

pub mod error;
pub mod file;
pub mod functions;
pub mod keys;
pub mod notify;
pub mod places;
pub mod presets;
mod recordings;
pub mod secret;
pub mod select;
pub mod server;
pub mod theme;
mod value;
pub mod wall;

pub(crate) use error::nearest;
pub use error::{ConfigError, Problem};
pub use file::{BackgroundChoice, ColorChoice, Config, ProfileConfig, UiConfig};
pub use functions::{FunctionConfig, Policy, Schema};
pub use keys::{KeyList, KeysConfig};
pub use notify::{NotificationsConfig, NotifyChoice};
pub use places::Places;
pub use presets::{PresetConfig, PresetLimits};
pub use recordings::{MemoryConfig, RecordingsConfig};
pub use secret::Secret;
pub use select::{HOSTED_URL, Remote, ServerChoice, ServerFlags, choose_server};
pub use server::{
    AbilityConfig, AccountConfig, AccountSecretConfig, AttachmentsConfig, BotConfig, BotFunction, BotFunctionCall,
    BotFunctionResult, BotLimits, CorsConfig, DatasetConfig, FeatureName, HttpConfig, LimitsConfig, LogConfig,
    LogFormat, LogLevel, MetricsConfig, ModelConfig, ModerationConfig, Origin, RetentionConfig, ServerConfig,
    SkillsetConfig, TlsConfig, UpstreamConfig,
};
pub use value::check_url;
pub use wall::{KioskConfig, LobbyConfig};

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A configuration and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What the file says over the defaults.
    pub config: Config,
    /// The file that was looked for.
    pub path: PathBuf,
    /// Whether there was one; without one everything has its default.
    pub found: bool,
    /// Its text, for the places of what is refused later.
    source: Source,
}

/// The text of a file that may hold secrets.
#[derive(Clone, Default, PartialEq, Eq)]
struct Source(String);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl Loaded {
    /// What is wrong with a part of the file that only other parts of the program can judge, and what was expected.
    #[must_use]
    pub fn refuse(&self, span: Range<usize>, message: impl Into<String>) -> ConfigError {
        ConfigError::Invalid(self.problem(span, message))
    }

    /// The same for something that is only to be told.
    #[must_use]
    pub fn problem(&self, span: Range<usize>, message: impl Into<String>) -> Problem {
        Problem::at(&self.path, &self.source.0, Some(span), message.into())
    }
}

/// Reads the configuration: the file that was asked for (`--config`, else `SWITCHBOARD_CONFIG`), else
/// the one in the platform's place.
///
/// # Errors
/// When the file cannot be read or holds something that is refused. A missing file is an error only
/// if it was asked for by name.
pub fn load(asked: Option<&Path>, places: &Places) -> Result<Loaded, ConfigError> {
    let path = asked.map_or_else(|| places.config_file(), Path::to_path_buf);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Loaded {
            config: Config::parse(&path, &text)?,
            path,
            found: true,
            source: Source(text),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && asked.is_none() => Ok(Loaded {
            config: Config::default(),
            path,
            found: false,
            source: Source::default(),
        }),
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}
