//! A command with everything that it started: one process group, which ends as one.
//!
//! A process that leaves the group on purpose (a daemon) is not followed.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Child;

/// How long a group has between being asked to end and being killed.
const GRACE: Duration = Duration::from_millis(500);
/// How often it is looked whether it has ended.
const STEP: Duration = Duration::from_millis(10);

/// The process group of a command. Dropping it kills what is left.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
}

impl Group {
    /// The group that a command of this process id leads.
    pub fn of(id: Option<u32>) -> Self {
        let leader = id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { leader }
    }

    /// Asks all of it to end (SIGTERM), and kills what has not ended soon after (SIGKILL).
    pub async fn end(mut self, child: &mut Child) {
        let Some(leader) = self.leader.take() else { return };
        // Until it is gone, a drop of this future (the end of the program) still kills the group.
        let rest = Self { leader: Some(leader) };
        let _ = kill_process_group(leader, Signal::TERM);
        let gone = async {
            let _ = child.wait().await;
            while test_kill_process_group(leader).is_ok() {
                tokio::time::sleep(STEP).await;
            }
        };
        if tokio::time::timeout(GRACE, gone).await.is_err() {
            let _ = kill_process_group(leader, Signal::KILL);
            let _ = child.wait().await;
        }
        let mut rest = rest;
        rest.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
