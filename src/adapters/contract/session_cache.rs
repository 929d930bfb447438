//! What adapters of [`SessionCache`] are held to.

use std::time::{Duration, Instant};

use crate::domain::account::{Plan, Role, Session, SignedIn, TokenHash, User};
use crate::domain::ids::UserId;
use crate::ports::session_cache::{CachedSession, SessionCache};

use super::{Subject, at, race};

/// Makes a test of each promise.
macro_rules! session_cache_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::session_cache,
            $factory,
            [
                nothing_is_found_that_was_not_put,
                an_entry_comes_back_as_it_was_put,
                a_later_entry_takes_the_place_of_an_earlier_one,
                what_was_removed_is_gone_and_the_rest_stays,
                an_entry_is_gone_when_its_time_is_over,
                racing_writers_leave_a_whole_entry,
            ]
        );
    };
}
pub(crate) use session_cache_contract;

type Factory = Subject<dyn SessionCache>;

const LONG: Duration = Duration::from_secs(600);

/// How long an entry may stay after its time, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// An entry under the token of `n`, of which nothing is as it is by default.
pub(crate) fn entry(n: u8) -> CachedSession {
    let user = User {
        id: UserId(i64::from(n) + (1 << 40)),
        email: format!("ada{n}@example.org"),
        username: format!("Ada_{n}"),
        first_name: "Ada \"Augusta\" 🦀".into(),
        last_name: String::new(),
        is_active: true,
        email_verified: true,
        role: Role::Moderator,
        plan: Plan::Enterprise,
        created_at: at(-5),
    };
    let session = Session {
        token: TokenHash([n; 32]),
        user: user.id,
        created_at: at(i64::from(n)),
        expires_at: at(1_000_000),
        user_agent: "Mozilla/5.0 (x; 'y')\n".into(),
        ip: "2001:db8::1".into(),
    };
    CachedSession { signed_in: SignedIn { session, user }, known: u64::from(n) + (1 << 60) }
}

async fn got(cache: &dyn SessionCache, n: u8) -> Option<CachedSession> {
    cache.get(&TokenHash([n; 32])).await.unwrap()
}

pub async fn nothing_is_found_that_was_not_put(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    assert_eq!(got(&*port, 1).await, None);
    port.put(&entry(2), LONG).await.unwrap();
    assert_eq!(got(&*port, 1).await, None);
}

pub async fn an_entry_comes_back_as_it_was_put(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let mut plain = entry(2);
    plain.known = 0;
    plain.signed_in.user.role = Role::Member;
    plain.signed_in.user.plan = Plan::Free;
    plain.signed_in.user.email_verified = false;
    plain.signed_in.session.user_agent = String::new();
    for entry in [entry(1), plain] {
        port.put(&entry, LONG).await.unwrap();
        let token = entry.signed_in.session.token;
        for _ in 0..2 {
            assert_eq!(port.get(&token).await.unwrap().as_ref(), Some(&entry));
        }
    }
}

pub async fn a_later_entry_takes_the_place_of_an_earlier_one(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let mut changed = entry(1);
    port.put(&changed, LONG).await.unwrap();
    changed.known += 1;
    changed.signed_in.user.plan = Plan::Free;
    changed.signed_in.user.first_name = String::new();
    port.put(&changed, LONG).await.unwrap();
    assert_eq!(got(&*port, 1).await, Some(changed));
}

pub async fn what_was_removed_is_gone_and_the_rest_stays(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    port.remove(&TokenHash([1; 32])).await.unwrap();
    for n in [1, 2] {
        port.put(&entry(n), LONG).await.unwrap();
    }
    port.remove(&TokenHash([1; 32])).await.unwrap();
    assert_eq!(got(&*port, 1).await, None);
    assert_eq!(got(&*port, 2).await, Some(entry(2)));
    port.put(&entry(1), LONG).await.unwrap();
    assert_eq!(got(&*port, 1).await, Some(entry(1)));
}

pub async fn an_entry_is_gone_when_its_time_is_over(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    port.put(&entry(2), LONG).await.unwrap();
    let (ttl, began) = (Duration::from_millis(200), Instant::now());
    port.put(&entry(1), ttl).await.unwrap();
    // Put again, it is what was put last that counts.
    port.put(&entry(3), LONG).await.unwrap();
    port.put(&entry(3), ttl).await.unwrap();
    for n in [1, 3] {
        while got(&*port, n).await.is_some() {
            assert!(began.elapsed() < PATIENCE, "entry {n} stays");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(began.elapsed() >= ttl, "entry {n} went before its time");
    }
    assert_eq!(got(&*port, 2).await, Some(entry(2)));
}

pub async fn racing_writers_leave_a_whole_entry(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let cache = port.clone();
    let of = |n: u8| {
        let mut entry = entry(n);
        entry.signed_in.session.token = TokenHash([0; 32]);
        entry
    };
    let read = race(move |n| {
        let cache = cache.clone();
        async move {
            for _ in 0..20 {
                cache.put(&of(n), LONG).await.unwrap();
            }
            got(&*cache, 0).await
        }
    })
    .await;
    let possible: Vec<_> = (0..16).map(of).collect();
    for found in read.into_iter().chain([got(&*port, 0).await]) {
        assert!(found.as_ref().is_some_and(|found| possible.contains(found)), "{found:?}");
    }
}
