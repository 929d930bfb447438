//! The hub: owns every connection of the node and fans publications out to them.
//!
//! Each shard is a thread with a runtime of its own. A publication goes to a
//! shard once, is encoded once, and every dirty connection is written to once a
//! tick. Databases are never waited for on these threads.

mod closing;
pub mod codec;
mod connection;
mod emulation;
mod frames;
mod linger;
mod link;
mod orders;
mod outlet;
mod passages;
mod pending;
mod reader;
mod registry;
mod run;
mod shard;
mod subscribers;
mod terms;
mod timers;
mod wheel;
mod writer;

use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::client_protocol::codes::Disconnect;
use crate::client_protocol::directive::Directive;
use crate::domain::channel::ChannelName;
use crate::domain::publication::{Delivery, Passage};
use crate::ports::broker::Broker;

pub use connection::Owner;
pub use emulation::{Emulated, EmulationSession};
pub use frames::{Broadcast, Wire};
pub use link::Link;
pub use outlet::Transport;
pub use reader::{Conversation, Message};
pub use registry::{Arrival, Registry};
pub use shard::ShardStats;
pub use subscribers::Joined;
pub use terms::Ended;

use outlet::Outlet;
use shard::Shard;

/// How long a hub that stops lets connections receive what was queued for them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The limits of a hub.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Threads that own connections, 1 to 64.
    pub shards: usize,
    /// Messages that may wait for a shard; whoever sends more waits.
    pub shard_queue_max: usize,
    /// Connections written to before other work of the thread gets a turn.
    pub flush_yield_writes: usize,
    /// Bytes that may wait for one connection before it counts as slow.
    pub queue_max_bytes: usize,
    /// How long a connection's socket may take nothing before it counts as slow.
    pub queue_max_age: Duration,
    /// Between pings.
    pub ping_interval: Duration,
    /// Within which a pong must come.
    pub pong_timeout: Duration,
    /// Within which a client must identify itself.
    pub stale_close_delay: Duration,
    /// Bytes of the largest message that a client may send.
    pub message_size_limit: usize,
    /// Bytes read from a socket at once, into one buffer a shard.
    pub read_buffer_bytes: usize,
    /// How hard messages are compressed for clients that want it, 1 to 9.
    pub compression_level: u32,
    /// Bytes of the shortest message that is compressed.
    pub compression_min_size: usize,
    /// Publications kept for a subscriber that is still being told the past.
    pub recovery_buffer_max_publications: usize,
}

/// All shards of a node. Dropping it does not end them; [`Hub::stop`] does.
pub struct Hub {
    shards: Vec<mpsc::Sender<shard::Message>>,
    registry: Arc<Registry>,
    emulated: Arc<emulation::Places>,
    next: std::sync::atomic::AtomicUsize,
}

impl Hub {
    /// Starts the shards. Broker calls run on `io`.
    pub fn start(
        options: &HubOptions,
        broker: Arc<dyn Broker>,
        io: Handle,
    ) -> std::io::Result<Self> {
        let count = options.shards.clamp(1, 64);
        let registry = Arc::new(Registry::new(count, broker, io));
        let mut shards = Vec::with_capacity(count);
        for number in 0..count {
            let (sender, inbox) = mpsc::channel(options.shard_queue_max);
            let (options, registry) = (options.clone(), Arc::clone(&registry));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            thread::Builder::new().name(format!("shard-{number}")).spawn(move || {
                let local = LocalSet::new();
                let shard = Shard::new(number, options, registry);
                let stopped = local.block_on(&runtime, shard.run(inbox));
                // A peer that does not take its last words keeps nobody waiting for long.
                let _ = runtime.block_on(async { tokio::time::timeout(LAST_WORDS, local).await });
                if let Some(stopped) = stopped {
                    // Whoever asked may have stopped waiting.
                    let _ = stopped.send(());
                }
            })?;
            shards.push(sender);
        }
        let (emulated, next) = (Arc::default(), std::sync::atomic::AtomicUsize::new(0));
        Ok(Self { shards, registry, emulated, next })
    }

    /// Hands a connection to a shard, which has `converse` build the
    /// conversation on its own thread. `head` is what was already read from it.
    pub async fn adopt<C: Conversation>(
        &self,
        transport: Transport,
        wire: Wire,
        head: Bytes,
        converse: impl FnOnce(Link) -> C + Send + 'static,
    ) {
        let adopt = move |shard: &Rc<Shard>| {
            let outlet = match Outlet::register(transport) {
                Ok(outlet) => Rc::new(outlet),
                Err(error) => return tracing::warn!(%error, "could not register a connection"),
            };
            let key = shard.insert(Rc::clone(&outlet), wire);
            let conversation = converse(Link::new(Rc::clone(shard), key));
            let reader = reader::converse(Rc::clone(shard), key, outlet, head, conversation);
            let task = tokio::task::spawn_local(reader);
            shard.attach_reader(key, task.abort_handle());
        };
        let turn = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // A shard that has stopped closes the connection by dropping it.
        let _ = self.shards[turn % self.shards.len()]
            .send(shard::Message::Adopt(Box::new(adopt)))
            .await;
    }

