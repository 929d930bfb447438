//! Which shards want which channel, and what the node asks of the broker for them.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::domain::channel::ChannelName;
use crate::domain::publication::{Delivery, StreamPosition};
use crate::ports::StoreError;
use crate::ports::broker::{Broker, HistoryQuery, Retention};

/// The number of locks that serialise the broker calls of one channel.
const STRIPES: usize = 64;

/// Counts the subscriptions of every channel on this node and keeps the broker
/// subscribed to exactly the channels that have any.
pub struct Registry {
    interests: DashMap<ChannelName, Interest, FxBuildHasher>,
    stripes: Vec<Mutex<()>>,
    broker: Arc<dyn Broker>,
    io: Handle,
    shards: usize,
}

struct Interest {
    /// Subscriptions by shard; the last are those of the node itself.
    counts: Box<[u32]>,
    /// Whether the broker has confirmed that it delivers the channel here.
    confirmed: bool,
    /// The last publication that the subscribers have, once it is known.
    top: Option<StreamPosition>,
}

/// What a delivery is to the subscribers of its channel on this node.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// What comes next.
    Next,
    /// Nothing new.
    Repeat,
    /// Publications after this offset did not arrive.
    Gap(u64),
    /// The stream began anew; what came before cannot be told from here.
    NewEpoch,
    /// Nobody here wants the channel.
    Unwanted,
}

impl Interest {
    fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }
}

