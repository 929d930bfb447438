//! Marks on posts; follows are in [`follows`](super::follows).

use std::collections::HashMap;

use async_trait::async_trait;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::mark::{Mark, MarkKey};
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::marks::{FollowCounts, MarkChange, Marks, OwnMarks, StoredMark};

use super::content::{MongoContent, POSTS};
use super::keys;
use super::store::Failure;
use super::stored::{self, StoredEvent};

/// Where the marks of a kind are kept, and the count of a post that they are.
pub(super) const KINDS: [(&str, &str); 4] =
    [("likes", "likes"), ("bookmarks", "bookmarks"), ("shares", "shares"), ("views", "views")];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MarkDocument {
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) post_id: ObjectId,
    pub(super) user_id: i64,
    pub(super) on: bool,
    pub(super) event: StoredEvent,
}

#[derive(Deserialize)]
pub(super) struct MarkBody {
    on: bool,
    event: StoredEvent,
}

impl MarkBody {
    pub(super) fn read(&self) -> Result<StoredMark, Failure> {
        Ok(StoredMark { on: self.on, event: self.event.read()? })
    }
}

#[derive(Deserialize)]
struct WasOn {
    on: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marked {
    post_id: ObjectId,
}

/// A mark on a post: its collection, and its id, which tells marks of one user apart where there are
/// several. Ids of one post stand together in the index.
pub(super) fn place(user: UserId, mark: &Mark) -> Option<(&'static str, String)> {
    Some(match mark {
        Mark::Like(post) => ("likes", keys::mark(*post, user, None)),
        Mark::Bookmark(post) => ("bookmarks", keys::mark(*post, user, None)),
        Mark::Share(post, event) => ("shares", keys::mark(*post, user, Some(&event.to_string()))),
        Mark::View(post, hour) => ("views", keys::mark(*post, user, Some(&hour.to_string()))),
        Mark::Follow(_) => return None,
    })
}

/// What all marks of a post have between them in the index of the ids.
pub(super) fn marks_of(post: PostId) -> Document {
    marks_between(post, post)
}

/// The same for a post, another one with a greater id, and all in between.
pub(super) fn marks_between(first: PostId, last: PostId) -> Document {
    let (from, before) = keys::marks_between(first, last);
    doc! { "_id": { "$gte": from, "$lt": before }, "on": true }
}

impl MongoContent {
    /// Adds to a count of a post, if it is there.
    pub(super) async fn count_in(
        &self,
        post: PostId,
        count: &str,
        more: i64,
    ) -> Result<(), Failure> {
        if more == 0 {
            return Ok(());
        }
        let posts = self.collection::<Document>(POSTS);
        let id = doc! { "_id": stored::object_id(post) };
        let change = doc! { "$inc": { format!("engagement.{count}"): more } };
        self.db.bounded(posts.update_one(id, change)).await?;
        Ok(())
    }

    /// Sets one mark, with a command less than many take.
    pub(super) async fn put_mark(
        &self,
        key: &MarkKey,
        mark: &StoredMark,
        expected: Option<EventId>,
    ) -> Result<bool, Failure> {
        if let Mark::Follow(followee) = key.mark {
            return self.put_follow(key.user, followee, mark, expected).await;
        }
        let (Some((collection, id)), Some(post)) = (place(key.user, &key.mark), key.mark.post())
        else {
            return Ok(false);
        };
        let event = StoredEvent::of(&mark.event)?;
        let before = match expected {
            None => {
                let (post_id, user_id) = (stored::object_id(post), key.user.0);
                let document = MarkDocument { id, post_id, user_id, on: mark.on, event };
                self.insert(collection, document).await?.then_some(false)
            }
            Some(expected) => {
                let found = doc! { "_id": id, "event.id": stored::event_id(expected) };
                let change = doc! { "$set": { "on": mark.on, "event": event } };
                let marks = self.collection::<WasOn>(collection);
                let exchange = marks
                    .find_one_and_update(found, change)
                    .return_document(ReturnDocument::Before)
                    .projection(doc! { "_id": 0, "on": 1 });
                self.db.bounded(exchange).await?.map(|before| before.on)
            }
        };
        let Some(was_on) = before else { return Ok(false) };
        let count = KINDS.iter().find(|(name, _)| *name == collection).map(|(_, count)| *count);
        let more = i64::from(mark.on) - i64::from(was_on);
        self.count_in(post, count.unwrap_or(collection), more).await?;
        Ok(true)
    }

    async fn own(
        &self,
        user: UserId,
        posts: &[PostId],
    ) -> Result<HashMap<PostId, OwnMarks>, Failure> {
        let of_kind = async |collection: &str| {
            let ids = posts.iter().map(|post| keys::mark(*post, user, None));
            let ids: Vec<_> = ids.collect();
            let marks = self.collection::<Marked>(collection);
            let query = marks
                .find(doc! { "_id": { "$in": ids }, "on": true })
                .projection(doc! { "_id": 0, "postId": 1 });
            let found = self.db.all(query).await?.into_iter();
            let ids = found.map(|one| stored::read_object_id::<PostId>(one.post_id));
            ids.collect::<Result<Vec<_>, _>>()
        };
        let (liked, bookmarked) =
            futures_util::future::try_join(of_kind("likes"), of_kind("bookmarks")).await?;
        let mut own: HashMap<PostId, OwnMarks> = HashMap::new();
        for post in liked {
            own.entry(post).or_default().liked = true;
        }
        for post in bookmarked {
            own.entry(post).or_default().bookmarked = true;
        }
        Ok(own)
    }
}

#[async_trait]
impl Marks for MongoContent {
    async fn marks(&self, keys: &[MarkKey]) -> Result<HashMap<MarkKey, StoredMark>, StoreError> {
        self.find_marks(keys).await.map_err(|e| self.db.failed(e))
    }

    async fn set_marks(&self, changes: &[MarkChange]) -> Result<Vec<bool>, StoreError> {
        self.put_marks(changes).await.map_err(|e| self.db.failed(e))
    }

    async fn own_marks(
        &self,
        user: UserId,
        posts: &[PostId],
    ) -> Result<HashMap<PostId, OwnMarks>, StoreError> {
        if posts.is_empty() {
            return Ok(HashMap::new());
        }
        self.own(user, posts).await.map_err(|e| self.db.failed(e))
    }

    async fn follow_counts(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, FollowCounts>, StoreError> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        self.counted_follows(users).await.map_err(|e| self.db.failed(e))
    }

    async fn followers(
        &self,
        user: UserId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        let found = self.walk_follows(("followee", "follower"), user, after, limit).await;
        found.map_err(|e| self.db.failed(e))
    }

    async fn following(
        &self,
        user: UserId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        let found = self.walk_follows(("follower", "followee"), user, after, limit).await;
        found.map_err(|e| self.db.failed(e))
    }

    async fn followed_by(&self, user: UserId) -> Result<Vec<UserId>, StoreError> {
        self.followees(user).await.map_err(|e| self.db.failed(e))
    }
}
