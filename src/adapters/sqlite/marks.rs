//! Marks on posts, and follows. Triggers count them.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::Error;

use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::mark::{Mark, MarkKey};
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::marks::{FollowCounts, Marks, OwnMarks, StoredMark};

use super::content::SqliteContent;
use super::database::unreadable;
use super::stored;

const INSERT_MARK: &str = "
    INSERT INTO post_marks (post_id, kind, user_id, slot, is_on, event_id, event)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";

const REPLACE_MARK: &str = "
    UPDATE post_marks SET is_on = ?5, event_id = ?6, event = ?7
    WHERE post_id = ?1 AND kind = ?2 AND user_id = ?3 AND slot = ?4 AND event_id = ?8";

const INSERT_FOLLOW: &str = "
    INSERT INTO follows (follower, followee, is_on, since, event_id, event)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";

/// A follow that goes on was begun when it was begun.
const REPLACE_FOLLOW: &str = "
    UPDATE follows
    SET since = iif(is_on = ?3, since, ?4), is_on = ?3, event_id = ?5, event = ?6
    WHERE follower = ?1 AND followee = ?2 AND event_id = ?7";

pub(super) const OWN_MARKS: &str = "
    SELECT m.post_id, m.kind FROM json_each(?2) AS w CROSS JOIN post_marks AS m
    WHERE m.post_id = w.value AND m.kind IN ('like', 'bookmark')
      AND m.user_id = ?1 AND m.slot = '' AND m.is_on = 1";

pub(super) const FOLLOW_COUNTS: &str = "
    SELECT c.user_id, c.followers, c.following
    FROM json_each(?1) AS w CROSS JOIN user_counts AS c ON c.user_id = w.value
    WHERE c.followers > 0 OR c.following > 0";

pub(super) const FOLLOWERS: &str = "
    SELECT follower, since FROM follows
    WHERE followee = ?1 AND is_on = 1 AND (since, follower) < (?2, ?3)
    ORDER BY since DESC, follower DESC LIMIT ?4";

pub(super) const FOLLOWING: &str = "
    SELECT followee, since FROM follows
    WHERE follower = ?1 AND is_on = 1 AND (since, followee) < (?2, ?3)
    ORDER BY since DESC, followee DESC LIMIT ?4";

pub(super) const FOLLOWED_BY: &str =
    "SELECT followee FROM follows WHERE follower = ?1 AND is_on = 1";

/// The part of a mark's key that tells what it is and which of several.
pub(super) fn kind_and_slot(mark: &Mark) -> (&'static str, String) {
    match mark {
        Mark::Like(_) => ("like", String::new()),
        Mark::Bookmark(_) => ("bookmark", String::new()),
        Mark::Share(_, event) => ("share", stored::hex(event.0)),
        Mark::View(_, hour) => ("view", hour.to_string()),
        Mark::Follow(_) => ("follow", String::new()),
    }
}

impl SqliteContent {
    async fn find_mark(&self, key: &MarkKey) -> Result<Option<StoredMark>, Error> {
        let query = if let Mark::Follow(followee) = key.mark {
            sqlx::query_as("SELECT is_on, event FROM follows WHERE follower = ?1 AND followee = ?2")
                .bind(key.user.0)
                .bind(followee.0)
        } else {
            let (kind, slot) = kind_and_slot(&key.mark);
            sqlx::query_as(
                "SELECT is_on, event FROM post_marks
                 WHERE user_id = ?1 AND post_id = ?2 AND kind = ?3 AND slot = ?4",
            )
            .bind(key.user.0)
            .bind(key.mark.post().map(|post| post.to_string()))
            .bind(kind)
            .bind(slot)
        };
        let row: Option<(bool, String)> = query.fetch_optional(self.db.readers()).await?;
        row.map(|(on, event)| Ok(StoredMark { on, event: stored::event(&event)? })).transpose()
    }

