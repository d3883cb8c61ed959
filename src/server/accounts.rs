//! Which account a secret belongs to, found in a time that tells nothing about the secrets.

use std::collections::HashSet;
use std::sync::Arc;

use super::ServeError;
use super::limits::{Rate, Requests};
use super::options::{Account, AccountSecret};
use crate::hub::AccountId;
use crate::wire::{Scope, SecretHash};

/// The accounts of a server, by the hashes of their secrets.
pub(super) struct Accounts(Vec<(Arc<Known>, AccountSecret)>);

/// An account, whichever of its secrets was shown.
pub(super) struct Known {
    pub(super) id: AccountId,
    /// Its requests, when they are bounded.
    pub(super) requests: Option<Requests>,
}

impl Accounts {
    pub(super) fn new(accounts: &[Account], rate: Option<Rate>) -> Result<Self, ServeError> {
        let mut names = HashSet::new();
        let mut known: Vec<(Arc<Known>, AccountSecret)> = Vec::new();
        for account in accounts {
            if account.name.is_empty() || account.secrets.is_empty() {
                return Err(ServeError::Accounts("one has no name or no secret".to_owned()));
            }
            if !names.insert(&account.name) {
                return Err(ServeError::Accounts(format!("two have the name {:?}", account.shown())));
            }
            let this = Arc::new(Known {
                id: AccountId::new(account.name.as_str()),
                requests: rate.map(Requests::new),
            });
            for secret in &account.secrets {
                if known.iter().any(|(_, other)| other.hash == secret.hash) {
                    return Err(ServeError::Accounts(format!(
                        "a secret of {:?} is given twice, or is another account's too",
                        account.shown()
                    )));
                }
                known.push((Arc::clone(&this), *secret));
            }
        }
        Ok(Self(known))
    }

    /// The account of a secret, and what it may do there. Every secret is looked at, whichever it is; hashes have one
    /// length, so not even the length of a secret shows.
    pub(super) fn of_secret(&self, secret: &[u8]) -> Option<(&Known, Scope)> {
        let shown = SecretHash::of(secret);
        let mut found = None;
        for (account, known) in &self.0 {
            if known.hash.matches(&shown) {
                found = Some((&**account, known.scope));
            }
        }
        found
    }
}
