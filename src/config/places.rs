//! Where the platform keeps this program's files.
//!
//! It names places; it creates nothing.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use super::ConfigError;

/// The directories of this program for this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    config: PathBuf,
    data: PathBuf,
    state: PathBuf,
    runtime: PathBuf,
}

impl Places {
    /// The platform's places (on Linux, the XDG directories).
    ///
    /// # Errors
    /// When the platform names no home directory.
    pub fn find() -> Result<Self, ConfigError> {
        let dirs = ProjectDirs::from("", "", "switchboard").ok_or(ConfigError::NoHome)?;
        let state = dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_path_buf();
        Ok(Self {
            config: dirs.config_dir().to_path_buf(),
            data: dirs.data_dir().to_path_buf(),
            runtime: dirs.runtime_dir().map_or_else(|| state.clone(), Path::to_path_buf),
            state,
        })
    }

    /// Places under one directory, for tests.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self {
            config: root.join("config"),
            data: root.join("data"),
            state: root.join("state"),
            runtime: root.join("runtime"),
        }
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// Where a server keeps its runs.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Where logs and what the terminal program remembers are kept.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Where the record of the running local server is kept; the state directory where the platform
    /// has no runtime directory.
    #[must_use]
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime
    }
}
