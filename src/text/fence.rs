//! Fenced code blocks of the top level, line by line: a finished line within an open fence is final.
//!
//! The rules are those of CommonMark 0.31, section 4.5.

/// The fence that opened a code block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence {
    mark: u8,
    length: usize,
    indent: usize,
}

impl Fence {
    /// Reads an opening line; with its language, where it names one.
    pub fn open(line: &str) -> Option<(Self, &str)> {
        let indent = line.bytes().take_while(|byte| *byte == b' ').count();
        let rest = &line[indent..];
        let mark = *rest.as_bytes().first()?;
        let length = rest.bytes().take_while(|byte| *byte == mark).count();
        let info = rest[length..].trim();
        let valid = indent < 4 && length >= 3 && (mark == b'~' || mark == b'`' && !info.contains('`'));
        valid.then_some((Self { mark, length, indent }, info))
    }

    /// Whether a line closes it.
    pub fn is_closed_by(self, line: &str) -> bool {
        let indent = line.bytes().take_while(|byte| *byte == b' ').count();
        let rest = &line[indent..];
        let length = rest.bytes().take_while(|byte| *byte == self.mark).count();
        indent < 4 && length >= self.length && rest[length..].trim_matches([' ', '\t']).is_empty()
    }

    /// A line of the code, without the indentation that the fence itself has.
    pub fn content(self, line: &str) -> &str {
        let spaces = line.bytes().take(self.indent).take_while(|byte| *byte == b' ').count();
        &line[spaces..]
    }
}
