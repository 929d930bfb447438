//! Content: posts here, the other documents in [`marks`](super::marks),
//! [`comments`](super::comments) and [`inbox`](super::inbox).

mod audit;
mod counts;
mod unread;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Error, FromRow};

use crate::domain::event::{Event, Fact};
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::page::Cursor;
use crate::domain::post::{Post, PostCounts, PostStatus, Standing};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::content::{Content, CreatePostError, Kept, PostFilter, place_of};

use super::database::{Database, WriteGuard, unreadable};
use super::post_lists::{CountsRow, PostRow, home, list_query};
use super::stored;

const INSERT: &str = "
    INSERT INTO posts (id, author_id, author_name, status, removed, sort_at, published_event,
                       event_id, slug, document, event)
    VALUES (?1, ?2, ?3, ?4, 0, ?5, iif(?6, ?7, NULL), ?7, ?8, ?9, ?10)
    ON CONFLICT DO NOTHING";

const REPLACE: &str = "
    UPDATE posts
    SET status = ?3, removed = ?4, sort_at = ?5, published_event = iif(?6, ?7, published_event),
        event_id = ?7, document = ?8, event = ?9
    WHERE id = ?1 AND event_id = ?2";

pub(super) const KEPT: &str = "
    SELECT p.removed, p.event, p.document, c.likes, c.comments, c.views, c.shares, c.bookmarks
    FROM posts AS p LEFT JOIN post_counts AS c ON c.post_id = p.id WHERE p.id = ?1";

pub(super) const WITH_SLUG: &str = "SELECT id FROM posts WHERE slug = ?1 AND removed = 0";

pub(super) const SHOWN: &str = "
    SELECT p.document, c.likes, c.comments, c.views, c.shares, c.bookmarks
    FROM posts AS p LEFT JOIN post_counts AS c ON c.post_id = p.id
    WHERE p.id = ?1 AND p.removed = 0";

pub(super) const STANDINGS: &str = "
    SELECT p.id, p.author_id, p.status FROM json_each(?1) AS w CROSS JOIN posts AS p
    WHERE p.id = w.value AND p.removed = 0";

pub(super) const PUBLISHED: &str = "
    SELECT p.document, c.likes, c.comments, c.views, c.shares, c.bookmarks
    FROM posts AS p LEFT JOIN post_counts AS c ON c.post_id = p.id
    WHERE p.id IN (SELECT value FROM json_each(?1)) AND p.removed = 0 AND p.status = 'published'";

pub(super) const COUNTS: &str = "
    SELECT p.id, c.likes, c.comments, c.views, c.shares, c.bookmarks
    FROM posts AS p LEFT JOIN post_counts AS c ON c.post_id = p.id
    WHERE p.id IN (SELECT value FROM json_each(?1))";

/// Merges the indexes of five tables, one for each kind of document.
pub(super) const EMBEDDED_IDS: &str = "
    SELECT event_id FROM posts WHERE event_id > ?1 AND event_id < ?2
    UNION ALL
    SELECT event_id FROM post_marks WHERE event_id > ?1 AND event_id < ?2
    UNION ALL
    SELECT event_id FROM follows WHERE event_id > ?1 AND event_id < ?2
    UNION ALL
    SELECT event_id FROM comments WHERE event_id > ?1 AND event_id < ?2
    UNION ALL
    SELECT event_id FROM inboxes WHERE event_id > ?1 AND event_id < ?2
    ORDER BY event_id LIMIT ?3";

/// The events with these ids that documents embed.
const EMBEDDED: &str = "
    WITH wanted (id) AS (SELECT unhex(value) FROM json_each(?1))
    SELECT event_id, event FROM posts WHERE event_id IN (SELECT id FROM wanted)
    UNION ALL
    SELECT event_id, event FROM post_marks WHERE event_id IN (SELECT id FROM wanted)
    UNION ALL
    SELECT event_id, event FROM follows WHERE event_id IN (SELECT id FROM wanted)
    UNION ALL
    SELECT event_id, event FROM comments WHERE event_id IN (SELECT id FROM wanted)
    UNION ALL
    SELECT event_id, event FROM inboxes WHERE event_id IN (SELECT id FROM wanted)
    ORDER BY event_id";

/// Keeps posts, marks, comments and inboxes in `log.db`, or in a file of its own
/// with the same schema.
pub struct SqliteContent {
    pub(super) db: Arc<Database>,
    pub(super) clock: Arc<dyn Clock>,
    covered: bool,
}

/// What became of an attempt to insert a post.
enum Insertion {
    Created,
    Existed(Box<Kept<Post>>),
    SlugTaken,
}

