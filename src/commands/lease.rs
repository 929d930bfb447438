//! The lease of this node's run: for as long as it is held, no other node finishes the run in its stead.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::runs::Runs;

/// Between attempts to renew a lease that has run out.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Keeps a run open and shows that it goes on.
///
/// Whoever else watches the run counts its term from when it saw the last beat, which is after this node began to make
/// it. So while the term since then has not passed here, it has passed nowhere. A node that was held up for longer
/// (a suspended machine, a partition) may find its run finished and closed by another; the next renewal opens it
/// again, and nothing is acknowledged before.
pub struct Lease {
    runs: Arc<dyn Runs>,
    run: Incarnation,
    term: Duration,
    held: Mutex<Held>,
    /// Milliseconds; what was swept before need not be looked through again.
    swept_until: AtomicI64,
}

#[derive(Clone, Copy)]
struct Held {
    until: Instant,
    beat: u64,
}

impl Lease {
    /// Opens the run and takes its lease for `term`.
    pub async fn open(
        runs: Arc<dyn Runs>,
        run: Incarnation,
        term: Duration,
        swept_until: Timestamp,
    ) -> Result<Self, StoreError> {
        runs.open(run, swept_until).await?;
        let held = Mutex::new(Held { until: Instant::now(), beat: 0 });
        let swept_until = AtomicI64::new(swept_until.as_millis());
        let lease = Self { runs, run, term, held, swept_until };
        lease.renew().await?;
        Ok(lease)
    }

    /// The run that it is the lease of.
    pub fn run(&self) -> Incarnation {
        self.run
    }

    /// Waits until the lease is held, which it is at once unless the node was held up.
    pub async fn assure(&self) {
        while self.held().until <= Instant::now() {
            match self.renew().await {
                Ok(()) => tracing::warn!("the lease of this run had run out; it is held again"),
                Err(error) => {
                    tracing::warn!(%error, "cannot renew the lease of this run; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    /// Notes that all documents older than `until` have their events in the log.
    pub fn swept(&self, until: Timestamp) {
        self.swept_until.fetch_max(until.as_millis(), Ordering::Relaxed);
    }

    /// Renews the lease every `interval` until `stop` turns true.
    pub async fn keep(self: Arc<Self>, interval: Duration, mut stop: watch::Receiver<bool>) {
        let mut failing = false;
        while tokio::time::timeout(interval, stop.wait_for(|stop| *stop)).await.is_err() {
            match self.renew().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "cannot renew the lease of this run");
                }
                Err(_) => {}
            }
        }
    }

    /// Closes the run as wholly finished; says whether it is. If another node took it over, that one closes it.
    pub async fn close(&self) -> Result<bool, StoreError> {
        let beat = self.held().beat;
        self.runs.close(self.run, beat).await
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        let swept_until = Timestamp::from_millis(self.swept_until.load(Ordering::Relaxed));
        let beat = self.runs.renew(self.run, swept_until).await?;
        let mut held = self.held();
        // Of two renewals at once the later beat counts, and the longer term.
        held.beat = held.beat.max(beat);
        held.until = held.until.max(began + self.term);
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::contract::model::ModelLog;
    use crate::adapters::contract::{at, incarnation};

    const TERM: Duration = Duration::from_secs(4);

    async fn lease(log: &Arc<ModelLog>) -> Lease {
        Lease::open(log.clone(), incarnation(1), TERM, at(0)).await.unwrap()
    }

    async fn beat(log: &ModelLog) -> Option<u64> {
        log.all_open().await.unwrap().first().map(|run| run.beat)
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_held_nothing_is_written() {
        let log = Arc::new(ModelLog::default());
        let lease = lease(&log).await;
        let first = beat(&log).await;
        tokio::time::advance(TERM - Duration::from_millis(1)).await;
        lease.assure().await;
        assert_eq!(beat(&log).await, first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_was_closed_meanwhile_is_open_again_before_anything_counts_on_it() {
        let log = Arc::new(ModelLog::default());
        let lease = lease(&log).await;
        let seen = beat(&log).await.unwrap();
        tokio::time::advance(TERM).await;
        assert!(log.close(incarnation(1), seen).await.unwrap());
        lease.assure().await;
        assert!(beat(&log).await.unwrap() > seen);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_kept_and_tells_how_far_documents_were_swept_until_it_is_closed() {
        let log = Arc::new(ModelLog::default());
        let lease = Arc::new(lease(&log).await);
        let (stop, stopping) = watch::channel(false);
        let keeping = tokio::spawn(Arc::clone(&lease).keep(TERM / 4, stopping));
        lease.swept(at(9));
        tokio::time::sleep(TERM * 3).await;
        let open = log.all_open().await.unwrap();
        assert!(open[0].beat >= 11, "{open:?}");
        assert_eq!(open[0].swept_until, at(9));
        stop.send_replace(true);
        keeping.await.unwrap();
        assert!(lease.close().await.unwrap());
        assert_eq!(beat(&log).await, None);
    }
}
