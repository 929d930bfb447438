//! Likes, bookmarks, shares, views and follows as documents.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::mark::MarkKey;
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;

use super::StoreError;

/// A mark as it is stored. One that was taken back stays, and is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMark {
    /// Whether it holds.
    pub on: bool,
    /// The last event about it.
    pub event: Event,
}

/// A mark that is to be set on or off, if the last event about it still is `expected` (`None`: it never was set).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkChange {
    /// Which mark.
    pub key: MarkKey,
    /// What it becomes.
    pub mark: StoredMark,
    /// The event about it that was read.
    pub expected: Option<EventId>,
}

/// What a user thinks of a post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnMarks {
    /// The user likes it.
    pub liked: bool,
    /// The user keeps it.
    pub bookmarked: bool,
}

/// How many follow a user, and how many the user follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowCounts {
    /// Who follow the user.
    pub followers: u64,
    /// Whom the user follows.
    pub following: u64,
}

/// Keeps marks, and counts those that are on. As durable as [`Content`](super::content::Content).
#[async_trait]
pub trait Marks: Send + Sync {
    /// Marks, on or off; those that never were set are left out.
    async fn marks(&self, keys: &[MarkKey]) -> Result<HashMap<MarkKey, StoredMark>, StoreError>;

    /// Sets marks, each by itself, where the last event about one still is the expected one; says of each, in their
    /// order, whether it was. Of several changes of one mark one succeeds at most. The count of what is marked
    /// changes with it. From the time of the event on, whoever follows is told of posts, until the time of the event
    /// that ends it. After an error some may be set.
    async fn set_marks(&self, changes: &[MarkChange]) -> Result<Vec<bool>, StoreError>;

    /// One mark, on or off; `None` if it never was set.
    async fn mark(&self, key: &MarkKey) -> Result<Option<StoredMark>, StoreError> {
        Ok(self.marks(&[*key]).await?.remove(key))
    }

    /// Sets one mark; says whether it was.
    async fn set_mark(
        &self,
        key: &MarkKey,
        mark: &StoredMark,
        expected: Option<EventId>,
    ) -> Result<bool, StoreError> {
        let change = MarkChange { key: *key, mark: mark.clone(), expected };
        Ok(self.set_marks(&[change]).await?.first() == Some(&true))
    }

    /// What a user thinks of posts; posts without a mark are left out.
    async fn own_marks(
        &self,
        user: UserId,
        posts: &[PostId],
    ) -> Result<HashMap<PostId, OwnMarks>, StoreError>;

    /// Follow counts of users; users without any are left out.
    async fn follow_counts(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, FollowCounts>, StoreError>;

    /// Who follow `user`, latest first, with the time since when (the cursor's id is the user's
    /// number), after `after` (exclusive), at most `limit`.
    async fn followers(
        &self,
        user: UserId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError>;

    /// Whom `user` follows, in the same way.
    async fn following(
        &self,
        user: UserId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError>;

    /// Everyone whom `user` follows, in no particular order.
    async fn followed_by(&self, user: UserId) -> Result<Vec<UserId>, StoreError>;
}
