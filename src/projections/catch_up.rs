//! Catch-up: finishes what a node that is gone had begun.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::analytics_batch::Projection;
use crate::domain::event::{Event, LoggedEvent};
use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::content::Content;
use crate::ports::event_log::{EventLog, LogCursor, RECORDED_WITHIN, RelayLedger};
use crate::ports::runs::{OpenRun, Runs};
use crate::relay::publisher::Publisher;

/// Events read from the log, or from documents, at once.
const BATCH_MAX: usize = 512;
/// A document may be written this much later than its event was minted: what was swept need not be looked through
/// again but for so long before its end.
pub const SWEEP_OVERLAP: Duration = Duration::from_secs(60);

/// Finishes the relay and the projection of runs that are over.
pub struct CatchUp {
    /// Which runs there are.
    pub runs: Arc<dyn Runs>,
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
    /// Relays and projects what a run left behind, and closes it. Says whether it did: a run that somebody else took
    /// before or meanwhile, or whose node came back, is left to them.
    ///
    /// A store that is away keeps the run open, but not the other store from getting what it should.
    pub async fn finish(&self, run: OpenRun) -> Result<bool, StoreError> {
        let incarnation = run.cursor.incarnation;
        let Some(mut beat) = self.runs.take(incarnation, run.beat).await? else {
            return Ok(false);
        };
        let relayed = self.finish_relay(run.cursor, &mut beat).await;
        let projected = self.projection.project_all(incarnation).await?;
        let Some(relayed) = relayed? else { return Ok(false) };
        let is_closed = self.runs.close(incarnation, beat).await?;
        if is_closed {
            tracing::info!(%incarnation, relayed, projected, "finished the run of a node that is gone");
        }
        Ok(is_closed)
    }

    /// Relays what a run did not, batch by batch, as long as the run is this node's to finish; `None` if it is not.
    async fn finish_relay(
        &self,
        mut cursor: LogCursor,
        beat: &mut u64,
    ) -> Result<Option<usize>, StoreError> {
        let mut count = 0;
        loop {
            let batch = self.log.read_after(cursor, BATCH_MAX).await?;
            let Some(last) = batch.last() else {
                return Ok(Some(count));
            };
            cursor.seq = last.seq;
            self.relay(&batch, cursor).await?;
            count += batch.len();
            match self.runs.take(cursor.incarnation, *beat).await? {
                Some(next) => *beat = next,
                None => return Ok(None),
            }
        }
    }

    /// Relays a batch until its records were written in time, or say what they said before (see [`RECORDED_WITHIN`]).
    async fn relay(&self, batch: &[LoggedEvent], cursor: LogCursor) -> Result<(), StoreError> {
        let mut recorded = None;
        loop {
            let asked_at = Instant::now();
            let events = batch.iter().map(|logged| &logged.event);
            let (_, records) = self.publisher.publish(events).await?;
            if recorded.as_ref() == Some(&records) {
                return Ok(());
            }
            self.ledger.record(&records, cursor).await?;
            if asked_at.elapsed() <= RECORDED_WITHIN {
                return Ok(());
            }
            recorded = Some(records);
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
    /// the log lacks to `commit`, which says whether they are durable now. Returns until when events were minted that
    /// were looked at; `None` if not all of them could be committed.
    pub async fn run<F: Future<Output = bool>>(
        &self,
        since: Timestamp,
        commit: impl Fn(Event) -> F,
    ) -> Result<Option<Timestamp>, StoreError> {
        let until = self.clock.now().minus(self.min_age);
        let (mut after, before) =
            (EventId::from_parts(since, [0; 10]), EventId::from_parts(until, [0; 10]));
        loop {
            let ids = self.content.embedded_ids(after, before, BATCH_MAX).await?;
            let Some(last) = ids.last() else {
                return Ok(Some(until));
            };
            after = *last;
            let missing = self.log.missing(&ids).await?;
            if missing.is_empty() {
                continue;
            }
            for event in self.content.embedded_events(&missing).await? {
                tracing::info!(event = %event.id, "an event was found in its document only");
                if !commit(event).await {
                    return Ok(None);
                }
            }
        }
    }
}
