//! The form of the database: its tables, its versions, and how a file is opened.
//!
//! It neither reads nor writes what runs keep there.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::StoreError;

/// Marks a database as this program's (`SWBD`).
const APPLICATION_ID: i32 = 0x5357_4244;

/// What makes each version of the database out of the one before it; the first begins with nothing. Versions that
/// were released never change: something new is a new entry at the end.
const MIGRATIONS: &[&str] = &[
    // 1: channels, their runs, and their events. A channel's key is written once, everything else names it by its
    // number. Rows of events are written at the end of their table alone and found again by their numbers, which the
    // store knows: there is no index to keep.
    "CREATE TABLE channel (
         id INTEGER PRIMARY KEY,
         account TEXT NOT NULL,
         name TEXT NOT NULL,
         next_id INTEGER NOT NULL,
         last_event INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE run (
         channel INTEGER PRIMARY KEY,
         digest BLOB NOT NULL,
         title TEXT NOT NULL,
         model TEXT NOT NULL,
         created_at INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE progress (
         channel INTEGER PRIMARY KEY,
         status INTEGER NOT NULL,
         waiting TEXT NOT NULL,
         ended_at INTEGER,
         end_reason TEXT,
         restarts INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE orders (
         channel INTEGER PRIMARY KEY,
         body BLOB NOT NULL
     ) STRICT;
     CREATE TABLE events (
         seq INTEGER PRIMARY KEY,
         channel INTEGER NOT NULL,
         first_id INTEGER NOT NULL,
         count INTEGER NOT NULL,
         created_at INTEGER NOT NULL,
         lines BLOB NOT NULL
     ) STRICT;",
    // 2: what a run goes on from after a restart, and runs whose texts go when they end.
    "ALTER TABLE run ADD COLUMN private INTEGER NOT NULL DEFAULT 0;
     CREATE TABLE checkpoint (
         channel INTEGER PRIMARY KEY,
         state BLOB NOT NULL
     ) STRICT;
     CREATE TABLE answer (
         channel INTEGER NOT NULL,
         call TEXT NOT NULL,
         message BLOB NOT NULL,
         PRIMARY KEY (channel, call)
     ) STRICT, WITHOUT ROWID;",
];

/// Texts of private runs are written behind so many zeros: more than what a page of a table keeps of a row itself. So
/// they lie in pages of their own, which are overwritten whole when the row goes. Of what shares its page with other
/// rows SQLite may leave copies in the unused part when it puts the page in order, `secure_delete` or not.
const VEIL: usize = 4096;

/// What is written for a text: a private one is kept apart from other rows.
pub(super) fn veiled(private: bool, text: &[u8]) -> Cow<'_, [u8]> {
    if !private {
        return Cow::Borrowed(text);
    }
    let mut veiled = vec![0; VEIL];
    veiled.extend_from_slice(text);
    Cow::Owned(veiled)
}

/// The text that was written. None begins with a zero: all of them are JSON.
pub(super) fn unveiled(written: &[u8]) -> &[u8] {
    match written.first() {
        Some(0) => written.get(VEIL..).unwrap_or_default(),
        _ => written,
    }
}

/// How long a statement waits for somebody else who has the database locked, such as a backup.
const BUSY: Duration = Duration::from_secs(1);

/// A database with so many bytes that nothing uses, and so few that something does, is made small again at a start.
/// While a server runs, pages that are free are used again, so the file is as large as its busiest hour.
const MUCH_FREE: i64 = 256 * 1024 * 1024;
const LITTLE_USED: i64 = 64 * 1024 * 1024;

/// Opens the database for writing; makes it, or brings it to the newest version.
pub(super) fn open(path: &Path, most_pages: Option<u32>) -> Result<Connection, StoreError> {
    // SQLite gives its companion files the rights of this one.
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::Unusable(format!("{} cannot be opened: {error}", path.display())))?;
    let mut connection = connect(path)?;
    prepare(&mut connection, path, MIGRATIONS)?;
    if let Err(error) = shrink(&connection, MUCH_FREE, LITTLE_USED) {
        // It serves as well as it is: there may be no space for a copy, or somebody reads it.
        tracing::warn!(%error, "the database could not be made smaller");
    }
    if let Some(most) = most_pages {
        limit_pages(&connection, most).map_err(|error| failure(&error))?;
    }
    Ok(connection)
}

/// A connection that only reads, to a database that this process has open.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// A connection with this program's settings to a database that exists.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let set = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        // Durable before visible: a commit returns when its pages have reached the disk.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // In KiB when negative.
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(connection)
    };
    set().map_err(|error| unusable(&error, path))
}

fn prepare(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    let shown = path.display();
    let number = |name: &str| -> Result<i32, StoreError> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| unusable(&error, path))
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| unusable(&error, path))?;
    let is_new = application == 0 && version == 0 && tables == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(StoreError::Unusable(format!(
            "{shown} is a database of another program; move it away, or choose another data directory"
        )));
    }
    let known = i32::try_from(migrations.len()).unwrap_or(i32::MAX);
    if version > known {
        return Err(StoreError::Unusable(format!(
            "{shown} was written by a newer version of this program (form {version}; this one knows {known}); start \
             the newer version, or choose another data directory"
        )));
    }
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|error| unusable(&error, path))?;
    if mode != "wal" {
        return Err(StoreError::Unusable(format!(
            "{shown} cannot keep a write-ahead log (its journal mode is {mode}): the data directory has to be on a \
             disk of this machine"
        )));
    }
    let todo = migrations
        .iter()
        .enumerate()
        .skip(usize::try_from(version).unwrap_or(0));
    for (done, migration) in todo {
        let migrate = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", i32::try_from(done + 1).unwrap_or(i32::MAX))?;
            transaction.commit()
        };
        migrate(connection).map_err(|error| unusable(&error, path))?;
    }
    if !is_new && version < known {
        tracing::info!(
            from = version,
            to = known,
            "the database was brought to this version's form"
        );
    }
    Ok(())
}

