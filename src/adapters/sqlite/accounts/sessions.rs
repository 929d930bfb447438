//! Sessions, and the tickets that stand for them.

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Error, Row, SqliteConnection};

use crate::adapters::sqlite::stored;
use crate::domain::account::{Session, SignedIn, TokenHash};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

use super::changes::{By, Change};
use super::{SqliteAccounts, read_user, time, user_columns};

const SESSION: &str = concat!(
    "SELECT n.token_hash, n.created_at AS opened_at, n.expires_at, n.user_agent, n.ip, ",
    user_columns!(),
    " FROM sessions AS n JOIN users AS u USING (user_id)
      WHERE n.token_hash = ? AND n.revoked_at IS NULL AND n.expires_at > ? AND u.is_active = 1"
);

pub(in crate::adapters::sqlite) const PURGE: &str =
    "DELETE FROM sessions WHERE revoked_at < ?1 OR expires_at < ?1";

impl SqliteAccounts {
    pub(super) async fn insert_session(
        &self,
        session: &Session,
        password_hash: &str,
    ) -> Result<bool, Error> {
        let mut writer = self.db.durable_write().await?;
        let inserted = sqlx::query(
            "INSERT INTO sessions (token_hash, user_id, created_at, expires_at, user_agent, ip)
             SELECT ?1, user_id, ?3, ?4, ?5, ?6 FROM users
             WHERE user_id = ?2 AND password_hash = ?7 AND is_active = 1",
        )
        .bind(&session.token.0[..])
        .bind(session.user.0)
        .bind(session.created_at.as_millis())
        .bind(session.expires_at.as_millis())
        .bind(&session.user_agent)
        .bind(&session.ip)
        .bind(password_hash)
        .execute(&mut *writer)
        .await?;
        Ok(inserted.rows_affected() > 0)
    }

    pub(super) async fn find_session(
        &self,
        token: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, Error> {
        let row = sqlx::query(SESSION)
            .bind(&token.0[..])
            .bind(now.as_millis())
            .fetch_optional(self.db.readers())
            .await?;
        row.as_ref().map(read_signed_in).transpose()
    }

    pub(super) async fn revoke(
        &self,
        user: UserId,
        token: Option<&TokenHash>,
        now: Timestamp,
    ) -> Result<Vec<TokenHash>, Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let change = Change { user, by: By::Owner, at: now };
        let ended = change.end_sessions(&mut tx, token).await?;
        tx.commit().await?;
        Ok(ended)
    }

    pub(super) async fn insert_ticket(
        &self,
        ticket: &TokenHash,
        session: &TokenHash,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let mut writer = self.db.durable_write().await?;
        sqlx::query("INSERT INTO tickets (ticket_hash, session_hash, expires_at) VALUES (?, ?, ?)")
            .bind(&ticket.0[..])
            .bind(&session.0[..])
            .bind(expires_at.as_millis())
            .execute(&mut *writer)
            .await?;
        Ok(())
    }

    pub(super) async fn take_ticket(
        &self,
        ticket: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        // Those that expired unused go with it, so that they do not pile up.
        sqlx::query("DELETE FROM tickets WHERE expires_at <= ?")
            .bind(now.as_millis())
            .execute(&mut *tx)
            .await?;
        let session = delete_ticket(&mut tx, ticket).await?;
        let signed_in = match session {
            Some(session) => {
                let row = sqlx::query(SESSION)
                    .bind(session)
                    .bind(now.as_millis())
                    .fetch_optional(&mut *tx)
                    .await?;
                row.as_ref().map(read_signed_in).transpose()?
            }
            None => None,
        };
        tx.commit().await?;
        Ok(signed_in)
    }

    pub(super) async fn purge(&self, before: Timestamp) -> Result<u64, Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM tickets WHERE expires_at < ?")
            .bind(before.as_millis())
            .execute(&mut *tx)
            .await?;
        let purged = sqlx::query(PURGE).bind(before.as_millis()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(purged.rows_affected())
    }
}

async fn delete_ticket(
    connection: &mut SqliteConnection,
    ticket: &TokenHash,
) -> Result<Option<Vec<u8>>, Error> {
    let mut deleted: Vec<(Vec<u8>,)> =
        sqlx::query_as("DELETE FROM tickets WHERE ticket_hash = ? RETURNING session_hash")
            .bind(&ticket.0[..])
            // All rows, as a statement is only carried out once it ran to its end.
            .fetch_all(connection)
            .await?;
    Ok(deleted.pop().map(|(session,)| session))
}

fn read_signed_in(row: &SqliteRow) -> Result<SignedIn, Error> {
    let user = read_user(row)?;
    Ok(SignedIn {
        session: Session {
            token: stored::token_hash(row.try_get("token_hash")?)?,
            user: user.id,
            created_at: time(row, "opened_at")?,
            expires_at: time(row, "expires_at")?,
            user_agent: row.try_get("user_agent")?,
            ip: row.try_get("ip")?,
        },
        user,
    })
}
