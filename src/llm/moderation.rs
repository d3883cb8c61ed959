//! Moderation: whether texts break the rules of whoever runs a moderation endpoint.
//!
//! What becomes of texts that do is the engine's.

use async_trait::async_trait;

use super::ModelError;

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
