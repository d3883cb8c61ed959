//! Reading a transcript: what each detail shows, times, raw events, search, jumps.

use super::*;
use crate::app::reading::Detail;
use ratatui::style::Modifier;

fn call(id: &str, name: &str, arguments: serde_json::Value, result: Option<serde_json::Value>) -> serde_json::Value {
    let kind = if result.is_some() { "response" } else { "request" };
    let mut function = json!({"name": name, "arguments": arguments});
    if let Some(result) = result {
        function["result"] = result;
    }
    json!({"type": "message", "data": {"type": "activity", "text": "",
        "meta": {"activity": {"type": kind, "id": id, "function": function}}}})
}

/// A run with a block of every kind; the transcript has the focus.
pub(super) fn every_kind(size: (u16, u16)) -> (Play, ChannelId) {
    let mut play = Play::new(size);
    let id = play.dispatch("Compare two databases");
    let arguments = json!({"query": "hnsw recall", "limit": 3});
    play.feed(
        &id,
        &[
            user("Compare two databases\nfor a catalogue of 10 M rows."),
            begin(),
            json!({"type": "operationBegin", "data": {"id": "o1", "action": {"name": "loading skills"}}}),
            json!({"type": "operationEnd", "data": {"id": "o1", "action": {"name": "loading skills"}}}),
            reasoning("Recall matters most, "),
            reasoning("so HNSW is worth a look."),
            call("c1", "search_docs", arguments.clone(), None),
        ],
        Some(Connection::Live),
    );
    play.pass(400);
    let found =
        json!({"data": [{"title": "HNSW", "recall": 0.97}, {"title": "IVF", "recall": 0.91}], "from": "laptop-2"});
    let failed = json!({"error": "no such index"});
    play.feed(
        &id,
        &[
            call("c1", "search_docs", arguments, Some(found)),
            call("c2", "count_rows", json!({"index": "b"}), Some(failed)),
            json!({"type": "completeEnd", "data": {}}),
            json!({"type": "usage", "data": {"model": "qwen2.5:1.5b", "inputTokensUsed": 1204, "outputTokensUsed": 312}}),
            begin(),
            token("## Short answer\n\n**HNSW** keeps recall above 0.97.\n\n"),
            token("```rust\nfn main() {\n    let recall = 0.97; // hnsw\n}\n```\n"),
        ],
        None,
    );
    play.feed(
        &id,
        &[json!({"type": "message", "data": {"type": "user", "text": "And which one is cheaper?"}})],
        None,
    );
    play.pass(200_000);
    play.feed(
        &id,
        &[
            begin(),
            token("IVF is cheaper; see https://example.com/ivf for the numbers."),
            result(),
        ],
        Some(Connection::Ended),
    );
    play.key(KeyCode::Tab);
    play.key(KeyCode::Tab);
    (play, id)
}

#[test]
fn every_kind_of_block_in_every_detail() {
    for (width, height) in [(40, 40), (80, 40), (120, 40)] {
        for name in ["full", "summary", "answers"] {
            let (mut play, _) = every_kind((width, height));
            let times = match name {
                "full" => 0,
                "summary" => 1,
                _ => 2,
            };
            play.keys(&"d".repeat(times));
            play.pass(10_000);
            insta::assert_snapshot!(format!("detail_{name}_{width}"), play.screen());
        }
    }
}

#[test]
fn opened_blocks_show_all_of_it() {
    let (mut play, id) = every_kind((80, 60));
    let blocks: Vec<_> = play.app.channels[&id]
        .transcript
        .blocks()
        .map(|block| block.id)
        .collect();
    for block in blocks {
        play.app.channels[&id].transcript.block(block).expect("a block");
        play.send(Msg::ToggleFold(block));
    }
    play.pass(10_000);
    insta::assert_snapshot!("opened_80x60", play.screen());
}

