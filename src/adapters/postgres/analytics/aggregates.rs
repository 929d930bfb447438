//! Counts, compared with the projected events and put right. The tables for joins are in [`rows`].

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::types::time::{Date, OffsetDateTime};
use sqlx::{Connection, Error};

use crate::adapters::pooled::on_lease;
use crate::adapters::postgres::stored::{count, integer};
use crate::domain::event::LoggedEvent;
use crate::ports::StoreError;
use crate::ports::audit::analytics::{AggregateAudit, Miscount, Miscounts};

use super::{PostgresAnalytics, rows};

/// The days that follow are found by the indexes of the partitions and of the counts.
const NEXT_DAY: &str = "
    SELECT min(day) - date '1970-01-01' FROM (
        SELECT min(occurred_at)::date AS day FROM interactions
        WHERE $1::int IS NULL OR occurred_at >= (date '1970-01-01' + $1)
        UNION ALL
        SELECT min(day) FROM user_daily WHERE $1 IS NULL OR day >= date '1970-01-01' + $1
        UNION ALL
        SELECT min(day) FROM post_daily WHERE $1 IS NULL OR day >= date '1970-01-01' + $1
    ) AS days";

const COMPARE_DAY: &str = "
    WITH of_the_day AS (
        SELECT user_id, subject, kind, count(*) AS count FROM interactions
        WHERE occurred_at >= $1::date AND occurred_at < $1::date + 1
        GROUP BY user_id, subject, kind
    ), counted AS (
        SELECT 'user ' || user_id AS what, kind, sum(count)::bigint AS count FROM of_the_day
        WHERE user_id IS NOT NULL GROUP BY user_id, kind
        UNION ALL
        SELECT 'post ' || substr(subject, 6), kind, sum(count)::bigint FROM of_the_day
        WHERE starts_with(subject, 'post:') GROUP BY subject, kind
    ), kept AS (
        SELECT 'user ' || user_id AS what, kind, count FROM user_daily WHERE day = $1
        UNION ALL
        SELECT 'post ' || post_id, kind, count FROM post_daily WHERE day = $1
    )
    SELECT what || ' ' || $1::date || ' ' || kind, kept.count, counted.count, count(*) OVER ()
    FROM kept FULL JOIN counted USING (what, kind)
    WHERE kept.count IS DISTINCT FROM counted.count
    ORDER BY 1 LIMIT $2";

/// Whoever adds to the counts takes these in the same order, and waits: what it inserted before is not seen here
/// and is added afterwards; what it committed before is seen.
const LOCK_COUNTS: &str =
    "LOCK TABLE event_totals, user_daily, post_daily IN SHARE ROW EXCLUSIVE MODE";

const RECOUNT_DAY: [&str; 4] = [
    "DELETE FROM user_daily WHERE day = $1",
    "DELETE FROM post_daily WHERE day = $1",
    "INSERT INTO user_daily (user_id, day, kind, count)
     SELECT user_id, $1::date, kind, count(*) FROM interactions
     WHERE occurred_at >= $1::date AND occurred_at < $1::date + 1 AND user_id IS NOT NULL
     GROUP BY user_id, kind",
    "INSERT INTO post_daily (post_id, day, kind, count)
     SELECT substr(subject, 6), $1::date, kind, count(*) FROM interactions
     WHERE occurred_at >= $1::date AND occurred_at < $1::date + 1
       AND starts_with(subject, 'post:')
     GROUP BY subject, kind",
];

macro_rules! compare_totals {
    () => {
        "SELECT kind, kept.count AS kept, counted.count AS counted
         FROM (SELECT kind, sum(count)::bigint AS count FROM event_totals GROUP BY kind) AS kept
         FULL JOIN (SELECT kind, count(*) AS count FROM interactions GROUP BY kind) AS counted
         USING (kind) WHERE coalesce(kept.count, 0) <> coalesce(counted.count, 0)"
    };
}

const COMPARE_TOTALS: &str = compare_totals!();

