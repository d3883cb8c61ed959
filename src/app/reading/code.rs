//! Code on the screen: what was read of each block of it, and what is being read.
//!
//! Reading goes on beside the loop; here is what came of it. A block that nobody looks at is not read.

use std::collections::HashMap;

use crate::text::highlight::{Done, LineRoles, Progress, Task};
use crate::transcript::BlockId;
use crate::wire::ChannelId;

/// How many code blocks of a channel are remembered; the next ones begin anew.
const MOST_BLOCKS: usize = 64;

/// The code blocks of a channel, by their block and where their first line begins in its text.
#[derive(Debug, Clone, Default)]
pub struct CodeBlocks {
    known: HashMap<(BlockId, usize), Code>,
}

/// What is known of one code block.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Code {
    /// Its finished lines: where each begins in the block's text, and its parts.
    lines: Vec<(usize, LineRoles)>,
    /// Where the first line begins that is not finished.
    done: usize,
    /// That line, as it was read.
    tail: (String, LineRoles),
    progress: Option<Progress>,
    /// It is being read further.
    is_read: bool,
    /// Its language is not known: it stays plain.
    is_plain: bool,
}

/// Code that is to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The channel, and which watch of it.
    pub channel: (ChannelId, u64),
    /// The block, and where the code begins in its text.
    pub code: (BlockId, usize),
    /// Where the lines begin.
    pub starts: Vec<usize>,
    /// Where they end.
    pub end: usize,
    /// The lines.
    pub task: Task,
}

impl Code {
    /// Where the first line begins that is not finished.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Whether there is nothing to ask for now.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_read || self.is_plain
    }

    /// Where reading stands.
    #[must_use]
    pub fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// The unfinished line, as it was read.
    #[must_use]
    pub fn tail(&self) -> &str {
        &self.tail.0
    }

    /// The line that holds a byte of the block's text: where it begins, and its parts.
    #[must_use]
    pub fn line_at(&self, offset: usize) -> Option<(usize, &LineRoles)> {
        if offset >= self.done {
            return Some((self.done, &self.tail.1));
        }
        let at = self
            .lines
            .partition_point(|(start, _)| *start <= offset)
            .checked_sub(1)?;
        self.lines.get(at).map(|(start, roles)| (*start, roles))
    }
}

impl CodeBlocks {
    /// What is known of a code block.
    #[must_use]
    pub fn get(&self, code: (BlockId, usize)) -> Option<&Code> {
        self.known.get(&code)
    }

    /// A job was given out; `false`: it is out already.
    pub(super) fn ask(&mut self, job: &Job) -> bool {
        if self.known.len() >= MOST_BLOCKS && !self.known.contains_key(&job.code) {
            self.known.clear();
        }
        let code = self.known.entry(job.code).or_insert_with(|| Code {
            done: job.code.1,
            ..Code::default()
        });
        let from = job.starts.first().copied().unwrap_or(job.end);
        if job.starts.is_empty() && job.end < code.done {
            // The text was replaced by a shorter one: what was read of it is void.
            *code = Code {
                done: job.code.1,
                ..Code::default()
            };
        }
        if from != code.done {
            return false;
        }
        !std::mem::replace(&mut code.is_read, true)
    }

    /// A job was done; `false`: nobody waits for it any more.
    pub(super) fn take(&mut self, job: &Job, done: Done) -> bool {
        let Some(code) = self.known.get_mut(&job.code) else {
            return false;
        };
        code.is_read = false;
        if job.starts.first().copied().unwrap_or(job.end) != code.done {
            return false;
        }
        code.is_plain = done.progress.is_none();
        code.progress = done.progress;
        code.lines.extend(job.starts.iter().copied().zip(done.lines));
        code.done = job.end;
        code.tail = (job.task.tail.clone(), done.tail);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::highlight::{Languages, read};

    #[test]
    fn code_is_read_part_by_part_and_stale_answers_change_nothing() {
        let languages = Languages::load();
        let mut blocks = CodeBlocks::default();
        let key = (BlockId(3), 8);
        let job = |starts: Vec<usize>, end: usize, lines: &[&str], tail: &str, code: Option<&Code>| Job {
            channel: (ChannelId::from_random([1; 18]), 1),
            code: key,
            starts,
            end,
            task: Task {
                language: "rust".into(),
                progress: code.and_then(Code::progress).cloned(),
                lines: lines.iter().map(|line| (*line).to_owned()).collect(),
                tail: tail.to_owned(),
            },
        };
        let first = job(vec![8, 20], 30, &["/* one", "two */ 1"], "let x", None);
        assert!(blocks.ask(&first) && !blocks.ask(&first), "asked once");
        assert!(blocks.take(&first, read(&languages, &first.task)));
        let code = blocks.get(key).expect("known").clone();
        assert_eq!(
            code.line_at(22).map(|(start, roles)| (start, roles.len())),
            Some((20, 3))
        );
        assert_eq!(code.line_at(31).map(|(start, _)| start), Some(30));
        assert_eq!(code.tail(), "let x");
        assert!(!blocks.take(&first, read(&languages, &first.task)), "it is past that");
        let second = job(vec![30], 40, &["let x = 1;"], "", Some(&code));
        assert!(blocks.ask(&second) && blocks.take(&second, read(&languages, &second.task)));
        assert_eq!(blocks.get(key).map(Code::done), Some(40));
    }
}
