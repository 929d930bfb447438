//! The projection.

mod aggregates;
mod audit;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Connection, Error, SqliteConnection};

use crate::domain::event::{Event, Fact, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation, UserId};
use crate::domain::post::{Author, Post};
use crate::ports::StoreError;
use crate::ports::analytics::Analytics;
use crate::ports::event_log::LogCursor;

use super::database::Database;
use super::stored;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

const INSERT: &str = "
    INSERT INTO interactions (event_id, occurred_at, kind, user_id, subject, data)
    SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
    FROM json_each(?1) WHERE true
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id";

const ADD_TOTALS: &str = "
    INSERT INTO event_totals (incarnation, kind, count)
    SELECT unhex(value ->> 0), value ->> 1, value ->> 2 FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE SET count = count + excluded.count";

const ADD_USER_DAYS: &str = "
    INSERT INTO user_daily (day, user_id, kind, count)
    SELECT date((value ->> 0) * 86400, 'unixepoch'), value ->> 1, value ->> 2, value ->> 3
    FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE SET count = count + excluded.count";

const ADD_POST_DAYS: &str = "
    INSERT INTO post_daily (day, post_id, kind, count)
    SELECT date((value ->> 0) * 86400, 'unixepoch'), value ->> 1, value ->> 2, value ->> 3
    FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE SET count = count + excluded.count";

const UPDATE_USERS: &str = "
    INSERT INTO users AS u (user_id, username, last_event)
    SELECT value ->> 0, value ->> 1, unhex(value ->> 2) FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE SET username = excluded.username, last_event = excluded.last_event
    WHERE excluded.last_event > u.last_event";

const UPDATE_POSTS: &str = "
    INSERT INTO posts AS p (post_id, author_id, slug, title, status, published_at, version)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE
    SET slug = excluded.slug, title = excluded.title, status = excluded.status,
        published_at = excluded.published_at, version = excluded.version
    WHERE excluded.version > p.version
       OR (excluded.version = p.version AND excluded.status = 'removed')";

const UPDATE_FOLLOWS: &str = "
    INSERT INTO follows AS f (follower, followee, since, last_event)
    SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3) FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE SET since = excluded.since, last_event = excluded.last_event
    WHERE excluded.last_event > f.last_event";

const ADVANCE: &str = "
    INSERT INTO projection_cursors (incarnation, seq) VALUES (?, ?)
    ON CONFLICT (incarnation) DO UPDATE SET seq = max(seq, excluded.seq)";

/// Events that were both set aside and projected count once.
const PROJECTED: &str = "
    SELECT (SELECT coalesce(sum(count), 0) FROM event_totals WHERE incarnation = ?1)
         + (SELECT count(*) FROM dead_letters AS d WHERE d.incarnation = ?1
            AND NOT EXISTS (SELECT 1 FROM interactions AS i WHERE i.event_id = d.event_id))";

/// Keeps the projection in `analytics.db`.
///
/// Its writes are covered ones: the cursor is in the same transaction, so that
/// what is lost is projected again.
pub struct SqliteAnalytics {
    db: Arc<Database>,
}

