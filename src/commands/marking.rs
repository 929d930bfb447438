//! Sets and takes back marks: what liking, keeping, sharing, viewing and following have in common.

use std::sync::Arc;

use super::committer::Committer;
use super::deed::Deed;
use super::gathered::Gathered;
use super::settle::Settle;
use crate::domain::event::Fact;
use crate::domain::ids::{PostId, UserId};
use crate::domain::mark::{Mark, MarkKey};
use crate::domain::post::{PostCounts, PostStatus, Standing};
use crate::domain::problem::{Problem, ProblemKind};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::failpoint::Failpoints;
use crate::ports::marks::{MarkChange, Marks, StoredMark};

/// Changes marks, and commits the events that tell of it.
pub struct Marking {
    /// Where marks are kept.
    pub marks: Arc<dyn Marks>,
    /// Asks both together with others.
    pub gathered: Gathered,
    /// Commits what an earlier attempt left.
    pub settle: Settle,
    /// Makes the event durable.
    pub committer: Arc<Committer>,
    /// Where tests stop.
    pub failpoints: Failpoints,
}

impl Marking {
    /// The author of a post that a user is about to mark.
    pub async fn author(&self, deed: &Deed, id: PostId) -> Result<UserId, Problem> {
        Ok(public(self.gathered.standings.ask(id).await?, deed.actor())?.author)
    }

    /// Sets a mark, unless it is set. `fact` tells of it. Returns the counts of the post, if it is one, as they are then.
    pub async fn set(
        &self,
        deed: &Deed,
        mark: Mark,
        fact: Fact,
        place: &str,
    ) -> Result<PostCounts, Problem> {
        self.change(deed, mark, true, |_| fact.clone(), place).await
    }

    /// Takes a mark back, unless it is not set. `fact` tells of it; it is given the time at which the
    /// mark had been set. Returns what [`Marking::set`] does.
    pub async fn unset(
        &self,
        deed: &Deed,
        mark: Mark,
        fact: impl Fn(Timestamp) -> Fact,
        place: &str,
    ) -> Result<PostCounts, Problem> {
        self.change(deed, mark, false, |since| fact(since.unwrap_or(deed.now)), place).await
    }

    async fn change(
        &self,
        deed: &Deed,
        mark: Mark,
        on: bool,
        fact: impl Fn(Option<Timestamp>) -> Fact,
        place: &str,
    ) -> Result<PostCounts, Problem> {
        let key = MarkKey { user: deed.actor(), mark };
        // A mark that is set is most often new: it is read only where it is not.
        let mut stored = if on { None } else { self.mark(key).await? };
        loop {
            let since = match &stored {
                Some(stored) => {
                    let done = self.settle.run(&stored.event, deed.event).await?;
                    if done || stored.on == on {
                        return self.counts(mark).await;
                    }
                    Some(stored.event.time)
                }
                None if !on => return self.counts(mark).await,
                None => None,
            };
            let event = deed.event(fact(since));
            let expected = stored.as_ref().map(|stored| stored.event.id);
            let change = MarkChange { key, mark: StoredMark { on, event }, expected };
            // Whoever was faster decides what this request finds.
            if self.set_mark(&change).await? {
                self.failpoints.reach(place).await;
                // The counts moved with the mark; they are read while the event is appended. Both to their end: what was
                // written is to be committed, whatever comes of the counts.
                let committed = self.committer.commit(change.mark.event);
                let (committed, counts) = tokio::join!(committed, self.counts(mark));
                committed?;
                return counts;
            }
            stored = self.mark(key).await?;
        }
    }

    /// A mark. Follows are asked for one by one: no store has a question for many of them, and others would wait.
    async fn mark(&self, key: MarkKey) -> Result<Option<StoredMark>, StoreError> {
        match key.mark {
            Mark::Follow(_) => self.marks.mark(&key).await,
            _ => self.gathered.marks.ask(key).await,
        }
    }

    async fn set_mark(&self, change: &MarkChange) -> Result<bool, StoreError> {
        let MarkChange { key, mark, expected } = change;
        match key.mark {
            Mark::Follow(_) => self.marks.set_mark(key, mark, *expected).await,
            _ => self.gathered.changes.ask(change.clone()).await,
        }
    }

    /// The counts of what is marked, if it is a post.
    async fn counts(&self, mark: Mark) -> Result<PostCounts, Problem> {
        Ok(match mark.post() {
            Some(post) => self.gathered.counts.ask(post).await?,
            None => PostCounts::default(),
        })
    }
}

/// A post that others may hear of: what is done with a draft would tell them of it.
pub(super) fn public(post: Option<Standing>, actor: UserId) -> Result<Standing, Problem> {
    let post = post.filter(|post| post.is_visible_to(Some(actor)));
    let post = post.ok_or_else(|| Problem::not_found("post"))?;
    if post.status == PostStatus::Draft {
        let detail = "The post is a draft; it can be published first.";
        return Err(Problem::new(ProblemKind::Conflict, "not_published", detail));
    }
    Ok(post)
}
