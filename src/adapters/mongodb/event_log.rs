//! The event log.

mod audit;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use crate::domain::event::{Event, Fact, LoggedEvent};
use crate::domain::ids::EventId;
use crate::domain::trending::COUNTED;
use crate::ports::StoreError;
use crate::ports::event_log::{AppendError, EventLog, LogCursor};

use super::store::{Failure, Mongo};
use super::stored;

/// Where events are kept.
pub(super) const EVENTS: &str = "events";

/// An event as it is stored. `body` is the event, exactly; the other fields are there to be asked for.
#[derive(Serialize)]
struct EventDocument {
    #[serde(rename = "_id")]
    id: bson::Uuid,
    incarnation: bson::Uuid,
    seq: i64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<i64>,
    subject: String,
    data: References,
    time: DateTime,
    body: String,
}

/// What an event refers to.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct References {
    #[serde(skip_serializing_if = "Option::is_none")]
    post_id: Option<ObjectId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment_id: Option<ObjectId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
}

impl References {
    fn of(fact: &Fact) -> Self {
        let post_id = fact.post_id().map(stored::object_id);
        let known = Self { post_id, ..Self::default() };
        match fact {
            Fact::PostCommented(change)
            | Fact::CommentEdited(change)
            | Fact::CommentRemoved(change) => {
                Self { comment_id: Some(stored::object_id(change.comment.id)), ..known }
            }
            Fact::UserFollowed(follow) | Fact::UserUnfollowed(follow) => {
                Self { user_id: Some(follow.user.0), ..known }
            }
            Fact::ChannelPublished(bare) => {
                let channels = bare.channels.iter().map(|channel| channel.as_str().to_owned());
                Self { channels: channels.collect(), ..known }
            }
            _ => known,
        }
    }
}

impl EventDocument {
    fn of(logged: &LoggedEvent) -> Result<Self, Failure> {
        let LoggedEvent { incarnation, seq, event } = logged;
        Ok(Self {
            id: stored::event_id(event.id),
            incarnation: stored::uuid(incarnation.0),
            seq: stored::integer(*seq),
            kind: event.fact.kind(),
            actor: event.actor.as_ref().map(|actor| actor.id.0),
            subject: event.fact.subject(),
            data: References::of(&event.fact),
            time: stored::date(event.time),
            body: stored::to_json(event)?,
        })
    }
}

/// Events that count for trending, after one.
pub(super) fn counted(after: EventId) -> Document {
    doc! { "kind": { "$in": COUNTED.to_vec() }, "_id": { "$gt": stored::event_id(after) } }
}

#[derive(Deserialize)]
struct Numbered {
    seq: i64,
    body: String,
}

#[derive(Deserialize)]
struct Body {
    body: String,
}

#[derive(Deserialize)]
struct Id {
    #[serde(rename = "_id")]
    id: bson::Uuid,
}

/// Keeps events in MongoDB, each acknowledged once a majority has it in its journal.
pub struct MongoEventLog {
    db: Arc<Mongo>,
}

impl MongoEventLog {
    /// A log in a database that was migrated.
    pub fn new(db: Arc<Mongo>) -> Self {
        Self { db }
    }

    fn events<T: Send + Sync>(&self) -> Collection<T> {
        self.db.durable_collection(EVENTS)
    }

    async fn insert(&self, batch: &[LoggedEvent]) -> Result<(), Failure> {
        let documents: Result<Vec<_>, _> = batch.iter().map(EventDocument::of).collect();
        let events = self.events();
        self.db.bounded(events.insert_many(documents?).ordered(false)).await?;
        Ok(())
    }

