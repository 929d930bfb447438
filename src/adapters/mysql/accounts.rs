//! Users, sessions and tickets.

mod changes;
mod control;
mod profile;
mod sessions;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Error, QueryBuilder, Row};

use crate::adapters::pooled::on_lease;
use crate::domain::account::{
    NewUser, Plan, ProfileChange, Role, Session, SignedIn, TokenHash, User,
};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::accounts::{Accounts, RegisterError};

use super::server::MysqlServer;
use super::stored::timestamp;

use profile::Written;

/// The columns that [`read_user`] reads, of the table `users AS u`.
macro_rules! user_columns {
    () => {
        "u.user_id, u.email, u.username, u.first_name, u.last_name, u.is_active,
         u.email_verified, u.role, u.created_at,
         COALESCE((SELECT s.plan_type FROM subscriptions AS s
                   WHERE s.user_id = u.user_id AND s.status = 'active'
                   ORDER BY s.subscription_id DESC LIMIT 1), 'free') AS plan"
    };
}
use user_columns;

const CREDENTIALS: &str = concat!(
    "SELECT u.password_hash, u.username_folded, ",
    user_columns!(),
    " FROM users AS u WHERE u.email = ? OR u.username_folded = ?
      ORDER BY u.email = ? DESC LIMIT 1"
);

const USER: &str = concat!("SELECT ", user_columns!(), " FROM users AS u WHERE u.user_id = ?");

const USERS: &str = concat!("SELECT ", user_columns!(), " FROM users AS u WHERE u.user_id IN (");

const USERS_NAMED: &str =
    concat!("SELECT ", user_columns!(), " FROM users AS u WHERE u.username_folded IN (");

/// How many values one list within a statement holds.
const LIST_MAX: usize = 500;

/// Keeps accounts on a server of MySQL or MariaDB.
///
/// Whatever changes an account locks its row of `users` first, so that changes of one account come
/// one after the other and never wait for each other in a circle.
pub struct MysqlAccounts {
    server: Arc<MysqlServer>,
}

impl MysqlAccounts {
    /// Accounts on that server.
    pub fn new(server: Arc<MysqlServer>) -> Self {
        Self { server }
    }
}

fn read_user(row: &MySqlRow) -> Result<User, Error> {
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
        created_at: timestamp(row, "created_at")?,
    })
}

async fn find_login(
    connection: &mut MySqlConnection,
    login: &str,
) -> Result<Option<(User, String)>, Error> {
    let login = login.to_lowercase();
    let row = sqlx::query(CREDENTIALS)
        .bind(&login)
        .bind(&login)
        .bind(&login)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let user = read_user(&row)?;
    // The server takes no notice of spaces at the end of a text.
    let is_exact = user.email == login || row.try_get::<&str, _>("username_folded")? == login;
    Ok(is_exact.then_some((user, row.try_get("password_hash")?)))
}

async fn find(connection: &mut MySqlConnection, id: UserId) -> Result<Option<User>, Error> {
    let row = sqlx::query(USER).bind(id.0).fetch_optional(connection).await?;
    row.as_ref().map(read_user).transpose()
}

/// The accounts that `query`, which ends within a list, finds for `wanted`, each once.
async fn find_all<T>(
    connection: &mut MySqlConnection,
    query: &'static str,
    wanted: &[T],
) -> Result<Vec<User>, Error>
where
    T: Clone + Send + Sync + sqlx::Encode<'static, sqlx::MySql> + sqlx::Type<sqlx::MySql> + 'static,
{
    let mut found = Vec::new();
    for part in wanted.chunks(LIST_MAX) {
        let mut query = QueryBuilder::new(query);
        let mut list = query.separated(", ");
        for value in part {
            list.push_bind(value.clone());
        }
        list.push_unseparated(")");
        // There is one of these for each length of the list; none is worth to be kept prepared.
        let rows = query.build().persistent(false).fetch_all(&mut *connection).await?;
        for row in &rows {
            found.push(read_user(row)?);
        }
    }
    Ok(found)
}

/// Sorted and without repeats, so that no part of a list finds what another found.
fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn outcome<T>(written: Result<Written<T>, StoreError>) -> Result<T, RegisterError> {
    match written? {
        Written::Done(value) => Ok(value),
        Written::EmailTaken => Err(RegisterError::EmailTaken),
        Written::UsernameTaken => Err(RegisterError::UsernameTaken),
    }
}

#[async_trait]
impl Accounts for MysqlAccounts {
    async fn register(&self, user: &NewUser) -> Result<User, RegisterError> {
        let server = &self.server.pooled;
        outcome(on_lease!(server, lease => profile::insert(&mut lease, user)))
    }

    async fn credentials(&self, login: &str) -> Result<Option<(User, String)>, StoreError> {
        on_lease!(&self.server.pooled, lease => find_login(&mut lease, login))
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        on_lease!(&self.server.pooled, lease => find(&mut lease, id))
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let ids = distinct(ids.iter().map(|id| id.0));
        on_lease!(&self.server.pooled, lease => find_all(&mut lease, USERS, &ids))
    }

    async fn users_named(&self, names: &[String]) -> Result<Vec<User>, StoreError> {
        let names = distinct(names.iter().map(|name| name.to_lowercase()));
        on_lease!(&self.server.pooled, lease => find_all(&mut lease, USERS_NAMED, &names))
    }

    async fn update_profile(
        &self,
        user: UserId,
        change: &ProfileChange,
        now: Timestamp,
    ) -> Result<Option<User>, RegisterError> {
        let server = &self.server.pooled;
        outcome(on_lease!(server, lease => profile::update(&mut lease, user, change, now)))
    }

    async fn set_password(
        &self,
        user: UserId,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let server = &self.server.pooled;
        on_lease!(server, lease => profile::replace_password(&mut lease, user, password_hash, now))
    }

    async fn open_session(
        &self,
        session: &Session,
        password_hash: &str,
    ) -> Result<bool, StoreError> {
        let server = &self.server.pooled;
        on_lease!(server, lease => sessions::insert(&mut lease, session, password_hash))
    }

    async fn session(
        &self,
        token: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, StoreError> {
        on_lease!(&self.server.pooled, lease => sessions::find(&mut lease, token, now))
    }

    async fn revoke_sessions(
        &self,
        user: UserId,
        token: Option<&TokenHash>,
        now: Timestamp,
    ) -> Result<Vec<TokenHash>, StoreError> {
        on_lease!(&self.server.pooled, lease => sessions::revoke(&mut lease, user, token, now))
    }

    async fn issue_ticket(
        &self,
        ticket: &TokenHash,
        session: &TokenHash,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let server = &self.server.pooled;
        on_lease!(server, lease => sessions::insert_ticket(&mut lease, ticket, session, expires_at))
    }

    async fn redeem_ticket(
        &self,
        ticket: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, StoreError> {
        on_lease!(&self.server.pooled, lease => sessions::take_ticket(&mut lease, ticket, now))
    }
}
