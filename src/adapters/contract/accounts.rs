//! What adapters of [`Accounts`] are held to.

use std::collections::HashSet;
use std::time::Duration;

use crate::domain::account::{NewUser, Plan, ProfileChange, Role, Session, TokenHash, User};
use crate::domain::ids::UserId;
use crate::ports::accounts::{Accounts, RegisterError};

use super::{Subject, at, race};

/// Makes a test of each promise.
macro_rules! accounts_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::accounts,
            $factory,
            [
                a_new_account_is_active_and_free_and_found_by_number_name_and_address,
                an_address_or_a_name_is_taken_without_regard_to_case,
                of_racing_registrations_exactly_one_succeeds,
                a_session_is_found_until_it_expires,
                revoking_ends_one_session_or_all_of_one_user,
                racing_revocations_end_a_session_once,
                a_ticket_stands_for_its_session_once,
                a_ticket_is_worth_no_more_than_its_session,
                of_racing_redemptions_exactly_one_gets_the_session,
                accounts_are_found_by_lists_of_numbers_and_of_names,
                a_profile_changes_where_something_is_given,
                an_address_of_another_account_is_refused_and_changes_nothing,
                a_new_password_ends_all_sessions_of_its_account_only,
            ]
        );
    };
}
pub(crate) use accounts_contract;

type Factory = Subject<dyn Accounts>;

/// What is kept of everyone's password.
pub(crate) const HASH: &str = "$argon2id$first";

pub(crate) fn new_user(email: &str, username: &str) -> NewUser {
    NewUser {
        email: email.into(),
        username: username.into(),
        password_hash: HASH.into(),
        first_name: "Ada".into(),
        last_name: String::new(),
        created_at: at(5),
    }
}

pub(crate) async fn ada(accounts: &dyn Accounts) -> User {
    let ada = new_user("ada@example.org", "Ada");
    accounts.register(&ada).await.unwrap()
}

pub(crate) fn session(user: UserId, n: u8) -> Session {
    Session {
        token: TokenHash([n; 32]),
        user,
        created_at: at(0),
        expires_at: at(1_000),
        user_agent: "agent".into(),
        ip: "192.0.2.1".into(),
    }
}

pub async fn a_new_account_is_active_and_free_and_found_by_number_name_and_address(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let user = ada(&*port).await;
    let expected = User {
        id: user.id,
        email: "ada@example.org".into(),
        username: "Ada".into(),
        first_name: "Ada".into(),
        last_name: String::new(),
        is_active: true,
        email_verified: false,
        role: Role::Member,
        plan: Plan::Free,
        created_at: at(5),
    };
    assert_eq!(user, expected);
    assert_eq!(port.user(user.id).await.unwrap(), Some(expected.clone()));
    assert_eq!(port.user(UserId(user.id.0 + 1)).await.unwrap(), None);
    for login in ["ada@example.org", "ADA@example.ORG", "Ada", "aDA"] {
        let found = port.credentials(login).await.unwrap();
        let wanted = Some((expected.clone(), HASH.to_owned()));
        assert_eq!(found, wanted, "{login}");
    }
    assert_eq!(port.credentials("nobody").await.unwrap(), None);
}

pub async fn an_address_or_a_name_is_taken_without_regard_to_case(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let user = ada(&*port).await;
    let same_email = port.register(&new_user("ADA@example.org", "other")).await;
    assert!(matches!(same_email, Err(RegisterError::EmailTaken)));
    let same_name = port.register(&new_user("b@example.org", "aDa")).await;
    assert!(matches!(same_name, Err(RegisterError::UsernameTaken)));
    let other = port.register(&new_user("b@example.org", "Örjan")).await;
    assert_ne!(other.unwrap().id, user.id);
    let same_name = port.register(&new_user("c@example.org", "öRJAN")).await;
    assert!(matches!(same_name, Err(RegisterError::UsernameTaken)));
}

pub async fn of_racing_registrations_exactly_one_succeeds(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let by_name = race(|n| {
        let port = port.clone();
        async move { port.register(&new_user(&format!("{n}@x.org"), "same")).await }
    });
    let results = by_name.await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    let taken = |r: &&Result<_, _>| matches!(r, Err(RegisterError::UsernameTaken));
    assert_eq!(results.iter().filter(taken).count(), results.len() - 1);
    let by_email = race(|n| {
        let port = port.clone();
        async move { port.register(&new_user("same@x.org", &format!("n{n}"))).await }
    });
    let results = by_email.await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    let taken = |r: &&Result<_, _>| matches!(r, Err(RegisterError::EmailTaken));
    assert_eq!(results.iter().filter(taken).count(), results.len() - 1);
    let distinct = race(|n| {
        let port = port.clone();
        let user = new_user(&format!("d{n}@x.org"), &format!("d{n}"));
        async move { port.register(&user).await.unwrap().id }
    });
    let ids = distinct.await;
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}

