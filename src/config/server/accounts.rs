//! `[server.accounts.NAME]`: who may use the server, by hashes of secrets.

use std::ops::Range;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use toml::Spanned;

use crate::config::Secret;
use crate::wire::{Scope, SecretHash};

/// The longest name of an account, in characters.
const LONGEST_NAME: usize = 64;

/// One account: its channels and runs are its own, whichever of its secrets is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountConfig {
    /// What its requests may show.
    pub secrets: Vec<AccountSecretConfig>,
}

/// One secret of an account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSecretConfig {
    /// What is kept of it.
    #[serde(deserialize_with = "hash")]
    pub hash: Spanned<SecretHash>,
    /// What whoever shows it may do.
    #[serde(default)]
    pub scope: Scope,
    /// Who has it, for people.
    #[serde(default)]
    pub name: Option<String>,
}

pub(super) fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<SecretHash>, D::Error> {
    // A secret that was put here by mistake is not repeated.
    let text = Spanned::<Secret>::deserialize(deserializer)?;
    let hash = SecretHash::parse(text.get_ref().expose()).ok_or_else(|| {
        D::Error::custom(
            "this is not the hash of a secret, expected one such as \"sha256:…\" that `switchboard server hash-secret` \
             prints",
        )
    })?;
    Ok(Spanned::new(text.span(), hash))
}

/// Checks names and secrets over all accounts; says where and what is wrong.
pub(in crate::config) fn check(
    accounts: &IndexMap<Spanned<String>, AccountConfig>,
) -> Result<(), (Range<usize>, String)> {
    let mut known: Vec<(&str, &SecretHash)> = Vec::new();
    for (name, account) in accounts {
        let text = name.get_ref().as_str();
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(usual) {
            return Err((
                name.span(),
                format!(
                    "{text:?} is no name of an account, expected letters, digits, `-`, `_` and `.`, at most {LONGEST_NAME}"
                ),
            ));
        }
        if account.secrets.is_empty() {
            return Err((
                name.span(),
                format!(
                    "account `{text}` has no secret, so nobody could use it, expected secrets = [{{ hash = \"sha256:…\" }}]"
                ),
            ));
        }
        for secret in &account.secrets {
            if let Some((other, _)) = known.iter().find(|(_, hash)| *hash == secret.hash.get_ref()) {
                return Err((
                    secret.hash.span(),
                    format!("account `{other}` has this secret already, expected another one for each"),
                ));
            }
            known.push((text, secret.hash.get_ref()));
        }
    }
    Ok(())
}
