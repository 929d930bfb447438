//! What is written beside every change of an account: the numbered rows that
//! all nodes read, and who did it.

use sqlx::{Error, Row, SqliteConnection};

use crate::adapters::sqlite::stored;
use crate::domain::account::{AccountChange, AccountChangeKind, TokenHash};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

use super::SqliteAccounts;

const REVOKE: &str = "
    UPDATE sessions SET revoked_at = ?3
    WHERE user_id = ?1 AND revoked_at IS NULL AND (?2 IS NULL OR token_hash = ?2)
    RETURNING token_hash, expires_at";

const INSERT_ENDED: &str = "
    INSERT INTO account_changes (user_id, kind, session, at)
    SELECT ?1, 'session_ended', value, ?3 FROM json_each(?2) ORDER BY key";

const CHANGES: &str = "
    SELECT change_id, user_id, kind, session FROM account_changes
    WHERE change_id > ? ORDER BY change_id LIMIT ?";

/// Who changed an account.
#[derive(Clone, Copy)]
pub(super) enum By {
    Owner,
    Operator,
}

/// The account that a transaction changes, by whom and when.
#[derive(Clone, Copy)]
pub(super) struct Change {
    pub(super) user: UserId,
    pub(super) by: By,
    pub(super) at: Timestamp,
}

impl Change {
    /// Writes that the account as a whole changed, and, for the audit, in what.
    pub(super) async fn note(
        self,
        connection: &mut SqliteConnection,
        kind: &'static str,
        audit: &'static str,
    ) -> Result<(), Error> {
        sqlx::query("INSERT INTO account_changes (user_id, kind, at) VALUES (?, ?, ?)")
            .bind(self.user.0)
            .bind(kind)
            .bind(self.at.as_millis())
            .execute(&mut *connection)
            .await?;
        self.note_audit(connection, audit).await
    }

    async fn note_audit(
        self,
        connection: &mut SqliteConnection,
        audit: &'static str,
    ) -> Result<(), Error> {
        let actor = match self.by {
            By::Owner => "owner",
            By::Operator => "operator",
        };
        sqlx::query("INSERT INTO account_audit (user_id, kind, actor, at) VALUES (?, ?, ?, ?)")
            .bind(self.user.0)
            .bind(audit)
            .bind(actor)
            .bind(self.at.as_millis())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Ends one session of the account, or all; returns those that had not expired.
    ///
    /// Each is a change of its own, even where all end: whoever logs in again
    /// right after must not lose the new session to a change that a node reads late.
    pub(super) async fn end_sessions(
        self,
        connection: &mut SqliteConnection,
        token: Option<&TokenHash>,
    ) -> Result<Vec<TokenHash>, Error> {
        let revoked: Vec<(Vec<u8>, i64)> = sqlx::query_as(REVOKE)
            .bind(self.user.0)
            .bind(token.map(|token| &token.0[..]))
            .bind(self.at.as_millis())
            .fetch_all(&mut *connection)
            .await?;
        let mut ended = Vec::with_capacity(revoked.len());
        for (hash, expires_at) in revoked {
            ended.push((stored::token_hash(&hash)?, expires_at));
        }
        if !ended.is_empty() {
            sqlx::query(INSERT_ENDED)
                .bind(self.user.0)
                .bind(stored::rows(ended.iter().map(|(hash, _)| hash.short().cast_signed()))?)
                .bind(self.at.as_millis())
                .execute(&mut *connection)
                .await?;
            self.note_audit(connection, "sessions_ended").await?;
        }
        // One that had expired is marked as well, in case the clock is set
        // back, but it was not this call that ended it.
        ended.retain(|(_, expires_at)| *expires_at > self.at.as_millis());
        Ok(ended.into_iter().map(|(hash, _)| hash).collect())
    }
}

impl SqliteAccounts {
    pub(super) async fn find_last_change(&self) -> Result<u64, Error> {
        let last: (i64,) =
            sqlx::query_as("SELECT coalesce(max(change_id), 0) FROM account_changes")
                .fetch_one(self.db.readers())
                .await?;
        stored::count(last.0)
    }

    pub(super) async fn find_changes(
        &self,
        number: u64,
        limit: usize,
    ) -> Result<Vec<AccountChange>, Error> {
        let rows = sqlx::query(CHANGES)
            .bind(stored::integer(number))
            .bind(stored::integer(limit))
            .fetch_all(self.db.readers())
            .await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok(AccountChange {
                number: stored::count(row.try_get("change_id")?)?,
                user: UserId(row.try_get("user_id")?),
                kind: kind(row.try_get("kind")?, row.try_get("session")?),
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Reads a kind; one of a later version must not keep this one from those after it.
fn kind(stored: &str, session: Option<i64>) -> AccountChangeKind {
    match (stored, session) {
        ("session_ended", Some(session)) => {
            AccountChangeKind::SessionEnded(session.cast_unsigned())
        }
        // What the first version wrote, which did not say which sessions.
        ("sessions_revoked" | "session_ended", _) => AccountChangeKind::SessionsEnded,
        ("deactivated", _) => AccountChangeKind::Deactivated,
        ("banned", _) => AccountChangeKind::Banned,
        ("reopened", _) => AccountChangeKind::Reopened,
        _ => AccountChangeKind::Updated,
    }
}
