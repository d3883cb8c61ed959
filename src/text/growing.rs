//! A view of the end of a text that still grows, in which nothing shows that the next words would take away again.
//!
//! What is still open is either closed or held back, whichever is calmer to read:
//!
//! - Emphasis, strong emphasis, struck text and code that are open at the end look as if they were closed there; their
//!   marks never show. A mark counts as open as CommonMark 0.31 (6.2) has it, and only where a word begins: `2 ** 3`,
//!   `a*b` and `snake_case` stay what they are. So do `~5` and `*.rs`.
//! - Marks at the very end, which the next character may make into something else, are held back: emphasis and code,
//!   `#`, `-`, `1.`, `>`, a line of `---` or `===`, the line that opens a fence, the first backticks of the one that
//!   closes it, a tag, an entity, a definition of a link. So is the text of a link while it may be none; then the text
//!   shows as a link, and its address once that is whole. No more than [`LONGEST_HELD`] bytes of text are held back.
//! - A line that begins with `|` is the head of a table from its first cell on. How a row of a table grows is told
//!   in `table`.
//!
//! It changes no text: a finished text is read as it stands, and so is everything but the last unit of a growing one.
//! A mark that is never closed shows once its paragraph is finished. It does not lay out.

use std::borrow::Cow;
use std::ops::Range;

use super::ending::{Leaf, Scan};
use super::markdown;

/// The most text that is held back, in bytes; what is longer shows its marks.
pub(super) const LONGEST_HELD: usize = 100;
/// The longest address of a link that is held back, in bytes.
const LONGEST_ADDRESS: usize = 2000;
/// The longest name of an entity, in bytes.
const LONGEST_ENTITY: usize = 32;
/// How often a text is read again because its end was held back.
const MOST_PASSES: usize = 4;

/// The end of a text as it is to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View<'a> {
    /// The text: the source without what is held back, and with what closes it.
    pub text: Cow<'a, str>,
    /// What is open at its end.
    pub open: Open,
}

/// What is open at the end of a text; places are bytes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// Where the source ends: what stands behind is not shown.
    pub end: usize,
    /// Marks that count as closed at the end.
    pub marks: Vec<Mark>,
    /// How far the table has come that the text ends in.
    pub table: Option<OpenTable>,
}

impl Open {
    /// The same for the text that begins at a byte of this one.
    pub fn from(&self, start: usize) -> Self {
        let marks = self.marks.iter().filter(|mark| mark.range.start >= start);
        Self {
            end: self.end.saturating_sub(start),
            marks: marks
                .map(|mark| Mark {
                    range: mark.range.start - start..mark.range.end - start,
                    ..*mark
                })
                .collect(),
            table: self.table,
        }
    }
}

/// A mark that opens something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Where it stands.
    pub range: Range<usize>,
    /// What it opens.
    pub style: Style,
}

/// What a mark opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Emphasis,
    Strong,
    StrongEmphasis,
    Strike,
}

/// How far a table has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenTable {
    /// Its head is being written.
    Head,
    /// A cell of this column is being written.
    Cell(usize),
    /// Its last row is complete.
    Between,
}

/// The view of a text, from the beginning of a unit to where it ends now. `None` where it is the text itself.
pub(super) fn view(text: &str) -> Option<View<'_>> {
    let line = &text[markdown::line_start(text, text.len())..];
    let starts_like_mark = rest_of(line).is_none_or(is_undecided);
    let has_mark = memchr::memchr3(b'*', b'_', b'`', text.as_bytes()).is_some()
        || memchr::memchr3(b'[', b'|', b'~', text.as_bytes()).is_some()
        || memchr::memchr3(b'<', b'&', b'\\', text.as_bytes()).is_some();
    if !starts_like_mark && !has_mark && !line.ends_with('!') {
        return None;
    }
    let mut scan = Scan::of(text);
    let mut end = hold_line(text);
    if scan.is_raw() {
        if scan.start < text.len() - line.len() {
            let is_held = is_closing(line.trim_matches([' ', '\t', '>']));
            end = if is_held { text.len() - line.len() } else { text.len() };
        }
        if end == text.len() {
            return None;
        }
    }
    let mut scanned = text.len();
    let mut close = "";
    for _ in 0..MOST_PASSES {
        if scanned != end {
            scan = Scan::of(&text[..end]);
            scanned = end;
        }
        if scan.is_raw() || scan.is_ended(&text[..end]) {
            return Some(View::plain(&text[..end]));
        }
        let held = hold(&text[..end], text.len(), &scan);
        let shown = hold_line(&text[..held.end]);
        if shown == held.end {
            close = held.close;
        }
        if shown == end || !close.is_empty() {
            end = shown;
            break;
        }
        end = shown;
    }
    if scanned != end {
        scan = Scan::of(&text[..end]);
    }
    Some(close_view(text, end, close, &scan))
}

impl<'a> View<'a> {
    fn plain(text: &'a str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            open: Open {
                end: text.len(),
                ..Open::default()
            },
        }
    }
}

