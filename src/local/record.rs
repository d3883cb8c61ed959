//! The local server's files: the lock that it holds while it lives, the record that says where it is,
//! and its log. All of them can be read by the user alone.
//!
//! They lie in the state directory and not in the runtime directory: a scheduled job or a bare shell
//! has no runtime directory, and would find, or start, another server than the user's terminal.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A log of more bytes than this is put aside when a server starts.
const LONGEST_LOG: u64 = 1024 * 1024;

/// Where the local server's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    dir: PathBuf,
}

/// Where the running local server is and what opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The server's process.
    pub pid: u32,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// What it takes as a token.
    pub secret: String,
    /// Its version.
    pub version: String,
    /// The digest of its configuration.
    pub digest: String,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("pid", &self.pid)
            .field("port", &self.port)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A lock on one of the files. It ends with its owner, even when the owner is killed.
#[derive(Debug)]
#[must_use = "the lock is released when it is dropped"]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of this name in a directory, which is made if it is not there; `None` while another
    /// process holds it.
    ///
    /// # Errors
    /// When the directory or the file cannot be made, or not locked.
    pub fn take(dir: &Path, name: &str) -> io::Result<Option<Self>> {
        make_dir(dir)?;
        let file = private().create(true).truncate(false).open(dir.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Files {
    /// The files under a directory, which is made when something is written.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file that the server writes its log to.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("local-server.log")
    }

    fn record(&self) -> PathBuf {
        self.dir.join("local-server.json")
    }

    /// Takes the lock that says "the local server lives"; `None` while another process holds it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn lock_server(&self) -> io::Result<Option<Lock>> {
        self.lock("local-server.lock")
    }

    /// Takes the lock that keeps two starters apart; `None` while another process holds it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn lock_start(&self) -> io::Result<Option<Lock>> {
        self.lock("local-start.lock")
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        Lock::take(&self.dir, name)
    }

    fn make_dir(&self) -> io::Result<()> {
        make_dir(&self.dir)
    }

    /// Reads the record; `None` if there is none or it cannot be understood (another version wrote it, or
    /// it is being replaced).
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read_record(&self) -> io::Result<Option<Record>> {
        match std::fs::read(self.record()) {
            Ok(json) => Ok(serde_json::from_slice(&json).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_record(&self, record: &Record) -> io::Result<()> {
        self.make_dir()?;
        // A named temporary file is readable by its owner alone, and stays so when it is renamed.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.persist(self.record()).map_err(|error| error.error)?;
        Ok(())
    }

    /// Takes the record away. Only the holder of the server's lock may do so.
    pub fn remove_record(&self) {
        // A record that stays is harmless: without the lock nobody believes it.
        let _ = std::fs::remove_file(self.record());
    }

    /// Opens the log for a new server, with an older long one put aside.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_log(&self) -> io::Result<File> {
        self.make_dir()?;
        let log = self.log();
        if std::fs::metadata(&log).is_ok_and(|data| data.len() > LONGEST_LOG) {
            std::fs::rename(&log, self.dir.join("local-server.log.old"))?;
        }
        private().append(true).create(true).open(log)
    }

    /// The log's length in bytes; 0 if there is none.
    #[must_use]
    pub fn log_length(&self) -> u64 {
        std::fs::metadata(self.log()).map_or(0, |data| data.len())
    }

    /// What the log says from a position on, at most the last `most` bytes of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_log(&self, from: u64, most: u64) -> io::Result<String> {
        let mut file = File::open(self.log())?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(most)).min(length)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn record() -> Record {
        Record {
            pid: 7,
            port: 8,
            secret: "geheim".into(),
            version: "1".into(),
            digest: "d".into(),
        }
    }

    #[test]
    fn the_record_comes_back_and_only_its_owner_can_read_it() {
        let home = tempfile::tempdir().expect("a directory");
        let files = Files::in_dir(&home.path().join("a/b"));
        assert_eq!(files.read_record().expect("readable"), None);
        files.write_record(&record()).expect("written");
        assert_eq!(files.read_record().expect("readable"), Some(record()));
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&files.record()), 0o600);
        assert_eq!(mode(files.dir()), 0o700);
        assert!(!format!("{:?}", record()).contains("geheim"));
        std::fs::write(files.record(), "{").expect("written");
        assert_eq!(files.read_record().expect("readable"), None);
        files.remove_record();
        assert_eq!(files.read_record().expect("readable"), None);
    }

    #[test]
    fn a_lock_has_one_holder_and_ends_with_it() {
        let home = tempfile::tempdir().expect("a directory");
        let files = Files::in_dir(home.path());
        let held = files.lock_server().expect("lockable");
        assert!(held.is_some());
        assert!(files.lock_server().expect("lockable").is_none());
        assert!(files.lock_start().expect("lockable").is_some());
        drop(held);
        assert!(files.lock_server().expect("lockable").is_some());
    }

    #[test]
    fn the_log_is_bounded_and_read_from_its_end() {
        let home = tempfile::tempdir().expect("a directory");
        let files = Files::in_dir(home.path());
        let mut log = files.open_log().expect("opened");
        write!(log, "one two three").expect("written");
        assert_eq!(files.read_log(0, 5).expect("readable"), "three");
        assert_eq!(files.read_log(4, 100).expect("readable"), "two three");
        assert_eq!(files.read_log(400, 100).expect("readable"), "");
        log.set_len(LONGEST_LOG + 1).expect("longer");
        drop(files.open_log().expect("opened"));
        assert_eq!(files.log_length(), 0);
    }
}
