//! What adapters of [`AccountControl`] are held to, together with [`Accounts`] of the same store.

use std::any::Any;
use std::sync::Arc;

use crate::domain::account::{AccountChangeKind, Plan, ProfileChange, Role, TokenHash};
use crate::domain::ids::UserId;
use crate::ports::account_control::AccountControl;
use crate::ports::accounts::Accounts;

use super::accounts::{HASH, ada, new_user, session};
use super::{at, race};

/// Makes a test of each promise.
macro_rules! account_control_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::account_control,
            $factory,
            [
                a_closed_account_loses_its_sessions_and_opens_without_them,
                closing_says_by_whom_and_is_said_once,
                a_role_and_a_plan_are_there_at_once_and_are_changes,
                an_unknown_account_is_said_to_be_and_changes_nothing,
                each_session_that_ends_is_a_change_that_names_it,
                a_changed_profile_or_password_is_a_change,
                changes_are_read_in_parts_and_in_order,
                racing_changes_all_have_numbers_of_their_own,
                a_key_is_known_once_it_was_created,
                sessions_that_ended_long_ago_are_forgotten,
            ]
        );
    };
}
pub(crate) use account_control_contract;

/// Both ports of one store.
pub struct Controlled {
    /// The accounts.
    pub accounts: Arc<dyn Accounts>,
    /// What is decided over them.
    pub control: Arc<dyn AccountControl>,
    /// What has to outlive them.
    pub keep: Box<dyn Any + Send>,
}

impl Controlled {
    async fn bob(&self) -> UserId {
        self.accounts.register(&new_user("bob@example.org", "bob")).await.unwrap().id
    }

