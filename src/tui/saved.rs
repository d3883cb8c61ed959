//! The file that the next start reads: what is watched, and what was being typed.
//!
//! Only its user can read it, since channel ids are secrets. It is replaced whole, so that a crash leaves the old
//! one or the new one. Programs that share it take turns by a lock, and each writes down only what it changed itself
//! (`merge`): what another one added is not lost. What another one added is not shown before the next start.

mod merge;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::executor::Reply;
use crate::app::{Msg, SavedState};

/// The version of the file's format.
const VERSION: u32 = 1;
/// How long another program may hold the file.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two tries to get it.
const LOCK_RETRY: Duration = Duration::from_millis(10);

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    #[serde(flatten)]
    state: SavedState,
}

/// What was found at the start.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// What the last program wrote down; empty when there was nothing that could be read.
    pub state: SavedState,
    /// What went wrong, for the person.
    pub warning: Option<String>,
}

/// Reads the file. It never fails: what cannot be read is moved aside, and said so.
#[must_use]
pub fn load(path: &Path) -> Loaded {
    let reason = match fs::read(path) {
        Ok(bytes) => match parse(&bytes) {
            Ok(state) => return Loaded { state, warning: None },
            Err(reason) => reason,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Loaded::default(),
        Err(error) => error.to_string(),
    };
    let aside = with_suffix(path, ".broken");
    let moved = match fs::rename(path, &aside) {
        Ok(()) => format!("it was moved to {}", aside.display()),
        Err(error) => format!("it could not be moved aside either ({error}) and will be replaced"),
    };
    let warning = format!(
        "What was watched before is lost: {} cannot be read ({reason}); {moved}. Watch channels again with their ids",
        path.display()
    );
    Loaded {
        state: SavedState::default(),
        warning: Some(warning),
    }
}

fn parse(bytes: &[u8]) -> Result<SavedState, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    // The reasons hold places and types, no values: a line of this file may hold a secret.
    let place =
        |error: serde_json::Error| format!("line {}, column {} is not as expected", error.line(), error.column());
    let Version { version } = serde_json::from_slice(bytes).map_err(place)?;
    if version != VERSION {
        return Err(format!(
            "it has the format {version}, this program reads format {VERSION}"
        ));
    }
    serde_json::from_slice::<File>(bytes)
        .map(|file| file.state)
        .map_err(place)
}

