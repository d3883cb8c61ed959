//! Function calls that wait for a message on a channel: who gets it, exactly once.
//!
//! A message that is published where calls wait belongs to the first of them that has none yet. It is claimed when
//! it comes, made durable by the committer, and only then given to the run. Calls that waited when a server ended are
//! open again before the next one takes requests, so an answer never falls between. What an answer means is not
//! known here.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::memory::{Channel, Shared};
use super::{ChannelKey, Listening};

/// Tells one wait of a channel from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitId(u64);

/// When a message came: it may answer the calls that began to wait before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Came(u64);

/// What a call waits for, or has.
#[derive(Debug)]
enum Claim {
    /// Nothing has come.
    Open,
    /// A message has come and is being made durable.
    Claimed,
    /// It has its answer.
    Answered(Bytes),
}

#[derive(Debug)]
struct Wait {
    id: WaitId,
    run: ChannelKey,
    call: String,
    claim: Claim,
    /// Whoever executes the run, if it listens already.
    listener: Option<oneshot::Sender<Bytes>>,
    /// The listener takes what is claimed for it and nothing else any more.
    closing: bool,
    /// Who came after the message that is claimed.
    behind: Vec<oneshot::Sender<()>>,
}

/// The calls that wait on one channel, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waits: VecDeque<Wait>,
    next: u64,
}

impl Waits {
    pub(super) fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// Now.
    pub(super) fn now(&self) -> Came {
        Came(self.next)
    }

    /// Whether a message would be claimed.
    pub(super) fn is_open(&self, came: Came) -> bool {
        self.waits.iter().any(|wait| wait.is_open() && wait.began_before(came))
    }

    /// Where a message has to wait because the one before it may turn out not to be kept: then this one is the first.
    /// `None` when a message would be claimed, or when nothing is on its way.
    pub(super) fn queue_behind(&mut self, came: Came) -> Option<oneshot::Receiver<()>> {
        if self.is_open(came) {
            return None;
        }
        let mut waits = self.waits.iter_mut().filter(|wait| wait.began_before(came));
        let wait = waits.find(|wait| matches!(wait.claim, Claim::Claimed))?;
        let (settled, receiver) = oneshot::channel();
        wait.behind.push(settled);
        Some(receiver)
    }

    /// Opens the wait of a call that nobody listens to yet.
    pub(super) fn open(&mut self, run: &ChannelKey, call: &str) {
        if !self.waits.iter().any(|wait| wait.is_of(run, call)) {
            self.insert(run, call, Claim::Open, None);
        }
    }

    /// Listens to a call: to its wait if that is open already, else to a new one. An answer that was kept is given at
    /// once.
    pub(super) fn listen(
        &mut self,
        run: &ChannelKey,
        call: &str,
        kept: Option<Bytes>,
    ) -> (WaitId, oneshot::Receiver<Bytes>) {
        let (listener, receiver) = oneshot::channel();
        let known = self.waits.iter_mut().find(|wait| wait.is_of(run, call));
        if let Some(wait) = known {
            if let Some(answer) = kept {
                wait.claim = Claim::Answered(answer);
            }
            wait.listener = Some(listener);
            wait.deliver();
            return (wait.id, receiver);
        }
        let claim = kept.map_or(Claim::Open, Claim::Answered);
        let id = self.insert(run, call, claim, Some(listener));
        if let Some(wait) = self.waits.back_mut() {
            wait.deliver();
        }
        (id, receiver)
    }

    fn insert(
        &mut self,
        run: &ChannelKey,
        call: &str,
        claim: Claim,
        listener: Option<oneshot::Sender<Bytes>>,
    ) -> WaitId {
        let id = WaitId(self.next);
        self.next += 1;
        self.waits.push_back(Wait {
            id,
            run: run.clone(),
            call: call.to_owned(),
            claim,
            listener,
            closing: false,
            behind: Vec::new(),
        });
        id
    }

    /// Claims a message for the first call that has none: its run, its id, and its wait.
    pub(super) fn claim(&mut self, came: Came) -> Option<(ChannelKey, String, WaitId)> {
        let mut waits = self.waits.iter_mut().filter(|wait| wait.began_before(came));
        let wait = waits.find(|wait| matches!(wait.claim, Claim::Open))?;
        wait.claim = Claim::Claimed;
        Some((wait.run.clone(), wait.call.clone(), wait.id))
    }

