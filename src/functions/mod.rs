//! Runs a configured command for a function call: arguments in on standard input, the result out on standard output.
//!
//! No shell reads anything. Whatever goes wrong (an exit that is not zero, too long, too much) is an error in a
//! sentence, for the model and the person. Who may run what, and what becomes of the result, is decided elsewhere.

mod group;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::config::FunctionConfig;
use crate::text::sanitise_line;
use group::Group;

/// Variables that a command inherits; nothing else of this program's environment reaches it, tokens least of all.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
];
/// The beginning of further names that are inherited.
const INHERITED_PREFIX: &str = "LC_";
/// How much of standard error is kept, in bytes: its end.
const KEPT_ERRORS: usize = 4 << 10;
/// How many of its last lines are told, and how many characters of each.
const TOLD_LINES: usize = 3;
const TOLD_CHARACTERS: usize = 200;
/// After its command has ended, a pipe that somebody still holds is read no longer than this.
const DRAIN: Duration = Duration::from_secs(1);
const PIECE: usize = 8 << 10;

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It went wrong; a sentence says what and why.
    Failed(String),
    /// It was stopped by `cancel`.
    Stopped,
}

/// Runs a function's command with these arguments. Its children end with it, and all of them when `cancel` is.
///
/// # Errors
/// When it cannot be started, does not end well, takes too long or writes too much.
pub async fn run(function: &FunctionConfig, arguments: &Value, cancel: &CancellationToken) -> Result<Value, Failure> {
    let Some((program, rest)) = function.command.split_first() else {
        return Err(Failure::Failed("no command is configured for it".to_owned()));
    };
    if cancel.is_cancelled() {
        return Err(Failure::Stopped);
    }
    let name = sanitise_line(program).into_owned();
    let mut command = tokio::process::Command::new(program);
    command
        .args(rest)
        .env_clear()
        .envs(inherited(std::env::vars_os()))
        .envs(function.env.iter().map(|(name, value)| (name, value.expose())))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(cwd) = &function.cwd {
        command.current_dir(cwd);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Err(Failure::Failed(format!("{name} cannot be run: {}", plain(&error)))),
    };
    let group = Group::of(child.id());
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let arguments = arguments.to_string();
    let feed = async move {
        if let Some(mut input) = input {
            // A command that reads nothing, or not all, is fine.
            let _ = input.write_all(arguments.as_bytes()).await;
            let _ = input.shutdown().await;
        }
    };
    // Writing, reading and waiting go on side by side: whichever the command does first, none holds up another.
    let feeding = Aborted(tokio::spawn(feed));
    let mut told = Aborted(tokio::spawn(last_of(errors)));
    let most = usize::try_from(function.max_output).unwrap_or(usize::MAX);
    let mut reading = Aborted(tokio::spawn(all_of(output, most)));
    let mut early = None;
    let work = async {
        tokio::select! {
            biased;
            // It ends when everything was read, or too much was.
            read = &mut reading.0 => {
                let read = read.unwrap_or(Read::All(Vec::new()));
                let is_over = matches!(read, Read::TooMuch);
                early = Some(read);
                if is_over { None } else { Some(child.wait().await) }
            }
            ended = child.wait() => Some(ended),
        }
    };
    let ended = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            group.end(&mut child).await;
            return Err(Failure::Stopped);
        }
        ended = tokio::time::timeout(function.timeout, work) => ended,
    };
    drop(feeding);
    let failed = |text: String| Err(Failure::Failed(text));
    let status = match ended {
        Err(_) => {
            group.end(&mut child).await;
            let limit = humantime::format_duration(function.timeout);
            let errors = told.within(DRAIN).await.unwrap_or_default();
            return failed(with_errors(
                format!("{name} took longer than {limit} and was stopped"),
                &errors,
            ));
        }
        Ok(None) => {
            group.end(&mut child).await;
            return failed(format!(
                "{name} wrote more than {} and was stopped",
                size(function.max_output)
            ));
        }
        Ok(Some(Err(error))) => {
            group.end(&mut child).await;
            return failed(format!("{name} was lost: {}", plain(&error)));
        }
        Ok(Some(Ok(status))) => status,
    };
    // Whatever it left behind goes with it, and lets go of the pipes.
    group.end(&mut child).await;
    let read = match early {
        Some(read) => read,
        None => reading.within(DRAIN).await.unwrap_or(Read::Held),
    };
    let errors = told.within(DRAIN).await.unwrap_or_default();
    match read {
        _ if !status.success() => failed(with_errors(format!("{name} {}", how(status)), &errors)),
        Read::TooMuch => failed(format!("{name} wrote more than {}", size(function.max_output))),
        Read::Held => failed(format!(
            "{name} ended, and something that it started still holds its output"
        )),
        Read::All(output) => Ok(value(&output)),
    }
}

/// What a command wrote.
#[derive(Debug)]
enum Read {
    All(Vec<u8>),
    TooMuch,
    /// Its end was not reached in time.
    Held,
}

/// The result that an output stands for: JSON if it is that, else the text without the line end behind it.
fn value(output: &[u8]) -> Value {
    serde_json::from_slice(output).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(output);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Value::String(text.strip_suffix('\r').unwrap_or(text).to_owned())
    })
}

async fn all_of(output: Option<impl AsyncRead + Unpin>, most: usize) -> Read {
    let mut bytes = Vec::new();
    let Some(output) = output else { return Read::All(bytes) };
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    // What was read before an error is what there is.
    let _ = output.take(limit).read_to_end(&mut bytes).await;
    if bytes.len() > most {
        Read::TooMuch
    } else {
        Read::All(bytes)
    }
}

/// Reads all, keeps the end.
async fn last_of(errors: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = VecDeque::new();
    let Some(mut errors) = errors else { return Vec::new() };
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = errors.read(&mut piece).await {
        kept.extend(&piece[..read]);
        let surplus = kept.len().saturating_sub(KEPT_ERRORS);
        kept.drain(..surplus);
    }
    kept.into()
}

fn with_errors(sentence: String, errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(TOLD_LINES)..];
    if last.is_empty() {
        return sentence;
    }
    let told: Vec<String> = last
        .iter()
        .map(|line| sanitise_line(&line.chars().take(TOLD_CHARACTERS).collect::<String>()).into_owned())
        .collect();
    format!("{sentence}: {}", told.join(" / "))
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "did not end well".to_owned(),
    }
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "it is not executable, or permission is denied".to_owned(),
        _ => error.to_string(),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

fn inherited<T>(all: impl Iterator<Item = (std::ffi::OsString, T)>) -> impl Iterator<Item = (std::ffi::OsString, T)> {
    all.filter(|(name, _)| {
        let name = name.to_str().unwrap_or_default();
        INHERITED.contains(&name) || name.starts_with(INHERITED_PREFIX)
    })
}

/// A task that ends with its owner.
struct Aborted<T>(tokio::task::JoinHandle<T>);

impl<T> Aborted<T> {
    /// What it gives, if it does in time.
    async fn within(&mut self, patience: Duration) -> Option<T> {
        tokio::time::timeout(patience, &mut self.0).await.ok()?.ok()
    }
}

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
