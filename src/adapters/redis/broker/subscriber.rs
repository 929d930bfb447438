//! The node's subscriptions, and what arrives through them.
//!
//! Two tasks: one owns the subscriptions and makes them again when they are lost; the other takes
//! what arrives, in order, to the sink. What may have been lost is told as a [`Lapse`] once the
//! subscriptions stand again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fred::interfaces::EventInterface;
use fred::types::Message;
use rustc_hash::FxHashSet;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::domain::channel::ChannelName;
use crate::domain::publication::Delivery;
use crate::ports::StoreError;
use crate::ports::broker::Lapse;

use super::link::{Ask, Link};
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

/// What the task that takes deliveries tells the other.
#[derive(Default)]
struct Signs {
    /// The last probe that came through.
    probe: AtomicU64,
    /// Messages came faster than they could be taken.
    overrun: Notify,
}

impl Subscriber {
    /// Connects, and subscribes to nothing yet. `name` is the node's alone.
    pub(super) async fn start(
        options: &RedisOptions,
        keys: Keys,
        name: &str,
        sink: mpsc::Sender<Delivery>,
        lapses: mpsc::Sender<Lapse>,
    ) -> Result<Self, StoreError> {
        let link = Link::connect(options, MESSAGES_MAX).await?;
        let prober = Link::connect(options, 1).await?;
        let messages = link.client.message_rx();
        let reconnects = link.client.reconnect_rx();
        let signs = Arc::new(Signs::default());
        let probe = ChannelName::built_in(format!("node:probe-{name}"));
        let mut session = Session::new(link, &options.prefix, name, options.is_cluster());
        session.open([keys.audience(&probe)].into()).await?;
        let keeper = Keeper {
            session,
            prober,
            keys: keys.clone(),
            probe: probe.clone(),
            probes: 0,
            signs: Arc::clone(&signs),
            wanted: FxHashSet::default(),
            owed: FxHashSet::default(),
            probe_interval: options.probe_interval,
        };
        let (orders, queue) = mpsc::channel(ORDERS_MAX);
        let keeper = tokio::spawn(keeper.run(queue, reconnects, lapses)).abort_handle();
        let taker = tokio::spawn(take(messages, keys, probe, signs, sink)).abort_handle();
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
    probe: ChannelName,
    /// How many probes were sent.
    probes: u64,
    signs: Arc<Signs>,
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
        lapses: mpsc::Sender<Lapse>,
    ) {
        let mut batch = Vec::new();
        let mut probes = tokio::time::interval(self.probe_interval);
        let mut retries = tokio::time::interval(RETRY_INTERVAL);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                count = queue.recv_many(&mut batch, ORDERS_MAX) => {
                    if count == 0 {
                        return;
                    }
                    self.serve(std::mem::take(&mut batch)).await;
                }
                _ = retries.tick(), if !self.session.is_open() => {
                    self.reopen().await;
                }
                _ = probes.tick(), if self.session.is_open() => self.look().await,
            }
        }
    }

    /// Makes all subscriptions anew; what was published meanwhile may be missing.
    async fn reopen(&mut self) -> bool {
        self.owed.extend(self.wanted.iter().cloned());
        let all = self.wanted.iter().chain([&self.probe]);
        let all = all.map(|channel| self.keys.audience(channel)).collect();
        match self.session.open(all).await {
            Ok(()) => {
                // The probe that was sent last may be among what was lost.
                self.signs.probe.store(self.probes, Ordering::Relaxed);
                tracing::info!(channels = self.wanted.len(), "subscribed again");
                true
            }
            Err(error) => {
                tracing::debug!(%error, "could not subscribe again");
                false
            }
        }
    }

    /// Serves calls that came together.
    async fn serve(&mut self, orders: Vec<Order>) {
        let touched: FxHashSet<_> = orders.iter().map(|order| order.channel.clone()).collect();
        let before: FxHashSet<_> = touched.intersection(&self.wanted).cloned().collect();
        for order in &orders {
            match order.wanted {
                true => self.wanted.insert(order.channel.clone()),
                false => self.wanted.remove(&order.channel),
            };
        }
        let changed =
            touched.into_iter().filter(|it| self.wanted.contains(it) != before.contains(it));
        let (added, gone): (Vec<_>, Vec<_>) = changed.partition(|it| self.wanted.contains(it));
        let audiences = |channels: &[ChannelName]| {
            channels.iter().map(|channel| self.keys.audience(channel)).collect::<Vec<_>>()
        };
        let (join, leave) = (audiences(&added), audiences(&gone));
        let mut outcome = self.session.change(join, leave).await;
        if outcome.is_err() && self.reopen().await {
            outcome = Ok(());
        }
        if outcome.is_err() {
            for channel in added {
                self.wanted.remove(&channel);
                self.owed.remove(&channel);
            }
        }
        for order in orders {
            let failed = outcome.as_ref().err().filter(|_| order.wanted);
            // Whoever has stopped waiting needs no answer.
            let _ = order.done.send(failed.map_or(Ok(()), |error| Err(unavailable(error))));
        }
    }

    /// Sends a message to itself: a connection may look healthy and deliver nothing. If the last
    /// one has not come by now, the connection is given up.
    async fn look(&mut self) {
        if self.signs.probe.load(Ordering::Relaxed) < self.probes {
            tracing::warn!("nothing comes through Pub/Sub; connecting again");
            self.session.reconnect().await;
            return;
        }
        match self.session.moved(&self.wanted, &self.keys).await {
            Ok(moved) => self.owed.extend(moved),
            Err(error) => {
                tracing::debug!(%error, "could not look for moved channels");
                self.session.lose();
                return;
            }
        }
        let next = self.probes + 1;
        let ask = Ask::Send(self.keys.audience(&self.probe), next.to_string());
        // If it could not be sent, nothing is known about what can be heard.
        if self.prober.ask(ask).await.is_ok() {
            self.probes = next;
        }
    }
}

/// Takes what arrives to the sink, in order.
async fn take(
    mut messages: broadcast::Receiver<Message>,
    keys: Keys,
    probe: ChannelName,
    signs: Arc<Signs>,
    sink: mpsc::Sender<Delivery>,
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
        if channel == probe {
            if let Ok(number) = text.parse() {
                signs.probe.fetch_max(number, Ordering::Relaxed);
            }
            continue;
        }
        let Some(delivery) = wire::delivery(channel, &text) else {
            tracing::warn!(channel = %message.channel, "a message that this version cannot read");
            continue;
        };
        if sink.send(delivery).await.is_err() {
            return;
        }
    }
}

fn stopped() -> StoreError {
    unavailable("the node is stopping")
}
