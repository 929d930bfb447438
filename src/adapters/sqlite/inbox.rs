//! Inboxes: what is put there and read, and what users want.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join;
use sqlx::{Connection, Error};

use crate::domain::event::{Event, InboxRead};
use crate::domain::ids::{EventId, UserId};
use crate::domain::notification::{InboxState, Notice, Notification, NotificationKind};
use crate::domain::page::Cursor;
use crate::domain::preferences::Preferences;
use crate::ports::StoreError;
use crate::ports::inbox::{Inbox, Told};

use super::content::SqliteContent;
use super::database::unreadable;
use super::inbox_items::STATES;
use super::stored;

/// How old a post may be that an inbox lists.
const HORIZON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Whether any of the notices is not there, was not told before and is wanted.
pub(super) const NEWS: &str = "
    SELECT EXISTS (
        SELECT 1 FROM json_each(?1) AS w
        WHERE NOT EXISTS (
            SELECT 1 FROM notifications AS n
            WHERE n.user_id = w.value ->> 0 AND n.event_id = unhex(w.value ->> 2))
          AND NOT EXISTS (
            SELECT 1 FROM notifications AS n
            WHERE n.user_id = w.value ->> 0 AND n.kind = w.value ->> 3
              AND n.actor_id = w.value ->> 4 AND n.once = w.value ->> 8 AND n.once IS NOT NULL)
          AND NOT EXISTS (
            SELECT 1 FROM muted AS m
            WHERE m.user_id = w.value ->> 0 AND m.kind = w.value ->> 3))";

/// What is there, or was told before, conflicts with one of the unique indexes. What comes late, after
/// the user said to have read everything up to a later moment, is put behind that moment: it was not read.
pub(super) const PUT: &str = "
    INSERT INTO notifications (user_id, created_at, event_id, kind, actor_id, actor_name,
                               post_id, comment_id, once, is_read)
    SELECT w.value ->> 0,
           max(w.value ->> 1, 1 + coalesce(
               (SELECT read_through FROM inboxes WHERE user_id = w.value ->> 0), 0)),
           unhex(w.value ->> 2), w.value ->> 3, w.value ->> 4,
           w.value ->> 5, w.value ->> 6, w.value ->> 7, w.value ->> 8, 0
    FROM json_each(?1) AS w
    WHERE NOT EXISTS (
        SELECT 1 FROM muted AS m WHERE m.user_id = w.value ->> 0 AND m.kind = w.value ->> 3)
    ON CONFLICT DO NOTHING";

/// Takes the place of the event by which the user read before, if it is the one that is expected.
const TAKE_TURN: &str = "
    INSERT INTO inboxes AS i (user_id, version, read_through, event_id, event)
    SELECT ?1, 1, ?2, ?3, ?4
    WHERE ?5 IS NULL OR EXISTS (SELECT 1 FROM inboxes WHERE user_id = ?1)
    ON CONFLICT (user_id) DO UPDATE
    SET version = i.version + 1, read_through = max(i.read_through, excluded.read_through),
        event_id = excluded.event_id, event = excluded.event
    WHERE i.event_id IS ?5";

pub(super) const READ_ITEMS: &str = "
    UPDATE notifications SET is_read = 1
    WHERE user_id = ?1 AND event_id IN (SELECT unhex(value) FROM json_each(?2)) AND is_read = 0
      AND created_at > (SELECT read_through FROM inboxes WHERE user_id = ?1)";

pub(super) const READ_POSTS: &str = "
    INSERT INTO read_marks (user_id, event_id, at)
    SELECT s.follower, p.published_event, p.sort_at
    FROM json_each(?2) AS w CROSS JOIN posts AS p CROSS JOIN follow_spans AS s
    WHERE p.published_event = unhex(w.value) AND s.follower = ?1 AND s.followee = p.author_id
      AND p.sort_at > (SELECT read_through FROM inboxes WHERE user_id = ?1)
    ON CONFLICT DO NOTHING";