/// Writes down what was changed between `before` (what this program read or wrote last) and `state`. What other
/// programs wrote meanwhile stays.
///
/// # Errors
/// When the directory or the file cannot be written.
pub fn store(path: &Path, before: &SavedState, state: &SavedState) -> io::Result<()> {
    // A file that is a link (to where settings are kept) stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    create_private(directory)?;
    let _lock = lock(&path);
    let ours = to_value(state)?;
    let merged = match on_disk(&path) {
        Some(theirs) => merge::merge(&to_value(before)?, &ours, &theirs),
        None => ours.clone(),
    };
    let mut bytes = serde_json::to_vec_pretty(&merged)?;
    if parse(&bytes).is_err() {
        // Never a file that the next start cannot read.
        tracing::warn!("what two programs saved does not fit together; what this one knows was saved");
        bytes = serde_json::to_vec_pretty(&ours)?;
    }
    bytes.push(b'\n');
    // Temporary files are made with the mode 0600.
    let mut file = tempfile::Builder::new().prefix(".state-").tempfile_in(directory)?;
    file.write_all(&bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

fn to_value(state: &SavedState) -> io::Result<serde_json::Value> {
    let file = File {
        version: VERSION,
        state: state.clone(),
    };
    Ok(serde_json::to_value(file)?)
}

/// What the file holds now; `None`: nothing that can be kept. One that cannot be read is moved aside.
fn on_disk(path: &Path) -> Option<serde_json::Value> {
    let bytes = fs::read(path).ok()?;
    if parse(&bytes).is_err() {
        let _ = fs::rename(path, with_suffix(path, ".broken"));
        return None;
    }
    serde_json::from_slice(&bytes).ok()
}

/// The right to write the file, until it is dropped. A program that keeps it for too long is not waited for: the merge
/// still keeps what was written before it.
fn lock(path: &Path) -> Option<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // The file itself is replaced with every write, so it cannot be what is locked.
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(with_suffix(path, ".lock"))
        .ok()?;
    let since = Instant::now();
    while file.try_lock().is_err() {
        if since.elapsed() >= LOCK_PATIENCE {
            tracing::warn!("another program holds the lock of the saved state");
            return None;
        }
        std::thread::sleep(LOCK_RETRY);
    }
    Some(file)
}

fn create_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes states down one after the other; of those that come while one is being written only the last counts.
#[derive(Debug)]
pub struct Saver {
    latest: watch::Sender<Option<SavedState>>,
    loaded: SavedState,
    task: JoinHandle<()>,
}

impl Saver {
    /// Starts the task. `loaded` is what the file held at the start. Failures are told once, until it works again.
    #[must_use]
    pub fn start(path: PathBuf, loaded: SavedState, replies: mpsc::Sender<Reply>) -> Self {
        let (latest, mut states) = watch::channel(None::<SavedState>);
        let at_start = loaded.clone();
        let task = tokio::spawn(async move {
            let mut failing = false;
            let mut before = at_start;
            while states.changed().await.is_ok() {
                let Some(state) = states.borrow_and_update().clone() else {
                    continue;
                };
                let target = path.clone();
                let (old, new) = (before.clone(), state.clone());
                let stored = match tokio::task::spawn_blocking(move || store(&target, &old, &new)).await {
                    Ok(stored) => stored,
                    Err(error) => Err(io::Error::other(error)),
                };
                if stored.is_ok() {
                    before = state;
                }
                if let Err(error) = &stored
                    && !failing
                {
                    let message = format!(
                        "{}: {error}. Make it writable, or what is watched is forgotten at the end",
                        path.display()
                    );
                    // At the end nobody listens any more.
                    let _ = replies.send(Reply::Msg(Msg::SaveFailed(message))).await;
                }
                failing = stored.is_err();
            }
        });
        Self { latest, loaded, task }
    }

    /// Writes this state down soon.
    pub fn save(&self, state: SavedState) {
        self.latest.send_replace(Some(state));
    }

    /// What was asked to be saved last; before that, what was there at the start.
    #[must_use]
    pub fn last(&self) -> SavedState {
        self.latest.borrow().clone().unwrap_or_else(|| self.loaded.clone())
    }

    /// Waits until the last state was written.
    pub async fn finish(self) {
        drop(self.latest);
        let _ = self.task.await;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::app::state::SavedChannel;
    use crate::wire::ChannelId;

    fn state(draft: &str) -> SavedState {
        let id = ChannelId::from_random([7; 18]);
        let channel = SavedChannel::new(id.clone(), "a title", 5);
        SavedState {
            channels: vec![channel],
            selected: Some(id),
            draft: draft.into(),
            ..SavedState::default()
        }
    }

    #[test]
    fn what_was_stored_is_loaded_and_only_its_user_can_read_it() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("deep/er/state.json");
        assert_eq!(load(&path), Loaded::default(), "nothing there is nothing to say");
        store(&path, &SavedState::default(), &state("a draft")).expect("written");
        assert_eq!(
            load(&path),
            Loaded {
                state: state("a draft"),
                warning: None
            }
        );
        let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("it has one")), 0o700);
        let files = fs::read_dir(path.parent().expect("it has one"))
            .expect("readable")
            .count();
        assert_eq!(files, 2, "no temporary file is left beside the state and its lock");
    }

    #[test]
    fn a_broken_file_is_moved_aside_and_said_so_without_its_content() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("state.json");
        for (content, expected) in [
            ("{\"version\":1,\"channels\":[{\"id\":\"short\"}]}", "line 1"),
            ("{\"version\":2,\"channels\":[]}", "format 2"),
            ("not json, but secret", "line 1"),
            ("", "line 1"),
        ] {
            fs::write(&path, content).expect("written");
            let loaded = load(&path);
            let warning = loaded.warning.expect("said so");
            assert!(
                warning.contains(expected) && warning.contains("state.json.broken"),
                "{warning}"
            );
            assert!(!warning.contains("secret") && !warning.contains("short"), "{warning}");
            assert_eq!(loaded.state, SavedState::default());
            assert!(!path.exists());
            assert_eq!(
                fs::read_to_string(root.path().join("state.json.broken")).expect("kept"),
                content
            );
        }
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let root = tempfile::tempdir().expect("a directory");
        let (real, link) = (root.path().join("real.json"), root.path().join("state.json"));
        fs::write(&real, "{}").expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        store(&link, &SavedState::default(), &state("x")).expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").file_type().is_symlink());
        assert_eq!(load(&real).state, state("x"));
    }

    fn watching(numbers: &[u8]) -> SavedState {
        let channel = |n: &u8| SavedChannel::new(ChannelId::from_random([*n; 18]), format!("run {n}"), 5);
        SavedState {
            channels: numbers.iter().map(channel).collect(),
            ..SavedState::default()
        }
    }

    #[test]
    fn programs_that_write_at_once_lose_nothing_of_each_other() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("state.json");
        std::thread::scope(|scope| {
            for program in 0..4_u8 {
                let path = &path;
                scope.spawn(move || {
                    let mut before = SavedState::default();
                    for step in 1..=8 {
                        let mine: Vec<u8> = (0..step).map(|n| program * 16 + n).collect();
                        let state = watching(&mine);
                        store(path, &before, &state).expect("written");
                        before = state;
                    }
                });
            }
        });
        assert_eq!(load(&path).state.channels.len(), 32);
        // One of them takes what it added off again.
        store(&path, &watching(&[0, 1, 2]), &watching(&[1])).expect("written");
        let left = load(&path).state.channels;
        assert_eq!(left.len(), 30);
        assert!(!left.iter().any(|channel| channel.title == "run 0"));
    }

    #[test]
    fn a_file_that_was_broken_meanwhile_is_moved_aside() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("state.json");
        fs::write(&path, "{\"version\": 9}").expect("written");
        store(&path, &SavedState::default(), &state("x")).expect("written");
        assert_eq!(load(&path).state, state("x"));
        assert!(root.path().join("state.json.broken").exists());
    }

    #[tokio::test]
    async fn the_last_state_wins_and_is_on_disk_at_the_end() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("state.json");
        let (replies, _keep) = mpsc::channel(1);
        let saver = Saver::start(path.clone(), SavedState::default(), replies);
        for draft in ["one", "two", "three"] {
            saver.save(state(draft));
        }
        saver.finish().await;
        assert_eq!(load(&path).state.draft, "three");
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_written_is_told_once() {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("file");
        fs::write(&file, "").expect("written");
        let path = file.join("state.json");
        let (replies, mut told) = mpsc::channel(4);
        let saver = Saver::start(path, SavedState::default(), replies);
        saver.save(state("one"));
        let Some(Reply::Msg(Msg::SaveFailed(message))) = told.recv().await else {
            panic!("not told")
        };
        assert!(
            message.contains("state.json") && message.contains("Make it writable"),
            "{message}"
        );
        saver.save(state("two"));
        saver.finish().await;
        assert!(told.recv().await.is_none(), "told once");
    }
}
