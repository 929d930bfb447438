//! The projection of the event log that questions are asked of.

use async_trait::async_trait;

use crate::domain::event::LoggedEvent;
use crate::domain::ids::Incarnation;

use super::StoreError;
use super::event_log::LogCursor;

/// Holds every event once, and what is counted from them.
#[async_trait]
pub trait Analytics: Send + Sync {
    /// How far each known incarnation has been projected.
    async fn cursors(&self) -> Result<Vec<LogCursor>, StoreError>;

    /// Inserts the events that are not there yet, counts exactly those, and
    /// advances the cursor: all of it or nothing. A cursor never moves back.
    async fn project(&self, batch: &[LoggedEvent], cursor: LogCursor) -> Result<(), StoreError>;

    /// Sets one event aside with the reason why it cannot be projected, and
    /// advances the cursor past it: both or neither.
    async fn set_aside(&self, event: &LoggedEvent, reason: &str) -> Result<(), StoreError>;

    /// How many events of each kind were projected, by kind.
    async fn totals(&self) -> Result<Vec<(String, u64)>, StoreError>;

    /// How many events of `incarnation` were projected or set aside.
    async fn projected(&self, incarnation: Incarnation) -> Result<u64, StoreError>;
}
