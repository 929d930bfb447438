//! The broker of a node that runs alone: streams in memory, their past in the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dashmap::{DashMap, DashSet};
use rustc_hash::{FxBuildHasher, FxHashSet};
use tokio::sync::mpsc;

use crate::domain::announcement;
use crate::domain::channel::ChannelName;
use crate::domain::ids::EventId;
use crate::domain::publication::{Delivery, Epoch, Publication, StreamPosition};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::broker::{Broker, HistoryPage, HistoryQuery, Outgoing, Retention};
use crate::ports::clock::Clock;
use crate::ports::event_log::RelayLedger;

/// Publishes to its own node. A channel's stream begins a new epoch with the
/// first publication or question after the process started; it is then filled
/// with what the ledger recorded in earlier epochs.
pub struct MemoryBroker {
    streams: DashMap<ChannelName, Stream, FxBuildHasher>,
    subscribed: DashSet<ChannelName, FxBuildHasher>,
    sink: mpsc::Sender<Delivery>,
    ledger: Arc<dyn RelayLedger>,
    clock: Arc<dyn Clock>,
    /// The last epoch of earlier runs; none if nothing was ever recorded, and
    /// then there is no past to read.
    last_epoch: Option<Epoch>,
    /// The number of streams at which idle ones are looked for.
    sweep_at: AtomicUsize,
    /// The number of the next epoch. Numbers of one run follow those of all runs
    /// before it, whatever the clock says, so that no offset ever means two things.
    next_epoch: AtomicU64,
}

/// Each run has this many bits of epochs to give.
const RUN_SHIFT: u32 = 32;
/// Fewer streams than this are never looked through for idle ones.
const SWEEP_AT_LEAST: usize = 65_536;
/// How long a stream that nobody publishes to or asks for counts as in use.
const IDLE_AFTER: Duration = Duration::from_secs(60);

struct Stream {
    epoch: Epoch,
    top: u64,
    seeded_through: u64,
    entries: VecDeque<Entry>,
    /// The events of `entries`, to recognise one that is published again.
    events: FxHashSet<EventId>,
    retention: Retention,
    /// When it was last published to or asked for.
    used_at: Timestamp,
}

struct Entry {
    publication: Publication,
    published_at: Timestamp,
}