pub async fn a_session_is_found_until_it_expires(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let user = ada(&*port).await;
    let opened = session(user.id, 1);
    port.open_session(&opened, HASH).await.unwrap();
    let found = port.session(&opened.token, at(999)).await.unwrap().unwrap();
    assert_eq!(found.user, user);
    assert_eq!(found.session.token, opened.token);
    assert_eq!(found.session.user, user.id);
    assert_eq!(found.session.created_at, opened.created_at);
    assert_eq!(found.session.expires_at, opened.expires_at);
    assert_eq!(found.session.user_agent, "agent");
    assert_eq!(found.session.ip, "192.0.2.1");
    assert!(port.session(&opened.token, at(1_000)).await.unwrap().is_none());
    let unknown = TokenHash([9; 32]);
    assert!(port.session(&unknown, at(0)).await.unwrap().is_none());
}

pub async fn revoking_ends_one_session_or_all_of_one_user(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let user = ada(&*port).await.id;
    let bob = new_user("bob@example.org", "bob");
    let bob = port.register(&bob).await.unwrap().id;
    for n in 1..=4 {
        let owner = if n == 4 { bob } else { user };
        port.open_session(&session(owner, n), HASH).await.unwrap();
    }
    let token = |n: u8| TokenHash([n; 32]);
    // Nobody ends another's session.
    let ended = port.revoke_sessions(bob, Some(&token(1)), at(1)).await;
    assert_eq!(ended.unwrap(), []);
    assert!(port.session(&token(1), at(1)).await.unwrap().is_some());

    let ended = port.revoke_sessions(user, Some(&token(1)), at(1)).await;
    assert_eq!(ended.unwrap(), [token(1)]);
    assert!(port.session(&token(1), at(1)).await.unwrap().is_none());
    let again = port.revoke_sessions(user, Some(&token(1)), at(1)).await;
    assert_eq!(again.unwrap(), []);

    let ended = port.revoke_sessions(user, None, at(1)).await.unwrap();
    assert_eq!(ended.len(), 2);
    let ended: HashSet<_> = ended.into_iter().collect();
    assert_eq!(ended, [token(2), token(3)].into());
    assert!(port.session(&token(2), at(1)).await.unwrap().is_none());
    assert!(port.session(&token(4), at(1)).await.unwrap().is_some());
    // One that has expired is not ended by anyone.
    let late = port.revoke_sessions(bob, None, at(1_000)).await;
    assert_eq!(late.unwrap(), []);
}

pub async fn racing_revocations_end_a_session_once(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let user = ada(&*port).await.id;
    port.open_session(&session(user, 1), HASH).await.unwrap();
    let attempts = race(|_| {
        let port = port.clone();
        async move { port.revoke_sessions(user, None, at(1)).await.unwrap() }
    });
    let ended: Vec<_> = attempts.await.into_iter().flatten().collect();
    assert_eq!(ended, [TokenHash([1; 32])]);
}

pub async fn a_ticket_stands_for_its_session_once(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let user = ada(&*port).await;
    let opened = session(user.id, 1);
    port.open_session(&opened, HASH).await.unwrap();
    let (ticket, late) = (TokenHash([11; 32]), TokenHash([12; 32]));
    for ticket in [&ticket, &late] {
        port.issue_ticket(ticket, &opened.token, at(30)).await.unwrap();
    }
    let taken = port.redeem_ticket(&ticket, at(29)).await.unwrap().unwrap();
    assert_eq!(taken.user, user);
    assert_eq!(taken.session.token, opened.token);
    assert!(port.redeem_ticket(&ticket, at(29)).await.unwrap().is_none());
    assert!(port.redeem_ticket(&late, at(30)).await.unwrap().is_none());
    let unknown = TokenHash([13; 32]);
    assert!(port.redeem_ticket(&unknown, at(1)).await.unwrap().is_none());
    // The session itself goes on.
    assert!(port.session(&opened.token, at(30)).await.unwrap().is_some());
}

pub async fn a_ticket_is_worth_no_more_than_its_session(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let user = ada(&*port).await.id;
    let far = at(0).plus(Duration::from_secs(60));
    for n in 1..=2 {
        port.open_session(&session(user, n), HASH).await.unwrap();
        let (ticket, token) = (TokenHash([10 + n; 32]), TokenHash([n; 32]));
        port.issue_ticket(&ticket, &token, far).await.unwrap();
    }
    let revoked = TokenHash([1; 32]);
    let ended = port.revoke_sessions(user, Some(&revoked), at(1)).await;
    assert_eq!(ended.unwrap(), [revoked]);
    let taken = port.redeem_ticket(&TokenHash([11; 32]), at(2)).await;
    assert!(taken.unwrap().is_none(), "the session was revoked");
    let taken = port.redeem_ticket(&TokenHash([12; 32]), at(1_000)).await;
    assert!(taken.unwrap().is_none(), "the session had expired");
}

pub async fn of_racing_redemptions_exactly_one_gets_the_session(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let user = ada(&*port).await.id;
    let opened = session(user, 1);
    port.open_session(&opened, HASH).await.unwrap();
    let ticket = TokenHash([11; 32]);
    port.issue_ticket(&ticket, &opened.token, at(30)).await.unwrap();
    let attempts = race(|_| {
        let port = port.clone();
        async move { port.redeem_ticket(&ticket, at(1)).await.unwrap() }
    });
    let taken = attempts.await;
    assert_eq!(taken.iter().flatten().count(), 1);
}