#[derive(FromRow)]
struct KeptRow {
    removed: bool,
    event: String,
    #[sqlx(flatten)]
    post: PostRow,
}

impl KeptRow {
    fn read(self) -> Result<Kept<Post>, Error> {
        Ok(Kept {
            document: self.post.read()?,
            removed: self.removed,
            event: stored::event(&self.event)?,
        })
    }
}

#[derive(FromRow)]
struct CountedRow {
    id: String,
    #[sqlx(flatten)]
    counts: CountsRow,
}

impl SqliteContent {
    /// Content in a file opened with `Schema::Log`. It is `covered` where the
    /// event log is in that very file, whose appends then make it durable;
    /// where it is not, each write is made durable by itself. The clock tells
    /// how old a post may be that an inbox lists.
    pub fn new(db: Arc<Database>, covered: bool, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock, covered }
    }

    /// The writer whose commits are durable when the port says.
    pub(super) async fn writer(&self) -> Result<WriteGuard<'_>, Error> {
        if self.covered { self.db.covered_write().await } else { self.db.durable_write().await }
    }

    async fn insert(&self, post: &Post, event: &Event) -> Result<Insertion, Error> {
        let query = sqlx::query(INSERT)
            .bind(post.id.to_string())
            .bind(post.author.id.0)
            .bind(&post.author.username)
            .bind(post.status.as_str())
            .bind(place_of(post).at.as_millis())
            .bind(matches!(event.fact, Fact::PostPublished(_)))
            .bind(&event.id.0.as_bytes()[..])
            .bind(&post.slug)
            .bind(stored::to_json(post)?)
            .bind(stored::to_json(event)?);
        // One statement is one transaction; only a conflict needs a second look.
        let done = query.execute(&mut *self.writer().await?).await?;
        if done.rows_affected() > 0 {
            return Ok(Insertion::Created);
        }
        Ok(match self.kept(post.id).await? {
            Some(kept) => Insertion::Existed(Box::new(kept)),
            None => Insertion::SlugTaken,
        })
    }

    async fn kept(&self, id: PostId) -> Result<Option<Kept<Post>>, Error> {
        let row = sqlx::query_as::<_, KeptRow>(KEPT)
            .bind(id.to_string())
            .fetch_optional(self.db.readers())
            .await?;
        row.map(KeptRow::read).transpose()
    }

    /// Without the event, which holds the whole post once more.
    async fn shown(&self, id: PostId) -> Result<Option<Post>, Error> {
        let row: Option<PostRow> =
            sqlx::query_as(SHOWN).bind(id.to_string()).fetch_optional(self.db.readers()).await?;
        row.map(PostRow::read).transpose()
    }

    async fn replace(&self, kept: &Kept<Post>, expected: EventId) -> Result<bool, Error> {
        let Kept { document: post, removed, event } = kept;
        // What stays as it is never changes, and so may be read before the turn to write.
        let Some(before) = self.kept(post.id).await?.filter(|k| k.event.id == expected) else {
            return Ok(false);
        };
        let post = Post {
            slug: before.document.slug,
            author: before.document.author,
            created_at: before.document.created_at,
            ..post.clone()
        };
        let query = sqlx::query(REPLACE)
            .bind(post.id.to_string())
            .bind(&expected.0.as_bytes()[..])
            .bind(post.status.as_str())
            .bind(removed)
            .bind(place_of(&post).at.as_millis())
            .bind(matches!(event.fact, Fact::PostPublished(_)))
            .bind(&event.id.0.as_bytes()[..])
            .bind(stored::to_json(&post)?)
            .bind(stored::to_json(event)?);
        let done = query.execute(&mut *self.writer().await?).await?;
        Ok(done.rows_affected() > 0)
    }

    async fn with_slug(&self, slug: &str) -> Result<Option<PostId>, Error> {
        let id: Option<String> =
            sqlx::query_scalar(WITH_SLUG).bind(slug).fetch_optional(self.db.readers()).await?;
        id.map(|id| id.parse().map_err(unreadable)).transpose()
    }

    async fn list(
        &self,
        filter: &PostFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Post>, Error> {
        let unrestricted = filter.tag.is_none() && filter.author.is_none();
        let rows: Vec<PostRow> = match filter.followed_by.filter(|_| unrestricted) {
            Some(reader) => home(&self.db, reader, filter.status, after, limit).await?,
            None => {
                let mut query = list_query(filter, after, limit);
                query.build_query_as().fetch_all(self.db.readers()).await?
            }
        };
        rows.into_iter().map(PostRow::read).collect()
    }

    async fn published_of(&self, ids: &[PostId]) -> Result<Vec<Post>, Error> {
        let rows: Vec<PostRow> =
            sqlx::query_as(PUBLISHED).bind(stored::rows(ids)?).fetch_all(self.db.readers()).await?;
        rows.into_iter().map(PostRow::read).collect()
    }

    async fn standings_of(&self, ids: &[PostId]) -> Result<HashMap<PostId, Standing>, Error> {
        let rows: Vec<(String, i64, String)> =
            sqlx::query_as(STANDINGS).bind(stored::rows(ids)?).fetch_all(self.db.readers()).await?;
        let standing = |(id, author, status): (String, i64, String)| {
            let found = PostStatus::parse(&status);
            let status =
                found.ok_or_else(|| unreadable(format_args!("{status:?} is no status")))?;
            Ok((id.parse().map_err(unreadable)?, Standing { author: UserId(author), status }))
        };
        rows.into_iter().map(standing).collect()
    }

    async fn counts_of(&self, ids: &[PostId]) -> Result<HashMap<PostId, PostCounts>, Error> {
        let rows: Vec<CountedRow> =
            sqlx::query_as(COUNTS).bind(stored::rows(ids)?).fetch_all(self.db.readers()).await?;
        rows.into_iter()
            .map(|row| Ok((row.id.parse().map_err(unreadable)?, row.counts.read()?)))
            .collect()
    }

    async fn ids_between(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, Error> {
        let rows: Vec<(Vec<u8>,)> = sqlx::query_as(EMBEDDED_IDS)
            .bind(&after.0.as_bytes()[..])
            .bind(&before.0.as_bytes()[..])
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        rows.iter().map(|(id,)| Ok(EventId(stored::uuid(id)?))).collect()
    }

    async fn embedded(&self, ids: &[EventId]) -> Result<Vec<Event>, Error> {
        let rows: Vec<(Vec<u8>, String)> = sqlx::query_as(EMBEDDED)
            .bind(stored::rows(ids.iter().map(|id| stored::hex(id.0)))?)
            .fetch_all(self.db.readers())
            .await?;
        rows.iter().map(|(_, event)| stored::event(event)).collect()
    }
}

#[async_trait]
impl Content for SqliteContent {
    async fn create_post(
        &self,
        post: &Post,
        event: &Event,
    ) -> Result<(Post, Event), CreatePostError> {
        match self.insert(post, event).await {
            Ok(Insertion::Created) => {
                let post = Post { counts: PostCounts::default(), ..post.clone() };
                Ok((post, event.clone()))
            }
            Ok(Insertion::Existed(kept)) => Ok((kept.document, kept.event)),
            Ok(Insertion::SlugTaken) => Err(CreatePostError::SlugTaken),
            Err(e) => Err(self.db.failed(e).into()),
        }
    }

    async fn kept_post(&self, id: PostId) -> Result<Option<Kept<Post>>, StoreError> {
        self.kept(id).await.map_err(|e| self.db.failed(e))
    }

    async fn post(&self, id: PostId) -> Result<Option<Post>, StoreError> {
        self.shown(id).await.map_err(|e| self.db.failed(e))
    }

    async fn replace_post(&self, post: &Kept<Post>, expected: EventId) -> Result<bool, StoreError> {
        let replaced = self.replace(post, expected).await;
        replaced.map_err(|e| self.db.failed(e))
    }

    async fn standings(&self, ids: &[PostId]) -> Result<HashMap<PostId, Standing>, StoreError> {
        self.standings_of(ids).await.map_err(|e| self.db.failed(e))
    }

    async fn post_with_slug(&self, slug: &str) -> Result<Option<PostId>, StoreError> {
        self.with_slug(slug).await.map_err(|e| self.db.failed(e))
    }

    async fn published(&self, ids: &[PostId]) -> Result<Vec<Post>, StoreError> {
        let posts = self.published_of(ids).await;
        posts.map_err(|e| self.db.failed(e))
    }

    async fn posts(
        &self,
        filter: &PostFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Post>, StoreError> {
        let posts = self.list(filter, after, limit).await;
        posts.map_err(|e| self.db.failed(e))
    }

    async fn counts(&self, ids: &[PostId]) -> Result<HashMap<PostId, PostCounts>, StoreError> {
        self.counts_of(ids).await.map_err(|e| self.db.failed(e))
    }

    async fn embedded_ids(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, StoreError> {
        self.ids_between(after, before, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn embedded_events(&self, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        self.embedded(ids).await.map_err(|e| self.db.failed(e))
    }
}
