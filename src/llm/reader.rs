//! The bytes of a streamed answer in, what they mean out: any chunks, any garbage, in bounded memory.
//!
//! It does no I/O. What comes before an error is handed out before it, however the bytes were cut; an answer ends
//! once, well or with one error.

use std::collections::VecDeque;

use bytes::Bytes;

use super::ModelEvent;
use super::delta::{Assembler, ChunkError, UpstreamError, upstream_error};
use super::sse::{SseDecoder, SseLine};
use crate::wire::jsonl::{LONGEST_LINE, LineError};

/// How much is taken of one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// A line, in bytes.
    pub(super) line: usize,
    /// Text, reasoning and function calls together, in bytes.
    pub(super) answer: usize,
    /// Bytes without a word of an answer in them.
    pub(super) noise: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            line: LONGEST_LINE,
            answer: 16 * 1024 * 1024,
            noise: 2 * LONGEST_LINE,
        }
    }
}

/// Why an answer ends before its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// A line or the whole answer is larger than the limit, in bytes.
    TooLarge { limit: usize },
    /// More bytes than the limit came without a word of an answer.
    Noise { limit: usize },
    /// This is no chunk of a chat completion.
    Garbage(Bytes),
    /// It is an error of the upstream.
    Upstream(UpstreamError),
    /// The stream is over and the answer is not.
    Cut,
}

/// Reads one answer.
#[derive(Debug)]
pub(super) struct Reader {
    /// The model's name, for an upstream that gives none.
    model: String,
    bounds: Bounds,
    decoder: SseDecoder,
    assembler: Assembler,
    ready: VecDeque<ModelEvent>,
    /// Whether a chunk has come: what is no event after it is some proxy's noise.
    begun: bool,
    /// Bytes since the last word of the answer.
    noise: usize,
    over: bool,
}

impl Reader {
    /// A reader of an answer of a model.
    pub(super) fn new(model: String, bounds: Bounds) -> Self {
        Self {
            model,
            bounds,
            decoder: SseDecoder::with_limit(bounds.line),
            assembler: Assembler::new(bounds.answer),
            ready: VecDeque::new(),
            begun: false,
            noise: 0,
            over: false,
        }
    }

    /// Takes the next bytes. After an error, or the end, all further ones are left alone.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), ReadError> {
        if self.over {
            return Ok(());
        }
        self.decoder.push(chunk);
        self.noise += chunk.len();
        while let Some(line) = self.decoder.next() {
            self.take(line)?;
            if self.over {
                return Ok(());
            }
        }
        if self.noise > self.bounds.noise {
            return Err(self.fail(ReadError::Noise {
                limit: self.bounds.noise,
            }));
        }
        Ok(())
    }

    /// Nothing more comes: the answer is whole now, or it was cut.
    pub(super) fn finish(&mut self) -> Result<(), ReadError> {
        if self.over {
            return Ok(());
        }
        if let Some(line) = self.decoder.finish() {
            self.take(line)?;
        }
        if self.over {
            return Ok(());
        }
        if self.assembler.finished() {
            self.end();
            Ok(())
        } else {
            Err(self.fail(ReadError::Cut))
        }
    }

    /// The next piece of the answer that has come.
    pub(super) fn pop(&mut self) -> Option<ModelEvent> {
        self.ready.pop_front()
    }

    /// Whether nothing more is to be read.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the model has said that it is done: only its usage may follow.
    pub(super) fn has_finished(&self) -> bool {
        self.assembler.finished()
    }

    fn take(&mut self, line: Result<SseLine, LineError>) -> Result<(), ReadError> {
        match line {
            Err(_) => Err(self.fail(ReadError::TooLarge {
                limit: self.bounds.line,
            })),
            Ok(SseLine::Data(data)) if data.as_ref() == b"[DONE]" => {
                if !self.assembler.has_answered() {
                    return Err(self.fail(ReadError::Cut));
                }
                self.end();
                Ok(())
            }
            Ok(SseLine::Data(data)) => {
                self.begun = true;
                match self.assembler.push(&data, &mut self.ready) {
                    Ok(true) => self.noise = 0,
                    Ok(false) => {}
                    Err(error) => {
                        let error = match error {
                            ChunkError::Garbage => ReadError::Garbage(data),
                            ChunkError::Upstream(error) => ReadError::Upstream(error),
                            ChunkError::TooLarge => ReadError::TooLarge {
                                limit: self.bounds.answer,
                            },
                        };
                        return Err(self.fail(error));
                    }
                }
                Ok(())
            }
            // A page, or a document with an error instead of a stream.
            Ok(SseLine::Stray(line)) if !self.begun => {
                let error = serde_json::from_slice(&line).ok().as_ref().and_then(upstream_error);
                Err(self.fail(error.map_or(ReadError::Garbage(line), ReadError::Upstream)))
            }
            Ok(SseLine::Stray(_)) => Ok(()),
        }
    }

    fn end(&mut self) {
        self.ready.extend(self.assembler.end(&self.model));
        self.over = true;
    }

    fn fail(&mut self, error: ReadError) -> ReadError {
        self.over = true;
        self.decoder = SseDecoder::with_limit(0);
        self.assembler = Assembler::new(0);
        error
    }

    /// How many bytes it holds, about.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let ready: usize = self
            .ready
            .iter()
            .map(|event| match event {
                ModelEvent::Text(text) | ModelEvent::Reasoning(text) => text.len(),
                ModelEvent::ToolCall(call) => {
                    call.id.len() + call.name.len() + call.arguments.to_value().to_string().len()
                }
                ModelEvent::Usage { model, .. } => model.len(),
                ModelEvent::Finish(_) => 0,
            })
            .sum();
        self.decoder.held() + self.assembler.held() + ready
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
