//! What is written beside every change of an account: the numbered rows that
//! all nodes read, and who did it.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Error, QueryBuilder, Row};

use crate::adapters::mysql::stored::{datetime, timestamp, token_hash};
use crate::domain::account::{AccountChange, AccountChangeKind, TokenHash};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

use super::LIST_MAX;

const LOCK_USER: &str = "SELECT is_active FROM users WHERE user_id = ? FOR UPDATE";

const OPEN_SESSIONS: &str = "
    SELECT token_hash, expires_at FROM sessions
    WHERE user_id = ? AND revoked_at IS NULL AND (? IS NULL OR token_hash = ?)
    ORDER BY created_at, token_hash FOR UPDATE";

const REVOKE: &str = "
    UPDATE sessions SET revoked_at = ?
    WHERE user_id = ? AND revoked_at IS NULL AND (? IS NULL OR token_hash = ?)";

const CHANGES: &str = "
    SELECT change_id, user_id, kind, session FROM account_changes
    WHERE change_id > ? ORDER BY change_id LIMIT ?";

const LAST_CHANGE: &str = "SELECT change_id FROM account_changes ORDER BY change_id DESC LIMIT 1";

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
    /// Makes other changes of the account wait until the transaction ends, logins included. Says whether it
    /// is active; `None` if there is no such account.
    pub(super) async fn lock(
        self,
        connection: &mut MySqlConnection,
    ) -> Result<Option<bool>, Error> {
        sqlx::query_scalar(LOCK_USER).bind(self.user.0).fetch_optional(connection).await
    }

    /// Writes that the account as a whole changed, and, for the audit, in what.
    pub(super) async fn note(
        self,
        connection: &mut MySqlConnection,
        kind: &'static str,
        audit: &'static str,
    ) -> Result<(), Error> {
        sqlx::query("INSERT INTO account_changes (user_id, kind, at) VALUES (?, ?, ?)")
            .bind(self.user.0)
            .bind(kind)
            .bind(datetime(self.at)?)
            .execute(&mut *connection)
            .await?;
        self.note_audit(connection, audit).await
    }

    async fn note_audit(
        self,
        connection: &mut MySqlConnection,
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
            .bind(datetime(self.at)?)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Ends one session of the account, which is locked, or all; returns those that had not expired.
    ///
    /// Each is a change of its own, even where all end: whoever logs in again
    /// right after must not lose the new session to a change that a node reads late.
    pub(super) async fn end_sessions(
        self,
        connection: &mut MySqlConnection,
        token: Option<&TokenHash>,
    ) -> Result<Vec<TokenHash>, Error> {
        let token = token.map(|token| &token.0[..]);
        let rows = sqlx::query(OPEN_SESSIONS)
            .bind(self.user.0)
            .bind(token)
            .bind(token)
            .fetch_all(&mut *connection)
            .await?;
        let read = |row: &MySqlRow| {
            Ok((token_hash(row.try_get("token_hash")?)?, timestamp(row, "expires_at")?))
        };
        let mut ended = rows.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
        if !ended.is_empty() {
            sqlx::query(REVOKE)
                .bind(datetime(self.at)?)
                .bind(self.user.0)
                .bind(token)
                .bind(token)
                .execute(&mut *connection)
                .await?;
            let hashes: Vec<_> = ended.iter().map(|(hash, _)| *hash).collect();
            self.note_ended(connection, &hashes).await?;
            self.note_audit(connection, "sessions_ended").await?;
        }
        // One that had expired is marked as well, in case the clock is set
        // back, but it was not this call that ended it.
        ended.retain(|(_, expires_at)| *expires_at > self.at);
        Ok(ended.into_iter().map(|(hash, _)| hash).collect())
    }

    async fn note_ended(
        self,
        connection: &mut MySqlConnection,
        ended: &[TokenHash],
    ) -> Result<(), Error> {
        let at = datetime(self.at)?;
        for part in ended.chunks(LIST_MAX) {
            let insert = "INSERT INTO account_changes (user_id, kind, session, at) ";
            let mut query = QueryBuilder::new(insert);
            query.push_values(part, |mut row, hash| {
                row.push_bind(self.user.0);
                row.push("'session_ended'");
                row.push_bind(hash.short().cast_signed());
                row.push_bind(at);
            });
            query.build().persistent(false).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

pub(super) async fn find_last(connection: &mut MySqlConnection) -> Result<u64, Error> {
    let last = sqlx::query_scalar(LAST_CHANGE).fetch_optional(connection).await?;
    Ok(last.unwrap_or(0))
}

pub(super) async fn find_after(
    connection: &mut MySqlConnection,
    number: u64,
    limit: usize,
) -> Result<Vec<AccountChange>, Error> {
    let rows = sqlx::query(CHANGES)
        .bind(number)
        .bind(u64::try_from(limit).unwrap_or(u64::MAX))
        .fetch_all(connection)
        .await?;
    let read = |row: &MySqlRow| {
        Ok(AccountChange {
            number: row.try_get("change_id")?,
            user: UserId(row.try_get("user_id")?),
            kind: kind(row.try_get("kind")?, row.try_get("session")?),
        })
    };
    rows.iter().map(read).collect()
}

/// Reads a kind; one of a later version must not keep this one from those after it.
fn kind(stored: &str, session: Option<i64>) -> AccountChangeKind {
    match (stored, session) {
        ("session_ended", Some(session)) => {
            AccountChangeKind::SessionEnded(session.cast_unsigned())
        }
        ("session_ended", None) => AccountChangeKind::SessionsEnded,
        ("deactivated", _) => AccountChangeKind::Deactivated,
        ("banned", _) => AccountChangeKind::Banned,
        ("reopened", _) => AccountChangeKind::Reopened,
        _ => AccountChangeKind::Updated,
    }
}
