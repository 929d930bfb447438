//! Tallies of interactions, from which the trending lists follow.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::domain::trending::{Ranked, Tally, TrendingItem, Window, list_of};

use super::StoreError;
use super::content::Content;

/// Whose turn it is to publish a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The caller's.
    Granted,
    /// Nobody's: this is the list that was last told.
    Told,
    /// Somebody's later: another list was told a moment ago.
    Later,
}

/// Counts interactions in buckets of time and ranks posts by them.
///
/// A bucket of `Window::bucket_millis` whose age is `n` buckets adds
/// `count * weight * 0.5^(n / h)`, where `h` is a third of the number of buckets
/// in the window; buckets older than the window add nothing
/// ([`Window::remains`]). So all adapters rank alike, and a list changes only
/// with an interaction or when a bucket ends.
///
/// What is too old for the time at which a window was last ranked may be
/// forgotten: time only goes on.
#[async_trait]
pub trait Trending: Send + Sync {
    /// Counts tallies. One whose event is among the latest that were counted, by id, is not
    /// counted again.
    async fn count(&self, tallies: &[(EventId, Tally)]) -> Result<(), StoreError>;

    /// The posts with the highest scores above 0, highest first, equal ones by id, latest first.
    async fn ranked(
        &self,
        window: Window,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Ranked>, StoreError>;

    /// Whether all that was counted since the tallies were declared whole is still there. Tallies that were never
    /// declared whole, or that a failover or a restart may have taken some of, are not.
    async fn is_whole(&self) -> Result<bool, StoreError>;

    /// Begins to count the log again; returns what [`Trending::declare_whole`] is to be told. What is there
    /// stays: an event that was counted is not counted again.
    async fn begin_recount(&self) -> Result<String, StoreError>;

    /// Declares the tallies whole, unless something was lost since `recount` began; says whether they are.
    async fn declare_whole(&self, recount: &str) -> Result<bool, StoreError>;

    /// Asks whether the caller is to publish the list of a window, which `digest` stands for: not if it was told
    /// already, and of all nodes one at most within `interval`.
    async fn turn(
        &self,
        window: Window,
        digest: &str,
        interval: Duration,
    ) -> Result<Turn, StoreError>;

    /// Notes that a list was published.
    async fn note_told(&self, window: Window, digest: &str) -> Result<(), StoreError>;
}

/// How many times as many posts are ranked as a list shows: some may not be published any more.
const CANDIDATES_PER_ITEM: usize = 3;

/// The posts to choose the list of a window from.
pub async fn candidates(
    trending: &dyn Trending,
    window: Window,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Ranked>, StoreError> {
    trending.ranked(window, now, limit.saturating_mul(CANDIDATES_PER_ITEM)).await
}

/// The list that `candidates` make: the published ones, at most `limit`.
pub async fn listed(
    candidates: &[Ranked],
    content: &dyn Content,
    limit: usize,
    explain: bool,
) -> Result<Vec<TrendingItem>, StoreError> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = candidates.iter().map(|ranked| ranked.post).collect();
    Ok(list_of(candidates, content.published(&ids).await?, limit, explain))
}
