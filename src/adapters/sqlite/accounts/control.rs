//! What is decided over accounts.

use async_trait::async_trait;
use sqlx::{Connection, Error, SqliteConnection};

use crate::domain::account::{AccountChange, Plan, Role, TokenHash, User};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::account_control::AccountControl;

use super::changes::{By, Change};
use super::{SqliteAccounts, USER, read_user};

async fn lookup(connection: &mut SqliteConnection, user: UserId) -> Result<Option<User>, Error> {
    let row = sqlx::query(USER).bind(user.0).fetch_optional(connection).await?;
    row.as_ref().map(read_user).transpose()
}

impl SqliteAccounts {
    async fn activate(
        &self,
        user: UserId,
        active: bool,
        banned: bool,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let Some(found) = lookup(&mut tx, user).await? else {
            return Ok(false);
        };
        if found.is_active == active {
            return Ok(true);
        }
        sqlx::query("UPDATE users SET is_active = ?2, updated_at = ?3 WHERE user_id = ?1")
            .bind(user.0)
            .bind(active)
            .bind(at.as_millis())
            .execute(&mut *tx)
            .await?;
        let (kind, by) = match (active, banned) {
            (true, _) => ("reopened", By::Operator),
            (false, true) => ("banned", By::Operator),
            (false, false) => ("deactivated", By::Owner),
        };
        let change = Change { user, by, at };
        // Where the account opens again: a log-in that was under way when it was
        // closed may have left a session, which must not come to life now.
        change.end_sessions(&mut tx, None).await?;
        change.note(&mut tx, kind, kind).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn give_role(&self, user: UserId, role: Role, at: Timestamp) -> Result<bool, Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let updated = sqlx::query("UPDATE users SET role = ?2, updated_at = ?3 WHERE user_id = ?1")
            .bind(user.0)
            .bind(role.as_str())
            .bind(at.as_millis())
            .execute(&mut *tx)
            .await?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        let change = Change { user, by: By::Operator, at };
        change.note(&mut tx, "updated", "role_changed").await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn give_plan(&self, user: UserId, plan: Plan, at: Timestamp) -> Result<bool, Error> {
        let mut writer = self.db.durable_write().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let Some(found) = lookup(&mut tx, user).await? else {
            return Ok(false);
        };
        if found.plan == plan {
            return Ok(true);
        }
        sqlx::query(
            "UPDATE subscriptions SET status = 'cancelled', billing_cycle_end = ?2, auto_renew = 0
             WHERE user_id = ?1 AND status = 'active'",
        )
        .bind(user.0)
        .bind(at.as_millis())
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO subscriptions (user_id, plan_type, status, billing_cycle_start, created_at)
             VALUES (?1, ?2, 'active', ?3, ?3)",
        )
        .bind(user.0)
        .bind(plan.as_str())
        .bind(at.as_millis())
        .execute(&mut *tx)
        .await?;
        let change = Change { user, by: By::Operator, at };
        change.note(&mut tx, "updated", "plan_changed").await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn insert_key(&self, key: &TokenHash, name: &str, at: Timestamp) -> Result<(), Error> {
        let mut writer = self.db.durable_write().await?;
        sqlx::query("INSERT INTO api_keys (key_hash, name, created_at) VALUES (?, ?, ?)")
            .bind(&key.0[..])
            .bind(name)
            .bind(at.as_millis())
            .execute(&mut *writer)
            .await?;
        Ok(())
    }

    async fn has_key(&self, key: &TokenHash) -> Result<bool, Error> {
        let found: (bool,) =
            sqlx::query_as("SELECT EXISTS (SELECT 1 FROM api_keys WHERE key_hash = ?)")
                .bind(&key.0[..])
                .fetch_one(self.db.readers())
                .await?;
        Ok(found.0)
    }
}

#[async_trait]
impl AccountControl for SqliteAccounts {
    async fn set_active(
        &self,
        user: UserId,
        active: bool,
        banned: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let set = self.activate(user, active, banned, now).await;
        set.map_err(|e| self.db.failed(e))
    }

    async fn set_role(&self, user: UserId, role: Role, now: Timestamp) -> Result<bool, StoreError> {
        self.give_role(user, role, now).await.map_err(|e| self.db.failed(e))
    }

    async fn set_plan(&self, user: UserId, plan: Plan, now: Timestamp) -> Result<bool, StoreError> {
        self.give_plan(user, plan, now).await.map_err(|e| self.db.failed(e))
    }

    async fn create_api_key(
        &self,
        key: &TokenHash,
        name: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.insert_key(key, name, now).await.map_err(|e| self.db.failed(e))
    }

    async fn is_api_key(&self, key: &TokenHash) -> Result<bool, StoreError> {
        self.has_key(key).await.map_err(|e| self.db.failed(e))
    }

    async fn last_change(&self) -> Result<u64, StoreError> {
        self.find_last_change().await.map_err(|e| self.db.failed(e))
    }

    async fn changes_after(
        &self,
        number: u64,
        limit: usize,
    ) -> Result<Vec<AccountChange>, StoreError> {
        self.find_changes(number, limit).await.map_err(|e| self.db.failed(e))
    }

    async fn purge_sessions(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.purge(before).await.map_err(|e| self.db.failed(e))
    }
}
