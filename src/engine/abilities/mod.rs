//! What a run knows and can do besides its conversation: bots, datasets, skillsets and features, stored or inline.
//!
//! The [`Catalog`] holds what is stored on this server under an id; the configuration fills it. Here is what these
//! things are and how they are found, searched and named. When they are used is `prepare`'s and `own`'s business.

mod catalog;
mod chunks;
mod dataset;
mod feature;
mod files;
mod names;
mod skillset;
mod words;

pub use catalog::{Bot, Catalog};
pub use dataset::{Dataset, Record};
pub use files::{FileError, MOST_BYTES, read};
pub use skillset::{Ability, Skillset};

pub(super) use catalog::Resolved;
pub(super) use chunks::border;
pub(super) use feature::Feature;
pub(super) use names::Names;
