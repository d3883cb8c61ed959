//! What the demo answers to which prompt.

use super::*;

fn ask(prompt: &str, tools: Vec<Tool>) -> ModelRequest {
    ModelRequest {
        messages: vec![ChatMessage::User(prompt.into())],
        tools,
        ..ModelRequest::default()
    }
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.into(),
        description: "does something".into(),
        parameters: Some(json!({"type": "object", "properties": {"what": {"type": "string"}}})),
    }
}

/// Text, reasoning, calls, and the error if there was one.
fn read(items: &[Item]) -> (String, String, Vec<ToolCall>, Option<ModelError>) {
    let mut read = (String::new(), String::new(), Vec::new(), None);
    for item in items {
        match item {
            Ok(ModelEvent::Text(text)) => read.0.push_str(text),
            Ok(ModelEvent::Reasoning(text)) => read.1.push_str(text),
            Ok(ModelEvent::ToolCall(call)) => read.2.push(call.clone()),
            Ok(_) => {}
            Err(error) => read.3 = Some(error.clone()),
        }
    }
    read
}

#[test]
fn every_script_says_that_it_is_a_demo_and_echoes_the_topic() {
    for prompt in [
        "plan my week",
        "some rust code",
        "compare tea",
        "an incident",
        "a long one",
    ] {
        let items = answer(&ask(prompt, Vec::new()));
        let (text, reasoning, calls, error) = read(&items);
        assert!(
            text.starts_with("> **Demo:**") && text.contains(prompt),
            "{prompt}: {text}"
        );
        assert!(reasoning.contains(prompt), "{prompt}: {reasoning}");
        assert!(!text.contains("{topic}") && !text.contains("{part}"), "{text}");
        assert!(calls.is_empty() && error.is_none());
        assert_eq!(items.last(), Some(&Ok(ModelEvent::Finish(FinishReason::Stop))));
        let Some(Ok(ModelEvent::Usage { model, output, .. })) = items.iter().rev().nth(1) else {
            panic!("usage comes before the end");
        };
        assert_eq!((model.as_str(), *output), ("demo", items.len() as u64 - 2));
    }
}

#[test]
fn a_long_answer_is_long() {
    let items = answer(&ask("an essay, please", Vec::new()));
    assert!((LONG..LONG * 2).contains(&items.len()), "{}", items.len());
    let (text, ..) = read(&items);
    assert!(text.contains("\n## Part 2\n"), "sections follow each other");
}

#[test]
fn it_calls_what_the_prompt_names() {
    let tools = || vec![tool("weather"), tool("search"), tool(APPROVE)];
    for (prompt, expected) in [
        ("hello", &[][..]),
        ("please call it", &["weather"]),
        ("use SEARCH now", &["search"]),
        ("search the weather", &["weather", "search"]),
        ("deploy it", &[APPROVE]),
    ] {
        let (_, _, calls, _) = read(&answer(&ask(prompt, tools())));
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, expected, "{prompt}");
        for call in calls {
            assert_eq!(call.arguments, Arguments::Json(json!({"what": prompt})));
        }
    }
    let mut forced = ask("hello", tools());
    forced.choice = ToolChoice::Function("search".into());
    assert_eq!(read(&answer(&forced)).2.len(), 1);
}

#[test]
fn it_uses_the_result() {
    for (result, expected) in [
        ("{\"approved\":true}", "**yes**"),
        ("no", "**no**"),
        ("{\"error\":\"x\"}", "**error**"),
        ("42", "with that result"),
    ] {
        let mut request = ask("deploy", vec![tool(APPROVE)]);
        request.messages.push(ChatMessage::Tool {
            id: "a".into(),
            content: result.into(),
        });
        let (text, _, calls, _) = read(&answer(&request));
        assert!(
            text.contains(expected) && text.contains(&format!("    {result}")),
            "{text}"
        );
        assert!(calls.is_empty());
    }
}

#[test]
fn it_fails_when_asked_to() {
    let (text, _, _, error) = read(&answer(&ask("fail, please", Vec::new())));
    assert!(!text.is_empty());
    assert!(matches!(error, Some(ModelError::Demo { .. })));
}

#[test]
fn tokens_join_to_the_text() {
    let text = "  A heading\n\n- *one* or antidisestablishmentarianism 漢字\n";
    let tokens = tokens(text);
    assert_eq!(tokens.concat(), text);
    assert!(tokens.iter().all(|token| !token.is_empty()));
    assert!(tokens.len() > 8);
}

#[tokio::test(start_paused = true)]
async fn it_streams_at_its_pace() {
    let request = ask("plan", Vec::new());
    let tokens = answer(&request).len() as u32 - 2;
    let begun = tokio::time::Instant::now();
    let items: Vec<Item> = Demo::default().call(request).collect().await;
    assert_eq!(items.len() as u32, tokens + 2);
    assert!(begun.elapsed() >= PACE * tokens);
}
