//! What adapters of [`IdempotencyKeys`] are held to.

use crate::domain::time::Timestamp;
use crate::ports::idempotency::{Claim, IdempotencyKeys, KeyScope, Lease, Minted, StoredAnswer};

use super::{Log, at, event_id, incarnation, race};

/// Makes a test of each promise.
macro_rules! idempotency_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::idempotency,
            $factory,
            [
                a_key_is_granted_once_then_in_progress_then_answered,
                another_body_is_a_mismatch_at_any_stage,
                a_lease_runs_out_and_its_identities_are_taken_over,
                a_lease_ends_with_the_incarnation_of_its_holder,
                a_released_key_is_taken_over_at_once,
                a_forgotten_key_is_new_and_an_answered_one_is_not_forgotten,
                of_racing_claims_exactly_one_is_granted,
                of_racing_takeovers_exactly_one_is_granted,
                keys_are_told_apart_by_principal_route_and_key,
                purging_deletes_what_was_claimed_before,
            ]
        );
    };
}
pub(crate) use idempotency_contract;

const BODY: [u8; 32] = [1; 32];
const OTHER_BODY: [u8; 32] = [2; 32];

fn scope(key: &str) -> KeyScope {
    KeyScope { principal: "user:42".into(), route: "POST /v1/posts".into(), key: key.into() }
}

fn minted(n: u8) -> Minted {
    Minted { event: event_id(n.into()), resource: format!("resource-{n}") }
}

fn answer(body: &[u8]) -> StoredAnswer {
    StoredAnswer { status: 201, body: body.into() }
}

/// Claims with a lease of 30 ms.
async fn claim(keys: &dyn IdempotencyKeys, key: &str, n: u8, now: i64) -> Claim {
    claim_body(keys, key, BODY, n, at(now)).await
}

async fn claim_body(
    keys: &dyn IdempotencyKeys,
    key: &str,
    body: [u8; 32],
    n: u8,
    now: Timestamp,
) -> Claim {
    let lease =
        Lease { holder: incarnation(n), until: Timestamp::from_millis(now.as_millis() + 30) };
    keys.claim(&scope(key), body, &minted(n), lease, now).await.unwrap()
}

pub async fn a_key_is_granted_once_then_in_progress_then_answered(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = factory().await;
    let keys = &*log.keys;
    assert_eq!(claim(keys, "k", 1, 0).await, Claim::Granted(minted(1)));
    assert_eq!(claim(keys, "k", 2, 1).await, Claim::InProgress);
    assert_eq!(claim(keys, "k", 1, 29).await, Claim::InProgress);
    let bytes = answer(b"{\"id\":\0\xff}");
    keys.answer(&scope("k"), &bytes).await.unwrap();
    for now in [2, 1_000_000] {
        let claim = claim(keys, "k", 3, now).await;
        assert_eq!(claim, Claim::Answered(bytes.clone()));
    }
    assert_eq!(claim(keys, "e", 1, 0).await, Claim::Granted(minted(1)));
    keys.answer(&scope("e"), &answer(b"")).await.unwrap();
    let empty = claim(keys, "e", 1, 1).await;
    assert_eq!(empty, Claim::Answered(answer(b"")));
}

pub async fn another_body_is_a_mismatch_at_any_stage(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let keys = &*log.keys;
    assert_eq!(claim(keys, "k", 1, 0).await, Claim::Granted(minted(1)));
    let other = async |now| claim_body(keys, "k", OTHER_BODY, 2, at(now)).await;
    assert_eq!(other(1).await, Claim::Mismatch, "in progress");
    assert_eq!(other(99).await, Claim::Mismatch, "the lease ran out");
    keys.release(&scope("k")).await.unwrap();
    assert_eq!(other(1).await, Claim::Mismatch, "released");
    keys.answer(&scope("k"), &answer(b"x")).await.unwrap();
    assert_eq!(other(1).await, Claim::Mismatch, "answered");
    let same = claim(keys, "k", 1, 1).await;
    assert_eq!(same, Claim::Answered(answer(b"x")));
}

pub async fn a_lease_runs_out_and_its_identities_are_taken_over(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = factory().await;
    let keys = &*log.keys;
    assert_eq!(claim(keys, "k", 1, 0).await, Claim::Granted(minted(1)));
    assert_eq!(claim(keys, "k", 2, 30).await, Claim::Granted(minted(1)));
    // The lease is now that of the second.
    assert_eq!(claim(keys, "k", 3, 59).await, Claim::InProgress);
    assert_eq!(claim(keys, "k", 3, 60).await, Claim::Granted(minted(1)));
}

async fn close(log: &Log, run: u8) {
    let mut open = log.runs.all_open().await.unwrap().into_iter();
    let run = open.find(|it| it.cursor.incarnation == incarnation(run)).unwrap();
    assert!(log.runs.close(run.cursor.incarnation, run.beat).await.unwrap());
}

