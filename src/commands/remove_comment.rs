//! Removes a comment.

use std::sync::Arc;

use super::committer::Committer;
use super::deed::Deed;
use super::settle::Settle;
use crate::domain::account::Role;
use crate::domain::event::{CommentChange, Fact};
use crate::domain::ids::CommentId;
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::comments::Comments;
use crate::ports::content::{Content, Kept};

/// The command.
pub struct RemoveComment {
    /// Where posts are kept.
    pub content: Arc<dyn Content>,
    /// Where comments are kept.
    pub comments: Arc<dyn Comments>,
    /// Commits what an earlier attempt left.
    pub settle: Settle,
    /// Makes the event durable.
    pub committer: Arc<Committer>,
}

impl RemoveComment {
    /// Removes a comment of the caller, or anyone's if the caller is a moderator. Its replies stay.
    pub async fn run(&self, deed: &Deed, id: CommentId) -> Result<(), Problem> {
        loop {
            let kept = self.comments.comment(id).await?;
            let kept = kept.ok_or_else(|| Problem::not_found("comment"))?;
            // With its post, a comment is gone.
            let post = self.content.post(kept.document.post_id).await?;
            post.ok_or_else(|| Problem::not_found("comment"))?;
            if self.settle.run(&kept.event, deed.event).await? {
                return Ok(());
            }
            if kept.removed {
                return Err(Problem::not_found("comment"));
            }
            if kept.document.author.id != deed.actor() && deed.user.role == Role::Member {
                let detail = "Only its author and moderators may remove a comment.";
                return Err(Problem::new(ProblemKind::Forbidden, "not_the_author", detail));
            }
            let told = CommentChange { comment: kept.document.clone(), notify: Vec::new() };
            let event = deed.event(Fact::CommentRemoved(Box::new(told)));
            let change = Kept { document: kept.document, removed: true, event };
            if self.comments.replace_comment(&change, kept.event.id).await? {
                self.committer.commit(change.event).await?;
                return Ok(());
            }
        }
    }
}
