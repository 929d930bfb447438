//! Marks on posts, many at once: what each costs is then shared by all.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::future::join_all;
use mongodb::bson::{self, Bson, Document, doc};
use serde::Deserialize;

use crate::domain::ids::PostId;
use crate::domain::mark::{Mark, MarkKey};
use crate::ports::marks::{MarkChange, StoredMark};

use super::content::{MongoContent, POSTS};
use super::marks::{KINDS, MarkBody, MarkDocument, place};
use super::store::Failure;
use super::stored::{self, StoredEvent};

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "_id")]
    id: String,
    #[serde(flatten)]
    body: MarkBody,
}

/// What a mark says without its event.
#[derive(Deserialize)]
struct Standing {
    #[serde(rename = "_id")]
    id: String,
    on: bool,
    event: OnlyId,
}

#[derive(Deserialize)]
struct OnlyId {
    id: bson::Uuid,
}

/// Changes of marks of one kind, by their places in the batch.
#[derive(Default)]
struct OfKind<'a> {
    /// Marks that never were set.
    new: Vec<(usize, MarkDocument)>,
    /// The others, by their ids; one of each.
    others: HashMap<String, (usize, &'a MarkChange)>,
}

/// One value for each of these documents, as an expression, and another one for all others: so one command changes many.
pub(super) fn by_id<K: Into<Bson>>(
    values: impl Iterator<Item = (K, Bson)>,
    otherwise: impl Into<Bson>,
) -> Document {
    let branch = |(id, value): (K, Bson)| {
        let is_it = doc! { "$eq": ["$_id", { "$literal": id.into() }] };
        doc! { "case": is_it, "then": { "$literal": value } }
    };
    let branches: Vec<_> = values.map(branch).collect();
    doc! { "$switch": { "branches": branches, "default": otherwise.into() } }
}

impl MongoContent {
    /// Marks of any kinds; those that never were set are left out.
    pub(super) async fn find_marks(
        &self,
        keys: &[MarkKey],
    ) -> Result<HashMap<MarkKey, StoredMark>, Failure> {
        let mut kinds: BTreeMap<_, HashMap<String, MarkKey>> = BTreeMap::new();
        let mut found = HashMap::with_capacity(keys.len());
        for key in keys {
            if let Some((kind, id)) = place(key.user, &key.mark) {
                kinds.entry(kind).or_default().insert(id, *key);
            } else if let Mark::Follow(followee) = key.mark
                && let Some(mark) = self.find_follow(key.user, followee).await?
            {
                found.insert(*key, mark);
            }
        }
        for (kind, ids) in kinds {
            let wanted: Vec<_> = ids.keys().cloned().collect();
            let marks = self.collection::<Found>(kind);
            let query = marks
                .find(doc! { "_id": { "$in": wanted } })
                .projection(doc! { "_id": 1, "on": 1, "event": 1 });
            for one in self.db.all(query).await? {
                if let Some(key) = ids.get(&one.id) {
                    found.insert(*key, one.body.read()?);
                }
            }
        }
        Ok(found)
    }

    /// Sets marks and moves the counts that follow.
    pub(super) async fn put_marks(&self, changes: &[MarkChange]) -> Result<Vec<bool>, Failure> {
        if let [MarkChange { key, mark, expected }] = changes {
            return Ok(vec![self.put_mark(key, mark, *expected).await?]);
        }
        let mut set = vec![false; changes.len()];
        let mut kinds: BTreeMap<&str, OfKind<'_>> = BTreeMap::new();
        for (at, change) in changes.iter().enumerate() {
            let MarkChange { key, mark, expected } = change;
            let (Some((kind, id)), Some(post)) = (place(key.user, &key.mark), key.mark.post())
            else {
                set[at] = self.put_mark(key, mark, *expected).await?;
                continue;
            };
            let of_kind = kinds.entry(kind).or_default();
            if expected.is_some() {
                of_kind.others.entry(id).or_insert((at, change));
                continue;
            }
            let (post_id, user_id) = (stored::object_id(post), key.user.0);
            let (on, event) = (mark.on, StoredEvent::of(&mark.event)?);
            of_kind.new.push((at, MarkDocument { id, post_id, user_id, on, event }));
        }
        for (kind, of_kind) in kinds {
            let count = KINDS.iter().find(|(name, _)| *name == kind).map_or(kind, |of| of.1);
            // What was set is counted even where the other part was not done.
            let (inserted, replaced) = tokio::join!(
                self.insert_marks(kind, of_kind.new),
                self.replace_marks(kind, &of_kind.others)
            );
            let mut moved = Vec::new();
            for (at, was_on) in inserted.iter().chain(&replaced).flatten() {
                set[*at] = true;
                let MarkChange { key, mark, .. } = &changes[*at];
                let more = i64::from(mark.on) - i64::from(*was_on);
                moved.extend(key.mark.post().map(|post| (post, count, more)));
            }
            self.count_all(moved.into_iter()).await?;
            inserted?;
            replaced?;
        }
        Ok(set)
    }