    /// Which places of a batch are not known to be durable after an insert that failed.
    ///
    /// A unique index refuses an event that is there already, and one whose number another event has. What is there
    /// is asked for, as messages of servers differ; it is read from what a majority has.
    async fn pending(&self, batch: &[LoggedEvent], failure: &Failure) -> Vec<usize> {
        let Some(refused) = failure.refused() else {
            return (0..batch.len()).collect();
        };
        let repeated = refused.iter().filter(|(_, duplicate)| *duplicate);
        let repeated: Vec<_> =
            repeated.filter_map(|(place, _)| batch.get(*place)).map(|one| one.event.id).collect();
        let absent = match self.absent(&repeated).await {
            Ok(absent) => absent,
            Err(_) => repeated,
        };
        let mut pending: Vec<_> = refused
            .into_iter()
            .filter(|(place, duplicate)| {
                !duplicate || batch.get(*place).is_some_and(|one| absent.contains(&one.event.id))
            })
            .map(|(place, _)| place)
            .collect();
        pending.sort_unstable();
        pending
    }

    /// A page of a run. It is bounded by its numbers as well, so that a server that looks at all it has after the
    /// cursor, before it keeps `limit` of it, looks at one page. Numbers that were never appended can make such a
    /// page empty although there is more: then whatever comes next is asked for.
    async fn read(&self, cursor: LogCursor, limit: usize) -> Result<Vec<LoggedEvent>, Failure> {
        let first = stored::integer(cursor.seq);
        let last = first.saturating_add(stored::integer(limit));
        let page = self.page(cursor, doc! { "$gt": first, "$lte": last }, limit).await?;
        if page.is_empty() {
            return self.page(cursor, doc! { "$gt": first }, limit).await;
        }
        Ok(page)
    }

    async fn page(
        &self,
        LogCursor { incarnation, .. }: LogCursor,
        seq: Document,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Failure> {
        let events = self.events::<Numbered>();
        let query = events
            .find(doc! { "incarnation": stored::uuid(incarnation.0), "seq": seq })
            .sort(doc! { "seq": 1 })
            .limit(stored::integer(limit))
            .projection(doc! { "_id": 0, "seq": 1, "body": 1 });
        let found = self.db.all(query).await?;
        let logged = |one: Numbered| {
            let (seq, event) = (stored::count(one.seq), stored::event(&one.body)?);
            Ok(LoggedEvent { incarnation, seq, event })
        };
        found.into_iter().map(logged).collect()
    }

    async fn read_along(&self, after: EventId, limit: usize) -> Result<Vec<Event>, Failure> {
        let events = self.events::<Body>();
        let query = events
            .find(counted(after))
            .sort(doc! { "_id": 1 })
            .limit(stored::integer(limit))
            .projection(doc! { "_id": 0, "body": 1 });
        let found = self.db.all(query).await?;
        found.iter().map(|one| stored::event(&one.body)).collect()
    }

    async fn absent(&self, ids: &[EventId]) -> Result<Vec<EventId>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<_> = ids.iter().copied().map(stored::event_id).collect();
        let events = self.events::<Id>();
        let query = events.find(doc! { "_id": { "$in": wanted } }).projection(doc! { "_id": 1 });
        let found = self.db.all(query).await?;
        let found: HashSet<_> =
            found.into_iter().map(|one| stored::read_event_id(one.id)).collect();
        Ok(ids.iter().copied().filter(|id| !found.contains(id)).collect())
    }
}

#[async_trait]
impl EventLog for MongoEventLog {
    async fn append(&self, batch: &[LoggedEvent]) -> Result<(), AppendError> {
        if batch.is_empty() {
            return Ok(());
        }
        let Err(failure) = self.insert(batch).await else { return Ok(()) };
        let pending = self.pending(batch, &failure).await;
        if pending.is_empty() {
            return Ok(());
        }
        Err(AppendError { pending, cause: self.db.failed(failure).to_string() })
    }

    async fn read_after(
        &self,
        cursor: LogCursor,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        // To MongoDB a limit of 0 is none.
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.read(cursor, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn read_counted(&self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.read_along(after, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn missing(&self, ids: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        self.absent(ids).await.map_err(|e| self.db.failed(e))
    }
}
