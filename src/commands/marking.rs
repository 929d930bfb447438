//! Sets and takes back marks: what liking, keeping, sharing, viewing and following have in common.

use std::sync::Arc;

use super::committer::Committer;
use super::deed::Deed;
use super::settle::Settle;
use crate::domain::event::Fact;
use crate::domain::ids::{PostId, UserId};
use crate::domain::mark::{Mark, MarkKey};
use crate::domain::post::{Post, PostCounts, PostStatus};
use crate::domain::problem::{Problem, ProblemKind};
use crate::domain::time::Timestamp;
use crate::ports::content::Content;
use crate::ports::failpoint::Failpoints;
use crate::ports::marks::{Marks, StoredMark};

/// Changes marks, and commits the events that tell of it.
pub struct Marking {
    /// Where posts and their counts are kept.
    pub content: Arc<dyn Content>,
    /// Where marks are kept.
    pub marks: Arc<dyn Marks>,
    /// Commits what an earlier attempt left.
    pub settle: Settle,
    /// Makes the event durable.
    pub committer: Arc<Committer>,
    /// Where tests stop.
    pub failpoints: Failpoints,
}

impl Marking {
    /// The post that a user is about to mark.
    pub async fn post(&self, deed: &Deed, id: PostId) -> Result<Post, Problem> {
        let post = self.content.post(id).await?;
        public(post, deed.actor())
    }

    /// The counts of a post as they are now.
    pub async fn counts(&self, post: PostId) -> Result<PostCounts, Problem> {
        Ok(self.content.counts(&[post]).await?.get(&post).copied().unwrap_or_default())
    }

    /// Sets a mark, unless it is set. `fact` tells of it.
    pub async fn set(
        &self,
        deed: &Deed,
        mark: Mark,
        fact: Fact,
        place: &str,
    ) -> Result<(), Problem> {
        self.change(deed, mark, true, |_| fact.clone(), place).await
    }

    /// Takes a mark back, unless it is not set. `fact` tells of it; it is given the time at which the
    /// mark had been set.
    pub async fn unset(
        &self,
        deed: &Deed,
        mark: Mark,
        fact: impl Fn(Timestamp) -> Fact,
        place: &str,
    ) -> Result<(), Problem> {
        self.change(deed, mark, false, |since| fact(since.unwrap_or(deed.now)), place).await
    }

    async fn change(
        &self,
        deed: &Deed,
        mark: Mark,
        on: bool,
        fact: impl Fn(Option<Timestamp>) -> Fact,
        place: &str,
    ) -> Result<(), Problem> {
        let key = MarkKey { user: deed.actor(), mark };
        // A mark that is set is most often new: it is read only where it is not.
        let mut stored = if on { None } else { self.marks.mark(&key).await? };
        loop {
            let since = match &stored {
                Some(stored) => {
                    let done = self.settle.run(&stored.event, deed.event).await?;
                    if done || stored.on == on {
                        return Ok(());
                    }
                    Some(stored.event.time)
                }
                None if !on => return Ok(()),
                None => None,
            };
            let event = deed.event(fact(since));
            let expected = stored.as_ref().map(|stored| stored.event.id);
            let change = StoredMark { on, event };
            // Whoever was faster decides what this request finds.
            if self.marks.set_mark(&key, &change, expected).await? {
                self.failpoints.reach(place).await;
                self.committer.commit(change.event).await?;
                return Ok(());
            }
            stored = self.marks.mark(&key).await?;
        }
    }
}

/// A post that others may hear of: what is done with a draft would tell them of it.
pub(super) fn public(post: Option<Post>, actor: UserId) -> Result<Post, Problem> {
    let post = post.filter(|post| post.is_visible_to(Some(actor)));
    let post = post.ok_or_else(|| Problem::not_found("post"))?;
    if post.status == PostStatus::Draft {
        let detail = "The post is a draft; it can be published first.";
        return Err(Problem::new(ProblemKind::Conflict, "not_published", detail));
    }
    Ok(post)
}