pub async fn a_lease_ends_with_the_incarnation_of_its_holder(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let keys = &*log.keys;
    for run in 1..=2 {
        log.runs.open(incarnation(run), at(0)).await.unwrap();
    }
    assert_eq!(claim(keys, "k", 1, 0).await, Claim::Granted(minted(1)));
    close(&log, 2).await;
    assert_eq!(claim(keys, "k", 3, 1).await, Claim::InProgress);
    close(&log, 1).await;
    assert_eq!(claim(keys, "k", 3, 1).await, Claim::Granted(minted(1)));
    assert_eq!(claim(keys, "k", 4, 2).await, Claim::InProgress);
}

pub async fn a_released_key_is_taken_over_at_once(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let keys = &*log.keys;
    assert_eq!(claim(keys, "k", 1, 0).await, Claim::Granted(minted(1)));
    keys.release(&scope("k")).await.unwrap();
    assert_eq!(claim(keys, "k", 2, 0).await, Claim::Granted(minted(1)));
    assert_eq!(claim(keys, "k", 3, 1).await, Claim::InProgress);
}

pub async fn a_forgotten_key_is_new_and_an_answered_one_is_not_forgotten(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = factory().await;
    let keys = &*log.keys;
    assert_eq!(claim(keys, "k", 1, 0).await, Claim::Granted(minted(1)));
    keys.forget(&scope("k")).await.unwrap();
    let other = claim_body(keys, "k", OTHER_BODY, 2, at(0)).await;
    assert_eq!(other, Claim::Granted(minted(2)));
    keys.answer(&scope("k"), &answer(b"x")).await.unwrap();
    // One whose lease ran out meanwhile finds that it was refused.
    keys.forget(&scope("k")).await.unwrap();
    let again = claim_body(keys, "k", OTHER_BODY, 3, at(1)).await;
    assert_eq!(again, Claim::Answered(answer(b"x")));
    // Nothing is said of keys that are not there.
    keys.forget(&scope("none")).await.unwrap();
    keys.release(&scope("none")).await.unwrap();
    keys.answer(&scope("none"), &answer(b"x")).await.unwrap();
    let new = claim(keys, "none", 4, 0).await;
    assert_eq!(new, Claim::Granted(minted(4)));
}

pub async fn of_racing_claims_exactly_one_is_granted(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let claims = race(|n| {
        let keys = log.keys.clone();
        async move { (n, claim(&*keys, "k", n, 0).await) }
    });
    let claims = claims.await;
    let granted: Vec<_> = claims.iter().filter(|(_, claim)| *claim != Claim::InProgress).collect();
    let [(n, claim)] = granted[..] else {
        panic!("{granted:?} were granted");
    };
    assert_eq!(*claim, Claim::Granted(minted(*n)));
}

pub async fn of_racing_takeovers_exactly_one_is_granted(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let first = claim(&*log.keys, "k", 99, 0).await;
    assert_eq!(first, Claim::Granted(minted(99)));
    let claims = race(|n| {
        let keys = log.keys.clone();
        async move { claim(&*keys, "k", n, 40).await }
    });
    let claims = claims.await;
    let granted = claims.iter().filter(|c| **c == Claim::Granted(minted(99)));
    assert_eq!(granted.count(), 1);
    let waiting = claims.iter().filter(|c| **c == Claim::InProgress);
    assert_eq!(waiting.count(), claims.len() - 1);
}

pub async fn keys_are_told_apart_by_principal_route_and_key(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let mut scopes = vec![scope("k"), scope("K")];
    scopes.push(KeyScope { principal: "api".into(), ..scope("k") });
    scopes.push(KeyScope { route: "POST /api/publish".into(), ..scope("k") });
    for (n, scope) in (1..).zip(&scopes) {
        let lease = Lease { holder: incarnation(n), until: at(30) };
        let own = minted(n);
        let claim = log.keys.claim(scope, BODY, &own, lease, at(0)).await;
        assert_eq!(claim.unwrap(), Claim::Granted(own));
    }
}

pub async fn purging_deletes_what_was_claimed_before(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let keys = &*log.keys;
    for (key, now) in [("a", 0), ("b", 100), ("c", 200)] {
        let claim = claim(keys, key, 1, now).await;
        assert_eq!(claim, Claim::Granted(minted(1)));
        keys.answer(&scope(key), &answer(b"x")).await.unwrap();
    }
    assert_eq!(keys.purge(at(200)).await.unwrap(), 2);
    assert_eq!(keys.purge(at(200)).await.unwrap(), 0);
    assert_eq!(claim(keys, "a", 2, 300).await, Claim::Granted(minted(2)));
    let kept = claim(keys, "c", 2, 300).await;
    assert_eq!(kept, Claim::Answered(answer(b"x")));
}
