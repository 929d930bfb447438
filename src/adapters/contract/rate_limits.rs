//! What adapters of [`RateLimits`] are held to.

use std::any::Any;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::UserId;
use crate::ports::rate_limits::{Allowance, LimitKey, Quota, RateLimits, Subject};

use super::race;

/// Makes a test of each promise.
macro_rules! rate_limits_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::rate_limits,
            $factory,
            [
                a_quota_is_there_at_once_and_not_one_more,
                a_refusal_says_when_to_come_back_and_takes_nothing,
                a_quota_that_was_used_up_is_whole_after_its_window,
                keys_and_quotas_are_counted_apart,
                racing_callers_get_exactly_the_quota,
                a_quota_of_one_can_be_used_again,
            ]
        );
    };
}
pub(crate) use rate_limits_contract;

/// A store of limits under test.
pub struct LimitsSubject {
    /// The adapter.
    pub limits: Arc<dyn RateLimits>,
    /// Lets time pass for the store.
    pub pass: Box<dyn Fn(Duration) + Send + Sync>,
    /// What has to outlive it.
    pub keep: Box<dyn Any + Send>,
}

const WINDOW: Duration = Duration::from_secs(60);

pub(crate) fn quota(limit: u32) -> Quota {
    Quota { limit: NonZeroU32::new(limit).unwrap(), window: WINDOW }
}

pub(crate) fn writes_of(user: i64) -> LimitKey {
    LimitKey { policy: "writes", subject: Subject::User(UserId(user)) }
}

async fn take(limits: &dyn RateLimits, key: LimitKey, limit: u32) -> Allowance {
    let allowance = limits.take(&key, quota(limit)).await.unwrap();
    assert_eq!(allowance.limit, limit);
    assert_eq!(allowance.retry_after.is_zero(), allowance.allowed);
    assert!(!allowance.reset.is_zero() && allowance.reset <= WINDOW, "{allowance:?}");
    allowance
}

async fn use_up(limits: &dyn RateLimits, key: LimitKey, limit: u32) {
    for _ in 0..limit {
        assert!(take(limits, key, limit).await.allowed);
    }
}

pub async fn a_quota_is_there_at_once_and_not_one_more(
    factory: impl AsyncFnOnce() -> LimitsSubject,
) {
    let LimitsSubject { limits, keep: _keep, .. } = factory().await;
    for left in (0..120).rev() {
        let allowance = take(&*limits, writes_of(42), 120).await;
        assert!(allowance.allowed);
        assert_eq!(allowance.remaining, left);
    }
    let refused = take(&*limits, writes_of(42), 120).await;
    assert!(!refused.allowed);
    assert_eq!(refused.remaining, 0);
}

pub async fn a_refusal_says_when_to_come_back_and_takes_nothing(
    factory: impl AsyncFnOnce() -> LimitsSubject,
) {
    let LimitsSubject { limits, pass, keep: _keep } = factory().await;
    use_up(&*limits, writes_of(42), 3).await;
    let mut wait = Duration::ZERO;
    for _ in 0..5 {
        let refused = take(&*limits, writes_of(42), 3).await;
        assert!(!refused.allowed);
        wait = refused.retry_after;
    }
    pass(wait);
    assert!(take(&*limits, writes_of(42), 3).await.allowed);
}

pub async fn a_quota_that_was_used_up_is_whole_after_its_window(
    factory: impl AsyncFnOnce() -> LimitsSubject,
) {
    let LimitsSubject { limits, pass, keep: _keep } = factory().await;
    for _ in 0..2 {
        use_up(&*limits, writes_of(42), 7).await;
        assert!(!take(&*limits, writes_of(42), 7).await.allowed);
        pass(WINDOW);
    }
}

pub async fn keys_and_quotas_are_counted_apart(factory: impl AsyncFnOnce() -> LimitsSubject) {
    let LimitsSubject { limits, keep: _keep, .. } = factory().await;
    let address = |text: &str| Subject::Address(text.parse().unwrap());
    let keys = [
        writes_of(42),
        writes_of(43),
        LimitKey { policy: "logins", subject: Subject::User(UserId(42)) },
        LimitKey { policy: "logins", subject: address("192.0.2.1") },
        LimitKey { policy: "logins", subject: address("2001:db8::") },
    ];
    for key in keys {
        use_up(&*limits, key, 2).await;
        assert!(!take(&*limits, key, 2).await.allowed, "{key}");
        // As after a change of plan.
        use_up(&*limits, key, 3).await;
    }
}

pub async fn racing_callers_get_exactly_the_quota(factory: impl AsyncFnOnce() -> LimitsSubject) {
    let LimitsSubject { limits, keep: _keep, .. } = factory().await;
    let racing = race(move |_| {
        let limits = limits.clone();
        async move {
            let mut got = 0;
            for _ in 0..10 {
                got += u32::from(take(&*limits, writes_of(42), 25).await.allowed);
            }
            got
        }
    });
    assert_eq!(racing.await.into_iter().sum::<u32>(), 25);
}

pub async fn a_quota_of_one_can_be_used_again(factory: impl AsyncFnOnce() -> LimitsSubject) {
    let LimitsSubject { limits, pass, keep: _keep } = factory().await;
    for _ in 0..3 {
        let allowance = take(&*limits, writes_of(42), 1).await;
        assert_eq!((allowance.allowed, allowance.remaining), (true, 0));
        let refused = take(&*limits, writes_of(42), 1).await;
        assert!(!refused.allowed);
        // A server's own clock does not stand still between the two.
        let waited = WINDOW - refused.retry_after;
        assert!(waited < Duration::from_secs(5), "{refused:?}");
        pass(WINDOW);
    }
}
