//! The write path of a run: started, and finished for runs that ended without.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::AppError;
use super::stores::Stores;
use crate::commands::committer::{CommitOptions, Committer};
use crate::domain::event::Event;
use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;
use crate::projections::analytics_batch::Projection;
use crate::projections::catch_up::{CatchUp, ContentSweep};
use crate::projections::trending;
use crate::relay::outbound::OutboundRelay;
use crate::relay::publisher::Publisher;
use crate::relay::recorder;
use crate::settings::Settings;

/// How far back the first sweep looks when every earlier run ended in order.
pub(super) const SWEEP_OVERLAP: Duration = Duration::from_secs(60);

/// The tasks of the write path, in the order in which they end.
pub(super) struct WritePath {
    pub(super) committer: Arc<Committer>,
    publisher: Arc<Publisher>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts the write path of a run.
pub(super) fn start(settings: &Settings, stores: &Stores, incarnation: Incarnation) -> WritePath {
    let publisher = Arc::new(Publisher {
        broker: Arc::clone(&stores.broker),
        namespaces: Arc::clone(&stores.namespaces),
        inbox: Arc::clone(&stores.inbox),
        present: stores.present(),
        trending: Arc::clone(&stores.trending),
    });
    let (recorder, recording) = recorder::start(Arc::clone(&stores.ledger));
    let (outbound, relay) = OutboundRelay::new(
        Arc::clone(&publisher),
        Arc::clone(&stores.log),
        incarnation,
        recorder,
        settings.relay.queue_max_events,
        settings.relay.batch_max_events,
    );
    let relay = relay.measured(stores.metrics.relay.clone(), Arc::clone(&stores.clock));
    let options = CommitOptions {
        batch_max_events: settings.events.batch_max_events,
        batch_max_bytes: settings.events.batch_max_bytes,
        queue_max_events: settings.events.queue_max_events,
        queue_max_bytes: settings.events.queue_max_bytes,
        append_timeout: settings.events.append_timeout,
        relay_wait_timeout: settings.relay.wait_timeout,
    };
    let (log, metrics) = (Arc::clone(&stores.log), stores.metrics.commit.clone());
    let (committer, commit_loop) = Committer::new(log, outbound, incarnation, options, metrics);
    let tasks = vec![tokio::spawn(commit_loop.run()), tokio::spawn(relay.run()), recording];
    WritePath { committer: Arc::new(committer), publisher, tasks }
}

impl WritePath {
    /// Closes the entrance; the tasks end one after the other once each has
    /// finished what it was given.
    async fn close(self) -> Result<(), tokio::task::JoinError> {
        self.committer.close();
        for task in self.tasks {
            task.await?;
        }
        Ok(())
    }
}

/// The projection, as it is started beside the requests and run to its end when a run is over.
pub(super) fn projection(settings: &Settings, stores: &Stores) -> Projection {
    Projection {
        log: Arc::clone(&stores.log),
        analytics: Arc::clone(&stores.analytics),
        batch_max: settings.analytics.batch_max_events,
        metrics: stores.metrics.projection.clone(),
    }
}

/// Appends, relays and projects what earlier runs left, before anyone connects.
/// Returns until when documents were swept.
pub(super) async fn finish_earlier_runs(
    settings: &Settings,
    stores: &Stores,
    path: &WritePath,
    incarnation: Incarnation,
    since: Timestamp,
) -> Result<Timestamp, AppError> {
    let catch_up = CatchUp {
        log: Arc::clone(&stores.log),
        ledger: Arc::clone(&stores.ledger),
        publisher: Arc::clone(&path.publisher),
        projection: projection(settings, stores),
    };
    catch_up.finish_others(incarnation).await?;
    // Nobody else writes to an embedded store, so that no document is too young.
    let sweep = sweep(stores, Duration::ZERO);
    let until = sweep.run(since, |event| commit(&path.committer, event)).await?;
    trending::rebuild(&*stores.log, &*stores.trending, stores.clock.now()).await?;
    Ok(until)
}

/// Appends, relays and projects the rest of this run, so that the next start
/// finds nothing to finish.
pub(super) async fn finish_own_run(
    settings: &Settings,
    stores: &Stores,
    path: WritePath,
    incarnation: Incarnation,
) -> Result<(), AppError> {
    // A document whose commit failed would not be looked for after an orderly end.
    let since = stores.clock.now().minus(2 * SWEEP_OVERLAP);
    let sweep = sweep(stores, Duration::ZERO);
    let until = sweep.run(since, |event| commit(&path.committer, event)).await?;
    path.close().await?;
    projection(settings, stores).project_all(incarnation).await?;
    if until <= since {
        // The next start looks back to the beginning of this run, as after a crash.
        tracing::warn!("the log did not take every event; the next start finishes the rest");
        return Ok(());
    }
    Ok(stores.ledger.close_incarnation(incarnation).await?)
}

/// The sweep through documents that are at least `min_age` old.
pub(super) fn sweep(stores: &Stores, min_age: Duration) -> ContentSweep {
    let (content, log) = (Arc::clone(&stores.content), Arc::clone(&stores.log));
    ContentSweep { content, log, clock: Arc::clone(&stores.clock), min_age }
}

/// Commits an event; says whether it is durable now.
pub(super) async fn commit(committer: &Committer, event: Event) -> bool {
    committer.commit(event).await.is_ok()
}
