//! The log as an audit reads it.

use async_trait::async_trait;
use mongodb::bson::{self, Document, doc};
use serde::Deserialize;

use crate::adapters::mongodb::relay_ledger::INCARNATIONS;
use crate::adapters::mongodb::store::Failure;
use crate::adapters::mongodb::stored;
use crate::domain::event::{Event, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation, PostId};
use crate::ports::StoreError;
use crate::ports::audit::log::{KnownRun, LogAudit, version_of};
use crate::ports::event_log::LogCursor;

use super::MongoEventLog;

/// The kinds of events that tell what became of a post itself.
const STORY: [&str; 4] = ["post.published", "post.drafted", "post.updated", "post.removed"];

#[derive(Deserialize)]
struct Placed {
    incarnation: bson::Uuid,
    seq: i64,
    body: String,
}

impl Placed {
    fn read(&self) -> Result<LoggedEvent, Failure> {
        Ok(LoggedEvent {
            incarnation: Incarnation(stored::read_uuid(self.incarnation)),
            seq: stored::count(self.seq),
            event: stored::event(&self.body)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    #[serde(rename = "_id")]
    id: bson::Uuid,
    relay_seq: i64,
    closed: bool,
}

fn placed() -> Document {
    doc! { "_id": 0, "incarnation": 1, "seq": 1, "body": 1 }
}

impl MongoEventLog {
    async fn between(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Failure> {
        let range = doc! { "$gt": stored::event_id(after), "$lt": stored::event_id(before) };
        let events = self.events::<Placed>();
        let query = events.find(doc! { "_id": range }).sort(doc! { "_id": 1 });
        let query = query.limit(stored::integer(limit)).projection(placed());
        self.db.all(query).await?.iter().map(Placed::read).collect()
    }

    async fn found(&self, ids: &[EventId]) -> Result<Vec<LoggedEvent>, Failure> {
        let ids: Vec<_> = ids.iter().copied().map(stored::event_id).collect();
        let events = self.events::<Placed>();
        let query = events.find(doc! { "_id": { "$in": ids } }).projection(placed());
        self.db.all(query).await?.iter().map(Placed::read).collect()
    }

    async fn story(&self, post: PostId) -> Result<Vec<Event>, Failure> {
        let about = doc! { "subject": format!("post:{post}"), "kind": { "$in": STORY.to_vec() } };
        let events = self.events::<Placed>();
        let found = self.db.all(events.find(about).projection(placed())).await?;
        found.iter().map(|one| Ok(one.read()?.event)).collect()
    }

    async fn known_runs(
        &self,
        after: Option<Incarnation>,
        limit: usize,
    ) -> Result<Vec<KnownRun>, Failure> {
        let range = match after {
            Some(run) => doc! { "_id": { "$gt": stored::uuid(run.0) } },
            None => Document::new(),
        };
        let runs = self.db.durable_collection::<Run>(INCARNATIONS);
        let query = runs.find(range).sort(doc! { "_id": 1 }).limit(stored::integer(limit));
        let read = |run: Run| KnownRun {
            cursor: LogCursor {
                incarnation: Incarnation(stored::read_uuid(run.id)),
                seq: stored::count(run.relay_seq),
            },
            is_closed: run.closed,
        };
        Ok(self.db.all(query).await?.into_iter().map(read).collect())
    }
}

#[async_trait]
impl LogAudit for MongoEventLog {
    async fn events_between(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        // To MongoDB a limit of 0 is none.
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.between(after, before, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<LoggedEvent>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
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
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.known_runs(after, limit).await.map_err(|e| self.db.failed(e))
    }
}
