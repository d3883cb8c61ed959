//! What the compose box wants done on disk: the file of what was sent, and the files that a prompt names.
//!
//! Everything here blocks and belongs on a thread of its own. Which words name files, and what is said of them, is
//! `app`'s matter. Nothing of what is read or written here is logged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::app::compose::attach::{self, Found};
use crate::app::compose::history::{self, Sent};
use crate::app::compose::{Do, Msg};

/// From this size on the history file is shortened, in bytes.
const LONGEST_HISTORY: u64 = 1024 * 1024;
/// What is left of a file that was too long, in bytes: so much that not every prompt shortens it.
const SHORTENED_HISTORY: usize = 3 * 1024 * 1024 / 4;

/// One line of the history file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: u64,
    text: String,
}

/// Where the history of what was sent is kept, beside the state of the terminal program.
#[must_use]
pub fn history_file(state_file: &Path) -> PathBuf {
    state_file.with_file_name("history.jsonl")
}

/// Does one thing and gives what the state is to know of it.
pub(super) fn carry_out(effect: Do, history: &Path) -> Option<Msg> {
    match effect {
        Do::LoadHistory => match load(history) {
            Ok(read) => Some(Msg::History(read)),
            Err(error) => Some(Msg::Say(format!(
                "What was sent before cannot be read: {}: {error}",
                history.display()
            ))),
        },
        Do::Remember(sent) => remember(history, &sent)
            .err()
            .map(|error| Msg::Say(format!("The history is not kept: {}: {error}", history.display()))),
        Do::Read { request, words, texts } => Some(Msg::Files {
            request,
            files: read_files(words, texts),
        }),
    }
}

/// Reads the file. Lines that cannot be read are left out: a crash may have cut one.
fn load(path: &Path) -> io::Result<Vec<Sent>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // Another program may have made it longer than it is left by this one, but not without an end.
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4 * LONGEST_HISTORY)))?;
    let mut bytes = Vec::new();
    file.take(4 * LONGEST_HISTORY).read_to_end(&mut bytes)?;
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let mut sent: Vec<Sent> = lines
        .iter()
        .rev()
        .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
        .take(history::MOST)
        .map(|line| Sent {
            at: line.at,
            text: line.text.into(),
        })
        .collect();
    sent.reverse();
    Ok(sent)
}

/// Appends what was sent. Programs that share the file take turns, so that none loses what another one writes.
fn remember(path: &Path, sent: &Sent) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // The lock is a file of its own: shortening puts another file in the place of this one.
    let lock =
        private(OpenOptions::new().create(true).truncate(false).write(true)).open(path.with_extension("lock"))?;
    lock.lock()?;
    let mut line = serde_json::to_vec(&Line {
        at: sent.at,
        text: sent.text.to_string(),
    })?;
    line.push(b'\n');
    let mut file = private(OpenOptions::new().create(true).append(true).read(true)).open(path)?;
    if !ends_a_line(&mut file)? {
        line.insert(0, b'\n');
    }
    file.write_all(&line)?;
    if file.metadata()?.len() > LONGEST_HISTORY {
        shorten(path, directory)?;
    }
    Ok(())
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Whether a file is empty or ends with a line break: a crash may have cut the last line.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Leaves the newest lines.
fn shorten(path: &Path, directory: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let from = bytes.len().saturating_sub(SHORTENED_HISTORY);
    let from = bytes[from..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |at| from + at + 1);
    // Temporary files are made with the mode 0600.
    let mut file = tempfile::Builder::new().prefix(".history-").tempfile_in(directory)?;
    file.write_all(&bytes[from..])?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Looks at the files that words name, and reads them if their texts are wanted.
fn read_files(words: Vec<String>, texts: bool) -> Vec<attach::File> {
    let mut total = 0;
    words
        .into_iter()
        .enumerate()
        .map(|(at, word)| {
            let mut found = if at < attach::MOST_FILES {
                look(&word)
            } else {
                Found::Refused(format!("is one file too many: at most {} go along", attach::MOST_FILES))
            };
            if let Found::Text { bytes, text, .. } = &mut found {
                total += *bytes;
                if total > attach::LONGEST_IN_ALL {
                    found = Found::Refused(format!(
                        "makes the files too long together: at most {} go along",
                        attach::size(attach::LONGEST_IN_ALL)
                    ));
                } else if !texts {
                    *text = None;
                }
            }
            attach::File { word, found }
        })
        .collect()
}

/// What a word names: the first of its candidates that is there.
fn look(word: &str) -> Found {
    for candidate in attach::candidates(word) {
        let path = expand(candidate);
        match read_text(&path) {
            Ok(text) => {
                return Found::Text {
                    path: candidate.to_owned(),
                    bytes: text.len() as u64,
                    text: Some(text),
                };
            }
            Err(Refusal::Missing) => {}
            Err(Refusal::Because(reason)) => return Found::Refused(reason),
        }
    }
    Found::Missing
}

enum Refusal {
    Missing,
    Because(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Because("may not be read by you".to_owned()),
            _ => Self::Because(format!("cannot be read: {error}")),
        }
    }
}

