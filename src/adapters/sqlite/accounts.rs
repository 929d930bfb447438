//! Users, sessions and tickets.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Error, Row, SqliteConnection};

use crate::domain::account::{NewUser, Plan, Role, Session, SignedIn, TokenHash, User};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::accounts::{Accounts, RegisterError};

use super::database::Database;
use super::stored;

/// The columns that [`read_user`] reads, of the table `users AS u`.
macro_rules! user_columns {
    () => {
        "u.user_id, u.email, u.username, u.first_name, u.last_name, u.is_active,
         u.email_verified, u.role, u.created_at,
         coalesce((SELECT s.plan_type FROM subscriptions AS s
                   WHERE s.user_id = u.user_id AND s.status = 'active'
                   ORDER BY s.subscription_id DESC LIMIT 1), 'free') AS plan"
    };
}

const INSERT_USER: &str = "
    INSERT INTO users (email, username, username_folded, password_hash, first_name, last_name,
                       created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)";

const CREDENTIALS: &str = concat!(
    "SELECT u.password_hash, ",
    user_columns!(),
    " FROM users AS u WHERE u.email = ?1 OR u.username_folded = ?1
      ORDER BY u.email = ?1 DESC LIMIT 1"
);

const USER: &str = concat!("SELECT ", user_columns!(), " FROM users AS u WHERE u.user_id = ?");

const SESSION: &str = concat!(
    "SELECT n.token_hash, n.created_at AS opened_at, n.expires_at, n.user_agent, n.ip, ",
    user_columns!(),
    " FROM sessions AS n JOIN users AS u USING (user_id)
      WHERE n.token_hash = ? AND n.revoked_at IS NULL AND n.expires_at > ? AND u.is_active = 1"
);

const REVOKE: &str = "
    UPDATE sessions SET revoked_at = ?3
    WHERE user_id = ?1 AND revoked_at IS NULL AND (?2 IS NULL OR token_hash = ?2)
    RETURNING token_hash, expires_at";

/// Keeps accounts in `accounts.db`. Every write is a durable one.
pub struct SqliteAccounts {
    db: Arc<Database>,
}

/// What became of an attempt to insert an account.
enum Registration {
    Created(User),
    EmailTaken,
    UsernameTaken,
}

impl SqliteAccounts {
    /// Accounts in the file opened with `Schema::Accounts`.
    pub fn new(db: Arc<Database>) -> Self {
        Self { db }
    }

