//! Counts and tables for joins, compared with the projected events and put right.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::{Connection, Error};

use crate::adapters::additions::Additions;
use crate::adapters::sqlite::database::{Database, unreadable};
use crate::adapters::sqlite::stored;
use crate::domain::event::LoggedEvent;
use crate::domain::ids::EventId;
use crate::ports::StoreError;
use crate::ports::audit::analytics::{AggregateAudit, Miscount, Miscounts};

use super::{DAY_MILLIS, SqliteAnalytics};

/// The day of which number `?1` is, as it is written.
macro_rules! day {
    () => {
        "date(?1 * 86400, 'unixepoch')"
    };
}

/// The projected events of the day `?1`.
macro_rules! of_the_day {
    () => {
        "interactions WHERE occurred_at >= ?1 * 86400000 AND occurred_at < (?1 + 1) * 86400000"
    };
}

pub(in crate::adapters::sqlite) const NEXT_EVENT: &str =
    "SELECT min(occurred_at) FROM interactions WHERE occurred_at >= ?1";

pub(in crate::adapters::sqlite) const NEXT_COUNTED: &str = "
    SELECT CAST(julianday(min(day)) - 2440587.5 AS INTEGER) FROM (
        SELECT min(day) AS day FROM user_daily
        WHERE day >= coalesce(date(?1 * 86400, 'unixepoch'), '')
        UNION ALL
        SELECT min(day) FROM post_daily WHERE day >= coalesce(date(?1 * 86400, 'unixepoch'), ''))";

/// The counts of the users on the day `?1` as they are kept and as they are, and those of the posts.
///
/// They are brought together by a grouping: a full join within a union returns rows that its condition excludes.
pub(in crate::adapters::sqlite) const COMPARE_DAY: &str = concat!(
    "SELECT what || ' ' || ",
    day!(),
    " || ' ' || kind, max(kept), max(counted), count(*) OVER () FROM (
        SELECT 'user ' || user_id AS what, kind, count AS kept, NULL AS counted
        FROM user_daily WHERE day = ",
    day!(),
    "   UNION ALL
        SELECT 'user ' || user_id, kind, NULL, count(*) FROM ",
    of_the_day!(),
    "   AND user_id IS NOT NULL GROUP BY user_id, kind
        UNION ALL
        SELECT 'post ' || post_id, kind, count, NULL FROM post_daily WHERE day = ",
    day!(),
    "   UNION ALL
        SELECT 'post ' || substr(subject, 6), kind, NULL, count(*) FROM ",
    of_the_day!(),
    "   AND subject GLOB 'post:*' GROUP BY subject, kind
    ) GROUP BY what, kind HAVING max(kept) IS NOT max(counted) ORDER BY 1 LIMIT ?2"
);

const RECOUNT_DAY: [&str; 4] = [
    concat!("DELETE FROM user_daily WHERE day = ", day!()),
    concat!("DELETE FROM post_daily WHERE day = ", day!()),
    concat!(
        "INSERT INTO user_daily (day, user_id, kind, count) SELECT ",
        day!(),
        ", user_id, kind, count(*) FROM ",
        of_the_day!(),
        " AND user_id IS NOT NULL GROUP BY user_id, kind"
    ),
    concat!(
        "INSERT INTO post_daily (day, post_id, kind, count) SELECT ",
        day!(),
        ", substr(subject, 6), kind, count(*) FROM ",
        of_the_day!(),
        " AND subject GLOB 'post:*' GROUP BY subject, kind"
    ),
];

/// The totals by kind as they are kept and as they are, where the two differ.
macro_rules! compare_totals {
    () => {
        "SELECT kind, max(kept) AS kept, max(counted) AS counted FROM (
            SELECT kind, sum(count) AS kept, NULL AS counted FROM event_totals GROUP BY kind
            UNION ALL
            SELECT kind, NULL, count(*) FROM interactions GROUP BY kind
        ) GROUP BY kind HAVING coalesce(max(kept), 0) <> coalesce(max(counted), 0)"
    };
}

const COMPARE_TOTALS: &str = compare_totals!();

