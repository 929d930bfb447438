//! How many notifications of inboxes are unread, compared with the notifications and put right. Triggers count with what is
//! put and read; one statement sees one moment.

use std::collections::HashMap;

use sqlx::{Connection, Error};

use crate::adapters::sqlite::database::unreadable;
use crate::adapters::sqlite::inbox::READ_THROUGH;
use crate::adapters::sqlite::stored;
use crate::domain::ids::UserId;
use crate::domain::notification::NotificationKind;
use crate::ports::audit::content::UnreadTally;

use super::SqliteContent;

pub(in crate::adapters::sqlite) const INBOXES_AFTER: &str = "
    SELECT user FROM (
        SELECT user_id AS user FROM inboxes WHERE user_id > ?1
        UNION SELECT user_id FROM unread_counts WHERE user_id > ?1)
    ORDER BY user LIMIT ?2";

pub(in crate::adapters::sqlite) const UNREAD_TALLIES: &str = "
    SELECT w.value,
           (SELECT json_group_object(c.kind, c.unread) FROM unread_counts AS c
            WHERE c.user_id = w.value),
           (SELECT json_group_object(k.value, (
                SELECT count(*) FROM notifications AS n
                WHERE n.user_id = w.value AND n.kind = k.value AND n.is_read = 0
                  AND n.created_at > coalesce(i.read_through, 0)))
            FROM json_each(?2) AS k)
    FROM json_each(?1) AS w LEFT JOIN inboxes AS i ON i.user_id = w.value";

const RAISE_VERSION: &str = "UPDATE inboxes SET version = version + 1 WHERE user_id = ?1";

/// Counts by kind, in the order of the port; what is left out is zero.
fn by_kind(json: &str) -> Result<[i64; NotificationKind::ALL.len()], Error> {
    let counts: HashMap<String, i64> = serde_json::from_str(json).map_err(unreadable)?;
    Ok(NotificationKind::ALL.map(|kind| counts.get(kind.as_str()).copied().unwrap_or(0)))
}

impl SqliteContent {
    pub(super) async fn inboxes_from(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, Error> {
        let users: Vec<i64> = sqlx::query_scalar(INBOXES_AFTER)
            .bind(after.map_or(i64::MIN, |user| user.0))
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        Ok(users.into_iter().map(UserId).collect())
    }

    pub(super) async fn tallied_unread(&self, users: &[UserId]) -> Result<Vec<UnreadTally>, Error> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(UNREAD_TALLIES)
            .bind(stored::rows(users)?)
            .bind(stored::rows(NotificationKind::ALL.map(NotificationKind::as_str))?)
            .fetch_all(self.db.readers())
            .await?;
        let tally = |(user, kept, counted): (i64, String, String)| {
            let (kept, counted) = (by_kind(&kept)?, by_kind(&counted)?);
            Ok(UnreadTally { user: UserId(user), kept, counted })
        };
        rows.into_iter().map(tally).collect()
    }

    /// As after a reading, with another version: what is told with the one before was wrong.
    pub(super) async fn recounted_unread(&self, user: UserId) -> Result<bool, Error> {
        let before = self.tallied_unread(&[user]).await?;
        if before.iter().all(|tally| tally.kept == tally.counted) {
            return Ok(false);
        }
        let mut writer = self.writer().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        for statement in [READ_THROUGH[0], READ_THROUGH[1], RAISE_VERSION] {
            sqlx::query(statement).bind(user.0).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}
