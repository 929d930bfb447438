//! Rate limits on all nodes together. This file uses `redis`, as all adapters of Redis do but the broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::commands::RedisCommands;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::rate_limits::{Allowance, LimitKey, Quota, RateLimits};

/// Counts in Redis, by its clock, and forgets with it, which makes every quota whole. While it is
/// away, another adapter, of this node alone, counts from a whole quota.
pub struct RedisRateLimits {
    commands: Arc<RedisCommands>,
    take: Script,
    alone: Arc<dyn RateLimits>,
    is_alone: AtomicBool,
    /// The clock to count by instead of the server's, so that a test can let time pass.
    clock: Option<Arc<dyn Clock>>,
}

impl RedisRateLimits {
    /// Counts where `commands` lead, or else with `alone`.
    pub fn new(commands: Arc<RedisCommands>, alone: Arc<dyn RateLimits>) -> Self {
        let take = Script::new(include_str!("scripts/take.lua"));
        Self { commands, take, alone, is_alone: AtomicBool::new(false), clock: None }
    }

    /// The same, by this clock.
    #[cfg(test)]
    pub(super) fn by(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    async fn ask(&self, key: &LimitKey, quota: Quota) -> Result<Allowance, StoreError> {
        let (limit, window) = (quota.limit.get(), quota.window.as_millis());
        let name = self.commands.keys.apart(&format!("rl:{key}"), &format!("{limit}:{window}"));
        let now = self.clock.as_ref().map_or(String::new(), |it| it.now().as_millis().to_string());
        let arguments = [limit.to_string(), window.max(1).to_string(), now];
        let (allowed, remaining, wait): (bool, u32, u64) =
            self.commands.run(&self.take, &[name], &arguments).await?;
        let wait = Duration::from_millis(wait);
        let retry_after = if allowed { Duration::ZERO } else { wait };
        Ok(Allowance { allowed, limit, remaining, reset: wait, retry_after })
    }
}

#[async_trait]
impl RateLimits for RedisRateLimits {
    async fn take(&self, key: &LimitKey, quota: Quota) -> Result<Allowance, StoreError> {
        match self.ask(key, quota).await {
            Ok(allowance) => {
                if self.is_alone.swap(false, Ordering::Relaxed) {
                    tracing::info!("rate limits are counted for all nodes again");
                }
                Ok(allowance)
            }
            Err(error) => {
                if !self.is_alone.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "rate limits are counted by this node alone");
                }
                self.alone.take(key, quota).await
            }
        }
    }
}
