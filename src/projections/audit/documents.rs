//! Documents that do not know what the log knows of them: they were written before the event that tells of it, and lost
//! since, as a failover may lose what only one server had.
//!
//! Which of two events about a document came later is not always known. Events of one run are in the order of
//! their numbers, and those of posts in the order of the versions. Apart from that there are the clocks of nodes, and
//! requests that were held up between minting their event and writing it: where these could be why a document does not
//! know an event, nothing is said.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use super::Audit;
use super::report::{Check, Report};
use crate::domain::event::{Event, Fact, LoggedEvent, PostMark};
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::mark::{Mark, MarkKey};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::audit::content::{DocumentKey, LastEvent};
use crate::ports::audit::log::version_of;

const HOUR_MILLIS: i64 = 3_600_000;

/// How much later than another an event may be minted that came before it, where nothing else tells: as long as a
/// request may be held up, and clocks may differ.
const HELD_UP: Duration = Duration::from_secs(60);

/// A document, and an event that it should know.
pub(super) struct Doubt {
    key: DocumentKey,
    event: EventId,
}

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Missing,
    Older,
    Otherwise,
}

/// What an event makes of a document: whether a mark is on, or what was written not removed. `None`: the event
/// does not say.
pub(super) fn holds_after(fact: &Fact) -> Option<bool> {
    match fact {
        // A draft is removed by such an event as well.
        Fact::PostDrafted(_) | Fact::ChannelPublished(_) => None,
        Fact::PostRemoved(_)
        | Fact::PostUnliked(_)
        | Fact::PostUnbookmarked(_)
        | Fact::CommentRemoved(_)
        | Fact::UserUnfollowed(_) => Some(false),
        Fact::PostPublished(_)
        | Fact::PostUpdated(_)
        | Fact::PostLiked(_)
        | Fact::PostBookmarked(_)
        | Fact::PostShared(_)
        | Fact::PostViewed(_)
        | Fact::PostCommented(_)
        | Fact::CommentEdited(_)
        | Fact::UserFollowed(_)
        | Fact::NotificationRead(_) => Some(true),
    }
}

/// The document that an event is about, if it is about one.
fn key_of(event: &Event) -> Option<DocumentKey> {
    let by_actor = |mark: Mark| {
        let user = event.actor.as_ref()?.id;
        Some(DocumentKey::Mark(MarkKey { user, mark }))
    };
    let on = |mark: &PostMark, make: fn(PostId) -> Mark| by_actor(make(mark.post_id));
    match &event.fact {
        Fact::PostPublished(post) | Fact::PostDrafted(post) => Some(DocumentKey::Post(post.id)),
        Fact::PostUpdated(change) | Fact::PostRemoved(change) => {
            Some(DocumentKey::Post(change.post.id))
        }
        Fact::PostLiked(mark) | Fact::PostUnliked(mark) => on(mark, Mark::Like),
        Fact::PostBookmarked(mark) | Fact::PostUnbookmarked(mark) => on(mark, Mark::Bookmark),
        Fact::PostShared(mark) => by_actor(Mark::Share(mark.post_id, event.id)),
        Fact::PostViewed(mark) => {
            let hour = event.id.minted_at().as_millis().div_euclid(HOUR_MILLIS);
            by_actor(Mark::View(mark.post_id, hour))
        }
        Fact::PostCommented(change)
        | Fact::CommentEdited(change)
        | Fact::CommentRemoved(change) => Some(DocumentKey::Comment(change.comment.id)),
        Fact::UserFollowed(follow) | Fact::UserUnfollowed(follow) => {
            by_actor(Mark::Follow(follow.user))
        }
        Fact::NotificationRead(_) => Some(DocumentKey::Inbox(event.actor.as_ref()?.id)),
        Fact::ChannelPublished(_) => None,
    }
}

/// When what an event takes back was done, if it takes something back.
fn taken_back(event: &Event) -> Option<Timestamp> {
    match &event.fact {
        Fact::PostUnliked(mark) | Fact::PostUnbookmarked(mark) => mark.since,
        _ => None,
    }
}

/// Whether one event about a document came after another; `None` if nothing tells.
fn came_after(one: &LoggedEvent, other: &LoggedEvent) -> Option<bool> {
    if let (Some(one), Some(other)) = (version_of(&one.event), version_of(&other.event)) {
        return Some(one > other);
    }
    if one.incarnation == other.incarnation {
        return Some(one.seq > other.seq);
    }
    if taken_back(&one.event).is_some_and(|since| since == other.event.time) {
        return Some(true);
    }
    if taken_back(&other.event).is_some_and(|since| since == one.event.time) {
        return Some(false);
    }
    let (one, other) = (one.event.id.minted_at(), other.event.id.minted_at());
    if one > other.plus(HELD_UP) {
        return Some(true);
    }
    (other > one.plus(HELD_UP)).then_some(false)
}

