//! What is decided over accounts.

use async_trait::async_trait;
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Error};

use crate::adapters::mysql::stored::datetime;
use crate::adapters::pooled::on_lease;
use crate::domain::account::{AccountChange, Plan, Role, TokenHash};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::account_control::AccountControl;

use super::changes::{By, Change, find_after, find_last};
use super::{MysqlAccounts, find, sessions};

async fn activate(
    connection: &mut MySqlConnection,
    user: UserId,
    active: bool,
    banned: bool,
    at: Timestamp,
) -> Result<bool, Error> {
    let (kind, by) = match (active, banned) {
        (true, _) => ("reopened", By::Operator),
        (false, true) => ("banned", By::Operator),
        (false, false) => ("deactivated", By::Owner),
    };
    let change = Change { user, by, at };
    let mut tx = connection.begin().await?;
    let Some(was_active) = change.lock(&mut tx).await? else {
        return Ok(false);
    };
    if was_active == active {
        return Ok(true);
    }
    sqlx::query("UPDATE users SET is_active = ?, updated_at = ? WHERE user_id = ?")
        .bind(active)
        .bind(datetime(at)?)
        .bind(user.0)
        .execute(&mut *tx)
        .await?;
    // Where the account opens again: a log-in that was under way when it was
    // closed may have left a session, which must not come to life now.
    change.end_sessions(&mut tx, None).await?;
    change.note(&mut tx, kind, kind).await?;
    tx.commit().await?;
    Ok(true)
}

async fn give_role(
    connection: &mut MySqlConnection,
    user: UserId,
    role: Role,
    at: Timestamp,
) -> Result<bool, Error> {
    let change = Change { user, by: By::Operator, at };
    let mut tx = connection.begin().await?;
    if change.lock(&mut tx).await?.is_none() {
        return Ok(false);
    }
    sqlx::query("UPDATE users SET role = ?, updated_at = ? WHERE user_id = ?")
        .bind(role.as_str())
        .bind(datetime(at)?)
        .bind(user.0)
        .execute(&mut *tx)
        .await?;
    change.note(&mut tx, "updated", "role_changed").await?;
    tx.commit().await?;
    Ok(true)
}

async fn give_plan(
    connection: &mut MySqlConnection,
    user: UserId,
    plan: Plan,
    at: Timestamp,
) -> Result<bool, Error> {
    let change = Change { user, by: By::Operator, at };
    let mut tx = connection.begin().await?;
    if change.lock(&mut tx).await?.is_none() {
        return Ok(false);
    }
    if find(&mut tx, user).await?.is_none_or(|found| found.plan == plan) {
        return Ok(true);
    }
    let at = datetime(at)?;
    sqlx::query(
        "UPDATE subscriptions SET status = 'cancelled', billing_cycle_end = ?, auto_renew = FALSE
         WHERE user_id = ? AND status = 'active'",
    )
    .bind(at)
    .bind(user.0)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO subscriptions (user_id, plan_type, status, billing_cycle_start, created_at)
         VALUES (?, ?, 'active', ?, ?)",
    )
    .bind(user.0)
    .bind(plan.as_str())
    .bind(at)
    .bind(at)
    .execute(&mut *tx)
    .await?;
    change.note(&mut tx, "updated", "plan_changed").await?;
    tx.commit().await?;
    Ok(true)
}

async fn insert_key(
    connection: &mut MySqlConnection,
    key: &TokenHash,
    name: &str,
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO api_keys (key_hash, name, created_at) VALUES (?, ?, ?)")
        .bind(&key.0[..])
        .bind(name)
        .bind(datetime(at)?)
        .execute(connection)
        .await?;
    Ok(())
}

async fn has_key(connection: &mut MySqlConnection, key: &TokenHash) -> Result<bool, Error> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM api_keys WHERE key_hash = ?")
        .bind(&key.0[..])
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

#[async_trait]
impl AccountControl for MysqlAccounts {
    async fn set_active(
        &self,
        user: UserId,
        active: bool,
        banned: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        on_lease!(&self.server.pooled, lease => activate(&mut lease, user, active, banned, now))
    }

    async fn set_role(&self, user: UserId, role: Role, now: Timestamp) -> Result<bool, StoreError> {
        on_lease!(&self.server.pooled, lease => give_role(&mut lease, user, role, now))
    }

    async fn set_plan(&self, user: UserId, plan: Plan, now: Timestamp) -> Result<bool, StoreError> {
        on_lease!(&self.server.pooled, lease => give_plan(&mut lease, user, plan, now))
    }

    async fn create_api_key(
        &self,
        key: &TokenHash,
        name: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on_lease!(&self.server.pooled, lease => insert_key(&mut lease, key, name, now))
    }

    async fn is_api_key(&self, key: &TokenHash) -> Result<bool, StoreError> {
        on_lease!(&self.server.pooled, lease => has_key(&mut lease, key))
    }

    async fn last_change(&self) -> Result<u64, StoreError> {
        on_lease!(&self.server.pooled, lease => find_last(&mut lease))
    }

    async fn changes_after(
        &self,
        number: u64,
        limit: usize,
    ) -> Result<Vec<AccountChange>, StoreError> {
        on_lease!(&self.server.pooled, lease => find_after(&mut lease, number, limit))
    }

    async fn purge_sessions(&self, before: Timestamp) -> Result<u64, StoreError> {
        on_lease!(&self.server.pooled, lease => sessions::purge(&mut lease, before))
    }
}
