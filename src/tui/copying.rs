//! Writes exports: whole or not at all, for their owner's eyes, and over nothing that was there unless that was asked.

use std::fs::{Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::app::copying::{Export, Written};

/// Writes a file of mode 0600. It may wait for the disk: call it where waiting is allowed.
pub(super) fn write(export: Export, text: &str, overwrite: bool) -> Written {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let path = expanded(&export.path, home.as_deref());
    match write_to(&path, text, overwrite) {
        Ok(()) => Written::Done {
            path: std::path::absolute(&path).unwrap_or(path),
            bytes: text.len(),
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Written::Exists(export),
        Err(error) => Written::Failed {
            reason: reason(&error, &path),
            export,
        },
    }
}

/// The path with `~` at its beginning as the home directory.
fn expanded(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

fn write_to(path: &Path, text: &str, overwrite: bool) -> io::Result<()> {
    match path.metadata() {
        Ok(there) => check(&there, overwrite)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".switchboard-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    if overwrite {
        file.persist(path).map_err(|error| error.error)?;
    } else {
        file.persist_noclobber(path).map_err(|error| error.error)?;
    }
    Ok(())
}

fn check(there: &Metadata, overwrite: bool) -> io::Result<()> {
    if there.is_dir() {
        return Err(io::Error::other("it is a directory; type the name of a file in it"));
    }
    if !there.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    if overwrite {
        Ok(())
    } else {
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

fn reason(error: &io::Error, path: &Path) -> String {
    match (error.kind(), path.parent()) {
        (io::ErrorKind::NotFound, Some(parent)) => format!("there is no directory {}", parent.display()),
        (io::ErrorKind::PermissionDenied, _) => "this directory may not be written to".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::export::Form;
    use crate::wire::ChannelId;

    fn export(path: &Path) -> Export {
        Export {
            channel: ChannelId::from_random([1; 18]),
            form: Form::Markdown,
            path: path.display().to_string(),
        }
    }

    #[test]
    fn nothing_is_written_over_without_a_question_and_only_the_owner_may_read() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("run.md");
        let written = write(export(&path), "one", false);
        let expected = Written::Done {
            path: path.clone(),
            bytes: 3,
        };
        assert_eq!(written, expected);
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(write(export(&path), "two", false), Written::Exists(export(&path)));
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "one");
        assert!(matches!(write(export(&path), "two", true), Written::Done { .. }));
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "two");
        assert_eq!(
            std::fs::read_dir(home.path()).expect("listed").count(),
            1,
            "nothing is left behind"
        );
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let home = tempfile::tempdir().expect("a directory");
        for (path, said) in [
            (home.path().to_owned(), "it is a directory"),
            (home.path().join("no/such.md"), "there is no directory"),
            (PathBuf::from("/dev/null"), "no plain file"),
        ] {
            match write(export(&path), "text", true) {
                Written::Failed { reason, .. } => assert!(reason.contains(said), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_tilde_is_the_home_directory() {
        let home = Some(Path::new("/home/me"));
        for (path, expected) in [
            ("~/runs/a.md", "/home/me/runs/a.md"),
            ("~", "/home/me"),
            ("~other/a.md", "~other/a.md"),
            ("a~.md", "a~.md"),
        ] {
            assert_eq!(expanded(path, home), Path::new(expected));
        }
    }
}
