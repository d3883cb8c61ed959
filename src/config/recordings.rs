//! `[recordings]` and `[memory]`: where recordings go, and how much transcripts may take.

use std::path::PathBuf;

use serde::Deserialize;

use super::value;

/// Recordings of channels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingsConfig {
    /// Where they are kept; `recordings` in the platform's place for data when absent.
    #[serde(deserialize_with = "value::path")]
    pub directory: Option<PathBuf>,
}

/// How much memory the terminal program takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// What all transcripts may take together, about, in MiB.
    #[serde(deserialize_with = "value::at_least_one")]
    pub transcripts_mib: u64,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { transcripts_mib: 256 }
    }
}
