//! Removes a post for good.

use std::sync::Arc;

use super::committer::Committer;
use super::deed::Deed;
use super::settle::Settle;
use crate::domain::account::Role;
use crate::domain::event::{Fact, PostChange};
use crate::domain::ids::PostId;
use crate::domain::post::PostStatus;
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::content::{Content, Kept};

/// The command.
pub struct RemovePost {
    /// Where posts are kept.
    pub content: Arc<dyn Content>,
    /// Commits what an earlier attempt left.
    pub settle: Settle,
    /// Makes the event durable.
    pub committer: Arc<Committer>,
}

impl RemovePost {
    /// Removes a post of the caller, or anyone's if the caller is a moderator.
    pub async fn run(&self, deed: &Deed, id: PostId) -> Result<(), Problem> {
        loop {
            let kept = self.content.kept_post(id).await?;
            let Some(kept) = kept.filter(|kept| kept.document.is_visible_to(Some(deed.actor())))
            else {
                return Err(Problem::not_found("post"));
            };
            if self.settle.run(&kept.event, deed.event).await? {
                return Ok(());
            }
            if kept.removed {
                return Err(Problem::not_found("post"));
            }
            if kept.document.author.id != deed.actor() && deed.user.role == Role::Member {
                let detail = "Only its author and moderators may remove a post.";
                return Err(Problem::new(ProblemKind::Forbidden, "not_the_author", detail));
            }
            let mut post = kept.document;
            post.version += 1;
            post.updated_at = deed.now;
            let fact = match post.status {
                // Nobody ever heard of it, and nobody hears that it is gone.
                PostStatus::Draft => Fact::PostDrafted(Box::new(post.clone())),
                _ => Fact::PostRemoved(Box::new(PostChange {
                    post: post.clone(),
                    former_tags: Vec::new(),
                })),
            };
            let change = Kept { document: post, removed: true, event: deed.event(fact) };
            if self.content.replace_post(&change, kept.event.id).await? {
                self.committer.commit(change.event).await?;
                return Ok(());
            }
        }
    }
}
