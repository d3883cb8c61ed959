//! What a growing text shows at each stage, and that what is shown stays.

use proptest::prelude::*;

use super::growing::LONGEST_HELD;
use super::width::boundary;
use super::{BlockRows, Format, Growth, Joint, Role, Row};

fn growing(source: &str, columns: u16) -> Vec<Row> {
    let mut rows = BlockRows::new(Format::Markdown);
    rows.update_to(source, 1, columns, Growth::Growing);
    rows.rows().to_vec()
}

fn shown(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| row.text().trim_end().to_owned()).collect()
}

#[test]
fn the_end_of_a_growing_text_reads_as_expected() {
    for (source, expected) in [
        // Emphasis that is open looks closed.
        ("**Inden", &["Inden"][..]),
        ("a *termin", &["a termin"]),
        ("a `cod", &["a cod"]),
        ("a `two wor ", &["a two wor"]),
        ("a ``b ` c", &["a b ` c"]),
        ("~~gon", &["gon"]),
        ("***bot", &["bot"]),
        ("*a **b", &["a b"]),
        ("**a *b*", &["a b"]),
        ("**a *b* c", &["a b c"]),
        ("**a `b", &["a b"]),
        ("__a", &["a"]),
        ("**two\nlin", &["two lin"]),
        ("**(", &["("]),
        ("## A **h", &["A h"]),
        ("- **a", &["• a"]),
        ("> say *it", &["│ say it"]),
        // Marks at the very end wait.
        ("**", &[]),
        ("a **", &["a"]),
        ("a **b*", &["a b"]),
        ("a **b**", &["a b"]),
        ("a `b`", &["a b"]),
        ("a \\", &["a"]),
        ("snake_", &["snake"]),
        ("#", &[]),
        ("## ", &[]),
        ("a\n-", &["a"]),
        ("a\n- ", &["a"]),
        ("a\n--", &["a"]),
        ("a\n==", &["a"]),
        ("a\n\n---", &["a"]),
        ("- a\n  -", &["• a"]),
        ("1", &[]),
        ("1.", &[]),
        ("1. a\n2. ", &["1. a"]),
        ("- [", &[]),
        ("- [ ]", &[]),
        ("- [x] ", &["• [x]"]),
        (">", &[]),
        ("> a\n>", &["│ a"]),
        ("a\n\n``", &["a"]),
        ("a\n\n```ru", &["a"]),
        ("- a\n  ```\n  b\n  ``", &["• a", "  b"]),
        ("```\na\n``", &["a"]),
        ("```\na\n  ", &["a"]),
        ("[r]: /u", &[]),
        ("a <b", &["a"]),
        ("a <br", &["a"]),
        ("a <http://x.y", &["a"]),
        ("a &am", &["a"]),
        // Links show their text before their address.
        ("see [the te", &["see"]),
        ("see [the text]", &["see"]),
        ("see [the text](", &["see the text"]),
        ("see [the text](http://x.y/(a) \"tit", &["see the text"]),
        ("see **[the text](http://ha", &["see the text"]),
        ("see [the text](http://x.y)", &["see the text (http://x.y)"]),
        ("see ![a pict", &["see"]),
        ("see ![a pict](ht", &["see image: a pict"]),
        // What is literal stays.
        ("2 ** 3", &["2 ** 3"]),
        ("a * b", &["a * b"]),
        ("5 * 3 * 2", &["5 * 3 * 2"]),
        ("5*3 = 15", &["5*3 = 15"]),
        ("snake_case_name", &["snake_case_name"]),
        ("~5 minutes", &["~5 minutes"]),
        ("all *.rs files", &["all *.rs files"]),
        ("an \\*escape", &["an *escape"]),
        ("1984 was", &["1984 was"]),
        ("#tag", &["#tag"]),
        ("a < b", &["a < b"]),
        ("AT&T is", &["AT&T is"]),
        ("list[0] = x[", &["list[0] = x["]),
        ("[1] says", &["[1] says"]),
        ("Wow!", &["Wow!"]),
        ("```\n**a", &["**a"]),
        ("    **a", &["**a"]),
        ("`**a` b", &["**a b"]),
        // A paragraph that is over is what it is.
        ("**never\n\nb", &["**never", "", "b"]),
        ("# **never\nb", &["**never", "", "b"]),
        // Tables.
        ("|", &[]),
        ("| na", &["na"]),
        ("| name | te", &["name │ te"]),
        ("| name | text |", &["name │ text"]),
        ("| name | text |\n", &["name │ text", "─────┼─────"]),
        ("| name | text |\n|", &["name │ text", "─────┼─────"]),
        ("| name | text |\n|--", &["name │ text", "─────┼─────"]),
        ("| name | text |\n|---|:--", &["name │ text", "─────┼─────"]),
        ("| name | text |\n|---|---|\n|", &["name │ text", "─────┼─────"]),
        ("| name | text |\n|---|---|\n| ab", &["name │ text", "─────┼─────"]),
        (
            "| name | text |\n|---|---|\n| ab |",
            &["name │ text", "─────┼─────", "ab   │"],
        ),
        (
            "| name | text |\n|---|---|\n| abcde |",
            &["name  │ text", "──────┼─────", "abcde │"],
        ),
        (
            "| name | text |\n|---|---|\n| ab | **two wor",
            &["name │ text", "─────┼────────", "ab   │ two wor"],
        ),
        ("a\n\n> | b |\n", &["a", "", "│ b", "│ ─"]),
        ("a\n| b | `c", &["a", "", "b │ c"]),
        ("- | a | b", &["• a │ b"]),
    ] {
        assert_eq!(shown(&growing(source, 30)), expected, "{source:?}");
    }
}

