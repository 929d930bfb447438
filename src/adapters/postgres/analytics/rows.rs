//! The tables for joins (users, posts, follows), compared with events and brought up to them.

use std::collections::HashSet;

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::types::time::OffsetDateTime;
use sqlx::{Connection, Error, Postgres, Row};
use uuid::Uuid;

use crate::adapters::additions::Additions;
use crate::adapters::postgres::stored::{datetime, integer};
use crate::domain::event::LoggedEvent;
use crate::domain::ids::EventId;

macro_rules! users {
    () => {
        "unnest($1::bigint[], $2::text[], $3::uuid[]) AS e (user_id, username, last_event)"
    };
}

macro_rules! posts {
    () => {
        "unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                $7::bigint[])
             AS e (post_id, author_id, slug, title, status, published_at, version)"
    };
}

macro_rules! follows {
    () => {
        "unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::uuid[])
             AS e (follower, followee, since, last_event)"
    };
}

const OUTDATED_USERS: &str = concat!(
    "SELECT 'user ' || e.user_id FROM ",
    users!(),
    " LEFT JOIN users AS u USING (user_id)
     WHERE u.user_id IS NULL OR u.last_event < e.last_event
        OR (u.last_event = e.last_event AND u.username <> e.username)"
);

const OUTDATED_POSTS: &str = concat!(
    "SELECT 'post ' || e.post_id FROM ",
    posts!(),
    " LEFT JOIN posts AS p USING (post_id)
     WHERE p.post_id IS NULL
        OR (p.version, p.status = 'removed') < (e.version, e.status = 'removed')
        OR ((p.version, p.status = 'removed') = (e.version, e.status = 'removed')
            AND (p.author_id, p.slug, p.title, p.status, p.published_at)
                IS DISTINCT FROM (e.author_id, e.slug, e.title, e.status, e.published_at))"
);

const OUTDATED_FOLLOWS: &str = concat!(
    "SELECT 'follow of ' || e.followee || ' by ' || e.follower FROM ",
    follows!(),
    " LEFT JOIN follows AS f USING (follower, followee)
     WHERE f.follower IS NULL OR f.last_event < e.last_event
        OR (f.last_event = e.last_event AND f.since IS DISTINCT FROM e.since)"
);

const REFRESH_USERS: &str = concat!(
    "INSERT INTO users AS u (user_id, username, last_event)
     SELECT user_id, username, last_event FROM ",
    users!(),
    " ON CONFLICT (user_id) DO UPDATE
     SET username = excluded.username, last_event = excluded.last_event
     WHERE excluded.last_event >= u.last_event"
);

const REFRESH_POSTS: &str = concat!(
    "INSERT INTO posts AS p (post_id, author_id, slug, title, status, published_at, version)
     SELECT post_id, author_id, slug, title, status, published_at, version FROM ",
    posts!(),
    " ON CONFLICT (post_id) DO UPDATE
     SET author_id = excluded.author_id, slug = excluded.slug, title = excluded.title,
         status = excluded.status, published_at = excluded.published_at,
         version = excluded.version
     WHERE (excluded.version, excluded.status = 'removed') >= (p.version, p.status = 'removed')"
);

const REFRESH_FOLLOWS: &str = concat!(
    "INSERT INTO follows AS f (follower, followee, since, last_event)
     SELECT follower, followee, since, last_event FROM ",
    follows!(),
    " ON CONFLICT (follower, followee) DO UPDATE
     SET since = excluded.since, last_event = excluded.last_event
     WHERE excluded.last_event >= f.last_event"
);

const UNFOUNDED: &str = "
    SELECT * FROM (
        SELECT 'user ' || user_id FROM users AS u
        WHERE NOT EXISTS (SELECT FROM interactions AS i WHERE i.event_id = u.last_event)
        UNION ALL
        SELECT 'follow of ' || followee || ' by ' || follower FROM follows AS f
        WHERE NOT EXISTS (SELECT FROM interactions AS i WHERE i.event_id = f.last_event)
        UNION ALL
        SELECT 'post ' || post_id FROM posts AS p
        WHERE NOT EXISTS (SELECT FROM interactions AS i WHERE i.subject = 'post:' || p.post_id)
    ) AS unfounded LIMIT $1";

