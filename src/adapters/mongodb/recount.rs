//! Counts, compared with what is counted, and put right where a crash came between a mark and its count.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use futures_util::future::{try_join, try_join_all};
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::ids::{PostId, UserId};
use crate::ports::StoreError;
use crate::ports::audit::content::{CountAudit, Counts, FollowTally, PostTally, UnreadTally};

use super::comments::COMMENTS;
use super::content::{MongoContent, POSTS, PROFILES};
use super::follows::FOLLOWS;
use super::marks::{KINDS, marks_between, marks_of};
use super::posts::Engagement;
use super::store::Failure;
use super::stored;

/// How often something is counted while others go on to change it.
const ATTEMPTS: usize = 5;
/// Up to so many posts are counted one by one; more of them with all that lie between.
const ONE_BY_ONE: usize = 16;
/// How many questions are asked at once.
const AT_ONCE: usize = 8;

#[derive(Deserialize)]
struct Counted {
    engagement: Engagement,
}

#[derive(Deserialize)]
struct Kept {
    #[serde(rename = "_id")]
    id: ObjectId,
    engagement: Engagement,
}

#[derive(Deserialize)]
struct Id<T> {
    #[serde(rename = "_id")]
    id: T,
}

/// How many there are of one thing.
#[derive(Deserialize)]
struct Group {
    #[serde(rename = "_id")]
    id: ObjectId,
    count: i64,
}

#[derive(Default, Deserialize)]
struct Follows {
    #[serde(default)]
    followers: i64,
    #[serde(default)]
    following: i64,
}

#[derive(Deserialize)]
struct Follower {
    follower: i64,
}

#[derive(Deserialize)]
struct Followee {
    followee: i64,
}

/// In the order of the port.
fn counts_of(engagement: Engagement) -> Counts {
    let Engagement { views, likes, shares, comments, bookmarks } = engagement;
    [views, likes, comments, shares, bookmarks]
}

/// Adds a count to the field of its name.
fn add(engagement: &mut Engagement, name: &str, count: i64) {
    match name {
        "likes" => engagement.likes = count,
        "bookmarks" => engagement.bookmarks = count,
        "shares" => engagement.shares = count,
        "views" => engagement.views = count,
        _ => engagement.comments = count,
    }
}

impl MongoContent {
    /// Documents that are found, without a bound but the store's patience.
    async fn groups(&self, name: &str, found: Document, by: &str) -> Result<Vec<Group>, Failure> {
        let collection = self.collection::<Document>(name);
        let count = doc! { "$group": { "_id": by, "count": { "$sum": 1_i64 } } };
        let groups = collection.aggregate([doc! { "$match": found }, count]).with_type::<Group>();
        self.db.bounded(async { groups.await?.try_collect().await }).await
    }

    async fn counted(&self, post: PostId) -> Result<Engagement, Failure> {
        let marks = KINDS.map(|(name, _)| {
            let marks = self.collection::<Document>(name);
            async move { self.db.bounded(marks.count_documents(marks_of(post))).await }
        });
        let marks = try_join_all(marks).await?;
        let comments = self.collection::<Document>(COMMENTS);
        let thread = doc! { "postId": stored::object_id(post), "removed": false };
        let comments = self.db.bounded(comments.count_documents(thread)).await?;
        let mut counted =
            Engagement { comments: stored::integer(comments), ..Engagement::default() };
        for ((name, _), count) in KINDS.iter().zip(marks) {
            add(&mut counted, name, stored::integer(count));
        }
        Ok(counted)
    }