#[test]
fn what_is_open_looks_like_what_it_will_be() {
    for (open, whole) in [
        ("a **b", "a **b**"),
        ("a *b", "a *b*"),
        ("a ***b", "a ***b***"),
        ("a *b **c", "a *b **c***"),
        ("a ~~b", "a ~~b~~"),
        ("a `b", "a `b`"),
        ("a [b](http://x", "a [b]()"),
        ("**a [b](u", "**a [b]()**"),
    ] {
        let mut rows = BlockRows::new(Format::Markdown);
        rows.update(whole, 1, 30);
        assert_eq!(growing(open, 30)[0].spans, rows.rows()[0].spans, "{open:?}");
    }
    let roles: Vec<Role> = growing("**a** b *c", 30)[0]
        .spans
        .iter()
        .map(|span| span.role)
        .collect();
    assert_eq!(roles, [Role::Strong, Role::Plain, Role::Emphasis]);
}

#[test]
fn an_address_leads_somewhere_once_it_is_whole() {
    let links = |source: &str, growth: Growth, format: Format| {
        let mut rows = BlockRows::new(format);
        rows.update_to(source, 1, 60, growth);
        rows.rows()
            .iter()
            .flat_map(|row| &row.spans)
            .filter(|span| span.link.is_some())
            .map(|span| span.text.clone())
            .collect::<Vec<_>>()
    };
    let (open, whole) = ("a http://x.y b http://exa", ["http://x.y", "http://exa"]);
    for format in [Format::Markdown, Format::Plain] {
        assert_eq!(links(open, Growth::Growing, format), whole[..1]);
        assert_eq!(links(open, Growth::Finished, format), whole);
        assert_eq!(links(&format!("{open} "), Growth::Finished, format), whole);
    }
    assert_eq!(links("**a http://exa", Growth::Growing, Format::Markdown), [""; 0]);
}

#[test]
fn a_column_of_a_growing_table_moves_once_when_the_table_gets_too_wide() {
    let source = "| a | b | c |\n|---|---|---|\n| one | some words of a text that is long | and another text that is as long as it |\n| x | y | more text that is even longer than what stands above |";
    let mut rows = BlockRows::new(Format::Markdown);
    let mut seen: Vec<Vec<usize>> = Vec::new();
    for end in 1..=source.len() {
        rows.update_to(&source[..end], end as u64, 60, Growth::Growing);
        let rule = rows.rows().iter().map(Row::text).find(|row| row.starts_with('─'));
        let widths: Vec<usize> = rule
            .unwrap_or_default()
            .split('┼')
            .map(|part| part.chars().count())
            .collect();
        if widths.len() > 2 && seen.last() != Some(&widths) {
            seen.push(widths);
        }
    }
    let narrower = seen
        .windows(2)
        .filter(|pair| pair[0].iter().zip(&pair[1]).any(|(before, after)| after < before))
        .count();
    assert_eq!(narrower, 1, "{seen:?}");
}

#[test]
fn held_text_is_bounded() {
    for source in [
        format!("a [{}", "word ".repeat(50)),
        format!("a <{}", "x".repeat(200)),
        format!("a &{}", "x".repeat(200)),
    ] {
        let text: String = shown(&growing(&source, 80)).concat();
        assert!(text.len() + LONGEST_HELD > source.trim_end().len(), "{text:?}");
    }
}

