//! The projection.

mod aggregates;
mod audit;
mod rows;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use uuid::Uuid;

use crate::adapters::additions::Additions;
use crate::adapters::pooled::on_lease;
use crate::domain::event::LoggedEvent;
use crate::domain::ids::{EventId, Incarnation};
use crate::ports::StoreError;
use crate::ports::analytics::Analytics;
use crate::ports::clock::Clock;
use crate::ports::event_log::LogCursor;
use crate::ports::failpoint::Failpoints;

use super::partitions::{self, Partitions};
use super::server::PostgresServer;
use super::stored::{count, data, datetime, integer, to_json};

/// How documents are taken for JSON: as what they are, or, if one of a batch is none for PostgreSQL, as a text.
#[derive(Clone, Copy)]
enum Documents {
    Json,
    JsonOrText,
}

macro_rules! insert {
    ($data:literal) => {
        concat!(
            "INSERT INTO interactions (event_id, occurred_at, kind, user_id, subject, data)
             SELECT event_id, occurred_at, kind, user_id, subject, ",
            $data,
            " FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::bigint[], $5::text[], $6::text[])
                 AS e (event_id, occurred_at, kind, user_id, subject, data)
             ON CONFLICT DO NOTHING
             RETURNING event_id"
        )
    };
}

impl Documents {
    fn insert(self) -> &'static str {
        match self {
            Self::Json => insert!("data::jsonb"),
            Self::JsonOrText => insert!("jsonb_or_text(data)"),
        }
    }
}

const ADD_TOTALS: &str = "
    INSERT INTO event_totals AS t (incarnation, kind, count)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[])
    ON CONFLICT (incarnation, kind) DO UPDATE SET count = t.count + excluded.count";

const ADD_USER_DAYS: &str = "
    INSERT INTO user_daily AS t (user_id, day, kind, count)
    SELECT id, date '1970-01-01' + day, kind, count
    FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[]) AS a (id, day, kind, count)
    ON CONFLICT (user_id, day, kind) DO UPDATE SET count = t.count + excluded.count";

const ADD_POST_DAYS: &str = "
    INSERT INTO post_daily AS t (post_id, day, kind, count)
    SELECT id, date '1970-01-01' + day, kind, count
    FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[]) AS a (id, day, kind, count)
    ON CONFLICT (post_id, day, kind) DO UPDATE SET count = t.count + excluded.count";

const UPDATE_USERS: &str = "
    INSERT INTO users AS u (user_id, username, last_event)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::uuid[])
    ON CONFLICT (user_id) DO UPDATE
    SET username = excluded.username, last_event = excluded.last_event
    WHERE excluded.last_event > u.last_event";

const UPDATE_POSTS: &str = "
    INSERT INTO posts AS p (post_id, author_id, slug, title, status, published_at, version)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[],
                         $6::timestamptz[], $7::bigint[])
    ON CONFLICT (post_id) DO UPDATE
    SET slug = excluded.slug, title = excluded.title, status = excluded.status,
        published_at = excluded.published_at, version = excluded.version
    WHERE excluded.version > p.version
       OR (excluded.version = p.version AND excluded.status = 'removed')";

const UPDATE_FOLLOWS: &str = "
    INSERT INTO follows AS f (follower, followee, since, last_event)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::uuid[])
    ON CONFLICT (follower, followee) DO UPDATE
    SET since = excluded.since, last_event = excluded.last_event
    WHERE excluded.last_event > f.last_event";

const ADVANCE: &str = "
    INSERT INTO projection_cursors AS c (incarnation, seq) VALUES ($1, $2)
    ON CONFLICT (incarnation) DO UPDATE SET seq = greatest(c.seq, excluded.seq)";

const BURY: &str = "
    INSERT INTO dead_letters (event_id, incarnation, seq, body, reason)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (event_id) DO NOTHING";

const CURSORS: &str = "SELECT incarnation, seq FROM projection_cursors ORDER BY incarnation";

const TOTALS: &str =
    "SELECT kind, sum(count)::bigint FROM event_totals GROUP BY kind ORDER BY kind COLLATE \"C\"";

/// Events that were both set aside and projected count once.
const PROJECTED: &str = "
    SELECT (SELECT coalesce(sum(count), 0) FROM event_totals WHERE incarnation = $1)::bigint
         + (SELECT count(*) FROM dead_letters AS d WHERE d.incarnation = $1
            AND NOT EXISTS (SELECT 1 FROM interactions AS i WHERE i.event_id = d.event_id))";

/// Keeps the projection on a server of PostgreSQL.
///
/// Each event is there once, whoever projects it and how often: of two transactions that insert the same
/// one, the second waits for the first, finds it there, and counts nothing.
pub struct PostgresAnalytics {
    server: Arc<PostgresServer>,
    clock: Arc<dyn Clock>,
    partitions: Partitions,
    failpoints: Failpoints,
}

