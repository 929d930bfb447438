//! Makes anew what follows from the log: the analytics, the trending tallies. Counts of documents are those of an
//! [`audit`](super::audit).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::analytics_batch::Projection;
use super::trending;
use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::audit::analytics::ProjectionAudit;
use crate::ports::audit::log::LogAudit;
use crate::ports::audit::trending::ClearTrending;
use crate::ports::event_log::{EventLog, LogCursor};
use crate::ports::trending::Trending;

/// How many runs are read at once.
const PAGE_MAX: usize = 500;

/// How often a rebuild waits for runs to be relayed.
const ROUNDS_MAX: usize = 20;

/// Empties the analytics and projects the whole log again.
pub struct AnalyticsRebuild {
    /// Which runs there were.
    pub log: Arc<dyn LogAudit>,
    /// What is emptied.
    pub projected: Arc<dyn ProjectionAudit>,
    /// Projects.
    pub projection: Projection,
    /// How long a node may take to project a batch that it has read.
    pub settle: Duration,
}

impl AnalyticsRebuild {
    /// Returns how many events were projected.
    ///
    /// Nodes may go on beside it: what one of them projects meanwhile is there once, as every event is. A node goes on
    /// from its cursor. It begins anew where that was cleared; but if it was about to write a batch, the cursor is
    /// there again and stands behind that batch. So each run is projected from its first event to where its cursor
    /// is then, and if it is open only as far as it was relayed: above that, events may be seen before their
    /// predecessors.
    pub async fn run(&self) -> Result<u64, StoreError> {
        self.projected.clear().await?;
        let mut done = HashMap::new();
        let mut count = self.project(&mut done).await?;
        tokio::time::sleep(self.settle).await;
        let goal = self.projection.analytics.cursors().await?;
        for _ in 0..ROUNDS_MAX {
            count += self.project(&mut done).await?;
            let reached = |cursor: &LogCursor| {
                done.get(&cursor.incarnation).is_none_or(|done| *done >= cursor.seq)
            };
            if goal.iter().all(reached) {
                return Ok(count);
            }
            tokio::time::sleep(self.settle).await;
        }
        tracing::warn!("not all runs were relayed; `carillon audit --repair` projects the rest");
        Ok(count)
    }

    /// Projects all runs from where they are `done`, and notes how far they are then.
    async fn project(&self, done: &mut HashMap<Incarnation, u64>) -> Result<u64, StoreError> {
        let (mut count, mut after) = (0, None);
        loop {
            let runs = self.log.runs(after, PAGE_MAX).await?;
            let Some(last) = runs.last() else { return Ok(count) };
            after = Some(last.cursor.incarnation);
            for run in runs {
                let through = if run.is_closed { u64::MAX } else { run.cursor.seq };
                let incarnation = run.cursor.incarnation;
                let done = done.entry(incarnation).or_insert(0);
                if *done < through {
                    count += self.projection.project_again(incarnation, *done, through).await?;
                    *done = through;
                }
            }
        }
    }
}

/// Clears the trending tallies and counts the log again; returns how many interactions were counted.
///
/// Nodes may go on beside it, and count what happens; a node that finds that something is missing counts the log
/// as well, which changes nothing.
pub async fn trending_tallies(
    log: &dyn EventLog,
    trending: &dyn Trending,
    tallies: &dyn ClearTrending,
    now: Timestamp,
) -> Result<usize, StoreError> {
    tallies.clear().await?;
    // Whoever declared them whole may have begun before they were cleared.
    trending::recount(log, trending, now).await
}
