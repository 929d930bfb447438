//! Takeover: notices that a node is gone, and finishes its run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::catch_up::CatchUp;
use crate::domain::ids::Incarnation;
use crate::ports::StoreError;
use crate::ports::runs::{OpenRun, Runs};

/// Watches the runs of other nodes.
pub struct Takeover {
    /// Which runs there are.
    pub runs: Arc<dyn Runs>,
    /// Finishes those that are over.
    pub catch_up: CatchUp,
    /// The run of this node.
    pub own: Incarnation,
}

/// What was last seen of a run.
struct Seen {
    beat: u64,
    /// When that was seen first, by this node's own clock.
    since: Instant,
}

impl Takeover {
    /// Finishes all runs but this node's own. Only where no other node can live.
    pub async fn finish_all(&self) -> Result<(), StoreError> {
        for run in self.others().await? {
            self.catch_up.finish(run).await?;
        }
        Ok(())
    }

    /// Looks at all runs every `interval`, and finishes those that have shown no sign of life for `term`, until `stop`
    /// turns true.
    pub async fn run(self, interval: Duration, term: Duration, mut stop: watch::Receiver<bool>) {
        let mut seen = HashMap::new();
        while tokio::time::timeout(interval, stop.wait_for(|stop| *stop)).await.is_err() {
            if let Err(error) = self.look(&mut seen, term).await {
                tracing::warn!(%error, "could not look for nodes that are gone");
            }
        }
    }

    async fn look(
        &self,
        seen: &mut HashMap<Incarnation, Seen>,
        term: Duration,
    ) -> Result<(), StoreError> {
        let (runs, now) = (self.others().await?, Instant::now());
        seen.retain(|id, _| runs.iter().any(|run| run.cursor.incarnation == *id));
        for run in runs {
            let last =
                seen.entry(run.cursor.incarnation).or_insert(Seen { beat: run.beat, since: now });
            if last.beat != run.beat {
                *last = Seen { beat: run.beat, since: now };
            }
            if now.duration_since(last.since) < term {
                continue;
            }
            // One that cannot be finished now has a new beat, and so its time until it is tried again.
            if let Err(error) = self.catch_up.finish(run).await {
                let incarnation = run.cursor.incarnation;
                tracing::warn!(%error, %incarnation, "could not finish the run of a node that is gone");
            }
        }
        Ok(())
    }

    async fn others(&self) -> Result<Vec<OpenRun>, StoreError> {
        let runs = self.runs.all_open().await?.into_iter();
        Ok(runs.filter(|run| run.cursor.incarnation != self.own).collect())
    }
}
