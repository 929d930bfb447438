//! Comments as documents.

use async_trait::async_trait;

use crate::domain::comment::Comment;
use crate::domain::event::Event;
use crate::domain::ids::{CommentId, EventId, PostId};
use crate::domain::page::Cursor;

use super::StoreError;
use super::content::Kept;

/// Keeps comments, and counts those of each post that were not removed. As
/// durable as [`Content`](super::content::Content).
#[async_trait]
pub trait Comments: Send + Sync {
    /// Creates comments, each together with the event that tells of it; returns them in their order. Where one with
    /// this id exists already, nothing changes and what is stored is returned. After an error some may be there.
    async fn create_comments(
        &self,
        comments: &[(Comment, Event)],
    ) -> Result<Vec<(Comment, Event)>, StoreError>;

    /// Creates one comment.
    async fn create_comment(
        &self,
        comment: &Comment,
        event: &Event,
    ) -> Result<(Comment, Event), StoreError> {
        let one = (comment.clone(), event.clone());
        let created = self.create_comments(std::slice::from_ref(&one)).await?;
        Ok(created.into_iter().next().unwrap_or(one))
    }

    /// The comment with this id and its last event, even if it was removed.
    async fn comment(&self, id: CommentId) -> Result<Option<Kept<Comment>>, StoreError>;

    /// Replaces a comment if the last event about it still is `expected`; says whether it was.
    async fn replace_comment(
        &self,
        comment: &Kept<Comment>,
        expected: EventId,
    ) -> Result<bool, StoreError>;

    /// The comments of a post that were not removed, oldest first, by time and then by id,
    /// after `after` (exclusive) if given, at most `limit`.
    async fn comments(
        &self,
        post: PostId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Comment>, StoreError>;
}
