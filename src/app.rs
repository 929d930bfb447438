//! The composition root: the only place that names concrete adapters. It opens
//! the stores, wires the stages of the write path, serves, and takes all of it
//! down again in order.

mod http;
mod services;
mod stores;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::commands::committer::{CommitOptions, Committer};
use crate::domain::event::Event;
use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;
use crate::endpoints::services::Services;
use crate::hub::Hub;
use crate::lifecycle;
use crate::projections::analytics_batch::Projection;
use crate::projections::catch_up::{CatchUp, ContentSweep};
use crate::relay::inbound::Inbound;
use crate::relay::outbound::{OutboundRelay, Publisher};
use crate::relay::recorder;
use crate::settings::Settings;

use stores::Stores;

/// Why a node could not start, or did not end as it should.
pub type AppError = Box<dyn std::error::Error + Send + Sync>;

/// How far back the first sweep looks when every earlier run ended in order.
const SWEEP_OVERLAP: Duration = Duration::from_secs(60);
/// Between purges of old idempotency keys.
const PURGE_INTERVAL: Duration = Duration::from_secs(600);

/// The tasks of the write path, in the order in which they end.
struct WritePath {
    committer: Arc<Committer>,
    publisher: Arc<Publisher>,
    tasks: Vec<JoinHandle<()>>,
}

/// Runs a node until it is asked to end.
pub async fn serve(settings: Settings) -> Result<(), AppError> {
    let stop = lifecycle::stop_requested()?;
    http::raise_file_limit();
    let mut stores = stores::open(&settings).await?;
    let incarnation = Incarnation::from_parts(stores.clock.now(), stores.entropy.bytes::<10>());
    let left_open = stores.ledger.open_cursors().await?;
    stores.ledger.open_incarnation(incarnation, stores.clock.now()).await?;
    let path = start_write_path(&settings, &stores, incarnation);
    let began = left_open.iter().map(|cursor| cursor.incarnation.began_at()).min();
    let since = began.unwrap_or_else(|| stores.clock.now()).minus(SWEEP_OVERLAP);
    let swept_until = tokio::select! {
        swept_until = finish_earlier_runs(&settings, &stores, &path, incarnation, since) => swept_until?,
        () = lifecycle::requested(stop.clone()) => return Ok(()),
    };

    let hub_options = services::hub_options(&settings);
    let hub = Arc::new(Hub::start(&hub_options, Arc::clone(&stores.broker), Handle::current())?);
    let (broker, namespaces) = (Arc::clone(&stores.broker), Arc::clone(&stores.namespaces));
    let inbound = Inbound::new(Arc::clone(&hub), broker, namespaces);
    let inbound = stores.deliveries.take().map(|queue| tokio::spawn(inbound.run(queue)));
    let services =
        services::services(&settings, &stores, &path.committer, Arc::clone(&hub), incarnation)?;
    let services = Arc::new(services);
    let background = start_background(&settings, &stores, &path, incarnation, swept_until);

    let address = (settings.http_server.address.as_str(), settings.http_server.port);
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| format!("cannot listen on {address:?}: {error}"))?;
    // Streams are closed while requests are still answered: an answer that is a stream has no other end.
    let closing = tokio::spawn(close_streams(stop.clone(), Arc::clone(&services)));
    let outcome = http::serve(&settings, listener, Arc::clone(&services), stop.clone()).await;

    let wind_down = async {
        if *stop.borrow() {
            closing.await?;
        } else {
            closing.abort();
            hub.stop().await;
        }
        drop(services);
        background.stop().await?;
        finish_own_run(&settings, &stores, path, incarnation).await
    };
    // What is left of the time once requests had their half, less a margin to exit in.
    match tokio::time::timeout(settings.shutdown.timeout * 2 / 5, wind_down).await {
        Ok(done) => done?,
        // Nothing is lost: the next start finishes what this run leaves.
        Err(_) => tracing::warn!("did not end in time; the next start finishes the rest"),
    }
    if let Some(inbound) = inbound {
        inbound.abort();
    }
    outcome
}

