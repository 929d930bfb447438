//! The node's subscriptions, and what arrives through them.
//!
//! Two tasks: one owns the subscriptions and makes them again when they are lost; the other takes
//! what arrives, in order, to the sink. What may have been lost is told as a [`Lapse`] once the
//! subscriptions stand again.

use std::sync::Arc;
use std::time::Duration;

use fred::interfaces::EventInterface;
use fred::types::{ClusterStateChange, Message};
use rustc_hash::FxHashSet;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::domain::channel::ChannelName;
use crate::ports::StoreError;
use crate::ports::broker::{Arriving, Lapse};

use super::lingering::{LINGER, Lingering};
use super::link::Link;
use super::probes::{Heard, Probes};
use super::session::Session;
use super::{unavailable, wire};
use crate::adapters::redis::keys::Keys;
use crate::adapters::redis::options::RedisOptions;

/// How many messages may wait between the connection and the sink; more are a lapse.
const MESSAGES_MAX: usize = 8_192;
/// How many calls may wait for their turn, and are served in one go.
const ORDERS_MAX: usize = 1_024;
/// How often lost subscriptions are looked for.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Tells that slots of a cluster have moved.
pub(super) type Changes = broadcast::Receiver<Vec<ClusterStateChange>>;

/// The way to the node's subscriptions.
pub(super) struct Subscriber {
    orders: mpsc::Sender<Order>,
    tasks: [AbortHandle; 2],
}

/// What a caller wants to be subscribed to, or not any more.
struct Order {
    channel: ChannelName,
    wanted: bool,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// What the task that takes deliveries has in common with the other.
struct Signs {
    /// The probes that came through.
    heard: Arc<Heard>,
    /// Messages came faster than they could be taken.
    overrun: Notify,
    /// Channels whose messages are for nobody.
    lingering: Lingering,
}

impl Subscriber {
    /// Connects, and subscribes to nothing yet. `name` is the node's alone; `changes` tells when
    /// another connection found that slots of a cluster have moved.
    pub(super) async fn start(
        options: &RedisOptions,
        keys: Keys,
        name: &str,
        changes: Changes,
        sink: mpsc::Sender<Arriving>,
        lapses: mpsc::Sender<Lapse>,
    ) -> Result<Self, StoreError> {
        let link = Link::connect(options, MESSAGES_MAX).await?;
        let prober = Link::connect(options, 1).await?;
        let messages = link.client.message_rx();
        let reconnects = link.client.reconnect_rx();
        let mut probes = Probes::new(name);
        let (heard, overrun, lingering) = (probes.heard(), Notify::new(), Lingering::default());
        let signs = Arc::new(Signs { heard, overrun, lingering });
        let mut session = Session::new(link, &options.prefix, name, options.is_cluster());
        let (channels, _) = probes.place(session.probes(&probes.base, &keys));
        session.open(channels.iter().map(|channel| keys.audience(channel)).collect()).await?;
        let keeper = Keeper {
            session,
            prober,
            keys: keys.clone(),
            probes,
            looks: 0,
            signs: Arc::clone(&signs),
            wanted: FxHashSet::default(),
            owed: FxHashSet::default(),
            probe_interval: options.probe_interval,
        };
        let (orders, queue) = mpsc::channel(ORDERS_MAX);
        let keeper = tokio::spawn(keeper.run(queue, reconnects, changes, lapses)).abort_handle();
        let taker = tokio::spawn(take(messages, keys, signs, sink)).abort_handle();
        Ok(Self { orders, tasks: [keeper, taker] })
    }

    /// Subscribes; when it returns, the server has confirmed it.
    pub(super) async fn subscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.order(channel, true).await
    }

    /// Takes a subscription back.
    pub(super) async fn unsubscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.order(channel, false).await
    }

    async fn order(&self, channel: &ChannelName, wanted: bool) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        let order = Order { channel: channel.clone(), wanted, done };
        self.orders.send(order).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Keeps the subscriptions.
struct Keeper {
    session: Session,
    /// Sends probes: another connection than the one that hears them.
    prober: Link,
    keys: Keys,
    probes: Probes,
    /// How often it was looked whether everything comes through.
    looks: u64,
    signs: Arc<Signs>,
    /// What is subscribed to, with what lingers.
    wanted: FxHashSet<ChannelName>,
    /// Channels whose lapse is still to be told.
    owed: FxHashSet<ChannelName>,
    probe_interval: Duration,
}

impl Keeper {
    async fn run(
        mut self,
        mut queue: mpsc::Receiver<Order>,
        mut reconnects: broadcast::Receiver<fred::types::config::Server>,
        mut changes: Changes,
        lapses: mpsc::Sender<Lapse>,
    ) {
        let mut batch = Vec::new();
        let mut probes = tokio::time::interval(self.probe_interval);
        let mut retries = tokio::time::interval(RETRY_INTERVAL);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut departures = tokio::time::interval(LINGER / 2);
        departures.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let signs = Arc::clone(&self.signs);
        loop {
            tokio::select! {
                biased;
                reconnected = reconnects.recv() => {
                    if let Err(RecvError::Closed) = reconnected {
                        return;
                    }
                    self.session.lose();
                    self.reopen().await;
                }
                () = signs.overrun.notified() => self.owed.extend(self.wanted.iter().cloned()),
                place = lapses.reserve(), if !self.owed.is_empty() && self.session.is_open() => {
                    let Ok(place) = place else { return };
                    place.send(Lapse { channels: self.owed.drain().collect() });
                }
                _ = retries.tick(), if !self.session.is_open() => {
                    self.reopen().await;
                }
                _ = departures.tick(), if self.session.is_open() => self.depart().await,
                () = changed(&mut changes), if self.session.is_open() => self.follow().await,
                _ = probes.tick(), if self.session.is_open() => self.look().await,
                // Last, for there may be no end of them.
                count = queue.recv_many(&mut batch, ORDERS_MAX) => {
                    if count == 0 {
                        return;
                    }
                    self.serve(std::mem::take(&mut batch)).await;
                }
            }
        }
    }

