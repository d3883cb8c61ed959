//! Tells the terminal what is to be told beside the screen. What and when is decided in `app::notifications`.

use crate::app::notifications::{Do, Way};
use crate::term::notify::{Medium, sequence};

/// The bytes for the terminal; none where nothing is to be told.
#[must_use]
pub fn bytes(wanted: &Do, get: impl Fn(&str) -> Option<String>) -> Option<String> {
    let Do::Tell { way, text } = wanted;
    let medium = match way {
        Way::Off => return None,
        Way::Bell => Medium::Bell,
        Way::Osc9 => Medium::Osc9,
        Way::Osc777 => Medium::Osc777,
        Way::Osc99 => Medium::Osc99,
        Way::Auto => Medium::detect(&get),
    };
    Some(sequence(medium, text, get))
}

/// A variable of the environment; one that is empty counts as not set.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