/// After everything up to a moment was read: what is left, counted once more.
pub(super) const READ_THROUGH: [&str; 3] = [
    "DELETE FROM unread_counts WHERE user_id = ?1",
    "INSERT INTO unread_counts (user_id, kind, unread)
     SELECT user_id, kind, count(*) FROM notifications
     WHERE user_id = ?1 AND is_read = 0
       AND created_at > coalesce((SELECT read_through FROM inboxes WHERE user_id = ?1), 0)
     GROUP BY kind",
    "DELETE FROM read_marks
     WHERE user_id = ?1 AND at <= (SELECT read_through FROM inboxes WHERE user_id = ?1)",
];

/// What was seen changes no number that others of the user's sockets show, and so no version.
const SEE: &str = "
    INSERT INTO inboxes AS i (user_id, version, seen_at, seen_id) VALUES (?1, 0, ?2, ?3)
    ON CONFLICT (user_id) DO UPDATE
    SET seen_at = excluded.seen_at, seen_id = excluded.seen_id
    WHERE (excluded.seen_at, excluded.seen_id) > (i.seen_at, i.seen_id)";

const KEEP_PREFERENCES: [&str; 4] = [
    "INSERT INTO preferences (user_id, document) VALUES (?1, ?2)
     ON CONFLICT (user_id) DO UPDATE SET document = excluded.document",
    "DELETE FROM muted WHERE user_id = ?1",
    "INSERT INTO muted (user_id, kind) SELECT ?1, value FROM json_each(?3)",
    "INSERT INTO inboxes (user_id, version) VALUES (?1, 1)
     ON CONFLICT (user_id) DO UPDATE SET version = version + 1",
];

impl SqliteContent {
    /// No post that was published before is listed, in milliseconds.
    pub(super) fn horizon(&self) -> i64 {
        self.clock.now().minus(HORIZON).as_millis()
    }

    async fn tell(&self, notices: &[Notice]) -> Result<(), Error> {
        let rows = stored::rows(notices.iter().map(notice_row))?;
        // What was told already is found without a turn to write.
        let news: bool = sqlx::query_scalar(NEWS).bind(&rows).fetch_one(self.db.readers()).await?;
        if news {
            sqlx::query(PUT).bind(rows).execute(&mut *self.writer().await?).await?;
        }
        Ok(())
    }

    async fn states_of(&self, users: &[UserId]) -> Result<HashMap<UserId, InboxState>, Error> {
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(STATES)
            .bind(stored::rows(users)?)
            .bind(self.horizon())
            .fetch_all(self.db.readers())
            .await?;
        let state = |(user, version, unread)| {
            let (version, unread_count) = (stored::count(version)?, stored::count(unread)?);
            Ok((UserId(user), InboxState { unread_count, version }))
        };
        rows.into_iter().map(state).collect()
    }

    async fn last_turn(&self, user: UserId) -> Result<Option<Event>, Error> {
        let event: Option<Option<String>> =
            sqlx::query_scalar("SELECT event FROM inboxes WHERE user_id = ?1")
                .bind(user.0)
                .fetch_optional(self.db.readers())
                .await?;
        event.flatten().map(|event| stored::event(&event)).transpose()
    }

