//! Code on the screen: which lines are to be read next, and the parts of a row of code.
//!
//! Reading itself goes on elsewhere; until it has come that far a row is plain.

use crate::app::Channel;
use crate::app::reading::code::{Code, Job};
use crate::text::highlight::Task;
use crate::text::{CodeFence, Role, Row, sanitise_line};
use crate::transcript::{Block, BlockKind};

use super::block::BlockView;

/// How much is read at once: lines, and bytes.
const MOST_LINES: usize = 400;
const MOST_BYTES: usize = 64 * 1024;

/// What is to be read of the code that begins within some rows of a block, or reaches into them.
pub(super) fn jobs(channel: &Channel, block: &Block, view: &BlockView, rows: &[Row]) -> Vec<Job> {
    let BlockKind::Answer { text, .. } = &block.kind else {
        return Vec::new();
    };
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Vec::new();
    };
    let (from, to) = (first.source_offset, last.source_offset);
    let fences = view.fences();
    let begin = fences.partition_point(|fence| fence.end.is_some_and(|end| end < from));
    let in_view = fences[begin..].iter().take_while(|fence| fence.start <= to);
    in_view.filter_map(|fence| job(channel, block, text, fence)).collect()
}

fn job(channel: &Channel, block: &Block, text: &str, fence: &CodeFence) -> Option<Job> {
    if fence.language.is_empty() {
        return None;
    }
    let key = (block.id, fence.start);
    let known = channel.reading.code.get(key);
    if known.is_some_and(Code::is_settled) {
        return None;
    }
    let end = fence.end.unwrap_or(text.len());
    let from = known.map_or(fence.start, Code::done).min(end);
    let mut rest = text.get(from..end)?;
    let (mut starts, mut lines, mut at) = (Vec::new(), Vec::new(), from);
    while let Some(length) = memchr::memchr(b'\n', rest.as_bytes()) {
        if lines.len() >= MOST_LINES || at - from >= MOST_BYTES {
            break;
        }
        let line = rest[..length].trim_end_matches('\r');
        starts.push(at);
        lines.push(sanitise_line(fence.content(line)).into_owned());
        at += length + 1;
        rest = &rest[length + 1..];
    }
    let is_all = !rest.contains('\n');
    let tail = if is_all && rest.len() <= MOST_BYTES {
        sanitise_line(fence.content(rest.trim_end_matches('\r'))).into_owned()
    } else {
        String::new()
    };
    let is_new = !lines.is_empty() || tail != known.map_or("", Code::tail);
    is_new.then(|| Job {
        channel: (channel.id.clone(), channel.generation),
        code: key,
        starts,
        end: at,
        task: Task {
            language: fence.language.as_str().into(),
            progress: known.and_then(Code::progress).cloned(),
            lines,
            tail,
        },
    })
}

/// The parts of a row of code, from its beginning; empty where nothing is known of it.
pub(super) fn parts<'a>(channel: &Channel, block: &Block, view: &BlockView, row: &'a Row) -> Vec<(&'a str, Role)> {
    let [span] = row.spans.as_slice() else {
        return Vec::new();
    };
    let at = row.source_offset;
    let fences = view.fences();
    let found = fences
        .partition_point(|fence| fence.start <= at)
        .checked_sub(1)
        .and_then(|index| fences.get(index))
        .filter(|fence| span.role == Role::CodeBlock && fence.end.is_none_or(|end| at < end));
    let line = found
        .and_then(|fence| channel.reading.code.get((block.id, fence.start)))
        .and_then(|code| code.line_at(at));
    let Some((start, roles)) = line else {
        return Vec::new();
    };
    let skipped = at - start;
    let text = span.text.as_str();
    let mut parts = Vec::with_capacity(roles.len());
    let ends = roles.iter().skip(1).map(|(end, _)| *end).chain([usize::MAX]);
    for ((begin, role), end) in roles.iter().zip(ends) {
        let begin = begin.saturating_sub(skipped).min(text.len());
        let end = end.saturating_sub(skipped).min(text.len());
        if let Some(part) = text.get(begin..end).filter(|part| !part.is_empty()) {
            parts.push((part, *role));
        }
    }
    // Text that grew since it was read, or that does not fit together, is drawn as it is.
    let whole: usize = parts.iter().map(|(part, _)| part.len()).sum();
    if whole == text.len() { parts } else { Vec::new() }
}
