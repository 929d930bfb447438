//! The event log: the truth about what happened, and where each event was relayed.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::channel::ChannelName;
use crate::domain::event::{Event, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation};
use crate::domain::publication::{Epoch, StreamPosition, Version};
use crate::domain::time::Timestamp;

use super::StoreError;

/// A relay that was not recorded within this time, counted from before it was asked for, is looked at once more: if its
/// epoch is over, nobody who recovers from that epoch may have been told of it, and it is relayed again.
pub const RECORDED_WITHIN: Duration = Duration::from_secs(1);

/// Some events of a batch are not known to be durable.
#[derive(Debug, thiserror::Error)]
#[error("{} events were not acknowledged: {cause}", pending.len())]
pub struct AppendError {
    /// The places in the batch of the events that were not acknowledged. All
    /// others are durable. Appending these again, with the same ids, is safe.
    pub pending: Vec<usize>,
    /// What the driver said.
    pub cause: String,
}

/// An event's place in the stream of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayRecord {
    /// The channel that it was published to.
    pub channel: ChannelName,
    /// Where in the channel's stream.
    pub position: StreamPosition,
    /// The event.
    pub event: EventId,
}

/// An event as one channel had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayedEvent {
    /// Where in the channel's stream.
    pub position: StreamPosition,
    /// What happened.
    pub event: Event,
}

/// The last version that events tell which one channel had, in their order; what was relayed succeeded what was before.
pub fn last_version(relayed: &[RelayedEvent]) -> Option<&Version> {
    let options = relayed.iter().rev().filter_map(|relayed| relayed.event.fact.publish_options());
    options.filter_map(|options| options.version.as_ref()).next()
}

/// How far the events of one incarnation have been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCursor {
    /// The run of a node.
    pub incarnation: Incarnation,
    /// Every event up to and including this number has been dealt with.
    pub seq: u64,
}

/// Appends events and reads them back.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends events. When this returns `Ok`, all of them survive the loss of
    /// power. An event whose id is in the log already counts as appended and
    /// keeps its first place, whatever number it carries now.
    ///
    /// One caller at a time per incarnation: numbers grow from call to call.
    async fn append(&self, batch: &[LoggedEvent]) -> Result<(), AppendError>;

    /// Events of the cursor's incarnation after its number, in the order of
    /// their numbers, at most `limit`. There may be more after fewer; there is none after none.
    async fn read_after(
        &self,
        cursor: LogCursor,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreError>;

    /// Events of the kinds that count for trending ([`COUNTED`](crate::domain::trending::COUNTED)),
    /// of all incarnations, with an id after `after` (exclusive), by id, at most `limit`. Ids
    /// begin with the time at which they were minted.
    async fn read_counted(&self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// Which of `ids` the log lacks.
    async fn missing(&self, ids: &[EventId]) -> Result<Vec<EventId>, StoreError>;
}

/// Records where events were relayed, and how far the relay of each run came. [`Runs`](super::runs::Runs) opens the
/// runs and lists their cursors.
#[async_trait]
pub trait RelayLedger: Send + Sync {
    /// Records relays and advances a cursor, both or neither. A record that is
    /// there already stays as it is. A cursor never moves back.
    async fn record(&self, relays: &[RelayRecord], cursor: LogCursor) -> Result<(), StoreError>;

    /// The recorded relays of a channel after `since`, by epoch, then offset, at
    /// most `limit`. `since` itself need not be recorded.
    async fn relayed_after(
        &self,
        channel: &ChannelName,
        since: &StreamPosition,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError>;

    /// The latest events relayed on a channel that happened at `not_before` or later, each once (at
    /// its last recorded place), oldest first, at most `limit`.
    async fn latest_relayed(
        &self,
        channel: &ChannelName,
        not_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError>;

    /// Counts one more run and returns its number: greater than any that was ever
    /// returned before, even after the loss of power.
    async fn count_run(&self) -> Result<u32, StoreError>;

    /// The last epoch in which anything was recorded, on any channel.
    async fn last_epoch(&self) -> Result<Option<Epoch>, StoreError>;
}
