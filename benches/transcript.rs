//! What a token costs: in the transcript, and in the rows on the screen. It must not grow with the text.

use std::cell::RefCell;

use bytes::Bytes;
use switchboard::text::{BlockRows, Format, Growth};
use switchboard::transcript::{Item, Transcript};
use switchboard::wire::Event;

fn main() {
    divan::main();
}

fn token(id: u64) -> Item {
    Item::Event {
        id: Some(id),
        at: Some(id),
        event: Event::token(" word"),
        raw: Bytes::new(),
    }
}

fn paragraphs(lines: usize) -> String {
    "A line of text with **some** words and `code` in it.\n\n".repeat(lines / 2)
}

#[divan::bench(args = [1_000, 100_000])]
fn apply_tokens(bencher: divan::Bencher<'_, '_>, tokens: u64) {
    bencher
        .counter(divan::counter::ItemsCount::new(tokens))
        .with_inputs(|| (0..tokens).map(token).collect::<Vec<_>>())
        .bench_values(|items| {
            let mut transcript = Transcript::new();
            for item in items {
                transcript.apply(item, 0);
            }
            transcript
        });
}

#[divan::bench(args = [1_000, 100_000])]
fn lay_out_lines(bencher: divan::Bencher<'_, '_>, lines: usize) {
    let text = paragraphs(lines);
    bencher.counter(divan::counter::ItemsCount::new(lines)).bench(|| {
        let mut rows = BlockRows::new(Format::Markdown);
        rows.update(&text, 1, 100);
        rows
    });
}

/// One more token to a transcript and a layout that hold so many lines.
#[divan::bench(args = [1_000, 100_000])]
fn append_one_token(bencher: divan::Bencher<'_, '_>, lines: usize) {
    append(bencher, paragraphs(lines));
}

/// The same within an open code block.
#[divan::bench(args = [1_000, 100_000])]
fn append_one_token_to_code(bencher: divan::Bencher<'_, '_>, lines: usize) {
    append(bencher, format!("```\n{}", "let line = of(code);\n".repeat(lines)));
}

/// The same within an open code block that is highlighted.
#[divan::bench(args = [1_000, 100_000])]
fn append_one_token_to_highlighted_code(bencher: divan::Bencher<'_, '_>, lines: usize) {
    append(
        bencher,
        format!(
            "```rust\n{}",
            "let line: Option<&str> = of(code); // so\n".repeat(lines)
        ),
    );
}

/// The same within one paragraph of so many bytes.
#[divan::bench(args = [1_000, 10_000, 100_000])]
fn append_one_token_to_a_paragraph(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    append(bencher, "word ".repeat(bytes / 5));
}

/// The same within one paragraph of so many bytes in which much is emphasised and something is always open.
#[divan::bench(args = [1_000, 10_000, 100_000])]
fn append_one_token_to_emphasis(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    append(bencher, format!("**open {}", "*word* `code` ".repeat(bytes / 14)));
}

fn append(bencher: divan::Bencher<'_, '_>, text: String) {
    let mut transcript = Transcript::with_limit(64 * 1024 * 1024);
    transcript.apply(
        Item::Event {
            id: Some(0),
            at: None,
            event: Event::token(text),
            raw: Bytes::new(),
        },
        0,
    );
    let mut rows = BlockRows::new(Format::Markdown);
    update(&mut rows, &transcript);
    let state = RefCell::new((transcript, rows, 1));
    bencher.bench_local(|| {
        let (transcript, rows, next) = &mut *state.borrow_mut();
        // Every tenth token ends a paragraph or a line, as in real text.
        let text = if *next % 10 == 0 { "\n\n" } else { " word" };
        transcript.apply(
            Item::Event {
                id: Some(*next),
                at: None,
                event: Event::token(text),
                raw: Bytes::new(),
            },
            0,
        );
        *next += 1;
        update(rows, transcript);
        rows.len()
    });
}

/// A whole answer of so many bytes that comes token by token, with highlighted code in it, laid out with each token. The
/// tokens a second are the same for all three: what a token costs does not grow with the answer.
#[divan::bench(sample_count = 5, args = [25_000, 50_000, 100_000])]
fn a_growing_answer(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let text = "## Head\n\nSome *words* here.\n\n- one\n- two\n\n```rust\nfn of(code: &str) -> usize {\n    // a comment\n    \
                code.len() + 1\n}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        .repeat(1_100);
    let text = &text[..bytes];
    bencher.counter(divan::counter::ItemsCount::new(bytes / 5)).bench(|| {
        let mut rows = BlockRows::new(Format::Markdown);
        for end in (5..=text.len()).step_by(5) {
            rows.update_to(&text[..end], end as u64, 100, Growth::Growing);
        }
        rows
    });
}

fn update(rows: &mut BlockRows, transcript: &Transcript) {
    use switchboard::transcript::BlockKind;
    if let Some(block) = transcript.get(0)
        && let BlockKind::Answer { text, .. } = &block.kind
    {
        rows.update_to(text, block.revision, 100, Growth::Growing);
    }
}