impl PostgresAnalytics {
    /// A projection on that server, with partitions for this month and the next ones.
    pub async fn start(server: Arc<PostgresServer>, clock: Arc<dyn Clock>) -> Self {
        let (partitions, failpoints) = (Partitions::default(), Failpoints::default());
        let analytics = Self { server, clock, partitions, failpoints };
        analytics.add_partitions(&[]).await;
        analytics
    }

    /// Stops where tests stop.
    pub fn stopping_at(self, failpoints: Failpoints) -> Self {
        Self { failpoints, ..self }
    }

    /// Sees to it that there are partitions for the months ahead and those of the batch. Where one cannot be made,
    /// the default one takes its events; they are moved when it can.
    async fn add_partitions(&self, batch: &[LoggedEvent]) {
        let missing = self.partitions.missing(batch, self.clock.now());
        if missing.is_empty() {
            return;
        }
        let server = &self.server.pooled;
        match on_lease!(server, lease => partitions::add(&mut lease, &missing)) {
            Ok(()) => self.partitions.note(&missing),
            Err(error) => {
                tracing::warn!(%error, "a partition of the interactions cannot be made");
            }
        }
    }
}

async fn write(
    connection: &mut PgConnection,
    batch: &[LoggedEvent],
    cursor: LogCursor,
    documents: Documents,
    failpoints: &Failpoints,
) -> Result<(), Error> {
    let mut tx = connection.begin().await?;
    let new = insert(&mut tx, batch, documents).await?;
    add(&mut tx, Additions::of(batch, new)).await?;
    advance(&mut tx, cursor).await?;
    failpoints.reach("projection.uncommitted").await;
    tx.commit().await
}

/// Inserts events and returns the ids of those that were not there.
async fn insert(
    connection: &mut PgConnection,
    batch: &[LoggedEvent],
    documents: Documents,
) -> Result<HashSet<EventId>, Error> {
    if batch.is_empty() {
        return Ok(HashSet::new());
    }
    // In the order of their ids, so that two that insert the same never wait for each other in a circle.
    let mut events: Vec<_> = batch.iter().map(|logged| &logged.event).collect();
    events.sort_by_key(|event| event.id);
    let times: Result<Vec<_>, _> = events.iter().map(|event| datetime(event.time)).collect();
    let data: Result<Vec<_>, _> = events.iter().map(|event| data(&event.fact)).collect();
    let new: Vec<Uuid> = sqlx::query_scalar(documents.insert())
        .bind(Vec::from_iter(events.iter().map(|event| event.id.0)))
        .bind(times?)
        .bind(Vec::from_iter(events.iter().map(|event| event.fact.kind())))
        .bind(Vec::from_iter(events.iter().map(|event| event.actor.as_ref().map(|a| a.id.0))))
        .bind(Vec::from_iter(events.iter().map(|event| event.fact.subject())))
        .bind(data?)
        .fetch_all(connection)
        .await?;
    Ok(new.into_iter().map(EventId).collect())
}

