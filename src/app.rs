//! The composition root: the only place that names concrete adapters. It opens
//! the stores, wires the stages of the write path, serves, and takes all of it
//! down again in order.

pub mod admin;
pub mod audit;
mod background;
mod community;
pub mod doctor;
mod http;
mod inspectors;
mod log_stores;
pub mod migrate;
mod realtime_stores;
pub mod seed;
mod services;
mod sql_stores;
mod stores;
pub mod tokens;
mod write_path;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::domain::channel::ChannelName;
use crate::domain::ids::Incarnation;
use crate::endpoints::account_watch::AccountWatch;
use crate::endpoints::services::Services;
use crate::hub::Hub;
use crate::lifecycle;
use crate::relay::control::Control;
use crate::relay::follow_index::FollowIndex;
use crate::relay::inbound::Inbound;
use crate::settings::Settings;

use stores::Stores;

/// Why a node could not start, or did not end as it should.
pub type AppError = Box<dyn std::error::Error + Send + Sync>;

/// Runs a node until it is asked to end.
pub async fn serve(settings: Settings) -> Result<(), AppError> {
    let stop = lifecycle::stop_requested()?;
    http::raise_file_limit();
    let mut stores = stores::open(&settings).await?;
    let mut path = write_path::start(&settings, &stores).await?;
    tokio::select! {
        finished = write_path::finish_earlier_runs(&settings, &stores, &mut path) => finished?,
        () = lifecycle::requested(stop.clone()) => return Ok(()),
    }

    let hub_options = services::hub_options(&settings);
    let hub = Arc::new(Hub::start(&hub_options, Arc::clone(&stores.broker), Handle::current())?);
    let hint = Arc::new(Notify::new());
    let control = control_of(&stores, &hub, path.lease.run());
    let heard = (&hint, Arc::clone(&control));
    let (follows, deliveries) = take_deliveries(&settings, &mut stores, &hub, heard).await?;
    let services = services::services(
        &settings,
        &stores,
        &path,
        (Arc::clone(&hub), follows, Arc::clone(&control)),
        path.lease.run(),
    )?;
    let services = Arc::new(services);
    let mut background = background::start(&settings, &stores, &path);
    let (control, interval) = (Arc::clone(&stores.control), settings.accounts.changes_interval);
    // Before anyone can connect, so that no change is missed.
    let known = Arc::clone(&services.accounts.news.known);
    let watch = AccountWatch::begin(control, Arc::clone(&hub), known, hint, interval).await?;
    background.tasks.push(tokio::spawn(watch.run(background.stopping.subscribe())));
    background
        .tasks
        .push(tokio::spawn(Arc::clone(&services.control).run(background.stopping.subscribe())));

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
        write_path::finish_own_run(&settings, &stores, path).await
    };
    // What is left of the time once requests had their half, less a margin to exit in.
    match tokio::time::timeout(settings.shutdown.timeout * 2 / 5, wind_down).await {
        Ok(done) => done?,
        // Nothing is lost: the next start finishes what this run leaves.
        Err(_) => tracing::warn!("did not end in time; the next start finishes the rest"),
    }
    deliveries.iter().for_each(JoinHandle::abort);
    outcome
}

/// What this node says and hears of connections; it is known by its run.
fn control_of(stores: &Stores, hub: &Arc<Hub>, run: Incarnation) -> Arc<Control> {
    let (broker, entropy) = (Arc::clone(&stores.broker), Arc::clone(&stores.entropy));
    Arc::new(Control::new(run.to_string(), Arc::clone(hub), broker, entropy))
}

/// Starts what takes deliveries from the broker to the hub, and to whoever follows.
async fn take_deliveries(
    settings: &Settings,
    stores: &mut Stores,
    hub: &Arc<Hub>,
    (hint, control): (&Arc<Notify>, Arc<Control>),
) -> Result<(Arc<FollowIndex>, Vec<JoinHandle<()>>), AppError> {
    let compare_interval = settings.realtime.compare_interval;
    let (marks, inbox) = (Arc::clone(&stores.marks), Arc::clone(&stores.inbox));
    let (namespaces, clock) = (Arc::clone(&stores.namespaces), Arc::clone(&stores.clock));
    let (follows, heard) =
        FollowIndex::new(Arc::clone(hub), Arc::clone(&namespaces), marks, inbox, clock);
    follows.listen().await?;
    for channel in [ChannelName::accounts(), ChannelName::control()] {
        stores.broker.subscribe(&channel).await?;
    }
    let mut tasks = vec![tokio::spawn(Arc::clone(&follows).run(heard))];
    let broker = Arc::clone(&stores.broker);
    let inbound = Inbound::new(Arc::clone(hub), broker, namespaces, Arc::clone(&follows))
        .hinting(ChannelName::accounts(), Arc::clone(hint))
        .controlled(control);
    let incoming = stores.incoming.take();
    tasks.extend(incoming.map(|incoming| tokio::spawn(inbound.run(incoming, compare_interval))));
    Ok((follows, tasks))
}

/// Closes every connection of the hub once the node was asked to end.
async fn close_streams(stop: watch::Receiver<bool>, services: Arc<Services>) {
    lifecycle::requested(stop).await;
    services.ready.store(false, Ordering::Release);
    services.hub.stop().await;
}
