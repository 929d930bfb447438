//! Marks on posts, and follows. Triggers count them.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::Error;

use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::mark::{Mark, MarkKey};
use crate::domain::page::Cursor;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::marks::{FollowCounts, MarkChange, Marks, OwnMarks, StoredMark};

use super::content::SqliteContent;
use super::database::unreadable;
use super::stored;

/// One that is there, or of several the later ones, are passed over.
pub(super) const INSERT_MARKS: &str = "
    INSERT INTO post_marks (post_id, kind, user_id, slot, is_on, event_id, event)
    SELECT w.value ->> 0, w.value ->> 1, w.value ->> 2, w.value ->> 3, w.value ->> 4,
           unhex(w.value ->> 5), w.value ->> 6
    FROM jsonb_each(?1) AS w
    WHERE true
    ON CONFLICT DO NOTHING
    RETURNING event_id";

pub(super) const REPLACE_MARKS: &str = "
    UPDATE post_marks AS m
    SET is_on = w.value ->> 4, event_id = unhex(w.value ->> 5), event = w.value ->> 6
    FROM jsonb_each(?1) AS w
    WHERE m.post_id = w.value ->> 0 AND m.kind = w.value ->> 1 AND m.user_id = w.value ->> 2
      AND m.slot = w.value ->> 3 AND m.event_id = unhex(w.value ->> 7)
    RETURNING event_id";

pub(super) const MARKS: &str = "
    SELECT w.key, m.is_on, m.event FROM json_each(?1) AS w CROSS JOIN post_marks AS m
    WHERE m.post_id = w.value ->> 0 AND m.kind = w.value ->> 1 AND m.user_id = w.value ->> 2
      AND m.slot = w.value ->> 3";

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

/// A mark on a post as the statements above find it; none for a follow.
fn mark_row(key: &MarkKey) -> Option<(String, &'static str, i64, String)> {
    let (kind, slot) = kind_and_slot(&key.mark);
    Some((key.mark.post()?.to_string(), kind, key.user.0, slot))
}

impl SqliteContent {
    async fn find_marks(&self, keys: &[MarkKey]) -> Result<HashMap<MarkKey, StoredMark>, Error> {
        let mut found = HashMap::with_capacity(keys.len());
        let on_posts: Vec<_> = keys.iter().filter(|key| key.mark.post().is_some()).collect();
        if !on_posts.is_empty() {
            let rows: Vec<(i64, bool, String)> = sqlx::query_as(MARKS)
                .bind(stored::rows(on_posts.iter().map(|key| mark_row(key)))?)
                .fetch_all(self.db.readers())
                .await?;
            for (place, on, event) in rows {
                let key = usize::try_from(place).ok().and_then(|place| on_posts.get(place));
                let key = key.ok_or_else(|| unreadable("a mark that nobody asked for"))?;
                found.insert(**key, StoredMark { on, event: stored::event(&event)? });
            }
        }
        for key in keys {
            if let Mark::Follow(followee) = key.mark
                && let Some(mark) = self.find_follow(key.user, followee).await?
            {
                found.insert(*key, mark);
            }
        }
        Ok(found)
    }

    async fn find_follow(
        &self,
        follower: UserId,
        followee: UserId,
    ) -> Result<Option<StoredMark>, Error> {
        let query = sqlx::query_as(
            "SELECT is_on, event FROM follows WHERE follower = ?1 AND followee = ?2",
        )
        .bind(follower.0)
        .bind(followee.0);
        let row: Option<(bool, String)> = query.fetch_optional(self.db.readers()).await?;
        row.map(|(on, event)| Ok(StoredMark { on, event: stored::event(&event)? })).transpose()
    }

    /// One statement for all new marks and one for all others, each of which the triggers make a transaction with
    /// what is counted. Which marks were set is told by their events, each of which is about one mark.
    async fn put_marks(&self, changes: &[MarkChange]) -> Result<Vec<bool>, Error> {
        let (mut new, mut others, mut met) = (Vec::new(), Vec::new(), HashSet::new());
        for MarkChange { key, mark, expected } in changes {
            let Some((post, kind, user, slot)) = mark_row(key) else { continue };
            // Of two rows for one mark SQLite would take any.
            if !met.insert(key) {
                continue;
            }
            let (on, id) = (i64::from(mark.on), stored::hex(mark.event.id.0));
            let expected = expected.map(|event| stored::hex(event.0));
            let rows = if expected.is_none() { &mut new } else { &mut others };
            rows.push((post, kind, user, slot, on, id, stored::to_json(&mark.event)?, expected));
        }
        let mut set = HashSet::new();
        for (statement, rows) in [(INSERT_MARKS, new), (REPLACE_MARKS, others)] {
            if rows.is_empty() {
                continue;
            }
            let query = sqlx::query_scalar(statement).bind(stored::rows(rows)?);
            let ids: Vec<Vec<u8>> = query.fetch_all(&mut *self.writer().await?).await?;
            for id in ids {
                set.insert(EventId(stored::uuid(&id)?));
            }
        }
        for MarkChange { key, mark, expected } in changes {
            if let Mark::Follow(followee) = key.mark
                && self.put_follow(key.user, followee, mark, *expected).await?
            {
                set.insert(mark.event.id);
            }
        }
        Ok(changes.iter().map(|change| set.remove(&change.mark.event.id)).collect())
    }

    async fn put_follow(
        &self,
        follower: UserId,
        followee: UserId,
        mark: &StoredMark,
        expected: Option<EventId>,
    ) -> Result<bool, Error> {
        let mut query = sqlx::query(expected.map_or(INSERT_FOLLOW, |_| REPLACE_FOLLOW))
            .bind(follower.0)
            .bind(followee.0)
            .bind(mark.on)
            .bind(mark.event.time.as_millis())
            .bind(&mark.event.id.0.as_bytes()[..])
            .bind(stored::to_json(&mark.event)?);
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