impl MemoryBroker {
    /// A broker that delivers to `sink`. What earlier runs recorded is read from `ledger`.
    pub async fn new(
        ledger: Arc<dyn RelayLedger>,
        clock: Arc<dyn Clock>,
        sink: mpsc::Sender<Delivery>,
    ) -> Result<Self, StoreError> {
        let last_epoch = ledger.last_epoch().await?;
        let recorded = last_epoch.as_ref().map_or(0, |epoch| epoch.number() + 1);
        let first = u64::from(ledger.count_run().await?) << RUN_SHIFT;
        Ok(Self {
            streams: DashMap::default(),
            subscribed: DashSet::default(),
            sink,
            ledger,
            clock,
            last_epoch,
            sweep_at: AtomicUsize::new(SWEEP_AT_LEAST),
            next_epoch: AtomicU64::new(first.max(recorded)),
        })
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
        for relayed in past {
            let body = announcement::body_of(&relayed.event);
            let publication =
                Publication { offset: stream.top + 1, event: Some(relayed.event.id), body };
            stream.push(publication, relayed.event.time);
        }
        stream.seeded_through = stream.top;
        // Another caller may have been faster; then its stream holds.
        self.streams.entry(channel.clone()).or_insert(stream);
        self.forget_idle(now);
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
            stream.expire(now);
            let in_use =
                now.since(stream.used_at) < IDLE_AFTER || self.subscribed.contains(channel);
            in_use || !stream.entries.is_empty()
        });
        let sweep_at = (2 * self.streams.len()).max(SWEEP_AT_LEAST);
        self.sweep_at.store(sweep_at, Ordering::Relaxed);
    }

    async fn publish_one(&self, outgoing: &Outgoing) -> Result<Option<StreamPosition>, StoreError> {
        let channel = &outgoing.channel;
        if let Some(retention) = outgoing.retention {
            self.warm(channel, retention).await?;
        }
        // The place in the queue is taken first, so that offsets are queued in
        // their order without waiting under the stream's lock.
        let place = self.sink.reserve().await.map_err(|_| stopped())?;
        let mut publication =
            Publication { offset: 0, event: outgoing.event, body: Arc::clone(&outgoing.body) };
        let Some(retention) = outgoing.retention else {
            if self.subscribed.contains(channel) {
                place.send(Delivery { channel: channel.clone(), epoch: None, publication });
            }
            return Ok(None);
        };
        let now = self.clock.now();
        let mut stream = self.streams.get_mut(channel).ok_or_else(stopped)?;
        (stream.retention, stream.used_at) = (retention, now);
        if let Some(known) = outgoing.event.and_then(|event| stream.offset_of(event)) {
            return Ok(Some(StreamPosition { epoch: stream.epoch.clone(), offset: known }));
        }
        publication.offset = stream.top + 1;
        stream.push(publication.clone(), now);
        stream.expire(now);
        let epoch = stream.epoch.clone();
        let position = StreamPosition { epoch: epoch.clone(), offset: publication.offset };
        if self.subscribed.contains(channel) {
            place.send(Delivery { channel: channel.clone(), epoch: Some(epoch), publication });
        }
        Ok(Some(position))
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, batch: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError> {
        let mut positions = Vec::with_capacity(batch.len());
        for outgoing in batch {
            positions.push(self.publish_one(outgoing).await?);
        }
        Ok(positions)
    }

    async fn subscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.subscribed.insert(channel.clone());
        Ok(())
    }

    async fn unsubscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.subscribed.remove(channel);
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
        stream.expire(now);
        Ok(stream.page(query))
    }
}

impl Stream {
    fn new(epoch: Epoch, retention: Retention, used_at: Timestamp) -> Self {
        let (entries, events) = (VecDeque::new(), FxHashSet::default());
        Self { epoch, top: 0, seeded_through: 0, entries, events, retention, used_at }
    }

    fn push(&mut self, publication: Publication, published_at: Timestamp) {
        self.top = publication.offset;
        self.events.extend(publication.event);
        self.entries.push_back(Entry { publication, published_at });
        while self.entries.len() > self.retention.size {
            self.drop_oldest();
        }
    }

    fn expire(&mut self, now: Timestamp) {
        let not_before = now.minus(self.retention.ttl);
        while self.entries.front().is_some_and(|entry| entry.published_at < not_before) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(event) = self.entries.pop_front().and_then(|entry| entry.publication.event) {
            self.events.remove(&event);
        }
    }

    fn offset_of(&self, event: EventId) -> Option<u64> {
        if !self.events.contains(&event) {
            return None;
        }
        let known = self.entries.iter().rev().find(|entry| entry.publication.event == Some(event));
        known.map(|entry| entry.publication.offset)
    }

    fn page(&self, query: &HistoryQuery) -> HistoryPage {
        let publications = self.entries.iter().map(|entry| &entry.publication);
        let publications = if query.reverse {
            let wanted = |p: &&Publication| query.since.is_none_or(|since| p.offset < since);
            publications.rev().filter(wanted).take(query.limit).cloned().collect()
        } else {
            let wanted = |p: &&Publication| query.since.is_none_or(|since| p.offset > since);
            publications.filter(wanted).take(query.limit).cloned().collect()
        };
        HistoryPage {
            top: StreamPosition { epoch: self.epoch.clone(), offset: self.top },
            seeded_through: self.seeded_through,
            oldest: self.entries.front().map_or(self.top + 1, |entry| entry.publication.offset),
            publications,
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable { store: "realtime", cause: "the node is stopping".into() }
}
