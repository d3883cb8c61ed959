//! Runs whose messages are judged first.

use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::llm::{Moderator, Verdict};
use crate::wire::ErrorCode;

/// Flags texts that hold a word; remembers what it was asked; does not know what to say about `fail`.
#[derive(Default)]
struct Judge {
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Moderator for Judge {
    async fn moderate(&self, texts: &[&str]) -> Result<Verdict, ModelError> {
        self.asked.lock().expect("a lock").push(texts.join("|"));
        let any = |word: &str| texts.iter().any(|text| text.contains(word));
        if any("hang") {
            std::future::pending::<()>().await;
        }
        if any("fail") {
            return Err(ModelError::Silent {
                url: "http://judge".into(),
                silence: Duration::from_secs(9),
            });
        }
        let flagged = any("bad");
        let categories = if flagged {
            vec!["harassment".into(), "violence".into()]
        } else {
            Vec::new()
        };
        Ok(Verdict { flagged, categories })
    }
}

/// The last event in short with its message, what the judge was asked, how often the model was.
async fn judged(body: Value, cancelled: bool) -> (String, Vec<String>, usize) {
    let model = Arc::new(Scripted {
        answers: Mutex::new(vec![vec![text("fine")]].into()),
        asked: Mutex::default(),
    });
    let judge = Arc::new(Judge::default());
    let engine = Engine::new(Arc::clone(&model) as Arc<dyn Model>, EngineLimits::default())
        .with_moderator(Some(Arc::clone(&judge) as Arc<dyn Moderator>));
    let sink = Kept {
        events: Mutex::default(),
        told: mpsc::unbounded_channel().0,
        room: usize::MAX,
    };
    let order = Order::from(serde_json::from_value::<CompleteRequest>(body).expect("a request"));
    engine.check(&order).expect("it can be done");
    let cancel = CancellationToken::new();
    if cancelled {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel();
        });
    }
    let run = engine.run(&order, None, &sink, &Channels::default(), &cancel).await;
    run.expect("the sink takes everything");
    let events = sink.events.into_inner().expect("a lock");
    let last = events.last().expect("an event");
    let asked = judge.asked.lock().expect("a lock").clone();
    let message = last["data"]["message"].as_str().unwrap_or_default();
    let models = model.asked.lock().expect("a lock").len();
    (format!("{} {message}", short(last)), asked, models)
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_bots_is_judged_before_the_model_hears_of_it() {
    let asking = |moderation: Value, last: &str| {
        json!({"moderation": moderation, "messages": [
            {"type": "user", "text": "old"}, {"type": "bot", "text": "bad"}, {"type": "reasoning", "text": "bad"},
            {"type": "user", "text": "one"}, {"type": "user", "text": "old"}, {"type": "user", "text": last},
        ]})
    };
    let with = |field: &str, value: Value| {
        let mut body = asking(json!(true), "two");
        body[field] = value;
        body
    };
    let refused = "error UNPROCESSABLE_ENTITY moderation refused the messages (harassment, violence); nothing was sent \
                   to the model";
    let silent = "error GATEWAY_TIMEOUT the messages could not be moderated: the model at http://judge has been silent \
                  for 9 seconds; try again, or raise the limit on silence";
    for (body, cancelled, end, judged_texts, models) in [
        (
            asking(json!(true), "two"),
            false,
            "result stop 1 ",
            vec!["old|one|two"],
            1,
        ),
        (
            asking(json!(true), "a bad one"),
            false,
            refused,
            vec!["old|one|a bad one"],
            0,
        ),
        (asking(json!(true), "fail"), false, silent, vec!["old|one|fail"], 0),
        (
            asking(json!(true), "hang"),
            true,
            "result abort 0 ",
            vec!["old|one|hang"],
            0,
        ),
        (asking(json!(false), "bad"), false, "result stop 1 ", vec![], 1),
        (asking(json!(null), "bad"), false, "result stop 1 ", vec![], 1),
        // An answer that the caller puts behind it answers nothing.
        (
            json!({"moderation": true, "messages": [{"type": "user", "text": "bad"}, {"type": "bot", "text": ""},
                {"type": "user", "text": "go on"}]}),
            false,
            refused,
            vec!["bad|go on"],
            0,
        ),
        (
            json!({"moderation": true, "messages": [{"type": "context", "text": "c"}, {"type": "backstory", "text": "b"},
                {"type": "instruction", "text": "bad"}]}),
            false,
            refused,
            vec!["c|b|bad"],
            0,
        ),
        (
            with("backstory", json!("bad")),
            false,
            refused,
            vec!["bad|old|one|two"],
            0,
        ),
        (
            with("extensions", json!({"backstory": "bad"})),
            false,
            refused,
            vec!["bad|old|one|two"],
            0,
        ),
        (
            json!({"moderation": true, "messages": [{"type": "bot", "text": "bad"}, {"type": "user", "text": " "}]}),
            false,
            "result stop 1 ",
            vec![],
            1,
        ),
    ] {
        let shown = body.to_string();
        let got = judged(body, cancelled).await;
        let judged_texts: Vec<String> = judged_texts.into_iter().map(str::to_owned).collect();
        assert_eq!(got, (end.to_owned(), judged_texts, models), "{shown}");
    }
}

#[test]
fn without_an_endpoint_it_is_refused_when_the_run_is_asked_for() {
    let engine = Engine::new(Arc::new(Demo::default()), EngineLimits::default());
    let check = |moderation| {
        engine.check(&Order::from(CompleteRequest {
            moderation,
            ..CompleteRequest::prompt("x")
        }))
    };
    assert!(check(None).is_ok() && check(Some(false)).is_ok());
    let error = check(Some(true)).expect_err("there is no endpoint");
    assert_eq!(error.code, ErrorCode::NotImplemented);
    assert!(error.message.contains("`moderation`"), "{error}");
}