/// Of each document that events are about, the last of these events.
pub(super) fn latest_of(page: &[LoggedEvent]) -> HashMap<DocumentKey, &LoggedEvent> {
    let mut latest: HashMap<_, &LoggedEvent> = HashMap::new();
    for logged in page {
        let Some(key) = key_of(&logged.event) else { continue };
        match latest.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(logged);
            }
            Entry::Occupied(mut kept) => {
                let by_id = logged.event.id > kept.get().event.id;
                if came_after(logged, kept.get()).unwrap_or(by_id) {
                    kept.insert(logged);
                }
            }
        }
    }
    latest
}

fn in_words(key: &DocumentKey) -> String {
    let mark = |user: UserId, what: &str, post: PostId| format!("{what} of post {post} by {user}");
    match key {
        DocumentKey::Post(id) => format!("post {id}"),
        DocumentKey::Comment(id) => format!("comment {id}"),
        DocumentKey::Inbox(user) => format!("what user {user} read of the inbox"),
        DocumentKey::Mark(MarkKey { user, mark: kind }) => match kind {
            Mark::Like(post) => mark(*user, "like", *post),
            Mark::Bookmark(post) => mark(*user, "bookmark", *post),
            Mark::Share(post, _) => mark(*user, "share", *post),
            Mark::View(post, _) => mark(*user, "view", *post),
            Mark::Follow(followee) => format!("follow of {followee} by {user}"),
        },
    }
}

impl Audit {
    /// Documents that may not know the event.
    pub(super) async fn doubtful(
        &self,
        latest: HashMap<DocumentKey, &LoggedEvent>,
    ) -> Result<Vec<Doubt>, StoreError> {
        let keys: Vec<_> = latest.keys().copied().collect();
        let states = self.stores.documents.last_events(&keys).await?;
        let is_doubtful = |key: &DocumentKey, logged: &LoggedEvent| match states.get(key) {
            None => true,
            Some(state) if state.event == logged.event.id => {
                holds_after(&logged.event.fact).is_some_and(|holds| holds != state.holds)
            }
            Some(state) => state.event < logged.event.id,
        };
        let doubts = latest.into_iter().filter(|(key, logged)| is_doubtful(key, logged));
        let doubts = doubts.map(|(key, logged)| Doubt { key, event: logged.event.id });
        let mut doubts: Vec<_> = doubts.collect();
        doubts.sort_unstable_by_key(|doubt| doubt.event);
        Ok(doubts)
    }

    /// Looks at documents again, with the event that each of them does know.
    pub(super) async fn judge_documents(
        &self,
        doubts: &[Doubt],
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let keys: Vec<_> = doubts.iter().map(|doubt| doubt.key).collect();
        let states = self.stores.documents.last_events(&keys).await?;
        let mut ids: Vec<_> = doubts.iter().map(|doubt| doubt.event).collect();
        ids.extend(states.values().map(|state| state.event));
        let events = self.stores.log.find(&ids).await?.into_iter();
        let events: HashMap<_, _> = events.map(|logged| (logged.event.id, logged)).collect();
        for Doubt { key, event } in doubts {
            let Some(logged) = events.get(event) else { continue };
            let state = states.get(key);
            let known = state.and_then(|state| events.get(&state.event));
            let Some(wrong) = judged(logged, state, known) else { continue };
            let remedy = self.remedy(self.restore(key, logged, state)).await?;
            let (document, kind) = (in_words(key), logged.event.fact.kind());
            let what = match wrong {
                Wrong::Missing => format!("{document} is missing: {kind} {event}"),
                Wrong::Older => format!("{document} is older than {kind} {event}"),
                Wrong::Otherwise => format!("{document} contradicts {kind} {event}"),
            };
            report.found(Check::LostDocuments, what, remedy);
        }
        Ok(())
    }
}

/// What is wrong with a document that is about `logged`, if anything is for certain.
fn judged(
    logged: &LoggedEvent,
    state: Option<&LastEvent>,
    known: Option<&LoggedEvent>,
) -> Option<Wrong> {
    let Some(state) = state else { return Some(Wrong::Missing) };
    if state.event == logged.event.id {
        let holds = holds_after(&logged.event.fact)?;
        return (holds != state.holds).then_some(Wrong::Otherwise);
    }
    // An event that the log does not have is on its way, and so the last one.
    let known = known?;
    came_after(logged, known)?.then_some(Wrong::Older)
}

#[cfg(test)]
mod tests;
