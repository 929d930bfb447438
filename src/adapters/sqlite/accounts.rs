//! Users, sessions and tickets.

mod changes;
mod control;
mod profile;
mod sessions;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row};

use crate::domain::account::{
    NewUser, Plan, ProfileChange, Role, Session, SignedIn, TokenHash, User,
};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::accounts::{Accounts, RegisterError};

use super::database::Database;
use super::stored;

use profile::Written;

#[cfg(test)]
pub(super) use sessions::PURGE;

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
use user_columns;

const CREDENTIALS: &str = concat!(
    "SELECT u.password_hash, ",
    user_columns!(),
    " FROM users AS u WHERE u.email = ?1 OR u.username_folded = ?1
      ORDER BY u.email = ?1 DESC LIMIT 1"
);

const USER: &str = concat!("SELECT ", user_columns!(), " FROM users AS u WHERE u.user_id = ?");

pub(super) const USERS: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users AS u WHERE u.user_id IN (SELECT value FROM json_each(?))"
);

pub(super) const USERS_NAMED: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users AS u WHERE u.username_folded IN (SELECT value FROM json_each(?))"
);

/// Keeps accounts in `accounts.db`. Every write is a durable one.
pub struct SqliteAccounts {
    db: Arc<Database>,
}

impl SqliteAccounts {
    /// Accounts in the file opened with `Schema::Accounts`.
    pub fn new(db: Arc<Database>) -> Self {
        Self { db }
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

    async fn find_all(&self, query: &'static str, wanted: String) -> Result<Vec<User>, Error> {
        let rows = sqlx::query(query).bind(wanted).fetch_all(self.db.readers()).await?;
        rows.iter().map(read_user).collect()
    }
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

#[async_trait]
impl Accounts for SqliteAccounts {
    async fn register(&self, user: &NewUser) -> Result<User, RegisterError> {
        let written = self.insert(user).await;
        self.outcome(written)
    }

    async fn credentials(&self, login: &str) -> Result<Option<(User, String)>, StoreError> {
        self.find_login(login).await.map_err(|e| self.db.failed(e))
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.find(id).await.map_err(|e| self.db.failed(e))
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let ids = stored::rows(ids.iter().map(|id| id.0)).map_err(|e| self.db.failed(e))?;
        self.find_all(USERS, ids).await.map_err(|e| self.db.failed(e))
    }

    async fn users_named(&self, names: &[String]) -> Result<Vec<User>, StoreError> {
        let names = names.iter().map(|name| name.to_lowercase());
        let names = stored::rows(names).map_err(|e| self.db.failed(e))?;
        self.find_all(USERS_NAMED, names).await.map_err(|e| self.db.failed(e))
    }

    async fn update_profile(
        &self,
        user: UserId,
        change: &ProfileChange,
        now: Timestamp,
    ) -> Result<Option<User>, RegisterError> {
        let written = self.update(user, change, now).await;
        self.outcome(written)
    }

    async fn set_password(
        &self,
        user: UserId,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let set = self.replace_password(user, password_hash, now).await;
        set.map_err(|e| self.db.failed(e))
    }

    async fn open_session(
        &self,
        session: &Session,
        password_hash: &str,
    ) -> Result<bool, StoreError> {
        let opened = self.insert_session(session, password_hash).await;
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

impl SqliteAccounts {
    fn outcome<T>(&self, written: Result<Written<T>, Error>) -> Result<T, RegisterError> {
        match written {
            Ok(Written::Done(value)) => Ok(value),
            Ok(Written::EmailTaken) => Err(RegisterError::EmailTaken),
            Ok(Written::UsernameTaken) => Err(RegisterError::UsernameTaken),
            Err(e) => Err(self.db.failed(e).into()),
        }
    }
}