/// Closes what is open in the first `end` bytes of a text.
fn close_view<'a>(text: &'a str, end: usize, close: &str, scan: &Scan) -> View<'a> {
    let shown = &text[..end];
    let (marks, code) = marks(shown, scan);
    let mut open = Open {
        end,
        marks,
        table: None,
    };
    let mut text = Cow::Borrowed(shown);
    if code.is_some() || !close.is_empty() {
        let trimmed = if code.is_some() { shown.trim_end() } else { shown };
        open.end = trimmed.len();
        let text = text.to_mut();
        text.truncate(trimmed.len());
        text.push_str(close);
        text.extend(std::iter::repeat_n('`', code.unwrap_or(0)));
    }
    let is_complete = shown.ends_with('\n');
    let whole = shown.trim_end_matches(['\n', '\r']);
    let line = &whole[markdown::line_start(whole, whole.len())..];
    let rest = rest_of(line).unwrap_or_default();
    match scan.leaf {
        Leaf::Cell if is_complete => open.table = Some(OpenTable::Between),
        Leaf::Cell => {
            let is_closed = ends_in_pipe(rest);
            open.table = Some(match columns(rest) {
                count if count > 0 && !is_closed => OpenTable::Cell(count - 1),
                _ => OpenTable::Between,
            });
        }
        Leaf::Text if rest.starts_with('|') => {
            open.table = Some(if is_complete {
                OpenTable::Between
            } else {
                OpenTable::Head
            });
            let front = &line[..line.len() - rest.len()];
            let text = text.to_mut();
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.extend(front.chars().map(|c| if c == '>' { '>' } else { ' ' }));
            text.push('|');
            text.extend(std::iter::repeat_n("-|", columns(rest)));
        }
        _ => {}
    }
    View { text, open }
}

/// The marks that are open in a text; with the length of the one that opens code, which needs closing.
fn marks(text: &str, scan: &Scan) -> (Vec<Mark>, Option<usize>) {
    let bytes = text.as_bytes();
    let mut marks: Vec<Mark> = Vec::new();
    let mut at = 0;
    while let Some(start) = scan.marks.get(at).copied() {
        let mark = bytes[start];
        let count = scan.marks[at..]
            .iter()
            .enumerate()
            .take_while(|(index, place)| **place == start + index && bytes[**place] == mark)
            .count();
        at += count;
        if !matches!(mark, b'*' | b'_' | b'~' | b'`') {
            continue;
        }
        let is_mark = |byte: &&u8| **byte == mark;
        let first = start - bytes[..start].iter().rev().take_while(is_mark).count();
        let last = start + bytes[start..].iter().take_while(is_mark).count();
        let before = text[..first].chars().next_back();
        let Some(after) = text[last..].chars().next() else {
            continue;
        };
        if mark == b'`' {
            if count > 1 || !after.is_whitespace() {
                return (marks, Some(last - first));
            }
            continue;
        }
        if after.is_whitespace() || before.is_some_and(char::is_alphanumeric) {
            continue;
        }
        let style = match (mark, count) {
            (b'~', 2) => Style::Strike,
            (b'~', _) => continue,
            // A pattern of names of files.
            (b'*', 1) if after == '.' => continue,
            (_, 1) => Style::Emphasis,
            (_, 2) => Style::Strong,
            _ => Style::StrongEmphasis,
        };
        let range = start..start + count;
        marks.push(Mark { range, style });
    }
    (marks, None)
}

/// Where a text ends for now, and what closes it there.
struct Held {
    end: usize,
    close: &'static str,
}

