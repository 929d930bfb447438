//! Follows, and the spans of time in which they held.

use std::collections::HashMap;

use mongodb::bson::{Bson, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{EventId, UserId};
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;
use crate::ports::marks::{FollowCounts, StoredMark};

use super::content::{MongoContent, PROFILES};
use super::inbox::INBOXES;
use super::keys;
use super::store::Failure;
use super::stored::{self, StoredEvent};

/// Where follows are kept.
pub(super) const FOLLOWS: &str = "follows";

/// From when until when someone followed an author. Spans of a pair never overlap, so that a post
/// lies within one at most; their posts stay in the inbox of whoever follows no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) since: DateTime,
    /// None while it lasts.
    pub(super) until: Option<DateTime>,
}

impl Span {
    /// Whether the span has a moment; its end does not belong to it.
    pub(super) fn holds(&self, time: DateTime) -> bool {
        self.since <= time && self.until.is_none_or(|until| time < until)
    }
}

/// A span begins where the last one ended, if the clock says that it began before; one that ends
/// before it began never was.
fn turned(mut spans: Vec<Span>, on: bool, time: DateTime) -> Vec<Span> {
    if on {
        let ended = spans.iter().filter_map(|span| span.until).max();
        spans.push(Span { since: ended.map_or(time, |ended| ended.max(time)), until: None });
        return spans;
    }
    for span in &mut spans {
        span.until.get_or_insert(time);
    }
    spans.retain(|span| span.until.is_none_or(|until| until > span.since));
    spans
}

#[derive(Serialize, Deserialize)]
struct FollowDocument {
    #[serde(rename = "_id")]
    id: String,
    follower: i64,
    followee: i64,
    on: bool,
    /// Since when it is on, or off.
    since: DateTime,
    spans: Vec<Span>,
    event: StoredEvent,
}

/// What an inbox needs to know of a follow.
#[derive(Deserialize)]
pub(super) struct Spans {
    pub(super) follower: i64,
    pub(super) followee: i64,
    pub(super) spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Entry {
    follower: i64,
    followee: i64,
    since: DateTime,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(rename = "_id")]
    user: i64,
    #[serde(default)]
    followers: i64,
    #[serde(default)]
    following: i64,
}

/// A list of follows by the side that is given; `sides` names it and the other one.
pub(super) fn listed(sides: (&str, &str), user: UserId, after: Option<&Cursor>) -> Document {
    let mut query = match after {
        Some(after) => {
            let id = after.id.parse::<i64>().unwrap_or(i64::MIN);
            stored::beyond(after, ("since", sides.1), id, "$lt")
        }
        None => Document::new(),
    };
    query.insert(sides.0, user.0);
    query.insert("on", true);
    query
}

impl MongoContent {
    async fn follow(
        &self,
        follower: UserId,
        followee: UserId,
    ) -> Result<Option<FollowDocument>, Failure> {
        let follows = self.collection::<FollowDocument>(FOLLOWS);
        self.db.bounded(follows.find_one(doc! { "_id": keys::follow(follower, followee) })).await
    }

    /// A follow, on or off.
    pub(super) async fn find_follow(
        &self,
        follower: UserId,
        followee: UserId,
    ) -> Result<Option<StoredMark>, Failure> {
        let found = self.follow(follower, followee).await?;
        found.map(|one| Ok(StoredMark { on: one.on, event: one.event.read()? })).transpose()
    }

