//! What was recorded is read as it came; a cut file is read up to the cut; anything else is refused.

use bytes::Bytes;

use super::{Head, Writer, file_name, list, read, slug};
use crate::transcript::{Item, Status, Transcript};
use crate::wire::ChannelId;
use crate::wire::line::SubscriptionLine;

fn event(id: u64, at: Option<u64>, data: &str) -> Item {
    let at_text = at.map(|at| format!(",\"createdAt\":{at}")).unwrap_or_default();
    let raw = format!("{{\"type\":\"message\",\"id\":{id}{at_text},\"data\":{data}}}");
    let Ok(SubscriptionLine::Message(message)) = SubscriptionLine::parse(raw.as_bytes()) else {
        panic!("a line")
    };
    Item::Event {
        id: Some(id),
        at,
        event: message.event().expect("an event"),
        raw: Bytes::from(raw),
    }
}

fn items() -> Vec<Item> {
    vec![
        event(
            0,
            Some(1_000),
            r#"{"type":"message","data":{"type":"user","text":"hello"}}"#,
        ),
        event(1, Some(1_500), r#"{"type":"token","data":{"token":"Hi  \" there"}}"#),
        Item::Gap { missing: Some(3) },
        Item::Published {
            message: Bytes::from_static(b"{\"a\": 1}"),
            raw: Bytes::from_static(b"{\"type\":\"message\",\"data\":{\"a\": 1}}"),
        },
        Item::BadLine {
            reason: "odd".to_owned(),
        },
        event(5, None, r#"{"type":"result","data":{"end":{"reason":"stop"}}}"#),
    ]
}

#[test]
fn what_was_recorded_adds_up_to_the_same_transcript() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("deep/run.jsonl");
    let head = Head::new("a run", "local", 900);
    let mut writer = Writer::open(&path, &head).expect("made");
    writer.append(&items()[..3], 2_000).expect("written");
    drop(writer);
    let mut writer = Writer::open(&path, &Head::new("another", "local", 5)).expect("gone on with");
    writer.append(&items()[3..], 1_800).expect("written");
    let recording = read(&path).expect("read");
    assert_eq!(recording.head, head);
    assert!(!recording.cut);
    let times: Vec<u64> = recording.moments.iter().map(|moment| moment.at).collect();
    assert_eq!(times, [1_000, 1_500, 2_000, 2_000, 2_000, 2_000], "never backwards");
    assert_eq!(recording.length(), 1_000);
    let (mut original, mut played) = (Transcript::new(), Transcript::new());
    for (item, moment) in items().into_iter().zip(&recording.moments) {
        let again = moment.item();
        if let (Item::Event { raw, .. }, Item::Event { raw: again, .. }) = (&item, &again) {
            assert_eq!(raw, again, "byte for byte");
        }
        original.apply(item, 2_000);
        played.apply(again, 2_000);
    }
    assert!(matches!(played.status(), Status::Done { .. }));
    assert_eq!(played.plain_answer(), original.plain_answer());
    assert_eq!(played.len(), original.len());
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_file_that_ends_within_a_line_is_read_up_to_it_and_other_files_are_refused() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("run.jsonl");
    let mut writer = Writer::open(&path, &Head::new("a run", "local", 1)).expect("made");
    writer.append(&items(), 2_000).expect("written");
    let text = std::fs::read(&path).expect("there");
    std::fs::write(&path, &text[..text.len() - 9]).expect("cut");
    let recording = read(&path).expect("read");
    assert!(recording.cut);
    assert_eq!(recording.moments.len(), items().len() - 1);
    for (content, expected) in [
        ("", "no head"),
        ("{\"version\":1}\n", "no head"),
        (
            "{\"switchboard\":\"recording\",\"version\":2,\"title\":\"\",\"server\":\"\",\"startedAt\":0}\n",
            "version 2",
        ),
        (
            "{\"switchboard\":\"recording\",\"version\":1,\"title\":\"\",\"server\":\"\",\"startedAt\":0}\n{\"t\":\nx\n",
            "line 2",
        ),
        (
            "{\"switchboard\":\"recording\",\"version\":1,\"title\":\"\",\"server\":\"\",\"startedAt\":0}\n{\"t\":1}\n",
            "line 2",
        ),
    ] {
        std::fs::write(&path, content).expect("written");
        let error = read(&path).expect_err(content).to_string();
        assert!(error.contains(expected) && error.contains("run.jsonl"), "{error}");
    }
}

#[test]
fn recordings_are_listed_the_newest_first() {
    let root = tempfile::tempdir().expect("a directory");
    assert!(list(&root.path().join("none")).expect("no error").is_empty());
    for (name, at) in [("a.jsonl", 5), ("b.jsonl", 9)] {
        Writer::open(&root.path().join(name), &Head::new(name, "local", at)).expect("made");
    }
    std::fs::write(root.path().join("c.jsonl"), "something else\n").expect("written");
    std::fs::write(root.path().join("d.txt"), "something else\n").expect("written");
    let names: Vec<String> = list(root.path())
        .expect("listed")
        .into_iter()
        .map(|summary| summary.name)
        .collect();
    assert_eq!(names, ["b.jsonl", "a.jsonl"]);
}

#[test]
fn a_file_is_named_after_its_title_and_never_after_its_id() {
    assert_eq!(
        slug("Compare: three   DBs / for 10 M rows!"),
        "compare-three-dbs-for-10-m-rows"
    );
    assert_eq!(slug("../../etc"), "etc");
    assert_eq!(slug("…"), "run");
    let id = ChannelId::from_random([9; 18]);
    let name = file_name("Nightly", "20261121-140200", &id);
    assert!(
        name.starts_with("20261121-140200-nightly-") && name.ends_with(".jsonl"),
        "{name}"
    );
    assert!(!name.contains(id.as_str()), "{name}");
}
