//! A secret that is sent with requests: it can be exposed on purpose and never by accident.
//!
//! How secrets are read from a configuration is `config`'s matter.

use std::fmt;

/// A key to a server or to a model. `Debug` masks it and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as a secret. White space around it is not part of it.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The secret itself, to be sent and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with every occurrence of the secret masked.
    #[must_use]
    pub fn redact(&self, text: String) -> String {
        if self.0.is_empty() || !text.contains(&self.0) {
            text
        } else {
            text.replace(&self.0, "…")
        }
    }
}

impl<T: AsRef<str>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_masked_unless_it_is_asked_for() {
        let secret = Secret::new(" geheim\n");
        assert_eq!(secret.expose(), "geheim");
        assert!(!format!("{secret:?}").contains("geheim"));
        assert_eq!(secret.redact("key geheim, geheim".into()), "key …, …");
        assert_eq!(Secret::new("").redact("as it is".into()), "as it is");
    }
}