#[test]
fn detail_is_of_one_channel_or_of_all_and_is_kept() {
    let mut play = several((120, 40));
    play.key(KeyCode::Tab);
    play.key(KeyCode::Tab);
    let selected = play.app.selected.clone().expect("one is selected");
    play.keys("d");
    let other = play
        .app
        .channels
        .keys()
        .find(|id| **id != selected)
        .cloned()
        .expect("another");
    assert_eq!(play.app.detail(&play.app.channels[&selected]), Detail::Summary);
    assert_eq!(play.app.detail(&play.app.channels[&other]), Detail::Full);
    assert!(play.screen().contains("summary   live"), "{}", play.screen());
    play.keys("D");
    assert_eq!(play.app.detail(&play.app.channels[&other]), Detail::Answers);
    assert_eq!(play.app.detail(&play.app.channels[&selected]), Detail::Answers);
    play.keys("dt");
    let saved = serde_json::to_string(&play.app.saved_state()).expect("it is data");
    let state: SavedState = serde_json::from_str(&saved).expect("and is read again");
    let app = App::new("local".to_owned(), Settings::default(), state, (120, 40), START);
    assert_eq!(app.detail(&app.channels[&selected]), Detail::Full);
    assert_eq!(app.detail(&app.channels[&other]), Detail::Answers);
    assert_eq!(app.reading.times, crate::app::reading::Times::Relative);
}

#[test]
fn times_stand_beside_every_block() {
    for (presses, name) in [(1, "relative"), (2, "absolute"), (3, "off")] {
        let (mut play, _) = every_kind((80, 40));
        play.keys(&"t".repeat(presses));
        play.pass(61_000);
        insta::assert_snapshot!(format!("times_{name}_80"), play.screen());
    }
}

#[test]
fn raw_events_open_at_the_same_place_and_lead_back_to_it() {
    let (mut play, id) = every_kind((80, 24));
    play.keys("g");
    play.keys("}");
    let before = play.screen();
    let scroll = play.app.channels[&id].scroll;
    play.keys("v");
    insta::assert_snapshot!("raw_80x24", play.screen());
    play.keys("v");
    assert_eq!(play.app.channels[&id].scroll, scroll);
    assert_eq!(play.screen(), before);
    // Scrolled meanwhile: it leads to what was at the top.
    play.keys("vgv");
    assert!(play.row(2).contains("you"), "{}", play.row(2));
    play.keys("vG");
    assert!(play.screen().contains("\"type\":\"result\""), "{}", play.screen());
    play.key(KeyCode::Esc);
    assert!(play.app.channels[&id].reading.raw.is_none());
    // At the end it follows.
    play.keys("Gv");
    play.feed(&id, &[], None);
    assert!(
        play.screen().contains("\"usage\":{\"token\":1516}"),
        "{}",
        play.screen()
    );
}

/// The texts that are marked as found, and the one that the search went to.
fn marked(play: &mut Play) -> (Vec<String>, Vec<String>) {
    let terminal = play.draw();
    let buffer = terminal.backend().buffer();
    let (mut all, mut here) = (Vec::new(), Vec::new());
    for y in 2..buffer.area.height - 4 {
        let mut text = String::new();
        let mut is_here = false;
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            if cell.modifier.contains(Modifier::REVERSED) {
                text.push_str(cell.symbol());
                is_here |= cell.modifier.contains(Modifier::UNDERLINED);
            } else if !text.is_empty() {
                if is_here {
                    here.push(text.clone());
                }
                all.push(std::mem::take(&mut text));
                is_here = false;
            }
        }
    }
    (all, here)
}

