//! Keys of the server API that were good of late. There is no way to take one back, so that no change has to be
//! waited for.

use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use crate::domain::account::TokenHash;

/// So many keys are remembered; one more, and all are asked for again.
const KEYS_MAX: usize = 1_000;

/// Remembers keys on this node.
pub struct GoodKeys {
    ttl: Duration,
    until: DashMap<TokenHash, Instant>,
}

impl GoodKeys {
    /// Remembers each key for `ttl`; not at all if that is zero.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, until: DashMap::new() }
    }

    /// Whether the key was found good of late.
    pub fn holds(&self, key: &TokenHash) -> bool {
        self.until.get(key).is_some_and(|until| Instant::now() < *until)
    }

    /// The key was found good.
    pub fn add(&self, key: TokenHash) {
        if self.ttl.is_zero() {
            return;
        }
        if self.until.len() >= KEYS_MAX {
            self.until.clear();
        }
        self.until.insert(key, Instant::now() + self.ttl);
    }
}
