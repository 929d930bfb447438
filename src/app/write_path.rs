//! The write path of a run: started, and finished for runs that ended without.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use super::AppError;
use super::stores::Stores;
use crate::commands::committer::{CommitOptions, Committer};
use crate::commands::lease::Lease;
use crate::commands::recounts::Recounts;
use crate::domain::event::Event;
use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;
use crate::projections::analytics_batch::Projection;
use crate::projections::catch_up::{CatchUp, ContentSweep, SWEEP_OVERLAP};
use crate::projections::takeover::Takeover;
use crate::projections::trending;
use crate::relay::outbound::OutboundRelay;
use crate::relay::publisher::Publisher;
use crate::relay::recorder::Recorder;
use crate::settings::{Settings, StoreUrl};

/// The tasks of the write path, in the order in which they end.
pub(super) struct WritePath {
    pub(super) committer: Arc<Committer>,
    /// Which counts a crash may have left wrong.
    pub(super) recounts: Arc<Recounts>,
    /// Shows the other nodes that this one lives.
    pub(super) lease: Arc<Lease>,
    /// Documents whose event was minted before this have it in the log.
    pub(super) swept_until: Timestamp,
    publisher: Arc<Publisher>,
    tasks: Vec<JoinHandle<()>>,
    keeping: JoinHandle<()>,
    stop_keeping: watch::Sender<bool>,
}

/// Opens a run and starts its write path.
pub(super) async fn start(settings: &Settings, stores: &Stores) -> Result<WritePath, AppError> {
    let incarnation = Incarnation::from_parts(stores.clock.now(), stores.entropy.bytes::<10>());
    let open = stores.runs.all_open().await?;
    // Every run looks through all documents, whoever wrote them: the one that came furthest counts.
    let swept_until = open.iter().map(|run| run.swept_until).max();
    let swept_until = swept_until.unwrap_or_else(|| stores.clock.now().minus(SWEEP_OVERLAP));
    let runs = Arc::clone(&stores.runs);
    let lease = Lease::open(runs, incarnation, settings.events.lease_term, swept_until).await?;
    let lease = Arc::new(lease);
    let (stop_keeping, stop) = watch::channel(false);
    let keeping = Arc::clone(&lease).keep(settings.events.lease_interval, stop);

    let publisher = Arc::new(Publisher {
        broker: Arc::clone(&stores.broker),
        namespaces: Arc::clone(&stores.namespaces),
        present: stores.present(),
        trending: Arc::clone(&stores.trending),
    });
    let recorder = Recorder {
        ledger: Arc::clone(&stores.ledger),
        log: Arc::clone(&stores.log),
        publisher: Arc::clone(&publisher),
    };
    let (recorder, recording) = recorder.start();
    let (outbound, relay) = OutboundRelay::new(
        Arc::clone(&publisher),
        Arc::clone(&stores.log),
        incarnation,
        recorder,
        settings.relay.queue_max_events,
        settings.relay.batch_max_events,
    );
    let relay = relay.measured(stores.metrics.relay.clone(), Arc::clone(&stores.clock));
    let relay = relay.stopping_at(stores.failpoints.clone());
    let (log, metrics) = (Arc::clone(&stores.log), stores.metrics.commit.clone());
    let (committer, commit_loop) =
        Committer::new(log, outbound, Arc::clone(&lease), commit_options(settings), metrics);
    let commit_loop = commit_loop.stopping_at(stores.failpoints.clone());
    let tasks = vec![tokio::spawn(commit_loop.run()), tokio::spawn(relay.run()), recording];
    Ok(WritePath {
        committer: Arc::new(committer),
        recounts: Arc::new(Recounts::new(Arc::clone(&stores.counts))),
        lease,
        swept_until,
        publisher,
        tasks,
        keeping: tokio::spawn(keeping),
        stop_keeping,
    })
}

fn commit_options(settings: &Settings) -> CommitOptions {
    CommitOptions {
        batch_max_events: settings.events.batch_max_events,
        batch_max_bytes: settings.events.batch_max_bytes,
        queue_max_events: settings.events.queue_max_events,
        queue_max_bytes: settings.events.queue_max_bytes,
        append_timeout: settings.events.append_timeout,
        relay_wait_timeout: settings.relay.wait_timeout,
    }
}

