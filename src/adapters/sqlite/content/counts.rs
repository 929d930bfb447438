//! Counts, compared with what is counted and put right. One statement sees one moment, and triggers count with
//! what they count: nothing is in flight here.

use async_trait::async_trait;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Error, FromRow, Sqlite};

use crate::adapters::sqlite::database::unreadable;
use crate::adapters::sqlite::stored;
use crate::domain::ids::{PostId, UserId};
use crate::ports::StoreError;
use crate::ports::audit::content::{CountAudit, FollowTally, PostTally, UnreadTally};

use super::SqliteContent;

pub(in crate::adapters::sqlite) const POSTS_AFTER: &str =
    "SELECT id FROM posts WHERE id > ?1 ORDER BY id LIMIT ?2";

/// What the documents of the post `p` make its counts.
macro_rules! counted {
    () => {
        "(SELECT count(*) FROM post_marks WHERE post_id = p.id AND kind = 'view' AND is_on = 1),
         (SELECT count(*) FROM post_marks WHERE post_id = p.id AND kind = 'like' AND is_on = 1),
         (SELECT count(*) FROM comments WHERE post_id = p.id AND removed = 0),
         (SELECT count(*) FROM post_marks WHERE post_id = p.id AND kind = 'share' AND is_on = 1),
         (SELECT count(*) FROM post_marks WHERE post_id = p.id AND kind = 'bookmark' AND is_on = 1)"
    };
}

