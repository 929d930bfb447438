//! Registration, and what owners change of their accounts.

use sqlx::{Connection, Error};

use crate::domain::account::{NewUser, ProfileChange, User};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

use super::changes::{By, Change};
use super::{SqliteAccounts, USER, read_user};

const INSERT_USER: &str = "
    INSERT INTO users (email, username, username_folded, password_hash, first_name, last_name,
                       created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)";

const UPDATE_PROFILE: &str = "
    UPDATE users SET email = coalesce(?2, email),
                     email_verified = email_verified AND coalesce(?2, email) = email,
                     first_name = coalesce(?3, first_name),
                     last_name = coalesce(?4, last_name),
                     updated_at = ?5
    WHERE user_id = ?1";

/// What became of an attempt to write an account.
pub(super) enum Written<T> {
    Done(T),
    EmailTaken,
    UsernameTaken,
}

impl<T> Written<T> {
    /// SQLite names the column: "UNIQUE constraint failed: users.email".
    fn refused(error: Error) -> Result<Self, Error> {
        match error {
            Error::Database(e) if e.is_unique_violation() => {
                Ok(match e.message().contains("users.email") {
                    true => Self::EmailTaken,
                    false => Self::UsernameTaken,
                })
            }
            error => Err(error),
        }
    }
}

impl SqliteAccounts {
    pub(super) async fn insert(&self, user: &NewUser) -> Result<Written<User>, Error> {
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
            Err(error) => return Written::refused(error),
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
        Ok(Written::Done(user))
    }

    pub(super) async fn update(
        &self,
        user: UserId,
        change: &ProfileChange,
        now: Timestamp,
    ) -> Result<Written<Option<User>>, Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let updated = sqlx::query(UPDATE_PROFILE)
            .bind(user.0)
            .bind(change.email.as_ref().map(|email| email.to_lowercase()))
            .bind(&change.first_name)
            .bind(&change.last_name)
            .bind(now.as_millis())
            .execute(&mut *tx)
            .await;
        match updated {
            Ok(done) if done.rows_affected() == 0 => return Ok(Written::Done(None)),
            Ok(_) => {}
            Err(error) => return Written::refused(error),
        }
        let change = Change { user, by: By::Owner, at: now };
        change.note(&mut tx, "updated", "profile_changed").await?;
        let row = sqlx::query(USER).bind(user.0).fetch_one(&mut *tx).await?;
        let user = read_user(&row)?;
        tx.commit().await?;
        Ok(Written::Done(Some(user)))
    }

    pub(super) async fn replace_password(
        &self,
        user: UserId,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let updated =
            sqlx::query("UPDATE users SET password_hash = ?2, updated_at = ?3 WHERE user_id = ?1")
                .bind(user.0)
                .bind(password_hash)
                .bind(now.as_millis())
                .execute(&mut *tx)
                .await?;
        if updated.rows_affected() > 0 {
            let change = Change { user, by: By::Owner, at: now };
            change.end_sessions(&mut tx, None).await?;
            change.note(&mut tx, "updated", "password_changed").await?;
        }
        tx.commit().await
    }
}