    /// Delivers a publication to every subscriber on this node; false if the
    /// node has none. Waits while a shard's queue is full.
    pub async fn deliver(&self, delivery: Delivery) -> bool {
        let Some(wanted) = self.registry.shards_of(&delivery.channel) else {
            return false;
        };
        let broadcast = Arc::new(Broadcast::new(delivery));
        for (number, shard) in self.shards.iter().enumerate() {
            if wanted >> number & 1 == 1 {
                // A shard that has stopped has no subscribers.
                let _ = shard.send(shard::Message::Deliver(Arc::clone(&broadcast))).await;
            }
        }
        true
    }

    /// The same at once; gives the delivery back, and nobody hears of it, if the queue of a shard is full.
    pub fn deliver_now(&self, delivery: Delivery) -> Result<(), Delivery> {
        let Some(wanted) = self.registry.shards_of(&delivery.channel) else { return Ok(()) };
        let mut places = Vec::with_capacity(wanted.count_ones() as usize);
        for (number, shard) in self.shards.iter().enumerate() {
            if wanted >> number & 1 == 1 {
                match shard.try_reserve() {
                    Ok(place) => places.push(place),
                    Err(TrySendError::Full(())) => return Err(delivery),
                    // A shard that has stopped has no subscribers.
                    Err(TrySendError::Closed(())) => {}
                }
            }
        }
        let broadcast = Arc::new(Broadcast::new(delivery));
        for place in places {
            place.send(shard::Message::Deliver(Arc::clone(&broadcast)));
        }
        Ok(())
    }

    /// Tells the subscribers on this node that want to know it that somebody came or went.
    pub async fn tell(&self, passage: Passage) {
        let Some(wanted) = self.registry.shards_of(&passage.channel) else { return };
        let passage = Arc::new(passage);
        for (number, shard) in self.shards.iter().enumerate() {
            if wanted >> number & 1 == 1 {
                let _ = shard.send(shard::Message::Tell(Arc::clone(&passage))).await;
            }
        }
    }

    /// Tells every subscriber of a channel on this node that it missed
    /// something, so that it recovers.
    pub async fn invalidate(&self, channel: &ChannelName) {
        for shard in &self.shards {
            let _ = shard.send(shard::Message::Invalidate(channel.clone())).await;
        }
    }

    /// Closes the connections of an owner on this node; all of the user's, if
    /// the owner names no session.
    pub async fn close(&self, owner: Owner, why: Disconnect) {
        for shard in &self.shards {
            let _ = shard.send(shard::Message::Close(owner, why.clone())).await;
        }
    }

    /// Hands an order to the connections of a user on this node, which is named by its number or by 0 for
    /// anonymous clients.
    pub async fn order(&self, user: i64, directive: Directive) {
        let directive = Arc::new(directive);
        for shard in &self.shards {
            let _ = shard.send(shard::Message::Order(user, Arc::clone(&directive))).await;
        }
    }

    /// The channels with subscribers on this node whose names are wanted, with how many there are.
    pub async fn channels(
        &self,
        wanted: impl Fn(&str) -> bool + Clone + Send + 'static,
    ) -> FxHashMap<ChannelName, u64> {
        let mut channels = FxHashMap::default();
        for shard in &self.shards {
            let (sender, receiver) = oneshot::channel();
            let message = shard::Message::Channels(Box::new(wanted.clone()), sender);
            let _ = shard.send(message).await;
            for (channel, count) in receiver.await.unwrap_or_default() {
                *channels.entry(channel).or_default() += count;
            }
        }
        channels
    }

    /// What the shards have counted, each its own.
    pub async fn stats(&self) -> Vec<ShardStats> {
        let mut stats = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            let (sender, receiver) = oneshot::channel();
            let _ = shard.send(shard::Message::Report(sender)).await;
            stats.extend(receiver.await);
        }
        stats
    }

    /// Which channels this node is subscribed to.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Closes every connection with 3001 and ends the shards.
    pub async fn stop(&self) {
        for shard in &self.shards {
            let (sender, receiver) = oneshot::channel();
            if shard.send(shard::Message::Stop(sender)).await.is_ok() {
                // An error means that it has ended already.
                let _ = receiver.await;
            }
        }
    }
}
