//! The functions of a run: where a call's result comes from, and what a published answer means.
//!
//! It decides and emits nothing; `run` waits and tells.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schema::Checks;
use crate::llm::{Arguments, FinishReason, Model, Tool, ToolCall};
use crate::wire::ChannelId;
use crate::wire::depth;
use crate::wire::request::{Function, FunctionResult};

/// How many names are listed for a model that calls a function that is not there.
const MOST_NAMES: usize = 20;

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Source {
    /// The result is the function's own data.
    Data,
    /// The result is this: of checkpoints of the first form, which held a function's data once more.
    Known(Value),
    /// The call is not carried out: the model is told what it got wrong.
    Refused(Value),
    /// It comes on a channel.
    Channel(ChannelId),
    /// The run carries it out itself.
    Own,
    /// The run's caller handles it.
    Caller,
}

/// What the model itself offers a request that brings no functions; channels that are missing there are minted.
pub(super) fn own(model: &dyn Model, name: Option<&str>) -> Vec<Function> {
    let mut functions = model.builtin_functions(name);
    functions.retain_mut(|function| {
        let Some(FunctionResult { data: None, channel }) = &mut function.result else {
            return true;
        };
        if channel.is_none() {
            *channel = mint();
        }
        channel.is_some()
    });
    functions
}

/// A new channel; `None` if the machine has no random numbers, which a secret cannot do without.
fn mint() -> Option<ChannelId> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).ok()?;
    Some(ChannelId::from_random(bytes))
}

/// The functions as models take them.
pub(super) fn tools(functions: &[Function]) -> Vec<Tool> {
    functions
        .iter()
        .map(|function| Tool {
            name: function.name.clone(),
            description: function.description.clone(),
            parameters: function.parameters.clone(),
        })
        .collect()
}

/// Where a call's result comes from; `finish` says how the answer that it is part of ended. What the model got wrong is
/// a result too, so that it can do better. Without `schemas` the arguments are not checked against them.
pub(super) fn source(
    functions: &[Function],
    checks: Option<&mut Checks<'_>>,
    call: &ToolCall,
    finish: &FinishReason,
) -> Source {
    let refused = |why: &str| Source::Refused(failure(why));
    let Some(at) = functions.iter().position(|function| function.name == call.name) else {
        return refused(&unknown(functions, &call.name));
    };
    let function = &functions[at];
    match &call.arguments {
        Arguments::Json(arguments @ Value::Object(_)) => {
            if let Some(checks) = checks
                && let Err(why) = checks.check(at, function, arguments)
            {
                return refused(&why);
            }
        }
        Arguments::Json(_) => return refused("the arguments have to be a JSON object; call it again"),
        Arguments::Raw(_) if *finish == FinishReason::Length => {
            return refused(
                "the call was cut off, because the answer grew longer than the model may answer at once; call it \
                 again with shorter arguments",
            );
        }
        Arguments::Raw(_) => return refused("the arguments are not valid JSON; call it again"),
    }
    match &function.result {
        Some(FunctionResult {
            channel: Some(channel), ..
        }) => Source::Channel(channel.clone()),
        Some(FunctionResult { data: Some(_), .. }) => Source::Data,
        _ => Source::Caller,
    }
}

fn unknown(functions: &[Function], name: &str) -> String {
    let name: String = name.chars().take(64).collect();
    let names = functions.iter().take(MOST_NAMES).map(|function| function.name.as_str());
    let mut there = names.collect::<Vec<_>>().join(", ");
    match functions.len().checked_sub(MOST_NAMES) {
        _ if functions.is_empty() => there.push_str("none"),
        Some(more @ 1..) => there.push_str(&format!(" and {more} more")),
        _ => {}
    }
    format!("there is no function {name:?}; there are: {there}")
}

/// What a function's definition says that it gives.
pub(super) fn data<'a>(functions: &'a [Function], name: &str) -> Cow<'a, Value> {
    let function = functions.iter().find(|function| function.name == name);
    let result = function.and_then(|function| function.result.as_ref());
    match result.and_then(|result| result.data.as_ref()) {
        Some(data) => Cow::Borrowed(data),
        // The run was resumed with another configuration.
        None => Cow::Owned(failure("this function is not there any more")),
    }
}

/// A result that tells the model what went wrong.
pub(super) fn failure(text: &str) -> Value {
    json!({"error": text})
}