/// The rows for joins that events make.
struct Rows {
    users: (Vec<i64>, Vec<String>, Vec<Uuid>),
    posts: Posts,
    follows: (Vec<i64>, Vec<i64>, Vec<Option<OffsetDateTime>>, Vec<Uuid>),
}

/// The columns of posts, in the order of the table.
#[derive(Default)]
struct Posts {
    ids: Vec<String>,
    authors: Vec<i64>,
    slugs: Vec<String>,
    titles: Vec<String>,
    statuses: Vec<&'static str>,
    published: Vec<Option<OffsetDateTime>>,
    versions: Vec<i64>,
}

impl Rows {
    fn of(events: &[LoggedEvent]) -> Result<Self, Error> {
        let ids: HashSet<EventId> = events.iter().map(|logged| logged.event.id).collect();
        let additions = Additions::of(events, ids);
        let mut users = (Vec::new(), Vec::new(), Vec::new());
        for (user, (event, name)) in additions.users {
            users.0.push(user);
            users.1.push(name.to_owned());
            users.2.push(event.0);
        }
        let mut posts = Posts::default();
        for (id, (post, status)) in additions.posts {
            posts.ids.push(id.to_string());
            posts.authors.push(post.author.id.0);
            posts.slugs.push(post.slug.clone());
            posts.titles.push(post.title.clone());
            posts.statuses.push(status);
            posts.published.push(post.published_at.map(datetime).transpose()?);
            posts.versions.push(integer(post.version));
        }
        let mut follows = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for ((follower, followee), (event, since)) in additions.follows {
            follows.0.push(follower);
            follows.1.push(followee);
            follows.2.push(since.map(datetime).transpose()?);
            follows.3.push(event.0);
        }
        Ok(Self { users, posts, follows })
    }

    /// The statements for users, posts and follows, each with its rows. Users come first: the others refer to them.
    fn bound(self, statements: [&'static str; 3]) -> [Query<'static, Postgres, PgArguments>; 3] {
        let [users, posts, follows] = statements.map(sqlx::query);
        let Posts { ids, authors, slugs, titles, statuses, published, versions } = self.posts;
        let posts = posts.bind(ids).bind(authors).bind(slugs).bind(titles).bind(statuses);
        [
            users.bind(self.users.0).bind(self.users.1).bind(self.users.2),
            posts.bind(published).bind(versions),
            follows
                .bind(self.follows.0)
                .bind(self.follows.1)
                .bind(self.follows.2)
                .bind(self.follows.3),
        ]
    }
}

/// What is not known of these events, in words.
pub(super) async fn outdated(
    connection: &mut PgConnection,
    events: &[LoggedEvent],
) -> Result<Vec<String>, Error> {
    let statements = [OUTDATED_USERS, OUTDATED_POSTS, OUTDATED_FOLLOWS];
    let mut found = Vec::new();
    for query in Rows::of(events)?.bound(statements) {
        for row in query.fetch_all(&mut *connection).await? {
            found.push(row.try_get(0)?);
        }
    }
    Ok(found)
}

/// Brings the tables up to these events.
pub(super) async fn refresh(
    connection: &mut PgConnection,
    events: &[LoggedEvent],
) -> Result<(), Error> {
    let mut tx = connection.begin().await?;
    for query in Rows::of(events)?.bound([REFRESH_USERS, REFRESH_POSTS, REFRESH_FOLLOWS]) {
        query.execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// Rows of events that are not there.
pub(super) async fn unfounded(
    connection: &mut PgConnection,
    limit: usize,
) -> Result<Vec<String>, Error> {
    sqlx::query_scalar(UNFOUNDED).bind(integer(limit as u64)).fetch_all(connection).await
}
