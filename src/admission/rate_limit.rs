//! Limits how often something may be done: which quota is whose.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::domain::account::{Plan, User};
use crate::domain::problem::{Problem, ProblemKind};
use crate::metrics::AdmissionMetrics;
use crate::ports::rate_limits::{Allowance, LimitKey, Quota, RateLimits, Subject};

/// How many bits of an IPv6 address are one caller: the rest is the caller's own to choose (RFC 4291).
const NETWORK_BITS: u32 = 64;

/// What may be done how often.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    /// Registrations of an address.
    pub registrations: Quota,
    /// Logins of an address, whether they succeed or not.
    pub logins: Quota,
    /// Writes of an account with the plan free.
    pub free_writes: Quota,
    /// Writes of an account with the plan pro.
    pub pro_writes: Quota,
    /// Writes of an account with the plan enterprise.
    pub enterprise_writes: Quota,
}

/// One that was asked for, and what came of it. Callers are told even if it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What is limited.
    pub policy: &'static str,
    /// How often it may be done.
    pub quota: Quota,
    /// What came of it.
    pub allowance: Allowance,
}

impl Taken {
    /// Lets those pass for whom there was one.
    ///
    /// # Errors
    /// `rate_limited` for everyone else, with the time to wait.
    pub fn check(&self) -> Result<(), Problem> {
        if self.allowance.allowed {
            return Ok(());
        }
        let (limit, seconds) = (self.quota.limit, self.quota.window.as_secs());
        let detail = format!("At most {limit} {} are permitted in {seconds} seconds.", self.policy);
        let problem = Problem::new(ProblemKind::TooMany, "rate_limited", detail);
        Err(Problem { retry_after: Some(self.allowance.retry_after), ..problem })
    }
}

/// Takes from the quotas. Nobody is kept from anything because the store of the limits fails.
pub struct RateLimiter {
    /// Counts what was taken.
    pub store: Arc<dyn RateLimits>,
    /// `None` where nothing is limited.
    pub quotas: Option<Quotas>,
    /// What is counted.
    pub metrics: AdmissionMetrics,
}

impl RateLimiter {
    /// Takes one write of `user`, as many as the plan has. `None` where it is not limited.
    pub async fn write(&self, user: &User) -> Option<Taken> {
        let quotas = self.quotas.as_ref()?;
        let quota = match user.plan {
            Plan::Free => quotas.free_writes,
            Plan::Pro => quotas.pro_writes,
            Plan::Enterprise => quotas.enterprise_writes,
        };
        self.take("writes", Subject::User(user.id), quota).await
    }

    /// Takes one registration of the address `ip`. `None` where it is not limited.
    pub async fn registration(&self, ip: IpAddr) -> Option<Taken> {
        let quota = self.quotas.as_ref()?.registrations;
        self.take("registrations", Subject::Address(network(ip)), quota).await
    }

    /// Takes one login of the address `ip`. `None` where it is not limited.
    pub async fn login(&self, ip: IpAddr) -> Option<Taken> {
        let quota = self.quotas.as_ref()?.logins;
        self.take("logins", Subject::Address(network(ip)), quota).await
    }

    async fn take(&self, policy: &'static str, subject: Subject, quota: Quota) -> Option<Taken> {
        match self.store.take(&LimitKey { policy, subject }, quota).await {
            Ok(allowance) => {
                if !allowance.allowed {
                    self.metrics.rate_limited(policy);
                }
                Some(Taken { policy, quota, allowance })
            }
            Err(error) => {
                tracing::warn!(%error, policy, "a limit could not be checked, so nobody is refused");
                None
            }
        }
    }
}