/// What a published message means (PROTOCOL, "Functions"): the result, and who gave it.
pub(super) fn answer(message: &Value) -> (Value, Option<String>) {
    let parsed = match message {
        Value::String(text) => depth::parse(text).unwrap_or_else(|| message.clone()),
        other => other.clone(),
    };
    let Value::Object(fields) = &parsed else {
        return (parsed, None);
    };
    let from = fields.get("from").and_then(Value::as_str).map(str::to_owned);
    let result = match (fields.get("error"), fields.get("data")) {
        (Some(error), _) if !error.is_null() => json!({"error": error}),
        (_, Some(data)) => data.clone(),
        _ => parsed.clone(),
    };
    (result, from)
}

#[cfg(test)]
mod tests {
    use super::super::schema::Schemas;
    use super::*;
    use crate::llm::Demo;

    #[test]
    fn answers_mean_what_the_protocol_says() {
        for (message, result, from) in [
            (json!({"data": 1, "from": "laptop-2"}), json!(1), Some("laptop-2")),
            (json!({"data": null}), json!(null), None),
            (json!({"error": "no", "from": "x"}), json!({"error": "no"}), Some("x")),
            (json!({"error": null, "data": 2}), json!(2), None),
            (json!({"approved": true}), json!({"approved": true}), None),
            (json!("{\"data\": [1]}"), json!([1]), None),
            (json!("42"), json!(42), None),
            (json!("yes"), json!("yes"), None),
            // So deep that it could not be read again as a part of what is kept.
            (
                json!("[".repeat(101) + &"]".repeat(101)),
                json!("[".repeat(101) + &"]".repeat(101)),
                None,
            ),
            (json!([1]), json!([1]), None),
            (json!(true), json!(true), None),
        ] {
            assert_eq!(answer(&message), (result, from.map(str::to_owned)), "{message}");
        }
    }

    #[test]
    fn a_call_knows_where_its_result_comes_from() {
        let functions: Vec<Function> = serde_json::from_value(json!([
            {"name": "data", "description": "", "result": {"data": null}},
            {"name": "both", "description": "", "result": {"data": 1, "channel": "0123456789abcdef"}},
            {"name": "caller", "description": "", "parameters": {"type": "object", "required": ["id"]}},
        ]))
        .expect("functions");
        let call = |name: &str, arguments: &str| ToolCall {
            id: "a".into(),
            name: name.into(),
            arguments: Arguments::parse(arguments),
        };
        let channel = ChannelId::parse("0123456789abcdef").expect("an id");
        let schemas = Schemas::of(&functions);
        let source = |call: &ToolCall| source(&functions, Some(&mut schemas.checks()), call, &FinishReason::ToolCalls);
        assert_eq!(source(&call("data", "")), Source::Data);
        assert_eq!(source(&call("both", "{}")), Source::Channel(channel));
        assert_eq!(source(&call("caller", "{\"id\": 1}")), Source::Caller);
        for wrong in [
            call("nobody", "{}"),
            call("data", "{oops"),
            call("caller", "[1]"),
            call("caller", "{}"),
        ] {
            let Source::Refused(result) = source(&wrong) else {
                panic!("{wrong:?} is answered at once");
            };
            assert!(result.get("error").is_some(), "{result}");
        }
        let unchecked = super::source(&functions, None, &call("caller", "{}"), &FinishReason::ToolCalls);
        assert_eq!(unchecked, Source::Caller);
        let cut = super::source(
            &functions,
            Some(&mut schemas.checks()),
            &call("data", "{\"text\": \"abc"),
            &FinishReason::Length,
        );
        assert!(
            matches!(&cut, Source::Refused(result) if result.to_string().contains("shorter")),
            "{cut:?}"
        );
    }

    #[test]
    fn a_call_of_a_function_that_is_not_there_lists_some_that_are() {
        let functions = |count: usize| -> Vec<Function> {
            let one = |number| json!({"name": format!("f{number}"), "description": ""});
            serde_json::from_value((0..count).map(one).collect()).expect("functions")
        };
        let told = |count| unknown(&functions(count), &"x".repeat(1000));
        assert!(told(0).ends_with("there are: none"), "{}", told(0));
        assert!(told(20).ends_with("f18, f19"), "{}", told(20));
        assert!(told(512).ends_with("f18, f19 and 492 more"), "{}", told(512));
        assert!(told(512).len() < 400);
    }

    #[test]
    fn the_models_own_functions_get_a_channel() {
        let channel = |functions: &[Function]| functions[0].result.as_ref().and_then(|result| result.channel.clone());
        let first = channel(&own(&Demo::default(), None)).expect("a channel");
        let second = channel(&own(&Demo::default(), None)).expect("a channel");
        assert_ne!(first, second);
    }
}
