//! The action table: one source for the key map, the help and (later) the palette.

/// Something that a person can do by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Show or hide the help.
    Help,
}
