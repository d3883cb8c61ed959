//! Carries out what function calls want done: runs commands, a few at a time, each call at most once.
//!
//! A call is claimed by a file that only one program can make: two programs on one machine, and one that crashed and was
//! started again, never both run it. What may run is decided in `app`; how a command runs is `functions`' matter.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::executor::Reply;
use crate::app::calls::{Do, Msg};
use crate::app::{self, RequestId};
use crate::functions::{self, Failure};

/// How many commands run at once; further ones wait for their turn.
const AT_ONCE: usize = 4;
/// How long claims are kept: far longer than any run waits for an answer.
const KEPT_CLAIMS: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long the end of the program waits for commands that are told to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// The commands of this program.
#[derive(Debug)]
pub(super) struct Commands {
    claims: Arc<PathBuf>,
    permits: Arc<Semaphore>,
    running: HashMap<RequestId, CancellationToken>,
    all: CancellationToken,
    tasks: TaskTracker,
}

impl Commands {
    /// Claims are files in a directory beside the state file.
    pub fn new(state_file: &Path) -> Self {
        Self {
            claims: Arc::new(state_file.with_file_name("calls")),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            running: HashMap::new(),
            all: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Carries out an effect; what comes of it goes to `replies`.
    pub fn execute(&mut self, effect: Do, replies: mpsc::Sender<Reply>) {
        match effect {
            Do::Stop { job } => {
                if let Some(cancel) = self.running.remove(&job) {
                    cancel.cancel();
                }
            }
            Do::Run {
                job,
                function,
                arguments,
                claim,
            } => {
                self.running.retain(|_, cancel| !cancel.is_cancelled());
                let cancel = self.all.child_token();
                self.running.insert(job, cancel.clone());
                let (permits, claims) = (Arc::clone(&self.permits), Arc::clone(&self.claims));
                self.tasks.spawn(async move {
                    let work = async {
                        let Some(_permit) = cancel.run_until_cancelled(permits.acquire()).await else {
                            return Msg::Stopped { job };
                        };
                        if let Some(name) = claim {
                            let claimed = tokio::task::spawn_blocking(move || take(&claims, &name)).await;
                            match claimed {
                                Ok(Ok(true)) => {}
                                Ok(Ok(false)) => return Msg::Taken { job },
                                Ok(Err(error)) => {
                                    let result =
                                        Err(format!("the call cannot be claimed, so nothing was run: {error}"));
                                    return Msg::Ran { job, result };
                                }
                                Err(_) => return Msg::Stopped { job },
                            }
                        }
                        match functions::run(&function, &arguments, &cancel).await {
                            Ok(value) => Msg::Ran { job, result: Ok(value) },
                            Err(Failure::Failed(reason)) => Msg::Ran {
                                job,
                                result: Err(reason),
                            },
                            Err(Failure::Stopped) => Msg::Stopped { job },
                        }
                    };
                    let message = work.await;
                    // It is over: what is left of its entry goes with the next one.
                    cancel.cancel();
                    let _ = replies.send(Reply::Msg(app::Msg::Calls(message))).await;
                });
            }
        }
    }

    /// Ends all commands and what they started.
    pub async fn finish(&mut self) {
        self.all.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(PATIENCE, self.tasks.wait()).await;
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.all.cancel();
    }
}

/// Claims a call; `false`: it was claimed before.
fn take(claims: &Path, name: &str) -> io::Result<bool> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(claims)?;
    forget_old(claims);
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(claims.join(name));
    match made {
        Ok(mut file) => {
            // On the disk before anything is done: a crash may follow at once.
            file.write_all(b"\n")?;
            file.sync_all()?;
            File::open(claims)?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes claims on calls that are long over.
fn forget_old(claims: &Path) {
    let Ok(entries) = fs::read_dir(claims) else { return };
    let now = SystemTime::now();
    for entry in entries.flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = modified
            .ok()
            .and_then(|at| now.duration_since(at).ok())
            .is_some_and(|age| age > KEPT_CLAIMS);
        if is_old {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_claimed_once() {
        let folder = tempfile::tempdir().expect("a directory");
        let claims = folder.path().join("calls");
        assert!(take(&claims, "one").expect("it can be claimed"));
        assert!(!take(&claims, "one").expect("it was claimed"));
        assert!(take(&claims, "two").expect("another one"));
        let old = File::options().write(true).open(claims.join("one")).expect("the claim");
        old.set_modified(SystemTime::now() - KEPT_CLAIMS - Duration::from_secs(1))
            .expect("a time");
        assert!(!take(&claims, "two").expect("it was claimed"));
        assert!(take(&claims, "one").expect("long over"), "old claims go");
    }
}
