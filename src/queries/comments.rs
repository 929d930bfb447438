//! The comments on a post.

use std::sync::Arc;

use crate::domain::comment::Comment;
use crate::domain::ids::{PostId, UserId};
use crate::domain::page::{Cursor, Page};
use crate::domain::problem::Problem;
use crate::ports::comments::Comments;
use crate::ports::content::Content;

/// Reads comments.
pub struct CommentReader {
    /// Where posts are kept.
    pub content: Arc<dyn Content>,
    /// Where comments are kept.
    pub comments: Arc<dyn Comments>,
}

impl CommentReader {
    /// The comments on a post that `caller` may see, replies among them, oldest first.
    pub async fn list(
        &self,
        post: PostId,
        caller: Option<UserId>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Comment>, Problem> {
        let found = self.content.post(post).await?.filter(|post| post.is_visible_to(caller));
        found.ok_or_else(|| Problem::not_found("post"))?;
        let comments = self.comments.comments(post, after, limit + 1).await?;
        let place =
            |comment: &Comment| Cursor { at: comment.created_at, id: comment.id.to_string() };
        Ok(Page::of(comments, limit, place))
    }
}
