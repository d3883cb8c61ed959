//! What the configuration says of the terminal program, in the terms of its state.

use super::exit::Failure;
use crate::app::Settings;
use crate::config::Config;

/// The settings of the terminal program.
///
/// # Errors
/// When the configuration names something that does not exist or does not fit; with what to do.
pub(super) fn settings(_config: &Config) -> Result<Settings, Failure> {
    Ok(Settings::default())
}
