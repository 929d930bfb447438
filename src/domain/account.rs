//! Accounts: who may do what.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::ids::UserId;
use super::time::Timestamp;

/// The plan that decides an account's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// Costs nothing.
    #[default]
    Free,
    /// For people who write a lot.
    Pro,
    /// For programs.
    Enterprise,
}

impl Plan {
    /// The name in the API and in the stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// Reads the stored name; an unknown one is the plan with the least rights.
    pub fn from_stored(name: &str) -> Self {
        match name {
            "pro" => Self::Pro,
            "enterprise" => Self::Enterprise,
            _ => Self::Free,
        }
    }
}

/// What an account may do beyond its own things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everyone.
    #[default]
    Member,
    /// May remove what others wrote.
    Moderator,
    /// May do everything.
    Admin,
}

impl Role {
    /// The name in the API and in the stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
        }
    }

    /// Reads the stored name; an unknown one is the role with the least rights.
    pub fn from_stored(name: &str) -> Self {
        match name {
            "moderator" => Self::Moderator,
            "admin" => Self::Admin,
            _ => Self::Member,
        }
    }
}

/// An account without its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The number of the account.
    pub id: UserId,
    /// Lower case, unique.
    pub email: String,
    /// Unique without regard to case.
    pub username: String,
    /// Empty if not given.
    pub first_name: String,
    /// Empty if not given.
    pub last_name: String,
    /// False once banned or deactivated.
    pub is_active: bool,
    /// True once the owner followed the link in the mail.
    pub email_verified: bool,
    /// What the account may do beyond its own things.
    pub role: Role,
    /// What decides its limits.
    pub plan: Plan,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl User {
    /// The name to show: first and last name, or the user name where neither is given.
    pub fn display_name(&self) -> String {
        let name = format!("{} {}", self.first_name, self.last_name);
        match name.trim() {
            "" => self.username.clone(),
            name => name.to_owned(),
        }
    }
}

/// An account to be registered, already validated.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Lower case.
    pub email: String,
    /// As the user wrote it.
    pub username: String,
    /// In the PHC string format.
    pub password_hash: String,
    /// Empty if not given.
    pub first_name: String,
    /// Empty if not given.
    pub last_name: String,
    /// The time of registration.
    pub created_at: Timestamp,
}

/// A change of what an account says of its owner, already validated. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// Lower case. A new address is not verified.
    pub email: Option<String>,
    /// May be empty.
    pub first_name: Option<String>,
    /// May be empty.
    pub last_name: Option<String>,
}

/// What happened to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChangeKind {
    /// One session ended, named by [`TokenHash::short`] of its token.
    SessionEnded(u64),
    /// All sessions ended. Written by version 0.1 alone; since then each session that ends has its
    /// own change, so that a login right after is not taken for one of them.
    SessionsEnded,
    /// The owner closed the account.
    Deactivated,
    /// An operator closed the account.
    Banned,
    /// The account was opened again.
    Reopened,
    /// The plan, the role or the profile changed.
    Updated,
}

/// A numbered change of an account, for all nodes to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// Later changes have higher numbers.
    pub number: u64,
    /// Whose account.
    pub user: UserId,
    /// What happened.
    pub kind: AccountChangeKind,
}

/// The SHA-256 of a session token or ticket: all that is stored of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// What a session token begins with.
pub const SESSION_PREFIX: &str = "cst_";
/// What a connection ticket begins with.
pub const TICKET_PREFIX: &str = "ctk_";

impl TokenHash {
    /// What is stored of a secret. It needs no salt and no slow hash: nobody
    /// guesses 256 random bits.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// The first eight bytes as a number, which tells sessions apart where the
    /// whole hash would take room on every connection.
    pub fn short(&self) -> u64 {
        self.0.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Even a hash says which session it is; it does not belong in a log.
        f.write_str("TokenHash(…)")
    }
}

/// A login that lasts until it expires or is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The hash of its token.
    pub token: TokenHash,
    /// Whose it is.
    pub user: UserId,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// The `User-Agent` that opened it, cut to 255 characters.
    pub user_agent: String,
    /// The address that opened it.
    pub ip: String,
}

/// A session and the account that it belongs to, both valid when they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// The account.
    pub user: User,
}
