//! Restores documents from the log, where the log holds all of them.

use super::Audit;
use super::documents::holds_after;
use super::report::Remedy;
use crate::domain::event::{CommentChange, Event, Fact, InboxRead, LoggedEvent};
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::mark::MarkKey;
use crate::domain::post::Post;
use crate::ports::StoreError;
use crate::ports::audit::content::{DocumentKey, LastEvent};
use crate::ports::audit::log::version_of;
use crate::ports::content::{CreatePostError, Kept};
use crate::ports::marks::StoredMark;

/// Said where somebody changed the document meanwhile.
const CHANGED: &str = "it was changed just now";

fn done(is_done: bool) -> Remedy {
    if is_done { Remedy::Repaired } else { Remedy::Left(CHANGED.into()) }
}

/// The post as an event brought it, and whether it removed it; `None` for other events.
fn post_of(event: &Event) -> Option<(&Post, bool)> {
    match &event.fact {
        Fact::PostPublished(post) | Fact::PostDrafted(post) => Some((post, false)),
        Fact::PostUpdated(change) => Some((&change.post, false)),
        Fact::PostRemoved(change) => Some((&change.post, true)),
        _ => None,
    }
}

/// A draft is edited and removed by the same kind of event, and one that changes nothing in it may be either.
fn may_be_a_removal(last: &Event, before: Option<&Event>) -> bool {
    let (Fact::PostDrafted(last), Some(Fact::PostDrafted(before))) =
        (&last.fact, before.map(|event| &event.fact))
    else {
        return false;
    };
    let same = Post { version: last.version, updated_at: last.updated_at, ..(**before).clone() };
    same == **last
}

impl Audit {
    /// Makes a document what the event says, if it still is as it was seen.
    pub(super) async fn restore(
        &self,
        key: &DocumentKey,
        logged: &LoggedEvent,
        state: Option<&LastEvent>,
    ) -> Result<Remedy, StoreError> {
        let expected = state.map(|state| state.event);
        match (key, &logged.event.fact) {
            (DocumentKey::Post(id), _) => self.restore_post(*id).await,
            (
                DocumentKey::Comment(_),
                Fact::PostCommented(change)
                | Fact::CommentEdited(change)
                | Fact::CommentRemoved(change),
            ) => self.restore_comment(change, &logged.event, expected).await,
            (DocumentKey::Inbox(user), Fact::NotificationRead(read)) => {
                self.restore_reading(*user, read, &logged.event, expected).await
            }
            (DocumentKey::Mark(key), fact) => {
                let on = holds_after(fact).unwrap_or(true);
                self.restore_mark(key, on, &logged.event, expected).await
            }
            _ => Ok(Remedy::Left("the event is about something else".into())),
        }
    }

    async fn restore_mark(
        &self,
        key: &MarkKey,
        on: bool,
        event: &Event,
        expected: Option<EventId>,
    ) -> Result<Remedy, StoreError> {
        let mark = StoredMark { on, event: event.clone() };
        self.stores.marks.set_mark(key, &mark, expected).await.map(done)
    }

    async fn restore_reading(
        &self,
        user: UserId,
        read: &InboxRead,
        event: &Event,
        expected: Option<EventId>,
    ) -> Result<Remedy, StoreError> {
        self.stores.inbox.mark_read(user, read, event, expected).await.map(done)
    }

    async fn restore_comment(
        &self,
        change: &CommentChange,
        event: &Event,
        expected: Option<EventId>,
    ) -> Result<Remedy, StoreError> {
        let (comments, document) = (&self.stores.comments, change.comment.clone());
        let removed = holds_after(&event.fact) == Some(false);
        let expected = match expected {
            Some(expected) => expected,
            None => comments.create_comment(&document, event).await?.1.id,
        };
        let kept = Kept { document, removed, event: event.clone() };
        comments.replace_comment(&kept, expected).await.map(done)
    }

    /// Tells the story of a post again from where its document is: what followers are shown depends on the event
    /// that published it, not on the last one alone.
    async fn restore_post(&self, id: PostId) -> Result<Remedy, StoreError> {
        let story = self.stores.log.story_of(id).await?;
        let kept = self.stores.content.kept_post(id).await?;
        let version = kept.as_ref().map_or(0, |kept| kept.document.version);
        let mut expected = kept.map(|kept| kept.event.id);
        let mut before = None;
        for event in &story {
            // The version that is there may say otherwise than its event, if that says anything.
            let is_there = Some(event.id) == expected && holds_after(&event.fact).is_none();
            if version_of(event) < Some(version) || is_there {
                before = Some(event);
                continue;
            }
            let Some((post, removed)) = post_of(event) else { continue };
            if may_be_a_removal(event, before) {
                return Ok(Remedy::Left("its last event edits the draft or removes it".into()));
            }
            before = Some(event);
            let known = match expected {
                Some(known) => known,
                None => match self.stores.content.create_post(post, event).await {
                    Ok((_, stored)) => stored.id,
                    Err(CreatePostError::SlugTaken) => {
                        return Ok(Remedy::Left("another post has its address".into()));
                    }
                    Err(CreatePostError::Store(error)) => return Err(error),
                },
            };
            let kept = Kept { document: post.clone(), removed, event: event.clone() };
            if !self.stores.content.replace_post(&kept, known).await? {
                return Ok(Remedy::Left(CHANGED.into()));
            }
            expected = Some(event.id);
        }
        Ok(Remedy::Repaired)
    }
}
