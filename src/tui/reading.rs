//! Reads code beside the loop: a thread of its own, which loads the languages when it is first needed.
//!
//! It ends with the executor. What is to be read and what becomes of it is decided elsewhere.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::mpsc;

use super::executor::Reply;
use crate::app::Msg;
use crate::app::reading::{self, code::Job};
use crate::text::highlight::{Languages, read};

/// How many jobs may wait. There is one for each code block in view at most.
const WAITING: usize = 512;

/// What hands code to its reader.
#[derive(Debug, Default)]
pub struct Highlighter {
    jobs: Option<SyncSender<Job>>,
}

impl Highlighter {
    /// Has some code read; what it is comes as a reply.
    pub fn read(&mut self, job: Job, replies: &mpsc::Sender<Reply>) {
        if self.jobs.is_none() {
            let (jobs, waiting) = sync_channel(WAITING);
            let replies = replies.clone();
            let thread = std::thread::Builder::new().name("highlight".to_owned());
            match thread.spawn(move || work(&waiting, &replies)) {
                Ok(_) => self.jobs = Some(jobs),
                // Code stays plain.
                Err(error) => tracing::warn!(%error, "no thread to read code"),
            }
        }
        if let Some(jobs) = &self.jobs {
            let _ = jobs.try_send(job);
        }
    }
}

fn work(waiting: &Receiver<Job>, replies: &mpsc::Sender<Reply>) {
    let Ok(mut job) = waiting.recv() else { return };
    let languages = Languages::load();
    loop {
        let done = read(&languages, &job.task);
        let message = Msg::Reading(reading::Msg::CodeRead {
            job: Box::new(job),
            done,
        });
        if replies.blocking_send(Reply::Msg(message)).is_err() {
            return;
        }
        match waiting.recv() {
            Ok(next) => job = next,
            Err(_) => return,
        }
    }
}
