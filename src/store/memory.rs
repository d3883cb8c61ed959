//! A store that forgets everything when the process ends.
//!
//! Events live in the channel log anyway, so it keeps none a second time; nor does it keep runs, whose
//! state the server holds. It is what `Store` looks like with nothing behind it, for tests and benchmarks.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Recovered, Store, StoreError, Transaction};

/// Keeps nothing beyond the process: a commit always succeeds, and nothing is recovered.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryStore;

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, _transaction: Arc<Transaction>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn recover(&self, _forget_before: u64) -> Result<Recovered, StoreError> {
        Ok(Recovered::default())
    }

    async fn close(&self) {}
}