impl WritePath {
    /// Closes the entrance; the tasks end one after the other once each has
    /// finished what it was given. The lease is kept.
    async fn close(&mut self) -> Result<(), JoinError> {
        self.committer.close();
        for task in self.tasks.drain(..) {
            task.await?;
        }
        Ok(())
    }

    /// Keeps the lease no longer.
    async fn let_go(self) -> Result<Arc<Lease>, JoinError> {
        self.stop_keeping.send_replace(true);
        self.keeping.await?;
        Ok(self.lease)
    }
}

/// The projection, as it is started beside the requests and run to its end when a run is over.
pub(super) fn projection(settings: &Settings, stores: &Stores) -> Projection {
    Projection {
        log: Arc::clone(&stores.log),
        analytics: Arc::clone(&stores.analytics),
        batch_max: settings.analytics.batch_max_events,
        failpoints: stores.failpoints.clone(),
        metrics: stores.metrics.projection.clone(),
    }
}

/// What notices that other nodes are gone, and finishes their runs.
pub(super) fn takeover(settings: &Settings, stores: &Stores, path: &WritePath) -> Takeover {
    let catch_up = CatchUp {
        runs: Arc::clone(&stores.runs),
        log: Arc::clone(&stores.log),
        ledger: Arc::clone(&stores.ledger),
        publisher: Arc::clone(&path.publisher),
        projection: projection(settings, stores),
    };
    Takeover { runs: Arc::clone(&stores.runs), catch_up, own: path.lease.run() }
}

/// Whether other nodes may use the same log.
pub(super) fn is_shared(settings: &Settings) -> bool {
    matches!(settings.events.url, StoreUrl::Mongodb(_))
}

/// Appends, relays and projects what earlier runs left, before anyone connects. Where nodes share the log, those of
/// nodes that are gone are finished later: who lives is seen only in time.
pub(super) async fn finish_earlier_runs(
    settings: &Settings,
    stores: &Stores,
    path: &mut WritePath,
) -> Result<(), AppError> {
    let mut min_age = settings.content.sweep_age;
    if !is_shared(settings) {
        takeover(settings, stores, path).finish_all().await?;
        // Nobody else writes to an embedded store, so that no document is too young.
        min_age = Duration::ZERO;
    }
    let sweep = sweep(stores, min_age);
    let swept =
        sweep.run(path.swept_until, |event| found(&path.committer, &path.recounts, event)).await?;
    if let Some(until) = swept {
        path.swept_until = until.minus(SWEEP_OVERLAP);
    }
    trending::rebuild(&*stores.log, &*stores.trending, stores.clock.now()).await?;
    Ok(())
}

/// Appends, relays and projects the rest of this run, so that nobody finds anything to finish.
pub(super) async fn finish_own_run(
    settings: &Settings,
    stores: &Stores,
    mut path: WritePath,
) -> Result<(), AppError> {
    // A document whose commit failed would not be looked for after an orderly end.
    let since = stores.clock.now().minus(2 * SWEEP_OVERLAP);
    let sweep = sweep(stores, Duration::ZERO);
    let swept = sweep.run(since, |event| found(&path.committer, &path.recounts, event)).await?;
    path.recounts.run().await;
    path.close().await?;
    projection(settings, stores).project_all(path.lease.run()).await?;
    let lease = path.let_go().await?;
    if swept.is_none() {
        // Whoever takes the run over looks back to where it had swept, as after a crash.
        tracing::warn!("the log did not take every event; the next start finishes the rest");
        return Ok(());
    }
    lease.close().await?;
    Ok(())
}

/// The sweep through documents that are at least `min_age` old.
pub(super) fn sweep(stores: &Stores, min_age: Duration) -> ContentSweep {
    let (content, log) = (Arc::clone(&stores.content), Arc::clone(&stores.log));
    ContentSweep { content, log, clock: Arc::clone(&stores.clock), min_age }
}

/// Commits an event that was found in its document only; says whether it is durable now.
pub(super) async fn found(committer: &Committer, recounts: &Recounts, event: Event) -> bool {
    recounts.note(&event);
    // What is told of it carries the counts of now, and nothing may come after it that would put them right.
    recounts.run().await;
    commit(committer, event).await
}

/// Commits an event; says whether it is durable now.
pub(super) async fn commit(committer: &Committer, event: Event) -> bool {
    committer.commit(event).await.is_ok()
}