    /// One statement, which the triggers make a transaction with what is counted.
    async fn put_mark(
        &self,
        key: &MarkKey,
        mark: &StoredMark,
        expected: Option<EventId>,
    ) -> Result<bool, Error> {
        let (id, event) = (mark.event.id.0, stored::to_json(&mark.event)?);
        let mut query = if let Mark::Follow(followee) = key.mark {
            sqlx::query(expected.map_or(INSERT_FOLLOW, |_| REPLACE_FOLLOW))
                .bind(key.user.0)
                .bind(followee.0)
                .bind(mark.on)
                .bind(mark.event.time.as_millis())
        } else {
            let (kind, slot) = kind_and_slot(&key.mark);
            sqlx::query(expected.map_or(INSERT_MARK, |_| REPLACE_MARK))
                .bind(key.mark.post().map(|post| post.to_string()))
                .bind(kind)
                .bind(key.user.0)
                .bind(slot)
                .bind(mark.on)
        };
        query = query.bind(&id.as_bytes()[..]).bind(event);
        if let Some(expected) = &expected {
            query = query.bind(&expected.0.as_bytes()[..]);
        }
        let done = query.execute(&mut *self.writer().await?).await?;
        Ok(done.rows_affected() > 0)
    }

    async fn marks_of(
        &self,
        user: UserId,
        posts: &[PostId],
    ) -> Result<HashMap<PostId, OwnMarks>, Error> {
        let rows: Vec<(String, String)> = sqlx::query_as(OWN_MARKS)
            .bind(user.0)
            .bind(stored::rows(posts)?)
            .fetch_all(self.db.readers())
            .await?;
        let mut own: HashMap<PostId, OwnMarks> = HashMap::new();
        for (post, kind) in rows {
            let marks = own.entry(post.parse().map_err(unreadable)?).or_default();
            match kind.as_str() {
                "like" => marks.liked = true,
                _ => marks.bookmarked = true,
            }
        }
        Ok(own)
    }

    async fn counted_follows(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, FollowCounts>, Error> {
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(FOLLOW_COUNTS)
            .bind(stored::rows(users)?)
            .fetch_all(self.db.readers())
            .await?;
        let counts = |(user, followers, following)| {
            let followers = stored::count(followers)?;
            Ok((UserId(user), FollowCounts { followers, following: stored::count(following)? }))
        };
        rows.into_iter().map(counts).collect()
    }

    async fn walk_follows(
        &self,
        list: &'static str,
        user: UserId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        let place = after.map(|after| (after.at.as_millis(), after.id.parse().unwrap_or(i64::MIN)));
        let (at, id) = place.unwrap_or((i64::MAX, i64::MAX));
        let rows: Result<Vec<(i64, i64)>, Error> = sqlx::query_as(list)
            .bind(user.0)
            .bind(at)
            .bind(id)
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await;
        let rows = rows.map_err(|e| self.db.failed(e))?.into_iter();
        Ok(rows.map(|(user, since)| (UserId(user), Timestamp::from_millis(since))).collect())
    }
}

#[async_trait]
impl Marks for SqliteContent {
    async fn mark(&self, key: &MarkKey) -> Result<Option<StoredMark>, StoreError> {
        self.find_mark(key).await.map_err(|e| self.db.failed(e))
    }

    async fn set_mark(
        &self,
        key: &MarkKey,
        mark: &StoredMark,
        expected: Option<EventId>,
    ) -> Result<bool, StoreError> {
        let set = self.put_mark(key, mark, expected).await;
        set.map_err(|e| self.db.failed(e))
    }

    async fn own_marks(
        &self,
        user: UserId,
        posts: &[PostId],
    ) -> Result<HashMap<PostId, OwnMarks>, StoreError> {
        let marks = self.marks_of(user, posts).await;
        marks.map_err(|e| self.db.failed(e))
    }

    async fn follow_counts(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, FollowCounts>, StoreError> {
        let counts = self.counted_follows(users).await;
        counts.map_err(|e| self.db.failed(e))
    }

    async fn followers(
        &self,
        user: UserId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        self.walk_follows(FOLLOWERS, user, after, limit).await
    }

    async fn following(
        &self,
        user: UserId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        self.walk_follows(FOLLOWING, user, after, limit).await
    }

    async fn followed_by(&self, user: UserId) -> Result<Vec<UserId>, StoreError> {
        let rows: Result<Vec<i64>, Error> =
            sqlx::query_scalar(FOLLOWED_BY).bind(user.0).fetch_all(self.db.readers()).await;
        let rows = rows.map_err(|e| self.db.failed(e))?;
        Ok(rows.into_iter().map(UserId).collect())
    }
}
