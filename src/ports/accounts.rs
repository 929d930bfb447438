//! Users, sessions and tickets: the truth about who may do what.

use async_trait::async_trait;

use crate::domain::account::{NewUser, ProfileChange, Session, SignedIn, TokenHash, User};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

use super::StoreError;

/// Why an account could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Another account has this address.
    #[error("the email address is taken")]
    EmailTaken,
    /// Another account has this name, without regard to case.
    #[error("the user name is taken")]
    UsernameTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps accounts and what proves them. Every write is durable when it returns.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Creates an account with the free plan. Of two that race for one address
    /// or name, exactly one succeeds; numbers are never used twice.
    async fn register(&self, user: &NewUser) -> Result<User, RegisterError>;

    /// The account whose address or user name is `login` (without regard to
    /// case) and its password hash in the PHC string format.
    async fn credentials(&self, login: &str) -> Result<Option<(User, String)>, StoreError>;

    /// The account with this number.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The accounts with these numbers, in no particular order; unknown ones are left out.
    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError>;

    /// The accounts with these names (without regard to case), in no particular
    /// order; unknown ones are left out.
    async fn users_named(&self, names: &[String]) -> Result<Vec<User>, StoreError>;

    /// Changes what an account says of its owner; `None` if there is no such account.
    async fn update_profile(
        &self,
        user: UserId,
        change: &ProfileChange,
        now: Timestamp,
    ) -> Result<Option<User>, RegisterError>;

    /// Sets the password of an account and ends all its sessions.
    async fn set_password(
        &self,
        user: UserId,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Opens a session for whoever proved to know the password behind `password_hash`. False, and
    /// nothing happens, if the account has another password by now or is closed: a login that
    /// was checked before the password changed must not outlast the change.
    async fn open_session(
        &self,
        session: &Session,
        password_hash: &str,
    ) -> Result<bool, StoreError>;

    /// The session with this token and its account, if the session is neither
    /// revoked nor expired at `now` and the account is active.
    async fn session(
        &self,
        token: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, StoreError>;

    /// Ends one session of `user`, or all of them where `token` is `None`.
    /// Returns the hashes of those that this call ended.
    async fn revoke_sessions(
        &self,
        user: UserId,
        token: Option<&TokenHash>,
        now: Timestamp,
    ) -> Result<Vec<TokenHash>, StoreError>;

    /// Keeps a ticket that stands for `session` until `expires_at`.
    async fn issue_ticket(
        &self,
        ticket: &TokenHash,
        session: &TokenHash,
        expires_at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Takes a ticket: at most one call ever gets its session, and only one that
    /// is valid at `now` by the rules of [`Accounts::session`].
    async fn redeem_ticket(
        &self,
        ticket: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, StoreError>;
}
