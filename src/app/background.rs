//! What runs beside the requests: projection, sweep, trending, purges.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::stores::Stores;
use super::write_path::{WritePath, found, is_shared, projection, sweep, takeover};
use crate::commands::committer::Committer;
use crate::commands::lease::Lease;
use crate::commands::recounts::Recounts;
use crate::domain::time::Timestamp;
use crate::projections::catch_up::{ContentSweep, SWEEP_OVERLAP};
use crate::projections::trending::{self, TrendingPublisher};
use crate::settings::Settings;

/// Between purges of old idempotency keys and sessions.
const PURGE_INTERVAL: Duration = Duration::from_secs(600);
/// How long a session is kept after its end, so that its token is known to have expired.
const ENDED_SESSION_TTL: Duration = Duration::from_secs(24 * 3_600);

/// How far before its last look a sweep looks again, in most rounds.
const RECENT: Duration = Duration::from_secs(2);
/// Every so many sweeps one looks back as far as a document may be late.
const ROUNDS_A_LONG_SWEEP: u32 = 30;

/// What runs beside the requests.
pub(super) struct Background {
    pub(super) stopping: watch::Sender<bool>,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Asks the tasks to end and waits for them.
    pub(super) async fn stop(self) -> Result<(), tokio::task::JoinError> {
        self.stopping.send_replace(true);
        for task in self.tasks {
            task.await?;
        }
        Ok(())
    }
}

/// Starts what runs beside the requests.
pub(super) fn start(settings: &Settings, stores: &Stores, path: &WritePath) -> Background {
    let (stopping, stop) = watch::channel(false);
    let telling = trending_publisher(settings, stores).run(stop.clone());
    let (run, committed) = (path.lease.run(), path.committer.committed_through());
    let interval = settings.analytics.interval;
    let projecting = projection(settings, stores).run(run, committed, interval, stop.clone());
    let (sweep, interval) =
        (sweep(stores, settings.content.sweep_age), settings.content.sweep_interval);
    let of_run = (Arc::clone(&path.committer), Arc::clone(&path.recounts), Arc::clone(&path.lease));
    let sweeping = sweep_on(sweep, interval, of_run, path.swept_until, stop.clone());
    let (keys, clock, ttl) =
        (Arc::clone(&stores.keys), Arc::clone(&stores.clock), settings.idempotency.ttl);
    let control = Arc::clone(&stores.control);
    let mut stop_purging = stop.clone();
    let purging = async move {
        while tokio::time::timeout(PURGE_INTERVAL, stop_purging.wait_for(|stop| *stop))
            .await
            .is_err()
        {
            if let Err(error) = keys.purge(clock.now().minus(ttl)).await {
                tracing::warn!(%error, "could not purge old idempotency keys");
            }
            if let Err(error) = control.purge_sessions(clock.now().minus(ENDED_SESSION_TTL)).await {
                tracing::warn!(%error, "could not purge old sessions");
            }
        }
    };
    let mut tasks = vec![tokio::spawn(projecting), tokio::spawn(sweeping), tokio::spawn(purging)];
    tasks.push(tokio::spawn(telling));
    let (log, tallies) = (Arc::clone(&stores.log), Arc::clone(&stores.trending));
    let clock = Arc::clone(&stores.clock);
    tasks.push(tokio::spawn(trending::keep_whole(log, tallies, clock, stop.clone())));
    if is_shared(settings) {
        let (interval, term) = (settings.events.lease_interval, settings.events.lease_term);
        tasks.push(tokio::spawn(takeover(settings, stores, path).run(interval, term, stop)));
    }
    Background { stopping, tasks }
}

/// Looks for documents whose event the log lacks, until `stop` turns true. Most rounds look at what is new and a little
/// before; now and then one goes back as far as a document may be late.
async fn sweep_on(
    sweep: ContentSweep,
    interval: Duration,
    (committer, recounts, lease): (Arc<Committer>, Arc<Recounts>, Arc<Lease>),
    mut since: Timestamp,
    mut stop: watch::Receiver<bool>,
) {
    let mut recent = since;
    let mut rounds = 0_u32;
    while tokio::time::timeout(interval, stop.wait_for(|stop| *stop)).await.is_err() {
        let is_long = rounds.is_multiple_of(ROUNDS_A_LONG_SWEEP);
        let from = if is_long { since } else { since.max(recent) };
        match sweep.run(from, |event| found(&committer, &recounts, event)).await {
            Ok(Some(until)) => {
                rounds += 1;
                recent = until.minus(RECENT);
                if is_long {
                    since = until.minus(SWEEP_OVERLAP);
                    lease.swept(since);
                }
            }
            Ok(None) => rounds = 0,
            Err(error) => tracing::warn!(%error, "could not look for events that the log lacks"),
        }
        recounts.run().await;
    }
}

fn trending_publisher(settings: &Settings, stores: &Stores) -> TrendingPublisher {
    TrendingPublisher {
        trending: Arc::clone(&stores.trending),
        content: Arc::clone(&stores.content),
        broker: Arc::clone(&stores.broker),
        clock: Arc::clone(&stores.clock),
        entropy: Arc::clone(&stores.entropy),
        namespaces: Arc::clone(&stores.namespaces),
        interval: settings.trending.interval,
        limit: settings.trending.list_size,
    }
}
