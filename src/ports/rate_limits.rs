//! How often something may be done.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::ids::UserId;

/// How much may be taken: `limit` at once, and again as it comes back, evenly, within `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How often within the window.
    pub limit: NonZeroU32,
    /// After how long a quota that was used up is whole again.
    pub window: Duration,
}

impl Quota {
    /// `limit` times a minute.
    pub const fn per_minute(limit: NonZeroU32) -> Self {
        Self { limit, window: Duration::from_secs(60) }
    }
}

/// Who is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An account, wherever it calls from.
    User(UserId),
    /// An address, or the network that stands for it.
    Address(IpAddr),
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LimitKey {
    /// What is limited, as callers are told (`writes`).
    pub policy: &'static str,
    /// Who is limited.
    pub subject: Subject,
}

impl fmt::Display for LimitKey {
    /// One text for each key, such as `writes:user:42`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject {
            Subject::User(id) => write!(f, "{}:user:{id}", self.policy),
            Subject::Address(address) => write!(f, "{}:address:{address}", self.policy),
        }
    }
}

/// What came of taking one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Whether it was there to take. If not, nothing was taken.
    pub allowed: bool,
    /// How many there are when none is taken.
    pub limit: u32,
    /// How many may still be taken at once.
    pub remaining: u32,
    /// After how long more may be taken: all of `limit` if this one was allowed, one if it was refused.
    pub reset: Duration,
    /// After how long one may be taken; zero if one may now.
    pub retry_after: Duration,
}

/// Counts what is taken. All of it may be lost at any time, which makes everyone's quota whole.
#[async_trait]
pub trait RateLimits: Send + Sync {
    /// Takes one of `quota` for `key`, if there is one.
    ///
    /// Of any number of callers that race for a whole quota, exactly `quota.limit` get one. What
    /// was taken under another quota does not count. A clock that is set back gives nothing back,
    /// and keeps nothing away for longer than the window.
    async fn take(&self, key: &LimitKey, quota: Quota) -> Result<Allowance, StoreError>;
}
