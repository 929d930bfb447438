//! The runs of nodes.

use std::sync::Arc;

use async_trait::async_trait;
use mongodb::Collection;
use mongodb::bson::{self, DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use serde::Deserialize;

use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::event_log::LogCursor;
use crate::ports::runs::{OpenRun, Runs};

use super::relay_ledger::INCARNATIONS;
use super::store::{Durability, Failure, Mongo};
use super::stored;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunDocument {
    #[serde(rename = "_id")]
    id: bson::Uuid,
    relay_seq: i64,
    beat: i64,
    swept_until: DateTime,
}

/// Keeps the runs in MongoDB, one document each, which has the run's relay cursor as well.
///
/// All writes wait for a majority: what shows that a run goes on must not be taken back by a failover after another
/// node counted on it.
pub struct MongoRuns {
    db: Arc<Mongo>,
}

impl MongoRuns {
    /// The runs in the database of the events.
    pub fn new(db: Arc<Mongo>) -> Self {
        Self { db }
    }

    fn runs<T: Send + Sync>(&self) -> Collection<T> {
        self.db.collection(INCARNATIONS, Durability::Majority)
    }

    async fn insert(&self, run: Incarnation, swept_until: Timestamp) -> Result<(), Failure> {
        let first = doc! {
            "openedAt": stored::date(swept_until), "sweptUntil": stored::date(swept_until),
            "relaySeq": 0_i64, "beat": 0_i64, "closed": false,
        };
        let id = doc! { "_id": stored::uuid(run.0) };
        let runs = self.runs::<Document>();
        let insert = runs.update_one(id, doc! { "$setOnInsert": first }).upsert(true);
        match self.db.bounded(insert).await {
            Err(failure) if !failure.is_duplicate() => Err(failure),
            _ => Ok(()),
        }
    }

    async fn open_ones(&self) -> Result<Vec<OpenRun>, Failure> {
        let runs = self.db.durable_collection::<RunDocument>(INCARNATIONS);
        let query = runs.find(doc! { "closed": false }).sort(doc! { "_id": 1 });
        let read = |run: RunDocument| OpenRun {
            cursor: LogCursor {
                incarnation: Incarnation(stored::read_uuid(run.id)),
                seq: stored::count(run.relay_seq),
            },
            beat: stored::count(run.beat),
            swept_until: stored::time(run.swept_until),
        };
        Ok(self.db.all(query).await?.into_iter().map(read).collect())
    }

    /// Changes the run that is found, and returns its new beat.
    async fn change(&self, found: Document, mut set: Document) -> Result<Option<u64>, Failure> {
        set.insert("$inc", doc! { "beat": 1_i64 });
        let runs = self.runs::<RunDocument>();
        let change = runs.find_one_and_update(found, set).return_document(ReturnDocument::After);
        Ok(self.db.bounded(change).await?.map(|run| stored::count(run.beat)))
    }

    async fn go_on(&self, run: Incarnation, swept_until: Timestamp) -> Result<u64, Failure> {
        let change = doc! {
            "$set": { "closed": false }, "$max": { "sweptUntil": stored::date(swept_until) },
        };
        let beat = self.change(doc! { "_id": stored::uuid(run.0) }, change).await?;
        beat.ok_or_else(|| Failure::Unreadable(format!("the incarnation {run} was never opened")))
    }
}

/// The run, if it is open and has that beat.
fn as_seen(run: Incarnation, beat: u64) -> Document {
    doc! { "_id": stored::uuid(run.0), "beat": stored::integer(beat), "closed": false }
}

#[async_trait]
impl Runs for MongoRuns {
    async fn open(&self, run: Incarnation, swept_until: Timestamp) -> Result<(), StoreError> {
        self.insert(run, swept_until).await.map_err(|e| self.db.failed(e))
    }

    async fn all_open(&self) -> Result<Vec<OpenRun>, StoreError> {
        self.open_ones().await.map_err(|e| self.db.failed(e))
    }

    async fn renew(&self, run: Incarnation, swept_until: Timestamp) -> Result<u64, StoreError> {
        self.go_on(run, swept_until).await.map_err(|e| self.db.failed(e))
    }

    async fn take(&self, run: Incarnation, beat: u64) -> Result<Option<u64>, StoreError> {
        self.change(as_seen(run, beat), doc! {}).await.map_err(|e| self.db.failed(e))
    }

    async fn close(&self, run: Incarnation, beat: u64) -> Result<bool, StoreError> {
        let change = doc! { "$set": { "closed": true } };
        let closed = self.change(as_seen(run, beat), change).await;
        Ok(closed.map_err(|e| self.db.failed(e))?.is_some())
    }
}
