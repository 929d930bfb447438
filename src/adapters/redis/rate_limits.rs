//! Rate limits on all nodes together. This file uses `redis`, as all adapters of Redis do but the broker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;
use tokio::time::Instant;

use super::commands::RedisCommands;
use crate::ports::StoreError;
use crate::ports::rate_limits::{Allowance, LimitKey, Quota, RateLimits};

/// How many times shorter than others a count may take: everyone's request waits for it.
const HASTE: u32 = 4;
/// After a failure, how long the node counts alone before it asks again.
const REST: Duration = Duration::from_millis(500);

/// Counts in Redis, with INCR and EXPIRE, by its clock, and forgets with it, which makes every quota whole. While it is
/// away, or slow, another adapter, of this node alone, counts from a whole quota.
pub struct RedisRateLimits {
    commands: Arc<RedisCommands>,
    take: Script,
    alone: Arc<dyn RateLimits>,
    /// Since a failure: until when the node counts alone.
    alone_until: Mutex<Option<Instant>>,
}

impl RedisRateLimits {
    /// Counts where `commands` lead, or else with `alone`.
    pub fn new(commands: Arc<RedisCommands>, alone: Arc<dyn RateLimits>) -> Self {
        let take = Script::new(include_str!("scripts/take.lua"));
        Self { commands, take, alone, alone_until: Mutex::new(None) }
    }

    async fn ask(&self, key: &LimitKey, quota: Quota) -> Result<Allowance, StoreError> {
        let (limit, window) = (quota.limit.get(), quota.window.as_millis());
        let key_of = |name| {
            self.commands.keys.apart(&format!("rl:{key}"), &format!("{limit}:{window}:{name}"))
        };
        let keys = ["current", "before", "recent"].map(key_of);
        let arguments = [u128::from(limit), window.max(1)].map(|argument| argument.to_string());
        let patience = self.commands.patience() / HASTE;
        let (allowed, remaining, wait): (bool, u32, u64) =
            self.commands.run_within(patience, &self.take, &keys, &arguments).await?;
        let wait = Duration::from_millis(wait);
        let retry_after = if allowed { Duration::ZERO } else { wait };
        Ok(Allowance { allowed, limit, remaining, reset: wait, retry_after })
    }

    /// Whether to ask Redis. After a failure the node counts alone; then one asks, while the others go on alone.
    fn may_ask(&self) -> bool {
        let mut alone_until = self.alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        match *alone_until {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                *alone_until = Some(Instant::now() + REST);
                true
            }
            None => true,
        }
    }

    /// Notes until when the node counts alone, if at all; returns whether it is news that it does or does not.
    fn count_alone(&self, until: Option<Instant>) -> bool {
        let mut alone_until = self.alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        let was_alone = alone_until.is_some();
        *alone_until = until;
        was_alone != until.is_some()
    }
}

#[async_trait]
impl RateLimits for RedisRateLimits {
    async fn take(&self, key: &LimitKey, quota: Quota) -> Result<Allowance, StoreError> {
        if !self.may_ask() {
            return self.alone.take(key, quota).await;
        }
        match self.ask(key, quota).await {
            Ok(allowance) => {
                if self.count_alone(None) {
                    tracing::info!("rate limits are counted for all nodes again");
                }
                Ok(allowance)
            }
            Err(error) => {
                if self.count_alone(Some(Instant::now() + REST)) {
                    tracing::warn!(%error, "rate limits are counted by this node alone");
                }
                self.alone.take(key, quota).await
            }
        }
    }
}
