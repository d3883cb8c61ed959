//! Which account a secret belongs to, found in a time that tells nothing about the secrets.

use std::collections::HashSet;

use super::ServeError;
use super::options::{Account, AccountSecret};
use crate::hub::AccountId;
use crate::wire::{Scope, SecretHash};

/// The accounts of a server, by the hashes of their secrets.
pub(super) struct Accounts(Vec<(AccountId, AccountSecret)>);

impl Accounts {
    pub(super) fn new(accounts: &[Account]) -> Result<Self, ServeError> {
        let mut names = HashSet::new();
        let mut known: Vec<(AccountId, AccountSecret)> = Vec::new();
        for account in accounts {
            if account.name.is_empty() || account.secrets.is_empty() {
                return Err(ServeError::Accounts("one has no name or no secret".to_owned()));
            }
            if !names.insert(&account.name) {
                return Err(ServeError::Accounts(format!("two have the name {:?}", account.name)));
            }
            let id = AccountId::new(account.name.as_str());
            for secret in &account.secrets {
                if known.iter().any(|(_, other)| other.hash == secret.hash) {
                    return Err(ServeError::Accounts(format!(
                        "a secret of {:?} is given twice, or is another account's too",
                        account.name
                    )));
                }
                known.push((id.clone(), *secret));
            }
        }
        Ok(Self(known))
    }

    /// The account of a secret, and what it may do there. Every secret is looked at, whichever it is; hashes have one
    /// length, so not even the length of a secret shows.
    pub(super) fn of_secret(&self, secret: &[u8]) -> Option<(AccountId, Scope)> {
        let shown = SecretHash::of(secret);
        let mut found = None;
        for (account, known) in &self.0 {
            if known.hash.matches(&shown) {
                found = Some((account, known.scope));
            }
        }
        found.map(|(account, scope)| (account.clone(), scope))
    }
}
