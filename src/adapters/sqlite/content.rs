//! Posts.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Error, QueryBuilder, Sqlite, SqliteConnection};

use crate::domain::event::Event;
use crate::domain::ids::{EventId, PostId};
use crate::domain::post::Post;
use crate::ports::StoreError;
use crate::ports::content::{Content, CreatePostError, PostFilter};

use super::database::{Database, unreadable};
use super::stored;

/// Keeps posts in `log.db`, or in a file of its own with the same schema.
pub struct SqliteContent {
    db: Arc<Database>,
    covered: bool,
}

/// What became of an attempt to insert a post.
enum Insertion {
    Created,
    Existed(Box<(Post, Event)>),
    SlugTaken,
}

impl SqliteContent {
    /// Content in a file opened with `Schema::Log`. It is `covered` where the
    /// event log is in that very file, whose appends then make it durable;
    /// where it is not, each write is made durable by itself.
    pub fn new(db: Arc<Database>, covered: bool) -> Self {
        Self { db, covered }
    }

    async fn insert(&self, post: &Post, event: &Event) -> Result<Insertion, Error> {
        let mut writer = if self.covered {
            self.db.covered_write().await?
        } else {
            self.db.durable_write().await?
        };
        // One statement is one transaction; only a conflict needs a second look.
        if insert_document(&mut writer, post, event).await? {
            return Ok(Insertion::Created);
        }
        Ok(match existing(&mut writer, post.id).await? {
            Some(stored) => Insertion::Existed(Box::new(stored)),
            None => Insertion::SlugTaken,
        })
    }

    async fn find(&self, id: PostId) -> Result<Option<Post>, Error> {
        let row: Option<(String,)> = sqlx::query_as("SELECT document FROM posts WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(self.db.readers())
            .await?;
        row.map(|(document,)| read_post(&document)).transpose()
    }

    async fn list(
        &self,
        filter: &PostFilter,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<Vec<Post>, Error> {
        let rows: Vec<(String,)> =
            list_query(filter, before, limit).build_query_as().fetch_all(self.db.readers()).await?;
        rows.iter().map(|(document,)| read_post(document)).collect()
    }

    async fn embedded(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT event FROM posts WHERE event_id > ? AND event_id < ? ORDER BY event_id LIMIT ?",
        )
        .bind(&after.0.as_bytes()[..])
        .bind(&before.0.as_bytes()[..])
        .bind(stored::integer(limit))
        .fetch_all(self.db.readers())
        .await?;
        rows.iter().map(|(event,)| stored::event(event)).collect()
    }
}

/// Inserts a post with its tags; false if its id or slug is taken.
async fn insert_document(
    connection: &mut SqliteConnection,
    post: &Post,
    event: &Event,
) -> Result<bool, Error> {
    let inserted = sqlx::query(
        "INSERT INTO posts (id, author_id, status, slug, document, event_id, event)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(post.id.to_string())
    .bind(post.author.id.0)
    .bind(post.status.as_str())
    .bind(&post.slug)
    .bind(stored::to_json(post)?)
    .bind(&event.id.0.as_bytes()[..])
    .bind(stored::to_json(event)?)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

async fn existing(
    connection: &mut SqliteConnection,
    id: PostId,
) -> Result<Option<(Post, Event)>, Error> {
    let row: Option<(String, String)> =
        sqlx::query_as("SELECT document, event FROM posts WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(connection)
            .await?;
    row.map(|(document, event)| Ok((read_post(&document)?, stored::event(&event)?))).transpose()
}

/// Walks one index backwards: that of the tag, the author, the status or the ids.
pub(super) fn list_query(
    filter: &PostFilter,
    before: Option<PostId>,
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT p.document FROM ");
    let id = if let Some(tag) = &filter.tag {
        query.push("post_tags AS t CROSS JOIN posts AS p ON p.id = t.post_id WHERE t.tag = ");
        query.push_bind(tag.clone());
        "t.post_id"
    } else {
        query.push("posts AS p WHERE true");
        "p.id"
    };
    if let Some(author) = filter.author {
        query.push(" AND p.author_id = ").push_bind(author.0);
    }
    if let Some(status) = filter.status {
        query.push(" AND p.status = ").push_bind(status.as_str());
    }
    if let Some(before) = before {
        query.push(" AND ").push(id).push(" < ");
        query.push_bind(before.to_string());
    }
    query.push(" ORDER BY ").push(id).push(" DESC LIMIT ");
    query.push_bind(stored::integer(limit));
    query
}

fn read_post(document: &str) -> Result<Post, Error> {
    serde_json::from_str(document).map_err(unreadable)
}

#[async_trait]
impl Content for SqliteContent {
    async fn create_post(
        &self,
        post: &Post,
        event: &Event,
    ) -> Result<(Post, Event), CreatePostError> {
        match self.insert(post, event).await {
            Ok(Insertion::Created) => Ok((post.clone(), event.clone())),
            Ok(Insertion::Existed(stored)) => Ok(*stored),
            Ok(Insertion::SlugTaken) => Err(CreatePostError::SlugTaken),
            Err(e) => Err(self.db.failed(e).into()),
        }
    }

    async fn post(&self, id: PostId) -> Result<Option<Post>, StoreError> {
        self.find(id).await.map_err(|e| self.db.failed(e))
    }

    async fn posts(
        &self,
        filter: &PostFilter,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<Vec<Post>, StoreError> {
        let posts = self.list(filter, before, limit).await;
        posts.map_err(|e| self.db.failed(e))
    }

    async fn embedded_events(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let events = self.embedded(after, before, limit).await;
        events.map_err(|e| self.db.failed(e))
    }
}
