//! The line decoder: bytes in any chunks in, whole lines out.
//!
//! It accepts CRLF, blank lines and leading spaces (heartbeats), and survives lines that are too
//! long: such a line becomes an error value and decoding goes on with the next line. It does not
//! parse the JSON; [`super::SubscriptionLine::parse`] does.

use bytes::{Buf, Bytes, BytesMut};

/// The longest line that is taken, in bytes.
pub const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// A line that could not be taken. The stream goes on after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The line is longer than the limit, in bytes.
    #[error("a line of the stream is longer than {limit} bytes and was left out")]
    TooLong {
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// The line is not what the protocol says.
    #[error("a line of the stream could not be read: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
}

/// Cuts a byte stream into lines. Every byte is looked at once, however the stream is cut.
#[derive(Debug)]
pub struct LineDecoder {
    buffer: BytesMut,
    /// How much of the buffer was searched and holds no line break.
    searched: usize,
    /// A line over the limit is being passed over.
    skipping: bool,
    limit: usize,
}

impl Default for LineDecoder {
    fn default() -> Self {
        Self::with_limit(LONGEST_LINE)
    }
}

impl LineDecoder {
    /// A decoder with another limit for a line, in bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            skipping: false,
            limit,
        }
    }

    /// How many bytes wait for the rest of their line.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line, trimmed, never empty; `None` when more bytes are needed.
    pub fn next_line(&mut self) -> Option<Result<Bytes, LineError>> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                if self.skipping {
                    self.buffer.clear();
                    self.searched = 0;
                } else if self.buffer.len() > self.limit {
                    self.buffer = BytesMut::new();
                    self.searched = 0;
                    self.skipping = true;
                    return Some(Err(LineError::TooLong { limit: self.limit }));
                }
                return None;
            };
            let line = self.buffer.split_to(self.searched + at + 1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if let Some(result) = self.checked(line.freeze()) {
                return Some(result);
            }
        }
    }

    /// The last line of a stream that ended without a line break. Call it once, at the end.
    pub fn finish(&mut self) -> Option<Result<Bytes, LineError>> {
        if let Some(line) = self.next_line() {
            return Some(line);
        }
        self.searched = 0;
        let rest = self.buffer.split().freeze();
        if std::mem::take(&mut self.skipping) {
            None
        } else {
            self.checked(rest)
        }
    }

    fn checked(&self, line: Bytes) -> Option<Result<Bytes, LineError>> {
        let line = trimmed(line);
        if line.is_empty() {
            None
        } else if line.len() > self.limit {
            Some(Err(LineError::TooLong { limit: self.limit }))
        } else {
            Some(Ok(line))
        }
    }
}

fn trimmed(mut line: Bytes) -> Bytes {
    let end = line
        .iter()
        .rposition(|byte| !byte.is_ascii_whitespace())
        .map_or(0, |at| at + 1);
    line.truncate(end);
    let start = line.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    line.advance(start);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(decoder: &mut LineDecoder, chunks: &[&[u8]]) -> Vec<Result<Vec<u8>, LineError>> {
        let mut lines = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(line) = decoder.next_line() {
                lines.push(line.map(|line| line.to_vec()));
            }
        }
        if let Some(line) = decoder.finish() {
            lines.push(line.map(|line| line.to_vec()));
        }
        lines
    }

    #[test]
    fn heartbeats_blank_lines_and_crlf_are_no_lines() {
        let lines = decode(
            &mut LineDecoder::default(),
            &[b"  ", b" {\"a\":1}\r\n\r\n\n ", b" {\"b\":2}"],
        );
        assert_eq!(lines, [Ok(b"{\"a\":1}".to_vec()), Ok(b"{\"b\":2}".to_vec())]);
    }

    #[test]
    fn a_line_over_the_limit_is_an_error_and_the_next_one_is_read() {
        let mut decoder = LineDecoder::with_limit(4);
        let lines = decode(&mut decoder, &[b"123", b"456", b"789\nok\n12345\nend"]);
        let long = Err(LineError::TooLong { limit: 4 });
        assert_eq!(lines, [long.clone(), Ok(b"ok".to_vec()), long, Ok(b"end".to_vec())]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            text in "[ab \r\n]{0,60}",
            cuts in proptest::collection::vec(0usize..60, 0..8),
            limit in 1usize..8,
        ) {
            let bytes = text.as_bytes();
            let whole = decode(&mut LineDecoder::with_limit(limit), &[bytes]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            let pieces = decode(&mut LineDecoder::with_limit(limit), &chunks);
            // A line that is too long only by its white space may be refused early: both ways are
            // compared without such lines when no limit is near.
            if bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= limit) {
                prop_assert_eq!(&whole, &pieces);
            }
            let expected: Vec<_> = text.split('\n').map(str::trim).filter(|line| !line.is_empty() && line.len() <= limit)
                .map(str::to_owned).collect();
            let taken: Vec<_> = whole.iter().flatten().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
            if bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= limit) {
                prop_assert_eq!(taken, expected);
            }
        }
    }
}
