//! The configuration: built-in defaults, then the file, then the environment, then flags.
//!
//! This module reads the file, refuses what it does not know with file, line and column, knows the
//! platform's places, and decides which server a command talks to. It opens no connection, and what
//! flags there are is for `cli` to say.

pub mod error;
pub mod file;
pub mod functions;
pub mod places;
pub mod secret;
pub mod select;
mod value;

pub use error::{ConfigError, Problem};
pub use file::{
    ColorChoice, Config, LimitsConfig, ModelConfig, ProfileConfig, RetentionConfig, ServerConfig, UiConfig,
};
pub use functions::{FunctionConfig, Policy, Schema};
pub use places::Places;
pub use secret::Secret;
pub use select::{HOSTED_URL, Remote, ServerChoice, ServerFlags, choose_server};

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
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && asked.is_none() => Ok(Loaded {
            config: Config::default(),
            path,
            found: false,
        }),
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}
