//! What arrives from the broker goes to the hub, in order and without a gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use super::control::Control;
use super::follow_index::FollowIndex;
use crate::domain::channel::ChannelName;
use crate::domain::namespace::Namespaces;
use crate::domain::publication::{Delivery, Epoch, StreamPosition};
use crate::hub::{Arrival, Hub};
use crate::ports::broker::{Arriving, Broker, HistoryQuery, Lapse, Retention, Shortcut};

/// Channels whose tops are asked for at once. Deliveries wait meanwhile.
const COMPARED_AT_ONCE: usize = 128;
/// What is taken from the queue at once.
const TAKEN_AT_ONCE: usize = 256;

/// What the broker brings to a node.
pub struct Incoming {
    /// What came on channels that somebody here subscribed to.
    pub deliveries: mpsc::Receiver<Arriving>,
    /// Where deliveries were interrupted.
    pub lapses: mpsc::Receiver<Lapse>,
    /// How a broker in this process goes round the queue.
    pub shortcut: Arc<Shortcut>,
}

/// Hands deliveries to the hub. One that did not arrive is read from the
/// history; where that is not possible, the subscribers are told.
///
/// That one did not arrive is seen by the next one, and where none comes, by the top of the stream: those of channels
/// whose deliveries were interrupted are compared at once with what subscribers have, and all every interval.
pub struct Inbound {
    hub: Arc<Hub>,
    broker: Arc<dyn Broker>,
    namespaces: Arc<Namespaces>,
    follows: Arc<FollowIndex>,
    /// A channel on which it only counts that something came, and who waits for that.
    hint: Option<(ChannelName, Arc<Notify>)>,
    /// Who hears what nodes tell each other of connections.
    control: Option<Arc<Control>>,
}

impl Inbound {
    /// An inbound relay that serves `hub`.
    pub fn new(
        hub: Arc<Hub>,
        broker: Arc<dyn Broker>,
        namespaces: Arc<Namespaces>,
        follows: Arc<FollowIndex>,
    ) -> Self {
        Self { hub, broker, namespaces, follows, hint: None, control: None }
    }

    /// The same, with `hint` notified of whatever arrives on `channel`.
    pub fn hinting(self, channel: ChannelName, hint: Arc<Notify>) -> Self {
        Self { hint: Some((channel, hint)), ..self }
    }

    /// The same, with `control` told of what other nodes say.
    pub fn controlled(self, control: Arc<Control>) -> Self {
        Self { control: Some(control), ..self }
    }

    /// Serves until the broker is gone, and compares all tops every `compare_interval`.
    pub async fn run(self, incoming: Incoming, compare_interval: Duration) {
        let Incoming { mut deliveries, mut lapses, shortcut } = incoming;
        // The hub has the broker, and the broker this.
        let hub = Arc::downgrade(&self.hub);
        shortcut.open(move |delivery| match hub.upgrade() {
            Some(hub) => hand_over_now(&hub, delivery),
            None => Err(delivery),
        });
        let mut rounds = interval(compare_interval);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when nobody has subscribed.
        rounds.tick().await;
        let (mut due, mut taken) = (VecDeque::new(), Vec::with_capacity(TAKEN_AT_ONCE));
        loop {
            tokio::select! {
                count = deliveries.recv_many(&mut taken, TAKEN_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    shortcut.begin();
                    for arriving in taken.drain(..) {
                        match arriving {
                            Arriving::Publication(delivery) => self.take(delivery).await,
                            Arriving::Passage(passage) => self.hub.tell(passage).await,
                        }
                    }
                    shortcut.arrived(count);
                }
                Some(lapse) = lapses.recv() => due.extend(lapse.channels),
                _ = rounds.tick(), if due.is_empty() => due.extend(self.hub.registry().names()),
                // In turns with deliveries, a few at a time.
                () = std::future::ready(()), if !due.is_empty() => {
                    let some: Vec<_> = due.drain(..due.len().min(COMPARED_AT_ONCE)).collect();
                    self.compare(some).await;
                }
            }
        }
    }

    async fn take(&self, delivery: Delivery) {
        if let Some((channel, hint)) = &self.hint
            && *channel == delivery.channel
        {
            return hint.notify_one();
        }
        if let Some(control) = &self.control
            && delivery.channel == ChannelName::control()
        {
            return control.hear(&delivery).await;
        }
        match self.hub.registry().observe(&delivery) {
            Arrival::Next => self.hand_over(delivery).await,
            Arrival::Gap(since) => self.fill(since, delivery).await,
            Arrival::NewEpoch => self.hub.invalidate(&delivery.channel).await,
            Arrival::Repeat | Arrival::Unwanted => {}
        }
    }