fn read_text(path: &Path) -> Result<String, Refusal> {
    let because = |reason: String| Err(Refusal::Because(reason));
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return because("is a directory; name a file in it".to_owned());
    }
    // A pipe or a device would be waited for.
    if !metadata.is_file() {
        return because("is no ordinary file".to_owned());
    }
    let too_long = |bytes: u64| {
        format!(
            "is too long ({}): at most {} of a file go along",
            attach::size(bytes),
            attach::size(attach::LONGEST_FILE)
        )
    };
    if metadata.len() > attach::LONGEST_FILE {
        return because(too_long(metadata.len()));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(attach::LONGEST_FILE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > attach::LONGEST_FILE {
        return because(too_long(bytes.len() as u64));
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => because("is no text (UTF-8)".to_owned()),
    }
}

/// A path as a shell would read it: `~` is the home directory.
fn expand(path: &str) -> PathBuf {
    if let Some(rest) = path.strip_prefix('~')
        && (rest.is_empty() || rest.starts_with('/'))
        && let Some(home) = std::env::var_os("HOME")
    {
        return Path::new(&home).join(rest.trim_start_matches('/'));
    }
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn sent(at: u64, text: &str) -> Sent {
        Sent { at, text: text.into() }
    }

    #[test]
    fn what_was_sent_is_there_again_and_only_its_user_can_read_it() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("deep/history.jsonl");
        assert_eq!(load(&path).expect("nothing is no error"), []);
        let lines = [sent(1, "one"), sent(2, "two\nlines \u{1f642}")];
        for line in &lines {
            remember(&path, line).expect("written");
        }
        assert_eq!(load(&path).expect("read"), lines);
        let mode = fs::metadata(&path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        // A crash cut a line; another program wrote something else.
        let mut file = OpenOptions::new().append(true).open(&path).expect("open");
        file.write_all(b"{\"other\": 1}\n{\"at\": 3, \"te").expect("written");
        remember(&path, &sent(4, "four")).expect("written");
        assert_eq!(load(&path).expect("read"), [&lines[..], &[sent(4, "four")]].concat());
    }

    #[test]
    fn two_programs_lose_nothing_and_the_file_stays_short() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("history.jsonl");
        let text = "x".repeat(10_000);
        std::thread::scope(|scope| {
            for writer in 0..2_u64 {
                let (path, text) = (&path, &text);
                scope.spawn(move || {
                    for n in 0..40 {
                        remember(path, &sent(writer * 1000 + n, &format!("{writer} {n} {text}"))).expect("written");
                    }
                });
            }
        });
        let read = load(&path).expect("read");
        for writer in ["0 ", "1 "] {
            let mine: Vec<u64> = read
                .iter()
                .filter(|sent| sent.text.starts_with(writer))
                .map(|sent| sent.at % 1000)
                .collect();
            assert_eq!(mine, (0..40).collect::<Vec<u64>>(), "all of one in its order");
        }
        for n in 40..200 {
            remember(&path, &sent(n, &format!("{n} {text}"))).expect("written");
        }
        assert!(fs::metadata(&path).expect("it exists").len() <= LONGEST_HISTORY);
        let read = load(&path).expect("read");
        assert_eq!(read.last().map(|sent| sent.at), Some(199), "the newest stay");
        assert_eq!(
            fs::read_dir(root.path()).expect("readable").count(),
            2,
            "the file and its lock"
        );
    }

    #[test]
    fn files_are_texts_or_are_refused_with_a_reason() {
        let root = tempfile::tempdir().expect("a directory");
        let place = |name: &str| root.path().join(name).display().to_string();
        fs::write(place("a.txt"), "text\n").expect("written");
        fs::write(place("binary"), [0, 1, 255]).expect("written");
        fs::write(place("long"), vec![b'x'; 300 * 1024]).expect("written");
        fs::create_dir(place("folder")).expect("made");
        let words = vec![
            format!("{}.", place("a.txt")),
            place("binary"),
            place("long"),
            place("folder"),
            place("gone"),
            "/dev/null".to_owned(),
        ];
        let found: Vec<Found> = read_files(words, true).into_iter().map(|file| file.found).collect();
        let refused = |reason: &str| Found::Refused(reason.to_owned());
        assert_eq!(
            found,
            [
                Found::Text {
                    path: place("a.txt"),
                    bytes: 5,
                    text: Some("text\n".into())
                },
                refused("is no text (UTF-8)"),
                refused("is too long (300.0 KB): at most 256.0 KB of a file go along"),
                refused("is a directory; name a file in it"),
                Found::Missing,
                refused("is no ordinary file"),
            ]
        );
        let many: Vec<String> = (0..5)
            .map(|n| {
                let name = place(&format!("part{n}"));
                fs::write(&name, vec![b'x'; 250 * 1024]).expect("written");
                name
            })
            .collect();
        let last = read_files(many, false).pop().expect("five").found;
        assert!(matches!(last, Found::Refused(reason) if reason.contains("1.0 MB")));
    }
}