    /// Begins or ends a follow, if the last event about it still is `expected`.
    pub(super) async fn put_follow(
        &self,
        follower: UserId,
        followee: UserId,
        mark: &StoredMark,
        expected: Option<EventId>,
    ) -> Result<bool, Failure> {
        let (time, event) = (stored::date(mark.event.time), StoredEvent::of(&mark.event)?);
        let (was_on, put) = match expected {
            None => {
                let spans = if mark.on { turned(Vec::new(), true, time) } else { Vec::new() };
                let document = FollowDocument {
                    id: keys::follow(follower, followee),
                    follower: follower.0,
                    followee: followee.0,
                    on: mark.on,
                    since: time,
                    spans,
                    event,
                };
                (false, self.insert(FOLLOWS, document).await?)
            }
            Some(expected) => {
                let expected = stored::event_id(expected);
                let before = self.follow(follower, followee).await?;
                let Some(before) = before.filter(|before| before.event.id == expected) else {
                    return Ok(false);
                };
                // It changes only with its event, and so still is as it was read if that is found.
                let found = doc! { "_id": keys::follow(follower, followee), "event.id": expected };
                let mut change = doc! { "event": event };
                if mark.on != before.on {
                    let spans = turned(before.spans, mark.on, time);
                    let spans =
                        mongodb::bson::serialize_to_bson(&spans).map_err(Failure::unreadable)?;
                    change.extend(doc! { "on": mark.on, "since": time, "spans": spans });
                }
                let follows = self.collection::<Document>(FOLLOWS);
                let done =
                    self.db.bounded(follows.update_one(found, doc! { "$set": change })).await?;
                (before.on, done.matched_count > 0)
            }
        };
        if put && mark.on != was_on {
            let more = i64::from(mark.on) - i64::from(was_on);
            self.count_for(followee, doc! { "followers": more }).await?;
            self.count_for(follower, doc! { "following": more }).await?;
            let changed = doc! { "$inc": { "version": 1_i64, "revision": 1_i64 } };
            self.upsert(INBOXES, follower.0, changed).await?;
        }
        Ok(put)
    }

    /// Everyone whom `user` follows.
    pub(super) async fn followees(&self, user: UserId) -> Result<Vec<UserId>, Failure> {
        let follows = self.collection::<Entry>(FOLLOWS);
        let query = follows
            .find(listed(("follower", "followee"), user, None))
            .projection(doc! { "_id": 0, "follower": 1, "followee": 1, "since": 1 });
        let found = self.db.all(query).await?;
        Ok(found.into_iter().map(|one| UserId(one.followee)).collect())
    }

    /// Whom any of these users follow or ever followed.
    pub(super) async fn spans_of(&self, users: &[i64]) -> Result<Vec<Spans>, Failure> {
        let follows = self.collection::<Spans>(FOLLOWS);
        let query = follows
            .find(doc! { "follower": { "$in": users.to_vec() } })
            .projection(doc! { "_id": 0, "follower": 1, "followee": 1, "spans": 1 });
        self.db.all(query).await
    }

    pub(super) async fn walk_follows(
        &self,
        sides: (&str, &str),
        user: UserId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, Failure> {
        // To MongoDB a limit of 0 is none.
        if limit == 0 {
            return Ok(Vec::new());
        }
        let follows = self.collection::<Entry>(FOLLOWS);
        let query = follows
            .find(listed(sides, user, after))
            .sort(doc! { "since": -1, sides.1: -1 })
            .limit(stored::integer(limit))
            .projection(doc! { "_id": 0, "follower": 1, "followee": 1, "since": 1 });
        let other = |one: &Entry| if sides.1 == "follower" { one.follower } else { one.followee };
        let found = self.db.all(query).await?;
        Ok(found.iter().map(|one| (UserId(other(one)), stored::time(one.since))).collect())
    }

    pub(super) async fn counted_follows(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, FollowCounts>, Failure> {
        let ids: Vec<Bson> = users.iter().map(|user| user.0.into()).collect();
        let profiles = self.collection::<Counts>(PROFILES);
        let query = profiles
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "_id": 1, "followers": 1, "following": 1 });
        let found = self.db.all(query).await?.into_iter();
        let counted = found.map(|one| {
            let followers = stored::count(one.followers);
            let following = stored::count(one.following);
            (UserId(one.user), FollowCounts { followers, following })
        });
        Ok(counted.filter(|(_, counts)| *counts != FollowCounts::default()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_never_overlap_and_none_is_empty() {
        let at = DateTime::from_millis;
        let turns =
            [(100, true), (100, false), (100, true), (200, false), (150, true), (120, false)];
        let spans =
            turns.into_iter().fold(Vec::new(), |spans, (time, on)| turned(spans, on, at(time)));
        assert_eq!(spans, [Span { since: at(100), until: Some(at(200)) }]);
        assert!(spans[0].holds(at(100)) && !spans[0].holds(at(200)));
    }
}