const RECOUNT_TOTALS: &str = concat!(
    "INSERT INTO event_totals (incarnation, kind, count)
     SELECT zeroblob(16), kind, coalesce(counted, 0) - coalesce(kept, 0) FROM (",
    compare_totals!(),
    ") WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count"
);

const OUTDATED_USERS: &str = "
    SELECT 'user ' || (w.value ->> 0)
    FROM json_each(?1) AS w LEFT JOIN users AS u ON u.user_id = w.value ->> 0
    WHERE u.user_id IS NULL OR u.last_event < unhex(w.value ->> 2)
       OR (u.last_event = unhex(w.value ->> 2) AND u.username <> w.value ->> 1)";

const OUTDATED_POSTS: &str = "
    SELECT 'post ' || (w.value ->> 0)
    FROM json_each(?1) AS w LEFT JOIN posts AS p ON p.post_id = w.value ->> 0
    WHERE p.post_id IS NULL OR (p.version, p.status = 'removed') < (w.value ->> 6, w.value ->> 4 = 'removed')
       OR (p.version = w.value ->> 6 AND (p.status = 'removed') = (w.value ->> 4 = 'removed')
           AND (p.author_id, p.slug, p.title, p.status, p.published_at)
               IS NOT (w.value ->> 1, w.value ->> 2, w.value ->> 3, w.value ->> 4, w.value ->> 5))";

const OUTDATED_FOLLOWS: &str = "
    SELECT 'follow of ' || (w.value ->> 1) || ' by ' || (w.value ->> 0)
    FROM json_each(?1) AS w
    LEFT JOIN follows AS f ON f.follower = w.value ->> 0 AND f.followee = w.value ->> 1
    WHERE f.follower IS NULL OR f.last_event < unhex(w.value ->> 3)
       OR (f.last_event = unhex(w.value ->> 3) AND f.since IS NOT w.value ->> 2)";

const REFRESH_USERS: &str = "
    INSERT INTO users AS u (user_id, username, last_event)
    SELECT value ->> 0, value ->> 1, unhex(value ->> 2) FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE SET username = excluded.username, last_event = excluded.last_event
    WHERE excluded.last_event >= u.last_event";

const REFRESH_POSTS: &str = "
    INSERT INTO posts AS p (post_id, author_id, slug, title, status, published_at, version)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE
    SET author_id = excluded.author_id, slug = excluded.slug, title = excluded.title,
        status = excluded.status, published_at = excluded.published_at, version = excluded.version
    WHERE (excluded.version, excluded.status = 'removed') >= (p.version, p.status = 'removed')";

const REFRESH_FOLLOWS: &str = "
    INSERT INTO follows AS f (follower, followee, since, last_event)
    SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3) FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE SET since = excluded.since, last_event = excluded.last_event
    WHERE excluded.last_event >= f.last_event";

const UNFOUNDED: &str = "
    SELECT * FROM (
        SELECT 'user ' || user_id FROM users AS u
        WHERE NOT EXISTS (SELECT 1 FROM interactions AS i WHERE i.event_id = u.last_event)
        UNION ALL
        SELECT 'follow of ' || followee || ' by ' || follower FROM follows AS f
        WHERE NOT EXISTS (SELECT 1 FROM interactions AS i WHERE i.event_id = f.last_event)
        UNION ALL
        SELECT 'post ' || post_id FROM posts AS p
        WHERE NOT EXISTS (SELECT 1 FROM interactions AS i WHERE i.subject = 'post:' || p.post_id)
    ) LIMIT ?1";

type Compared = (String, Option<i64>, Option<i64>);

async fn day_after(db: &Database, from: Option<i32>) -> Result<Option<i32>, Error> {
    let since = from.map_or(i64::MIN, |day| i64::from(day) * DAY_MILLIS);
    let happened = sqlx::query_scalar::<_, Option<i64>>(NEXT_EVENT).bind(since);
    let happened = happened.fetch_one(db.readers()).await?;
    let counted = sqlx::query_scalar::<_, Option<i64>>(NEXT_COUNTED).bind(from);
    let counted = counted.fetch_one(db.readers()).await?;
    let happened = happened.map(|at| at.div_euclid(DAY_MILLIS));
    let next = counted.into_iter().chain(happened).min();
    next.map(|day| i32::try_from(day).map_err(unreadable)).transpose()
}

async fn compare_day(db: &Database, day: i32, examples: usize) -> Result<Miscounts, Error> {
    let rows: Vec<(String, Option<i64>, Option<i64>, i64)> = sqlx::query_as(COMPARE_DAY)
        .bind(day)
        .bind(stored::integer(examples.max(1)))
        .fetch_all(db.readers())
        .await?;
    let found = rows.first().map_or(Ok(0), |(.., found)| stored::count(*found))?;
    let rows = rows.into_iter().take(examples);
    let examples = rows.map(|(what, kept, counted, _)| Miscount { what, kept, counted });
    Ok(Miscounts { found, examples: examples.collect() })
}

