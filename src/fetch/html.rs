//! The text of an HTML page, as it is read: without tags, scripts and styles, with a line for each block.
//!
//! It builds no tree: a tree of hostile nesting takes quadratic time, a page that passes as tokens does not. So it knows
//! no layout and no hidden elements; links keep their text and lose their address.

use html5gum::{DefaultEmitter, Token, Tokenizer};

/// Elements whose text nobody reads.
const UNREAD: [&[u8]; 8] = [
    b"script",
    b"style",
    b"noscript",
    b"template",
    b"svg",
    b"iframe",
    b"object",
    b"head",
];

/// Elements that do not begin a line of their own.
const INLINE: [&[u8]; 33] = [
    b"a", b"abbr", b"b", b"bdi", b"bdo", b"cite", b"code", b"data", b"del", b"dfn", b"em", b"font", b"i", b"img",
    b"ins", b"kbd", b"label", b"mark", b"q", b"ruby", b"rt", b"rp", b"s", b"samp", b"small", b"span", b"strong",
    b"sub", b"sup", b"time", b"u", b"var", b"wbr",
];

/// The text of a page: its title first, then what its body says.
pub(super) fn text(page: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    // Inside scripts and styles a `<` begins no tag.
    emitter.naively_switch_states(true);
    let mut writer = Writer::default();
    // What is skipped, until its end tag.
    let mut skipped: Option<Vec<u8>> = None;
    let mut in_title = false;
    for Ok(token) in Tokenizer::new_with_emitter(page, emitter) {
        match token {
            Token::StartTag(tag) => {
                let name: &[u8] = &tag.name;
                match name {
                    b"title" if writer.is_empty() => in_title = true,
                    // A page without `</head>` begins its body with the first thing that belongs there.
                    b"body" | b"main" | b"article" | b"p" | b"div" | b"h1" if skipped.as_deref() == Some(b"head") => {
                        skipped = None;
                    }
                    _ => {}
                }
                if skipped.is_none() {
                    if !tag.self_closing && UNREAD.contains(&name) {
                        skipped = Some(name.to_vec());
                    }
                    match name {
                        b"pre" | b"textarea" => writer.verbatim += 1,
                        b"li" => {
                            writer.line();
                            writer.push("- ");
                        }
                        b"td" | b"th" => writer.push(" "),
                        b"br" => writer.line_end(),
                        _ if INLINE.contains(&name) || UNREAD.contains(&name) => {}
                        _ => writer.line(),
                    }
                }
            }
            Token::EndTag(tag) => {
                let name: &[u8] = &tag.name;
                if name == b"title" {
                    in_title = false;
                    writer.line();
                }
                match &skipped {
                    Some(end) if end == name => skipped = None,
                    Some(_) => {}
                    None => match name {
                        b"pre" | b"textarea" => {
                            writer.verbatim = writer.verbatim.saturating_sub(1);
                            writer.line();
                        }
                        b"td" | b"th" => writer.push(" "),
                        _ if INLINE.contains(&name) => {}
                        _ => writer.line(),
                    },
                }
            }
            Token::String(text) if skipped.is_none() || in_title => writer.push(&String::from_utf8_lossy(&text.value)),
            _ => {}
        }
    }
    writer.text.truncate(writer.text.trim_end().len());
    writer.text
}

/// Writes text with its white space as a page shows it.
#[derive(Default)]
struct Writer {
    text: String,
    /// White space came that is written once more text comes.
    space: bool,
    /// How many elements are open that keep their white space.
    verbatim: usize,
}

impl Writer {
    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn push(&mut self, text: &str) {
        if self.verbatim > 0 {
            self.text.push_str(text);
            return;
        }
        for character in text.chars() {
            if character.is_whitespace() {
                self.space = true;
                continue;
            }
            if std::mem::take(&mut self.space) && !self.text.is_empty() && !self.text.ends_with(['\n', ' ']) {
                self.text.push(' ');
            }
            self.text.push(character);
        }
    }

    /// Ends the line, if one has begun.
    fn line(&mut self) {
        self.space = false;
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    fn line_end(&mut self) {
        self.space = false;
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_reads_as_it_is_shown() {
        let table = [
            ("", ""),
            ("plain", "plain"),
            ("a &amp; b &lt;c&gt; &#8364; &eacute;", "a & b <c> € é"),
            ("<p>one</p>\n\n  <p>two\n three</p>", "one\ntwo three"),
            ("<b>bo</b>ld <i>it</i>", "bold it"),
            ("a<br>b<br><br>c", "a\nb\n\nc"),
            ("<ul><li>one<li>two</ul>after", "- one\n- two\nafter"),
            (
                "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>",
                "1 2\n3",
            ),
            ("<pre>  a\n    b</pre>c", "  a\n    b\nc"),
            (
                "<html><head><title>The title</title><style>p{}</style></head><body>text</body>",
                "The title\ntext",
            ),
            ("<head><meta charset=utf-8><p>no end of head</p>", "no end of head"),
            ("x<script>if (a < b) { '</p>' }</script>y", "xy"),
            ("x<!-- a comment -->y", "xy"),
            ("<p>never closed <b>at all", "never closed at all"),
        ];
        for (page, expected) in table {
            assert_eq!(text(page), expected, "{page}");
        }
    }

    proptest! {
        #[test]
        fn any_page_gives_a_text_without_growing(page in "(<|>|/|&|;|p|pre|li|br|script|title|head|[a-z ]|\\PC){0,60}") {
            let text = text(&page);
            // A list item writes two characters that the page does not have; entities only shrink.
            prop_assert!(text.len() <= page.len() * 3 + 16);
        }
    }
}
