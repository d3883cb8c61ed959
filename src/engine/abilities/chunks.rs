//! Long texts in pieces that can be found and shown one by one.

/// The longest piece, in bytes.
pub(super) const LONGEST: usize = 1_200;

/// The pieces of a text, in order: whole paragraphs as long as they fit together, else lines, sentences, words. None is
/// empty, and none is longer than [`LONGEST`]. With `headings` a line of Markdown that begins with `#` begins a piece.
pub(super) fn pieces(text: &str, headings: bool) -> Vec<&str> {
    let mut pieces = Vec::new();
    for section in sections(text, headings) {
        cut(section, &["\n\n", "\n", ". ", " "], &mut pieces);
    }
    pieces
}

/// The last place up to a length at which a text can be cut, in bytes.
pub(in crate::engine) fn border(text: &str, length: usize) -> usize {
    let length = length.min(text.len());
    (0..=length).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A text cut before each of its headings.
fn sections(text: &str, headings: bool) -> Vec<&str> {
    if !headings {
        return vec![text];
    }
    let mut sections = Vec::new();
    let (mut begun, mut at, mut fenced, mut only_headings) = (0, 0, false, true);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            fenced = !fenced;
        }
        let level = trimmed.bytes().take_while(|byte| *byte == b'#').count();
        let heading = !fenced && (1..=6).contains(&level) && trimmed[level..].starts_with([' ', '\t']);
        // A heading right below another one stays with it.
        if heading && !only_headings {
            sections.push(&text[begun..at]);
            begun = at;
            only_headings = true;
        } else if !heading && !trimmed.is_empty() {
            only_headings = false;
        }
        at += line.len();
    }
    sections.push(&text[begun..]);
    sections
}

/// Cuts a text at the first border that it has, and what is still too long at the next one.
fn cut<'a>(text: &'a str, borders: &[&str], pieces: &mut Vec<&'a str>) {
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    if text.len() <= LONGEST {
        pieces.push(text);
        return;
    }
    let Some((border, smaller)) = borders.split_first() else {
        let mut rest = text;
        while rest.len() > LONGEST {
            let (piece, after) = rest.split_at(border(rest, LONGEST));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        return;
    };
    // What fits together stays together.
    let (mut begun, mut end) = (0, 0);
    for part in text.split_inclusive(border) {
        if end > begun && end + part.len() - begun > LONGEST {
            cut(&text[begun..end], smaller, pieces);
            begun = end;
        }
        end += part.len();
    }
    cut(&text[begun..end], smaller, pieces);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paragraphs_that_fit_stay_together() {
        let paragraph = "word ".repeat(100);
        let text = [paragraph.as_str(); 5].join("\n\n");
        let pieces = pieces(&text, false);
        assert_eq!(pieces.len(), 3);
        assert!(pieces[0].contains("\n\n"));
    }

    #[test]
    fn a_heading_begins_a_piece() {
        let text =
            "intro\n\n# Shop\n## Refunds\nWithin 14 days.\n\n```sh\n# no heading\n```\n## Hours\n\n9 to 5\n#tag\n";
        let expected = [
            "intro",
            "# Shop\n## Refunds\nWithin 14 days.\n\n```sh\n# no heading\n```",
            "## Hours\n\n9 to 5\n#tag",
        ];
        assert_eq!(pieces(text, true), expected);
        assert_eq!(pieces(text, false).len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_too_long(text in "([a-zé退 ]{0,900}(\\. |\n|\n\n|# )?){0,8}", headings: bool) {
            let pieces = pieces(&text, headings);
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= LONGEST));
            let kept = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(kept(&pieces.concat()), kept(&text));
        }
    }
}
