//! Which account a secret belongs to, found in a time that tells nothing about the secrets.

use std::collections::HashSet;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::ServeError;
use super::options::Account;
use crate::hub::AccountId;

/// The accounts of a server, by the digests of their secrets.
pub(super) struct Accounts(Vec<(AccountId, [u8; 32])>);

impl Accounts {
    pub(super) fn new(accounts: &[Account]) -> Result<Self, ServeError> {
        let mut names = HashSet::new();
        let mut secrets = HashSet::new();
        for account in accounts {
            if account.name.is_empty() || account.secret.is_empty() {
                return Err(ServeError::Accounts("a name or a secret is empty".to_owned()));
            }
            if !names.insert(&account.name) {
                return Err(ServeError::Accounts(format!("two have the name {:?}", account.name)));
            }
            if !secrets.insert(&account.secret) {
                return Err(ServeError::Accounts("two have the same secret".to_owned()));
            }
        }
        let digest = |account: &Account| {
            let id = AccountId::new(account.name.as_str());
            (id, Sha256::digest(account.secret.as_bytes()).into())
        };
        Ok(Self(accounts.iter().map(digest).collect()))
    }

    /// The account of a secret. Every account is looked at, whichever it is; digests have one length,
    /// so not even the length of a secret shows.
    pub(super) fn of_secret(&self, secret: &[u8]) -> Option<AccountId> {
        let shown: [u8; 32] = Sha256::digest(secret).into();
        let mut found = None;
        for (account, digest) in &self.0 {
            if bool::from(digest.ct_eq(&shown)) {
                found = Some(account.clone());
            }
        }
        found
    }
}