    async fn insert(&self, user: &NewUser) -> Result<Registration, Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let inserted = sqlx::query(INSERT_USER)
            .bind(user.email.to_lowercase())
            .bind(&user.username)
            .bind(user.username.to_lowercase())
            .bind(&user.password_hash)
            .bind(&user.first_name)
            .bind(&user.last_name)
            .bind(user.created_at.as_millis())
            .execute(&mut *tx)
            .await;
        let id = match inserted {
            Ok(done) => done.last_insert_rowid(),
            // SQLite names the column: "UNIQUE constraint failed: users.email".
            Err(Error::Database(e)) if e.is_unique_violation() => {
                return Ok(match e.message().contains("users.email") {
                    true => Registration::EmailTaken,
                    false => Registration::UsernameTaken,
                });
            }
            Err(e) => return Err(e),
        };
        sqlx::query(
            "INSERT INTO subscriptions (user_id, plan_type, status, created_at)
             VALUES (?, 'free', 'active', ?)",
        )
        .bind(id)
        .bind(user.created_at.as_millis())
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query(USER).bind(id).fetch_one(&mut *tx).await?;
        let user = read_user(&row)?;
        tx.commit().await?;
        Ok(Registration::Created(user))
    }

    async fn find_login(&self, login: &str) -> Result<Option<(User, String)>, Error> {
        let row = sqlx::query(CREDENTIALS)
            .bind(login.to_lowercase())
            .fetch_optional(self.db.readers())
            .await?;
        row.map(|row| Ok((read_user(&row)?, row.try_get("password_hash")?))).transpose()
    }

    async fn find(&self, id: UserId) -> Result<Option<User>, Error> {
        let row = sqlx::query(USER).bind(id.0).fetch_optional(self.db.readers()).await?;
        row.as_ref().map(read_user).transpose()
    }

    async fn insert_session(&self, session: &Session) -> Result<(), Error> {
        let mut writer = self.db.durable_write().await?;
        sqlx::query(
            "INSERT INTO sessions (token_hash, user_id, created_at, expires_at, user_agent, ip)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&session.token.0[..])
        .bind(session.user.0)
        .bind(session.created_at.as_millis())
        .bind(session.expires_at.as_millis())
        .bind(&session.user_agent)
        .bind(&session.ip)
        .execute(&mut *writer)
        .await?;
        Ok(())
    }

    async fn find_session(
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

    async fn revoke(
        &self,
        user: UserId,
        token: Option<&TokenHash>,
        now: Timestamp,
    ) -> Result<Vec<TokenHash>, Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let revoked: Vec<(Vec<u8>, i64)> = sqlx::query_as(REVOKE)
            .bind(user.0)
            .bind(token.map(|token| &token.0[..]))
            .bind(now.as_millis())
            .fetch_all(&mut *tx)
            .await?;
        if !revoked.is_empty() {
            sqlx::query(
                "INSERT INTO account_changes (user_id, kind, at) VALUES (?, 'sessions_revoked', ?)",
            )
            .bind(user.0)
            .bind(now.as_millis())
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        // One that had expired is marked as well, in case the clock is set
        // back, but it was not this call that ended it.
        revoked
            .into_iter()
            .filter(|(_, expires_at)| *expires_at > now.as_millis())
            .map(|(hash, _)| stored::token_hash(&hash))
            .collect()
    }

    async fn insert_ticket(
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

    async fn take_ticket(
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

fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, Error> {
    row.try_get(column).map(Timestamp::from_millis)
}

fn read_user(row: &SqliteRow) -> Result<User, Error> {
    Ok(User {
        id: UserId(row.try_get("user_id")?),
        email: row.try_get("email")?,
        username: row.try_get("username")?,
        first_name: row.try_get("first_name")?,
        last_name: row.try_get("last_name")?,
        is_active: row.try_get("is_active")?,
        email_verified: row.try_get("email_verified")?,
        role: Role::from_stored(row.try_get("role")?),
        plan: Plan::from_stored(row.try_get("plan")?),
        created_at: time(row, "created_at")?,
    })
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

#[async_trait]
impl Accounts for SqliteAccounts {
    async fn register(&self, user: &NewUser) -> Result<User, RegisterError> {
        match self.insert(user).await {
            Ok(Registration::Created(user)) => Ok(user),
            Ok(Registration::EmailTaken) => Err(RegisterError::EmailTaken),
            Ok(Registration::UsernameTaken) => Err(RegisterError::UsernameTaken),
            Err(e) => Err(self.db.failed(e).into()),
        }
    }

    async fn credentials(&self, login: &str) -> Result<Option<(User, String)>, StoreError> {
        self.find_login(login).await.map_err(|e| self.db.failed(e))
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.find(id).await.map_err(|e| self.db.failed(e))
    }

    async fn open_session(&self, session: &Session) -> Result<(), StoreError> {
        let opened = self.insert_session(session).await;
        opened.map_err(|e| self.db.failed(e))
    }

    async fn session(
        &self,
        token: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, StoreError> {
        let found = self.find_session(token, now).await;
        found.map_err(|e| self.db.failed(e))
    }

    async fn revoke_sessions(
        &self,
        user: UserId,
        token: Option<&TokenHash>,
        now: Timestamp,
    ) -> Result<Vec<TokenHash>, StoreError> {
        let revoked = self.revoke(user, token, now).await;
        revoked.map_err(|e| self.db.failed(e))
    }

    async fn issue_ticket(
        &self,
        ticket: &TokenHash,
        session: &TokenHash,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let issued = self.insert_ticket(ticket, session, expires_at).await;
        issued.map_err(|e| self.db.failed(e))
    }

    async fn redeem_ticket(
        &self,
        ticket: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, StoreError> {
        let taken = self.take_ticket(ticket, now).await;
        taken.map_err(|e| self.db.failed(e))
    }
}
