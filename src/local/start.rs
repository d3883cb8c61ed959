//! Finding the local server, starting it, and stopping it.
//!
//! Only what the lock vouches for is believed; every wait has an end.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::record::{Files, Lock, Record};
use super::{Ensured, LocalError, LocalOptions, Status};
use crate::client::{Client, ClientError, Endpoint, Timeouts};
use crate::wire::request::ServerInfo;

/// How often a lock or a record is looked at while something starts or stops.
const PACE: Duration = Duration::from_millis(10);
/// How long a server may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// How long a server that does not answer has to end by itself before it is ended.
const TERM_DEADLINE: Duration = Duration::from_secs(2);
/// How long the server may take to say what it is.
const INFO_DEADLINE: Duration = Duration::from_secs(2);
/// How much of the log a message repeats, in bytes.
const LOG_EXCERPT: u64 = 2048;

/// Finds the local server, or starts it.
///
/// One of another version or configuration is restarted when it has no run; otherwise it is used as it
/// is, with a notice.
///
/// # Errors
/// When it does not start, or does not answer in time; with what its log says.
pub async fn ensure(options: &LocalOptions) -> Result<Ensured, LocalError> {
    if let Some(record) = running(&options.files)?
        && let Ok(info) = info(&record).await
        && mismatch(&info, options).is_none()
    {
        return Ok(found(&record, None));
    }
    let deadline = Instant::now() + options.deadline;
    let _start = wait_for_start(options, deadline).await?;
    if let Some(free) = lock(&options.files)? {
        options.files.remove_record();
        drop(free);
        return start(options, deadline).await;
    }
    // It lives: it may still be starting, another starter was faster, or it is just ending.
    match wait_until_ready(options, None, 0, deadline).await? {
        None => start(options, deadline).await,
        Some(record) => {
            let info = info(&record).await?;
            match mismatch(&info, options) {
                None => Ok(found(&record, None)),
                Some(reason) => replace(options, &record, &info, &reason, deadline).await,
            }
        }
    }
}

/// What the running local server says about itself; `None` if there is none.
///
/// # Errors
/// When there is one that does not answer.
pub async fn status(files: &Files) -> Result<Option<Status>, LocalError> {
    let Some(record) = running(files)? else {
        return Ok(None);
    };
    let info = info(&record).await?;
    let runs = client(&record)?.runs().await?.items;
    Ok(Some(Status {
        pid: record.pid,
        port: record.port,
        info,
        runs,
    }))
}

/// Whether the server of this record is the local server still: it lives, and no other took its place.
///
/// # Errors
/// When its files cannot be used.
pub fn is_running(files: &Files, record: &Record) -> Result<bool, LocalError> {
    Ok(running(files)?.as_ref() == Some(record))
}

/// Stops the local server and waits until it is gone; `false` if there was none.
///
/// With `force` its runs are interrupted, and go on when it starts again; and a server that does not answer is ended as
/// a process.
///
/// # Errors
/// When it has live runs and is not forced, or does not go.
pub async fn stop(files: &Files, force: bool) -> Result<bool, LocalError> {
    let Some(record) = running(files)? else {
        return Ok(false);
    };
    let client = client(&record)?;
    match tokio::time::timeout(INFO_DEADLINE, client.stop_server(force)).await {
        Ok(Ok(())) => {
            let gone = wait_until_gone(files, &record, Instant::now() + STOP_DEADLINE).await;
            if gone.is_err() && force {
                return end_process(files, &record).await;
            }
            return gone.map(|()| true);
        }
        Ok(Err(error)) if force => tracing::debug!(%error, "the local server cannot be asked to stop, it is ended"),
        Err(_) if force => tracing::debug!("the local server does not answer, it is ended"),
        Ok(Err(error @ ClientError::Api { status: 409, .. })) => {
            let info = info(&record).await.map_err(|_| error)?;
            return Err(LocalError::Busy {
                live: info.live_runs.unwrap_or_default(),
            });
        }
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(LocalError::Silent { pid: record.pid }),
    }
    end_process(files, &record).await
}

/// Ends the server as a process: asks it first, and ends one that cannot even be asked.
async fn end_process(files: &Files, record: &Record) -> Result<bool, LocalError> {
    use rustix::process::Signal;
    let mut result = Ok(true);
    for (signal, time) in [(Signal::TERM, TERM_DEADLINE), (Signal::KILL, STOP_DEADLINE)] {
        // The lock vouches that the process of the record is the server and no other.
        if running(files)?.as_ref() == Some(record)
            && let Some(pid) = i32::try_from(record.pid).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, signal);
        }
        result = wait_until_gone(files, record, Instant::now() + time)
            .await
            .map(|()| true);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The record of a server that lives: one whose lock is held.
fn running(files: &Files) -> Result<Option<Record>, LocalError> {
    let check = || {
        let Some(record) = files.read_record()? else {
            return Ok(None);
        };
        Ok(files.lock_server()?.is_none().then_some(record))
    };
    check().map_err(|source| files_error(files, source))
}

fn found(record: &Record, notice: Option<String>) -> Ensured {
    Ensured {
        endpoint: Endpoint::local(record.port, record.secret.as_str()),
        record: record.clone(),
        started: false,
        notice,
    }
}

