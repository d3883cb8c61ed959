//! Runs that know and can do more than their conversation says: datasets, skillsets, features, bots, contacts.

use std::time::Duration;

use super::*;
use crate::engine::abilities::{Ability, Bot, Catalog, Dataset, Record, Skillset};
use crate::wire::request::Limits;

/// What one run of a script with a catalog comes to.
async fn run_knowing(catalog: Catalog, body: Value, script: Vec<Vec<Step>>) -> Done {
    let limits = EngineLimits::default();
    run_by(
        |model| Engine::new(model, limits).with_catalog(catalog),
        request(body),
        script,
        usize::MAX,
        |_, _, _| {},
    )
    .await
}

fn system(done: &Done, question: usize) -> &str {
    match &done.asked[question].messages[0] {
        ChatMessage::System(text) => text,
        other => panic!("{other:?}"),
    }
}

fn tools(done: &Done) -> Vec<&str> {
    done.asked[0].tools.iter().map(|tool| tool.name.as_str()).collect()
}

/// More records than are given whole.
fn large() -> Value {
    let mut records: Vec<Value> = (0..200)
        .map(|number| json!({"text": format!("Room {number} is on floor {}, behind the stairs and the lift.", number / 10)}))
        .collect();
    records.push(json!({"text": "Refunds are paid within 14 days.", "meta": {"source": "shop"}}));
    json!({"name": "The handbook", "description": "how we work", "records": records})
}

fn ability() -> Value {
    json!({"extensions": {"skillsets": [{
        "name": "writing", "description": "texts",
        "abilities": [{"name": "polite reply", "description": "Writes a reply.", "instruction": "Be polite."}],
    }]}})
}