    /// What happened after `number`, without the numbers.
    async fn kinds_after(&self, number: u64) -> Vec<(UserId, AccountChangeKind)> {
        let changes = self.control.changes_after(number, 1_000).await.unwrap();
        let numbers: Vec<_> = changes.iter().map(|change| change.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert!(numbers.first().is_none_or(|first| *first > number), "{numbers:?}");
        let last = numbers.last().copied().unwrap_or(number);
        assert_eq!(self.control.last_change().await.unwrap(), last);
        changes.into_iter().map(|change| (change.user, change.kind)).collect()
    }

    async fn last(&self) -> u64 {
        self.control.last_change().await.unwrap()
    }
}

fn token(n: u8) -> TokenHash {
    TokenHash([n; 32])
}

/// The change that names the session opened with `token(n)`.
fn ended(n: u8) -> AccountChangeKind {
    AccountChangeKind::SessionEnded(u64::from_be_bytes([n; 8]))
}

pub async fn a_closed_account_loses_its_sessions_and_opens_without_them(
    factory: impl AsyncFnOnce() -> Controlled,
) {
    let store = factory().await;
    let (accounts, control) = (&store.accounts, &store.control);
    let (ada, bob) = (ada(&**accounts).await.id, store.bob().await);
    for (n, owner) in [(1, ada), (2, bob)] {
        accounts.open_session(&session(owner, n), HASH).await.unwrap();
    }
    let ticket = token(11);
    accounts.issue_ticket(&ticket, &token(1), at(500)).await.unwrap();
    assert!(control.set_active(ada, false, true, at(1)).await.unwrap());
    assert!(!accounts.user(ada).await.unwrap().unwrap().is_active);
    assert!(!accounts.credentials("ada").await.unwrap().unwrap().0.is_active);
    assert!(accounts.session(&token(1), at(2)).await.unwrap().is_none());
    assert!(accounts.redeem_ticket(&ticket, at(2)).await.unwrap().is_none());
    assert!(accounts.session(&token(2), at(2)).await.unwrap().is_some());
    // A log-in that was under way leaves a session that never comes to life.
    accounts.open_session(&session(ada, 3), HASH).await.unwrap();
    assert!(accounts.session(&token(3), at(3)).await.unwrap().is_none());
    assert!(control.set_active(ada, true, false, at(4)).await.unwrap());
    assert!(accounts.user(ada).await.unwrap().unwrap().is_active);
    for n in [1, 3] {
        assert!(accounts.session(&token(n), at(5)).await.unwrap().is_none(), "session {n}");
    }
    accounts.open_session(&session(ada, 4), HASH).await.unwrap();
    assert!(accounts.session(&token(4), at(6)).await.unwrap().is_some());
}

pub async fn closing_says_by_whom_and_is_said_once(factory: impl AsyncFnOnce() -> Controlled) {
    let store = factory().await;
    let ada = ada(&*store.accounts).await.id;
    let from = store.last().await;
    for (active, banned) in
        [(false, true), (false, true), (true, false), (true, false), (false, false), (true, true)]
    {
        assert!(store.control.set_active(ada, active, banned, at(1)).await.unwrap());
    }
    let kinds: Vec<_> = store.kinds_after(from).await.into_iter().map(|(_, kind)| kind).collect();
    use AccountChangeKind::{Banned, Deactivated, Reopened};
    assert_eq!(kinds, [Banned, Reopened, Deactivated, Reopened]);
}

pub async fn a_role_and_a_plan_are_there_at_once_and_are_changes(
    factory: impl AsyncFnOnce() -> Controlled,
) {
    let store = factory().await;
    let (accounts, control) = (&store.accounts, &store.control);
    let (ada, bob) = (ada(&**accounts).await.id, store.bob().await);
    accounts.open_session(&session(ada, 1), HASH).await.unwrap();
    for role in [Role::Admin, Role::Moderator, Role::Member] {
        let from = store.last().await;
        assert!(control.set_role(ada, role, at(1)).await.unwrap());
        assert_eq!(accounts.user(ada).await.unwrap().unwrap().role, role);
        assert_eq!(store.kinds_after(from).await, [(ada, AccountChangeKind::Updated)]);
    }
    for plan in [Plan::Pro, Plan::Enterprise, Plan::Free, Plan::Pro] {
        let from = store.last().await;
        assert!(control.set_plan(ada, plan, at(2)).await.unwrap());
        let found = accounts.session(&token(1), at(3)).await.unwrap().unwrap();
        assert_eq!(found.user.plan, plan);
        assert_eq!(store.kinds_after(from).await, [(ada, AccountChangeKind::Updated)]);
    }
    let bob = accounts.user(bob).await.unwrap().unwrap();
    assert_eq!((bob.plan, bob.role), (Plan::Free, Role::Member));
}

pub async fn an_unknown_account_is_said_to_be_and_changes_nothing(
    factory: impl AsyncFnOnce() -> Controlled,
) {
    let store = factory().await;
    let ada = ada(&*store.accounts).await.id;
    let (control, nobody) = (&store.control, UserId(ada.0 + 1));
    let from = store.last().await;
    assert!(!control.set_active(nobody, false, true, at(1)).await.unwrap());
    assert!(!control.set_role(nobody, Role::Admin, at(1)).await.unwrap());
    assert!(!control.set_plan(nobody, Plan::Pro, at(1)).await.unwrap());
    assert_eq!(store.kinds_after(from).await, []);
}

pub async fn each_session_that_ends_is_a_change_that_names_it(
    factory: impl AsyncFnOnce() -> Controlled,
) {
    let store = factory().await;
    let accounts = &store.accounts;
    let (ada, bob) = (ada(&**accounts).await.id, store.bob().await);
    // The last is beyond what a signed number holds.
    for n in [1, 2, 3, 4, 0xfe] {
        let owner = if n == 3 { bob } else { ada };
        accounts.open_session(&session(owner, n), HASH).await.unwrap();
    }
    let from = store.last().await;
    accounts.revoke_sessions(ada, Some(&token(1)), at(1)).await.unwrap();
    assert_eq!(store.kinds_after(from).await, [(ada, ended(1))]);
    // What ended before, or is another's, ends nothing.
    let from = store.last().await;
    accounts.revoke_sessions(ada, Some(&token(1)), at(2)).await.unwrap();
    accounts.revoke_sessions(ada, Some(&token(3)), at(2)).await.unwrap();
    assert_eq!(store.kinds_after(from).await, []);
    accounts.revoke_sessions(ada, Some(&token(0xfe)), at(2)).await.unwrap();
    assert_eq!(store.kinds_after(from).await, [(ada, ended(0xfe))]);
    accounts.open_session(&session(ada, 5), HASH).await.unwrap();
    let from = store.last().await;
    accounts.revoke_sessions(ada, None, at(3)).await.unwrap();
    let mut all = store.kinds_after(from).await;
    all.sort_by_key(|(_, kind)| format!("{kind:?}"));
    let mut expected = [(ada, ended(2)), (ada, ended(4)), (ada, ended(5))];
    expected.sort_by_key(|(_, kind)| format!("{kind:?}"));
    assert_eq!(all, expected);
    // Closing an account names them as well.
    let from = store.last().await;
    store.control.set_active(bob, false, true, at(4)).await.unwrap();
    let closed = store.kinds_after(from).await;
    assert_eq!(closed, [(bob, ended(3)), (bob, AccountChangeKind::Banned)]);
}

pub async fn a_changed_profile_or_password_is_a_change(factory: impl AsyncFnOnce() -> Controlled) {
    let store = factory().await;
    let accounts = &store.accounts;
    let (ada, bob) = (ada(&**accounts).await.id, store.bob().await);
    accounts.open_session(&session(ada, 1), HASH).await.unwrap();
    let from = store.last().await;
    let change = ProfileChange { first_name: Some("A".into()), ..ProfileChange::default() };
    accounts.update_profile(ada, &change, at(1)).await.unwrap();
    assert_eq!(store.kinds_after(from).await, [(ada, AccountChangeKind::Updated)]);
    let from = store.last().await;
    let change =
        ProfileChange { email: Some("bob@example.org".into()), ..ProfileChange::default() };
    assert!(accounts.update_profile(ada, &change, at(1)).await.is_err());
    accounts.update_profile(UserId(bob.0 + 1), &change, at(1)).await.unwrap();
    accounts.set_password(UserId(bob.0 + 1), "hash", at(1)).await.unwrap();
    assert_eq!(store.kinds_after(from).await, []);
    accounts.set_password(ada, "hash", at(2)).await.unwrap();
    let changes = store.kinds_after(from).await;
    assert_eq!(changes, [(ada, ended(1)), (ada, AccountChangeKind::Updated)]);
}

pub async fn changes_are_read_in_parts_and_in_order(factory: impl AsyncFnOnce() -> Controlled) {
    let store = factory().await;
    let control = &store.control;
    assert_eq!(control.last_change().await.unwrap(), 0);
    assert_eq!(control.changes_after(0, 10).await.unwrap(), []);
    let ada = ada(&*store.accounts).await.id;
    let from = store.last().await;
    for n in 0..5 {
        let role = if n % 2 == 0 { Role::Admin } else { Role::Member };
        control.set_role(ada, role, at(n)).await.unwrap();
    }
    let all = control.changes_after(from, 10).await.unwrap();
    assert_eq!(all.len(), 5);
    let (mut after, mut read) = (from, Vec::new());
    loop {
        let part = control.changes_after(after, 2).await.unwrap();
        assert!(part.len() <= 2);
        let Some(last) = part.last() else { break };
        after = last.number;
        read.extend(part);
    }
    assert_eq!(read, all);
    assert_eq!(after, control.last_change().await.unwrap());
    assert_eq!(control.changes_after(u64::MAX, 10).await.unwrap(), []);
}

pub async fn racing_changes_all_have_numbers_of_their_own(
    factory: impl AsyncFnOnce() -> Controlled,
) {
    let store = factory().await;
    let ada = ada(&*store.accounts).await.id;
    let from = store.last().await;
    for n in 0..16 {
        store.accounts.open_session(&session(ada, n), HASH).await.unwrap();
    }
    let racers = race(|n| {
        let accounts = store.accounts.clone();
        async move { accounts.revoke_sessions(ada, Some(&token(n)), at(1)).await.unwrap() }
    });
    assert!(racers.await.iter().all(|ended| ended.len() == 1));
    let mut changes = store.kinds_after(from).await;
    changes.sort_by_key(|(_, kind)| format!("{kind:?}"));
    changes.dedup();
    assert_eq!(changes.len(), 16);
}

pub async fn a_key_is_known_once_it_was_created(factory: impl AsyncFnOnce() -> Controlled) {
    let control = factory().await;
    let (keep, control) = (control.keep, control.control);
    let key = TokenHash::of("cak_one");
    assert!(!control.is_api_key(&key).await.unwrap());
    control.create_api_key(&key, "the back end", at(0)).await.unwrap();
    assert!(control.is_api_key(&key).await.unwrap());
    assert!(!control.is_api_key(&TokenHash::of("cak_two")).await.unwrap());
    // A name may be used twice.
    control.create_api_key(&TokenHash::of("cak_two"), "the back end", at(0)).await.unwrap();
    assert!(control.is_api_key(&TokenHash::of("cak_two")).await.unwrap());
    drop(keep);
}

pub async fn sessions_that_ended_long_ago_are_forgotten(factory: impl AsyncFnOnce() -> Controlled) {
    let store = factory().await;
    let (accounts, control) = (&store.accounts, &store.control);
    let ada = ada(&**accounts).await.id;
    // They expire at 1,000.
    for n in 1..=3 {
        accounts.open_session(&session(ada, n), HASH).await.unwrap();
        accounts.issue_ticket(&token(10 + n), &token(n), at(5_000)).await.unwrap();
    }
    accounts.revoke_sessions(ada, Some(&token(1)), at(100)).await.unwrap();
    assert_eq!(control.purge_sessions(at(100)).await.unwrap(), 0);
    assert_eq!(control.purge_sessions(at(101)).await.unwrap(), 1);
    assert_eq!(control.purge_sessions(at(1_000)).await.unwrap(), 0);
    assert!(accounts.session(&token(2), at(999)).await.unwrap().is_some());
    let taken = accounts.redeem_ticket(&token(12), at(999)).await.unwrap();
    assert!(taken.is_some(), "the ticket of a session that goes on stays");
    assert_eq!(control.purge_sessions(at(1_001)).await.unwrap(), 2);
    assert!(accounts.session(&token(2), at(0)).await.unwrap().is_none());
    // Nothing is left of the account's sessions to end.
    assert_eq!(accounts.revoke_sessions(ada, None, at(0)).await.unwrap(), []);
}
