//! The broker of a node that runs alone: streams in memory, their past in the log.

mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dashmap::mapref::one::RefMut;
use dashmap::{DashMap, DashSet};
use rustc_hash::FxBuildHasher;
use tokio::sync::mpsc;

use stream::Stream;

use crate::domain::channel::ChannelName;
use crate::domain::publication::{Delivery, Epoch, Passage, Publication, StreamPosition};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::broker::{
    Arriving, Broker, HistoryPage, HistoryQuery, Outgoing, Retention, Shortcut,
};
use crate::ports::clock::Clock;
use crate::ports::event_log::{RelayLedger, last_version};
use crate::ports::present::PresentReader;

/// Publishes to its own node. A channel's stream begins a new epoch with the
/// first publication or question after the process started; it is then filled
/// with what the ledger recorded in earlier epochs.
pub struct MemoryBroker {
    streams: DashMap<ChannelName, Stream, FxBuildHasher>,
    subscribed: DashSet<ChannelName, FxBuildHasher>,
    sink: mpsc::Sender<Arriving>,
    shortcut: Arc<Shortcut>,
    ledger: Arc<dyn RelayLedger>,
    present: PresentReader,
    clock: Arc<dyn Clock>,
    /// The last epoch of earlier runs; none if nothing was ever recorded, and
    /// then there is no past to read.
    last_epoch: Option<Epoch>,
    /// The number of streams at which idle ones are looked for.
    sweep_at: AtomicUsize,
    /// The number of the next epoch. Numbers of one run follow those of all runs
    /// before it, whatever the clock says, so that no offset ever means two things.
    next_epoch: AtomicU64,
    /// Bytes that all streams hold, and how many they may.
    held_bytes: AtomicUsize,
    max_bytes: usize,
}

/// What all histories hold together, unless it is said otherwise.
const MAX_BYTES_DEFAULT: usize = 256 * 1024 * 1024;
/// Each run has this many bits of epochs to give.
const RUN_SHIFT: u32 = 32;
/// Fewer streams than this are never looked through for idle ones.
const SWEEP_AT_LEAST: usize = 65_536;
/// How long a stream that nobody publishes to or asks for counts as in use.
const IDLE_AFTER: Duration = Duration::from_secs(60);

impl MemoryBroker {
    /// A broker that delivers to `sink`. What earlier runs recorded is read from
    /// `ledger`, and told as it is at `present`.
    pub async fn new(
        ledger: Arc<dyn RelayLedger>,
        present: PresentReader,
        clock: Arc<dyn Clock>,
        sink: mpsc::Sender<Arriving>,
    ) -> Result<Self, StoreError> {
        let last_epoch = ledger.last_epoch().await?;
        let recorded = last_epoch.as_ref().map_or(0, |epoch| epoch.number() + 1);
        let first = u64::from(ledger.count_run().await?) << RUN_SHIFT;
        Ok(Self {
            streams: DashMap::default(),
            subscribed: DashSet::default(),
            sink,
            shortcut: Arc::default(),
            ledger,
            present,
            clock,
            last_epoch,
            sweep_at: AtomicUsize::new(SWEEP_AT_LEAST),
            next_epoch: AtomicU64::new(first.max(recorded)),
            held_bytes: AtomicUsize::new(0),
            max_bytes: MAX_BYTES_DEFAULT,
        })
    }

    /// Has publications without a place in a stream go by `shortcut` where that is open. Whoever takes deliveries from the
    /// sink has to tell it.
    pub fn going_by(self, shortcut: Arc<Shortcut>) -> Self {
        Self { shortcut, ..self }
    }