    /// Inserts marks; returns the places of those that were not there, and that they were not on.
    async fn insert_marks(
        &self,
        kind: &str,
        new: Vec<(usize, MarkDocument)>,
    ) -> Result<Vec<(usize, bool)>, Failure> {
        let (places, documents): (Vec<_>, Vec<_>) = new.into_iter().unzip();
        let known = self.insert_new(kind, &documents).await?;
        let new = places.into_iter().enumerate().filter(|(at, _)| !known.contains(at));
        Ok(new.map(|(_, place)| (place, false)).collect())
    }

    /// Replaces marks; returns the places of those that embedded the expected event, and whether they were on. One command
    /// does it for all of them: an event is about one mark, so that a mark with its id and any of the expected events has
    /// its own.
    async fn replace_marks(
        &self,
        kind: &str,
        others: &HashMap<String, (usize, &MarkChange)>,
    ) -> Result<Vec<(usize, bool)>, Failure> {
        if others.is_empty() {
            return Ok(Vec::new());
        }
        // A mark is on or off as its event says, and so is as it was read if it still has that event.
        let mut as_expected: HashMap<String, (usize, &MarkChange, bool)> = HashMap::new();
        for before in self.standing_marks(kind, others.keys().cloned().collect()).await? {
            let Some((at, change)) = others.get(&before.id) else { continue };
            if change.expected.map(stored::event_id) == Some(before.event.id) {
                as_expected.insert(before.id, (*at, *change, before.on));
            }
        }
        if as_expected.is_empty() {
            return Ok(Vec::new());
        }
        let (mut ids, mut expected, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for (id, (_, change, _)) in &as_expected {
            ids.push(id.clone());
            expected.extend(change.expected.map(stored::event_id));
            events.push((id.as_str(), Bson::from(StoredEvent::of(&change.mark.event)?)));
        }
        let on = as_expected.iter().map(|(id, (_, one, _))| (id.as_str(), one.mark.on.into()));
        let change = doc! { "$set": { "on": by_id(on, "$on"), "event": by_id(events.into_iter(), "$event") } };
        let found = doc! { "_id": { "$in": ids.clone() }, "event.id": { "$in": expected } };
        let marks = self.collection::<Document>(kind);
        let done = self.db.bounded(marks.update_many(found, vec![change])).await?;
        let replaced = if done.matched_count == ids.len() as u64 {
            ids.into_iter().collect()
        } else {
            self.now_with_their_event(kind, &as_expected, ids).await?
        };
        as_expected.retain(|id, _| replaced.contains(id));
        Ok(as_expected.into_values().map(|(at, _, was_on)| (at, was_on)).collect())
    }

    /// Somebody was faster with some of them: which ones have the event that they were to get.
    async fn now_with_their_event(
        &self,
        kind: &str,
        wanted: &HashMap<String, (usize, &MarkChange, bool)>,
        ids: Vec<String>,
    ) -> Result<HashSet<String>, Failure> {
        let now = self.standing_marks(kind, ids).await?.into_iter();
        let theirs = |mark: &Standing| {
            let change = wanted.get(&mark.id).map(|(_, change, _)| change.mark.event.id);
            change.map(stored::event_id) == Some(mark.event.id)
        };
        Ok(now.filter(theirs).map(|mark| mark.id).collect())
    }

    async fn standing_marks(&self, kind: &str, ids: Vec<String>) -> Result<Vec<Standing>, Failure> {
        let marks = self.collection::<Standing>(kind);
        let query = marks
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "_id": 1, "on": 1, "event.id": 1 });
        self.db.all(query).await
    }

    /// Adds to counts of posts, with one command for all that get the same.
    pub(super) async fn count_all(
        &self,
        moved: impl Iterator<Item = (PostId, &str, i64)>,
    ) -> Result<(), Failure> {
        let mut sums: HashMap<PostId, BTreeMap<String, i64>> = HashMap::new();
        for (post, count, more) in moved {
            *sums.entry(post).or_default().entry(format!("engagement.{count}")).or_default() +=
                more;
        }
        let mut alike: BTreeMap<BTreeMap<String, i64>, Vec<_>> = BTreeMap::new();
        for (post, mut counts) in sums {
            counts.retain(|_, more| *more != 0);
            if !counts.is_empty() {
                alike.entry(counts).or_default().push(stored::object_id(post));
            }
        }
        let posts = self.collection::<Document>(POSTS);
        let count = |(counts, ids): (BTreeMap<String, i64>, Vec<_>)| {
            let posts = posts.clone();
            async move {
                let more: Document =
                    counts.into_iter().map(|(name, more)| (name, more.into())).collect();
                let more = doc! { "$inc": more };
                // What changes one document is tried again by the driver when a primary steps down.
                match &*ids {
                    [id] => self.db.bounded(posts.update_one(doc! { "_id": id }, more)).await,
                    _ => {
                        let found = doc! { "_id": { "$in": ids } };
                        self.db.bounded(posts.update_many(found, more)).await
                    }
                }
            }
        };
        // All of them to their end, whatever comes of one.
        join_all(alike.into_iter().map(count)).await.into_iter().try_for_each(|done| done.map(drop))
    }
}
