//! The event log.

mod audit;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Error;

use crate::domain::event::{Event, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation};
use crate::ports::StoreError;
use crate::ports::event_log::{AppendError, EventLog, LogCursor};

use super::database::Database;
use super::stored;

/// Only a repeated id is passed over. A number that another event has is an
/// error: passing over that would lose the event.
const APPEND: &str = "
    INSERT INTO events (id, incarnation, seq, kind, actor, subject, time, body)
    SELECT unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3,
           value ->> 4, value ->> 5, value ->> 6, value ->> 7
    FROM jsonb_each(?1)
    WHERE true
    ON CONFLICT (id) DO NOTHING";

/// The kinds stand as in the partial index; a test holds them to those of the domain.
pub(super) const COUNTED: &str = "
    SELECT body FROM events
    WHERE kind IN ('post.viewed', 'post.liked', 'post.unliked', 'post.bookmarked',
                   'post.unbookmarked', 'post.shared', 'post.commented', 'comment.removed')
      AND id > ?1
    ORDER BY id LIMIT ?2";

/// Keeps events in `log.db`.
pub struct SqliteEventLog {
    db: Arc<Database>,
}

impl SqliteEventLog {
    /// A log in the file opened with `Schema::Log`.
    pub fn new(db: Arc<Database>) -> Self {
        Self { db }
    }

    /// One statement, and so one transaction and one switch to the thread of the connection. Others write while it
    /// is synced; what they wrote before relies on this sync, also where there is nothing to append.
    async fn insert(&self, batch: &[LoggedEvent]) -> Result<(), Error> {
        let rows = append_rows(batch)?;
        let mut writer = self.db.covered_write().await?;
        sqlx::query(APPEND).bind(rows).execute(&mut *writer).await?;
        drop(writer);
        self.db.sync().await
    }

    async fn read(&self, cursor: LogCursor, limit: usize) -> Result<Vec<LoggedEvent>, Error> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT seq, body FROM events WHERE incarnation = ? AND seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(&cursor.incarnation.0.as_bytes()[..])
        .bind(stored::integer(cursor.seq))
        .bind(stored::integer(limit))
        .fetch_all(self.db.readers())
        .await?;
        rows.into_iter()
            .map(|(seq, body)| {
                Ok(LoggedEvent {
                    incarnation: cursor.incarnation,
                    seq: stored::count(seq)?,
                    event: stored::event(&body)?,
                })
            })
            .collect()
    }

    async fn read_along(&self, after: EventId, limit: usize) -> Result<Vec<Event>, Error> {
        let bodies: Vec<String> = sqlx::query_scalar(COUNTED)
            .bind(&after.0.as_bytes()[..])
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        bodies.iter().map(|body| stored::event(body)).collect()
    }

    /// Whoever hears that an event is there may acknowledge it: if somebody else is about to sync it, it is synced here.
    async fn durably_absent(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error> {
        let absent = self.absent(ids).await?;
        if absent.len() < ids.len() {
            self.db.sync().await?;
        }
        Ok(absent)
    }

    async fn absent(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error> {
        let rows: Vec<(i64,)> = sqlx::query_as(
            "SELECT key FROM json_each(?)
             WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = unhex(value))
             ORDER BY key",
        )
        .bind(stored::rows(ids.iter().map(|id| stored::hex(id.0)))?)
        .fetch_all(self.db.readers())
        .await?;
        let places = rows.into_iter().filter_map(|(at,)| usize::try_from(at).ok());
        Ok(places.filter_map(|at| ids.get(at).copied()).collect())
    }
}

fn append_rows(batch: &[LoggedEvent]) -> Result<String, Error> {
    let rows: Result<Vec<_>, Error> = batch
        .iter()
        .map(|logged| {
            let LoggedEvent { incarnation: Incarnation(incarnation), seq, event } = logged;
            let Event { id: EventId(id), actor, time, fact } = event;
            Ok((
                stored::hex(*id),
                stored::hex(*incarnation),
                stored::integer(*seq),
                fact.kind(),
                actor.as_ref().map(|actor| actor.id.0),
                fact.subject(),
                time.as_millis(),
                stored::to_json(event)?,
            ))
        })
        .collect();
    stored::rows(rows?)
}

#[async_trait]
impl EventLog for SqliteEventLog {
    async fn append(&self, batch: &[LoggedEvent]) -> Result<(), AppendError> {
        self.insert(batch).await.map_err(|e| AppendError {
            pending: (0..batch.len()).collect(),
            cause: self.db.failed(e).to_string(),
        })
    }

    async fn read_after(
        &self,
        cursor: LogCursor,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let events = self.read(cursor, limit).await;
        events.map_err(|e| self.db.failed(e))
    }

    async fn read_counted(&self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
        let events = self.read_along(after, limit).await;
        events.map_err(|e| self.db.failed(e))
    }

    async fn missing(&self, ids: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        self.durably_absent(ids).await.map_err(|e| self.db.failed(e))
    }
}
