//! What the configuration says of the terminal program, in the terms of its state.

use super::exit::Failure;
use crate::app::{Settings, recordings};
use crate::config::{Config, Places};

/// The settings of the terminal program.
///
/// # Errors
/// When the configuration names something that does not exist or does not fit; with what to do.
pub(super) fn settings(config: &Config, places: &Places) -> Result<Settings, Failure> {
    let memory = usize::try_from(config.ui.memory_mib.saturating_mul(1024 * 1024)).unwrap_or(usize::MAX);
    let directory = config.recordings.directory.clone();
    Ok(Settings {
        recordings: recordings::Settings {
            memory,
            directory: directory.unwrap_or_else(|| places.data_dir().join("recordings")),
        },
        ..Settings::default()
    })
}
