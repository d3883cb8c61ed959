//! Moderation: whether texts break the rules of whoever runs a moderation endpoint.
//!
//! What becomes of texts that do is the engine's.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::delta::upstream_error;
use super::reader::ReadError;
use super::retry::Attempts;
use super::upstream::Upstream;
use super::{ModelError, ModelOptions};

/// The largest verdict that is read, in bytes.
const LARGEST_VERDICT: usize = 4 * 1024 * 1024;
/// The longest name of a category that is repeated, in characters.
const LONGEST_CATEGORY: usize = 64;
/// The most categories that are repeated.
const MOST_CATEGORIES: usize = 32;

/// Judges texts.
#[async_trait]
pub trait Moderator: Send + Sync {
    /// Judges texts, all at once.
    ///
    /// # Errors
    /// When it gives no verdict: nothing is known about the texts then.
    async fn moderate(&self, texts: &[&str]) -> Result<Verdict, ModelError>;
}

/// What a [`Moderator`] says about texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether any of them breaks the rules.
    pub flagged: bool,
    /// The rules that are broken, by the names that the endpoint gives them, each once.
    pub categories: Vec<String>,
}

/// An OpenAI-compatible moderation endpoint: `POST …/moderations`.
#[derive(Debug, Clone)]
pub struct Moderations {
    upstream: Arc<Upstream>,
}

impl Moderations {
    /// The endpoint of a configuration, whose model may be empty for the endpoint's own. It is not asked for anything
    /// yet.
    ///
    /// # Errors
    /// When the base URL is not one, the key cannot stand in a header, or no HTTP client can be built.
    pub fn new(options: ModelOptions) -> Result<Self, ModelError> {
        let upstream = Arc::new(Upstream::new(options, "moderations")?);
        Ok(Self { upstream })
    }

    async fn ask(&self, body: Bytes, texts: usize) -> Result<Verdict, ModelError> {
        let mut response = self.upstream.send("application/json", body).await?;
        let reading = async {
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|_| self.upstream.cut())? {
                if body.len() + chunk.len() > LARGEST_VERDICT {
                    return Err(ModelError::TooLarge { limit: LARGEST_VERDICT });
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body)
        };
        let body = timeout(self.upstream.options.silence, reading)
            .await
            .map_err(|_| self.upstream.silent())??;
        let value: Value = serde_json::from_slice(&body).map_err(|_| self.upstream.garbage("no JSON came"))?;
        if let Some(error) = upstream_error(&value) {
            return Err(self.upstream.read_error(ReadError::Upstream(error)));
        }
        verdict(&value, texts).ok_or_else(|| self.upstream.garbage("no verdict for each text came"))
    }
}

#[async_trait]
impl Moderator for Moderations {
    async fn moderate(&self, texts: &[&str]) -> Result<Verdict, ModelError> {
        let mut body = json!({"input": texts});
        let options = &self.upstream.options;
        if !options.model.is_empty() {
            body["model"] = options.model.as_str().into();
        }
        let body = Bytes::from(body.to_string());
        let mut attempts = Attempts::new(options.retries);
        loop {
            attempts.begin();
            match self.ask(body.clone(), texts.len()).await {
                Ok(verdict) => return Ok(verdict),
                Err(error) => match self.upstream.wait(&attempts, &error) {
                    Some(wait) => sleep(wait).await,
                    None => return Err(error),
                },
            }
        }
    }
}

/// Reads a verdict; `None` unless it judges every text.
fn verdict(value: &Value, texts: usize) -> Option<Verdict> {
    let results = value.get("results")?.as_array()?;
    if results.len() < texts {
        return None;
    }
    let mut verdict = Verdict::default();
    for result in results {
        verdict.flagged |= result.get("flagged")?.as_bool()?;
        let categories = result.get("categories").and_then(Value::as_object);
        for (name, broken) in categories.into_iter().flatten() {
            let name: String = name
                .chars()
                .filter(|c| !c.is_control())
                .take(LONGEST_CATEGORY)
                .collect();
            let known = verdict.categories.contains(&name) || verdict.categories.len() >= MOST_CATEGORIES;
            if *broken == Value::Bool(true) && !known {
                verdict.categories.push(name);
            }
        }
    }
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_or_there_is_none() {
        let result = |flagged: bool, categories: Value| json!({"flagged": flagged, "categories": categories});
        for (results, texts, expected) in [
            (json!([result(false, json!({"hate": false}))]), 1, Some((false, vec![]))),
            (
                json!([
                    result(true, json!({"hate": true, "b": false})),
                    result(true, json!({"hate": true, "c/d": true}))
                ]),
                2,
                Some((true, vec!["hate", "c/d"])),
            ),
            (json!([{"flagged": true}]), 1, Some((true, vec![]))),
            (json!([{"flagged": false}]), 2, None),
            (json!([]), 1, None),
            (json!([{"flagged": "no"}]), 1, None),
            (json!([7]), 1, None),
            (json!("fine"), 1, None),
        ] {
            let got = verdict(&json!({"results": results}), texts);
            let expected = expected.map(|(flagged, categories): (bool, Vec<&str>)| Verdict {
                flagged,
                categories: categories.into_iter().map(str::to_owned).collect(),
            });
            assert_eq!(got, expected, "{results}");
        }
    }
}