#[test]
fn a_search_marks_what_it_finds_and_goes_from_match_to_match() {
    let (mut play, id) = every_kind((80, 30));
    play.keys("/hnsw");
    let (all, _) = marked(&mut play);
    assert!(all.iter().all(|text| text.to_lowercase() == "hnsw"), "{all:?}");
    assert!(all.len() >= 2, "while it is typed: {all:?}");
    play.key(KeyCode::Enter);
    let hits = play.app.channels[&id]
        .reading
        .search
        .as_ref()
        .expect("it is on")
        .hits()
        .len();
    assert_eq!(hits, 5, "reasoning, arguments, result, answer, comment");
    insta::assert_snapshot!("search_80x30", play.screen());
    let mut seen = Vec::new();
    for _ in 0..hits {
        let (_, here) = marked(&mut play);
        assert_eq!(here.len(), 1, "one is where it went to: {here:?}\n{}", play.screen());
        seen.push(
            play.app.channels[&id]
                .reading
                .search
                .as_ref()
                .and_then(|search| search.current),
        );
        play.keys("n");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), hits, "every match once");
    let current = |play: &Play| {
        play.app.channels[&id]
            .reading
            .search
            .as_ref()
            .and_then(|search| search.current)
    };
    let before = current(&play);
    play.keys("nN");
    assert_eq!(current(&play), before, "N goes back");
    play.key(KeyCode::Esc);
    assert!(play.app.channels[&id].reading.search.is_none(), "Esc ends it");
    assert_eq!(play.app.focus, Focus::Transcript);
    play.keys("/nothing like it");
    play.key(KeyCode::Enter);
    assert!(play.screen().contains("No match for nothing like it"));
    assert!(play.app.channels[&id].reading.search.is_none());
    play.keys("/HNSW");
    play.key(KeyCode::Esc);
    assert!(play.app.channels[&id].reading.search.is_none(), "it was not entered");
}

#[test]
fn a_search_goes_on_while_text_streams_and_stays_where_it_is() {
    let (mut play, id) = long((80, 24), 300);
    play.keys("g/many");
    play.key(KeyCode::Enter);
    let count = |play: &Play| play.app.channels[&id].reading.search.as_ref().expect("on").hits().len();
    assert_eq!(count(&play), 300);
    let top = play.row(2);
    play.feed(&id, &[token("how ma"), token("ny more")], None);
    assert_eq!(count(&play), 301);
    assert_eq!(play.row(2), top);
    assert!(play.screen().contains("1 of 301"), "{}", play.screen());
    play.keys("N");
    assert!(play.screen().contains("301 of 301"), "{}", play.screen());
}

#[test]
fn raw_events_can_be_searched() {
    let (mut play, id) = every_kind((80, 24));
    play.keys("v/operationEnd");
    play.key(KeyCode::Enter);
    let (_, here) = marked(&mut play);
    assert_eq!(here, ["operationEnd"], "{}", play.screen());
    assert!(play.app.channels[&id].reading.raw.is_some());
}

#[test]
fn jumps_go_by_turn_by_call_and_to_failures() {
    let (mut play, id) = every_kind((80, 14));
    let marked = |play: &Play| {
        let channel = &play.app.channels[&id];
        channel
            .marked
            .and_then(|id| channel.transcript.block(id))
            .map(|block| crate::app::reading::shown::head(block).unwrap_or("text").to_owned())
    };
    play.keys("g]");
    assert_eq!(marked(&play).as_deref(), Some("search_docs"));
    play.keys("]");
    assert_eq!(marked(&play).as_deref(), Some("count_rows"));
    play.keys("]");
    assert!(play.screen().contains("No call further down"), "{}", play.screen());
    play.keys("[");
    assert_eq!(marked(&play).as_deref(), Some("search_docs"));
    play.keys("}");
    assert!(play.screen().contains("And which one is cheaper?"), "{}", play.screen());
    play.keys("{{");
    assert!(play.screen().contains("Compare two databases"), "{}", play.screen());
    for _ in 0..2 {
        play.keys("E");
        assert_eq!(marked(&play).as_deref(), Some("count_rows"), "it goes around");
    }
}

#[test]
fn the_first_unread_place_is_where_the_reader_left() {
    let (mut play, id) = long((80, 24), 100);
    play.send(Msg::TerminalFocus(false));
    let text: String = (0..100).map(|n| format!("\n\nnew line {n}")).collect();
    play.feed(&id, &[token(&text)], None);
    play.send(Msg::TerminalFocus(true));
    assert!(play.screen().contains("new line 99"));
    play.keys("u");
    let top = play.row(2);
    assert!(top.contains("line 99 of many"), "{top}");
    assert!(play.row(4).contains("new line 0"), "{}", play.row(4));
    play.keys("h");
    assert_eq!(play.app.focus, Focus::List);
}

