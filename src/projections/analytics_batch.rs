//! Projects the log into the analytics, batch by batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::watch;

use crate::domain::event::LoggedEvent;
use crate::domain::ids::Incarnation;
use crate::metrics::ProjectionMetrics;
use crate::ports::StoreError;
use crate::ports::analytics::Analytics;
use crate::ports::event_log::{EventLog, LogCursor};
use crate::ports::failpoint::Failpoints;

/// Between attempts while a store does not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The projection of one incarnation after the other.
pub struct Projection {
    /// Where the events are.
    pub log: Arc<dyn EventLog>,
    /// Where they go.
    pub analytics: Arc<dyn Analytics>,
    /// The most events in one batch.
    pub batch_max: usize,
    /// Where tests stop.
    pub failpoints: Failpoints,
    /// What is counted.
    pub metrics: ProjectionMetrics,
}

impl Projection {
    /// Projects all that the log holds of `incarnation`, whose node is gone or has appended its last; returns how
    /// many events.
    pub async fn project_all(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        self.project_through(incarnation, u64::MAX).await
    }

    /// Projects the events of `incarnation` up to the number `through`; returns how many. Above what is committed
    /// the log may show events before their predecessors, which the cursor would then pass over.
    async fn project_through(
        &self,
        incarnation: Incarnation,
        through: u64,
    ) -> Result<u64, StoreError> {
        let cursors = self.analytics.cursors().await?;
        let known = cursors.into_iter().find(|cursor| cursor.incarnation == incarnation);
        let cursor = known.unwrap_or(LogCursor { incarnation, seq: 0 });
        self.project_from(cursor, through).await
    }

    /// The same after the number `after`, wherever the cursor is. What was projected changes nothing.
    pub async fn project_again(
        &self,
        incarnation: Incarnation,
        after: u64,
        through: u64,
    ) -> Result<u64, StoreError> {
        self.project_from(LogCursor { incarnation, seq: after }, through).await
    }

    async fn project_from(&self, mut cursor: LogCursor, through: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        let mut batch = self.read(cursor, through).await?;
        while let Some(last) = batch.last() {
            cursor.seq = last.seq;
            if cursor.seq >= through {
                self.project(&batch).await?;
                return Ok(count + batch.len() as u64);
            }
            // One store reads the next batch while the other writes this one.
            let (projected, next) = join(self.project(&batch), self.read(cursor, through)).await;
            projected?;
            count += batch.len() as u64;
            batch = next?;
        }
        Ok(count)
    }

    async fn read(&self, after: LogCursor, through: u64) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut batch = self.log.read_after(after, self.batch_max).await?;
        batch.retain(|logged| logged.seq <= through);
        Ok(batch)
    }

    /// Projects what `incarnation` has `committed`, every `interval`, until `stopping`
    /// turns true; then once more. While nothing was committed, no store is asked.
    pub async fn run(
        self,
        incarnation: Incarnation,
        committed: Arc<AtomicU64>,
        interval: Duration,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut done = 0;
        loop {
            // An error means that whoever could say so is gone, which is an end as well.
            let last =
                tokio::time::timeout(interval, stopping.wait_for(|stop| *stop)).await.is_ok();
            let through = committed.load(Ordering::Acquire);
            if through > done {
                match self.project_through(incarnation, through).await {
                    Ok(_) => done = through,
                    Err(error) => {
                        tracing::warn!(%error, "the projection waits for a store");
                        if !last {
                            tokio::time::sleep(RETRY_DELAY).await;
                        }
                    }
                }
            }
            if last {
                return;
            }
        }
    }

    /// Projects a batch. One that fails for its content is halved until the
    /// event that is to blame is found, and that is set aside.
    async fn project(&self, batch: &[LoggedEvent]) -> Result<(), StoreError> {
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            let Some(last) = part.last() else { continue };
            let cursor = LogCursor { incarnation: last.incarnation, seq: last.seq };
            match self.analytics.project(part, cursor).await {
                Ok(()) => {
                    self.failpoints.reach("projection.committed").await;
                    self.metrics.projected(part.len());
                }
                Err(error @ StoreError::Unavailable { .. }) => return Err(error),
                Err(error) if part.len() == 1 => {
                    tracing::error!(%error, event = %last.event.id, "an event was set aside");
                    self.analytics.set_aside(last, &error.to_string()).await?;
                    self.metrics.set_aside();
                }
                Err(_) => {
                    let (front, back) = part.split_at(part.len() / 2);
                    parts.extend([back, front]);
                }
            }
        }
        Ok(())
    }
}