/// Words and marks that all mean something.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => "[a-z]{1,9}",
        1 => "[A-Z][a-z]{2,6}[.,!?]",
        1 => "\\*\\*[a-z]{1,6}( [a-z]{1,5}){0,3}\\*\\*[.:]?",
        1 => "\\*[a-z]{1,6}( [a-z]{1,5}){0,2}\\*",
        1 => "_[a-z]{1,6}_",
        1 => "\\*\\*`[a-z]{1,6}`\\*\\*",
        1 => "\\*\\*[a-z]{1,4} \\*[a-z]{1,4}\\* [a-z]{1,4}\\*\\*",
        1 => "`[a-z_]{1,6}( [a-z]{1,5}){0,2}`",
        1 => "~~[a-z]{1,6}~~",
        1 => "\\[[a-z]{1,6}( [a-z]{1,5}){0,2}\\]\\(https://[a-z]{1,6}\\.org/[a-z]{1,6}\\)",
        1 => "日本|é|👩",
    ];
    proptest::collection::vec(word, 1..9).prop_map(|words| words.join(" "))
}

fn table() -> impl Strategy<Value = String> {
    (2usize..4, proptest::collection::vec(words(), 3..16)).prop_map(|(columns, cells)| {
        let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let rows: Vec<String> = cells.chunks_exact(columns).map(row).collect();
        let head = ["name", "**what it does**", "`how`"];
        format!(
            "| {} |\n|{}\n{}",
            head[..columns].join(" | "),
            "---|".repeat(columns),
            rows.join("\n")
        )
        .trim_end()
        .to_owned()
    })
}

/// Documents as models write them, whose marks all mean something.
fn document(tables: bool) -> impl Strategy<Value = String> {
    let lines = move |front: &'static str| {
        proptest::collection::vec(words(), 1..4).prop_map(move |lines| {
            let lines: Vec<String> = lines.into_iter().map(|line| format!("{front}{line}")).collect();
            lines.join("\n")
        })
    };
    let list = proptest::collection::vec((0usize..3, words()), 1..6).prop_map(|items| {
        let mut deepest = 0;
        let mut lines = Vec::new();
        for (depth, words) in items {
            deepest = depth.min(deepest);
            lines.push(format!("{}- {words}", "  ".repeat(deepest)));
            deepest += 1;
        }
        lines.join("\n")
    });
    let numbered = proptest::collection::vec(words(), 1..12).prop_map(|items| {
        let items = items
            .iter()
            .enumerate()
            .map(|(at, words)| format!("{}. {words}", at + 1));
        items.collect::<Vec<_>>().join("\n")
    });
    let block = prop_oneof![
        3 => lines(""),
        1 => (1usize..5, words()).prop_map(|(level, words)| format!("{} {words}", "#".repeat(level))),
        1 => list,
        1 => numbered,
        1 => lines("> "),
        1 => Just("```rust\nlet a = b;\n\nlet c = d;\n```".to_owned()),
        1 => Just("---".to_owned()),
        u32::from(tables) * 2 => table(),
    ];
    proptest::collection::vec(block, 1..6).prop_map(|blocks| blocks.join("\n\n"))
}

/// Feeds a text in pieces that end at these bytes; what is shown after each.
fn stages(text: &str, cuts: &[usize], columns: u16) -> Vec<(Vec<Row>, usize)> {
    let mut rows = BlockRows::new(Format::Markdown);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| boundary(text, cut % (text.len() + 1))).collect();
    cuts.push(text.len());
    cuts.sort_unstable();
    let mut stages = Vec::new();
    for (revision, end) in cuts.into_iter().enumerate() {
        rows.update_to(&text[..end], revision as u64, columns, Growth::Growing);
        stages.push((rows.rows().to_vec(), rows.stable_len()));
    }
    rows.update(text, u64::MAX, columns);
    stages.push((rows.rows().to_vec(), rows.stable_len()));
    stages
}