fn client(record: &Record) -> Result<Client, LocalError> {
    let endpoint = Endpoint::local(record.port, record.secret.as_str());
    Ok(Client::new(endpoint, Timeouts::default())?)
}

async fn info(record: &Record) -> Result<ServerInfo, LocalError> {
    let client = client(record)?;
    let info = tokio::time::timeout(INFO_DEADLINE, client.server_info()).await;
    match info {
        Ok(info) => info?.ok_or(LocalError::Stranger { pid: record.pid }),
        Err(_) => Err(LocalError::Silent { pid: record.pid }),
    }
}

/// In what the server differs from what is wanted.
fn mismatch(info: &ServerInfo, options: &LocalOptions) -> Option<String> {
    if info.version != options.version {
        return Some(format!("has version {} and this is {}", info.version, options.version));
    }
    (info.config_digest.as_deref() != Some(options.digest.as_str()))
        .then(|| "was started with another configuration".to_owned())
}

async fn replace(
    options: &LocalOptions,
    record: &Record,
    info: &ServerInfo,
    reason: &str,
    deadline: Instant,
) -> Result<Ensured, LocalError> {
    // The next one has what it keeps; but runs that go on are not interrupted unasked.
    if info.live_runs == Some(0) && client(record)?.stop_server(false).await.is_ok() {
        wait_until_gone(&options.files, record, Instant::now() + STOP_DEADLINE).await?;
        let grace = Instant::now() + options.deadline;
        return start(options, deadline.max(grace)).await;
    }
    let notice = format!(
        "the local server {reason}; it is used as it is, because runs go on in it. `switchboard server stop --force` \
         interrupts them, and they go on when the next command starts it anew"
    );
    Ok(found(record, Some(notice)))
}

async fn wait_for_start(options: &LocalOptions, deadline: Instant) -> Result<Lock, LocalError> {
    loop {
        match options
            .files
            .lock_start()
            .map_err(|source| files_error(&options.files, source))?
        {
            Some(lock) => return Ok(lock),
            None if Instant::now() >= deadline => return Err(not_ready(options, 0)),
            None => tokio::time::sleep(PACE).await,
        }
    }
}

async fn start(options: &LocalOptions, deadline: Instant) -> Result<Ensured, LocalError> {
    let before = options.files.log_length();
    let log = options
        .files
        .open_log()
        .map_err(|source| files_error(&options.files, source))?;
    // A long log was put aside just now.
    let before = if options.files.log_length() < before { 0 } else { before };
    let child = spawn(options, log).map_err(|source| LocalError::Spawn { source })?;
    let record = wait_until_ready(options, Some(child), before, deadline)
        .await?
        .ok_or_else(|| not_ready(options, before))?;
    Ok(Ensured {
        started: true,
        ..found(&record, None)
    })
}

fn spawn(options: &LocalOptions, log: std::fs::File) -> io::Result<Child> {
    let mut words = options.command.iter();
    let program = words.next().ok_or(io::ErrorKind::NotFound)?;
    // The child calls `setsid` itself as its first act. None of its streams is one of ours: a command
    // substitution would wait for as long as the server lives.
    Command::new(program)
        .args(words)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(false)
        .spawn()
}

fn lock(files: &Files) -> Result<Option<Lock>, LocalError> {
    files.lock_server().map_err(|source| files_error(files, source))
}

/// Waits for a record that the lock vouches for and that answers; `None`: a server that is no child of ours ended
/// instead.
async fn wait_until_ready(
    options: &LocalOptions,
    mut child: Option<Child>,
    log_from: u64,
    deadline: Instant,
) -> Result<Option<Record>, LocalError> {
    loop {
        if let Some(record) = running(&options.files)?
            && info(&record).await.is_ok()
        {
            return Ok(Some(record));
        }
        if child.is_none()
            && let Some(_free) = lock(&options.files)?
        {
            options.files.remove_record();
            return Ok(None);
        }
        if let Some(process) = &mut child
            && let Ok(Some(_)) = process.try_wait()
        {
            let (log, path) = excerpt(&options.files, log_from);
            return Err(LocalError::Exited { log, path });
        }
        if Instant::now() >= deadline {
            return Err(not_ready(options, log_from));
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn wait_until_gone(files: &Files, record: &Record, deadline: Instant) -> Result<(), LocalError> {
    loop {
        if running(files)?.as_ref() != Some(record) && lock(files)?.is_some() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(LocalError::NotStopped {
                pid: record.pid,
                after: STOP_DEADLINE,
            });
        }
        tokio::time::sleep(PACE).await;
    }
}

fn not_ready(options: &LocalOptions, log_from: u64) -> LocalError {
    let (log, path) = excerpt(&options.files, log_from);
    LocalError::NotReady {
        after: options.deadline,
        log,
        path,
    }
}

fn excerpt(files: &Files, from: u64) -> (String, PathBuf) {
    let text = files.read_log(from, LOG_EXCERPT).unwrap_or_default();
    let text = text.trim();
    let text = if text.is_empty() { "(nothing)" } else { text };
    (text.to_owned(), files.log())
}

fn files_error(files: &Files, source: io::Error) -> LocalError {
    LocalError::Files {
        dir: files.dir().to_path_buf(),
        source,
    }
}
