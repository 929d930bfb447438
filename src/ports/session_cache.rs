//! Sessions as they were read of late, for whoever must not ask `Accounts` each time.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::account::{SignedIn, TokenHash};

/// A session as `Accounts` had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedSession {
    /// The session and its account.
    pub signed_in: SignedIn,
    /// Every change of accounts up to this number had been read by the node that asked `Accounts`,
    /// before it asked. Of later changes the entry may know nothing.
    pub known: u64,
}

/// Keeps sessions for a while. All of it may be lost at any time, and what is kept may be out of date:
/// whoever reads an entry judges by its number whether to believe it.
///
/// An entry is returned whole, or not at all. What another version wrote, and cannot be read, counts as
/// lost. A call ends in bounded time, and while the store is away most calls fail at once.
#[async_trait]
pub trait SessionCache: Send + Sync {
    /// The entry of the session with this token, unless its time is over.
    async fn get(&self, token: &TokenHash) -> Result<Option<CachedSession>, StoreError>;

    /// Keeps `session` under its token for `ttl`, in place of what was kept there.
    async fn put(&self, session: &CachedSession, ttl: Duration) -> Result<(), StoreError>;

    /// Forgets what is kept under this token, if there is anything.
    async fn remove(&self, token: &TokenHash) -> Result<(), StoreError>;
}