/// The text of rows as it would be without breaks: white space where a line was broken at some, nothing else.
fn unbroken(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let front = if row.joint == Joint::Break { 0 } else { row.front };
        match row.joint {
            Joint::Break => {
                text.truncate(text.trim_end_matches(' ').len());
                text.push('\n');
            }
            Joint::Space if !text.ends_with(' ') => text.push(' '),
            Joint::Space | Joint::Nothing => {}
        }
        text.extend(row.spans[front..].iter().map(|span| span.text.as_str()));
    }
    text.truncate(text.trim_end_matches(' ').len());
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_was_shown_stays_and_marks_never_show(text in document(false), cuts in proptest::collection::vec(any::<usize>(), 0..150), columns in 20u16..60) {
        let mut before = String::new();
        let mut stable: Vec<Row> = Vec::new();
        for (rows, stable_len) in stages(&text, &cuts, columns) {
            prop_assert_eq!(&rows[..stable.len()], &stable[..], "{:?}", text);
            stable = rows[..stable_len].to_vec();
            for row in &rows {
                let prose = row.spans.iter().filter(|span| !matches!(span.role, Role::Code | Role::CodeBlock));
                let prose: String = prose.map(|span| span.text.as_str()).collect();
                prop_assert!(!prose.contains(['*', '_', '`', '~', '[', ']', '#', '>']), "{:?} in {:?}", prose, text);
            }
            let now = unbroken(&rows);
            prop_assert!(now.starts_with(&before), "{:?} became {:?} in {:?}", before, now, text);
            before = now;
        }
    }

    #[test]
    fn rows_never_go_away_while_no_table_is_too_wide(text in document(true), cuts in proptest::collection::vec(any::<usize>(), 0..150), columns in 700u16..900) {
        let mut before = 0;
        let mut stable: Vec<Row> = Vec::new();
        for (rows, stable_len) in stages(&text, &cuts, columns) {
            prop_assert_eq!(&rows[..stable.len()], &stable[..], "{:?}", text);
            stable = rows[..stable_len].to_vec();
            for row in &rows {
                prop_assert!(row.width <= columns);
                let prose = row.spans.iter().filter(|span| !matches!(span.role, Role::Code | Role::CodeBlock));
                let prose: String = prose.map(|span| span.text.as_str()).collect();
                prop_assert!(!prose.contains(['*', '_', '`', '~', '[', ']', '|']), "{:?} in {:?}", prose, text);
            }
            prop_assert!(rows.len() >= before, "{} rows became {} in {:?}", before, rows.len(), text);
            before = rows.len();
        }
    }

    #[test]
    fn a_growing_text_ends_like_a_finished_one(text in super::tests::markdownish(), cuts in proptest::collection::vec(any::<usize>(), 0..12), columns in 2u16..40) {
        let mut whole = BlockRows::new(Format::Markdown);
        whole.update(&text, 1, columns);
        let mut stable: Vec<Row> = Vec::new();
        for (rows, stable_len) in stages(&text, &cuts, columns) {
            prop_assert_eq!(&rows[..stable.len()], &stable[..], "{:?}", text);
            stable = rows[..stable_len].to_vec();
            let mut least = 0;
            for row in &rows {
                prop_assert!(row.width <= columns, "{:?} in {:?}", row, text);
                prop_assert!(row.source_offset >= least && row.source_offset <= text.len(), "{:?} in {:?}", row, text);
                least = row.source_offset;
            }
        }
        prop_assert_eq!(&stages(&text, &cuts, columns).pop().unwrap_or_default().0[..], whole.rows(), "{:?}", text);
    }

    #[test]
    fn rows_of_a_wide_table_never_go_away_before_it_is_complete(text in table(), cuts in proptest::collection::vec(any::<usize>(), 0..150), columns in 40u16..120) {
        let mut before = 0;
        let mut stages = stages(&text, &cuts, columns);
        stages.pop();
        for (rows, _) in stages {
            prop_assert!(rows.len() >= before, "{} rows became {} in {:?}", before, rows.len(), text);
            before = rows.len();
        }
    }
}

#[test]
fn many_marks_are_read_like_few() {
    for marks in [
        "*a ", "**a", "[a](", "[", "`a ", "``` ", "| a ", "> ", "- ", "*_", "<a", "&a", "\\", "~~a ", "[a](u)**", "![",
        "_a*b ", "a\n*", "[a\n", "1. ", "|", "**", "\n| a", "(`", "[![",
    ] {
        let text = format!("x {}", marks.repeat(900 / marks.len()));
        let mut rows = BlockRows::new(Format::Markdown);
        for end in (1..=text.len()).step_by(13) {
            rows.update_to(&text[..end], end as u64, 80, Growth::Growing);
            assert!(rows.rows().iter().all(|row| row.width <= 80), "{marks:?}");
        }
        rows.update(&text, u64::MAX, 80);
        let mut whole = BlockRows::new(Format::Markdown);
        whole.update(&text, 1, 80);
        assert_eq!(rows.rows(), whole.rows(), "{marks:?}");
    }
}
