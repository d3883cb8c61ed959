//! What the layout shows for given texts, and that streaming shows the same as the whole.

use proptest::prelude::*;

use super::width::width;
use super::{BlockRows, Format, Role, Row};

fn rows(source: &str, columns: u16) -> Vec<Row> {
    let mut rows = BlockRows::new(Format::Markdown);
    rows.update(source, 1, columns);
    rows.rows().to_vec()
}

fn shown(source: &str, columns: u16) -> Vec<String> {
    rows(source, columns)
        .iter()
        .map(|row| row.text().trim_end().to_owned())
        .collect()
}

#[test]
fn markdown_reads_as_expected() {
    for (source, columns, expected) in [
        ("", 20, &[][..]),
        ("one\n\ntwo", 20, &["one", "", "two"]),
        ("# Head\ntext *it* **b** `c`", 20, &["Head", "", "text it b c"]),
        ("- a\n- b\n  - c\n\n- d", 20, &["• a", "• b", "  • c", "", "• d"]),
        (
            "3. three\n4. four words here",
            12,
            &["3. three", "4. four", "   words", "   here"],
        ),
        ("- [x] done\n- [ ] open", 20, &["• [x] done", "• [ ] open"]),
        ("> quoted text\n> > deep", 10, &["│ quoted", "│ text", "│ │ deep"]),
        (
            "```rust\nfn a() {\n\n}\n```\nafter",
            20,
            &["rust", "fn a() {", "", "}", "", "after"],
        ),
        ("- x\n  ```\n  code\n  ```", 20, &["• x", "  code"]),
        ("---", 5, &["─────"]),
        ("[name](http://x.y)", 30, &["name (http://x.y)"]),
        ("<http://x.y>", 30, &["http://x.y"]),
        ("~~gone~~ \u{1b}[2J", 30, &["gone ^[[2J"]),
        ("two\nlines", 30, &["two lines"]),
        ("a *two\nlines* c", 30, &["a two lines c"]),
        ("spaces  \nbreak", 30, &["spaces", "break"]),
        ("stroke\\\nbreak", 30, &["stroke", "break"]),
        ("    `\n\n\r---\nx", 30, &["`", "", &"─".repeat(30), "", "x"]),
        ("tag<br>\nbreak", 30, &["tag", "break"]),
        ("- an item\n  goes on\n- next", 30, &["• an item goes on", "• next"]),
        ("> a quote\n> goes on", 30, &["│ a quote goes on"]),
        ("fills\nthe whole\nwidth", 10, &["fills the", "whole", "width"]),
        ("<b>raw</b>", 30, &["<b>raw</b>"]),
        (
            "|a|b|\n|-|-:|\n|x|1|\n|yy|22|",
            30,
            &["a  │  b", "───┼───", "x  │  1", "yy │ 22"],
        ),
        (
            "|name|text|\n|-|-|\n|a|some words|",
            14,
            &["name │ text", "─────┼────────", "a    │ some", "     │ words"],
        ),
        (
            "|name|text|\n|-|-|\n|a|some words|\n|b|more|",
            9,
            &["name: a", "text:", "some", "words", "", "name: b", "text:", "more"],
        ),
    ] {
        let expected: Vec<String> = expected.iter().map(|row| (*row).to_owned()).collect();
        assert_eq!(shown(source, columns), expected, "{source:?}");
    }
}

#[test]
fn roles_tell_what_a_piece_is() {
    let roles = |source: &str| -> Vec<Role> {
        rows(source, 60)
            .iter()
            .flat_map(|row| row.spans.iter().map(|span| span.role))
            .collect()
    };
    assert_eq!(roles("## x"), [Role::Heading(2)]);
    assert_eq!(
        roles("**a** *b* ***c***"),
        [
            Role::Strong,
            Role::Plain,
            Role::Emphasis,
            Role::Plain,
            Role::StrongEmphasis
        ]
    );
    assert_eq!(roles("> q"), [Role::QuoteBar, Role::Quote]);
    assert_eq!(roles("[n](u)"), [Role::Link, Role::LinkTarget]);
    assert_eq!(roles("```sh\nls\n```"), [Role::CodeInfo, Role::CodeBlock]);
}

