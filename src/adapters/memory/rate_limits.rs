//! Rate limits within one node, counted by `governor` with the generic cell rate algorithm.

use std::hash::RandomState;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dashmap::DashMap;
use governor::RateLimiter;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;

use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::rate_limits::{Allowance, LimitKey, Quota, RateLimits, Subject};

/// After this many takes of one quota, the keys are dropped that are as good as new.
const TAKES_BETWEEN_SWEEPS: usize = 4_096;

/// So many keys of one quota may be in use at once; more, and all are forgotten. Whoever has more
/// addresses than this is not held up by a limit that is counted by address.
const KEYS_MAX: usize = 1_000_000;

type Limiter = RateLimiter<
    Subject,
    DashMapStateStore<Subject, RandomState>,
    Elapsed,
    StateInformationMiddleware,
>;

/// The keys of one policy and quota.
struct Counted {
    limiter: Limiter,
    takes: AtomicUsize,
}

/// Counts in this process's memory; a restart makes every quota whole.
pub struct MemoryRateLimits {
    elapsed: Elapsed,
    counted: DashMap<(&'static str, Quota), Arc<Counted>>,
    takes_between_sweeps: usize,
    keys_max: usize,
}

impl MemoryRateLimits {
    /// Counts by the time that `clock` shows.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let seen = Arc::new(Mutex::new(Seen { clock: now, elapsed: Duration::ZERO }));
        Self {
            elapsed: Elapsed { clock, seen },
            counted: DashMap::new(),
            takes_between_sweeps: TAKES_BETWEEN_SWEEPS,
            keys_max: KEYS_MAX,
        }
    }

    /// The same, with other bounds on what is kept.
    #[cfg(test)]
    pub(super) fn keeping(self, takes_between_sweeps: usize, keys_max: usize) -> Self {
        Self { takes_between_sweeps, keys_max, ..self }
    }

    /// How many keys are held.
    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.counted.iter().map(|counted| counted.limiter.len()).sum()
    }

    fn counted(&self, policy: &'static str, quota: Quota) -> Arc<Counted> {
        if let Some(counted) = self.counted.get(&(policy, quota)) {
            return Arc::clone(&counted);
        }
        let fresh = || Arc::new(self.fresh(quota));
        Arc::clone(&self.counted.entry((policy, quota)).or_insert_with(fresh))
    }

    fn fresh(&self, quota: Quota) -> Counted {
        let limiter =
            RateLimiter::new(cells(quota), DashMapStateStore::default(), self.elapsed.clone());
        Counted { limiter, takes: AtomicUsize::new(0) }
    }

    /// Drops what is as good as new, once in a while, so that a flood of addresses fills no memory.
    fn sweep(&self, policy: &'static str, quota: Quota, counted: &Counted) {
        let takes = counted.takes.fetch_add(1, Ordering::Relaxed) + 1;
        if !takes.is_multiple_of(self.takes_between_sweeps) {
            return;
        }
        counted.limiter.retain_recent();
        counted.limiter.shrink_to_fit();
        if counted.limiter.len() > self.keys_max {
            tracing::warn!(
                policy,
                "too many are being limited at once; their counts are forgotten"
            );
            self.counted.insert((policy, quota), Arc::new(self.fresh(quota)));
        }
    }
}

#[async_trait]
impl RateLimits for MemoryRateLimits {
    async fn take(&self, key: &LimitKey, quota: Quota) -> Result<Allowance, StoreError> {
        let counted = self.counted(key.policy, quota);
        let limit = quota.limit.get();
        let allowance = match counted.limiter.check_key(&key.subject) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity().min(limit);
                let reset = interval(quota) * (limit - remaining);
                Allowance { allowed: true, limit, remaining, reset, retry_after: Duration::ZERO }
            }
            Err(refusal) => {
                // A moment may have passed since it was refused; even so there is something to wait for.
                let wait = refusal.wait_time_from(self.elapsed.now()).max(Duration::from_millis(1));
                Allowance { allowed: false, limit, remaining: 0, reset: wait, retry_after: wait }
            }
        };
        self.sweep(key.policy, quota, &counted);
        Ok(allowance)
    }
}

/// How long it takes for one to come back.
fn interval(quota: Quota) -> Duration {
    // An interval of nothing would never be used up.
    (quota.window / quota.limit.get()).max(Duration::from_nanos(1))
}

/// The quota as governor has it: the whole of it at once.
fn cells(quota: Quota) -> governor::Quota {
    let one = governor::Quota::with_period(interval(quota));
    one.unwrap_or_else(|| governor::Quota::per_minute(NonZeroU32::MIN)).allow_burst(quota.limit)
}

/// The time that has passed, as governor wants it: one that never goes back. A clock that is set
/// back would otherwise refuse everyone until it has caught up with itself.
#[derive(Clone)]
struct Elapsed {
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    clock: Timestamp,
    elapsed: Duration,
}

impl Elapsed {
    fn now(&self) -> Duration {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let elapsed = seen.elapsed + now.since(seen.clock);
        *seen = Seen { clock: now, elapsed };
        elapsed
    }
}

impl governor::clock::Clock for Elapsed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Elapsed::now(self)
    }
}