/// Has all code read that the screen asks for.
fn read_code(play: &mut Play) -> usize {
    use crate::text::highlight::{Languages, read};
    let languages = Languages::load();
    let mut jobs = 0;
    loop {
        let _ = play.draw();
        let wanted = play.ui.wanted();
        if wanted.is_empty() {
            return jobs;
        }
        for msg in wanted {
            play.send(msg);
            for effect in std::mem::take(&mut play.effects) {
                if let Effect::Reading(crate::app::reading::Do::ReadCode(job)) = effect {
                    jobs += 1;
                    let done = read(&languages, &job.task);
                    play.send(Msg::Reading(crate::app::reading::Msg::CodeRead { job, done }));
                }
            }
        }
    }
}

/// The rows of the pane with their colours: each change of the foreground as its first letter.
fn colours(play: &mut Play, rows: std::ops::Range<u16>) -> String {
    let terminal = play.draw();
    let buffer = terminal.backend().buffer();
    let mut out = String::new();
    for y in rows {
        let mut last = ratatui::style::Color::Reset;
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            if cell.fg != last && cell.symbol() != " " {
                last = cell.fg;
                let name = format!("{last:?}");
                out.push_str(&format!("<{}>", if name == "Reset" { "-" } else { &name }));
            }
            out.push_str(cell.symbol());
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

#[test]
fn code_has_colours_once_it_was_read_and_while_it_grows() {
    let mut play = Play::new((80, 30));
    let id = play.dispatch("code");
    let code = "```rust\nfn main() {\n    // a note\n    let x = \"text\";\n";
    play.feed(&id, &[user("code"), begin(), token(code)], Some(Connection::Live));
    let plain = play.screen();
    assert_eq!(read_code(&mut play), 1);
    assert_eq!(play.screen(), plain, "the text is the same");
    play.feed(&id, &[token("    f(4"), token("2)")], None);
    assert_eq!(read_code(&mut play), 1, "one for what is new");
    assert_eq!(read_code(&mut play), 0, "and none where nothing is");
    play.feed(
        &id,
        &[token(
            "\n}\n```\n\n```nonsense\nplain\n```\n\n1. See <https://example.com/a>",
        )],
        None,
    );
    read_code(&mut play);
    insta::assert_snapshot!("code_colours", colours(&mut play, 4..18));
    play.ui = Ui::new(UiOptions {
        color: false,
        ..UiOptions::default()
    });
    let _ = play.draw();
    assert!(play.ui.wanted().is_empty(), "nothing is read where no colour shows it");
}

#[test]
fn addresses_lead_somewhere_unless_they_must_not() {
    let mut play = Play::new((80, 24));
    let id = play.dispatch("links");
    let text = "See [the *page*](https://example.com/p), https://a.b/c_d_e. Not [this](javascript:x).\n\n| a |\n|---|\n| http://t.u/v |\n";
    play.feed(
        &id,
        &[user("at http://x.y/z"), begin(), token(text)],
        Some(Connection::Live),
    );
    let linked = |play: &mut Play| -> Vec<String> {
        let terminal = play.draw();
        let buffer = terminal.backend().buffer();
        let mut found: Vec<String> = Vec::new();
        let mut last = None;
        for cell in &buffer.content {
            let link = match cell.underline_color {
                ratatui::style::Color::Rgb(_, high, low) => crate::text::LinkId::from_bytes([high, low]),
                _ => None,
            };
            if let Some(url) = link.and_then(crate::text::LinkId::url) {
                if link != last {
                    found.push(format!("{url} "));
                }
                found.last_mut().expect("pushed").push_str(cell.symbol());
            }
            last = link;
        }
        found
    };
    assert_eq!(
        linked(&mut play),
        [
            "http://x.y/z http://x.y/z",
            "https://example.com/p the page",
            "https://example.com/p https://example.com/p",
            "https://a.b/c_d_e https://a.b/c_d_e",
            "http://t.u/v http://t.u/v",
        ]
    );
    for options in [
        UiOptions {
            links: false,
            ..UiOptions::default()
        },
        UiOptions {
            ascii: true,
            ..UiOptions::default()
        },
    ] {
        play.ui = Ui::new(options);
        assert_eq!(linked(&mut play), Vec::<String>::new());
    }
}
