//! The projected events as an audit reads them.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::types::time::OffsetDateTime;
use sqlx::{Error, FromRow};
use uuid::Uuid;

use crate::adapters::pooled::on_lease;
use crate::adapters::postgres::stored::{datetime, integer, timestamp};
use crate::domain::ids::{EventId, UserId};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::audit::analytics::{DeadLetter, Interaction, ProjectionAudit};

use super::PostgresAnalytics;

/// With the time, which tells in which partition to look.
const KNOWN: &str = "
    SELECT i.event_id, i.occurred_at, i.kind, i.user_id, i.subject
    FROM unnest($1::uuid[], $2::timestamptz[]) AS w (event_id, occurred_at)
    JOIN interactions AS i USING (event_id, occurred_at)";

const BETWEEN: &str = "
    SELECT event_id, occurred_at, kind, user_id, subject FROM interactions
    WHERE event_id >= $1 AND (event_id, occurred_at) > ($1, $2) AND event_id < $3
    ORDER BY event_id, occurred_at LIMIT $4";

const TAKE_OUT: &str = "
    DELETE FROM interactions AS i
    USING unnest($1::uuid[], $2::timestamptz[]) AS w (event_id, occurred_at)
    WHERE i.event_id = w.event_id AND i.occurred_at = w.occurred_at";

const DEAD: &str = "
    SELECT event_id, reason FROM dead_letters
    WHERE $1::uuid IS NULL OR event_id > $1 ORDER BY event_id LIMIT $2";

const DEAD_AMONG: &str = "SELECT event_id FROM dead_letters WHERE event_id = ANY($1)";

const FORGET: &str = "DELETE FROM dead_letters WHERE event_id = ANY($1)";

/// Waits for batches that are being written, and has later ones wait. Whatever else refers to these tables would
/// be an error.
const CLEAR: &str = "
    TRUNCATE event_totals, user_daily, post_daily, users, posts, follows, interactions, dead_letters,
             projection_cursors";

#[derive(FromRow)]
struct Row {
    event_id: Uuid,
    occurred_at: OffsetDateTime,
    kind: String,
    user_id: Option<i64>,
    subject: String,
}

impl Row {
    fn read(self) -> Interaction {
        Interaction {
            event: EventId(self.event_id),
            at: timestamp(self.occurred_at),
            kind: self.kind,
            user: self.user_id.map(UserId),
            subject: self.subject,
        }
    }
}

/// Ids and times as a statement takes them.
fn places(events: &[(EventId, Timestamp)]) -> Result<(Vec<Uuid>, Vec<OffsetDateTime>), Error> {
    let times: Result<Vec<_>, _> = events.iter().map(|(_, at)| datetime(*at)).collect();
    Ok((events.iter().map(|(id, _)| id.0).collect(), times?))
}

async fn known(
    connection: &mut PgConnection,
    events: &[(EventId, Timestamp)],
) -> Result<Vec<Interaction>, Error> {
    let (ids, times) = places(events)?;
    let rows: Vec<Row> = sqlx::query_as(KNOWN).bind(ids).bind(times).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Row::read).collect())
}

async fn between(
    connection: &mut PgConnection,
    after: (EventId, Timestamp),
    before: EventId,
    limit: usize,
) -> Result<Vec<Interaction>, Error> {
    let rows: Vec<Row> = sqlx::query_as(BETWEEN)
        .bind(after.0.0)
        .bind(datetime(after.1)?)
        .bind(before.0)
        .bind(integer(limit as u64))
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(Row::read).collect())
}

async fn take_out(
    connection: &mut PgConnection,
    events: &[(EventId, Timestamp)],
) -> Result<(), Error> {
    let (ids, times) = places(events)?;
    sqlx::query(TAKE_OUT).bind(ids).bind(times).execute(connection).await?;
    Ok(())
}

async fn dead(
    connection: &mut PgConnection,
    after: Option<EventId>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(DEAD)
        .bind(after.map(|id| id.0))
        .bind(integer(limit as u64))
        .fetch_all(connection)
        .await?;
    let read = |(id, reason)| DeadLetter { event: EventId(id), reason };
    Ok(rows.into_iter().map(read).collect())
}

async fn dead_among(
    connection: &mut PgConnection,
    events: &[EventId],
) -> Result<Vec<EventId>, Error> {
    let ids: Vec<_> = events.iter().map(|id| id.0).collect();
    let dead: Vec<Uuid> = sqlx::query_scalar(DEAD_AMONG).bind(ids).fetch_all(connection).await?;
    Ok(dead.into_iter().map(EventId).collect())
}

async fn forget(connection: &mut PgConnection, events: &[EventId]) -> Result<(), Error> {
    let ids: Vec<_> = events.iter().map(|id| id.0).collect();
    sqlx::query(FORGET).bind(ids).execute(connection).await?;
    Ok(())
}

async fn empty(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query(CLEAR).execute(connection).await?;
    Ok(())
}

#[async_trait]
impl ProjectionAudit for PostgresAnalytics {
    async fn interactions(
        &self,
        events: &[(EventId, Timestamp)],
    ) -> Result<Vec<Interaction>, StoreError> {
        on_lease!(&self.server.pooled, lease => known(&mut lease, events))
    }

    async fn interactions_between(
        &self,
        after: (EventId, Timestamp),
        before: EventId,
        limit: usize,
    ) -> Result<Vec<Interaction>, StoreError> {
        on_lease!(&self.server.pooled, lease => between(&mut lease, after, before, limit))
    }

    async fn take_out(&self, interactions: &[(EventId, Timestamp)]) -> Result<(), StoreError> {
        on_lease!(&self.server.pooled, lease => take_out(&mut lease, interactions))
    }

    async fn dead_letters(
        &self,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        on_lease!(&self.server.pooled, lease => dead(&mut lease, after, limit))
    }

    async fn dead_among(&self, events: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        on_lease!(&self.server.pooled, lease => dead_among(&mut lease, events))
    }

    async fn forget_dead_letters(&self, events: &[EventId]) -> Result<(), StoreError> {
        on_lease!(&self.server.pooled, lease => forget(&mut lease, events))
    }

    async fn clear(&self) -> Result<(), StoreError> {
        on_lease!(&self.server.pooled, lease => empty(&mut lease))
    }
}