    /// Gives a call the message that was claimed for it; without one it waits again.
    pub(super) fn settle(&mut self, id: WaitId, answer: Option<Bytes>) {
        if let Some(wait) = self.waits.iter_mut().find(|wait| wait.id == id) {
            wait.claim = answer.map_or(Claim::Open, Claim::Answered);
            wait.deliver();
            // Who has gone does not need to know.
            for behind in wait.behind.drain(..) {
                let _ = behind.send(());
            }
            if wait.closing {
                self.close(id);
            }
        }
    }

    /// Claims nothing more for a call; it ends at once if nothing is on its way to it.
    fn close_gently(&mut self, id: WaitId) {
        if let Some(wait) = self.waits.iter_mut().find(|wait| wait.id == id) {
            wait.closing = true;
            if matches!(wait.claim, Claim::Open) {
                self.close(id);
            }
        }
    }

    /// Nobody listens to a call any more. Gives its run if it waits on.
    fn leave(&mut self, id: WaitId) -> Option<ChannelKey> {
        let wait = self.waits.iter().find(|wait| wait.id == id)?;
        if wait.closing || matches!(wait.claim, Claim::Answered(_)) {
            self.close(id);
            return None;
        }
        Some(wait.run.clone())
    }

    pub(super) fn close(&mut self, id: WaitId) {
        self.waits.retain(|wait| wait.id != id);
    }

    /// Ends the waits of a run that is over.
    pub(super) fn close_run(&mut self, run: &ChannelKey) {
        self.waits.retain(|wait| wait.run != *run);
    }
}

impl Wait {
    fn is_of(&self, run: &ChannelKey, call: &str) -> bool {
        self.run == *run && self.call == call
    }

    fn is_open(&self) -> bool {
        matches!(self.claim, Claim::Open) && !self.closing
    }

    fn began_before(&self, came: Came) -> bool {
        self.id.0 < came.0
    }

    fn deliver(&mut self) {
        if let Claim::Answered(answer) = &self.claim
            && let Some(listener) = self.listener.take()
        {
            // A run that has gone needs no answer; it is kept for when it goes on.
            let _ = listener.send(answer.clone());
        }
    }
}

/// Listens for the answer of one call. Dropped before that has come, it leaves the wait to the run: what is published
/// until the run's end is durable is acknowledged as its answer, so a later server has to find it.
pub(super) struct Answering {
    pub(super) shared: Arc<Shared>,
    pub(super) channel: Arc<Channel>,
    pub(super) id: WaitId,
    pub(super) receiver: oneshot::Receiver<Bytes>,
}

#[async_trait]
impl Listening for Answering {
    async fn next(&mut self) -> Bytes {
        if !self.receiver.is_terminated()
            && let Ok(answer) = (&mut self.receiver).await
        {
            return answer;
        }
        // The wait was ended with its run: nothing comes, and nobody is to act on that.
        std::future::pending().await
    }