const RECOUNT_TOTALS: &str = concat!(
    "INSERT INTO event_totals AS t (incarnation, kind, count)
     SELECT uuid '00000000-0000-0000-0000-000000000000', kind,
            coalesce(counted, 0) - coalesce(kept, 0)
     FROM (",
    compare_totals!(),
    ") AS wrong
     ON CONFLICT (incarnation, kind) DO UPDATE SET count = t.count + excluded.count"
);

fn date(day: i32) -> Result<Date, Error> {
    let day = time::Duration::days(day.into());
    let date = OffsetDateTime::UNIX_EPOCH.checked_add(day).map(OffsetDateTime::date);
    date.ok_or_else(|| Error::Encode("no such day".into()))
}

async fn next(connection: &mut PgConnection, from: Option<i32>) -> Result<Option<i32>, Error> {
    sqlx::query_scalar(NEXT_DAY).bind(from).fetch_one(connection).await
}

async fn compare_day(
    connection: &mut PgConnection,
    day: i32,
    examples: usize,
) -> Result<Miscounts, Error> {
    let rows: Vec<(String, Option<i64>, Option<i64>, i64)> = sqlx::query_as(COMPARE_DAY)
        .bind(date(day)?)
        .bind(integer(examples.max(1) as u64))
        .fetch_all(connection)
        .await?;
    let found = rows.first().map_or(Ok(0), |(.., found)| count(*found))?;
    let rows = rows.into_iter().take(examples);
    let examples = rows.map(|(what, kept, counted, _)| Miscount { what, kept, counted });
    Ok(Miscounts { found, examples: examples.collect() })
}

async fn compare_totals(connection: &mut PgConnection) -> Result<Miscounts, Error> {
    let rows: Vec<(String, Option<i64>, Option<i64>)> =
        sqlx::query_as(COMPARE_TOTALS).fetch_all(connection).await?;
    let examples = rows.into_iter().map(|(kind, kept, counted)| Miscount {
        what: format!("total of {kind}"),
        kept,
        counted,
    });
    let examples: Vec<_> = examples.collect();
    Ok(Miscounts { found: examples.len() as u64, examples })
}

async fn recount(connection: &mut PgConnection, day: i32) -> Result<(), Error> {
    let mut tx = connection.begin().await?;
    sqlx::query(LOCK_COUNTS).execute(&mut *tx).await?;
    for statement in RECOUNT_DAY {
        sqlx::query(statement).bind(date(day)?).execute(&mut *tx).await?;
    }
    tx.commit().await
}

async fn recount_totals(connection: &mut PgConnection) -> Result<(), Error> {
    let mut tx = connection.begin().await?;
    sqlx::query(LOCK_COUNTS).execute(&mut *tx).await?;
    sqlx::query(RECOUNT_TOTALS).execute(&mut *tx).await?;
    tx.commit().await
}

#[async_trait]
impl AggregateAudit for PostgresAnalytics {
    async fn next_day(&self, from: Option<i32>) -> Result<Option<i32>, StoreError> {
        on_lease!(&self.server.pooled, lease => next(&mut lease, from))
    }

    async fn miscounts_of(&self, day: i32, examples: usize) -> Result<Miscounts, StoreError> {
        on_lease!(&self.server.pooled, lease => compare_day(&mut lease, day, examples))
    }

    async fn recount_day(&self, day: i32) -> Result<(), StoreError> {
        on_lease!(&self.server.pooled, lease => recount(&mut lease, day))
    }

    async fn miscounted_totals(&self) -> Result<Miscounts, StoreError> {
        on_lease!(&self.server.pooled, lease => compare_totals(&mut lease))
    }

    async fn recount_totals(&self) -> Result<(), StoreError> {
        on_lease!(&self.server.pooled, lease => recount_totals(&mut lease))
    }

    async fn outdated_rows(&self, events: &[LoggedEvent]) -> Result<Vec<String>, StoreError> {
        on_lease!(&self.server.pooled, lease => rows::outdated(&mut lease, events))
    }

    async fn refresh_rows(&self, events: &[LoggedEvent]) -> Result<(), StoreError> {
        on_lease!(&self.server.pooled, lease => rows::refresh(&mut lease, events))
    }

    async fn unfounded_rows(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        on_lease!(&self.server.pooled, lease => rows::unfounded(&mut lease, limit))
    }
}
