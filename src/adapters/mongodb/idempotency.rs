//! Idempotency keys.

use std::sync::Arc;

use async_trait::async_trait;
use mongodb::Collection;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{self, Binary, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::idempotency::{Claim, IdempotencyKeys, KeyScope, Lease, Minted, StoredAnswer};

use super::keys;
use super::relay_ledger::INCARNATIONS;
use super::store::{Durability, Failure, Mongo};
use super::stored;

const KEYS: &str = "idempotency_keys";
/// How often a key may be forgotten while it is claimed before the caller is told to wait.
const ATTEMPTS: usize = 3;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyDocument {
    #[serde(rename = "_id")]
    id: String,
    fingerprint: Binary,
    event: bson::Uuid,
    resource: String,
    holder: bson::Uuid,
    /// Absent once the lease was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_until: Option<DateTime>,
    claimed_at: DateTime,
    /// Absent until the request was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Binary>,
}

/// A key as it is found, which it always is by its whole scope.
fn id_of(scope: &KeyScope) -> Document {
    doc! { "_id": id(scope) }
}

fn id(scope: &KeyScope) -> String {
    keys::idempotency(&scope.principal, &scope.route, &scope.key)
}

fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

impl KeyDocument {
    fn claim(self, fingerprint: [u8; 32]) -> Result<Claim, Failure> {
        if self.fingerprint.bytes != fingerprint {
            return Ok(Claim::Mismatch);
        }
        let Some(status) = self.status else {
            return Ok(Claim::InProgress);
        };
        Ok(Claim::Answered(StoredAnswer {
            status: u16::try_from(status).map_err(Failure::unreadable)?,
            body: self.body.map(|body| body.bytes).unwrap_or_default(),
        }))
    }
}

/// Keeps keys in MongoDB, next to the incarnations that hold leases.
///
/// A claim waits for a majority: one that a failover took back would let a repeat be carried out
/// a second time under other ids. What follows a claim need not wait, for without it the lease runs
/// out and the request is carried out again under the same ids.
pub struct MongoIdempotencyKeys {
    db: Arc<Mongo>,
}

impl MongoIdempotencyKeys {
    /// Keys in the database of the log.
    pub fn new(db: Arc<Mongo>) -> Self {
        Self { db }
    }

    fn keys<T: Send + Sync>(&self, durability: Durability) -> Collection<T> {
        self.db.collection(KEYS, durability)
    }

    async fn take(
        &self,
        scope: &KeyScope,
        fingerprint: [u8; 32],
        minted: &Minted,
        lease: Lease,
        now: Timestamp,
    ) -> Result<Claim, Failure> {
        for _ in 0..ATTEMPTS {
            if self.insert(scope, fingerprint, minted, lease, now).await? {
                return Ok(Claim::Granted(minted.clone()));
            }
            let keys = self.keys::<KeyDocument>(Durability::Majority);
            // One that was forgotten meanwhile is new.
            let Some(held) = self.db.bounded(keys.find_one(id_of(scope))).await? else { continue };
            let identities = Minted {
                event: stored::read_event_id(held.event),
                resource: held.resource.clone(),
            };
            if self.is_free(&held, fingerprint, now).await?
                && self.take_over(scope, &held, lease, now).await?
            {
                return Ok(Claim::Granted(identities));
            }
            return held.claim(fingerprint);
        }
        Ok(Claim::InProgress)
    }

    async fn insert(
        &self,
        scope: &KeyScope,
        fingerprint: [u8; 32],
        minted: &Minted,
        lease: Lease,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        let document = KeyDocument {
            id: id(scope),
            fingerprint: binary(&fingerprint),
            event: stored::event_id(minted.event),
            resource: minted.resource.clone(),
            holder: stored::uuid(lease.holder.0),
            lease_until: Some(stored::date(lease.until)),
            claimed_at: stored::date(now),
            status: None,
            body: None,
        };
        let keys = self.keys::<KeyDocument>(Durability::Majority);
        match self.db.bounded(keys.insert_one(document)).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_duplicate() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the lease on a key ran out, was released, or is that of a run that is over.
    async fn is_free(
        &self,
        held: &KeyDocument,
        fingerprint: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, Failure> {
        if held.status.is_some() || held.fingerprint.bytes != fingerprint {
            return Ok(false);
        }
        if held.lease_until.is_none_or(|until| stored::time(until) <= now) {
            return Ok(true);
        }
        let incarnations = self.db.collection::<Document>(INCARNATIONS, Durability::Majority);
        let over = incarnations
            .find_one(doc! { "_id": held.holder, "closed": true })
            .projection(doc! { "_id": 1 });
        Ok(self.db.bounded(over).await?.is_some())
    }

    /// Takes a lease over, if it still is the one that was found. Of several who try, one changes what the others look for.
    async fn take_over(
        &self,
        scope: &KeyScope,
        held: &KeyDocument,
        lease: Lease,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        let mut found = id_of(scope);
        found.insert("status", doc! { "$exists": false });
        found.insert("holder", held.holder);
        found.insert("claimedAt", held.claimed_at);
        // To MongoDB what is absent equals null.
        found.insert("leaseUntil", held.lease_until);
        let taken = doc! { "$set": {
            "holder": stored::uuid(lease.holder.0),
            "leaseUntil": stored::date(lease.until),
            "claimedAt": stored::date(now),
        } };
        let keys = self.keys::<Document>(Durability::Majority);
        let done = self.db.bounded(keys.update_one(found, taken)).await?;
        Ok(done.matched_count > 0)
    }

    /// One key that was not answered yet.
    fn unanswered(scope: &KeyScope) -> Document {
        let mut found = id_of(scope);
        found.insert("status", doc! { "$exists": false });
        found
    }

    async fn change(&self, scope: &KeyScope, change: Document) -> Result<(), Failure> {
        let keys = self.keys::<Document>(Durability::Covered);
        self.db.bounded(keys.update_one(Self::unanswered(scope), change)).await?;
        Ok(())
    }

    async fn delete(&self, scope: &KeyScope) -> Result<(), Failure> {
        let keys = self.keys::<Document>(Durability::Covered);
        self.db.bounded(keys.delete_one(Self::unanswered(scope))).await?;
        Ok(())
    }

    async fn delete_before(&self, before: Timestamp) -> Result<u64, Failure> {
        let keys = self.keys::<Document>(Durability::Covered);
        let old = doc! { "claimedAt": { "$lt": stored::date(before) } };
        Ok(self.db.bounded(keys.delete_many(old)).await?.deleted_count)
    }
}

#[async_trait]
impl IdempotencyKeys for MongoIdempotencyKeys {
    async fn claim(
        &self,
        scope: &KeyScope,
        fingerprint: [u8; 32],
        minted: &Minted,
        lease: Lease,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let claim = self.take(scope, fingerprint, minted, lease, now).await;
        claim.map_err(|e| self.db.failed(e))
    }

    async fn answer(&self, scope: &KeyScope, answer: &StoredAnswer) -> Result<(), StoreError> {
        let fields = doc! { "status": i32::from(answer.status), "body": binary(&answer.body) };
        let changed = self.change(scope, doc! { "$set": fields }).await;
        changed.map_err(|e| self.db.failed(e))
    }

    async fn forget(&self, scope: &KeyScope) -> Result<(), StoreError> {
        self.delete(scope).await.map_err(|e| self.db.failed(e))
    }

    async fn release(&self, scope: &KeyScope) -> Result<(), StoreError> {
        let changed = self.change(scope, doc! { "$unset": { "leaseUntil": "" } }).await;
        changed.map_err(|e| self.db.failed(e))
    }

    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.delete_before(before).await.map_err(|e| self.db.failed(e))
    }
}
