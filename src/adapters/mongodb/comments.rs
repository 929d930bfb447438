//! Comments.

use async_trait::async_trait;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, Bson, DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use crate::domain::comment::Comment;
use crate::domain::event::Event;
use crate::domain::ids::{CommentId, EventId, PostId, UserId};
use crate::domain::page::Cursor;
use crate::domain::post::Author;
use crate::ports::StoreError;
use crate::ports::comments::Comments;
use crate::ports::content::Kept;

use super::content::MongoContent;
use super::store::Failure;
use super::stored::{self, StoredEvent};

/// Where comments are kept.
pub(super) const COMMENTS: &str = "comments";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommentDocument {
    #[serde(rename = "_id")]
    id: ObjectId,
    post_id: ObjectId,
    parent_id: Option<ObjectId>,
    author_id: i64,
    author: Names,
    content: String,
    created_at: DateTime,
    is_edited: bool,
    removed: bool,
    /// The last event about it; lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<StoredEvent>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    username: String,
    display_name: String,
}

#[derive(Deserialize)]
struct WasRemoved {
    removed: bool,
}

impl CommentDocument {
    fn of(comment: &Comment, removed: bool, event: &Event) -> Result<Self, Failure> {
        Ok(Self {
            id: stored::object_id(comment.id),
            post_id: stored::object_id(comment.post_id),
            parent_id: comment.parent_id.map(stored::object_id),
            author_id: comment.author.id.0,
            author: Names {
                username: comment.author.username.clone(),
                display_name: comment.author.display_name.clone(),
            },
            content: comment.content.clone(),
            created_at: stored::date(comment.created_at),
            is_edited: comment.edited,
            removed,
            event: Some(StoredEvent::of(event)?),
        })
    }

    fn read(self) -> Result<Comment, Failure> {
        Ok(Comment {
            id: stored::read_object_id(self.id)?,
            post_id: stored::read_object_id(self.post_id)?,
            parent_id: self.parent_id.map(stored::read_object_id).transpose()?,
            author: Author {
                id: UserId(self.author_id),
                username: self.author.username,
                display_name: self.author.display_name,
            },
            content: self.content,
            created_at: stored::time(self.created_at),
            edited: self.is_edited,
        })
    }

    fn read_kept(self) -> Result<Kept<Comment>, Failure> {
        let event = self.event.as_ref();
        let event = event.ok_or_else(|| Failure::unreadable("a comment has no event"))?.read()?;
        let removed = self.removed;
        Ok(Kept { document: self.read()?, removed, event })
    }
}

/// The comments of a post, after a place.
pub(super) fn thread(post: PostId, after: Option<&Cursor>) -> Document {
    let mut query = match after {
        Some(after) => {
            let id = after.id.parse::<CommentId>().map(stored::object_id);
            // What is no id sorts before all of them.
            let id = id.map_or(Bson::MinKey, Into::into);
            stored::beyond(after, ("createdAt", "_id"), id, "$gt")
        }
        None => Document::new(),
    };
    query.insert("postId", stored::object_id(post));
    query.insert("removed", false);
    query
}

impl MongoContent {
    async fn insert_comments(
        &self,
        comments: &[(Comment, Event)],
    ) -> Result<Vec<(Comment, Event)>, Failure> {
        let documents = comments.iter();
        let documents: Result<Vec<_>, _> =
            documents.map(|(comment, event)| CommentDocument::of(comment, false, event)).collect();
        let known = self.insert_new(COMMENTS, &documents?).await?;
        let new = comments.iter().enumerate().filter(|(place, _)| !known.contains(place));
        self.count_all(new.map(|(_, (comment, _))| (comment.post_id, "comments", 1))).await?;
        let mut stored = Vec::with_capacity(comments.len());
        for (place, (comment, event)) in comments.iter().enumerate() {
            if !known.contains(&place) {
                stored.push((comment.clone(), event.clone()));
                continue;
            }
            let kept = self.kept_comment(comment.id).await?;
            let kept =
                kept.ok_or_else(|| Failure::unreadable("a comment that is there is not found"))?;
            stored.push((kept.document, kept.event));
        }
        Ok(stored)
    }

    async fn kept_comment(&self, id: CommentId) -> Result<Option<Kept<Comment>>, Failure> {
        let comments = self.collection::<CommentDocument>(COMMENTS);
        let found = comments.find_one(doc! { "_id": stored::object_id(id) });
        self.db.bounded(found).await?.map(CommentDocument::read_kept).transpose()
    }

    async fn exchange_comment(
        &self,
        kept: &Kept<Comment>,
        expected: EventId,
    ) -> Result<bool, Failure> {
        let document = CommentDocument::of(&kept.document, kept.removed, &kept.event)?;
        let mut fields = bson::serialize_to_document(&document).map_err(Failure::unreadable)?;
        fields.remove("_id");
        let found = doc! { "_id": document.id, "event.id": stored::event_id(expected) };
        let comments = self.collection::<WasRemoved>(COMMENTS);
        let exchange = comments
            .find_one_and_update(found, doc! { "$set": fields })
            .return_document(ReturnDocument::Before)
            .projection(doc! { "_id": 0, "removed": 1 });
        let Some(before) = self.db.bounded(exchange).await? else { return Ok(false) };
        let more = i64::from(before.removed) - i64::from(kept.removed);
        self.count_in(kept.document.post_id, "comments", more).await?;
        Ok(true)
    }

    async fn thread(
        &self,
        post: PostId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Comment>, Failure> {
        let comments = self.collection::<CommentDocument>(COMMENTS);
        let query = comments
            .find(thread(post, after))
            .sort(doc! { "createdAt": 1, "_id": 1 })
            .limit(stored::integer(limit))
            .projection(doc! { "event": 0 });
        self.db.all(query).await?.into_iter().map(CommentDocument::read).collect()
    }
}

#[async_trait]
impl Comments for MongoContent {
    async fn create_comments(
        &self,
        comments: &[(Comment, Event)],
    ) -> Result<Vec<(Comment, Event)>, StoreError> {
        self.insert_comments(comments).await.map_err(|e| self.db.failed(e))
    }

    async fn comment(&self, id: CommentId) -> Result<Option<Kept<Comment>>, StoreError> {
        self.kept_comment(id).await.map_err(|e| self.db.failed(e))
    }

    async fn replace_comment(
        &self,
        comment: &Kept<Comment>,
        expected: EventId,
    ) -> Result<bool, StoreError> {
        self.exchange_comment(comment, expected).await.map_err(|e| self.db.failed(e))
    }

    async fn comments(
        &self,
        post: PostId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Comment>, StoreError> {
        // To MongoDB a limit of 0 is none.
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.thread(post, after, limit).await.map_err(|e| self.db.failed(e))
    }
}
