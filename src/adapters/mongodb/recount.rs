//! Counts anew: puts right what a crash between a mark and its count left.

use futures_util::future::try_join_all;
use mongodb::bson::{Document, doc};
use serde::Deserialize;

use crate::domain::ids::{PostId, UserId};
use crate::ports::StoreError;

use super::comments::COMMENTS;
use super::content::{MongoContent, POSTS, PROFILES};
use super::follows::FOLLOWS;
use super::marks::{KINDS, marks_of};
use super::posts::Engagement;
use super::store::Failure;
use super::stored;

/// How often a post is counted while others go on to mark it.
const ATTEMPTS: usize = 5;

#[derive(Deserialize)]
struct Counted {
    engagement: Engagement,
}

impl MongoContent {
    /// Counts the marks and comments of a post and keeps the result as its counts; says whether
    /// they were wrong. `None`: there is no such post, or it was marked all the while.
    ///
    /// For a post whose documents a crash left unfinished. A mark that another sets right now may be
    /// counted twice, once here and once by itself, if this comes between its two writes.
    pub async fn recount(&self, post: PostId) -> Result<Option<bool>, StoreError> {
        self.recounted(post).await.map_err(|failure| self.db.failed(failure))
    }

    /// Counts who follow a user and whom the user follows, in the same way.
    pub async fn recount_follows(&self, user: UserId) -> Result<(), StoreError> {
        self.recounted_follows(user).await.map_err(|failure| self.db.failed(failure))
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
            let count = stored::integer(count);
            match *name {
                "likes" => counted.likes = count,
                "bookmarks" => counted.bookmarks = count,
                "shares" => counted.shares = count,
                _ => counted.views = count,
            }
        }
        Ok(counted)
    }

    async fn recounted_follows(&self, user: UserId) -> Result<(), Failure> {
        let count = async |side: &str| {
            let follows = self.collection::<Document>(FOLLOWS);
            let found = follows.count_documents(doc! { side: user.0, "on": true });
            self.db.bounded(found).await.map(stored::integer)
        };
        let (followers, following) = (count("followee").await?, count("follower").await?);
        let change = doc! { "$set": { "followers": followers, "following": following } };
        self.count_for(user, doc! { "changes": 0_i64 }).await?;
        self.upsert(PROFILES, user.0, change).await
    }
}
