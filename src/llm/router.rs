//! Several upstreams as one model: a request's model name says which of them answers.
//!
//! It asks nobody anything itself; each upstream has its own key, times and repetitions.

use std::fmt;
use std::sync::Arc;

use futures::stream;
use prometheus_client::metrics::counter::Counter;
use regex::Regex;

use super::{Model, ModelError, ModelRequest, ModelStream};
use crate::wire::request::Function;

/// The longest model name that an error repeats, in characters.
const LONGEST_NAME: usize = 80;

/// Names of models: a name, or one in which each `*` stands for any characters or none.
#[derive(Clone)]
pub struct NamePattern {
    text: String,
    regex: Regex,
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is empty or too long for a name, as a sentence of what was expected.
    pub fn new(text: &str) -> Result<Self, String> {
        let expected = "expected a model's name, in which `*` stands for any characters, such as \"gpt-*\"";
        if text.trim().is_empty() {
            return Err(format!("an empty name, {expected}"));
        }
        let parts: Vec<String> = text.split('*').map(regex::escape).collect();
        // `(?s)`: a line break in a name is a character too.
        let regex = Regex::new(&format!("(?s)^{}$", parts.join(".*")));
        Ok(Self {
            text: text.to_owned(),
            regex: regex.map_err(|_| format!("this name is too long, {expected}"))?,
        })
    }

    /// Whether a name is one of these.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for NamePattern {}

/// An upstream and the names that are asked of it.
pub struct Route {
    /// The names.
    pub names: Vec<NamePattern>,
    /// What answers them.
    pub model: Arc<dyn Model>,
}

/// Models by name. A request without a name, or with the default's own, goes to the default; every other one to the
/// first route with a pattern that its name matches. Without any route the default takes all names.
pub struct Router {
    default: Arc<dyn Model>,
    routes: Vec<Route>,
}

impl Router {
    /// A router for these routes, in this order.
    #[must_use]
    pub fn new(default: Arc<dyn Model>, routes: Vec<Route>) -> Self {
        Self { default, routes }
    }

    fn find(&self, name: Option<&str>) -> Result<&Arc<dyn Model>, ModelError> {
        let Some(name) = name.filter(|name| *name != self.default.name()) else {
            return Ok(&self.default);
        };
        let matching = |route: &&Route| route.names.iter().any(|pattern| pattern.matches(name));
        match self.routes.iter().find(matching) {
            Some(route) => Ok(&route.model),
            None if self.routes.is_empty() => Ok(&self.default),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> ModelError {
        let patterns = self.routes.iter().flat_map(|route| &route.names);
        let mut known = vec![self.default.name().to_owned()];
        for pattern in patterns.map(ToString::to_string) {
            if !known.contains(&pattern) {
                known.push(pattern);
            }
        }
        ModelError::Unknown {
            model: name.chars().take(LONGEST_NAME).collect(),
            known: known.join(", "),
        }
    }
}

impl Model for Router {
    fn name(&self) -> &str {
        self.default.name()
    }

    fn is_demo(&self) -> bool {
        self.default.is_demo()
    }

    fn takes_images(&self, model: Option<&str>) -> bool {
        self.find(model).is_ok_and(|found| found.takes_images(model))
    }

    fn check(&self, model: Option<&str>) -> Result<(), ModelError> {
        self.find(model)?.check(model)
    }

    fn builtin_functions(&self, model: Option<&str>) -> Vec<Function> {
        self.find(model)
            .map_or_else(|_| Vec::new(), |found| found.builtin_functions(model))
    }

    fn count_retries(&self, retries: &Counter) {
        self.default.count_retries(retries);
        self.routes.iter().for_each(|route| route.model.count_retries(retries));
    }

    fn call(&self, request: ModelRequest) -> ModelStream {
        match self.find(request.model.as_deref()) {
            Ok(model) => model.call(request),
            Err(error) => Box::pin(stream::iter([Err(error)])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Demo, ModelOptions, OpenAi};
    use futures::StreamExt;

    fn pattern(text: &str) -> NamePattern {
        NamePattern::new(text).expect(text)
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (text, name, matches) in [
            ("gpt-*", "gpt-4o", true),
            ("gpt-*", "gpt-", true),
            ("gpt-*", "a gpt-4", false),
            ("*", "", true),
            ("*", "any\nthing", true),
            ("*/llama*8b", "meta/llama-3.1-8b", true),
            ("*/llama*8b", "meta/llama-3.1-70b", false),
            ("qwen2.5:1.5b", "qwen2.5:1.5b", true),
            ("qwen2.5:1.5b", "qwen2x5:1.5b", false),
            ("(a|b)", "a", false),
            ("GPT", "gpt", false),
        ] {
            assert_eq!(pattern(text).matches(name), matches, "{text} {name}");
        }
        assert!(NamePattern::new(" ").is_err());
    }

    fn upstream(name: &str, images: bool) -> Arc<dyn Model> {
        let options = ModelOptions {
            images,
            ..ModelOptions::new("http://127.0.0.1:1/v1", name)
        };
        Arc::new(OpenAi::new(options).expect("a model"))
    }

    fn route(names: &[&str], model: Arc<dyn Model>) -> Route {
        let names = names.iter().map(|name| pattern(name)).collect();
        Route { names, model }
    }

    #[tokio::test]
    async fn the_first_pattern_that_matches_decides() {
        let router = Router::new(
            upstream("small", false),
            vec![
                route(&["gpt-4*", "o1"], upstream("first", true)),
                route(&["gpt-*", "small"], upstream("second", false)),
                route(&["demo"], Arc::new(Demo::default())),
            ],
        );
        for (name, expected) in [
            (None, Ok("small")),
            (Some("small"), Ok("small")),
            (Some("gpt-4o"), Ok("first")),
            (Some("o1"), Ok("first")),
            (Some("gpt-5"), Ok("second")),
            (Some("demo"), Ok("demo")),
            (
                Some("claude"),
                Err("there is no model \"claude\" on this server; there are: small, gpt-4*, o1, gpt-*, demo"),
            ),
        ] {
            let found = router.find(name).map(|model| model.name().to_owned());
            assert_eq!(
                found.map_err(|error| error.to_string()),
                expected.map(str::to_owned).map_err(str::to_owned)
            );
            assert_eq!(router.check(name).is_ok(), expected.is_ok());
            assert_eq!(router.takes_images(name), expected == Ok("first"));
            assert_eq!(router.builtin_functions(name).is_empty(), expected != Ok("demo"));
        }
        let request = ModelRequest {
            model: Some("claude".into()),
            ..ModelRequest::default()
        };
        let items: Vec<_> = router.call(request).collect().await;
        assert!(matches!(items[..], [Err(ModelError::Unknown { .. })]), "{items:?}");
    }

    #[test]
    fn alone_the_default_takes_every_name() {
        let router = Router::new(upstream("small", false), Vec::new());
        assert_eq!(
            router.find(Some("gpt-4o")).map(|model| model.name()).ok(),
            Some("small")
        );
    }
}