    async fn take_turn(
        &self,
        user: UserId,
        read: &InboxRead,
        event: &Event,
        expected: Option<EventId>,
    ) -> Result<bool, Error> {
        let mut writer = self.writer().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let taken = sqlx::query(TAKE_TURN)
            .bind(user.0)
            .bind(read.through.map_or(0, |through| through.as_millis()))
            .bind(&event.id.0.as_bytes()[..])
            .bind(stored::to_json(event)?)
            .bind(expected.map(|id| id.0.as_bytes().to_vec()))
            .execute(&mut *tx)
            .await?;
        if taken.rows_affected() == 0 {
            return Ok(false);
        }
        if !read.ids.is_empty() {
            let ids = stored::rows(read.ids.iter().map(|id| stored::hex(id.0)))?;
            for statement in [READ_ITEMS, READ_POSTS] {
                sqlx::query(statement).bind(user.0).bind(&ids).execute(&mut *tx).await?;
            }
        }
        if read.through.is_some() {
            for statement in READ_THROUGH {
                sqlx::query(statement).bind(user.0).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn see(&self, user: UserId, latest: &Notification) -> Result<(), Error> {
        let query = sqlx::query(SEE)
            .bind(user.0)
            .bind(latest.created_at.as_millis())
            .bind(&latest.id.0.as_bytes()[..]);
        query.execute(&mut *self.writer().await?).await?;
        Ok(())
    }

    async fn wants(&self, user: UserId) -> Result<Preferences, Error> {
        let document: Option<String> =
            sqlx::query_scalar("SELECT document FROM preferences WHERE user_id = ?1")
                .bind(user.0)
                .fetch_optional(self.db.readers())
                .await?;
        let preferences = document.map(|document| serde_json::from_str(&document));
        Ok(preferences.transpose().map_err(unreadable)?.unwrap_or_default())
    }

    async fn keep_wants(&self, user: UserId, preferences: &Preferences) -> Result<(), Error> {
        let document = stored::to_json(preferences)?;
        let muted = NotificationKind::ALL.into_iter().filter(|kind| !preferences.wants(*kind));
        let muted = stored::rows(muted.map(NotificationKind::as_str))?;
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        for statement in KEEP_PREFERENCES {
            let query = sqlx::query(statement).bind(user.0).bind(&document).bind(&muted);
            query.execute(&mut *tx).await?;
        }
        tx.commit().await
    }
}

/// A notice as the statements above read it.
pub(super) fn notice_row(notice: &Notice) -> impl serde::Serialize + use<> {
    let Notification { id, r#type: kind, actor, post_id, comment_id, created_at, .. } =
        &notice.notification;
    let post_id = post_id.map(|id| id.to_string());
    let once = kind.is_told_once().then(|| post_id.clone().unwrap_or_default());
    (
        notice.recipient,
        created_at.as_millis(),
        stored::hex(id.0),
        kind.as_str(),
        actor.id,
        actor.username.clone(),
        post_id,
        *comment_id,
        once,
    )
}

#[async_trait]
impl Inbox for SqliteContent {
    async fn put(&self, notices: &[Notice]) -> Result<Told, StoreError> {
        if notices.is_empty() {
            return Ok(Told::default());
        }
        self.tell(notices).await.map_err(|e| self.db.failed(e))?;
        let pairs = notices.iter().map(|notice| (notice.recipient, notice.notification.id));
        let users: BTreeSet<_> = notices.iter().map(|notice| notice.recipient).collect();
        let (pairs, users): (Vec<_>, Vec<_>) = (pairs.collect(), users.into_iter().collect());
        let (items, states) = try_join(self.items(&pairs), self.states(&users)).await?;
        Ok(Told { items, states })
    }

    async fn items(
        &self,
        wanted: &[(UserId, EventId)],
    ) -> Result<HashMap<(UserId, EventId), Notification>, StoreError> {
        let items = self.listed_among(wanted).await;
        let items = items.map_err(|e| self.db.failed(e))?.into_iter();
        Ok(items.map(|(user, item)| ((user, item.id), item)).collect())
    }

    async fn states(&self, users: &[UserId]) -> Result<HashMap<UserId, InboxState>, StoreError> {
        self.states_of(users).await.map_err(|e| self.db.failed(e))
    }

    async fn list(
        &self,
        user: UserId,
        unread_only: bool,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError> {
        let items = self.listed(user, unread_only, after, limit).await;
        items.map_err(|e| self.db.failed(e))
    }

    async fn last_read(&self, user: UserId) -> Result<Option<Event>, StoreError> {
        self.last_turn(user).await.map_err(|e| self.db.failed(e))
    }

    async fn mark_read(
        &self,
        user: UserId,
        read: &InboxRead,
        event: &Event,
        expected: Option<EventId>,
    ) -> Result<bool, StoreError> {
        let taken = self.take_turn(user, read, event, expected).await;
        taken.map_err(|e| self.db.failed(e))
    }

    async fn mark_seen(&self, user: UserId, latest: &Notification) -> Result<(), StoreError> {
        if latest.seen {
            return Ok(());
        }
        self.see(user, latest).await.map_err(|e| self.db.failed(e))
    }

    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        self.wants(user).await.map_err(|e| self.db.failed(e))
    }

    async fn put_preferences(
        &self,
        user: UserId,
        preferences: &Preferences,
    ) -> Result<(), StoreError> {
        let kept = self.keep_wants(user, preferences).await;
        kept.map_err(|e| self.db.failed(e))
    }
}
