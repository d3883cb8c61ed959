//! Datasets from files: plain text, Markdown, or JSON Lines with `{"text", "meta"?}` a line.
//!
//! They are read once, whole; a file that changes later is not looked at again.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::chunks;
use super::dataset::Record;
use crate::wire::Object;
use crate::wire::request::DatasetRecord;

/// The largest file that is read, in bytes.
pub const MOST_BYTES: u64 = 64 << 20;

/// Why a file is no dataset.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is larger than [`MOST_BYTES`].
    #[error("{}: larger than {} MiB, the most that is read; split it, or leave parts out", path.display(), MOST_BYTES >> 20)]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// It is not text.
    #[error("{}:{line}: not UTF-8 text", path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
        /// The first line that is not, from 1.
        line: usize,
    },
    /// A line is not what it has to be.
    #[error("{}:{line}: {reason}, expected {{\"text\": \"…\"}} or {{\"text\": \"…\", \"meta\": {{…}}}}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing is in it.
    #[error("{}: holds no text", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// It has an ending that says nothing about what is in it.
    #[error("{}: expected a file that ends in .txt, .md, .markdown, .jsonl or .ndjson", path.display())]
    Kind {
        /// Which file.
        path: PathBuf,
    },
}

/// The records of a file; each says in `meta.source` which file it comes from, unless it has a `meta` of its own.
///
/// # Errors
/// When it cannot be read or is not what its ending says.
pub fn read(path: &Path) -> Result<Vec<Record>, FileError> {
    let owned = || path.to_path_buf();
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    let ending = ending.as_ref().and_then(|ending| ending.to_str()).unwrap_or("");
    if !["txt", "md", "markdown", "jsonl", "ndjson"].contains(&ending) {
        return Err(FileError::Kind { path: owned() });
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|source| FileError::Read { path: owned(), source })?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(FileError::TooLarge { path: owned() });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        FileError::NotText {
            path: owned(),
            line: 1 + memchr::memchr_iter(b'\n', good).count(),
        }
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let source = Object::from_iter([("source".to_owned(), json!(name))]);
    let records = match ending {
        "jsonl" | "ndjson" => lines(path, text, &source)?,
        _ => chunks::pieces(text, ending != "txt")
            .into_iter()
            .map(|piece| Record {
                text: piece.to_owned(),
                meta: Some(source.clone()),
            })
            .collect(),
    };
    if records.is_empty() {
        return Err(FileError::Empty { path: owned() });
    }
    Ok(records)
}

fn lines(path: &Path, text: &str, source: &Object) -> Result<Vec<Record>, FileError> {
    let mut records = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let record: DatasetRecord = serde_json::from_str(line).map_err(|error| FileError::Line {
            path: path.to_path_buf(),
            line: index + 1,
            // What the line holds is not repeated.
            reason: match error.classify() {
                serde_json::error::Category::Data => "no record".to_owned(),
                _ => format!("not JSON at column {}", error.column()),
            },
        })?;
        if record.text.trim().is_empty() {
            continue;
        }
        records.push(Record {
            text: record.text,
            meta: record.meta.or_else(|| Some(source.clone())),
        });
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_file_gives_its_records() {
        let home = tempfile::tempdir().expect("a directory");
        let source = |name: &str| json!({ "source": name });
        for (name, content, expected) in [
            ("a.txt", "\u{feff}one\n\ntwo\n", vec![("one\n\ntwo", source("a.txt"))]),
            (
                "a.MD",
                "# A\none\n# B\ntwo",
                vec![("# A\none", source("a.MD")), ("# B\ntwo", source("a.MD"))],
            ),
            (
                "a.jsonl",
                "{\"text\":\"one\",\"meta\":{\"n\":1}}\r\n\n{\"text\":\" \"}\n{\"text\":\"two\",\"more\":1}",
                vec![("one", json!({"n": 1})), ("two", source("a.jsonl"))],
            ),
        ] {
            let path = home.path().join(name);
            std::fs::write(&path, content).expect("a file");
            let records = read(&path).expect(name);
            let got: Vec<(&str, serde_json::Value)> = records
                .iter()
                .map(|record| (record.text.as_str(), json!(record.meta)))
                .collect();
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_line_and_not_repeated() {
        let home = tempfile::tempdir().expect("a directory");
        for (name, content, expected) in [
            (
                "a.pdf",
                &b"x"[..],
                "a.pdf: expected a file that ends in .txt, .md, .markdown, .jsonl or .ndjson",
            ),
            ("a.txt", b" \n", "a.txt: holds no text"),
            ("b.txt", b"one\ntwo \xff", "b.txt:2: not UTF-8 text"),
            (
                "a.jsonl",
                b"{\"text\":\"a\"}\n{\"txt\":\"geheim\"}",
                "a.jsonl:2: no record, expected {\"text\": \"\u{2026}\"} or {\"text\": \"\u{2026}\", \"meta\": {\u{2026}}}",
            ),
            (
                "b.jsonl",
                b"{\"text\":\"geheim",
                "b.jsonl:1: not JSON at column 15, expected {\"text\": \"\u{2026}\"} or {\"text\": \"\u{2026}\", \"meta\": {\u{2026}}}",
            ),
        ] {
            let path = home.path().join(name);
            std::fs::write(&path, content).expect("a file");
            let error = read(&path).expect_err(name).to_string();
            assert_eq!(error, format!("{}/{expected}", home.path().display()));
        }
        let missing = read(&home.path().join("none.md"))
            .expect_err("it is missing")
            .to_string();
        assert!(missing.contains("none.md: "), "{missing}");
    }
}