/// Gives the disk back what nothing uses, if that is much and quickly done; says whether it did.
fn shrink(connection: &Connection, much_free: i64, little_used: i64) -> rusqlite::Result<bool> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let page = number("page_size")?;
    let free = number("freelist_count")? * page;
    let used = number("page_count")? * page - free;
    if free < much_free || used > little_used {
        return Ok(false);
    }
    connection.execute_batch("VACUUM")?;
    connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE)?;
    Ok(true)
}

/// Bounds the database's size.
pub(super) fn limit_pages(connection: &Connection, most: u32) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))
}

/// What a failed statement means for who asked for it.
pub(super) fn failure(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Unusable(format!(
            "the database is damaged ({error}); restore it from a backup, or move it away"
        )),
        _ => StoreError::Disk(error.to_string()),
    }
}

/// The same while a file is being opened.
fn unusable(error: &rusqlite::Error, path: &Path) -> StoreError {
    let shown = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Unusable(format!(
            "{shown} is not a database; move it away, or choose another data directory"
        )),
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Unusable(format!(
            "{shown} is damaged ({error}); restore it from a backup, or move it away"
        )),
        _ => StoreError::Unusable(format!("{shown} cannot be used: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, std::path::PathBuf) {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("switchboard.db");
        (home, path)
    }

    fn version(path: &Path) -> i32 {
        let connection = Connection::open(path).expect("a database");
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .expect("a version")
    }

    #[test]
    fn a_new_database_is_durable_and_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_home, path) = home();
        let connection = open(&path, None).expect("opened");
        for connection in [&connection, &connect(&path).expect("a second one")] {
            let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            assert_eq!(number("synchronous"), Ok(2), "FULL");
            assert_eq!(number("wal_autocheckpoint"), Ok(0));
            let mode = connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
            assert_eq!(mode.as_deref(), Ok("wal"));
        }
        for name in ["switchboard.db", "switchboard.db-wal", "switchboard.db-shm"] {
            let data = std::fs::metadata(path.with_file_name(name)).expect("there");
            assert_eq!(data.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_database_that_is_nearly_empty_is_made_small() {
        let (_home, path) = home();
        let connection = open(&path, None).expect("opened");
        let sql = "INSERT INTO events VALUES (1, 1, 0, 1, 1, zeroblob(3000000)), (2, 1, 1, 1, 1, zeroblob(1000));
                   DELETE FROM events WHERE seq = 1;";
        connection.execute_batch(sql).expect("written");
        assert_eq!(shrink(&connection, 4_000_000, 1_000_000), Ok(false), "not much is free");
        assert_eq!(shrink(&connection, 1_000_000, 1000), Ok(false), "much is used");
        assert_eq!(shrink(&connection, 1_000_000, 1_000_000), Ok(true));
        assert!(std::fs::metadata(&path).expect("there").len() < 1_000_000);
        let rows = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0));
        assert_eq!(rows, Ok(1));
    }

    #[test]
    fn every_older_version_is_brought_up() {
        for old in 0..MIGRATIONS.len() {
            let (_home, path) = home();
            drop(std::fs::File::create(&path).expect("a file"));
            let mut connection = connect(&path).expect("connected");
            prepare(&mut connection, &path, &MIGRATIONS[..old]).expect("an older version");
            if old > 0 {
                let sql = "INSERT INTO channel VALUES (7, 'one', 'a channel', 3, 4);
                           INSERT INTO run (channel, digest, title, model, created_at) VALUES (7, x'00', 't', 'm', 5);";
                connection.execute_batch(sql).expect("written");
            }
            drop(connection);
            let connection = open(&path, None).expect("opened");
            assert_eq!(usize::try_from(version(&path)), Ok(MIGRATIONS.len()));
            let runs = connection.query_row("SELECT count(*) FROM run WHERE private = 0", [], |row| row.get(0));
            assert_eq!(runs, Ok(i64::from(old > 0)), "from version {old}");
        }
    }

    #[test]
    fn files_that_are_not_ours_are_refused_and_left_alone() {
        let refusal = |prepare: &dyn Fn(&Path)| {
            let (_home, path) = home();
            prepare(&path);
            let before = std::fs::read(&path).expect("a file");
            let refusal = open(&path, None).expect_err("refused").to_string();
            assert!(refusal.contains("switchboard.db"), "{refusal}");
            assert!(std::fs::read(&path).expect("a file") == before, "it was touched");
            refusal
        };
        let sql = |text: &'static str| {
            move |path: &Path| {
                let connection = Connection::open(path).expect("made");
                connection.execute_batch(text).expect("executed");
            }
        };
        let garbage = refusal(&|path| std::fs::write(path, "no database at all ".repeat(100)).expect("written"));
        assert!(garbage.contains("is not a database"), "{garbage}");
        let foreign = refusal(&sql("CREATE TABLE songs (name TEXT)"));
        assert!(foreign.contains("another program"), "{foreign}");
        let marked = refusal(&sql("PRAGMA application_id = 7"));
        assert!(marked.contains("another program"), "{marked}");
        let newer = refusal(&sql("PRAGMA application_id = 0x53574244; PRAGMA user_version = 99"));
        assert!(newer.contains("newer version") && newer.contains("99"), "{newer}");
        let (_home, path) = home();
        let missing = open(&path.join("below"), None).expect_err("refused").to_string();
        assert!(missing.contains("cannot be opened"), "{missing}");
    }
}