#[tokio::test(start_paused = true)]
async fn small_datasets_are_given_whole() {
    let mut catalog = Catalog::default();
    catalog.dataset(
        "hours",
        Dataset::new("hours".to_owned(), None, vec![Record::text("Open at nine.")]),
    );
    let body = json!({
        "backstory": "You help.", "datasetId": "hours",
        "extensions": {"backstory": "Briefly.", "datasets": [{"records": []}, {"records": [{"text": "Closed on Sunday."}]}]},
    });
    let done = run_knowing(catalog, body, vec![vec![text("ok")]]).await;
    assert_eq!(
        system(&done, 0),
        "You help.\n\nBriefly.\n\nWhat the dataset \"hours\" holds, one record after the other:\n---\nOpen at \
         nine.\n\nWhat the dataset holds, one record after the other:\n---\nClosed on Sunday."
    );
    assert_eq!(tools(&done), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_records_counts_when_they_are_given_whole() {
    let record = |number: usize| json!({"text": "x", "meta": {"source": format!("{number:400}")}});
    let dataset =
        |count: usize| json!({"extensions": {"datasets": [{"records": (0..count).map(record).collect::<Vec<_>>()}]}});
    for (count, functions) in [(10, vec![]), (100, vec!["search_dataset"])] {
        let done = run_knowing(Catalog::default(), dataset(count), vec![vec![text("ok")]]).await;
        assert_eq!(tools(&done), functions);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_watch_see_what_else_is_known_of_an_ability() {
    for (meta, shown) in [
        (json!({"icon": "pen"}), json!({"icon": "pen"})),
        (json!({"long": "x".repeat(100_000)}), Value::Null),
    ] {
        let mut body = ability();
        body["extensions"]["skillsets"][0]["abilities"][0]["meta"] = meta;
        let script = vec![
            vec![call("a", "polite_reply", "{\"input\": \"no\"}")],
            vec![text("No, thank you.")],
            vec![text("Sent.")],
        ];
        let done = run_knowing(Catalog::default(), body, script).await;
        let operations: Vec<&Value> = done
            .events
            .iter()
            .filter(|event| event["type"] == "operationBegin" || event["type"] == "operationEnd")
            .map(|event| &event["data"]["action"]["meta"])
            .collect();
        assert_eq!(operations, [&shown, &shown]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_dataset_is_searched_through_a_function() {
    let script = vec![
        vec![call("a", "search_The_handbook", "{\"query\": \"refund\"}"), usage(1, 1)],
        vec![text("In 14 days."), usage(1, 1)],
    ];
    let body = json!({"extensions": {"datasets": [large()]}});
    let done = run_knowing(Catalog::default(), body, script).await;
    assert_eq!(
        done.short(),
        [
            "completeBegin 1",
            "request search_The_handbook",
            "usage",
            "completeEnd 1",
            "operationBegin dataset The handbook {\"query\":\"refund\"}",
            "operationEnd dataset The handbook {\"query\":\"refund\"}",
            "response search_The_handbook",
            "completeBegin 2",
            "token In 14 days.",
            "bot In 14 days.",
            "usage",
            "completeEnd 2",
            "result stop 4",
        ]
    );
    assert_eq!(tools(&done), ["search_The_handbook"]);
    let tool = &done.asked[0].tools[0];
    assert!(tool.description.contains("how we work"), "{}", tool.description);
    assert_eq!(
        tool.parameters.as_ref().expect("parameters")["required"],
        json!(["query"])
    );
    let found: Value = serde_json::from_str(&done.results()[0]).expect("JSON");
    assert_eq!(
        found["results"][0],
        json!({"text": "Refunds are paid within 14 days.", "meta": {"source": "shop"}})
    );
    let (begin, end) = (&done.events[4]["data"], &done.events[5]["data"]);
    assert_eq!((begin, &begin["id"]), (end, &json!("a")));
}

#[tokio::test(start_paused = true)]
async fn an_ability_is_carried_out_by_a_model_call_of_its_own() {
    let script = vec![
        vec![call("a", "polite_reply", "{\"input\": \"no\"}"), usage(10, 1)],
        vec![reasoning("hm"), text("I am "), text("afraid not."), usage(20, 2)],
        vec![text("Sent."), usage(30, 3)],
    ];
    let done = run_knowing(Catalog::default(), ability(), script).await;
    assert_eq!(
        done.short(),
        [
            "completeBegin 1",
            "request polite_reply",
            "usage",
            "completeEnd 1",
            "operationBegin skillset polite reply {\"input\":\"no\"}",
            "usage",
            "operationEnd skillset polite reply {\"input\":\"no\"}",
            "response polite_reply",
            "completeBegin 2",
            "token Sent.",
            "bot Sent.",
            "usage",
            "completeEnd 2",
            "result stop 66",
        ]
    );
    assert_eq!(done.events[5]["data"]["inputTokensUsed"], json!(20));
    let nested = &done.asked[1];
    assert_eq!(
        nested.messages,
        [ChatMessage::System("Be polite.".into()), ChatMessage::User("no".into())]
    );
    assert!(nested.tools.is_empty());
    assert_eq!(done.results(), ["I am afraid not."]);
    assert_eq!(done.asked[0].tools[0].description, "Writes a reply. (writing: texts)");
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_told_to_the_model() {
    let failed = Step::Fail(ModelError::Silent {
        url: "http://m".into(),
        silence: Duration::from_secs(1),
    });
    for (arguments, nested, expected) in [
        ("{\"input\": \"x\"}", Some(vec![failed]), "error"),
        ("{\"input\": \"x\"}", Some(vec![text(" ")]), "no answer"),
        ("{\"input\": \"x\"}", Some(vec![Step::Hang]), "longer than 300 seconds"),
        ("{\"input\": \"x\"}", Some(vec![text(&"y".repeat(40_000))]), "cut here"),
        ("[]", None, "object"),
    ] {
        let mut script = vec![vec![call("a", "polite_reply", arguments)]];
        script.extend(nested);
        script.push(vec![text("ok")]);
        let done = run_knowing(Catalog::default(), ability(), script).await;
        assert_eq!(done.reason(), "stop", "{expected}: {:?}", done.short());
        let result = &done.results()[0];
        assert!(result.contains(expected), "{expected}: {result}");
        assert!(result.len() < 40_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_stopped_in_the_middle_of_an_ability() {
    let script = || {
        vec![
            vec![call("a", "polite_reply", "{\"input\": \"x\"}")],
            vec![text("half"), Step::Hang],
        ]
    };
    let cancel = |event: &Value, _: &Channels, cancel: &CancellationToken| {
        if event["type"] == "operationBegin" {
            cancel.cancel();
        }
    };
    let limits = EngineLimits::default();
    let done = run_with(request(ability()), script(), limits.clone(), usize::MAX, cancel).await;
    assert_eq!(done.reason(), "abort");
    let limits = EngineLimits {
        run: Duration::from_secs(60),
        ..limits
    };
    let done = run_with(request(ability()), script(), limits, usize::MAX, |_, _, _| {}).await;
    assert_eq!(short(done.last()), "error TIMEOUT");
}

#[tokio::test(start_paused = true)]
async fn own_functions_and_waits_go_on_side_by_side() {
    let mut body = ability();
    body["functions"] = json!([
        channel_function("approve", CHANNEL),
        {"name": "polite_reply", "description": "d", "result": {"data": 1}},
    ]);
    let script = vec![
        vec![
            call("a", "approve", "{}"),
            call("b", "polite_reply_2", "{\"input\": \"x\"}"),
            call("c", "polite_reply", "{}"),
        ],
        vec![text("done")],
        vec![text("ok")],
    ];
    // The wait is answered once the ability has been carried out, so neither holds up the other.
    let react = |event: &Value, channels: &Channels, _: &CancellationToken| {
        if event["type"] == "operationEnd" {
            channels.publish(CHANNEL, json!({"data": "yes"}));
        }
    };
    let done = run_with(request(body), script, EngineLimits::default(), usize::MAX, react).await;
    assert_eq!(done.reason(), "stop");
    assert_eq!(done.results(), ["yes", "done", "1"]);
}

#[tokio::test(start_paused = true)]
async fn the_time_is_there_when_it_is_asked_for() {
    let script = vec![
        vec![call("a", "current_time", "{\"timezone\": \"Asia/Tokyo\"}")],
        vec![text("ok")],
    ];
    let body = json!({"extensions": {"features": [{"name": "time"}]}});
    let done = run_knowing(Catalog::default(), body, script).await;
    let told: Value = serde_json::from_str(&done.results()[0]).expect("JSON");
    assert_eq!(told["timezone"], json!("Asia/Tokyo"));
    assert!(
        done.short()
            .contains(&"operationBegin function time {\"timezone\":\"Asia/Tokyo\"}".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn the_model_is_told_whom_it_talks_to_and_not_how_to_reach_them() {
    let person = json!({
        "fingerprint": "fp-geheim", "name": "Ada\nLovelace", "nick": "ada", "description": "Writes programs.",
        "email": "geheim@example.com", "phone": "+49 geheim", "meta": {"a": "geheim"},
    });
    let done = run_knowing(Catalog::default(), json!({"contactId": person}), vec![vec![text("ok")]]).await;
    let expected = "The person you talk to:\nName: Ada Lovelace\nCalled: ada\nAbout: Writes programs.";
    assert_eq!(system(&done, 0), expected);
    for nothing in [json!("contact-1"), json!({"fingerprint": "f", "name": " "})] {
        let done = run_knowing(
            Catalog::default(),
            json!({"contactId": nothing}),
            vec![vec![text("ok")]],
        )
        .await;
        assert_eq!(done.asked[0].messages, [ChatMessage::User("go".into())]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bot_brings_its_model_character_functions_and_bounds() {
    let mut catalog = Catalog::default();
    let functions = json!([{"name": "hours", "description": "d", "result": {"data": "9 to 17"}}]);
    catalog.bot(
        "support",
        Bot {
            model: Some("m-2".into()),
            backstory: Some("You are calm.".into()),
            functions: serde_json::from_value(functions).expect("functions"),
            skillsets: vec!["writing".into()],
            limits: Limits {
                iterations: Some(1),
                ..Limits::default()
            },
            ..Bot::default()
        },
    );
    let ability = Ability {
        name: "rhyme".into(),
        description: "d".into(),
        instruction: "i".into(),
        meta: None,
    };
    catalog.skillset("writing", Skillset::new(None, None, vec![ability]));
    let body = json!({"botId": "support", "limits": {"iterations": 9}});
    let done = run_knowing(catalog.clone(), body.clone(), vec![vec![call("a", "hours", "{}")]]).await;
    assert_eq!(done.asked[0].model.as_deref(), Some("m-2"));
    assert_eq!(system(&done, 0), "You are calm.");
    assert_eq!(tools(&done), ["hours", "rhyme"]);
    assert_eq!(done.reason(), "iteration");
    // A bot that is gone when the run is resumed is said to be gone.
    let done = run_knowing(Catalog::default(), body.clone(), vec![vec![text("no")]]).await;
    assert_eq!(done.short(), ["error NOT_FOUND"]);
    let engine = Engine::new(Arc::new(Demo::default()), EngineLimits::default()).with_catalog(catalog);
    let about = engine.about(&request(body).into());
    assert_eq!((about.model.as_deref(), about.private), (Some("m-2"), false));
}

/// Keeps events up to a number of them, and the last checkpoint.
struct Cut {
    events: Mutex<Vec<Value>>,
    kept: Mutex<(usize, Option<Checkpoint>)>,
    room: usize,
}

impl EventSink for Cut {
    async fn emit(&self, event: Event) -> Result<(), SinkClosed> {
        let mut events = self.events.lock().expect("a lock");
        if events.len() >= self.room {
            return Err(SinkClosed);
        }
        events.push(serde_json::to_value(&event).expect("JSON"));
        Ok(())
    }

    async fn keep(&self, event: Event, checkpoint: Checkpoint) -> Result<(), SinkClosed> {
        self.emit(event).await?;
        let count = self.events.lock().expect("a lock").len();
        *self.kept.lock().expect("a lock") = (count, Some(checkpoint));
        Ok(())
    }
}

/// A model that answers by what it is asked, so that it can be asked again.
struct Told;

impl Model for Told {
    fn name(&self) -> &str {
        "told"
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        let called = request
            .messages
            .iter()
            .any(|message| matches!(message, ChatMessage::Tool { .. }));
        let answer = match request.tools.is_empty() {
            true => vec![ModelEvent::Text("done".into())],
            false if called => vec![ModelEvent::Text("all done".into())],
            false => ["a", "b"]
                .map(|id| {
                    ModelEvent::ToolCall(ToolCall {
                        id: id.into(),
                        name: "polite_reply".into(),
                        arguments: Arguments::parse("{\"input\": \"x\"}"),
                    })
                })
                .into(),
        };
        let used = ModelEvent::Usage {
            model: "m".into(),
            input: 1,
            output: 1,
        };
        Box::pin(futures::stream::iter(answer.into_iter().chain([used]).map(Ok)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_interrupted_anywhere_goes_on_and_tells_nothing_twice() {
    let engine = Engine::new(Arc::new(Told), EngineLimits::default());
    let order = Order::from(request(ability()));
    let go = async |room: usize, from: Option<&Checkpoint>| {
        let sink = Cut {
            events: Mutex::default(),
            kept: Mutex::default(),
            room,
        };
        let outcome = engine
            .run(&order, from, &sink, &Channels::default(), &CancellationToken::new())
            .await;
        assert_eq!(
            outcome.is_ok(),
            sink.events.lock().expect("a lock").len() < room || room == usize::MAX
        );
        (
            sink.events.into_inner().expect("a lock"),
            sink.kept.into_inner().expect("a lock"),
        )
    };
    let plain = |events: &[Value]| events.iter().map(short).collect::<Vec<_>>();
    let (whole, _) = go(usize::MAX, None).await;
    let whole = plain(&whole);
    assert_eq!(whole.last().map(String::as_str), Some("result stop 8"));
    for cut in 1..whole.len() {
        let (before, (kept, checkpoint)) = go(cut, None).await;
        let (after, _) = go(usize::MAX, checkpoint.as_ref()).await;
        // What came after the last event that was kept with a checkpoint is superseded.
        let mut all = plain(&before[..kept]);
        all.extend(plain(&after));
        // Two calls that go on side by side may end in another order, and one that was interrupted between its usage
        // and its end is carried out once more.
        let count = |events: &[String], what: &str| events.iter().filter(|event| event.starts_with(what)).count();
        for (what, times) in [
            ("operationBegin", 2),
            ("operationEnd", 2),
            ("response", 2),
            ("result", 1),
            ("token", 1),
        ] {
            assert_eq!(count(&all, what), times, "{what}, cut after {cut}: {all:?}");
        }
        let asked = count(&all, "usage") as u64;
        assert_eq!(
            all.last(),
            Some(&format!("result stop {}", asked * 2)),
            "cut after {cut}"
        );
    }
}
