//! The built-in demo model: scripts instead of a language model, so that everything can be tried offline.
//!
//! It says plainly that it is a demo. It streams reasoning and markdown at a humane pace and makes real function
//! calls; it understands nothing. The scripts are in `assets/demo`.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::json;

use super::demo_arguments::arguments;
use super::{
    Arguments, ChatMessage, FinishReason, Model, ModelError, ModelEvent, ModelRequest, ModelStream, Tool, ToolCall,
    ToolChoice,
};
use crate::wire::request::{Function, FunctionResult};

/// The demo's name, in `usage.model` too.
pub const DEMO_NAME: &str = "demo";

/// The function that the demo offers when a request brings none.
const APPROVE: &str = "approve_deploy";
/// About 40 tokens a second.
const PACE: Duration = Duration::from_millis(25);
/// How many tokens a long answer has.
const LONG: usize = 2_000;
/// What stands between a script's reasoning and its text.
const BREAK: &str = "\n---\n";

const PLAN: &str = include_str!("../../assets/demo/plan.md");
const ESSAY: &str = include_str!("../../assets/demo/essay.md");
const RESULT: &str = include_str!("../../assets/demo/result.md");
const CALL: &str = include_str!("../../assets/demo/call.md");
/// Scripts by words of the prompt; the first that fits.
const SCRIPTS: [(&[&str], &str); 3] = [
    (
        &["code", "rust", "function", "bug", "test", "program", "script"],
        include_str!("../../assets/demo/code.md"),
    ),
    (
        &["compare", "versus", "vs", "table", "which", "difference"],
        include_str!("../../assets/demo/compare.md"),
    ),
    (
        &["incident", "error", "log", "logs", "outage", "alert", "why"],
        include_str!("../../assets/demo/incident.md"),
    ),
];

/// The built-in demo model.
#[derive(Debug, Clone)]
pub struct Demo {
    pace: Duration,
}

impl Default for Demo {
    fn default() -> Self {
        Self { pace: PACE }
    }
}

impl Demo {
    /// A demo with another pause before each token; none at all for tests.
    #[must_use]
    pub fn with_pace(pace: Duration) -> Self {
        Self { pace }
    }
}

impl Model for Demo {
    fn name(&self) -> &str {
        DEMO_NAME
    }

    fn is_demo(&self) -> bool {
        true
    }

    fn builtin_functions(&self, _model: Option<&str>) -> Vec<Function> {
        vec![Function {
            name: APPROVE.into(),
            description: "Asks a person whether a deployment may go on.".into(),
            parameters: Some(json!({
                "type": "object",
                "properties": {
                    "service": {"type": "string", "description": "What is deployed.", "default": "web"},
                    "version": {"type": "string", "default": "1.4.2"},
                    "environment": {"type": "string", "enum": ["production", "staging"]},
                },
                "required": ["service", "version", "environment"],
            })),
            result: Some(FunctionResult::default()),
            call: None,
        }]
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        let pace = self.pace;
        let answer = answer(&request).into_iter().map(move |item| (item, pace));
        Box::pin(stream::iter(answer).then(|(item, pace)| async move {
            if !pace.is_zero() && matches!(item, Ok(ModelEvent::Text(_) | ModelEvent::Reasoning(_))) {
                tokio::time::sleep(pace).await;
            }
            item
        }))
    }
}

type Item = Result<ModelEvent, ModelError>;

fn answer(request: &ModelRequest) -> Vec<Item> {
    let said = request
        .messages
        .iter()
        .rposition(|message| matches!(message, ChatMessage::User(_)));
    let prompt = match said.and_then(|at| request.messages.get(at)) {
        Some(ChatMessage::User(text)) => text.as_str(),
        _ => "",
    };
    let since = &request.messages[said.map_or(0, |at| at + 1)..];
    let results = since
        .iter()
        .filter_map(|message| match message {
            ChatMessage::Tool { content, .. } => Some(content.as_str()),
            _ => None,
        })
        .collect::<Vec<_>>();
    let words = Words::of(prompt);
    let topic = topic(prompt);

    let forced = match &request.choice {
        ToolChoice::Function(name) => request.tools.iter().filter(|tool| tool.name == *name).collect(),
        ToolChoice::Auto if results.is_empty() => wanted(&request.tools, prompt, &words),
        ToolChoice::Auto => Vec::new(),
    };
    if !forced.is_empty() {
        let names = forced
            .iter()
            .map(|tool| format!("`{}`", tool.name))
            .collect::<Vec<_>>()
            .join(" and ");
        let mut items = script(CALL, &[("{topic}", &topic), ("{functions}", &names)]);
        for (at, tool) in forced.iter().enumerate() {
            items.push(Ok(ModelEvent::ToolCall(ToolCall {
                id: format!("demo_{}_{at}", request.messages.len()),
                name: tool.name.clone(),
                arguments: Arguments::Json(arguments(tool.parameters.as_ref(), &topic)),
            })));
        }
        return finished(items, request, FinishReason::ToolCalls);
    }
    if !results.is_empty() {
        let shown = results
            .iter()
            .map(|result| indented(result))
            .collect::<Vec<_>>()
            .join("\n");
        let outcome = outcome(&results);
        let items = script(
            RESULT,
            &[("{topic}", &topic), ("{results}", &shown), ("{outcome}", outcome)],
        );
        return finished(items, request, FinishReason::Stop);
    }
    if words.any(&["fail"]) {
        let mut items = script(
            "The demo was asked to fail.\n---\n> **Demo:** this run is about to fail, as asked",
            &[],
        );
        items.push(Err(ModelError::Demo {
            message:
                "the demo model failed because the prompt asked it to (it holds the word \"fail\"); leave the word out"
                    .into(),
        }));
        return items;
    }
    if words.any(&["long", "essay"]) {
        return finished(essay(&topic), request, FinishReason::Stop);
    }
    let found = SCRIPTS.iter().find(|(keys, _)| words.any(keys));
    let items = script(found.map_or(PLAN, |(_, script)| script), &[("{topic}", &topic)]);
    finished(items, request, FinishReason::Stop)
}

