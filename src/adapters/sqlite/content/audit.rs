//! Documents as an audit reads them, by what they embed.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use serde::Serialize;
use sqlx::Error;

use crate::adapters::sqlite::database::unreadable;
use crate::adapters::sqlite::inbox::notice_row;
use crate::adapters::sqlite::marks::kind_and_slot;
use crate::adapters::sqlite::stored;
use crate::domain::ids::{EventId, UserId};
use crate::domain::mark::{Mark, MarkKey};
use crate::domain::notification::Notice;
use crate::ports::StoreError;
use crate::ports::audit::content::{DocumentAudit, DocumentKey, LastEvent};

use super::SqliteContent;

pub(in crate::adapters::sqlite) const POSTS: &str = "
    SELECT w.key, p.event_id, 1 - p.removed
    FROM json_each(?1) AS w CROSS JOIN posts AS p ON p.id = w.value";

pub(in crate::adapters::sqlite) const COMMENTS: &str = "
    SELECT w.key, c.event_id, 1 - c.removed
    FROM json_each(?1) AS w CROSS JOIN comments AS c ON c.id = w.value";

pub(in crate::adapters::sqlite) const MARKS: &str = "
    SELECT w.key, m.event_id, m.is_on
    FROM json_each(?1) AS w CROSS JOIN post_marks AS m
    ON m.post_id = w.value ->> 0 AND m.kind = w.value ->> 1 AND m.user_id = w.value ->> 2
       AND m.slot = w.value ->> 3";

pub(in crate::adapters::sqlite) const FOLLOWS: &str = "
    SELECT w.key, f.event_id, f.is_on
    FROM json_each(?1) AS w CROSS JOIN follows AS f
    ON f.follower = w.value ->> 0 AND f.followee = w.value ->> 1";

pub(in crate::adapters::sqlite) const INBOXES: &str = "
    SELECT w.key, i.event_id, 1
    FROM json_each(?1) AS w CROSS JOIN inboxes AS i ON i.user_id = w.value
    WHERE i.event_id IS NOT NULL";

/// Notices of recipients who never said what they want, that are not there and were not told before.
pub(in crate::adapters::sqlite) const UNTOLD: &str = "
    SELECT w.key FROM json_each(?1) AS w
    WHERE NOT EXISTS (SELECT 1 FROM preferences AS p WHERE p.user_id = w.value ->> 0)
      AND NOT EXISTS (
        SELECT 1 FROM notifications AS n
        WHERE n.user_id = w.value ->> 0 AND n.event_id = unhex(w.value ->> 2))
      AND NOT EXISTS (
        SELECT 1 FROM notifications AS n
        WHERE n.user_id = w.value ->> 0 AND n.kind = w.value ->> 3
          AND n.actor_id = w.value ->> 4 AND n.once = w.value ->> 8 AND n.once IS NOT NULL)";

/// Keys of one kind, each with what a statement finds it by.
struct Wanted<T> {
    statement: &'static str,
    keys: Vec<DocumentKey>,
    rows: Vec<T>,
}

impl<T: Serialize> Wanted<T> {
    fn of(
        statement: &'static str,
        keys: &HashSet<DocumentKey>,
        row: impl Fn(&DocumentKey) -> Option<T>,
    ) -> Self {
        let wanted = keys.iter().filter_map(|key| Some((*key, row(key)?)));
        let (keys, rows) = wanted.unzip();
        Self { statement, keys, rows }
    }

    async fn find(
        self,
        content: &SqliteContent,
        found: &mut HashMap<DocumentKey, LastEvent>,
    ) -> Result<(), Error> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<(i64, Vec<u8>, bool)> = sqlx::query_as(self.statement)
            .bind(stored::rows(self.rows)?)
            .fetch_all(content.db.readers())
            .await?;
        for (place, event, holds) in rows {
            let key = usize::try_from(place).ok().and_then(|place| self.keys.get(place));
            let key = key.ok_or_else(|| unreadable("a row that was not asked for"))?;
            found.insert(*key, LastEvent { event: EventId(stored::uuid(&event)?), holds });
        }
        Ok(())
    }
}

/// What a mark of a post is found by.
fn mark_row(key: &DocumentKey) -> Option<(String, &'static str, i64, String)> {
    let DocumentKey::Mark(MarkKey { user, mark }) = key else { return None };
    let (kind, slot) = kind_and_slot(mark);
    Some((mark.post()?.to_string(), kind, user.0, slot))
}

impl SqliteContent {
    async fn embedded_in(
        &self,
        keys: &[DocumentKey],
    ) -> Result<HashMap<DocumentKey, LastEvent>, Error> {
        let keys: HashSet<_> = keys.iter().copied().collect();
        let mut found = HashMap::with_capacity(keys.len());
        let posts = Wanted::of(POSTS, &keys, |key| match key {
            DocumentKey::Post(id) => Some(id.to_string()),
            _ => None,
        });
        posts.find(self, &mut found).await?;
        let comments = Wanted::of(COMMENTS, &keys, |key| match key {
            DocumentKey::Comment(id) => Some(id.to_string()),
            _ => None,
        });
        comments.find(self, &mut found).await?;
        Wanted::of(MARKS, &keys, mark_row).find(self, &mut found).await?;
        let follows = Wanted::of(FOLLOWS, &keys, |key| match key {
            DocumentKey::Mark(MarkKey { user, mark: Mark::Follow(followee) }) => {
                Some((user.0, followee.0))
            }
            _ => None,
        });
        follows.find(self, &mut found).await?;
        let inboxes = Wanted::of(INBOXES, &keys, |key| match key {
            DocumentKey::Inbox(user) => Some(user.0),
            _ => None,
        });
        inboxes.find(self, &mut found).await?;
        Ok(found)
    }

    async fn not_told(&self, notices: &[Notice]) -> Result<Vec<(UserId, EventId)>, Error> {
        let places: Vec<i64> = sqlx::query_scalar(UNTOLD)
            .bind(stored::rows(notices.iter().map(notice_row))?)
            .fetch_all(self.db.readers())
            .await?;
        let places = places.into_iter().filter_map(|place| usize::try_from(place).ok());
        let untold = places.filter_map(|place| notices.get(place));
        Ok(untold.map(|notice| (notice.recipient, notice.notification.id)).collect())
    }
}

#[async_trait]
impl DocumentAudit for SqliteContent {
    async fn last_events(
        &self,
        keys: &[DocumentKey],
    ) -> Result<HashMap<DocumentKey, LastEvent>, StoreError> {
        self.embedded_in(keys).await.map_err(|e| self.db.failed(e))
    }

    async fn untold(&self, notices: &[Notice]) -> Result<Vec<(UserId, EventId)>, StoreError> {
        self.not_told(notices).await.map_err(|e| self.db.failed(e))
    }
}
