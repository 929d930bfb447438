//! What a batch of events adds to the counts of the analytics and to its tables for joins.

use std::collections::HashSet;
use std::collections::btree_map::{BTreeMap, Entry};

use crate::domain::event::{Event, Fact, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation, PostId, UserId};
use crate::domain::post::{Author, Post};
use crate::domain::time::Timestamp;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// The status of a post that nobody sees any more.
const REMOVED: &str = "removed";

/// What a batch adds. Every row is there once, and rows come in the order of their keys: two that write
/// at the same time then never wait for each other in a circle.
#[derive(Default)]
pub(super) struct Additions<'a> {
    /// How many events of each run and kind.
    pub(super) totals: BTreeMap<(Incarnation, &'static str), i64>,
    /// How many each user caused, by day and kind.
    pub(super) user_days: BTreeMap<(i64, i32, &'static str), i64>,
    /// How many are about each post, by day and kind.
    pub(super) post_days: BTreeMap<(PostId, i32, &'static str), i64>,
    /// The latest event that names each user, and the name.
    pub(super) users: BTreeMap<i64, (EventId, &'a str)>,
    /// The latest version of each post, and its status in the projection.
    pub(super) posts: BTreeMap<PostId, (&'a Post, &'static str)>,
    /// The latest event that says whether one follows another, and since when.
    pub(super) follows: BTreeMap<(i64, i64), (EventId, Option<Timestamp>)>,
}

impl<'a> Additions<'a> {
    /// Counts the events of the batch that are `new`, each once.
    pub(super) fn of(batch: &'a [LoggedEvent], mut new: HashSet<EventId>) -> Self {
        let mut additions = Self::default();
        for logged in batch {
            if new.remove(&logged.event.id) {
                additions.add(logged.incarnation, &logged.event);
            }
        }
        additions
    }

    fn add(&mut self, incarnation: Incarnation, event: &'a Event) {
        let kind = event.fact.kind();
        let day = day(event.time);
        *self.totals.entry((incarnation, kind)).or_default() += 1;
        if let Some(actor) = &event.actor {
            *self.user_days.entry((actor.id.0, day, kind)).or_default() += 1;
            self.add_user(actor.id, &actor.username, event.id);
        }
        if let Some(post) = event.fact.post_id() {
            *self.post_days.entry((post, day, kind)).or_default() += 1;
        }
        match &event.fact {
            Fact::PostPublished(post) | Fact::PostDrafted(post) => {
                self.add_post(post, post.status.as_str(), event.id);
            }
            Fact::PostUpdated(change) => {
                self.add_post(&change.post, change.post.status.as_str(), event.id);
            }
            Fact::PostRemoved(change) => self.add_post(&change.post, REMOVED, event.id),
            Fact::PostCommented(change)
            | Fact::CommentEdited(change)
            | Fact::CommentRemoved(change) => self.add_author(&change.comment.author, event.id),
            Fact::UserFollowed(follow) => self.add_follow(event, follow.user, Some(event.time)),
            Fact::UserUnfollowed(follow) => self.add_follow(event, follow.user, None),
            Fact::PostLiked(_)
            | Fact::PostUnliked(_)
            | Fact::PostBookmarked(_)
            | Fact::PostUnbookmarked(_)
            | Fact::PostShared(_)
            | Fact::PostViewed(_)
            | Fact::NotificationRead(_)
            | Fact::ChannelPublished(_) => {}
        }
    }

    fn add_user(&mut self, user: UserId, name: &'a str, event: EventId) {
        keep_latest(self.users.entry(user.0), (event, name), |(event, _)| *event);
    }

    fn add_author(&mut self, author: &'a Author, event: EventId) {
        self.add_user(author.id, &author.username, event);
    }

    fn add_post(&mut self, post: &'a Post, status: &'static str, event: EventId) {
        self.add_author(&post.author, event);
        // A removal need not count as a version of its own.
        let rank = |(post, status): &(&Post, &str)| (post.version, *status == REMOVED);
        keep_latest(self.posts.entry(post.id), (post, status), rank);
    }

    fn add_follow(&mut self, event: &Event, followee: UserId, since: Option<Timestamp>) {
        if let Some(actor) = &event.actor {
            let entry = self.follows.entry((actor.id.0, followee.0));
            keep_latest(entry, (event.id, since), |(event, _)| *event);
        }
    }
}

fn keep_latest<K: Ord, V, R: Ord>(entry: Entry<'_, K, V>, value: V, rank: impl Fn(&V) -> R) {
    match entry {
        Entry::Vacant(vacant) => {
            vacant.insert(value);
        }
        Entry::Occupied(mut kept) => {
            if rank(&value) > rank(kept.get()) {
                kept.insert(value);
            }
        }
    }
}

/// The day of UTC, counted from the beginning of 1970.
fn day(time: Timestamp) -> i32 {
    let day = time.as_millis().div_euclid(DAY_MILLIS);
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}
