//! Where events were relayed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mongodb::Collection;
use mongodb::bson::{self, Document, doc};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use crate::domain::channel::ChannelName;
use crate::domain::ids::Incarnation;
use crate::domain::publication::{Epoch, StreamPosition};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::event_log::{LogCursor, RelayLedger, RelayRecord, RelayedEvent};

use super::event_log::EVENTS;
use super::keys;
use super::store::{Durability, Failure, Mongo};
use super::stored;

/// The runs of nodes.
pub(super) const INCARNATIONS: &str = "incarnations";
const POSITIONS: &str = "positions";
const RUNS: &str = "runs";
/// The only document of `runs`.
const COUNTER: &str = "count";
/// Positions that are read backwards at once, at least.
const PAGE_MIN: usize = 100;

#[derive(Serialize, Deserialize)]
struct PositionDocument {
    /// The place: channel, epoch and offset.
    #[serde(rename = "_id")]
    place: String,
    event: bson::Uuid,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastEpoch {
    last_epoch: String,
}

#[derive(Deserialize)]
struct Counter {
    count: i64,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "_id")]
    id: bson::Uuid,
    body: String,
}

/// Keeps positions and relay cursors in MongoDB, without transactions.
///
/// A record is three writes: the epoch, if it is later than what the incarnation has recorded; the
/// positions; the cursor. Whatever a crash leaves out is made again, as the cursor is the last: the
/// events are relayed once more, and no position is known in an epoch that is not.
pub struct MongoRelayLedger {
    db: Arc<Mongo>,
    /// The last epoch that this process recorded of each incarnation, which need not be written again.
    epochs: Mutex<HashMap<Incarnation, Epoch>>,
}

impl MongoRelayLedger {
    /// A ledger in the database of the events that it tells of.
    pub fn new(db: Arc<Mongo>) -> Self {
        Self { db, epochs: Mutex::default() }
    }

    fn incarnations<T: Send + Sync>(&self) -> Collection<T> {
        self.db.collection(INCARNATIONS, Durability::Majority)
    }

    /// Moves fields of an incarnation that only grow.
    async fn advance(
        &self,
        incarnation: Incarnation,
        fields: Document,
        durability: Durability,
    ) -> Result<(), Failure> {
        let incarnations = self.db.collection::<Document>(INCARNATIONS, durability);
        let id = doc! { "_id": stored::uuid(incarnation.0) };
        let done = self.db.bounded(incarnations.update_one(id, doc! { "$max": fields })).await?;
        if done.matched_count == 0 {
            return Err(Failure::Unreadable(format!(
                "the incarnation {incarnation} was never opened"
            )));
        }
        Ok(())
    }

    async fn write(&self, relays: &[RelayRecord], cursor: LogCursor) -> Result<(), Failure> {
        let incarnation = cursor.incarnation;
        if let Some(epoch) = relays.iter().map(|relay| &relay.position.epoch).max() {
            self.record_epoch(incarnation, epoch).await?;
            self.insert(relays).await?;
        }
        // If this is lost, the events are relayed again.
        let seq = doc! { "relaySeq": stored::integer(cursor.seq) };
        self.advance(incarnation, seq, Durability::Covered).await
    }

    fn has_recorded(&self, incarnation: Incarnation, epoch: &Epoch) -> bool {
        let epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        epochs.get(&incarnation).is_some_and(|known| known >= epoch)
    }

    async fn record_epoch(&self, incarnation: Incarnation, epoch: &Epoch) -> Result<(), Failure> {
        if self.has_recorded(incarnation, epoch) {
            return Ok(());
        }
        let last = doc! { "lastEpoch": epoch.as_str() };
        self.advance(incarnation, last, Durability::Majority).await?;
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = epochs.entry(incarnation).or_insert_with(|| epoch.clone());
        if *latest < *epoch {
            *latest = epoch.clone();
        }
        Ok(())
    }

    /// Passes over places that are taken.
    async fn insert(&self, relays: &[RelayRecord]) -> Result<(), Failure> {
        let positions = self.db.durable_collection::<PositionDocument>(POSITIONS);
        let documents = relays.iter().map(|relay| PositionDocument {
            place: keys::position(&relay.channel, &relay.position),
            event: stored::event_id(relay.event),
        });
        let inserted = self.db.bounded(positions.insert_many(documents).ordered(false)).await;
        let Err(failure) = inserted else { return Ok(()) };
        match failure.refused() {
            Some(refused) if refused.iter().all(|(_, duplicate)| *duplicate) => Ok(()),
            _ => Err(failure),
        }
    }

    async fn page(
        &self,
        after: &str,
        before: &str,
        order: i32,
        limit: usize,
    ) -> Result<Vec<PositionDocument>, Failure> {
        let positions = self.db.durable_collection::<PositionDocument>(POSITIONS);
        let query = positions
            .find(doc! { "_id": { "$gt": after, "$lt": before } })
            .sort(doc! { "_id": order })
            .limit(stored::integer(limit));
        self.db.all(query).await
    }