    async fn close(mut self: Box<Self>) -> Option<Bytes> {
        self.channel.lock().waits.close_gently(self.id);
        if self.receiver.is_terminated() {
            return None;
        }
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let (left, unused) = {
            let mut state = self.channel.lock();
            let left = state.waits.leave(self.id);
            (left, state.is_unused())
        };
        if let Some(run) = left {
            self.shared.wait_unheard(run, &self.channel.key);
        }
        if unused {
            self.shared.remove_if_unused(&self.channel.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::AccountId;
    use crate::wire::ChannelId;

    fn run(number: u8) -> ChannelKey {
        ChannelKey {
            account: AccountId::new("one"),
            channel: ChannelId::from_random([number; 18]),
        }
    }

    #[test]
    fn a_message_belongs_to_the_first_call_that_has_none() {
        let mut waits = Waits::default();
        assert!(waits.claim(waits.now()).is_none());
        let (first, mut first_gets) = waits.listen(&run(1), "a", None);
        let (second, mut second_gets) = waits.listen(&run(2), "a", None);
        let claimed = waits.claim(waits.now()).expect("the first");
        assert_eq!((claimed.0, claimed.2), (run(1), first));
        let claimed = waits.claim(waits.now()).expect("the second");
        assert_eq!(claimed.2, second);
        assert!(waits.claim(waits.now()).is_none() && !waits.is_open(waits.now()));
        waits.settle(second, Some(Bytes::from_static(b"2")));
        // What could not be kept is no answer.
        waits.settle(first, None);
        assert_eq!(second_gets.try_recv().expect("an answer"), "2");
        assert!(first_gets.try_recv().is_err());
        assert_eq!(waits.claim(waits.now()).map(|claimed| claimed.2), Some(first));
        waits.settle(first, Some(Bytes::from_static(b"1")));
        assert_eq!(first_gets.try_recv().expect("an answer"), "1");
        waits.close(first);
        waits.close(second);
        assert!(waits.is_empty());
    }

    #[test]
    fn a_message_waits_for_the_one_before_it_and_is_the_first_if_that_is_not_kept() {
        let mut waits = Waits::default();
        assert!(waits.queue_behind(waits.now()).is_none());
        let (id, _gets) = waits.listen(&run(1), "a", None);
        assert!(waits.queue_behind(waits.now()).is_none(), "it would be claimed");
        for answer in [None, Some(Bytes::from_static(b"1"))] {
            assert!(waits.claim(waits.now()).is_some());
            let mut behind = waits.queue_behind(waits.now()).expect("one is on its way");
            assert!(behind.try_recv().is_err());
            waits.settle(id, answer.clone());
            assert!(behind.try_recv().is_ok());
            assert_eq!(waits.is_open(waits.now()), answer.is_none());
        }
        assert!(waits.queue_behind(waits.now()).is_none());
        let (_, _gets) = waits.listen(&run(2), "a", None);
        assert!(waits.claim(waits.now()).is_some());
        let mut behind = waits.queue_behind(waits.now()).expect("one is on its way");
        waits.close_run(&run(2));
        assert!(matches!(behind.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    }

    #[test]
    fn a_message_is_for_the_calls_that_waited_when_it_came() {
        let mut waits = Waits::default();
        let (first, _gets) = waits.listen(&run(1), "a", None);
        assert!(waits.claim(waits.now()).is_some());
        let came = waits.now();
        assert!(waits.queue_behind(came).is_some());
        // The run goes on with its next call before whoever sent it looks again.
        waits.settle(first, Some(Bytes::from_static(b"1")));
        let (second, _gets) = waits.listen(&run(1), "b", None);
        assert!(!waits.is_open(came) && waits.claim(came).is_none() && waits.queue_behind(came).is_none());
        assert_eq!(waits.claim(waits.now()).map(|claimed| claimed.2), Some(second));
    }

    #[test]
    fn who_stops_listening_still_gets_what_is_on_its_way() {
        let mut waits = Waits::default();
        let (nothing, mut gets) = waits.listen(&run(1), "a", None);
        waits.close_gently(nothing);
        assert!(waits.is_empty());
        assert!(matches!(gets.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        for answer in [Some(Bytes::from_static(b"late")), None] {
            let (id, mut gets) = waits.listen(&run(1), "a", None);
            assert!(waits.claim(waits.now()).is_some());
            waits.close_gently(id);
            waits.settle(id, answer.clone());
            assert_eq!(gets.try_recv().ok(), answer);
            assert!(waits.is_empty() && waits.claim(waits.now()).is_none());
        }
    }

    #[test]
    fn a_wait_is_open_before_anybody_listens_and_goes_with_its_run() {
        let mut waits = Waits::default();
        waits.open(&run(1), "a");
        waits.open(&run(1), "a");
        let (_, _, id) = waits.claim(waits.now()).expect("it is open");
        assert!(waits.claim(waits.now()).is_none(), "it is one wait");
        waits.settle(id, Some(Bytes::from_static(b"early")));
        let (_, mut answer) = waits.listen(&run(1), "a", None);
        assert_eq!(answer.try_recv().expect("an answer"), "early");
        let (_, mut kept) = waits.listen(&run(1), "b", Some(Bytes::from_static(b"kept")));
        assert_eq!(kept.try_recv().expect("an answer"), "kept");
        assert!(!waits.is_open(waits.now()));
        waits.close_run(&run(1));
        assert!(waits.is_empty());
    }
}
