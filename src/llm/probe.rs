//! Finds a model that already runs on this machine: asks the well-known endpoints for their list of models.
//!
//! Whether to ask at all is the caller's decision; tests hand in their own candidates and never ask the real ones.

use std::time::Duration;

use serde_json::Value;

use super::client;

/// How long a candidate may take to answer.
const TIME: Duration = Duration::from_millis(300);
/// The longest list of models that is read, in bytes.
const LONGEST_LIST: usize = 1024 * 1024;

/// A place where a model may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What usually answers there, for people.
    pub name: String,
    /// Its base URL, up to and with `/v1`.
    pub base_url: String,
}

impl Candidate {
    /// A place and what usually answers there.
    pub fn new(name: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base_url: base_url.into(),
        }
    }
}

/// A model that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What usually answers there.
    pub name: String,
    /// The base URL that answered.
    pub base_url: String,
    /// The first model of its list.
    pub model: String,
}

/// The places where local models usually are: Ollama, llama.cpp, LM Studio.
#[must_use]
pub fn well_known() -> Vec<Candidate> {
    vec![
        Candidate::new("Ollama", "http://127.0.0.1:11434/v1"),
        Candidate::new("llama.cpp", "http://127.0.0.1:8080/v1"),
        Candidate::new("LM Studio", "http://127.0.0.1:1234/v1"),
    ]
}

/// Asks all candidates at once; of those that answer in time with a model, the first in the order given.
pub async fn probe(candidates: &[Candidate]) -> Option<Found> {
    let asked = candidates
        .iter()
        .map(|candidate| async { tokio::time::timeout(TIME, ask(candidate)).await.ok().flatten() });
    futures::future::join_all(asked).await.into_iter().flatten().next()
}

async fn ask(candidate: &Candidate) -> Option<Found> {
    let (client, url) = client::for_url(&candidate.base_url).ok()?;
    let list = format!("{}/models", url.as_str().trim_end_matches('/'));
    let mut answer = client.get(list).send().await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if body.len() + chunk.len() > LONGEST_LIST {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    let body: Value = serde_json::from_slice(&body).ok()?;
    let model = body.get("data")?.get(0)?.get("id")?.as_str()?;
    (!model.is_empty()).then(|| Found {
        name: candidate.name.clone(),
        base_url: candidate.base_url.clone(),
        model: model.to_owned(),
    })
}