/// The functions that a prompt names; the first one when it just says "call".
fn wanted<'a>(tools: &'a [Tool], prompt: &str, words: &Words) -> Vec<&'a Tool> {
    let prompt = prompt.to_lowercase();
    let named: Vec<&Tool> = tools
        .iter()
        .filter(|tool| {
            let asked_to_deploy = tool.name == APPROVE && words.any(&["deploy", "deployment", "approve", "approval"]);
            prompt.contains(&tool.name.to_lowercase()) || asked_to_deploy
        })
        .collect();
    if named.is_empty() && words.any(&["call"]) {
        return tools.first().into_iter().collect();
    }
    named
}

/// What the demo says about results: yes and no are the answers that an approval gives.
fn outcome(results: &[&str]) -> &'static str {
    let says = |words: &[&str]| results.iter().any(|result| Words::of(result).any(words));
    if says(&["error"]) {
        "The function gave an **error**, so I stop here and change nothing."
    } else if says(&["denied", "deny", "rejected", "refused", "no", "false"]) {
        "That is a **no**, so nothing goes on."
    } else if says(&["approved", "approve", "allow", "yes", "true", "ok"]) {
        "That is a **yes**, so a real model would go on from here."
    } else {
        "A real model would go on from here with that result."
    }
}

fn script(script: &str, replaced: &[(&str, &str)]) -> Vec<Item> {
    let (reasoning, text) = script.split_once(BREAK).unwrap_or(("", script));
    let fill = |text: &str| {
        replaced
            .iter()
            .fold(text.trim().to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let mut items: Vec<Item> = tokens(&fill(reasoning))
        .into_iter()
        .map(|token| Ok(ModelEvent::Reasoning(token)))
        .collect();
    items.extend(tokens(&fill(text)).into_iter().map(|token| Ok(ModelEvent::Text(token))));
    items
}

/// The essay's sections, over and over, until the answer is long enough.
fn essay(topic: &str) -> Vec<Item> {
    let mut items = script(ESSAY, &[("{topic}", topic), ("{part}", "1")]);
    let (_, text) = ESSAY.split_once(BREAK).unwrap_or(("", ESSAY));
    let section = text.find("\n## ").map_or(text, |at| &text[at..]);
    for part in 2.. {
        if items.len() >= LONG {
            break;
        }
        let part = section.replace("{part}", &format!("{part}")).replace("{topic}", topic);
        items.extend(
            tokens(&format!("\n\n{}", part.trim()))
                .into_iter()
                .map(|token| Ok(ModelEvent::Text(token))),
        );
    }
    items
}

fn finished(mut items: Vec<Item>, request: &ModelRequest, reason: FinishReason) -> Vec<Item> {
    let output = items.len() as u64;
    let input = request
        .messages
        .iter()
        .map(|message| match message {
            ChatMessage::System(text) | ChatMessage::User(text) | ChatMessage::Assistant { text, .. } => {
                tokens(text).len()
            }
            ChatMessage::Tool { content, .. } => tokens(content).len(),
            ChatMessage::Image { .. } => 0,
        })
        .sum::<usize>() as u64;
    items.push(Ok(ModelEvent::Usage {
        model: DEMO_NAME.into(),
        input,
        output,
    }));
    items.push(Ok(ModelEvent::Finish(reason)));
    items
}

/// A text in pieces like a model's: a word with the white space before it, long words cut.
fn tokens(text: &str) -> Vec<String> {
    const LONGEST: usize = 7;
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut word = 0;
    for c in text.chars() {
        let begins_word = c.is_whitespace() && word > 0;
        if begins_word || word == LONGEST {
            tokens.push(std::mem::take(&mut token));
            word = 0;
        }
        token.push(c);
        if !c.is_whitespace() {
            word += 1;
        }
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    tokens
}

/// The prompt's first line, shortened, as something to call it by.
fn topic(prompt: &str) -> String {
    const LONGEST: usize = 60;
    let line = prompt
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("nothing in particular");
    let plain: String = line
        .chars()
        .filter(|c| !c.is_control() && !"`*_|<>[]".contains(*c))
        .collect();
    if plain.chars().count() <= LONGEST {
        return plain;
    }
    plain.chars().take(LONGEST).chain(['…']).collect()
}

/// A result as a block of code: by indentation, which nothing in it can end.
fn indented(result: &str) -> String {
    result.lines().take(20).map(|line| format!("    {line}\n")).collect()
}

/// The words of a text in lower case.
struct Words(Vec<String>);

impl Words {
    fn of(text: &str) -> Self {
        let words = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty());
        Self(words.map(str::to_lowercase).collect())
    }

    fn any(&self, words: &[&str]) -> bool {
        self.0.iter().any(|word| words.contains(&word.as_str()))
    }
}

#[cfg(test)]
#[path = "demo_tests.rs"]
mod tests;