/// What a batch adds to the counts and to the tables for joins.
#[derive(Default)]
struct Additions<'a> {
    totals: BTreeMap<(Incarnation, &'static str), u64>,
    user_days: BTreeMap<(i64, i64, &'static str), u64>,
    post_days: BTreeMap<(i64, String, &'static str), u64>,
    users: Vec<(i64, &'a str, String)>,
    /// Each with its status in the projection.
    posts: Vec<(&'a Post, &'static str)>,
    /// Who follows whom since when, if still, and the event that says so.
    follows: Vec<(i64, i64, Option<i64>, String)>,
}

/// The status of a post that nobody sees any more.
const REMOVED: &str = "removed";

impl<'a> Additions<'a> {
    /// Counts the events of the batch that are `new`, each once.
    fn of(batch: &'a [LoggedEvent], mut new: HashSet<EventId>) -> Self {
        let mut additions = Self::default();
        for logged in batch {
            if new.remove(&logged.event.id) {
                additions.add(logged.incarnation, &logged.event);
            }
        }
        additions
    }

    fn add(&mut self, incarnation: Incarnation, event: &'a Event) {
        let kind = event.fact.kind();
        let day = event.time.as_millis().div_euclid(DAY_MILLIS);
        let id = stored::hex(event.id.0);
        *self.totals.entry((incarnation, kind)).or_default() += 1;
        if let Some(actor) = &event.actor {
            *self.user_days.entry((day, actor.id.0, kind)).or_default() += 1;
            self.users.push((actor.id.0, &actor.username, id.clone()));
        }
        if let Some(post) = event.fact.post_id() {
            *self.post_days.entry((day, post.to_string(), kind)).or_default() += 1;
        }
        match &event.fact {
            Fact::PostPublished(post) | Fact::PostDrafted(post) => {
                self.add_post(post, post.status.as_str(), id);
            }
            Fact::PostUpdated(change) => {
                self.add_post(&change.post, change.post.status.as_str(), id);
            }
            Fact::PostRemoved(change) => self.add_post(&change.post, REMOVED, id),
            Fact::PostCommented(change)
            | Fact::CommentEdited(change)
            | Fact::CommentRemoved(change) => self.add_author(&change.comment.author, id),
            Fact::UserFollowed(follow) => {
                self.add_follow(event, follow.user, Some(event.time.as_millis()));
            }
            Fact::UserUnfollowed(follow) => self.add_follow(event, follow.user, None),
            Fact::PostLiked(_)
            | Fact::PostUnliked(_)
            | Fact::PostBookmarked(_)
            | Fact::PostUnbookmarked(_)
            | Fact::PostShared(_)
            | Fact::PostViewed(_)
            | Fact::NotificationRead(_)
            | Fact::ChannelPublished(_) => {}
        }
    }

    fn add_author(&mut self, author: &'a Author, event: String) {
        self.users.push((author.id.0, &author.username, event));
    }

    fn add_post(&mut self, post: &'a Post, status: &'static str, event: String) {
        self.add_author(&post.author, event);
        self.posts.push((post, status));
    }

    fn add_follow(&mut self, event: &Event, followee: UserId, since: Option<i64>) {
        if let Some(actor) = &event.actor {
            self.follows.push((actor.id.0, followee.0, since, stored::hex(event.id.0)));
        }
    }

    /// The statements that add all of this, each with the rows that it takes.
    fn statements(self) -> Result<[(&'static str, String); 6], Error> {
        let totals = self.totals.into_iter();
        let totals = totals.map(|((run, kind), count)| (stored::hex(run.0), kind, count));
        let user_days = self.user_days.into_iter();
        let user_days = user_days.map(|((day, user, kind), count)| (day, user, kind, count));
        let post_days = self.post_days.into_iter();
        let post_days = post_days.map(|((day, post, kind), count)| (day, post, kind, count));
        let posts = self.posts.into_iter().map(|(post, status)| {
            (
                post.id,
                post.author.id,
                &post.slug,
                &post.title,
                status,
                post.published_at.map(|time| time.as_millis()),
                stored::integer(post.version),
            )
        });
        Ok([
            (ADD_TOTALS, stored::rows(totals)?),
            (ADD_USER_DAYS, stored::rows(user_days)?),
            (ADD_POST_DAYS, stored::rows(post_days)?),
            // Users first: posts and follows refer to them.
            (UPDATE_USERS, stored::rows(self.users)?),
            (UPDATE_POSTS, stored::rows(posts)?),
            (UPDATE_FOLLOWS, stored::rows(self.follows)?),
        ])
    }
}

async fn advance(connection: &mut SqliteConnection, cursor: LogCursor) -> Result<(), Error> {
    sqlx::query(ADVANCE)
        .bind(&cursor.incarnation.0.as_bytes()[..])
        .bind(stored::integer(cursor.seq))
        .execute(connection)
        .await?;
    Ok(())
}

/// Inserts events and returns the ids of those that were not there.
async fn insert(
    connection: &mut SqliteConnection,
    batch: &[LoggedEvent],
) -> Result<HashSet<EventId>, Error> {
    let rows: Result<Vec<_>, Error> = batch
        .iter()
        .map(|LoggedEvent { event, .. }| {
            Ok((
                stored::hex(event.id.0),
                event.time.as_millis(),
                event.fact.kind(),
                event.actor.as_ref().map(|actor| actor.id),
                event.fact.subject(),
                data(&event.fact)?,
            ))
        })
        .collect();
    let new: Vec<(Vec<u8>,)> =
        sqlx::query_as(INSERT).bind(stored::rows(rows?)?).fetch_all(connection).await?;
    new.iter().map(|(id,)| stored::uuid(id).map(EventId)).collect()
}

fn data(fact: &Fact) -> Result<String, Error> {
    match fact {
        Fact::PostPublished(post) | Fact::PostDrafted(post) => stored::to_json(post),
        Fact::PostUpdated(change) | Fact::PostRemoved(change) => stored::to_json(change),
        Fact::PostLiked(mark)
        | Fact::PostUnliked(mark)
        | Fact::PostBookmarked(mark)
        | Fact::PostUnbookmarked(mark)
        | Fact::PostShared(mark)
        | Fact::PostViewed(mark) => stored::to_json(mark),
        Fact::PostCommented(change)
        | Fact::CommentEdited(change)
        | Fact::CommentRemoved(change) => stored::to_json(change),
        Fact::UserFollowed(follow) | Fact::UserUnfollowed(follow) => stored::to_json(follow),
        Fact::NotificationRead(read) => stored::to_json(read),
        Fact::ChannelPublished(bare) => stored::to_json(bare),
    }
}

impl SqliteAnalytics {
    /// A projection in the file opened with `Schema::Analytics`.
    pub fn new(db: Arc<Database>) -> Self {
        Self { db }
    }

    async fn write(&self, batch: &[LoggedEvent], cursor: LogCursor) -> Result<(), Error> {
        let mut writer = self.db.covered_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let new = insert(&mut tx, batch).await?;
        for (statement, rows) in Additions::of(batch, new).statements()? {
            if rows != "[]" {
                sqlx::query(statement).bind(rows).execute(&mut *tx).await?;
            }
        }
        advance(&mut tx, cursor).await?;
        tx.commit().await
    }

    async fn bury(&self, logged: &LoggedEvent, reason: &str) -> Result<(), Error> {
        let mut writer = self.db.covered_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO dead_letters (event_id, incarnation, seq, body, reason)
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING",
        )
        .bind(&logged.event.id.0.as_bytes()[..])
        .bind(&logged.incarnation.0.as_bytes()[..])
        .bind(stored::integer(logged.seq))
        .bind(stored::to_json(&logged.event)?)
        .bind(reason)
        .execute(&mut *tx)
        .await?;
        let cursor = LogCursor { incarnation: logged.incarnation, seq: logged.seq };
        advance(&mut tx, cursor).await?;
        tx.commit().await
    }

    async fn read_cursors(&self) -> Result<Vec<LogCursor>, Error> {
        let rows: Vec<(Vec<u8>, i64)> =
            sqlx::query_as("SELECT incarnation, seq FROM projection_cursors ORDER BY incarnation")
                .fetch_all(self.db.readers())
                .await?;
        rows.into_iter()
            .map(|(id, seq)| {
                Ok(LogCursor {
                    incarnation: Incarnation(stored::uuid(&id)?),
                    seq: stored::count(seq)?,
                })
            })
            .collect()
    }

    async fn read_totals(&self) -> Result<Vec<(String, u64)>, Error> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT kind, sum(count) FROM event_totals GROUP BY kind ORDER BY kind")
                .fetch_all(self.db.readers())
                .await?;
        rows.into_iter().map(|(kind, count)| Ok((kind, stored::count(count)?))).collect()
    }

    async fn count(&self, incarnation: Incarnation) -> Result<u64, Error> {
        let (count,): (i64,) = sqlx::query_as(PROJECTED)
            .bind(&incarnation.0.as_bytes()[..])
            .fetch_one(self.db.readers())
            .await?;
        stored::count(count)
    }
}

#[async_trait]
impl Analytics for SqliteAnalytics {
    async fn cursors(&self) -> Result<Vec<LogCursor>, StoreError> {
        self.read_cursors().await.map_err(|e| self.db.failed(e))
    }

    async fn project(&self, batch: &[LoggedEvent], cursor: LogCursor) -> Result<(), StoreError> {
        let written = self.write(batch, cursor).await;
        written.map_err(|e| self.db.failed(e))
    }

    async fn set_aside(&self, event: &LoggedEvent, reason: &str) -> Result<(), StoreError> {
        self.bury(event, reason).await.map_err(|e| self.db.failed(e))
    }

    async fn totals(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read_totals().await.map_err(|e| self.db.failed(e))
    }

    async fn projected(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        self.count(incarnation).await.map_err(|e| self.db.failed(e))
    }
}
