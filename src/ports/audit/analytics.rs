//! The analytics as an audit reads them and puts them right.

use async_trait::async_trait;

use crate::domain::event::LoggedEvent;
use crate::domain::ids::{EventId, UserId};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;

/// What the projection knows of one event, without what the event carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interaction {
    /// The event.
    pub event: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// What kind of event it is.
    pub kind: String,
    /// Who did it.
    pub user: Option<UserId>,
    /// What it happened to.
    pub subject: String,
}

/// An event that could not be projected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub event: EventId,
    /// Why.
    pub reason: String,
}

/// Reads the projected events one by one.
#[async_trait]
pub trait ProjectionAudit: Send + Sync {
    /// What is known of these events, each with the time at which it happened. One that is there with
    /// another time is left out.
    async fn interactions(
        &self,
        events: &[(EventId, Timestamp)],
    ) -> Result<Vec<Interaction>, StoreError>;

    /// All that is known, by event and time, after `after` (exclusive) and of events with an id before
    /// `before` (exclusive), at most `limit`.
    async fn interactions_between(
        &self,
        after: (EventId, Timestamp),
        before: EventId,
        limit: usize,
    ) -> Result<Vec<Interaction>, StoreError>;

    /// Takes out what is known of events at these times; counts stay as they are.
    async fn take_out(&self, interactions: &[(EventId, Timestamp)]) -> Result<(), StoreError>;

    /// The events that were set aside, by id, after `after` (exclusive), at most `limit`.
    async fn dead_letters(
        &self,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// Which of these events were set aside.
    async fn dead_among(&self, events: &[EventId]) -> Result<Vec<EventId>, StoreError>;

    /// Forgets that events were set aside.
    async fn forget_dead_letters(&self, events: &[EventId]) -> Result<(), StoreError>;

    /// Empties the projection: interactions, counts, tables for joins, dead letters and cursors, all at
    /// once. Batches that are written meanwhile are wholly before it or wholly after.
    async fn clear(&self) -> Result<(), StoreError>;
}

/// A count that is not what the interactions make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miscount {
    /// What is counted, such as `post 692030d97d3a000001a1b2c3 2026-11-21 post.liked`.
    pub what: String,
    /// The count that is kept; `None` if none is.
    pub kept: Option<i64>,
    /// How many there are.
    pub counted: Option<i64>,
}

/// Counts that are wrong: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Miscounts {
    /// How many there are.
    pub found: u64,
    /// The first ones.
    pub examples: Vec<Miscount>,
}

/// Compares counts and tables for joins with the projected events. As a batch adds to all of them in one
/// transaction, and each answer is of one moment, nothing is in flight here.
#[async_trait]
pub trait AggregateAudit: Send + Sync {
    /// The first day at or after `from`, in days since the Unix epoch, of which anything is known or
    /// counted; from the beginning if `None`.
    async fn next_day(&self, from: Option<i32>) -> Result<Option<i32>, StoreError>;

    /// Compares what is counted of posts and of users on a day, with at most `examples` of what is wrong.
    async fn miscounts_of(&self, day: i32, examples: usize) -> Result<Miscounts, StoreError>;

    /// Counts a day again.
    async fn recount_day(&self, day: i32) -> Result<(), StoreError>;

    /// Compares how many events of each kind were counted and are there.
    async fn miscounted_totals(&self) -> Result<Miscounts, StoreError>;

    /// Puts the totals of each kind right. As the events do not say of which run they are, what was wrong
    /// is booked under the run whose id is all zeroes.
    async fn recount_totals(&self) -> Result<(), StoreError>;

    /// What the tables for joins (users, posts, follows) do not know of these events, in words: rows that
    /// are missing, are of an earlier event, or are of one of these and say something else.
    async fn outdated_rows(&self, events: &[LoggedEvent]) -> Result<Vec<String>, StoreError>;

    /// Brings the tables for joins up to these events; rows of later events stay as they are.
    async fn refresh_rows(&self, events: &[LoggedEvent]) -> Result<(), StoreError>;

    /// Rows of the tables for joins that refer to an event that is not there, in words, at most `limit`.
    async fn unfounded_rows(&self, limit: usize) -> Result<Vec<String>, StoreError>;
}
