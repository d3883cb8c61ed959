//! Recordings on disk: appended to while a channel is followed, read whole, listed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{Head, KIND, Line, Moment, RecordError, Recording, VERSION, line, what};
use crate::transcript::Item;

/// The largest recording that is read, in bytes of its lines.
const LARGEST: usize = 256 * 1024 * 1024;
/// The longest line of a recording.
const LONGEST_LINE: u64 = 32 * 1024 * 1024;
/// The most recordings that are listed, the newest.
const MOST_LISTED: usize = 500;
/// The longest part of a file's name that comes from a title, in characters.
const LONGEST_SLUG: usize = 40;

/// Writes one recording. Every call writes whole lines at once, so that a crash cuts at most the last one.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Writer {
    /// Begins a recording; the directory is made where it is not there. A file of this name that is there already
    /// is gone on with, after its last whole line. As long as the writer is there, no other program's writes to it.
    ///
    /// # Errors
    /// When the directory or the file cannot be made, or another program writes to it ([`RecordError::Busy`]).
    pub fn open(path: &Path, head: &Head) -> Result<Self, RecordError> {
        let failed = |source| failure(path, source);
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(failed)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .read(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RecordError::Busy {
                    path: path.display().to_string(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let bytes = cut_tail(&file).map_err(failed)?;
        let mut writer = Self {
            path: path.to_owned(),
            file,
            bytes,
        };
        if bytes == 0 {
            let mut text = serde_json::to_vec(head).map_err(|error| failed(error.into()))?;
            text.push(b'\n');
            writer.write(&text)?;
        }
        Ok(writer)
    }

    /// Adds what came, at `now_ms` (Unix time in milliseconds).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, items: &[Item], now_ms: u64) -> Result<(), RecordError> {
        let mut text = Vec::new();
        for item in items {
            if let Some(line) = line(item, now_ms) {
                serde_json::to_writer(&mut text, &line).map_err(|error| failure(&self.path, error.into()))?;
                text.push(b'\n');
            }
        }
        self.write(&text)
    }

    fn write(&mut self, text: &[u8]) -> Result<(), RecordError> {
        self.file
            .write_all(text)
            .map_err(|source| failure(&self.path, source))?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// How large the file is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Takes a last line off that is not whole: its program was stopped while it wrote. Gives the file's length then.
fn cut_tail(file: &File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let (mut end, mut part) = (length, vec![0; 64 * 1024]);
    while end > 0 {
        let start = end.saturating_sub(part.len() as u64);
        let part = &mut part[..usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(end)
}

fn failure(path: &Path, source: io::Error) -> RecordError {
    RecordError::Io {
        path: path.display().to_string(),
        source,
    }
}

/// Reads a whole recording. A last line that is not whole (its program was stopped while it wrote) is left out and
/// said so; anything else that cannot be read is an error.
///
/// # Errors
/// When the file cannot be read, is no recording, or is larger than 256 MiB.
pub fn read(path: &Path) -> Result<Recording, RecordError> {
    let failed = |source| failure(path, source);
    let wrong = |reason: String| RecordError::Format {
        path: path.display().to_string(),
        reason,
    };
    let mut lines = BufReader::new(File::open(path).map_err(failed)?);
    let mut text = Vec::new();
    let mut next = |text: &mut Vec<u8>| -> Result<bool, RecordError> {
        text.clear();
        let length = (&mut lines)
            .take(LONGEST_LINE)
            .read_until(b'\n', text)
            .map_err(failed)?;
        Ok(length > 0)
    };
    next(&mut text)?;
    let head = head(&text).map_err(&wrong)?;
    let (mut moments, mut bytes, mut number, mut cut) = (Vec::<Moment>::new(), 0_usize, 1_usize, false);
    while next(&mut text)? {
        number += 1;
        let whole = text.last() == Some(&b'\n');
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line: Line = match serde_json::from_slice(&text) {
            Ok(line) => line,
            Err(_) if !whole => {
                cut = true;
                break;
            }
            Err(error) => return Err(wrong(format!("line {number}: {error}"))),
        };
        // Clocks may be put back; a recording goes forward.
        let at = line.t.max(moments.last().map_or(0, |moment| moment.at));
        let Some(what) = what(line) else {
            return Err(wrong(format!("line {number} holds nothing that happened")));
        };
        let moment = Moment { at, what };
        bytes += moment.bytes();
        if bytes > LARGEST {
            return Err(wrong(format!("it is larger than {} MiB", LARGEST / 1024 / 1024)));
        }
        moments.push(moment);
    }
    Ok(Recording { head, moments, cut })
}

fn head(text: &[u8]) -> Result<Head, String> {
    let head: Head = serde_json::from_slice(text).map_err(|_| "its first line is no head of a recording".to_owned())?;
    if head.switchboard != KIND {
        return Err("its first line is no head of a recording".to_owned());
    }
    if head.version != VERSION {
        return Err(format!(
            "it has the version {}, this program reads version {VERSION}",
            head.version
        ));
    }
    Ok(head)
}

/// A recording that can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The file's name in its directory.
    pub name: String,
    /// What is known of it.
    pub head: Head,
    /// How large it is, in bytes.
    pub bytes: u64,
}

/// The recordings of a directory, the newest first; what is none is passed over. A directory that is not there has
/// none.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn list(directory: &Path) -> Result<Vec<Summary>, RecordError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failure(directory, source)),
    };
    let mut found: Vec<Summary> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            if path.extension()? != "jsonl" {
                return None;
            }
            let file = File::open(&path).ok()?;
            let bytes = file.metadata().ok()?.len();
            let mut text = Vec::new();
            BufReader::new(file).take(64 * 1024).read_until(b'\n', &mut text).ok()?;
            Some(Summary {
                name: path.file_name()?.to_str()?.to_owned(),
                head: head(&text).ok()?,
                bytes,
            })
        })
        .collect();
    found.sort_by(|a, b| (b.head.started_at, &b.name).cmp(&(a.head.started_at, &a.name)));
    found.truncate(MOST_LISTED);
    Ok(found)
}

/// A title as part of a file's name: small letters, digits and single hyphens.
#[must_use]
pub fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        if slug.chars().count() >= LONGEST_SLUG {
            break;
        }
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "run".to_owned()
    } else {
        slug.to_owned()
    }
}