async fn compare_totals(db: &Database) -> Result<Miscounts, Error> {
    let rows: Vec<Compared> = sqlx::query_as(COMPARE_TOTALS).fetch_all(db.readers()).await?;
    let examples = rows.into_iter().map(|(kind, kept, counted)| Miscount {
        what: format!("total of {kind}"),
        kept,
        counted,
    });
    let examples: Vec<_> = examples.collect();
    Ok(Miscounts { found: examples.len() as u64, examples })
}

async fn recount(db: &Database, day: i32) -> Result<(), Error> {
    let mut writer = db.covered_write().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    for statement in RECOUNT_DAY {
        sqlx::query(statement).bind(day).execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// The rows for joins that events make: users, posts and follows.
fn rows_of(events: &[LoggedEvent]) -> Result<[String; 3], Error> {
    let ids: HashSet<EventId> = events.iter().map(|logged| logged.event.id).collect();
    let Additions { users, posts, follows, .. } = Additions::of(events, ids);
    let users = users.into_iter().map(|(user, (event, name))| (user, name, stored::hex(event.0)));
    let posts = posts.into_values().map(|(post, status)| {
        (
            post.id,
            post.author.id,
            &post.slug,
            &post.title,
            status,
            post.published_at.map(|time| time.as_millis()),
            stored::integer(post.version),
        )
    });
    let follows = follows.into_iter().map(|((follower, followee), (event, since))| {
        (follower, followee, since.map(|time| time.as_millis()), stored::hex(event.0))
    });
    Ok([stored::rows(users)?, stored::rows(posts)?, stored::rows(follows)?])
}

async fn outdated(db: &Database, events: &[LoggedEvent]) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let statements = [OUTDATED_USERS, OUTDATED_POSTS, OUTDATED_FOLLOWS];
    for (statement, rows) in statements.into_iter().zip(rows_of(events)?) {
        let names: Vec<String> =
            sqlx::query_scalar(statement).bind(rows).fetch_all(db.readers()).await?;
        found.extend(names);
    }
    Ok(found)
}

async fn refresh(db: &Database, events: &[LoggedEvent]) -> Result<(), Error> {
    let mut writer = db.covered_write().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let statements = [REFRESH_USERS, REFRESH_POSTS, REFRESH_FOLLOWS];
    for (statement, rows) in statements.into_iter().zip(rows_of(events)?) {
        sqlx::query(statement).bind(rows).execute(&mut *tx).await?;
    }
    tx.commit().await
}

#[async_trait]
impl AggregateAudit for SqliteAnalytics {
    async fn next_day(&self, from: Option<i32>) -> Result<Option<i32>, StoreError> {
        day_after(&self.db, from).await.map_err(|e| self.db.failed(e))
    }

    async fn miscounts_of(&self, day: i32, examples: usize) -> Result<Miscounts, StoreError> {
        compare_day(&self.db, day, examples).await.map_err(|e| self.db.failed(e))
    }

    async fn recount_day(&self, day: i32) -> Result<(), StoreError> {
        recount(&self.db, day).await.map_err(|e| self.db.failed(e))
    }

    async fn miscounted_totals(&self) -> Result<Miscounts, StoreError> {
        compare_totals(&self.db).await.map_err(|e| self.db.failed(e))
    }

    async fn recount_totals(&self) -> Result<(), StoreError> {
        let mut writer = self.db.covered_write().await.map_err(|e| self.db.failed(e))?;
        let done = sqlx::query(RECOUNT_TOTALS).execute(&mut *writer).await;
        drop(writer);
        done.map(drop).map_err(|e| self.db.failed(e))
    }

    async fn outdated_rows(&self, events: &[LoggedEvent]) -> Result<Vec<String>, StoreError> {
        outdated(&self.db, events).await.map_err(|e| self.db.failed(e))
    }

    async fn refresh_rows(&self, events: &[LoggedEvent]) -> Result<(), StoreError> {
        refresh(&self.db, events).await.map_err(|e| self.db.failed(e))
    }

    async fn unfounded_rows(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query_scalar(UNFOUNDED).bind(stored::integer(limit));
        rows.fetch_all(self.db.readers()).await.map_err(|e| self.db.failed(e))
    }
}
