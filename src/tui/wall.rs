//! The configuration, read again when its file changes.
//!
//! The directory is watched, not the file: editors replace files. Reading and checking is done beside the loop; what
//! cannot be used changes nothing. It knows no key of the configuration: whoever starts the program brings what reads
//! it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::UiOptions;
use super::executor::Reply;
use crate::app::wall::Msg as WallMsg;
use crate::app::{Msg, Settings};

/// Writers write more than once: so long after the last change the file is read.
const SETTLE: Duration = Duration::from_millis(200);

/// A writer that never stops is not waited for longer than this.
const LONGEST_SETTLE: Duration = Duration::from_secs(2);

/// What the file says now, or a sentence with file, line and column that says what is wrong with it.
pub type ReadConfig = Arc<dyn Fn() -> Result<(Settings, UiOptions), String> + Send + Sync>;

/// The configuration's file and what reads it.
#[derive(Clone)]
pub struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    /// Reads it.
    pub read: ReadConfig,
}

/// Watches the file until it is dropped.
#[must_use]
pub struct ConfigWatch {
    _task: AbortOnDropHandle<()>,
    _watcher: RecommendedWatcher,
}

/// Begins to watch a configuration's file; what it says goes to the loop whenever its content changed.
///
/// # Errors
/// When the system gives no notice of changes; with why.
pub fn watch(file: ConfigFile, replies: mpsc::Sender<Reply>) -> Result<ConfigWatch, String> {
    let path = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
    let directory = path.parent().map_or_else(|| PathBuf::from("/"), PathBuf::from);
    // One notice in the queue is as good as many.
    let (changed, mut changes) = mpsc::channel::<()>(1);
    let real = std::fs::canonicalize(&path).ok();
    let names: Vec<OsString> = [Some(&path), real.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|path| path.file_name().map(OsString::from))
        .collect();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access() && is_of(&event.paths, &names)) {
            let _ = changed.try_send(());
        }
    })
    .map_err(|error| error.to_string())?;
    watcher
        .watch(&directory, RecursiveMode::NonRecursive)
        .map_err(|error| error.to_string())?;
    // A link may lead to another directory, in which the changes are.
    if let Some(real) = real.and_then(|real| real.parent().map(PathBuf::from))
        && real != directory
    {
        let _ = watcher.watch(&real, RecursiveMode::NonRecursive);
    }
    let mut last = std::fs::read(&path).ok();
    let task = tokio::spawn(async move {
        while changes.recv().await.is_some() {
            let since = Instant::now();
            while since.elapsed() < LONGEST_SETTLE
                && let Ok(Some(())) = tokio::time::timeout(SETTLE, changes.recv()).await
            {}
            let content = tokio::fs::read(&path).await.ok();
            // Others change things in the directory too; a file that is gone says nothing new.
            if content.is_none() || content == last {
                continue;
            }
            last = content;
            let read = Arc::clone(&file.read);
            let reply = match tokio::task::spawn_blocking(move || read()).await {
                Ok(Ok((settings, ui))) => {
                    if replies.send(Reply::Ui(ui)).await.is_err() {
                        return;
                    }
                    WallMsg::Settings(Box::new(settings))
                }
                Ok(Err(reason)) => WallMsg::BadSettings(reason),
                Err(error) => WallMsg::BadSettings(error.to_string()),
            };
            if replies.send(Reply::Msg(Msg::Wall(reply))).await.is_err() {
                return;
            }
        }
    });
    Ok(ConfigWatch {
        _task: AbortOnDropHandle::new(task),
        _watcher: watcher,
    })
}

/// Whether a change may be one of the file: others change things in its directory too. Where directories are mounted
/// as a whole (as containers do it), what changes is a link whose name begins with two dots.
fn is_of(paths: &[PathBuf], names: &[OsString]) -> bool {
    let mut changed = paths.iter().filter_map(|path| path.file_name());
    paths.is_empty()
        || changed.any(|name| names.iter().any(|of| of == name) || name.as_encoded_bytes().starts_with(b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(replies: &mut mpsc::Receiver<Reply>) -> Reply {
        let reply = tokio::time::timeout(Duration::from_secs(20), replies.recv()).await;
        reply.expect("in time").expect("a reply")
    }

    #[tokio::test]
    async fn a_file_that_is_replaced_is_read_and_a_bad_one_says_why() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("config.toml");
        std::fs::write(&path, "one").expect("written");
        let of = path.clone();
        let read: ReadConfig = Arc::new(move || match std::fs::read_to_string(&of) {
            Ok(text) if text == "bad" => Err("config.toml:1:1: bad".to_owned()),
            _ => Ok((Settings::default(), UiOptions::default())),
        });
        let (sender, mut replies) = mpsc::channel(8);
        let file = ConfigFile {
            path: path.clone(),
            read,
        };
        let _watch = watch(file, sender).expect("watched");

        // As an editor does it: a new file in the place of the old one.
        let other = root.path().join("config.toml~");
        std::fs::write(&other, "two").expect("written");
        std::fs::rename(&other, &path).expect("replaced");
        assert!(matches!(next(&mut replies).await, Reply::Ui(_)));
        assert!(matches!(
            next(&mut replies).await,
            Reply::Msg(Msg::Wall(WallMsg::Settings(_)))
        ));

        std::fs::write(&path, "bad").expect("written");
        let Reply::Msg(Msg::Wall(WallMsg::BadSettings(reason))) = next(&mut replies).await else {
            panic!("not told")
        };
        assert_eq!(reason, "config.toml:1:1: bad");

        // What did not change is not read again.
        std::fs::write(root.path().join("other"), "x").expect("written");
        std::fs::write(&path, "bad").expect("written");
        tokio::time::sleep(SETTLE * 3).await;
        assert!(replies.try_recv().is_err());
    }
}
