//! What is stored and read back, by whom it was changed, and who may be registered at once.

use std::collections::HashSet;

use crate::adapters::contract::accounts::{HASH, new_user, session};
use crate::adapters::contract::at;
use crate::adapters::pooled::ServerError;
use crate::domain::account::{NewUser, Plan, ProfileChange, Role, TokenHash};
use crate::ports::StoreError;
use crate::ports::account_control::AccountControl;
use crate::ports::accounts::RegisterError;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_all_languages_are_kept_and_told_apart() {
    let name = "mysql::texts_of_all_languages_are_kept_and_told_apart";
    unless_skipped(name, async {
        let (accounts, _scratch) = accounts().await;
        let crab = NewUser {
            first_name: "🦀 Zoë".into(),
            last_name: "ﷺ 漢字 O'Neil \\ \"x\" %_".into(),
            ..new_user("crab@example.org", "🦀")
        };
        let stored = accounts.register(&crab).await.unwrap();
        assert_eq!(
            (&*stored.first_name, &*stored.last_name),
            (&*crab.first_name, &*crab.last_name)
        );
        assert_eq!(accounts.credentials("🦀").await.unwrap().unwrap().0, stored);
        let mut opened = session(stored.id, 1);
        opened.user_agent = "🦀".repeat(255);
        assert!(accounts.open_session(&opened, HASH).await.unwrap());
        let found = accounts.session(&opened.token, at(1)).await.unwrap().unwrap();
        assert_eq!(found.session.user_agent, opened.user_agent);
        // Most collations of the server take these for the same.
        for (n, other) in ["🐙", "orjan", "Örjan", "straße", "strasse", "İ", "i"].iter().enumerate()
        {
            accounts.register(&new_user(&format!("{n}@example.org"), other)).await.unwrap();
        }
        for (n, same) in ["ÖRJAN", "STRAßE", "🐙"].iter().enumerate() {
            let refused = accounts.register(&new_user(&format!("x{n}@example.org"), same)).await;
            assert!(matches!(refused, Err(RegisterError::UsernameTaken)), "{same}");
        }
        // A space at the end, which servers do not compare, is none of the name.
        assert_eq!(accounts.credentials("orjan ").await.unwrap(), None);
        // The name of a constraint within what is refused is not taken for the constraint.
        accounts.register(&new_user("users_email", "users_email'")).await.unwrap();
        let refused = accounts.register(&new_user("z@example.org", "users_email'")).await;
        assert!(matches!(refused, Err(RegisterError::UsernameTaken)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_too_long_is_refused_and_not_cut() {
    let name = "mysql::a_text_that_is_too_long_is_refused_and_not_cut";
    unless_skipped(name, async {
        let (accounts, _scratch) = accounts().await;
        let long = NewUser { first_name: "x".repeat(51), ..new_user("a@example.org", "a") };
        let refused = accounts.register(&long).await;
        assert!(matches!(refused, Err(RegisterError::Store(StoreError::Corrupt { .. }))));
        assert_eq!(accounts.credentials("a").await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_registrations_on_two_nodes_each_name_is_given_once() {
    let name = "mysql::of_registrations_on_two_nodes_each_name_is_given_once";
    unless_skipped(name, async {
        let (first, scratch) = accounts().await;
        let second = Arc::new(MysqlAccounts::new(scratch.open().await));
        let tasks = (0..120_u32).map(|n| {
            let node = if n % 2 == 0 { first.clone() } else { second.clone() };
            // Each name and each address is wanted by two, and never by the same two.
            let user =
                new_user(&format!("a{}@example.org", n / 2), &format!("u{}", n.div_ceil(2) % 60));
            tokio::spawn(async move { node.register(&user).await })
        });
        let (mut ids, mut names, mut refused) = (HashSet::new(), HashSet::new(), 0);
        for task in Vec::from_iter(tasks) {
            match task.await.unwrap() {
                Ok(user) => {
                    assert!(ids.insert(user.id));
                    assert!(names.insert(user.username));
                }
                Err(RegisterError::Store(error)) => panic!("{error}"),
                Err(_) => refused += 1,
            }
        }
        assert_eq!(ids.len() + refused, 120);
        let mut connection = scratch.connect().await;
        let counts: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM subscriptions)",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        let ids = i64::try_from(ids.len()).unwrap();
        assert_eq!(counts, (ids, ids));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_audited_with_who_made_it() {
    unless_skipped("mysql::every_change_is_audited_with_who_made_it", async {
        let (accounts, scratch) = accounts().await;
        let user = accounts.register(&new_user("ada@example.org", "ada")).await.unwrap().id;
        let change = ProfileChange { first_name: Some("A".into()), ..ProfileChange::default() };
        accounts.update_profile(user, &change, at(1)).await.unwrap();
        assert!(accounts.open_session(&session(user, 1), HASH).await.unwrap());
        accounts.revoke_sessions(user, Some(&TokenHash([1; 32])), at(1)).await.unwrap();
        accounts.set_password(user, "other", at(2)).await.unwrap();
        accounts.set_role(user, Role::Admin, at(3)).await.unwrap();
        for _ in 0..2 {
            accounts.set_plan(user, Plan::Pro, at(4)).await.unwrap();
            accounts.set_active(user, false, true, at(5)).await.unwrap();
        }
        accounts.set_active(user, true, false, at(6)).await.unwrap();
        accounts.set_active(user, false, false, at(7)).await.unwrap();
        let mut connection = scratch.connect().await;
        let audit = "SELECT kind, actor FROM account_audit WHERE user_id = ? ORDER BY audit_id";
        let audit: Vec<(String, String)> =
            sqlx::query_as(audit).bind(user.0).fetch_all(&mut connection).await.unwrap();
        let audit: Vec<_> = audit.iter().map(|(kind, by)| (kind.as_str(), by.as_str())).collect();
        let expected = [
            ("profile_changed", "owner"),
            ("sessions_ended", "owner"),
            ("password_changed", "owner"),
            ("role_changed", "operator"),
            ("plan_changed", "operator"),
            ("banned", "operator"),
            ("reopened", "operator"),
            ("deactivated", "owner"),
        ];
        assert_eq!(audit, expected);
        let plans = "SELECT plan_type, status FROM subscriptions ORDER BY subscription_id";
        let plans: Vec<(String, String)> =
            sqlx::query_as(plans).fetch_all(&mut connection).await.unwrap();
        let plans: Vec<_> = plans.iter().map(|(plan, is)| (plan.as_str(), is.as_str())).collect();
        assert_eq!(plans, [("free", "cancelled"), ("pro", "active")]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_migrate_once() {
    unless_skipped("mysql::nodes_that_start_at_once_migrate_once", async {
        let scratch = Scratch::new().await;
        let unmigrated = MysqlServer::open(&scratch.url, &pool(), false).await;
        assert!(matches!(unmigrated, Err(ServerError::Mismatch { .. })));
        let starts = (0..4).map(|_| {
            let url = scratch.url.clone();
            tokio::spawn(async move { MysqlServer::open(&url, &pool(), true).await })
        });
        for start in Vec::from_iter(starts) {
            start.await.unwrap().unwrap();
        }
        MysqlServer::open(&scratch.url, &pool(), false).await.unwrap();
        let mut connection = scratch.connect().await;
        sqlx::query("UPDATE _sqlx_migrations SET checksum = 'x'")
            .execute(&mut connection)
            .await
            .unwrap();
        let other = MysqlServer::open(&scratch.url, &pool(), false).await;
        assert!(matches!(other, Err(ServerError::Mismatch { .. })));
        let other = MysqlServer::open(&scratch.url, &pool(), true).await;
        assert!(matches!(other, Err(ServerError::Migrate { .. })));
    })
    .await;
}