/// Appends, relays and projects the rest of this run, so that the next start
/// finds nothing to finish.
async fn finish_own_run(
    settings: &Settings,
    stores: &Stores,
    path: WritePath,
    incarnation: Incarnation,
) -> Result<(), AppError> {
    // A document whose commit failed would not be looked for after an orderly end.
    let since = stores.clock.now().minus(2 * SWEEP_OVERLAP);
    sweep(stores, Duration::ZERO).run(since, |event| commit(&path.committer, event)).await?;
    path.close().await?;
    projection(settings, stores).project_all(incarnation).await?;
    Ok(stores.ledger.close_incarnation(incarnation).await?)
}

/// Closes every connection of the hub once the node was asked to end.
async fn close_streams(stop: watch::Receiver<bool>, services: Arc<Services>) {
    lifecycle::requested(stop).await;
    services.ready.store(false, Ordering::Release);
    services.hub.stop().await;
}

/// What runs beside the requests.
struct Background {
    stopping: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Asks the tasks to end and waits for them.
    async fn stop(self) -> Result<(), tokio::task::JoinError> {
        self.stopping.send_replace(true);
        for task in self.tasks {
            task.await?;
        }
        Ok(())
    }
}

fn start_write_path(settings: &Settings, stores: &Stores, incarnation: Incarnation) -> WritePath {
    let publisher =
        Arc::new(Publisher::new(Arc::clone(&stores.broker), Arc::clone(&stores.namespaces)));
    let (recorder, recording) = recorder::start(Arc::clone(&stores.ledger));
    let (outbound, relay) = OutboundRelay::new(
        Arc::clone(&publisher),
        Arc::clone(&stores.log),
        incarnation,
        recorder,
        settings.relay.queue_max_events,
        settings.relay.batch_max_events,
    );
    let options = CommitOptions {
        batch_max_events: settings.events.batch_max_events,
        batch_max_bytes: settings.events.batch_max_bytes,
        queue_max_events: settings.events.queue_max_events,
        queue_max_bytes: settings.events.queue_max_bytes,
        append_timeout: settings.events.append_timeout,
        relay_wait_timeout: settings.relay.wait_timeout,
    };
    let (committer, commit_loop) =
        Committer::new(Arc::clone(&stores.log), outbound, incarnation, options);
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

fn projection(settings: &Settings, stores: &Stores) -> Projection {
    Projection {
        log: Arc::clone(&stores.log),
        analytics: Arc::clone(&stores.analytics),
        batch_max: settings.analytics.batch_max_events,
    }
}

/// Appends, relays and projects what earlier runs left, before anyone connects.
/// Returns until when documents were swept.
async fn finish_earlier_runs(
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
    Ok(sweep(stores, Duration::ZERO).run(since, |event| commit(&path.committer, event)).await?)
}

fn sweep(stores: &Stores, min_age: Duration) -> ContentSweep {
    let (content, log) = (Arc::clone(&stores.content), Arc::clone(&stores.log));
    ContentSweep { content, log, clock: Arc::clone(&stores.clock), min_age }
}

async fn commit(committer: &Committer, event: Event) -> bool {
    committer.commit(event).await.is_ok()
}

/// Starts what runs beside the requests.
fn start_background(
    settings: &Settings,
    stores: &Stores,
    path: &WritePath,
    incarnation: Incarnation,
    swept_until: Timestamp,
) -> Background {
    let (stopping, stop) = watch::channel(false);
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
    let mut stop_purging = stop;
    let purging = async move {
        while tokio::time::timeout(PURGE_INTERVAL, stop_purging.wait_for(|stop| *stop))
            .await
            .is_err()
        {
            if let Err(error) = keys.purge(clock.now().minus(ttl)).await {
                tracing::warn!(%error, "could not purge old idempotency keys");
            }
        }
    };
    let tasks = vec![tokio::spawn(projecting), tokio::spawn(sweeping), tokio::spawn(purging)];
    Background { stopping, tasks }
}