pub async fn accounts_are_found_by_lists_of_numbers_and_of_names(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let ada = ada(&*port).await;
    let orjan = port.register(&new_user("b@example.org", "Örjan")).await.unwrap();
    let sorted = |mut users: Vec<User>| {
        users.sort_by_key(|user| user.id.0);
        users
    };
    let both = vec![ada.clone(), orjan.clone()];
    let unknown = UserId(orjan.id.0 + 1);
    let found = port.users(&[orjan.id, unknown, ada.id, ada.id]).await.unwrap();
    assert_eq!(sorted(found), both);
    assert_eq!(port.users(&[]).await.unwrap(), []);
    let names = ["öRJAN", "aDA", "ada", "nobody", "\"; --"].map(str::to_owned);
    assert_eq!(sorted(port.users_named(&names).await.unwrap()), both);
    // A name is no address.
    let names = ["ada@example.org".to_owned()];
    assert_eq!(port.users_named(&names).await.unwrap(), []);
    assert_eq!(port.users_named(&[]).await.unwrap(), []);
}

pub async fn a_profile_changes_where_something_is_given(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let ada = ada(&*port).await;
    let change = ProfileChange { last_name: Some("Byron".into()), ..ProfileChange::default() };
    let updated = port.update_profile(ada.id, &change, at(9)).await.unwrap().unwrap();
    assert_eq!(updated, User { last_name: "Byron".into(), ..ada.clone() });
    let change = ProfileChange {
        email: Some("COUNTESS@example.org".into()),
        first_name: Some(String::new()),
        last_name: Some("Lovelace".into()),
    };
    let updated = port.update_profile(ada.id, &change, at(10)).await.unwrap().unwrap();
    let expected = User {
        email: "countess@example.org".into(),
        first_name: String::new(),
        last_name: "Lovelace".into(),
        ..ada.clone()
    };
    assert_eq!(updated, expected);
    assert_eq!(port.user(ada.id).await.unwrap(), Some(expected));
    assert!(port.credentials("countess@example.org").await.unwrap().is_some());
    assert!(port.credentials("ada@example.org").await.unwrap().is_none());
    // The former address is free, and one's own is no conflict.
    port.register(&new_user("ada@example.org", "other")).await.unwrap();
    assert!(port.update_profile(ada.id, &change, at(11)).await.unwrap().is_some());
    let nobody = UserId(ada.id.0 + 100);
    assert!(port.update_profile(nobody, &change, at(12)).await.unwrap().is_none());
}

pub async fn an_address_of_another_account_is_refused_and_changes_nothing(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let ada = ada(&*port).await;
    port.register(&new_user("bob@example.org", "bob")).await.unwrap();
    let change = ProfileChange {
        email: Some("BOB@example.org".into()),
        first_name: Some("Not".into()),
        last_name: None,
    };
    let refused = port.update_profile(ada.id, &change, at(9)).await;
    assert!(matches!(refused, Err(RegisterError::EmailTaken)));
    assert_eq!(port.user(ada.id).await.unwrap(), Some(ada));
}

pub async fn a_new_password_ends_all_sessions_of_its_account_only(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let ada = ada(&*port).await;
    let bob = port.register(&new_user("bob@example.org", "bob")).await.unwrap().id;
    for (n, owner) in [(1, ada.id), (2, ada.id), (3, bob)] {
        port.open_session(&session(owner, n), HASH).await.unwrap();
    }
    let (ticket, token) = (TokenHash([11; 32]), TokenHash([1; 32]));
    port.issue_ticket(&ticket, &token, at(500)).await.unwrap();
    port.set_password(ada.id, "$argon2id$new", at(1)).await.unwrap();
    let found = port.credentials("Ada").await.unwrap();
    let found_id = ada.id;
    assert_eq!(found, Some((ada, "$argon2id$new".to_owned())));
    for n in [1, 2] {
        let ended = port.session(&TokenHash([n; 32]), at(2)).await.unwrap();
        assert!(ended.is_none(), "session {n}");
    }
    assert!(port.redeem_ticket(&ticket, at(2)).await.unwrap().is_none());
    assert!(port.session(&TokenHash([3; 32]), at(2)).await.unwrap().is_some());
    // A login that was checked against the old password comes too late.
    assert!(!port.open_session(&session(found_id, 4), HASH).await.unwrap());
    assert!(port.session(&TokenHash([4; 32]), at(2)).await.unwrap().is_none());
    assert!(port.open_session(&session(found_id, 5), "$argon2id$new").await.unwrap());
    assert_eq!(port.credentials("bob").await.unwrap().unwrap().1, HASH);
    // Nobody's password can be set without effect.
    port.set_password(UserId(bob.0 + 100), "$argon2id$x", at(3)).await.unwrap();
}
