//! Server-sent events of a model: bytes in any chunks in, the data of whole events out.
//!
//! It keeps to the [specification](https://html.spec.whatwg.org/multipage/server-sent-events.html) but for one
//! leniency: each `data:` line is an event of its own, as OpenAI-compatible servers write them, some without the
//! blank line between. It does not parse the JSON.

use bytes::Bytes;

use crate::wire::LineDecoder;
use crate::wire::jsonl::LineError;

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub(super) struct SseDecoder {
    lines: LineDecoder,
    /// A byte order mark may stand before the first line.
    begun: bool,
}

/// A line of the stream that means something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SseLine {
    /// What stood after `data:`.
    Data(Bytes),
    /// A line that is no server-sent event at all, such as a page or a bare JSON document.
    Stray(Bytes),
}

impl SseDecoder {
    /// A decoder with a limit for a line, in bytes.
    pub(super) fn with_limit(limit: usize) -> Self {
        Self {
            lines: LineDecoder::with_limit(limit),
            begun: false,
        }
    }

    /// How many bytes wait for the rest of their line.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.lines.held()
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.lines.push(chunk);
    }

    /// The next line that means something; `None` when more bytes are needed.
    pub(super) fn next(&mut self) -> Option<Result<SseLine, LineError>> {
        loop {
            match self.lines.next_line()? {
                Ok(line) => {
                    if let Some(line) = self.read(line) {
                        return Some(Ok(line));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The last line of a stream that ended without a line break.
    pub(super) fn finish(&mut self) -> Option<Result<SseLine, LineError>> {
        match self.lines.finish()? {
            Ok(line) => self.read(line).map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    fn read(&mut self, mut line: Bytes) -> Option<SseLine> {
        const MARK: &[u8] = "\u{feff}".as_bytes();
        if !std::mem::replace(&mut self.begun, true) && line.starts_with(MARK) {
            line = line.slice(MARK.len()..);
        }
        if let Some(data) = line.strip_prefix(b"data:".as_slice()) {
            let data = line.slice_ref(data.trim_ascii());
            return (!data.is_empty()).then_some(SseLine::Data(data));
        }
        let known = [b":".as_slice(), b"event:", b"id:", b"retry:"];
        let silent = line.is_empty() || line.as_ref() == b"data" || known.iter().any(|start| line.starts_with(start));
        (!silent).then_some(SseLine::Stray(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(text: &str) -> SseLine {
        SseLine::Data(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn all(chunks: &[&[u8]]) -> Vec<SseLine> {
        let mut decoder = SseDecoder::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(line) = decoder.next() {
                lines.push(line.expect("a short line"));
            }
        }
        lines.extend(decoder.finish().map(|line| line.expect("a short line")));
        lines
    }

    #[test]
    fn only_data_and_strays_come_out() {
        let stream = "\u{feff}: hello\nevent: x\r\nid: 1\nretry: 5\ndata\ndata:\ndata: a\r\n\r\ndata:b\ndata: [DONE]";
        assert_eq!(all(&[stream.as_bytes()]), [data("a"), data("b"), data("[DONE]")]);
        assert_eq!(all(&[b"<html>"]), [SseLine::Stray(Bytes::from_static(b"<html>"))]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same(cuts in proptest::collection::vec(0usize..80, 0..12)) {
            let stream = "data: {\"a\":\"é漢🦀\"}\r\n\r\n: ping\n\ndata: {\"b\":\"ü\"}\n\ndata: [DONE]\n\n".as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(all(&chunks), all(&[stream]));
        }
    }
}
