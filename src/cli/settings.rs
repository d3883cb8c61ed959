//! What the configuration says of the terminal program, in the terms of its state.

use std::sync::Arc;

use super::exit::Failure;
use crate::app::{Settings, calls};
use crate::config::Config;

/// The settings of the terminal program.
///
/// # Errors
/// When the configuration names something that does not exist or does not fit; with what to do.
pub(super) fn settings(config: &Config) -> Result<Settings, Failure> {
    Ok(Settings {
        calls: calls(config),
        ..Settings::default()
    })
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
        read_only: false,
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
