//! The projected events as an audit reads them.

use async_trait::async_trait;
use sqlx::{Connection, Error, FromRow};

use crate::adapters::sqlite::database::Database;
use crate::adapters::sqlite::stored;
use crate::domain::ids::{EventId, UserId};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::audit::analytics::{DeadLetter, Interaction, ProjectionAudit};

use super::SqliteAnalytics;

pub(in crate::adapters::sqlite) const KNOWN: &str = "
    SELECT i.event_id, i.occurred_at, i.kind, i.user_id, i.subject
    FROM json_each(?1) AS w CROSS JOIN interactions AS i ON i.event_id = unhex(w.value ->> 0)
    WHERE i.occurred_at = w.value ->> 1";

pub(in crate::adapters::sqlite) const BETWEEN: &str = "
    SELECT event_id, occurred_at, kind, user_id, subject FROM interactions
    WHERE event_id >= ?1 AND (event_id, occurred_at) > (?1, ?2) AND event_id < ?3
    ORDER BY event_id LIMIT ?4";

const TAKE_OUT: &str = "
    DELETE FROM interactions WHERE event_id IN (
        SELECT i.event_id
        FROM json_each(?1) AS w CROSS JOIN interactions AS i ON i.event_id = unhex(w.value ->> 0)
        WHERE i.occurred_at = w.value ->> 1)";

pub(in crate::adapters::sqlite) const DEAD: &str = "
    SELECT event_id, reason FROM dead_letters WHERE event_id > ?1 ORDER BY event_id LIMIT ?2";

const DEAD_AMONG: &str = "
    SELECT d.event_id
    FROM json_each(?1) AS w CROSS JOIN dead_letters AS d ON d.event_id = unhex(w.value)";

const FORGET: &str =
    "DELETE FROM dead_letters WHERE event_id IN (SELECT unhex(value) FROM json_each(?1))";

/// Tables that refer to others come first.
const ALL_TABLES: [&str; 9] = [
    "DELETE FROM follows",
    "DELETE FROM posts",
    "DELETE FROM users",
    "DELETE FROM post_daily",
    "DELETE FROM user_daily",
    "DELETE FROM event_totals",
    "DELETE FROM interactions",
    "DELETE FROM dead_letters",
    "DELETE FROM projection_cursors",
];

#[derive(FromRow)]
struct Row {
    event_id: Vec<u8>,
    occurred_at: i64,
    kind: String,
    user_id: Option<i64>,
    subject: String,
}

impl Row {
    fn read(self) -> Result<Interaction, Error> {
        Ok(Interaction {
            event: EventId(stored::uuid(&self.event_id)?),
            at: Timestamp::from_millis(self.occurred_at),
            kind: self.kind,
            user: self.user_id.map(UserId),
            subject: self.subject,
        })
    }
}

fn places(events: &[(EventId, Timestamp)]) -> Result<String, Error> {
    stored::rows(events.iter().map(|(id, at)| (stored::hex(id.0), at.as_millis())))
}

async fn known(db: &Database, events: &[(EventId, Timestamp)]) -> Result<Vec<Interaction>, Error> {
    let rows: Vec<Row> =
        sqlx::query_as(KNOWN).bind(places(events)?).fetch_all(db.readers()).await?;
    rows.into_iter().map(Row::read).collect()
}

async fn between(
    db: &Database,
    after: (EventId, Timestamp),
    before: EventId,
    limit: usize,
) -> Result<Vec<Interaction>, Error> {
    let rows: Vec<Row> = sqlx::query_as(BETWEEN)
        .bind(&after.0.0.as_bytes()[..])
        .bind(after.1.as_millis())
        .bind(&before.0.as_bytes()[..])
        .bind(stored::integer(limit))
        .fetch_all(db.readers())
        .await?;
    rows.into_iter().map(Row::read).collect()
}

async fn remove(db: &Database, statement: &'static str, rows: String) -> Result<(), Error> {
    sqlx::query(statement).bind(rows).execute(&mut *db.covered_write().await?).await?;
    Ok(())
}

async fn dead(
    db: &Database,
    after: Option<EventId>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let rows: Vec<(Vec<u8>, String)> = sqlx::query_as(DEAD)
        .bind(after.map_or(Vec::new(), |id| id.0.as_bytes().to_vec()))
        .bind(stored::integer(limit))
        .fetch_all(db.readers())
        .await?;
    let read = |(id, reason): (Vec<u8>, String)| {
        Ok(DeadLetter { event: EventId(stored::uuid(&id)?), reason })
    };
    rows.into_iter().map(read).collect()
}

async fn dead_among(db: &Database, events: &[EventId]) -> Result<Vec<EventId>, Error> {
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(DEAD_AMONG)
        .bind(stored::rows(events.iter().map(|id| stored::hex(id.0)))?)
        .fetch_all(db.readers())
        .await?;
    ids.iter().map(|id| stored::uuid(id).map(EventId)).collect()
}

async fn empty(db: &Database) -> Result<(), Error> {
    let mut writer = db.covered_write().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    for statement in ALL_TABLES {
        sqlx::query(statement).execute(&mut *tx).await?;
    }
    tx.commit().await
}

#[async_trait]
impl ProjectionAudit for SqliteAnalytics {
    async fn interactions(
        &self,
        events: &[(EventId, Timestamp)],
    ) -> Result<Vec<Interaction>, StoreError> {
        known(&self.db, events).await.map_err(|e| self.db.failed(e))
    }

    async fn interactions_between(
        &self,
        after: (EventId, Timestamp),
        before: EventId,
        limit: usize,
    ) -> Result<Vec<Interaction>, StoreError> {
        between(&self.db, after, before, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn take_out(&self, interactions: &[(EventId, Timestamp)]) -> Result<(), StoreError> {
        let rows = places(interactions).map_err(|e| self.db.failed(e))?;
        remove(&self.db, TAKE_OUT, rows).await.map_err(|e| self.db.failed(e))
    }

    async fn dead_letters(
        &self,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        dead(&self.db, after, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn dead_among(&self, events: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        dead_among(&self.db, events).await.map_err(|e| self.db.failed(e))
    }

    async fn forget_dead_letters(&self, events: &[EventId]) -> Result<(), StoreError> {
        let ids = stored::rows(events.iter().map(|id| stored::hex(id.0)));
        let ids = ids.map_err(|e| self.db.failed(e))?;
        remove(&self.db, FORGET, ids).await.map_err(|e| self.db.failed(e))
    }

    async fn clear(&self) -> Result<(), StoreError> {
        empty(&self.db).await.map_err(|e| self.db.failed(e))
    }
}