pub(in crate::adapters::sqlite) const POST_TALLIES: &str = concat!(
    "SELECT p.id, coalesce(c.views, 0) AS views, coalesce(c.likes, 0) AS likes,
            coalesce(c.comments, 0) AS comments, coalesce(c.shares, 0) AS shares,
            coalesce(c.bookmarks, 0) AS bookmarks,
            json_array(",
    counted!(),
    ") AS counted
     FROM json_each(?1) AS w CROSS JOIN posts AS p ON p.id = w.value
     LEFT JOIN post_counts AS c ON c.post_id = p.id"
);

/// Changes nothing where the counts are right.
const RECOUNT_POST: &str = concat!(
    "INSERT INTO post_counts AS c (post_id, views, likes, comments, shares, bookmarks)
     SELECT p.id, ",
    counted!(),
    " FROM posts AS p WHERE p.id = ?1
     ON CONFLICT (post_id) DO UPDATE
     SET views = excluded.views, likes = excluded.likes, comments = excluded.comments,
         shares = excluded.shares, bookmarks = excluded.bookmarks
     WHERE (c.views, c.likes, c.comments, c.shares, c.bookmarks)
           <> (excluded.views, excluded.likes, excluded.comments, excluded.shares, excluded.bookmarks)"
);

pub(in crate::adapters::sqlite) const USERS_AFTER: &str = "
    SELECT user FROM (
        SELECT user_id AS user FROM user_counts WHERE user_id > ?1
        UNION SELECT follower FROM follows WHERE follower > ?1
        UNION SELECT followee FROM follows WHERE is_on = 1 AND followee > ?1)
    ORDER BY user LIMIT ?2";

pub(in crate::adapters::sqlite) const FOLLOW_TALLIES: &str = "
    SELECT w.value, coalesce(c.followers, 0), coalesce(c.following, 0),
           (SELECT count(*) FROM follows WHERE followee = w.value AND is_on = 1),
           (SELECT count(*) FROM follows WHERE follower = w.value AND is_on = 1)
    FROM json_each(?1) AS w LEFT JOIN user_counts AS c ON c.user_id = w.value";

const RECOUNT_FOLLOWS: &str = "
    INSERT INTO user_counts AS c (user_id, followers, following)
    SELECT ?1, (SELECT count(*) FROM follows WHERE followee = ?1 AND is_on = 1),
           (SELECT count(*) FROM follows WHERE follower = ?1 AND is_on = 1)
    WHERE true
    ON CONFLICT (user_id) DO UPDATE
    SET followers = excluded.followers, following = excluded.following
    WHERE (c.followers, c.following) <> (excluded.followers, excluded.following)";

#[derive(FromRow)]
struct Tally {
    id: String,
    views: i64,
    likes: i64,
    comments: i64,
    shares: i64,
    bookmarks: i64,
    counted: String,
}

impl Tally {
    fn read(self) -> Result<PostTally, Error> {
        Ok(PostTally {
            post: self.id.parse().map_err(unreadable)?,
            kept: [self.views, self.likes, self.comments, self.shares, self.bookmarks],
            counted: serde_json::from_str(&self.counted).map_err(unreadable)?,
        })
    }
}

impl SqliteContent {
    async fn posts_from(&self, after: Option<PostId>, limit: usize) -> Result<Vec<PostId>, Error> {
        let ids: Vec<String> = sqlx::query_scalar(POSTS_AFTER)
            .bind(after.map_or(String::new(), |id| id.to_string()))
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        ids.iter().map(|id| id.parse().map_err(unreadable)).collect()
    }

    async fn tallies(&self, ids: &[PostId]) -> Result<Vec<PostTally>, Error> {
        let rows: Vec<Tally> = sqlx::query_as(POST_TALLIES)
            .bind(stored::rows(ids)?)
            .fetch_all(self.db.readers())
            .await?;
        rows.into_iter().map(Tally::read).collect()
    }

    async fn users_from(&self, after: Option<UserId>, limit: usize) -> Result<Vec<UserId>, Error> {
        let ids: Vec<i64> = sqlx::query_scalar(USERS_AFTER)
            .bind(after.map_or(i64::MIN, |id| id.0))
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        Ok(ids.into_iter().map(UserId).collect())
    }

    async fn tallied_follows(&self, ids: &[UserId]) -> Result<Vec<FollowTally>, Error> {
        let rows: Vec<(i64, i64, i64, i64, i64)> = sqlx::query_as(FOLLOW_TALLIES)
            .bind(stored::rows(ids)?)
            .fetch_all(self.db.readers())
            .await?;
        let tally = |(user, followers, following, all_followers, all_following)| FollowTally {
            user: UserId(user),
            kept: [followers, following],
            counted: [all_followers, all_following],
        };
        Ok(rows.into_iter().map(tally).collect())
    }

    /// Whether a statement that counts again changed anything; what is there and right stays as it is.
    async fn recount(&self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<bool, Error> {
        let done = query.execute(&mut *self.writer().await?).await?;
        Ok(done.rows_affected() > 0)
    }
}

#[async_trait]
impl CountAudit for SqliteContent {
    async fn posts_after(
        &self,
        after: Option<PostId>,
        limit: usize,
    ) -> Result<Vec<PostId>, StoreError> {
        self.posts_from(after, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn post_tallies(&self, ids: &[PostId]) -> Result<Vec<PostTally>, StoreError> {
        self.tallies(ids).await.map_err(|e| self.db.failed(e))
    }

    async fn users_after(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        self.users_from(after, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn follow_tallies(&self, ids: &[UserId]) -> Result<Vec<FollowTally>, StoreError> {
        self.tallied_follows(ids).await.map_err(|e| self.db.failed(e))
    }

    async fn recount_post(&self, post: PostId) -> Result<Option<bool>, StoreError> {
        let before = self.tallies(&[post]).await.map_err(|e| self.db.failed(e))?;
        if before.is_empty() {
            return Ok(None);
        }
        let query = sqlx::query(RECOUNT_POST).bind(post.to_string());
        let changed = self.recount(query).await.map_err(|e| self.db.failed(e))?;
        // A post that nobody did anything with has no counts yet, and they are right.
        let was_wrong = before.iter().any(|tally| tally.kept != tally.counted);
        Ok(Some(changed && was_wrong))
    }

    async fn recount_follows(&self, user: UserId) -> Result<Option<bool>, StoreError> {
        let before = self.tallied_follows(&[user]).await.map_err(|e| self.db.failed(e))?;
        let query = sqlx::query(RECOUNT_FOLLOWS).bind(user.0);
        let changed = self.recount(query).await.map_err(|e| self.db.failed(e))?;
        let was_wrong = before.iter().any(|tally| tally.kept != tally.counted);
        Ok(Some(changed && was_wrong))
    }

    async fn inboxes_after(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        self.inboxes_from(after, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn unread_tallies(&self, users: &[UserId]) -> Result<Vec<UnreadTally>, StoreError> {
        self.tallied_unread(users).await.map_err(|e| self.db.failed(e))
    }

    async fn recount_unread(&self, user: UserId) -> Result<Option<bool>, StoreError> {
        let recounted = self.recounted_unread(user).await;
        recounted.map(Some).map_err(|e| self.db.failed(e))
    }
}
