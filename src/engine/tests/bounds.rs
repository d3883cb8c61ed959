//! What bounds a run: its limits, and the functions that are to come first and last.

use super::*;
use crate::wire::ErrorCode;
use crate::wire::request::Limits;

#[tokio::test(start_paused = true)]
async fn limits_bound_a_run() {
    let endless = || {
        (0..10)
            .map(|_| vec![call("a", "f", "{}"), usage(1, 1)])
            .collect::<Vec<_>>()
    };
    let functions = json!([{"name": "f", "description": "", "result": {"data": 1}}]);
    for (asked, allowed, iterations) in [
        (json!({"iterations": 2}), 20, 2),
        (json!({"iterations": 9}), 3, 3),
        (json!({"calls": 2}), 20, 3),
        (json!({}), 4, 4),
    ] {
        let limits = EngineLimits {
            max_iterations: allowed,
            ..EngineLimits::default()
        };
        let request = request(json!({"functions": functions, "limits": asked}));
        let done = run_with(request, endless(), limits, usize::MAX, |_, _, _| {}).await;
        assert_eq!((done.asked.len(), done.reason()), (iterations, "iteration"), "{asked}");
    }
    // The last iteration that is allowed may be the one that is done.
    let request = request(json!({"functions": functions, "limits": {"iterations": 2}}));
    let done = run(request, vec![vec![call("a", "f", "{}")], vec![text("ok")]]).await;
    assert_eq!(done.reason(), "stop");
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_is_continued_as_often_as_asked() {
    let part = |part: &str| vec![text(part), usage(1, 1), finish(FinishReason::Length)];
    let script = || vec![part("one "), part("two "), part("three"), part("four"), part("five")];
    let with = |max_continuations, default| EngineLimits {
        max_continuations,
        defaults: Limits {
            continuations: default,
            ..Limits::default()
        },
        ..EngineLimits::default()
    };
    for (asked, limits, calls, said) in [
        (json!({"continuations": 2}), with(4, None), 3, "one two three"),
        (json!({"continuations": 9}), with(1, None), 2, "one two "),
        (json!({"iterations": 9}), with(2, None), 3, "one two three"),
        (json!({}), with(2, Some(0)), 1, "one "),
        (json!({"continuations": 1}), with(2, Some(0)), 2, "one two "),
    ] {
        let request = request(json!({"limits": asked}));
        let done = run_with(request, script(), limits, usize::MAX, |_, _, _| {}).await;
        assert_eq!(done.reason(), "length", "{asked}");
        assert_eq!(done.last()["data"]["text"], said, "{asked}");
        assert_eq!(done.asked.len(), calls, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_continued_answer_may_call() {
    let functions = json!([{"name": "f", "description": "", "result": {"data": 1}}]);
    let script = vec![
        vec![text("one "), finish(FinishReason::Length)],
        vec![text("two"), call("a", "f", "{}"), finish(FinishReason::ToolCalls)],
        vec![text("three "), finish(FinishReason::Length)],
        vec![text("four "), finish(FinishReason::Length)],
    ];
    let request = request(json!({"functions": functions, "limits": {"continuations": 2}}));
    let done = run(request, script).await;
    assert_eq!(
        (done.asked.len(), done.reason(), &done.last()["data"]["text"]),
        (4, "length", &json!("three four "))
    );
    assert_eq!(done.results(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_cut_off_is_to_be_made_shorter() {
    let functions = json!({"functions": [{"name": "f", "description": ""}]});
    let script = vec![
        vec![call("a", "f", "{\"text\": \"abc"), finish(FinishReason::Length)],
        vec![text("ok")],
    ];
    let done = run(request(functions), script).await;
    assert!(done.results()[0].contains("shorter arguments"), "{:?}", done.results());
    assert_eq!(done.reason(), "stop");
}

#[tokio::test(start_paused = true)]
async fn first_and_last_functions_are_asked_for() {
    let functions = json!({"functions": [
        {"name": "f", "description": "", "result": {"data": 1}, "call": {"start": true}},
        {"name": "g", "description": "", "result": {"data": 2}, "call": {"end": true}},
    ]});
    let script = vec![
        vec![call("a", "f", "{}")],
        vec![text("done")],
        vec![call("b", "g", "{}")],
        vec![text("never asked for")],
    ];
    let done = run(request(functions), script).await;
    let choices: Vec<ToolChoice> = done.asked.iter().map(|request| request.choice.clone()).collect();
    let named = |name: &str| ToolChoice::Function(name.to_owned());
    assert_eq!(choices, [named("f"), ToolChoice::Auto, named("g")]);
    assert_eq!(done.reason(), "stop");

    let again = json!({
        "messages": [
            {"type": "user", "text": "go"},
            {"type": "activity", "text": "", "meta": {"activity":
                {"type": "response", "function": {"name": "f", "arguments": {}, "result": 1}}}},
        ],
        "functions": [{"name": "f", "description": "", "call": {"start": true}}],
    });
    let done = run(request(again), vec![vec![text("ok")]]).await;
    assert_eq!(done.asked[0].choice, ToolChoice::Auto, "its response is there already");
}

#[tokio::test(start_paused = true)]
async fn any_function_that_is_to_be_last_ends_the_run() {
    let functions = json!({"functions": [
        {"name": "f", "description": "", "result": {"data": 1}, "call": {"end": true}},
        {"name": "g", "description": "", "result": {"data": 2}, "call": {"end": true}},
    ]});
    let script = vec![vec![call("a", "g", "{}")], vec![text("never asked for")]];
    let done = run(request(functions), script).await;
    assert_eq!((done.asked.len(), done.reason()), (1, "stop"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_carried_out_does_not_end_the_run() {
    let functions =
        json!({"functions": [{"name": "f", "description": "", "result": {"data": 1}, "call": {"end": true}}]});
    let script = vec![
        vec![call("a", "f", "{oops")],
        vec![call("b", "f", "{}")],
        vec![text("never asked for")],
    ];
    let done = run(request(functions), script).await;
    assert_eq!((done.asked.len(), done.reason()), (2, "stop"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_answered_the_last_call_is_not_asked_again() {
    let again = json!({
        "messages": [
            {"type": "user", "text": "go"},
            {"type": "activity", "text": "", "meta": {"activity":
                {"type": "response", "function": {"name": "f", "arguments": {}, "result": 1}}}},
        ],
        "functions": [{"name": "f", "description": "", "call": {"end": true}}],
    });
    let done = run(request(again), vec![vec![text("done")]]).await;
    assert_eq!((done.asked.len(), done.reason()), (1, "stop"));
}

#[tokio::test(start_paused = true)]
async fn waiting_is_part_of_the_time_of_a_run() {
    let functions = json!({"functions": [channel_function("f", CHANNEL)]});
    let limits = EngineLimits {
        run: std::time::Duration::from_secs(100),
        ..EngineLimits::default()
    };
    let script = vec![vec![call("a", "f", "{}"), usage(1, 1)], vec![text("never asked for")]];
    let begun = tokio::time::Instant::now();
    let done = run_with(request(functions), script, limits.clone(), usize::MAX, |_, _, _| {}).await;
    assert_eq!(begun.elapsed(), limits.run);
    assert_eq!(done.short()[4..], ["waits f", "error TIMEOUT"]);
    let message = done.last()["data"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("1m 40s, waiting included"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_does_not_grow_without_end() {
    let data = "x".repeat(1000);
    let functions = json!({"functions": [{"name": "f", "description": "", "result": {"data": data}}]});
    let limits = EngineLimits {
        max_added: 2500,
        ..EngineLimits::default()
    };
    let script = (0..9).map(|_| vec![call("a", "f", "{}"), usage(1, 1)]).collect();
    let done = run_with(request(functions), script, limits, usize::MAX, |_, _, _| {}).await;
    assert_eq!(done.asked.len(), 3);
    assert_eq!(done.short().last().map(String::as_str), Some("error CONTENT_TOO_LARGE"));
}

#[tokio::test(start_paused = true)]
async fn what_is_called_and_what_comes_back_counts_as_it_comes() {
    let limits = EngineLimits {
        max_added: 2500,
        ..EngineLimits::default()
    };
    let data = "x".repeat(1000);
    let functions = json!({"functions": [{"name": "f", "description": "", "result": {"data": data}}]});
    let ids = ["a", "b", "c", "d", "e"];
    let side_by_side = ids.map(|id| call(id, "f", "{}")).to_vec();
    let done = run_with(
        request(functions),
        vec![side_by_side],
        limits.clone(),
        usize::MAX,
        |_, _, _| {},
    )
    .await;
    assert_eq!(
        done.short()[8..],
        ["response f", "response f", "error CONTENT_TOO_LARGE"],
        "{:?}",
        done.short()
    );

    let functions = json!({"functions": [{"name": "f", "description": "", "result": {"data": 1}}]});
    let arguments = json!({"text": "x".repeat(1000)}).to_string();
    let script = (0..9).map(|_| vec![call("a", "f", &arguments)]).collect();
    let done = run_with(request(functions), script, limits, usize::MAX, |_, _, _| {}).await;
    assert_eq!(done.asked.len(), 3);
    assert_eq!(done.short().last().map(String::as_str), Some("error CONTENT_TOO_LARGE"));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_answers_instead_of_calling_is_asked_for_the_others() {
    let start = |name: &str| json!({"name": name, "description": "", "result": {"data": 1}, "call": {"start": true}});
    let functions = json!({"functions": [start("f"), start("g"), start("h"),
        {"name": "z", "description": "", "result": {"data": 2}, "call": {"end": true}}]});
    let script = vec![
        vec![text("I rather talk.")],
        vec![call("a", "g", "{}")],
        vec![text("And talk.")],
        vec![call("b", "z", "{}")],
        vec![text("never asked for")],
    ];
    let done = run(request(functions), script).await;
    let choices: Vec<ToolChoice> = done.asked.iter().map(|request| request.choice.clone()).collect();
    let named = |name: &str| ToolChoice::Function(name.to_owned());
    assert_eq!(choices, ["f", "g", "h", "z"].map(named));
    assert_eq!(done.reason(), "stop");
    // The model's own word is never the last one that it is asked with.
    for (question, name) in [(1, "g"), (3, "z")] {
        let last = done.asked[question].messages.last();
        assert_eq!(last, Some(&ChatMessage::User(format!("Now call the function {name}."))));
    }
    assert!(matches!(done.asked[2].messages.last(), Some(ChatMessage::Tool { .. })));
}

#[test]
fn a_run_has_no_more_functions_than_a_model_can_choose_from() {
    let engine = Engine::new(Arc::new(Demo::default()), EngineLimits::default());
    let check = |functions: usize, datasets: usize, abilities: usize| {
        let function = |number| json!({"name": format!("f{number}"), "description": "d"});
        let ability = json!({"name": "same", "description": "d", "instruction": "i"});
        let body = json!({
            "functions": (0..functions).map(function).collect::<Vec<_>>(),
            "extensions": {
                "datasets": vec![json!({"records": [{"text": "x"}]}); datasets],
                "skillsets": [{"abilities": vec![ability; abilities]}],
                "features": [{"name": "time"}],
            },
        });
        engine.check(&Order::from(request(body)))
    };
    assert_eq!(check(300, 11, 200), Ok(()));
    for (functions, datasets, abilities) in [(300, 12, 200), (512, 0, 0), (0, 0, 512), (0, 512, 0)] {
        let error = check(functions, datasets, abilities).expect_err("too many");
        assert_eq!(error.code, ErrorCode::BadRequest);
        assert!(
            error.message.contains("513") && error.message.contains("512"),
            "{error}"
        );
    }
}