/// What stands for all addresses that one caller may have: an IPv4 address, or the network of an IPv6 one.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let network = u128::from(ip) >> (128 - NETWORK_BITS) << (128 - NETWORK_BITS);
            Ipv6Addr::from(network).into()
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::adapters::memory::manual_clock::ManualClock;
    use crate::adapters::memory::rate_limits::MemoryRateLimits;
    use crate::domain::account::Role;
    use crate::domain::ids::UserId;
    use crate::domain::time::Timestamp;
    use crate::ports::StoreError;

    fn quota(limit: u32) -> Quota {
        Quota::per_minute(NonZeroU32::new(limit).unwrap())
    }

    fn quotas() -> Quotas {
        Quotas {
            registrations: quota(1),
            logins: quota(2),
            free_writes: quota(3),
            pro_writes: quota(4),
            enterprise_writes: quota(5),
        }
    }

    fn over(store: Arc<dyn RateLimits>) -> RateLimiter {
        RateLimiter { store, quotas: Some(quotas()), metrics: AdmissionMetrics::default() }
    }

    fn limiter() -> RateLimiter {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        over(Arc::new(MemoryRateLimits::new(clock)))
    }

    fn user(id: i64, plan: Plan) -> User {
        User {
            id: UserId(id),
            email: "ada@example.test".into(),
            username: "ada".into(),
            first_name: String::new(),
            last_name: String::new(),
            is_active: true,
            email_verified: false,
            role: Role::Member,
            plan,
            created_at: Timestamp::from_millis(0),
        }
    }

    #[tokio::test]
    async fn the_plan_decides_how_many_writes_there_are() {
        let limiter = limiter();
        for (id, plan, limit) in
            [(1, Plan::Free, 3_u32), (2, Plan::Pro, 4), (3, Plan::Enterprise, 5)]
        {
            for left in (0..limit).rev() {
                let taken = limiter.write(&user(id, plan)).await.unwrap();
                assert_eq!((taken.policy, taken.allowance.limit), ("writes", limit));
                assert_eq!(taken.allowance.remaining, left);
                assert_eq!(taken.check(), Ok(()));
            }
            let problem = limiter.write(&user(id, plan)).await.unwrap().check().unwrap_err();
            assert_eq!((problem.kind, problem.code), (ProblemKind::TooMany, "rate_limited"));
            assert_eq!(problem.retry_after, Some(Duration::from_secs(60) / limit));
        }
    }

    #[tokio::test]
    async fn registrations_and_logins_are_limited_each_by_address() {
        let limiter = limiter();
        let (here, there): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let taken = limiter.registration(here).await.unwrap();
        assert_eq!((taken.policy, taken.allowance.allowed), ("registrations", true));
        assert!(!limiter.registration(here).await.unwrap().allowance.allowed);
        assert!(limiter.registration(there).await.unwrap().allowance.allowed);
        let taken = limiter.login(here).await.unwrap();
        assert_eq!((taken.policy, taken.allowance.remaining), ("logins", 1));
    }

    #[tokio::test]
    async fn addresses_of_one_network_are_one_caller() {
        let limiter = limiter();
        for (ip, allowed) in [
            ("2001:db8:1:2::1", true),
            ("2001:db8:1:2:ffff::9", false),
            ("2001:db8:1:3::1", true),
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", false),
        ] {
            let taken = limiter.registration(ip.parse().unwrap()).await.unwrap();
            assert_eq!(taken.allowance.allowed, allowed, "{ip}");
        }
    }

    struct Down;

    #[async_trait::async_trait]
    impl RateLimits for Down {
        async fn take(&self, _: &LimitKey, _: Quota) -> Result<Allowance, StoreError> {
            Err(StoreError::Unavailable { store: "limits", cause: "it is down".into() })
        }
    }

    #[tokio::test]
    async fn nothing_is_limited_while_the_store_is_down_or_limits_are_off() {
        let down = over(Arc::new(Down));
        let off = RateLimiter { quotas: None, ..limiter() };
        let ip = "192.0.2.1".parse().unwrap();
        for limiter in [down, off] {
            for _ in 0..10 {
                assert_eq!(limiter.registration(ip).await, None);
                assert_eq!(limiter.login(ip).await, None);
                assert_eq!(limiter.write(&user(1, Plan::Free)).await, None);
            }
        }
    }
}
