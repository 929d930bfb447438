//! What runs beside the requests: projection, sweep, trending, purges.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::stores::Stores;
use super::write_path::{WritePath, commit, projection, sweep};
use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;
use crate::projections::trending::TrendingPublisher;
use crate::settings::Settings;

/// Between purges of old idempotency keys and sessions.
const PURGE_INTERVAL: Duration = Duration::from_secs(600);
/// How long a session is kept after its end, so that its token is known to have expired.
const ENDED_SESSION_TTL: Duration = Duration::from_secs(24 * 3_600);

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
pub(super) fn start(
    settings: &Settings,
    stores: &Stores,
    path: &WritePath,
    incarnation: Incarnation,
    swept_until: Timestamp,
) -> Background {
    let (stopping, stop) = watch::channel(false);
    let trending = trending_publisher(settings, stores).run(stop.clone());
    let projecting =
        projection(settings, stores).run(incarnation, settings.analytics.interval, stop.clone());
    let sweep = sweep(stores, settings.content.sweep_age);
    let (committer, interval) = (Arc::clone(&path.committer), settings.content.sweep_interval);
    let mut stop_sweeping = stop.clone();
    let sweeping = async move {
        let mut since = swept_until;
        while tokio::time::timeout(interval, stop_sweeping.wait_for(|stop| *stop)).await.is_err() {
            match sweep.run(since, |event| commit(&committer, event)).await {
                Ok(until) => since = until,
                Err(error) => {
                    tracing::warn!(%error, "could not look for events that the log lacks")
                }
            }
        }
    };
    let (keys, clock, ttl) =
        (Arc::clone(&stores.keys), Arc::clone(&stores.clock), settings.idempotency.ttl);
    let control = Arc::clone(&stores.control);
    let mut stop_purging = stop;
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
    tasks.push(tokio::spawn(trending));
    Background { stopping, tasks }
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
