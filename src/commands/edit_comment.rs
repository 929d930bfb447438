//! Edits a comment.

use std::sync::Arc;

use super::comment_on_post::checked;
use super::committer::Committer;
use super::deed::Deed;
use super::settle::Settle;
use crate::domain::comment::Comment;
use crate::domain::event::{CommentChange, Fact};
use crate::domain::ids::CommentId;
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::comments::Comments;
use crate::ports::content::{Content, Kept};

/// The command.
pub struct EditComment {
    /// Where posts are kept.
    pub content: Arc<dyn Content>,
    /// Where comments are kept.
    pub comments: Arc<dyn Comments>,
    /// Commits what an earlier attempt left.
    pub settle: Settle,
    /// Makes the event durable.
    pub committer: Arc<Committer>,
}

impl EditComment {
    /// Changes the text of a comment of the caller. Names that are new in it notify nobody.
    pub async fn run(&self, deed: &Deed, id: CommentId, content: &str) -> Result<Comment, Problem> {
        let content = checked(content)?;
        loop {
            let kept = self.comments.comment(id).await?.filter(|kept| !kept.removed);
            let kept = kept.ok_or_else(|| Problem::not_found("comment"))?;
            // With its post, a comment is gone.
            let post = self.content.post(kept.document.post_id).await?;
            post.ok_or_else(|| Problem::not_found("comment"))?;
            if kept.document.author.id != deed.actor() {
                let detail = "Only its author may edit a comment.";
                return Err(Problem::new(ProblemKind::Forbidden, "not_the_author", detail));
            }
            if self.settle.run(&kept.event, deed.event).await? {
                return Ok(kept.document);
            }
            let comment = Comment { content: content.clone(), edited: true, ..kept.document };
            let told = CommentChange { comment: comment.clone(), notify: Vec::new() };
            let event = deed.event(Fact::CommentEdited(Box::new(told)));
            let change = Kept { document: comment, removed: false, event };
            if self.comments.replace_comment(&change, kept.event.id).await? {
                self.committer.commit(change.event).await?;
                return Ok(change.document);
            }
        }
    }
}
