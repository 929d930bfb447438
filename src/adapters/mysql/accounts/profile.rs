//! Registration, and what owners change of their accounts.

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Error};

use crate::adapters::mysql::stored::datetime;
use crate::domain::account::{NewUser, ProfileChange, User};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

use super::changes::{By, Change};
use super::{USER, read_user};

const INSERT_USER: &str = "
    INSERT INTO users (email, username, username_folded, password_hash, first_name, last_name,
                       created_at, updated_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

/// The address comes last: assignments are made from left to right, and whether it stays is asked of the former.
const UPDATE_PROFILE: &str = "
    UPDATE users SET email_verified = email_verified AND COALESCE(?, email) = email,
                     first_name = COALESCE(?, first_name),
                     last_name = COALESCE(?, last_name),
                     updated_at = ?,
                     email = COALESCE(?, email)
    WHERE user_id = ?";

/// What became of an attempt to write an account.
pub(super) enum Written<T> {
    Done(T),
    EmailTaken,
    UsernameTaken,
}

impl<T> Written<T> {
    /// The message ends with the name of the constraint, which MySQL, unlike MariaDB, prefixes with the
    /// table: "Duplicate entry 'a@example.org' for key 'users.users_email'".
    fn refused(error: Error) -> Result<Self, Error> {
        match error {
            Error::Database(e) if e.is_unique_violation() => {
                Ok(match e.message().trim_end_matches('\'').ends_with("users_email") {
                    true => Self::EmailTaken,
                    false => Self::UsernameTaken,
                })
            }
            error => Err(error),
        }
    }
}

pub(super) async fn insert(
    connection: &mut MySqlConnection,
    user: &NewUser,
) -> Result<Written<User>, Error> {
    let created_at = datetime(user.created_at)?;
    let mut tx = connection.begin().await?;
    let inserted = sqlx::query(INSERT_USER)
        .bind(user.email.to_lowercase())
        .bind(&user.username)
        .bind(user.username.to_lowercase())
        .bind(&user.password_hash)
        .bind(&user.first_name)
        .bind(&user.last_name)
        .bind(created_at)
        .bind(created_at)
        .execute(&mut *tx)
        .await;
    let id = match inserted {
        Ok(done) => done.last_insert_id(),
        Err(error) => return Written::refused(error),
    };
    sqlx::query(
        "INSERT INTO subscriptions (user_id, plan_type, status, created_at)
         VALUES (?, 'free', 'active', ?)",
    )
    .bind(id)
    .bind(created_at)
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query(USER).bind(id).fetch_one(&mut *tx).await?;
    let user = read_user(&row)?;
    tx.commit().await?;
    Ok(Written::Done(user))
}

pub(super) async fn update(
    connection: &mut MySqlConnection,
    user: UserId,
    change: &ProfileChange,
    now: Timestamp,
) -> Result<Written<Option<User>>, Error> {
    let noted = Change { user, by: By::Owner, at: now };
    let mut tx = connection.begin().await?;
    if noted.lock(&mut tx).await?.is_none() {
        return Ok(Written::Done(None));
    }
    let email = change.email.as_ref().map(|email| email.to_lowercase());
    let updated = sqlx::query(UPDATE_PROFILE)
        .bind(&email)
        .bind(&change.first_name)
        .bind(&change.last_name)
        .bind(datetime(now)?)
        .bind(&email)
        .bind(user.0)
        .execute(&mut *tx)
        .await;
    if let Err(error) = updated {
        return Written::refused(error);
    }
    noted.note(&mut tx, "updated", "profile_changed").await?;
    let row = sqlx::query(USER).bind(user.0).fetch_one(&mut *tx).await?;
    let user = read_user(&row)?;
    tx.commit().await?;
    Ok(Written::Done(Some(user)))
}

pub(super) async fn replace_password(
    connection: &mut MySqlConnection,
    user: UserId,
    password_hash: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let change = Change { user, by: By::Owner, at: now };
    let mut tx = connection.begin().await?;
    if change.lock(&mut tx).await?.is_none() {
        return Ok(());
    }
    sqlx::query("UPDATE users SET password_hash = ?, updated_at = ? WHERE user_id = ?")
        .bind(password_hash)
        .bind(datetime(now)?)
        .bind(user.0)
        .execute(&mut *tx)
        .await?;
    change.end_sessions(&mut tx, None).await?;
    change.note(&mut tx, "updated", "password_changed").await?;
    tx.commit().await
}