    /// The events at these places, in their order; without those that the log lacks.
    async fn events_at(
        &self,
        positions: &[PositionDocument],
    ) -> Result<Vec<RelayedEvent>, Failure> {
        let ids: HashSet<_> = positions.iter().map(|one| one.event.bytes()).collect();
        let ids: Vec<_> = ids.into_iter().map(bson::Uuid::from_bytes).collect();
        let events = self.db.durable_collection::<Body>(EVENTS);
        let query =
            events.find(doc! { "_id": { "$in": ids } }).projection(doc! { "_id": 1, "body": 1 });
        let found = self.db.all(query).await?.into_iter();
        let bodies: HashMap<_, _> = found.map(|one| (one.id.bytes(), one.body)).collect();
        let known = positions
            .iter()
            .filter_map(|one| bodies.get(&one.event.bytes()).map(|body| (&one.place, body)));
        known
            .map(|(place, body)| {
                let place = keys::read_position(place);
                let (text, offset) = place.ok_or_else(|| Failure::unreadable("no place"))?;
                let position = StreamPosition { epoch: epoch(text)?, offset };
                Ok(RelayedEvent { position, event: stored::event(body)? })
            })
            .collect()
    }

    async fn after(
        &self,
        channel: &ChannelName,
        since: &StreamPosition,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, Failure> {
        let (mut from, (_, end)) = (keys::position(channel, since), keys::all_positions(channel));
        let mut found = Vec::new();
        while found.len() < limit {
            let page = self.page(&from, &end, 1, limit - found.len()).await?;
            let Some(last) = page.last() else { break };
            found.extend(self.events_at(&page).await?);
            from.clone_from(&last.place);
        }
        Ok(found)
    }

    /// Walks the channel back from its last place, and so meets each event first where it is last.
    async fn latest(
        &self,
        channel: &ChannelName,
        not_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, Failure> {
        let (start, mut to) = keys::all_positions(channel);
        let (mut met, mut found) = (HashSet::new(), Vec::new());
        while found.len() < limit {
            let page = self.page(&start, &to, -1, limit.max(PAGE_MIN)).await?;
            let Some(last) = page.last() else { break };
            to.clone_from(&last.place);
            let relayed = self.events_at(&page).await?.into_iter();
            let young = relayed.filter(|one| one.event.time >= not_before);
            found.extend(young.filter(|one| met.insert(one.event.id)));
        }
        found.truncate(limit);
        found.reverse();
        Ok(found)
    }

    async fn next_run(&self) -> Result<u32, Failure> {
        let runs = self.db.durable_collection::<Counter>(RUNS);
        let count = || async {
            let one_more = runs
                .find_one_and_update(doc! { "_id": COUNTER }, doc! { "$inc": { "count": 1_i64 } })
                .upsert(true)
                .return_document(ReturnDocument::After);
            self.db.bounded(one_more).await
        };
        // Of two that make the first document at once, one is refused, or told of none, and finds it then.
        let counted = match count().await {
            Err(failure) if failure.is_duplicate() => count().await?,
            Ok(None) => count().await?,
            counted => counted?,
        };
        let count = counted.ok_or_else(|| Failure::unreadable("no run was counted"))?.count;
        u32::try_from(count).map_err(Failure::unreadable)
    }

    async fn last(&self) -> Result<Option<Epoch>, Failure> {
        let incarnations = self.incarnations::<LastEpoch>();
        let last = incarnations
            .find_one(doc! { "lastEpoch": { "$gt": "" } })
            .sort(doc! { "lastEpoch": -1 })
            .projection(doc! { "_id": 0, "lastEpoch": 1 });
        let last = self.db.bounded(last).await?;
        last.map(|last| epoch(&last.last_epoch)).transpose()
    }
}

fn epoch(text: &str) -> Result<Epoch, Failure> {
    Epoch::parse(text).ok_or_else(|| Failure::Unreadable(format!("{text:?} is no epoch")))
}

#[async_trait]
impl RelayLedger for MongoRelayLedger {
    async fn record(&self, relays: &[RelayRecord], cursor: LogCursor) -> Result<(), StoreError> {
        self.write(relays, cursor).await.map_err(|e| self.db.failed(e))
    }

    async fn relayed_after(
        &self,
        channel: &ChannelName,
        since: &StreamPosition,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError> {
        self.after(channel, since, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn latest_relayed(
        &self,
        channel: &ChannelName,
        not_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError> {
        self.latest(channel, not_before, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn count_run(&self) -> Result<u32, StoreError> {
        self.next_run().await.map_err(|e| self.db.failed(e))
    }

    async fn last_epoch(&self) -> Result<Option<Epoch>, StoreError> {
        self.last().await.map_err(|e| self.db.failed(e))
    }
}