    /// Makes all subscriptions anew; what was published meanwhile may be missing.
    async fn reopen(&mut self) -> bool {
        for channel in self.signs.lingering.all() {
            self.forget(&channel);
        }
        self.owed.extend(self.wanted.iter().cloned());
        self.probes.place(self.session.probes(&self.probes.base, &self.keys));
        let all = self.wanted.iter().chain(self.probes.channels());
        let all = all.map(|channel| self.keys.audience(channel)).collect();
        match self.session.open(all).await {
            Ok(()) => {
                // The probes that were sent last may be among what was lost.
                self.probes.forgive_all();
                tracing::info!(channels = self.wanted.len(), "subscribed again");
                true
            }
            Err(error) => {
                tracing::debug!(%error, "could not subscribe again");
                false
            }
        }
    }

    fn forget(&mut self, channel: &ChannelName) {
        self.wanted.remove(channel);
        self.owed.remove(channel);
        self.signs.lingering.end(channel);
    }

    fn audiences(&self, channels: &[ChannelName]) -> Vec<String> {
        channels.iter().map(|channel| self.keys.audience(channel)).collect()
    }

    /// Serves calls that came together.
    async fn serve(&mut self, orders: Vec<Order>) {
        let mut added = Vec::new();
        for Order { channel, wanted, .. } in &orders {
            let is_known = self.wanted.contains(channel);
            if !wanted && is_known {
                self.signs.lingering.begin(channel);
            } else if *wanted && (self.signs.lingering.end(channel) || !is_known) {
                // To be asked for again is no harm to one that lingered.
                self.wanted.insert(channel.clone());
                added.push(channel.clone());
            }
        }
        let mut outcome = Ok(());
        if orders.iter().any(|order| order.wanted) {
            outcome = self.session.change(self.audiences(&added), Vec::new()).await;
        }
        if outcome.is_err() && self.reopen().await {
            outcome = Ok(());
        }
        if outcome.is_err() {
            added.iter().for_each(|channel| self.forget(channel));
        }
        for order in orders {
            let failed = outcome.as_ref().err().filter(|_| order.wanted);
            // Whoever has stopped waiting needs no answer.
            let _ = order.done.send(failed.map_or(Ok(()), |error| Err(unavailable(error))));
        }
    }

    /// Takes back, in one go, what nobody has wanted for a while.
    async fn depart(&mut self) {
        let due = self.signs.lingering.due();
        if due.is_empty() {
            return;
        }
        if let Err(error) = self.session.change(Vec::new(), self.audiences(&due)).await {
            tracing::debug!(%error, "could not unsubscribe");
        }
        due.iter().for_each(|channel| self.forget(channel));
    }

    /// On a cluster, goes where the channels are by now; what was published meanwhile may be missing.
    async fn follow(&mut self) {
        let followed = async {
            let moved = self.session.moved(&self.keys).await?;
            moved.iter().for_each(|channel| self.probes.forgive(channel));
            self.owed.extend(moved.into_iter().filter(|channel| self.wanted.contains(channel)));
            let (new, gone) = self.probes.place(self.session.probes(&self.probes.base, &self.keys));
            if new.is_empty() && gone.is_empty() {
                return Ok(());
            }
            let (new, gone) = (self.audiences(&new), self.audiences(&gone));
            self.session.change(new, gone).await
        };
        let followed: Result<(), StoreError> = followed.await;
        if let Err(error) = followed {
            tracing::debug!(%error, "could not look for moved channels");
            self.session.lose();
        }
    }

    /// Sends messages to itself. If the last ones have not come by now, the connection is given up.
    async fn look(&mut self) {
        self.follow().await;
        if self.probes.is_silent() {
            tracing::warn!("nothing comes through Pub/Sub; connecting again");
            self.session.reconnect().await;
        }
        if self.session.is_open() {
            self.looks += 1;
            self.probes.send(self.looks, &self.prober, &self.keys).await;
        }
    }
}

/// Waits until slots of a cluster have moved, for all that is known.
async fn changed(changes: &mut Changes) {
    if let Err(RecvError::Closed) = changes.recv().await {
        // The connection that tells so ends with the node.
        std::future::pending().await
    }
}

/// Takes what arrives to the sink, in order.
async fn take(
    mut messages: broadcast::Receiver<Message>,
    keys: Keys,
    signs: Arc<Signs>,
    sink: mpsc::Sender<Arriving>,
) {
    loop {
        let message = match messages.recv().await {
            Ok(message) => message,
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "messages came faster than they could be taken");
                signs.overrun.notify_one();
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        let Some(channel) = keys.channel_of(&message.channel) else { continue };
        let text = message.value.as_str();
        let Some(text) = text else { continue };
        if signs.heard.take(&channel, &text) || signs.lingering.has(&channel) {
            continue;
        }
        let Some(arriving) = wire::arriving(channel, &text) else {
            tracing::warn!(channel = %message.channel, "a message that this version cannot read");
            continue;
        };
        if sink.send(arriving).await.is_err() {
            return;
        }
    }
}

fn stopped() -> StoreError {
    unavailable("the node is stopping")
}
