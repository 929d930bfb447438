//! Sessions of late, in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::domain::account::TokenHash;
use crate::ports::StoreError;
use crate::ports::session_cache::{CachedSession, SessionCache};

/// How many entries a generation holds. An entry takes some hundred bytes, of which a client chooses at most 255.
const GENERATION_MAX: usize = 10_000;

/// Keeps at most two generations of entries: once the younger is full, the older is forgotten.
pub struct MemorySessionCache {
    kept: Mutex<Generations>,
    generation_max: usize,
}

#[derive(Default)]
struct Generations {
    younger: HashMap<TokenHash, Kept>,
    older: HashMap<TokenHash, Kept>,
}

struct Kept {
    session: Arc<CachedSession>,
    until: Instant,
}

impl Default for MemorySessionCache {
    fn default() -> Self {
        Self { kept: Mutex::default(), generation_max: GENERATION_MAX }
    }
}

impl MemorySessionCache {
    /// A cache whose generations hold `generation_max` entries.
    #[cfg(test)]
    pub(super) fn holding(generation_max: usize) -> Self {
        Self { generation_max, ..Self::default() }
    }

    /// How many entries are held.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let kept = self.lock();
        kept.younger.len() + kept.older.len()
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, token: &TokenHash) -> Option<Arc<CachedSession>> {
        let kept = self.lock();
        let found = kept.younger.get(token).or_else(|| kept.older.get(token))?;
        (found.until > Instant::now()).then(|| Arc::clone(&found.session))
    }
}

#[async_trait]
impl SessionCache for MemorySessionCache {
    async fn get(&self, token: &TokenHash) -> Result<Option<CachedSession>, StoreError> {
        // What it holds is copied after the lock was let go.
        Ok(self.find(token).map(|session| CachedSession::clone(&session)))
    }

    async fn put(&self, session: &CachedSession, ttl: Duration) -> Result<(), StoreError> {
        let token = session.signed_in.session.token;
        let fresh = Kept { session: Arc::new(session.clone()), until: Instant::now() + ttl };
        let mut kept = self.lock();
        kept.older.remove(&token);
        if kept.younger.len() >= self.generation_max && !kept.younger.contains_key(&token) {
            kept.older = std::mem::take(&mut kept.younger);
        }
        kept.younger.insert(token, fresh);
        Ok(())
    }

    async fn remove(&self, token: &TokenHash) -> Result<(), StoreError> {
        let mut kept = self.lock();
        kept.younger.remove(token);
        kept.older.remove(token);
        Ok(())
    }
}
