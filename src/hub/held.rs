//! How much a hub holds: one total of bytes, to which everything that holds some adds its share.
//!
//! It only counts. Who takes nothing more when it is much is the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A total of bytes.
#[derive(Debug, Clone, Default)]
pub struct HeldBytes(Arc<AtomicU64>);

impl HeldBytes {
    /// How many there are now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A share of so many, as long as it lives.
    #[must_use]
    pub fn share(&self, bytes: usize) -> HeldShare {
        let mut share = HeldShare {
            total: self.clone(),
            bytes: 0,
        };
        share.set(bytes);
        share
    }
}

/// What one holder adds to the total.
#[derive(Debug)]
pub struct HeldShare {
    total: HeldBytes,
    bytes: u64,
}

impl HeldShare {
    /// It holds so many now.
    pub fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes as u64);
        if self.bytes > before {
            self.total.0.fetch_add(self.bytes - before, Ordering::Relaxed);
        } else {
            self.total.0.fetch_sub(before - self.bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for HeldShare {
    fn drop(&mut self) {
        self.set(0);
    }
}