impl Registry {
    /// A registry for `shards` shards; broker calls run on `io`.
    pub fn new(shards: usize, broker: Arc<dyn Broker>, io: Handle) -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::new(())).collect();
        Self { interests: DashMap::default(), stripes, broker, io, shards }
    }

    /// The number under which the node itself subscribes: it hears of deliveries
    /// where they arrive, and none is sent to a shard for it.
    pub fn node(&self) -> usize {
        self.shards
    }

    /// Counts one subscription of `shard`. Deliveries are sure only once
    /// [`Registry::confirm`] has returned.
    pub fn enter(&self, channel: &ChannelName, shard: usize) {
        let mut interest = self.interests.entry(channel.clone()).or_insert_with(|| Interest {
            counts: vec![0; self.shards + 1].into(),
            confirmed: false,
            top: None,
        });
        interest.counts[shard] += 1;
    }

    /// Waits until the broker delivers the channel here: nothing published
    /// after this returned is missed by those who entered before and read the
    /// past after it.
    ///
    /// `retention` is that of the channel. The top of its stream is read once,
    /// here, so that deliveries are compared with what every subscriber has.
    pub async fn confirm(
        &self,
        channel: &ChannelName,
        retention: Option<Retention>,
    ) -> Result<(), StoreError> {
        let confirmed = || self.interests.get(channel).is_some_and(|interest| interest.confirmed);
        if confirmed() {
            return Ok(());
        }
        let _one_at_a_time = self.stripe(channel).lock().await;
        if confirmed() {
            return Ok(());
        }
        self.broker.subscribe(channel).await?;
        let top = match retention {
            Some(retention) => Some(self.top(channel, retention).await?),
            None => None,
        };
        match self.interests.get_mut(channel) {
            Some(mut interest) if !interest.is_empty() => {
                interest.confirmed = true;
                interest.top = interest.top.take().max(top);
                return Ok(());
            }
            _ => {}
        }
        // Whoever asked has left meanwhile, and was too early to undo this.
        self.broker.unsubscribe(channel).await?;
        self.interests.remove_if(channel, |_, interest| interest.is_empty());
        Ok(())
    }

    async fn top(
        &self,
        channel: &ChannelName,
        retention: Retention,
    ) -> Result<StreamPosition, StoreError> {
        let query = HistoryQuery { since: None, limit: 0, reverse: false };
        Ok(self.broker.history(channel, retention, &query).await?.top)
    }

    /// Takes back one subscription of `shard`.
    pub fn leave(self: &Arc<Self>, channel: ChannelName, shard: usize) {
        let Some(mut interest) = self.interests.get_mut(&channel) else {
            return;
        };
        interest.counts[shard] = interest.counts[shard].saturating_sub(1);
        let abandoned = interest.is_empty();
        drop(interest);
        if abandoned {
            let registry = Arc::clone(self);
            self.io.spawn(async move { registry.abandon(&channel).await });
        }
    }

    /// Compares a delivery with what the subscribers have, and remembers it.
    pub fn observe(&self, delivery: &Delivery) -> Arrival {
        let Some(mut interest) = self.interests.get_mut(&delivery.channel) else {
            return Arrival::Unwanted;
        };
        let Some(epoch) = &delivery.epoch else {
            return Arrival::Next;
        };
        let offset = delivery.publication.offset;
        let arrival = match &interest.top {
            None => Arrival::Next,
            Some(top) if top.epoch != *epoch => Arrival::NewEpoch,
            Some(top) if offset <= top.offset => return Arrival::Repeat,
            Some(top) if offset == top.offset + 1 => Arrival::Next,
            Some(top) => Arrival::Gap(top.offset),
        };
        interest.top = Some(StreamPosition { epoch: epoch.clone(), offset });
        arrival
    }

    /// Compares the top of a channel's stream with what the subscribers have: [`Arrival::Gap`] if they lack
    /// publications of its epoch, [`Arrival::NewEpoch`] if it is of another, which is remembered.
    pub fn compare(&self, channel: &ChannelName, top: &StreamPosition) -> Arrival {
        let Some(mut interest) = self.interests.get_mut(channel) else {
            return Arrival::Unwanted;
        };
        // Without a known top, a subscription is under way; it reads the past itself.
        let Some(known) = interest.top.as_mut() else { return Arrival::Repeat };
        if *top <= *known {
            return Arrival::Repeat;
        }
        if top.epoch == known.epoch {
            return Arrival::Gap(known.offset);
        }
        *known = top.clone();
        Arrival::NewEpoch
    }

    /// Remembers that nothing up to `top` will be delivered any more: the subscribers were told to recover.
    pub fn skip_to(&self, channel: &ChannelName, top: StreamPosition) {
        if let Some(mut interest) = self.interests.get_mut(channel) {
            interest.top = interest.top.take().max(Some(top));
        }
    }

    /// The channels that the node is subscribed to.
    pub fn names(&self) -> Vec<ChannelName> {
        self.interests.iter().map(|interest| interest.key().clone()).collect()
    }

    /// The shards with subscriptions to `channel`, as a set of bits; `None` if the node has none.
    pub fn shards_of(&self, channel: &ChannelName) -> Option<u64> {
        let interest = self.interests.get(channel)?;
        let wanted = |(shard, count): (usize, &u32)| u64::from(*count > 0) << shard;
        let shards = interest.counts.iter().take(self.shards).enumerate();
        Some(shards.map(wanted).fold(0, |set, bit| set | bit))
    }

    /// The number of channels that the node is subscribed to.
    pub fn channels(&self) -> usize {
        self.interests.len()
    }

    async fn abandon(&self, channel: &ChannelName) {
        let _one_at_a_time = self.stripe(channel).lock().await;
        match self.interests.get_mut(channel) {
            // From here on a new subscription waits for the stripe and asks the broker again.
            Some(mut interest) if interest.is_empty() => {
                interest.confirmed = false;
                interest.top = None;
            }
            _ => return,
        }
        if let Err(error) = self.broker.unsubscribe(channel).await {
            // Deliveries that nobody wants are dropped where they arrive.
            tracing::warn!(%channel, %error, "could not unsubscribe from the broker");
        }
        self.interests.remove_if(channel, |_, interest| interest.is_empty());
    }

    fn stripe(&self, channel: &ChannelName) -> &Mutex<()> {
        let mut hasher = FxBuildHasher.build_hasher();
        channel.hash(&mut hasher);
        let hash = std::hash::Hasher::finish(&hasher);
        &self.stripes[(hash >> 32) as usize % STRIPES]
    }
}
