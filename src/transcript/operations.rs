//! Operations, detections, compactions and progress: what begins and ends is one block.
//!
//! What an operation did to the run is not known here; only that it went on, and whether it is over.

use crate::wire::event::{Operation, Progress};

use super::{BlockKind, Transcript};

/// Operations that are followed at once; older ones keep their block but are not marked as done.
const MOST_OPERATIONS: usize = 256;

impl Transcript {
    pub(super) fn operation_begin(&mut self, at: Option<u64>, family: &str, operation: &Operation) {
        let key = format!("{family} {}", operation.id);
        self.operation(at, key, operation_label(family, operation), false);
    }

    pub(super) fn operation_end(&mut self, at: Option<u64>, family: &str, operation: &Operation) {
        if !self.operation_done(&format!("{family} {}", operation.id)) {
            self.operation(at, String::new(), operation_label(family, operation), true);
        }
    }

    pub(super) fn operation(&mut self, at: Option<u64>, key: String, label: String, done: bool) {
        let id = self.push_id(at, BlockKind::Operation { label, done });
        if !done {
            if self.run.operations.len() >= MOST_OPERATIONS {
                self.run.operations.pop_front();
            }
            self.run.operations.push_back((key, id));
        }
    }

    pub(super) fn operation_done(&mut self, key: &str) -> bool {
        let Some(index) = self.run.operations.iter().position(|(known, _)| known == key) else {
            return false;
        };
        let Some((_, id)) = self.run.operations.remove(index) else {
            return false;
        };
        self.edit(id, |block| {
            if let BlockKind::Operation { done, .. } = &mut block.kind {
                *done = true;
            }
        })
    }

    pub(super) fn progress(&mut self, at: Option<u64>, progress: &Progress) {
        let key = format!("progress {}", progress.id);
        let label = format!("step {} of {}", progress.step, progress.total);
        let over = progress.total > 0 && progress.step >= progress.total;
        let known = self
            .run
            .operations
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, id)| *id);
        let Some(id) = known else {
            return self.operation(at, key, label, over);
        };
        let new = label.clone();
        self.edit(id, |block| {
            if let BlockKind::Operation { label, .. } = &mut block.kind {
                *label = new;
            }
        });
        if over {
            self.operation_done(&key);
        }
    }
}

fn operation_label(family: &str, operation: &Operation) -> String {
    let action = &operation.action;
    let name = action
        .name
        .clone()
        .or_else(|| action.kind.clone())
        .unwrap_or_else(|| match &action.id {
            Some(serde_json::Value::String(id)) => id.clone(),
            Some(id) => id.to_string(),
            None => family.to_owned(),
        });
    if family == "intent" {
        format!("detecting intent: {name}")
    } else {
        name
    }
}
