//! Which runs each account has, in order, and how many stand where: so that a list costs what it shows, and counts
//! cost nothing.
//!
//! It holds places and channels, not runs: where a run stands is in its channel. The committer alone writes to it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::AccountId;
use super::memory::Channel;
use crate::store::RunRecord;
use crate::wire::request::RunStatus;

/// Where a run stands in its account's list: by the time of its dispatch, then by a digest of its channel. It can be
/// shown: the channel's id cannot be found from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunPlace {
    created_at: u64,
    digest: u64,
}

impl RunPlace {
    /// The place of a run.
    #[must_use]
    pub fn of(run: &RunRecord) -> Self {
        Self {
            created_at: run.created_at,
            digest: run.key.channel.digest(),
        }
    }
}

impl fmt::Display for RunPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:016x}", self.created_at, self.digest)
    }
}

/// A text is no [`RunPlace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no place in a list of runs")]
pub struct NoRunPlace;

impl FromStr for RunPlace {
    type Err = NoRunPlace;

    fn from_str(text: &str) -> Result<Self, NoRunPlace> {
        let (created_at, digest) = text.split_once('-').ok_or(NoRunPlace)?;
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| NoRunPlace);
        Ok(Self {
            created_at: number(created_at)?,
            digest: number(digest)?,
        })
    }
}

/// Which runs of an account are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunQuery {
    /// Those behind this place, in the order of the list; from its beginning when absent.
    pub after: Option<RunPlace>,
    /// The oldest first, in place of the newest.
    pub oldest_first: bool,
    /// Only those that stand so; all of them when empty.
    pub statuses: Vec<RunStatus>,
    /// How many at most.
    pub take: usize,
}

impl RunQuery {
    /// The newest so many.
    #[must_use]
    pub fn newest(take: usize) -> Self {
        Self {
            after: None,
            oldest_first: false,
            statuses: Vec::new(),
            take,
        }
    }

    /// Whether a run is asked for, wherever it is in the list.
    #[must_use]
    pub fn wants(&self, status: RunStatus) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }
}

/// How many runs are retained, by where they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunCounts([usize; RunStatus::ALL.len()]);

impl RunCounts {
    /// How many stand so.
    #[must_use]
    pub fn of(&self, status: RunStatus) -> usize {
        self.0[status as usize]
    }

    /// How many there are.
    #[must_use]
    pub fn all(&self) -> usize {
        self.0.iter().sum()
    }

    /// How many have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.of(RunStatus::Queued) + self.of(RunStatus::Running) + self.of(RunStatus::Waiting)
    }
}

/// What the index knows of a channel's run.
pub(super) type Standing = Option<(RunPlace, RunStatus)>;

pub(super) fn standing(run: Option<&RunRecord>) -> Standing {
    run.map(|run| (RunPlace::of(run), run.progress.status))
}

/// The runs of every account.
#[derive(Default)]
pub(super) struct RunIndex {
    accounts: RwLock<HashMap<AccountId, BTreeMap<RunPlace, Arc<Channel>>>>,
    counts: [AtomicUsize; RunStatus::ALL.len()],
}

impl RunIndex {
    /// Takes in that a channel's run stood so before, and stands so now.
    pub(super) fn note(&self, channel: &Arc<Channel>, before: Standing, after: Standing) {
        if before == after {
            return;
        }
        if let Some((_, status)) = before {
            self.counts[status as usize].fetch_sub(1, Ordering::Relaxed);
        }
        if let Some((_, status)) = after {
            self.counts[status as usize].fetch_add(1, Ordering::Relaxed);
        }
        let (before, after) = (before.map(|(place, _)| place), after.map(|(place, _)| place));
        if before == after {
            return;
        }
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        let account = &channel.key.account;
        if let Some(place) = before
            && let Some(runs) = accounts.get_mut(account)
        {
            runs.remove(&place);
            if runs.is_empty() {
                accounts.remove(account);
            }
        }
        if let Some(place) = after {
            let runs = accounts.entry(account.clone()).or_default();
            runs.insert(place, Arc::clone(channel));
        }
    }

    /// So many channels of an account whose runs come next in a list.
    pub(super) fn slice(
        &self,
        account: &AccountId,
        after: Option<RunPlace>,
        oldest_first: bool,
        most: usize,
    ) -> Vec<(RunPlace, Arc<Channel>)> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let Some(runs) = accounts.get(account) else {
            return Vec::new();
        };
        let own = |(place, channel): (&RunPlace, &Arc<Channel>)| (*place, Arc::clone(channel));
        if oldest_first {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            runs.range((from, Bound::Unbounded)).take(most).map(own).collect()
        } else {
            let to = after.map_or(Bound::Unbounded, Bound::Excluded);
            runs.range((Bound::Unbounded, to)).rev().take(most).map(own).collect()
        }
    }

    pub(super) fn counts(&self) -> RunCounts {
        RunCounts(std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_shown() {
        let place = RunPlace {
            created_at: 1_700_000_000_000,
            digest: 7,
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "-", "1", "x-1", "1-", "1-2-3", "1-11111111111111111"] {
            assert_eq!(text.parse::<RunPlace>(), Err(NoRunPlace), "{text}");
        }
    }
}
