//! What bounds a run: its limits, and the functions that are to come first and last.

use super::*;

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
    let script = vec![part("one "), part("two "), part("three")];
    let done = run(request(json!({"limits": {"continuations": 2}})), script).await;
    assert_eq!(done.reason(), "length");
    assert_eq!(done.last()["data"]["text"], "one two three");
    assert_eq!(done.asked.len(), 3);
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
