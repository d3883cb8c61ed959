//! Datasets of the server: what bots and requests may know by name. The files are read when the server starts.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::super::value;

/// The endings of files that a dataset can be read from.
const ENDINGS: [&str; 5] = ["txt", "md", "markdown", "jsonl", "ndjson"];

/// Something that bots and requests may know.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetConfig {
    /// What it holds, for the model.
    #[serde(deserialize_with = "value::filled")]
    pub description: Option<String>,
    /// Records, each a text.
    #[serde(deserialize_with = "records")]
    pub records: Vec<String>,
    /// Files to read records from, absolute paths: text, Markdown, or JSON Lines.
    #[serde(deserialize_with = "files")]
    pub files: Vec<PathBuf>,
}

fn records<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let records: Vec<String> = Vec::deserialize(deserializer)?;
    if records.iter().any(|record| record.trim().is_empty()) {
        return Err(D::Error::custom(
            "an empty record, expected texts with something in them",
        ));
    }
    Ok(records)
}

fn files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let files: Vec<PathBuf> = Vec::deserialize(deserializer)?;
    for file in &files {
        let place = file.display();
        if !file.is_absolute() {
            return Err(D::Error::custom(format!(
                "`{place}` is a relative path, expected one that begins with `/`"
            )));
        }
        let ending = file.extension().map(|ending| ending.to_ascii_lowercase());
        if !ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
            return Err(D::Error::custom(format!(
                "`{place}` is no kind of file that is known, expected one that ends in .txt, .md, .markdown, .jsonl \
                 or .ndjson"
            )));
        }
    }
    Ok(files)
}
