//! Idempotency keys.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Connection, Error, FromRow, SqliteConnection};

use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::idempotency::{Claim, IdempotencyKeys, KeyScope, Lease, Minted, StoredAnswer};

use super::database::{Database, unreadable};
use super::stored;

/// Takes a key that is new, or whose lease ran out. Returns the identities of
/// whoever claimed it first; no row if the key is not to be had.
const TAKE: &str = "
    INSERT INTO idempotency_keys AS k
        (principal, route, key, fingerprint, event, resource, holder, lease_until, claimed_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (principal, route, key) DO UPDATE
    SET holder = excluded.holder, lease_until = excluded.lease_until,
        claimed_at = excluded.claimed_at
    WHERE k.fingerprint = excluded.fingerprint AND k.status IS NULL
      AND (k.lease_until IS NULL OR k.lease_until <= excluded.claimed_at
           OR EXISTS (SELECT 1 FROM incarnations AS i WHERE i.id = k.holder AND i.closed = 1))
    RETURNING event, resource";

/// Keeps keys in `log.db`.
///
/// Its writes are covered ones, which the append of the event that a claim
/// leads to makes durable.
pub struct SqliteIdempotencyKeys {
    db: Arc<Database>,
}

#[derive(FromRow)]
struct Held {
    fingerprint: Vec<u8>,
    status: Option<i64>,
    body: Option<Vec<u8>>,
}

impl Held {
    fn claim(self, fingerprint: [u8; 32]) -> Result<Claim, Error> {
        if self.fingerprint != fingerprint {
            return Ok(Claim::Mismatch);
        }
        let Some(status) = self.status else {
            return Ok(Claim::InProgress);
        };
        Ok(Claim::Answered(StoredAnswer {
            status: u16::try_from(status).map_err(unreadable)?,
            body: self.body.unwrap_or_default(),
        }))
    }
}

impl SqliteIdempotencyKeys {
    /// Keys in the file opened with `Schema::Log`, next to the incarnations that hold leases.
    pub fn new(db: Arc<Database>) -> Self {
        Self { db }
    }

    async fn take(
        &self,
        scope: &KeyScope,
        fingerprint: [u8; 32],
        minted: &Minted,
        lease: Lease,
        now: Timestamp,
    ) -> Result<Claim, Error> {
        let mut writer = self.db.covered_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let taken: Option<(Vec<u8>, String)> = sqlx::query_as(TAKE)
            .bind(&scope.principal)
            .bind(&scope.route)
            .bind(&scope.key)
            .bind(&fingerprint[..])
            .bind(&minted.event.0.as_bytes()[..])
            .bind(&minted.resource)
            .bind(&lease.holder.0.as_bytes()[..])
            .bind(lease.until.as_millis())
            .bind(now.as_millis())
            // All rows, as a statement is only carried out once it ran to its end.
            .fetch_all(&mut *tx)
            .await?
            .pop();
        let claim = match taken {
            Some((event, resource)) => {
                Claim::Granted(Minted { event: EventId(stored::uuid(&event)?), resource })
            }
            None => held(&mut tx, scope).await?.claim(fingerprint)?,
        };
        tx.commit().await?;
        Ok(claim)
    }

    /// Carries out a statement on one key that was not answered yet.
    async fn change(
        &self,
        statement: &'static str,
        scope: &KeyScope,
        answer: Option<&StoredAnswer>,
    ) -> Result<(), Error> {
        let mut writer = self.db.covered_write().await?;
        sqlx::query(statement)
            .bind(&scope.principal)
            .bind(&scope.route)
            .bind(&scope.key)
            .bind(answer.map(|answer| i64::from(answer.status)))
            .bind(answer.map(|answer| &answer.body[..]))
            .execute(&mut *writer)
            .await?;
        Ok(())
    }

    async fn delete_before(&self, before: Timestamp) -> Result<u64, Error> {
        let mut writer = self.db.covered_write().await?;
        let done = sqlx::query("DELETE FROM idempotency_keys WHERE claimed_at < ?")
            .bind(before.as_millis())
            .execute(&mut *writer)
            .await?;
        Ok(done.rows_affected())
    }
}

async fn held(connection: &mut SqliteConnection, scope: &KeyScope) -> Result<Held, Error> {
    sqlx::query_as(
        "SELECT fingerprint, status, body FROM idempotency_keys
         WHERE principal = ? AND route = ? AND key = ?",
    )
    .bind(&scope.principal)
    .bind(&scope.route)
    .bind(&scope.key)
    .fetch_one(connection)
    .await
}

#[async_trait]
impl IdempotencyKeys for SqliteIdempotencyKeys {
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
        let statement = "UPDATE idempotency_keys SET status = ?4, body = ?5
             WHERE principal = ?1 AND route = ?2 AND key = ?3 AND status IS NULL";
        let changed = self.change(statement, scope, Some(answer)).await;
        changed.map_err(|e| self.db.failed(e))
    }

    async fn forget(&self, scope: &KeyScope) -> Result<(), StoreError> {
        let statement = "DELETE FROM idempotency_keys
             WHERE principal = ?1 AND route = ?2 AND key = ?3 AND status IS NULL";
        let changed = self.change(statement, scope, None).await;
        changed.map_err(|e| self.db.failed(e))
    }

    async fn release(&self, scope: &KeyScope) -> Result<(), StoreError> {
        let statement = "UPDATE idempotency_keys SET lease_until = NULL
             WHERE principal = ?1 AND route = ?2 AND key = ?3 AND status IS NULL";
        let changed = self.change(statement, scope, None).await;
        changed.map_err(|e| self.db.failed(e))
    }

    async fn purge(&self, before: Timestamp) -> Result<u64, StoreError> {
        let deleted = self.delete_before(before).await;
        deleted.map_err(|e| self.db.failed(e))
    }
}
