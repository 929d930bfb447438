//! Sessions of late, of which only those are believed that lack no change of their account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::known_changes::KnownChanges;
use crate::domain::account::{SignedIn, TokenHash};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::session_cache::{CachedSession, SessionCache};

/// A cache of sessions. Whatever happens to it, it costs nothing but the question to `Accounts`.
pub struct CachedSessions {
    cache: Arc<dyn SessionCache>,
    known: Arc<KnownChanges>,
    ttl: Duration,
    is_failing: AtomicBool,
}

impl CachedSessions {
    /// Keeps sessions in `cache` for at most `ttl`, and judges them by `known`.
    pub fn new(cache: Arc<dyn SessionCache>, known: Arc<KnownChanges>, ttl: Duration) -> Self {
        Self { cache, known, ttl, is_failing: AtomicBool::new(false) }
    }

    /// The session with this token as it was of late. It may have expired meanwhile.
    pub async fn get(&self, token: &TokenHash) -> Option<SignedIn> {
        let found = self.heed(self.cache.get(token).await).flatten()?;
        let user = found.signed_in.user.id;
        self.known.is_current(user, found.known).then_some(found.signed_in)
    }

    /// Up to which change whoever reads a session now will find all of them made.
    pub fn mark(&self) -> u64 {
        self.known.through()
    }

    /// Keeps a session that was read after [`CachedSessions::mark`] had returned `mark`, and returns it.
    pub async fn put(&self, signed_in: SignedIn, mark: u64, now: Timestamp) -> SignedIn {
        let ttl = signed_in.session.expires_at.since(now).min(self.ttl);
        // What would not be believed here is worth nothing elsewhere, a moment later.
        if !ttl.is_zero() && self.known.is_current(signed_in.user.id, mark) {
            let entry = CachedSession { signed_in, known: mark };
            self.heed(self.cache.put(&entry, ttl).await);
            return entry.signed_in;
        }
        signed_in
    }

    /// Forgets a session, so that other nodes ask for it before they have read why.
    pub async fn forget(&self, token: &TokenHash) {
        self.heed(self.cache.remove(token).await);
    }

    /// What the cache answered; that it fails is said once.
    fn heed<T>(&self, answer: Result<T, StoreError>) -> Option<T> {
        match answer {
            Ok(value) => {
                if self.is_failing.load(Ordering::Relaxed)
                    && self.is_failing.swap(false, Ordering::Relaxed)
                {
                    tracing::info!("sessions are cached again");
                }
                Some(value)
            }
            Err(error) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "sessions cannot be cached; each is asked for");
                }
                None
            }
        }
    }
}
