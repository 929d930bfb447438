//! The event log as an audit reads it.

use async_trait::async_trait;

use crate::domain::event::{Event, Fact, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation, PostId};
use crate::ports::StoreError;
use crate::ports::event_log::LogCursor;

/// A run that ever was, and how far it was relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRun {
    /// The run, and the number up to which its events were relayed.
    pub cursor: LogCursor,
    /// Whether it was closed as wholly finished.
    pub is_closed: bool,
}

/// Reads the log across all runs. What it reads is durable.
#[async_trait]
pub trait LogAudit: Send + Sync {
    /// Events of all runs with an id after `after` and before `before` (both exclusive), by id, at most
    /// `limit`. Ids begin with the time at which they were minted; an event may be appended later than
    /// one with a greater id.
    async fn events_between(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreError>;

    /// The events with these ids that are there, each once, in no particular order.
    async fn find(&self, ids: &[EventId]) -> Result<Vec<LoggedEvent>, StoreError>;

    /// The events that say what became of a post itself (published, drafted, updated, removed), by the
    /// version that they brought.
    async fn story_of(&self, post: PostId) -> Result<Vec<Event>, StoreError>;

    /// All runs, closed ones as well, by id after `after` (exclusive), at most `limit`.
    async fn runs(
        &self,
        after: Option<Incarnation>,
        limit: usize,
    ) -> Result<Vec<KnownRun>, StoreError>;
}

/// The version of a post that an event brought, if it is one of those that tell what became of a post itself.
pub fn version_of(event: &Event) -> Option<u64> {
    match &event.fact {
        Fact::PostPublished(post) | Fact::PostDrafted(post) => Some(post.version),
        Fact::PostUpdated(change) | Fact::PostRemoved(change) => Some(change.post.version),
        _ => None,
    }
}
