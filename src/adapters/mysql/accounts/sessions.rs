//! Sessions, and the tickets that stand for them.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Connection, Error, Row};

use crate::adapters::mysql::stored::{datetime, timestamp, token_hash};
use crate::domain::account::{Session, SignedIn, TokenHash};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

use super::changes::{By, Change};
use super::{read_user, user_columns};

/// What is read of a session and its account, and when both are valid: with the time as the last value.
macro_rules! session_query {
    ($join:literal, $where:literal) => {
        concat!(
            "SELECT n.token_hash, n.created_at AS opened_at, n.expires_at, n.user_agent, n.ip, ",
            user_columns!(),
            " FROM sessions AS n JOIN users AS u ON u.user_id = n.user_id",
            $join,
            " WHERE ",
            $where,
            " AND n.revoked_at IS NULL AND n.expires_at > ? AND u.is_active = TRUE"
        )
    };
}

const SESSION: &str = session_query!("", "n.token_hash = ?");

const SESSION_OF_TICKET: &str = session_query!(
    " JOIN tickets AS t ON t.session_hash = n.token_hash",
    "t.ticket_hash = ? AND t.expires_at > ?"
);

/// The account is read as it is once every change of it that is under way has ended, not as it was before.
const INSERT: &str = "
    INSERT INTO sessions (token_hash, user_id, created_at, expires_at, user_agent, ip)
    SELECT ?, user_id, ?, ?, ?, ? FROM users
    WHERE user_id = ? AND password_hash = ? AND is_active = TRUE LOCK IN SHARE MODE";

/// What is purged, in parts that hold few locks.
const PURGES: [&str; 3] = [
    "DELETE FROM tickets WHERE expires_at < ? LIMIT 1000",
    "DELETE FROM sessions WHERE revoked_at < ? LIMIT 1000",
    "DELETE FROM sessions WHERE expires_at < ? LIMIT 1000",
];

pub(super) async fn insert(
    connection: &mut MySqlConnection,
    session: &Session,
    password_hash: &str,
) -> Result<bool, Error> {
    let inserted = sqlx::query(INSERT)
        .bind(&session.token.0[..])
        .bind(datetime(session.created_at)?)
        .bind(datetime(session.expires_at)?)
        .bind(&session.user_agent)
        .bind(&session.ip)
        .bind(session.user.0)
        .bind(password_hash)
        .execute(connection)
        .await?;
    Ok(inserted.rows_affected() > 0)
}

pub(super) async fn find(
    connection: &mut MySqlConnection,
    token: &TokenHash,
    now: Timestamp,
) -> Result<Option<SignedIn>, Error> {
    let row = sqlx::query(SESSION)
        .bind(&token.0[..])
        .bind(datetime(now)?)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_signed_in).transpose()
}

pub(super) async fn revoke(
    connection: &mut MySqlConnection,
    user: UserId,
    token: Option<&TokenHash>,
    now: Timestamp,
) -> Result<Vec<TokenHash>, Error> {
    let change = Change { user, by: By::Owner, at: now };
    let mut tx = connection.begin().await?;
    change.lock(&mut tx).await?;
    let ended = change.end_sessions(&mut tx, token).await?;
    tx.commit().await?;
    Ok(ended)
}

pub(super) async fn insert_ticket(
    connection: &mut MySqlConnection,
    ticket: &TokenHash,
    session: &TokenHash,
    expires_at: Timestamp,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO tickets (ticket_hash, session_hash, expires_at) VALUES (?, ?, ?)")
        .bind(&ticket.0[..])
        .bind(&session.0[..])
        .bind(datetime(expires_at)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whoever deletes the ticket has its session; those that nobody takes are purged.
pub(super) async fn take_ticket(
    connection: &mut MySqlConnection,
    ticket: &TokenHash,
    now: Timestamp,
) -> Result<Option<SignedIn>, Error> {
    let now = datetime(now)?;
    let row = sqlx::query(SESSION_OF_TICKET)
        .bind(&ticket.0[..])
        .bind(now)
        .bind(now)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let deleted = sqlx::query("DELETE FROM tickets WHERE ticket_hash = ?")
        .bind(&ticket.0[..])
        .execute(connection)
        .await?;
    if deleted.rows_affected() == 0 { Ok(None) } else { read_signed_in(&row).map(Some) }
}

pub(super) async fn purge(
    connection: &mut MySqlConnection,
    before: Timestamp,
) -> Result<u64, Error> {
    let before = datetime(before)?;
    let mut sessions = 0;
    for (statement, counts) in PURGES.into_iter().zip([false, true, true]) {
        loop {
            let purged = sqlx::query(statement).bind(before).execute(&mut *connection).await?;
            if purged.rows_affected() == 0 {
                break;
            }
            sessions += if counts { purged.rows_affected() } else { 0 };
        }
    }
    Ok(sessions)
}

fn read_signed_in(row: &MySqlRow) -> Result<SignedIn, Error> {
    let user = read_user(row)?;
    Ok(SignedIn {
        session: Session {
            token: token_hash(row.try_get("token_hash")?)?,
            user: user.id,
            created_at: timestamp(row, "opened_at")?,
            expires_at: timestamp(row, "expires_at")?,
            user_agent: row.try_get("user_agent")?,
            ip: row.try_get("ip")?,
        },
        user,
    })
}
