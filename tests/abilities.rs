//! Bots, datasets, skillsets and features over real sockets: what is refused and how, and a run that uses them all.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::engine::abilities::{Ability, Bot, Catalog, Dataset, Record, Skillset};
use switchboard::engine::{Engine, EngineLimits};
use switchboard::llm::Demo;
use switchboard::server::{Account, ServerOptions, serve};
use switchboard::wire::request::Feature;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

const SECRET: &str = "abilities-secret";
const PATIENCE: Duration = Duration::from_secs(60);

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let records = (0..200).map(|number| Record::text(format!("Room {number} is behind the stairs on this floor.")));
    let mut records: Vec<Record> = records.collect();
    records.push(Record::text("Refunds are paid within 14 days."));
    catalog.dataset("handbook", Dataset::new("handbook".to_owned(), None, records));
    let ability = Ability {
        name: "polite reply".into(),
        description: "Writes a reply.".into(),
        instruction: "Be polite.".into(),
        meta: None,
    };
    catalog.skillset("writing", Skillset::new(None, None, vec![ability]));
    catalog.bot(
        "support",
        Bot {
            datasets: vec!["handbook".into()],
            skillsets: vec!["writing".into()],
            features: vec![Feature {
                name: "time".into(),
                options: None,
            }],
            ..Bot::default()
        },
    );
    catalog
}

/// The real server on the demo model, and its address; the guard stops it.
async fn server() -> (std::net::SocketAddr, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let options = ServerOptions {
        accounts: vec![Account::with_secret("test", SECRET)],
        ..ServerOptions::default()
    };
    let model = Arc::new(Demo::with_pace(Duration::ZERO));
    let engine = Engine::new(model, EngineLimits::default()).with_catalog(catalog());
    let shutdown = CancellationToken::new();
    tokio::spawn(serve(listener, options, Arc::new(engine), shutdown.clone()));
    (address, shutdown.drop_guard())
}

/// Posts a prompt with further fields; the status and the body.
async fn post(address: std::net::SocketAddr, route: &str, accept: &str, prompt: &str, more: &Value) -> (u16, String) {
    let mut body = json!({"messages": [{"type": "user", "text": prompt}]});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let body = body.to_string();
    let request = format!(
        "POST /v1/conversation/{route} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\nconnection: close\r\n\
         accept: {accept}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(address).await.expect("the server listens");
    connection
        .write_all(request.as_bytes())
        .await
        .expect("it takes the request");
    let mut answer = String::new();
    timeout(PATIENCE, connection.read_to_string(&mut answer))
        .await
        .expect("it answers")
        .expect("text");
    let status = answer[9..12].parse().expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
}

#[tokio::test]
async fn what_is_not_there_is_refused_when_the_run_is_asked_for() {
    let (address, _guard) = server().await;
    let feature = |feature: Value| json!({"extensions": {"features": [feature]}});
    let ability = json!({"name": "n", "description": "d", "instruction": "i", "secretId": "s"});
    for (fields, status, code, named) in [
        (json!({"botId": "x"}), 404, "NOT_FOUND", "`botId`"),
        (json!({"datasetId": "x"}), 404, "NOT_FOUND", "`datasetId`"),
        (json!({"skillsetId": "x"}), 404, "NOT_FOUND", "`skillsetId`"),
        (json!({"botId": "support", "model": "m"}), 400, "BAD_REQUEST", "`model`"),
        (
            feature(json!({"name": "browse"})),
            501,
            "NOT_IMPLEMENTED",
            "it has: time",
        ),
        (
            feature(json!({"name": "time", "options": {"timezone": "Mars/Base"}})),
            400,
            "BAD_REQUEST",
            "`extensions.features[0].options.timezone`",
        ),
        (
            json!({"extensions": {"skillsets": [{"abilities": [ability]}]}}),
            501,
            "NOT_IMPLEMENTED",
            "`extensions.skillsets[0].abilities[0].secretId`",
        ),
        (
            json!({"contactId": {"name": "Ada"}}),
            400,
            "BAD_REQUEST",
            "`contactId.fingerprint`",
        ),
    ] {
        for route in ["dispatch", "complete"] {
            let (was, body) = post(address, route, "application/json", "hi", &fields).await;
            let body: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!((was, body["code"].as_str()), (status, Some(code)), "{body}");
            assert!(
                body["message"].as_str().is_some_and(|text| text.contains(named)),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn a_bot_searches_what_it_knows_and_does_what_it_can() {
    let (address, _guard) = server().await;
    let prompt = "search_handbook current_time polite_reply: refunds";
    let bot = json!({"botId": "support"});
    let (status, body) = post(address, "complete", "application/jsonl", prompt, &bot).await;
    assert_eq!(status, 200, "{body}");
    // The body is chunked; its lines are whole ones.
    let events = body
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
    let events: Vec<Value> = events.filter(Value::is_object).collect();
    let results: Vec<(&str, String)> = events
        .iter()
        .map(|event| &event["data"]["meta"]["activity"])
        .filter(|activity| activity["type"] == "response")
        .map(|activity| {
            let function = &activity["function"];
            (function["name"].as_str().unwrap_or(""), function["result"].to_string())
        })
        .collect();
    for (name, part) in [
        ("search_handbook", "Refunds are paid within 14 days."),
        ("current_time", "IANA time zone"),
        ("polite_reply", "Demo"),
    ] {
        assert!(
            results
                .iter()
                .any(|(called, result)| *called == name && result.contains(part)),
            "{name}: {results:?}"
        );
    }
    assert_eq!(
        events.last().map(|event| &event["data"]["end"]["reason"]),
        Some(&json!("stop"))
    );
    // Only the types that typed clients know are in such an answer.
    assert!(events.iter().all(|event| event["type"] != "operationBegin"));
}