#[test]
fn wide_characters_and_clusters_are_never_split() {
    assert_eq!(shown("日本語", 5), ["日本", "語"]);
    assert_eq!(
        shown("👩\u{200d}👩\u{200d}👧x👩\u{200d}👩\u{200d}👧", 3),
        ["👩\u{200d}👩\u{200d}👧x", "👩\u{200d}👩\u{200d}👧"]
    );
    assert_eq!(shown("abcdefgh", 3), ["abc", "def", "gh"]);
    assert_eq!(shown("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
}

#[test]
fn anchors_find_their_row() {
    let source = "one two three\n\nfour";
    let mut rows = BlockRows::new(Format::Markdown);
    rows.update(source, 1, 5);
    let offsets: Vec<usize> = rows.rows().iter().map(|row| row.source_offset).collect();
    assert_eq!(offsets, [0, 4, 8, 15, 15]);
    assert_eq!(rows.row_at(9), 2);
    assert_eq!(rows.row_at(15), 4);
    assert_eq!(rows.row_at(1000), 4);
}

#[test]
fn what_is_final_stays_while_the_text_grows() {
    let source = "para one\n\n```rs\nlet a;\nlet b;\n```\n\n- x\n- y\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nend of it";
    let mut rows = BlockRows::new(Format::Markdown);
    let mut seen: Vec<Row> = Vec::new();
    for end in 1..=source.len() {
        rows.update(&source[..end], end as u64, 30);
        assert!(rows.stable_len() >= seen.len());
        assert_eq!(rows.rows()[..seen.len()], seen[..]);
        seen = rows.rows()[..rows.stable_len()].to_vec();
    }
    assert_eq!(
        seen.len(),
        8,
        "all but the table, which may still grow, and what follows it"
    );
}

#[test]
fn a_replaced_text_is_laid_out_anew() {
    let mut rows = BlockRows::new(Format::Markdown);
    let first = "a first paragraph of some length\n\nand a second one that is also here\n\nthird";
    rows.update(first, 1, 40);
    rows.update(&first.replace("second", "SECOND"), 2, 40);
    assert!(
        rows.rows().iter().any(|row| row.text().contains("SECOND")),
        "{:?}",
        rows.rows()
    );
    rows.update("x", 3, 40);
    assert_eq!(rows.rows().len(), 1);
}

#[test]
fn a_long_tail_becomes_final_in_parts() {
    for text in [
        "word ".repeat(20_000),
        "x".repeat(100_000),
        format!("```\n{}", "line\n".repeat(50_000)),
        "- item\n".repeat(9_000),
    ] {
        let mut rows = BlockRows::new(Format::Markdown);
        rows.update(&text, 1, 80);
        let open = rows.len() - rows.stable_len();
        assert!(open < 1_200, "{open} rows are laid out with each token");
    }
}

#[test]
fn plain_text_keeps_its_lines() {
    let mut rows = BlockRows::new(Format::Plain);
    rows.update("* one *\r\n\r\n\ttwo", 1, 20);
    let text: Vec<String> = rows.rows().iter().map(Row::text).collect();
    assert_eq!(text, ["* one *", "", "    two"]);
}

/// Pieces that documents are made of, so that short texts meet the rules.
pub(super) fn markdownish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n"),
        Just("\n\n"),
        Just("\r\n"),
        Just("\r"),
        Just("```"),
        Just("````\n"),
        Just("~~~\n"),
        Just("- "),
        Just("\n- "),
        Just("1. "),
        Just("\n2) "),
        Just("* "),
        Just("> "),
        Just("\n> "),
        Just("# "),
        Just("|"),
        Just("|a|b|\n|-|-|\n"),
        Just("---\n"),
        Just("==="),
        Just("    "),
        Just("  "),
        Just("\t"),
        Just("`"),
        Just("**"),
        Just("_"),
        Just("~~"),
        Just("["),
        Just("](u)"),
        Just("<div>"),
        Just("<!--"),
        Just("-->"),
        Just("<br>"),
        Just("日本"),
        Just("👩\u{200d}👧"),
        Just("e\u{301}"),
        Just("\u{1b}"),
        Just("word"),
        Just("some words "),
        Just("x"),
        Just("[r]: /u\n"),
        Just("[r]"),
        Just("\\"),
        Just("&amp;"),
        Just("+\n"),
        Just("1"),
        Just("-"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Lays a text out in steps that end at these bytes, and at its end.
fn streamed(text: &str, cuts: &[usize], columns: u16) -> Vec<Row> {
    let mut streamed = BlockRows::new(Format::Markdown);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| super::width::boundary(text, *cut)).collect();
    cuts.sort_unstable();
    for (revision, end) in cuts.into_iter().chain([text.len()]).enumerate() {
        streamed.update(&text[..end], revision as u64, columns);
    }
    streamed.rows().to_vec()
}

#[test]
fn a_lone_carriage_return_breaks_the_line_however_the_text_comes() {
    for text in [
        "\t](u)# \n\r[r]* [r]\n> ",
        "[r]: /u\n- - ````\n](u)\n```\r# ](u)1some words ](u)](u)```",
        "    `\n\n\r---\n](u)",
        "one\r\rtwo\r\nthree\r",
    ] {
        let breaks = text.replace("\r\n", "\n").replace('\r', "\n");
        for columns in [2, 20] {
            let whole: Vec<String> = rows(text, columns).iter().map(Row::text).collect();
            let plain: Vec<String> = rows(breaks.trim_end(), columns).iter().map(Row::text).collect();
            assert_eq!(whole, plain, "{text:?}");
            for cut in 0..text.len() {
                assert_eq!(
                    streamed(text, &[cut], columns),
                    rows(text, columns),
                    "{text:?} cut at {cut}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn streaming_shows_the_same_as_the_whole(text in markdownish(), cuts in proptest::collection::vec(0usize..120, 0..12), columns in 2u16..40) {
        let whole = rows(&text, columns);
        prop_assert_eq!(streamed(&text, &cuts, columns), whole, "{:?}", text);
    }

    #[test]
    fn no_row_is_wider_than_the_width(text in markdownish(), columns in 2u16..30) {
        let mut least = 0;
        for row in rows(&text, columns) {
            prop_assert!(row.width <= columns, "{:?} in {:?}", row, text);
            prop_assert_eq!(width(&row.text()), usize::from(row.width), "{:?}", row);
            prop_assert!(row.text().chars().all(|c| !c.is_control()));
            prop_assert!(row.source_offset >= least && row.source_offset <= text.len());
            least = row.source_offset;
        }
    }

    #[test]
    fn no_text_is_lost_but_white_space_at_breaks(text in "[a-c日 \u{301}é]{0,80}", columns in 2u16..12) {
        let mut plain = BlockRows::new(Format::Plain);
        plain.update(&text, 1, columns);
        let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
        let shown: String = plain.rows().iter().map(Row::text).collect();
        prop_assert_eq!(letters(&shown), letters(&text));
    }

    #[test]
    fn code_loses_nothing_at_all(text in "[a-c日 ]{0,80}", columns in 2u16..12) {
        let mut code = BlockRows::new(Format::Code);
        code.update(&text, 1, columns);
        let shown: String = code.rows().iter().map(Row::text).collect();
        prop_assert_eq!(shown, text);
    }
}

#[test]
fn the_head_of_a_table_below_a_paragraph_is_final_only_with_its_second_line() {
    let source = "_  some words \n\n_[- [r]: /u\n|* \n- |\t";
    let mut rows = BlockRows::new(Format::Markdown);
    rows.update(&source[..35], 1, 20);
    rows.update(source, 2, 20);
    assert_eq!(rows.rows(), self::rows(source, 20));
}
