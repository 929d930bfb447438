//! The log as an audit reads it.

use async_trait::async_trait;
use sqlx::{Error, FromRow};

use crate::adapters::sqlite::stored;
use crate::domain::event::{Event, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation, PostId};
use crate::ports::StoreError;
use crate::ports::audit::log::{KnownRun, LogAudit, version_of};
use crate::ports::event_log::LogCursor;

use super::SqliteEventLog;

pub(in crate::adapters::sqlite) const BETWEEN: &str = "
    SELECT incarnation, seq, body FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3";

pub(in crate::adapters::sqlite) const FIND: &str = "
    SELECT e.incarnation, e.seq, e.body
    FROM json_each(?1) AS w CROSS JOIN events AS e ON e.id = unhex(w.value)";

pub(in crate::adapters::sqlite) const STORY: &str = "
    SELECT incarnation, seq, body FROM events
    WHERE subject = ?1
      AND kind IN ('post.published', 'post.drafted', 'post.updated', 'post.removed')";

pub(in crate::adapters::sqlite) const RUNS: &str = "
    SELECT id, relay_seq, closed FROM incarnations WHERE id > ?1 ORDER BY id LIMIT ?2";

#[derive(FromRow)]
struct Row {
    incarnation: Vec<u8>,
    seq: i64,
    body: String,
}

impl Row {
    fn read(&self) -> Result<LoggedEvent, Error> {
        Ok(LoggedEvent {
            incarnation: Incarnation(stored::uuid(&self.incarnation)?),
            seq: stored::count(self.seq)?,
            event: stored::event(&self.body)?,
        })
    }
}

impl SqliteEventLog {
    async fn between(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Error> {
        let rows: Vec<Row> = sqlx::query_as(BETWEEN)
            .bind(&after.0.as_bytes()[..])
            .bind(&before.0.as_bytes()[..])
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        rows.iter().map(Row::read).collect()
    }

    async fn found(&self, ids: &[EventId]) -> Result<Vec<LoggedEvent>, Error> {
        let rows: Vec<Row> = sqlx::query_as(FIND)
            .bind(stored::rows(ids.iter().map(|id| stored::hex(id.0)))?)
            .fetch_all(self.db.readers())
            .await?;
        rows.iter().map(Row::read).collect()
    }

    async fn story(&self, post: PostId) -> Result<Vec<Event>, Error> {
        let rows: Vec<Row> =
            sqlx::query_as(STORY).bind(format!("post:{post}")).fetch_all(self.db.readers()).await?;
        rows.iter().map(|row| Ok(row.read()?.event)).collect()
    }

    async fn known_runs(
        &self,
        after: Option<Incarnation>,
        limit: usize,
    ) -> Result<Vec<KnownRun>, Error> {
        let rows: Vec<(Vec<u8>, i64, bool)> = sqlx::query_as(RUNS)
            .bind(after.map_or(Vec::new(), |run| run.0.as_bytes().to_vec()))
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        let read = |(id, seq, is_closed): (Vec<u8>, i64, bool)| {
            let incarnation = Incarnation(stored::uuid(&id)?);
            Ok(KnownRun { cursor: LogCursor { incarnation, seq: stored::count(seq)? }, is_closed })
        };
        rows.into_iter().map(read).collect()
    }
}

#[async_trait]
impl LogAudit for SqliteEventLog {
    async fn events_between(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        self.between(after, before, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<LoggedEvent>, StoreError> {
        self.found(ids).await.map_err(|e| self.db.failed(e))
    }

    async fn story_of(&self, post: PostId) -> Result<Vec<Event>, StoreError> {
        let mut story = self.story(post).await.map_err(|e| self.db.failed(e))?;
        story.sort_by_key(version_of);
        Ok(story)
    }

    async fn runs(
        &self,
        after: Option<Incarnation>,
        limit: usize,
    ) -> Result<Vec<KnownRun>, StoreError> {
        self.known_runs(after, limit).await.map_err(|e| self.db.failed(e))
    }
}
