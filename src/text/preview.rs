//! A line of markdown without its marks, for a place that shows one line of a text.
//!
//! The line may be cut anywhere, so marks without their other half go too. It does not wrap and does not look at what
//! stands around the line.

use pulldown_cmark::{Event, Options, Parser, TextMergeStream};

/// The words of one line of markdown, on one line. What is not a mark stays as it is; control characters too.
#[must_use]
pub fn words(line: &str) -> String {
    let line = line.trim();
    if is_row(line) {
        return cells(line);
    }
    let mut out = String::with_capacity(line.len());
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    for event in TextMergeStream::new(Parser::new_ext(line, options)) {
        match event {
            Event::Text(text) => push_without_marks(&text, &mut out),
            Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => out.push_str(&text),
            Event::SoftBreak | Event::HardBreak => out.push(' '),
            Event::TaskListMarker(done) => out.push_str(if done { "[x] " } else { "[ ] " }),
            _ => {}
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Whether it is a row of a table, whole or cut.
fn is_row(line: &str) -> bool {
    line.starts_with('|') || line.ends_with(" |") || line.matches(" | ").count() > 1
}

/// The cells of a table's row; nothing of the line below its head.
fn cells(row: &str) -> String {
    if row.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ')) {
        return String::new();
    }
    let cells = row.split('|').map(words).filter(|cell| !cell.is_empty());
    cells.collect::<Vec<_>>().join("  ")
}

/// Copies a text without the marks that stand at one side of a word only: their other half was cut off.
fn push_without_marks(text: &str, out: &mut String) {
    let is_mark = |c: char| matches!(c, '*' | '`' | '~');
    let mut rest = text;
    while let Some(at) = rest.find(is_mark) {
        out.push_str(&rest[..at]);
        let before = out.chars().next_back();
        let marks = rest[at..].len() - rest[at..].trim_start_matches(is_mark).len();
        let after = rest[at + marks..].chars().next();
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
        // `2*3` and `a * b` are no marks.
        if word(before) && word(after) || blank(before) && blank(after) {
            out.push_str(&rest[at..at + marks]);
        }
        rest = &rest[at + marks..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn marks_go_and_words_stay() {
        for (line, shown) in [
            ("plain words", "plain words"),
            ("## A heading", "A heading"),
            ("- **bold** and *slanted* `code`", "bold and slanted code"),
            ("3. third", "third"),
            ("- [x] done", "[x] done"),
            ("> quoted", "quoted"),
            ("…d **each of", "…d each of"),
            ("…half** gone, `let x", "…half gone, let x"),
            ("[name](https://x.y)", "name"),
            ("2*3 a * b ~5", "2*3 a * b 5"),
            ("__init__ `__init__`", "init __init__"),
            ("| a | **b** |", "a  b"),
            ("|---|:--:|", ""),
            ("… | yes | no |", "…  yes  no"),
            ("…p | yes | n", "…p  yes  n"),
            ("a | b", "a | b"),
            ("fn a(x: &str) -> T<u8>", "fn a(x: &str) -> T<u8>"),
            ("", ""),
        ] {
            assert_eq!(words(line), shown, "{line:?}");
        }
    }
}