/// Holds back what may become something else at the end of an open paragraph, heading or cell; `whole` is how long the
/// text is with what is held back already.
fn hold(text: &str, whole: usize, scan: &Scan) -> Held {
    let mut end = text.len();
    let held = |end| Held { end, close: "" };
    if text.ends_with('\n') {
        return held(end);
    }
    while let Some(last) = text[..end].bytes().next_back() {
        let start = end - 1;
        let goes = match last {
            b'*' | b'_' | b'`' | b'~' | b'\\' => !is_escaped(text, start),
            b'!' => text[..start].chars().next_back().is_none_or(char::is_whitespace),
            _ => false,
        };
        if !goes {
            break;
        }
        end = start;
    }
    for at in scan.marks.iter().copied().take_while(|at| *at < end) {
        let rest = &text[at..end];
        match rest.as_bytes()[0] {
            // All that follows is code.
            b'`' if !rest[1..].starts_with(char::is_whitespace) => break,
            b'[' if whole - at <= LONGEST_HELD + LONGEST_ADDRESS => {
                match link(text, at, end, whole - at <= LONGEST_HELD) {
                    Link::Held => {
                        let is_image = text[..at].ends_with('!');
                        return held(at - usize::from(is_image));
                    }
                    Link::Address(address) => {
                        return Held {
                            end: address,
                            close: ")",
                        };
                    }
                    Link::None => {}
                }
            }
            b'<' => {
                let inner = rest[1..].chars().next();
                let is_tag = inner.is_none_or(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
                if is_tag && whole - at <= LONGEST_HELD && !rest.contains(|c: char| c.is_whitespace() || c == '>') {
                    return held(at);
                }
            }
            b'&' if whole - at <= LONGEST_ENTITY && is_entity(&rest[1..]) => return held(at),
            _ => {}
        }
    }
    held(end)
}

/// What a `[` begins.
enum Link {
    /// Nothing, or something that is read as it stands.
    None,
    /// Not to be told yet.
    Held,
    /// A link; its address begins here.
    Address(usize),
}

fn link(text: &str, at: usize, end: usize, is_short: bool) -> Link {
    let bytes = &text.as_bytes()[..end];
    let mut depth = 0;
    let mut close = None;
    let mut place = at;
    while place < end && close.is_none() {
        match bytes[place] {
            b'\\' => place += 1,
            b'[' => depth += 1,
            b']' => {
                depth -= 1;
                close = (depth == 0).then_some(place);
            }
            _ => {}
        }
        place += 1;
    }
    let inside_word = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
    match close {
        None if inside_word || !is_short => Link::None,
        None => Link::Held,
        Some(close) if close + 1 == end => {
            if inside_word || !is_short {
                Link::None
            } else {
                Link::Held
            }
        }
        Some(close) if bytes[close + 1] == b'(' && is_address(&text[close + 2..end]) => Link::Address(close + 2),
        Some(_) => Link::None,
    }
}

/// Whether a text may be the beginning of a link's address, with a title behind it.
fn is_address(text: &str) -> bool {
    if text.len() > LONGEST_ADDRESS || text.contains(['\n', '\r']) {
        return false;
    }
    if let Some(inner) = text.strip_prefix('<') {
        return !inner.contains('<');
    }
    let (address, title) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let opens = address.matches('(').count();
    let title = title.trim_start();
    opens >= address.matches(')').count() && (title.is_empty() || title.starts_with(['"', '\'', '(']))
}

fn is_entity(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#')
}

/// Where a text ends without its last line, if it is not to be told yet what that line is.
fn hold_line(text: &str) -> usize {
    let start = markdown::line_start(text, text.len());
    let line = &text[start..];
    if line.is_empty() || !rest_of(line).is_none_or(is_undecided) {
        return text.len();
    }
    start
}

/// What stands in a line behind the marks of quotations and items; `None` when there is nothing.
fn rest_of(line: &str) -> Option<&str> {
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '>']);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let marker = match rest.as_bytes().get(digits) {
            Some(b'.' | b')') if (1..10).contains(&digits) => digits + 1,
            Some(b'-' | b'*' | b'+') if digits == 0 => 1,
            _ => 0,
        };
        let behind = &rest[marker..];
        if marker == 0 || !behind.starts_with([' ', '\t']) {
            return (!rest.trim_end().is_empty()).then_some(rest);
        }
        rest = behind;
    }
}

/// Whether a line that is not complete may still become something else altogether.
fn is_undecided(line: &str) -> bool {
    let line = line.trim_end();
    let Some(first) = line.bytes().next() else { return true };
    if line.len() > LONGEST_ADDRESS {
        return false;
    }
    let only = |marks: &[u8]| line.bytes().all(|byte| marks.contains(&byte));
    let run = line.bytes().take_while(|byte| *byte == first).count();
    match first {
        // A rule, the line below a heading, the marker of an item; or the second line of a table.
        b'-' | b'=' | b'+' | b'*' | b'_' if only(&[first, b' ', b'\t']) => true,
        b'-' | b':' | b'|' => only(b"-:| \t"),
        b'#' => run == line.len() && run <= 6,
        b'0'..=b'9' => {
            let digits = line.bytes().take_while(u8::is_ascii_digit).count();
            digits < 10 && matches!(&line[digits..], "" | "." | ")")
        }
        b'`' => run == line.len() || run >= 3 && !line[run..].contains('`'),
        b'~' => run == line.len() || run >= 3,
        // The definition of a link.
        b'[' => line.find(']').is_some_and(|at| line[at + 1..].starts_with(':')),
        _ => false,
    }
}

/// Whether a line may be the beginning of one that closes a fence.
pub(super) fn is_closing(line: &str) -> bool {
    let Some(first) = line.bytes().next() else { return true };
    matches!(first, b'`' | b'~') && line.bytes().all(|byte| byte == first)
}

/// How many cells a row of a table has that begins with `|`, with the one that is being written.
fn columns(row: &str) -> usize {
    let row = row.trim_end();
    let pipes = row
        .bytes()
        .enumerate()
        .filter(|(at, byte)| *byte == b'|' && !is_escaped(row, *at));
    let pipes = pipes.count();
    if ends_in_pipe(row) {
        pipes.saturating_sub(1)
    } else {
        pipes
    }
}

fn ends_in_pipe(row: &str) -> bool {
    let row = row.trim_end();
    row.ends_with('|') && !is_escaped(row, row.len() - 1)
}

/// Whether the character at a byte has a backslash in front of it that is none itself.
pub(super) fn is_escaped(text: &str, at: usize) -> bool {
    text.as_bytes()[..at]
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .count()
        % 2
        == 1
}
