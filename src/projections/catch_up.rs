//! Catch-up: finishes what a node that is gone had begun.

use std::sync::Arc;
use std::time::Duration;

use super::analytics_batch::Projection;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, Incarnation};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::content::Content;
use crate::ports::event_log::{EventLog, LogCursor, RelayLedger};
use crate::relay::publisher::Publisher;

/// Events read from the log, or from documents, at once.
const BATCH_MAX: usize = 512;
/// How far before the last sweep the next one begins: a document may be written
/// this much later than its event was minted.
const SWEEP_OVERLAP: Duration = Duration::from_secs(60);

/// Finishes the relay and the projection of incarnations that are over.
pub struct CatchUp {
    /// Where the events are.
    pub log: Arc<dyn EventLog>,
    /// Where their relay is recorded.
    pub ledger: Arc<dyn RelayLedger>,
    /// Relays what was not.
    pub publisher: Arc<Publisher>,
    /// Projects what was not.
    pub projection: Projection,
}

impl CatchUp {
    /// Relays and projects what incarnations other than `own` left behind, and closes them.
    pub async fn finish_others(&self, own: Incarnation) -> Result<(), StoreError> {
        for cursor in self.ledger.open_cursors().await? {
            if cursor.incarnation == own {
                continue;
            }
            let relayed = self.finish_relay(cursor).await?;
            let projected = self.projection.project_all(cursor.incarnation).await?;
            self.ledger.close_incarnation(cursor.incarnation).await?;
            tracing::info!(incarnation = %cursor.incarnation, relayed, projected, "finished an earlier run");
        }
        Ok(())
    }

    async fn finish_relay(&self, mut cursor: LogCursor) -> Result<usize, StoreError> {
        let mut count = 0;
        loop {
            let batch = self.log.read_after(cursor, BATCH_MAX).await?;
            let Some(last) = batch.last() else {
                return Ok(count);
            };
            let (_, records) =
                self.publisher.publish(batch.iter().map(|logged| &logged.event)).await?;
            cursor.seq = last.seq;
            self.ledger.record(&records, cursor).await?;
            count += batch.len();
        }
    }
}

/// Appends events that a document embeds but the log lacks: a crash came
/// between the two, and no retry did it.
pub struct ContentSweep {
    /// Where the documents are.
    pub content: Arc<dyn Content>,
    /// What must have their events.
    pub log: Arc<dyn EventLog>,
    /// Dates the sweep.
    pub clock: Arc<dyn Clock>,
    /// Documents younger than this may still be on their way.
    pub min_age: Duration,
}

impl ContentSweep {
    /// Looks through documents written since `since`, and hands the events that
    /// the log lacks to `commit`, which says whether they are durable now. Returns where the next sweep begins.
    pub async fn run<F: Future<Output = bool>>(
        &self,
        since: Timestamp,
        commit: impl Fn(Event) -> F,
    ) -> Result<Timestamp, StoreError> {
        let until = self.clock.now().minus(self.min_age);
        let (mut after, before) =
            (EventId::from_parts(since, [0; 10]), EventId::from_parts(until, [0; 10]));
        loop {
            let events = self.content.embedded_events(after, before, BATCH_MAX).await?;
            let Some(last) = events.last() else {
                return Ok(until.minus(SWEEP_OVERLAP));
            };
            after = last.id;
            let ids: Vec<_> = events.iter().map(|event| event.id).collect();
            let missing = self.log.missing(&ids).await?;
            for event in events.into_iter().filter(|event| missing.contains(&event.id)) {
                tracing::info!(event = %event.id, "an event was found in its document only");
                if !commit(event).await {
                    return Ok(since);
                }
            }
        }
    }
}