    /// Compares the tops of channels with what their subscribers have.
    async fn compare(&self, channels: Vec<ChannelName>) {
        let kept = channels.into_iter().filter_map(|channel| {
            let retention = Retention::of(self.namespaces.options(&channel)?)?;
            Some((channel, retention))
        });
        let kept: Vec<_> = kept.collect();
        let query = HistoryQuery { since: None, limit: 0, reverse: false };
        let tops = kept
            .iter()
            .map(|(channel, retention)| self.broker.history(channel, *retention, &query));
        // The adapter sends what is asked at once together.
        let tops = futures_util::future::join_all(tops).await;
        for ((channel, retention), page) in kept.into_iter().zip(tops) {
            match page {
                Ok(page) => self.catch_up(channel, retention, page.top).await,
                // The next round asks again; a broker that was away tells of a lapse.
                Err(error) => tracing::debug!(%error, %channel, "could not compare"),
            }
        }
    }

    /// Brings the subscribers of a channel to the top of its stream.
    async fn catch_up(&self, channel: ChannelName, retention: Retention, top: StreamPosition) {
        let since = match self.hub.registry().compare(&channel, &top) {
            Arrival::Gap(since) => since,
            Arrival::NewEpoch => return self.hub.invalidate(&channel).await,
            Arrival::Next | Arrival::Repeat | Arrival::Unwanted => return,
        };
        let missing = top.offset - since;
        tracing::info!(%channel, missing, "publications had not arrived");
        match self.missing(&channel, retention, (since, top.offset), &top.epoch).await {
            Some(publications) => {
                for delivery in publications {
                    self.take(delivery).await;
                }
            }
            None => {
                self.hub.registry().skip_to(&channel, top);
                self.hub.invalidate(&channel).await;
            }
        }
    }

    /// Delivers what is missing between `since` and `delivery`, and then that.
    async fn fill(&self, since: u64, delivery: Delivery) {
        let channel = &delivery.channel;
        let through = delivery.publication.offset - 1;
        tracing::debug!(%channel, missing = through - since, "publications did not arrive");
        let retention = self.namespaces.options(channel).and_then(Retention::of);
        let (Some(retention), Some(epoch)) = (retention, &delivery.epoch) else {
            return self.hub.invalidate(channel).await;
        };
        match self.missing(channel, retention, (since, through), epoch).await {
            Some(publications) => {
                for delivery in publications {
                    self.hand_over(delivery).await;
                }
                self.hand_over(delivery).await;
            }
            None => self.hub.invalidate(channel).await,
        }
    }

    /// Reads what was published after `since` up to `through`; `None` if that is not all there any more.
    async fn missing(
        &self,
        channel: &ChannelName,
        retention: Retention,
        (since, through): (u64, u64),
        epoch: &Epoch,
    ) -> Option<Vec<Delivery>> {
        let missing = through - since;
        let limit = usize::try_from(missing).unwrap_or(usize::MAX).min(retention.size);
        let query = HistoryQuery { since: Some(since), limit, reverse: false };
        let page = match self.broker.history(channel, retention, &query).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, %channel, "could not read what did not arrive");
                return None;
            }
        };
        let is_whole = page.top.epoch == *epoch
            && page.publications.first().is_some_and(|first| first.offset == since + 1)
            && page.publications.len() as u64 == missing;
        let delivery = |publication| {
            let (channel, epoch) = (channel.clone(), Some(epoch.clone()));
            Delivery { channel, epoch, publication }
        };
        is_whole.then(|| page.publications.into_iter().map(delivery).collect())
    }

    async fn hand_over(&self, delivery: Delivery) {
        self.follows.hear(&delivery).await;
        self.hub.deliver(delivery).await;
    }
}

/// Hands over what only subscribers want to hear of, and which cannot be missing: it has no place in a stream. What the node
/// itself may be subscribed to is given back.
fn hand_over_now(hub: &Hub, delivery: Delivery) -> Result<(), Delivery> {
    if delivery.epoch.is_some() || matches!(delivery.channel.namespace(), Some("node" | "author")) {
        return Err(delivery);
    }
    hub.deliver_now(delivery)
}

#[cfg(test)]
mod tests;