    /// Counts posts with all that lie between the first and the last of them.
    async fn counted_between(
        &self,
        ids: &BTreeSet<PostId>,
    ) -> Result<HashMap<ObjectId, Engagement>, Failure> {
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
            return Ok(HashMap::new());
        };
        let marks = KINDS.map(|(name, _)| {
            let found = marks_between(*first, *last);
            async move { self.groups(name, found, "$postId").await.map(|groups| (name, groups)) }
        });
        let wanted: Vec<_> = ids.iter().map(stored::object_id).collect();
        let comments = doc! { "postId": { "$in": wanted }, "removed": false };
        let comments = async {
            let groups = self.groups(COMMENTS, comments, "$postId").await;
            groups.map(|groups| (COMMENTS, groups))
        };
        let (marks, comments) = try_join(try_join_all(marks), comments).await?;
        let mut counted: HashMap<_, Engagement> = HashMap::new();
        for (name, groups) in marks.into_iter().chain([comments]) {
            for Group { id, count } in groups {
                add(counted.entry(id).or_default(), name, count);
            }
        }
        Ok(counted)
    }

    async fn tallies(&self, ids: &[PostId]) -> Result<Vec<PostTally>, Failure> {
        let ids: BTreeSet<_> = ids.iter().copied().collect();
        let wanted: Vec<_> = ids.iter().map(stored::object_id).collect();
        let posts = self.collection::<Kept>(POSTS);
        let query = posts
            .find(doc! { "_id": { "$in": wanted } })
            .projection(doc! { "_id": 1, "engagement": 1 });
        let kept = self.db.all(query).await?;
        let counted = if ids.len() > ONE_BY_ONE {
            self.counted_between(&ids).await?
        } else {
            let one = |id: PostId| async move {
                Ok::<_, Failure>((stored::object_id(id), self.counted(id).await?))
            };
            stream::iter(ids).map(one).buffer_unordered(AT_ONCE).try_collect().await?
        };
        let tally = |kept: Kept| {
            Ok(PostTally {
                post: stored::read_object_id(kept.id)?,
                kept: counts_of(kept.engagement),
                counted: counts_of(counted.get(&kept.id).copied().unwrap_or_default()),
            })
        };
        kept.into_iter().map(tally).collect()
    }

    async fn recounted(&self, post: PostId) -> Result<Option<bool>, Failure> {
        let id = doc! { "_id": stored::object_id(post) };
        for _ in 0..ATTEMPTS {
            let posts = self.collection::<Counted>(POSTS);
            let before = posts.find_one(id.clone()).projection(doc! { "_id": 0, "engagement": 1 });
            let Some(before) = self.db.bounded(before).await? else { return Ok(None) };
            let counted = self.counted(post).await?;
            if counted == before.engagement {
                return Ok(Some(false));
            }
            let mut same = id.clone();
            same.insert("engagement", before.engagement);
            let posts = self.collection::<Document>(POSTS);
            let change = doc! { "$set": { "engagement": counted } };
            if self.db.bounded(posts.update_one(same, change)).await?.matched_count > 0 {
                tracing::info!(%post, before = ?before.engagement, after = ?counted, "a post was recounted");
                return Ok(Some(true));
            }
        }
        Ok(None)
    }

    async fn kept_follows(&self, user: UserId) -> Result<Follows, Failure> {
        let profiles = self.collection::<Follows>(PROFILES);
        let kept = profiles
            .find_one(doc! { "_id": user.0 })
            .projection(doc! { "_id": 0, "followers": 1, "following": 1 });
        Ok(self.db.bounded(kept).await?.unwrap_or_default())
    }

    async fn follow_tally(&self, user: UserId) -> Result<FollowTally, Failure> {
        let count = async |side: &str| {
            let follows = self.collection::<Document>(FOLLOWS);
            let found = follows.count_documents(doc! { side: user.0, "on": true });
            self.db.bounded(found).await.map(stored::integer)
        };
        let kept = self.kept_follows(user).await?;
        let counted = [count("followee").await?, count("follower").await?];
        Ok(FollowTally { user, kept: [kept.followers, kept.following], counted })
    }

    async fn recounted_follows(&self, user: UserId) -> Result<Option<bool>, Failure> {
        for _ in 0..ATTEMPTS {
            let FollowTally { kept, counted, .. } = self.follow_tally(user).await?;
            if kept == counted {
                return Ok(Some(false));
            }
            // The profile of a user who follows is made with the first count.
            self.count_for(user, doc! { "followers": 0_i64, "following": 0_i64 }).await?;
            let same = doc! { "_id": user.0, "followers": kept[0], "following": kept[1] };
            let right = doc! { "followers": counted[0], "following": counted[1] };
            let profiles = self.collection::<Document>(PROFILES);
            let change = profiles.update_one(same, doc! { "$set": right });
            if self.db.bounded(change).await?.matched_count > 0 {
                return Ok(Some(true));
            }
        }
        Ok(None)
    }

    /// The values of one field, in their order, after one; each as often as there are documents with it.
    async fn page<T>(
        &self,
        name: &str,
        found: Document,
        by: &str,
        limit: usize,
    ) -> Result<Vec<T>, Failure>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        let collection = self.collection::<T>(name);
        let mut shown = doc! { "_id": 0 };
        // Inserting it again says that it is shown after all.
        shown.insert(by, 1);
        let query = collection.find(found).sort(doc! { by: 1 });
        self.db.all(query.limit(stored::integer(limit)).projection(shown)).await
    }

    /// Merges three lists, each of which ends after `limit`: what is beyond the end of one of them may have others
    /// before it.
    async fn users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<UserId>, Failure> {
        let after = after.map_or(Bson::MinKey, |user| user.0.into());
        let beyond = |field: &str| doc! { field: { "$gt": after.clone() } };
        let profiles: Vec<Id<i64>> = self.page(PROFILES, beyond("_id"), "_id", limit).await?;
        let followers: Vec<Follower> =
            self.page(FOLLOWS, beyond("follower"), "follower", limit).await?;
        let followees: Vec<Followee> =
            self.page(FOLLOWS, beyond("followee"), "followee", limit).await?;
        let lists: [Vec<i64>; 3] = [
            profiles.into_iter().map(|one| one.id).collect(),
            followers.into_iter().map(|one| one.follower).collect(),
            followees.into_iter().map(|one| one.followee).collect(),
        ];
        let ends = lists.iter().filter(|list| list.len() >= limit).filter_map(|list| list.last());
        let end = ends.min().copied().unwrap_or(i64::MAX);
        let users: BTreeSet<_> = lists.iter().flatten().copied().filter(|id| *id <= end).collect();
        Ok(users.into_iter().take(limit).map(UserId).collect())
    }

    async fn posts_from(
        &self,
        after: Option<PostId>,
        limit: usize,
    ) -> Result<Vec<PostId>, Failure> {
        let found = match after {
            Some(post) => doc! { "_id": { "$gt": stored::object_id(post) } },
            None => Document::new(),
        };
        let found: Vec<Id<ObjectId>> = self.page(POSTS, found, "_id", limit).await?;
        found.into_iter().map(|one| stored::read_object_id(one.id)).collect()
    }
}