    /// Bounds what the histories of all channels hold together.
    pub fn holding_at_most(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// Bytes that all streams hold.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Makes sure that the channel has a stream in this run.
    async fn warm(&self, channel: &ChannelName, retention: Retention) -> Result<(), StoreError> {
        if self.streams.contains_key(channel) {
            return Ok(());
        }
        let now = self.clock.now();
        let past = match self.last_epoch {
            None => Vec::new(),
            Some(_) => {
                let not_before = now.minus(retention.ttl);
                self.ledger.latest_relayed(channel, not_before, retention.size).await?
            }
        };
        let epoch = Epoch::from_number(self.next_epoch.fetch_add(1, Ordering::Relaxed));
        let mut stream = Stream::new(epoch, retention, now);
        let bodies = self.present.bodies(channel, &past).await?;
        stream.version = last_version(&past).cloned();
        for (relayed, body) in past.into_iter().zip(bodies) {
            let publication =
                Publication { offset: stream.top + 1, event: Some(relayed.event.id), body };
            stream.push(publication, relayed.event.time);
        }
        stream.seeded_through = stream.top;
        // Another caller may have been faster; then its stream holds.
        let bytes = stream.bytes;
        if let dashmap::Entry::Vacant(place) = self.streams.entry(channel.clone()) {
            place.insert(stream);
            self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.forget_idle(now);
        self.stay_within_budget(now);
        Ok(())
    }

    /// Drops streams that nobody is subscribed to and that hold nothing any
    /// more, whenever their number has doubled. One that is asked for again
    /// begins a new epoch, filled from the ledger as after a restart.
    fn forget_idle(&self, now: Timestamp) {
        if self.streams.len() < self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        self.streams.retain(|channel, stream| {
            self.change(stream, |stream| stream.expire(now));
            let in_use =
                now.since(stream.used_at) < IDLE_AFTER || self.subscribed.contains(channel);
            in_use || !stream.is_empty()
        });
        let sweep_at = (2 * self.streams.len()).max(SWEEP_AT_LEAST);
        self.sweep_at.store(sweep_at, Ordering::Relaxed);
    }

    /// Drops the older half of every history until all of them together fit. What
    /// is dropped of channels that recover from the log is read from there.
    fn stay_within_budget(&self, now: Timestamp) {
        while self.held_bytes.load(Ordering::Relaxed) > self.max_bytes {
            let before = self.held_bytes.load(Ordering::Relaxed);
            for mut stream in self.streams.iter_mut() {
                self.change(&mut stream, |stream| {
                    stream.expire(now);
                    stream.halve();
                });
            }
            if self.held_bytes.load(Ordering::Relaxed) >= before {
                return;
            }
        }
    }

    /// Changes a stream and counts what it holds more or less.
    fn change(&self, stream: &mut Stream, change: impl FnOnce(&mut Stream)) {
        let before = stream.bytes;
        change(stream);
        if stream.bytes >= before {
            self.held_bytes.fetch_add(stream.bytes - before, Ordering::Relaxed);
        } else {
            self.held_bytes.fetch_sub(before - stream.bytes, Ordering::Relaxed);
        }
    }

    async fn publish_one(&self, outgoing: &Outgoing) -> Result<Option<StreamPosition>, StoreError> {
        let Some(retention) = outgoing.retention else {
            if let Some(delivery) = self.pass_on(outgoing) {
                let place = self.sink.reserve().await.map_err(|_| stopped())?;
                self.send(place, Arriving::Publication(delivery));
            }
            return Ok(None);
        };
        self.warm(&outgoing.channel, retention).await?;
        // The place in the queue is taken first, so that offsets are queued in
        // their order without waiting under the stream's lock.
        let place = self.sink.reserve().await.map_err(|_| stopped())?;
        let stream = self.streams.get_mut(&outgoing.channel).ok_or_else(stopped)?;
        Ok(self.put(outgoing, retention, stream, place))
    }

    /// Passes on what the history does not keep; gives back what has to be queued for that.
    fn pass_on(&self, outgoing: &Outgoing) -> Option<Delivery> {
        let Outgoing { channel, event, body, .. } = outgoing;
        if !self.subscribed.contains(channel) {
            return None;
        }
        let publication = Publication { offset: 0, event: *event, body: Arc::clone(body) };
        let delivery = Delivery { channel: channel.clone(), epoch: None, publication };
        self.shortcut.take(delivery).err()
    }

    /// Puts a publication into the stream of its channel and queues it. It has no position if another one superseded it.
    fn put(
        &self,
        outgoing: &Outgoing,
        retention: Retention,
        mut stream: RefMut<'_, ChannelName, Stream>,
        place: mpsc::Permit<'_, Arriving>,
    ) -> Option<StreamPosition> {
        let Outgoing { channel, event, body, version, .. } = outgoing;
        let now = self.clock.now();
        (stream.retention, stream.used_at) = (retention, now);
        if let Some(known) = event.and_then(|event| stream.offset_of(event)) {
            return Some(StreamPosition { epoch: stream.epoch.clone(), offset: known });
        }
        if let Some(version) = version {
            if !version.succeeds(stream.version.as_ref()) {
                return None;
            }
            stream.version = Some(version.clone());
        }
        let offset = stream.top + 1;
        let publication = Publication { offset, event: *event, body: Arc::clone(body) };
        self.change(&mut stream, |stream| {
            stream.push(publication.clone(), now);
            stream.expire(now);
        });
        let epoch = stream.epoch.clone();
        if self.subscribed.contains(channel) {
            let (channel, epoch) = (channel.clone(), Some(epoch.clone()));
            self.send(place, Arriving::Publication(Delivery { channel, epoch, publication }));
        }
        Some(StreamPosition { epoch, offset })
    }

    fn send(&self, place: mpsc::Permit<'_, Arriving>, arriving: Arriving) {
        self.shortcut.queued();
        place.send(arriving);
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, batch: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError> {
        let mut positions = Vec::with_capacity(batch.len());
        for outgoing in batch {
            positions.push(self.publish_one(outgoing).await?);
        }
        self.stay_within_budget(self.clock.now());
        Ok(positions)
    }

    fn publish_now(&self, outgoing: &Outgoing) -> Option<Option<StreamPosition>> {
        let Some(retention) = outgoing.retention else {
            if let Some(delivery) = self.pass_on(outgoing) {
                let place = self.sink.try_reserve().ok()?;
                self.send(place, Arriving::Publication(delivery));
            }
            return Some(None);
        };
        // What makes room looks through all streams, and a stream begins with what the ledger has.
        if self.held_bytes.load(Ordering::Relaxed) > self.max_bytes {
            return None;
        }
        let place = self.sink.try_reserve().ok()?;
        // Somebody else may hold this part of the streams for long, and a shard waits for nobody.
        let stream = self.streams.try_get_mut(&outgoing.channel).try_unwrap()?;
        Some(self.put(outgoing, retention, stream, place))
    }

    async fn announce(&self, passage: &Passage) -> Result<(), StoreError> {
        if !self.subscribed.contains(&passage.channel) {
            return Ok(());
        }
        let place = self.sink.reserve().await.map_err(|_| stopped())?;
        self.send(place, Arriving::Passage(passage.clone()));
        Ok(())
    }

    async fn subscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.subscribed.insert(channel.clone());
        Ok(())
    }

    async fn unsubscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.subscribed.remove(channel);
        Ok(())
    }

    async fn clear(&self, channel: &ChannelName, retention: Retention) -> Result<(), StoreError> {
        self.warm(channel, retention).await?;
        let mut stream = self.streams.get_mut(channel).ok_or_else(stopped)?;
        self.change(&mut stream, |stream| while stream.drop_oldest() {});
        Ok(())
    }

    async fn history(
        &self,
        channel: &ChannelName,
        retention: Retention,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        self.warm(channel, retention).await?;
        let now = self.clock.now();
        let mut stream = self.streams.get_mut(channel).ok_or_else(stopped)?;
        stream.used_at = now;
        self.change(&mut stream, |stream| stream.expire(now));
        Ok(stream.page(query))
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable { store: "realtime", cause: "the node is stopping".into() }
}
