//! What a secret may do, and how it is kept: the scopes of PROTOCOL, "Routes", and the hash that stands for a secret.
//!
//! Which account a secret belongs to is the server's business, where its hash is written down the configuration's.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What the text of a hash begins with: the way it was made.
const SHA256: &str = "sha256:";
/// The fewest characters of a secret that is kept as a hash: 128 bits, written 64 ways a character.
const FEWEST_CHARACTERS: usize = 22;
/// The fewest different characters of such a secret: it was drawn, not typed.
const FEWEST_DIFFERENT: usize = 8;

/// What whoever shows a secret may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything.
    #[default]
    Full,
    /// Subscribe and list.
    Watch,
    /// Publish.
    Answer,
}

impl Scope {
    /// The scope as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Watch => "watch",
            Self::Answer => "answer",
        }
    }
}

/// The SHA-256 of a secret: what is kept in its place.
///
/// A fast hash without salt is enough, because such secrets have 128 bits or more: nobody can try them all, and no two
/// are equal. Secrets that people make up would need a slow hash, which every request would pay for; [`check_strength`]
/// refuses them.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a secret.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Reads a hash as it is written down: `sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(SHA256)?.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| {
                char::from(digit)
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            };
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }

    /// Whether they are equal, in a time that tells nothing about where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other)
    }
}

impl Eq for SecretHash {}

/// The form that [`SecretHash::parse`] reads. Nothing about the secret can be read from it.
impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHA256)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// Whether a secret is long and mixed enough to be kept as a fast hash.
///
/// # Errors
/// What is wrong with it and what was expected; the secret is not repeated.
pub fn check_strength(secret: &str) -> Result<(), String> {
    let expected = "expected one that was drawn at random, as `switchboard server hash-secret --new` makes it";
    let length = secret.chars().count();
    if length < FEWEST_CHARACTERS {
        return Err(format!(
            "this secret has {length} characters, and whoever read its hash could find it: {FEWEST_CHARACTERS} are \
             needed, {expected}"
        ));
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "this secret holds blanks or characters that no header can carry, {expected}"
        ));
    }
    let mut different: Vec<u8> = secret.bytes().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < FEWEST_DIFFERENT {
        return Err(format!(
            "this secret repeats few characters, and whoever read its hash could find it, {expected}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = SecretHash::of(b"geheim");
        let text = hash.to_string();
        assert_eq!(
            text,
            "sha256:addb0f5e7826c857d7376d1bd9bc33c0c544790a2eac96144a8af22b1298c940"
        );
        assert_eq!(SecretHash::parse(&text), Some(hash));
        assert_eq!(
            SecretHash::parse(&text.to_uppercase().replace("SHA", "sha")),
            Some(hash)
        );
        assert_ne!(SecretHash::of(b"geheim "), hash);
        assert!(!format!("{hash:?}").contains("addb"));
        for wrong in [
            "",
            "sha256:",
            &text[7..],
            &text[..70],
            &format!("{text}0"),
            &text.replace("addb", "+ddb"),
            &text.replace("addb", "ü0b"),
        ] {
            assert_eq!(SecretHash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_that_a_person_made_up_is_refused_without_repeating_it() {
        for (secret, named) in [
            ("", "0 characters"),
            ("hunter2", "7 characters"),
            ("correct horse battery staple", "blanks"),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "few characters"),
            ("geheimgeheimgeheimgehéim", "no header"),
        ] {
            let message = check_strength(secret).expect_err(secret);
            assert!(message.contains(named), "{message}");
            assert!(secret.is_empty() || !message.contains(secret), "{message}");
        }
        for secret in ["0123456789abcdef0123456789abcdef", "sb_Zm9vYmFyYmF6cXV4cXV1eA"] {
            assert_eq!(check_strength(secret), Ok(()));
        }
    }
}