#[async_trait]
impl CountAudit for MongoContent {
    async fn posts_after(
        &self,
        after: Option<PostId>,
        limit: usize,
    ) -> Result<Vec<PostId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.posts_from(after, limit).await.map_err(|failure| self.db.failed(failure))
    }

    async fn post_tallies(&self, ids: &[PostId]) -> Result<Vec<PostTally>, StoreError> {
        self.tallies(ids).await.map_err(|failure| self.db.failed(failure))
    }

    async fn users_after(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.users(after, limit).await.map_err(|failure| self.db.failed(failure))
    }

    async fn follow_tallies(&self, ids: &[UserId]) -> Result<Vec<FollowTally>, StoreError> {
        let one = |id: UserId| self.follow_tally(id);
        let tallies = stream::iter(ids.to_vec()).map(one).buffer_unordered(AT_ONCE).try_collect();
        tallies.await.map_err(|failure| self.db.failed(failure))
    }

    async fn recount_post(&self, post: PostId) -> Result<Option<bool>, StoreError> {
        self.recounted(post).await.map_err(|failure| self.db.failed(failure))
    }

    async fn recount_follows(&self, user: UserId) -> Result<Option<bool>, StoreError> {
        self.recounted_follows(user).await.map_err(|failure| self.db.failed(failure))
    }

    async fn inboxes_after(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.inboxes_from(after, limit).await.map_err(|failure| self.db.failed(failure))
    }

    async fn unread_tallies(&self, users: &[UserId]) -> Result<Vec<UnreadTally>, StoreError> {
        let one = |user: UserId| self.unread_tally(user.0);
        let tallies = stream::iter(users.to_vec()).map(one).buffer_unordered(AT_ONCE).try_collect();
        tallies.await.map_err(|failure| self.db.failed(failure))
    }

    async fn recount_unread(&self, user: UserId) -> Result<Option<bool>, StoreError> {
        self.recounted_unread(user.0).await.map_err(|failure| self.db.failed(failure))
    }
}