async fn add(connection: &mut PgConnection, additions: Additions<'_>) -> Result<(), Error> {
    let Additions { totals, user_days, post_days, users, posts, follows } = additions;
    if !totals.is_empty() {
        sqlx::query(ADD_TOTALS)
            .bind(Vec::from_iter(totals.keys().map(|(run, _)| run.0)))
            .bind(Vec::from_iter(totals.keys().map(|(_, kind)| *kind)))
            .bind(Vec::from_iter(totals.into_values()))
            .execute(&mut *connection)
            .await?;
    }
    if !user_days.is_empty() {
        sqlx::query(ADD_USER_DAYS)
            .bind(Vec::from_iter(user_days.keys().map(|(user, ..)| *user)))
            .bind(Vec::from_iter(user_days.keys().map(|(_, day, _)| *day)))
            .bind(Vec::from_iter(user_days.keys().map(|(.., kind)| *kind)))
            .bind(Vec::from_iter(user_days.into_values()))
            .execute(&mut *connection)
            .await?;
    }
    if !post_days.is_empty() {
        sqlx::query(ADD_POST_DAYS)
            .bind(Vec::from_iter(post_days.keys().map(|(post, ..)| post.to_string())))
            .bind(Vec::from_iter(post_days.keys().map(|(_, day, _)| *day)))
            .bind(Vec::from_iter(post_days.keys().map(|(.., kind)| *kind)))
            .bind(Vec::from_iter(post_days.into_values()))
            .execute(&mut *connection)
            .await?;
    }
    // Users first: posts and follows refer to them.
    if !users.is_empty() {
        sqlx::query(UPDATE_USERS)
            .bind(Vec::from_iter(users.keys().copied()))
            .bind(Vec::from_iter(users.values().map(|(_, name)| *name)))
            .bind(Vec::from_iter(users.values().map(|(event, _)| event.0)))
            .execute(&mut *connection)
            .await?;
    }
    if !posts.is_empty() {
        let published = posts.values().map(|(post, _)| post.published_at.map(datetime).transpose());
        sqlx::query(UPDATE_POSTS)
            .bind(Vec::from_iter(posts.keys().map(ToString::to_string)))
            .bind(Vec::from_iter(posts.values().map(|(post, _)| post.author.id.0)))
            .bind(Vec::from_iter(posts.values().map(|(post, _)| post.slug.as_str())))
            .bind(Vec::from_iter(posts.values().map(|(post, _)| post.title.as_str())))
            .bind(Vec::from_iter(posts.values().map(|(_, status)| *status)))
            .bind(published.collect::<Result<Vec<_>, _>>()?)
            .bind(Vec::from_iter(posts.values().map(|(post, _)| integer(post.version))))
            .execute(&mut *connection)
            .await?;
    }
    if !follows.is_empty() {
        let since = follows.values().map(|(_, since)| since.map(datetime).transpose());
        sqlx::query(UPDATE_FOLLOWS)
            .bind(Vec::from_iter(follows.keys().map(|(follower, _)| *follower)))
            .bind(Vec::from_iter(follows.keys().map(|(_, followee)| *followee)))
            .bind(since.collect::<Result<Vec<_>, _>>()?)
            .bind(Vec::from_iter(follows.values().map(|(event, _)| event.0)))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn advance(connection: &mut PgConnection, cursor: LogCursor) -> Result<(), Error> {
    sqlx::query(ADVANCE)
        .bind(cursor.incarnation.0)
        .bind(integer(cursor.seq))
        .execute(connection)
        .await?;
    Ok(())
}

async fn bury(
    connection: &mut PgConnection,
    logged: &LoggedEvent,
    reason: &str,
) -> Result<(), Error> {
    let mut tx = connection.begin().await?;
    sqlx::query(BURY)
        .bind(logged.event.id.0)
        .bind(logged.incarnation.0)
        .bind(integer(logged.seq))
        .bind(to_json(&logged.event)?)
        // A text holds no NUL; the body has it escaped.
        .bind(reason.replace('\0', "\u{fffd}"))
        .execute(&mut *tx)
        .await?;
    let cursor = LogCursor { incarnation: logged.incarnation, seq: logged.seq };
    advance(&mut tx, cursor).await?;
    tx.commit().await
}

async fn read_cursors(connection: &mut PgConnection) -> Result<Vec<LogCursor>, Error> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(CURSORS).fetch_all(connection).await?;
    let read = |(run, seq)| Ok(LogCursor { incarnation: Incarnation(run), seq: count(seq)? });
    rows.into_iter().map(read).collect()
}

async fn read_totals(connection: &mut PgConnection) -> Result<Vec<(String, u64)>, Error> {
    let rows: Vec<(String, i64)> = sqlx::query_as(TOTALS).fetch_all(connection).await?;
    rows.into_iter().map(|(kind, total)| Ok((kind, count(total)?))).collect()
}

async fn read_projected(connection: &mut PgConnection, run: Incarnation) -> Result<u64, Error> {
    count(sqlx::query_scalar(PROJECTED).bind(run.0).fetch_one(connection).await?)
}

#[async_trait]
impl Analytics for PostgresAnalytics {
    async fn cursors(&self) -> Result<Vec<LogCursor>, StoreError> {
        on_lease!(&self.server.pooled, lease => read_cursors(&mut lease))
    }

    async fn project(&self, batch: &[LoggedEvent], cursor: LogCursor) -> Result<(), StoreError> {
        self.add_partitions(batch).await;
        let server = &self.server.pooled;
        let written = on_lease!(server, lease => write(&mut lease, batch, cursor, Documents::Json, &self.failpoints));
        match written {
            // Something in it is not to PostgreSQL's liking, perhaps no more than a document.
            Err(StoreError::Corrupt { .. }) => {
                let documents = Documents::JsonOrText;
                on_lease!(server, lease => write(&mut lease, batch, cursor, documents, &self.failpoints))
            }
            written => written,
        }
    }

    async fn set_aside(&self, event: &LoggedEvent, reason: &str) -> Result<(), StoreError> {
        on_lease!(&self.server.pooled, lease => bury(&mut lease, event, reason))
    }

    async fn totals(&self) -> Result<Vec<(String, u64)>, StoreError> {
        on_lease!(&self.server.pooled, lease => read_totals(&mut lease))
    }

    async fn projected(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        on_lease!(&self.server.pooled, lease => read_projected(&mut lease, incarnation))
    }
}
