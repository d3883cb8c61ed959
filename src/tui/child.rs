//! Another program on the terminal: a pager or an editor over a text in a file of its own.
//!
//! It runs the program to its end and reads the file back where that is asked for. Handing the terminal over and
//! taking it again is the loop's matter ([`super::session`]); what the text is and what becomes of it is `app`'s.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::app::copying::{Open, Program};

/// The longest text that is read back, in bytes.
const LONGEST: u64 = 8 * 1024 * 1024;

/// Runs a program over a text until it ends. It takes the terminal as this process has it: its standard streams and
/// its process group, so that what the terminal sends for Ctrl-C and Ctrl-Z reaches it, and so that a shell which
/// stops or continues one of them does so to both.
///
/// The answer is the file's text after an editor has ended, without the line break that editors put at the end;
/// `None` after a pager. Dropping the future hangs the program up (SIGHUP) and takes its file away.
///
/// # Errors
/// A sentence for a person: there is no such program, it failed, or the file could not be written or read.
pub(super) async fn run(open: Open) -> Result<Option<String>, String> {
    let commands = commands(open.program, |name| std::env::var(name).ok())?;
    let (program, edits) = (open.program, open.program == Program::Editor);
    let (directory, file) = blocking(move || write(&open)).await?;
    let mut running = start(&commands, &file)?;
    let status = running.child.wait().await.map_err(|error| error.to_string())?;
    succeeded(program, &running.name, status)?;
    let text = if edits {
        Some(blocking(move || read(&file)).await?)
    } else {
        None
    };
    drop(directory);
    Ok(text)
}

/// The command lines to try, the person's own first: `$PAGER`, or `$VISUAL` and `$EDITOR`, split as a shell would.
fn commands(program: Program, get: impl Fn(&str) -> Option<String>) -> Result<Vec<Vec<String>>, String> {
    let (variables, usual): (&[&str], &[&[&str]]) = match program {
        Program::Pager => (&["PAGER"], &[&["less", "-R"], &["more"]]),
        Program::Editor => (&["VISUAL", "EDITOR"], &[&["vi"], &["nano"]]),
    };
    for variable in variables {
        let Some(value) = get(variable).filter(|value| !value.trim().is_empty()) else {
            continue;
        };
        let words = shell_words::split(&value)
            .map_err(|_| format!("${variable} cannot be read: a quotation mark in it is not closed"))?;
        return Ok(vec![words]);
    }
    let usual = usual
        .iter()
        .map(|words| words.iter().map(|word| (*word).to_owned()).collect());
    Ok(usual.collect())
}

/// A program that runs; it is hung up when nobody waits for it any more.
struct Running {
    child: Child,
    name: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // None once it has ended and was waited for.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::HUP);
        }
    }
}

fn start(commands: &[Vec<String>], file: &Path) -> Result<Running, String> {
    let mut missing = Vec::new();
    for words in commands {
        let Some((name, arguments)) = words.split_first() else {
            continue;
        };
        match Command::new(name).args(arguments).arg(file).spawn() {
            Ok(child) => {
                return Ok(Running {
                    child,
                    name: name.clone(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(name.as_str()),
            Err(error) => return Err(format!("{name} could not be started: {error}")),
        }
    }
    Err(format!("{} was not found", missing.join(" or ")))
}

fn succeeded(program: Program, name: &str, status: ExitStatus) -> Result<(), String> {
    match (status.success(), status.code()) {
        (true, _) => Ok(()),
        (false, Some(code)) => Err(match program {
            Program::Pager => format!("{name} ended with exit status {code}"),
            Program::Editor => format!("{name} ended with exit status {code}, so nothing is taken from it"),
        }),
        (false, None) => Err(format!("{name} was ended by a signal")),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| format!("its file: {error}")),
        Err(_) => Err("its file could not be handled".to_owned()),
    }
}

/// Writes the text into a directory that nobody else can look into: what an editor leaves beside its file is secret
/// too, and goes with it.
fn write(open: &Open) -> io::Result<(TempDir, PathBuf)> {
    let directory = tempfile::Builder::new()
        .prefix("switchboard-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()?;
    let path = directory.path().join(open.name);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(open.text.as_bytes())?;
    if !open.text.is_empty() && !open.text.ends_with('\n') {
        file.write_all(b"\n")?;
    }
    Ok((directory, path))
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {} MiB", LONGEST >> 20)));
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(program: Program, set: &[(&str, &str)]) -> Result<Vec<Vec<String>>, String> {
        commands(program, |name| {
            set.iter()
                .find(|(set, _)| *set == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_persons_own_program_comes_first_and_is_split_as_a_shell_would() {
        let own = words(Program::Pager, &[("PAGER", "less -S '+/two words'")]);
        assert_eq!(own, Ok(vec![vec!["less".into(), "-S".into(), "+/two words".into()]]));
        let usual = words(Program::Pager, &[("PAGER", " ")]).expect("the usual ones");
        assert_eq!(
            usual,
            [vec!["less".to_owned(), "-R".to_owned()], vec!["more".to_owned()]]
        );
        let editor = words(Program::Editor, &[("EDITOR", "ed"), ("VISUAL", "vim -f")]);
        assert_eq!(editor, Ok(vec![vec!["vim".into(), "-f".into()]]));
        let wrong = words(Program::Editor, &[("EDITOR", "vi 'x")]).expect_err("a quotation mark");
        assert!(wrong.contains("$EDITOR"), "{wrong}");
    }

    fn open(program: Program, text: &str) -> Open {
        Open {
            program,
            name: "prompt.md",
            text: text.to_owned(),
            then: crate::app::copying::Then::Nothing,
        }
    }

    #[tokio::test]
    async fn a_missing_program_and_a_failing_one_are_told_by_their_names() {
        let (directory, file) = write(&open(Program::Editor, "text")).expect("written");
        let missing = start(&[vec!["no-such-program-here".to_owned()]], &file).err();
        assert_eq!(missing.as_deref(), Some("no-such-program-here was not found"));
        let mut running = start(&[vec!["false".to_owned()]], &file).expect("it starts");
        let status = running.child.wait().await.expect("it ends");
        let failed = succeeded(Program::Editor, "false", status).expect_err("it fails");
        assert_eq!(failed, "false ended with exit status 1, so nothing is taken from it");
        drop(directory);
    }

    #[test]
    fn a_text_comes_back_as_it_was_and_its_file_is_nobody_elses() {
        for text in ["", "one", "one\ntwo", "été"] {
            let (directory, file) = write(&open(Program::Editor, text)).expect("written");
            assert_eq!(read(&file).expect("read"), text);
            let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
            assert_eq!((mode(directory.path()), mode(&file)), (0o700, 0o600));
        }
    }
}
