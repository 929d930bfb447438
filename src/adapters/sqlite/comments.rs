//! Comments.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::{Error, FromRow};

use crate::domain::comment::Comment;
use crate::domain::event::Event;
use crate::domain::ids::{CommentId, EventId, PostId};
use crate::domain::page::Cursor;
use crate::ports::StoreError;
use crate::ports::comments::Comments;
use crate::ports::content::Kept;

use super::content::SqliteContent;
use super::database::unreadable;
use super::stored;

pub(super) const INSERT: &str = "
    INSERT INTO comments (id, post_id, created_at, removed, event_id, document, event)
    SELECT w.value ->> 0, w.value ->> 1, w.value ->> 2, 0, unhex(w.value ->> 3), w.value ->> 4,
           w.value ->> 5
    FROM jsonb_each(?1) AS w
    WHERE true
    ON CONFLICT DO NOTHING
    RETURNING id";

const REPLACE: &str = "
    UPDATE comments SET created_at = ?3, removed = ?4, event_id = ?5, document = ?6, event = ?7
    WHERE id = ?1 AND event_id = ?2";

pub(super) const THREAD: &str = "
    SELECT document FROM comments
    WHERE post_id = ?1 AND removed = 0 AND (created_at, id) > (?2, ?3)
    ORDER BY created_at, id LIMIT ?4";

#[derive(FromRow)]
struct KeptRow {
    document: String,
    removed: bool,
    event: String,
}

impl KeptRow {
    fn read(self) -> Result<Kept<Comment>, Error> {
        Ok(Kept {
            document: read_comment(&self.document)?,
            removed: self.removed,
            event: stored::event(&self.event)?,
        })
    }
}

fn read_comment(document: &str) -> Result<Comment, Error> {
    serde_json::from_str(document).map_err(unreadable)
}

impl SqliteContent {
    /// One statement for all of them, which the triggers make a transaction with what is counted.
    async fn insert_comments(
        &self,
        comments: &[(Comment, Event)],
    ) -> Result<Vec<(Comment, Event)>, Error> {
        let row = |(comment, event): &(Comment, Event)| {
            let (at, document) = (comment.created_at.as_millis(), stored::to_json(comment)?);
            let (id, post, told) =
                (comment.id.to_string(), comment.post_id.to_string(), stored::hex(event.id.0));
            Ok((id, post, at, told, document, stored::to_json(event)?))
        };
        let rows: Result<Vec<_>, Error> = comments.iter().map(row).collect();
        let query = sqlx::query_scalar(INSERT).bind(stored::rows(rows?)?);
        let ids: Vec<String> = query.fetch_all(&mut *self.writer().await?).await?;
        let mut new: HashSet<_> = ids.into_iter().collect();
        let mut stored = Vec::with_capacity(comments.len());
        for (comment, event) in comments {
            if new.remove(&comment.id.to_string()) {
                stored.push((comment.clone(), event.clone()));
                continue;
            }
            let kept = self.kept_comment(comment.id).await?;
            let kept = kept.ok_or_else(|| unreadable("a comment that is there is not found"))?;
            stored.push((kept.document, kept.event));
        }
        Ok(stored)
    }

    async fn kept_comment(&self, id: CommentId) -> Result<Option<Kept<Comment>>, Error> {
        let row: Option<KeptRow> =
            sqlx::query_as("SELECT document, removed, event FROM comments WHERE id = ?1")
                .bind(id.to_string())
                .fetch_optional(self.db.readers())
                .await?;
        row.map(KeptRow::read).transpose()
    }

    async fn exchange_comment(
        &self,
        kept: &Kept<Comment>,
        expected: EventId,
    ) -> Result<bool, Error> {
        let query = sqlx::query(REPLACE)
            .bind(kept.document.id.to_string())
            .bind(&expected.0.as_bytes()[..])
            .bind(kept.document.created_at.as_millis())
            .bind(kept.removed)
            .bind(&kept.event.id.0.as_bytes()[..])
            .bind(stored::to_json(&kept.document)?)
            .bind(stored::to_json(&kept.event)?);
        let done = query.execute(&mut *self.writer().await?).await?;
        Ok(done.rows_affected() > 0)
    }

    async fn thread(
        &self,
        post: PostId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Comment>, Error> {
        let documents: Vec<String> = sqlx::query_scalar(THREAD)
            .bind(post.to_string())
            .bind(after.map_or(i64::MIN, |after| after.at.as_millis()))
            .bind(after.map_or("", |after| &after.id))
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        documents.iter().map(|document| read_comment(document)).collect()
    }
}

#[async_trait]
impl Comments for SqliteContent {
    async fn create_comments(
        &self,
        comments: &[(Comment, Event)],
    ) -> Result<Vec<(Comment, Event)>, StoreError> {
        let created = self.insert_comments(comments).await;
        created.map_err(|e| self.db.failed(e))
    }

    async fn comment(&self, id: CommentId) -> Result<Option<Kept<Comment>>, StoreError> {
        let kept = self.kept_comment(id).await;
        kept.map_err(|e| self.db.failed(e))
    }

    async fn replace_comment(
        &self,
        comment: &Kept<Comment>,
        expected: EventId,
    ) -> Result<bool, StoreError> {
        let replaced = self.exchange_comment(comment, expected).await;
        replaced.map_err(|e| self.db.failed(e))
    }

    async fn comments(
        &self,
        post: PostId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Comment>, StoreError> {
        let comments = self.thread(post, after, limit).await;
        comments.map_err(|e| self.db.failed(e))
    }
}
