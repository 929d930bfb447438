//! What is decided over accounts, and how nodes hear of it.

use async_trait::async_trait;

use crate::domain::account::{AccountChange, Plan, Role, TokenHash};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

use super::StoreError;

/// Decides over accounts. Every change is a numbered row that all nodes read
/// within a second, written in the same step. Every write is durable when it
/// returns. Those that say so return false for an account that does not exist.
#[async_trait]
pub trait AccountControl: Send + Sync {
    /// Opens or closes an account (`banned` says by whom: an operator, or else its owner). One that is
    /// closed loses all sessions.
    async fn set_active(
        &self,
        user: UserId,
        active: bool,
        banned: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Gives an account a role.
    async fn set_role(&self, user: UserId, role: Role, now: Timestamp) -> Result<bool, StoreError>;

    /// Gives an account a plan, from now on: the earlier subscription ends.
    async fn set_plan(&self, user: UserId, plan: Plan, now: Timestamp) -> Result<bool, StoreError>;

    /// Keeps a key of the server API.
    async fn create_api_key(
        &self,
        key: &TokenHash,
        name: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Whether such a key was created.
    async fn is_api_key(&self, key: &TokenHash) -> Result<bool, StoreError>;

    /// The number of the latest change; 0 before the first.
    async fn last_change(&self) -> Result<u64, StoreError>;

    /// Changes with a number above `number`, in their order, at most `limit`. One whose transaction
    /// took long may appear after others with higher numbers, within a minute and a half at the latest; a number
    /// may never appear. Whoever follows the numbers asks again from below the first that is missing.
    async fn changes_after(
        &self,
        number: u64,
        limit: usize,
    ) -> Result<Vec<AccountChange>, StoreError>;

    /// Forgets sessions that ended, and tickets that expired, before `before`; returns how many sessions.
    async fn purge_sessions(&self, before: Timestamp) -> Result<u64, StoreError>;
}
