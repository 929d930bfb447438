//! Numbered changes: how they become visible, and what waits for what.

use std::collections::HashSet;
use std::time::Duration;

use crate::adapters::contract::accounts::{HASH, ada, session};
use crate::adapters::contract::at;
use crate::adapters::contract::sql_servers::until;
use crate::domain::account::{AccountChangeKind, Role, TokenHash};
use crate::ports::account_control::AccountControl;

use super::*;

async fn numbers(accounts: &MysqlAccounts) -> Vec<u64> {
    let changes = accounts.changes_after(0, 100).await.unwrap();
    changes.into_iter().map(|change| change.number).collect()
}

/// Why whoever follows the numbers must go back for those that are missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_can_be_seen_before_one_with_a_lower_number() {
    unless_skipped("mysql::a_change_can_be_seen_before_one_with_a_lower_number", async {
        let (accounts, scratch) = accounts().await;
        let user = ada(&*accounts).await.id;
        let mut slow = scratch.connect().await;
        let mut tx = slow.begin().await.unwrap();
        let insert = "INSERT INTO account_changes (user_id, kind, at) VALUES (1, 'banned', now(3))";
        tx.execute(insert).await.unwrap();
        accounts.set_role(user, Role::Admin, at(1)).await.unwrap();
        let later = accounts.last_change().await.unwrap();
        assert_eq!(numbers(&accounts).await, [later]);
        tx.commit().await.unwrap();
        assert_eq!(numbers(&accounts).await, [later - 1, later]);
        // What is rolled back leaves a number that never comes.
        let mut tx = slow.begin().await.unwrap();
        tx.execute(insert).await.unwrap();
        tx.rollback().await.unwrap();
        accounts.set_role(user, Role::Member, at(2)).await.unwrap();
        assert_eq!(numbers(&accounts).await, [later - 1, later, later + 2]);
    })
    .await;
}

/// A login that was checked against a password which is being changed waits for that, and then is too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_waits_for_a_change_of_the_password_that_is_under_way() {
    let name = "mysql::a_login_waits_for_a_change_of_the_password_that_is_under_way";
    unless_skipped(name, async {
        let (accounts, scratch) = accounts().await;
        let user = ada(&*accounts).await.id;
        let mut changing = scratch.connect().await;
        let mut tx = changing.begin().await.unwrap();
        tx.execute("UPDATE users SET password_hash = 'new'").await.unwrap();
        let login = {
            let accounts = accounts.clone();
            tokio::spawn(async move { accounts.open_session(&session(user, 1), HASH).await })
        };
        until("the login to wait for a lock", || async {
            // The server makes this table anew only for whoever asks after nobody did for 100 ms.
            tokio::time::sleep(Duration::from_millis(250)).await;
            let waiting: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM information_schema.innodb_trx AS t
                 JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id
                 WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()",
            )
            .fetch_one(&mut scratch.connect().await)
            .await
            .unwrap();
            (waiting > 0).then_some(())
        })
        .await;
        tx.commit().await.unwrap();
        assert!(!login.await.unwrap().unwrap(), "the password had changed");
        assert!(accounts.session(&TokenHash([1; 32]), at(1)).await.unwrap().is_none());
    })
    .await;
}

/// Logging out everywhere while others log in and out leaves nobody in, and nobody with an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_one_account_on_two_nodes_do_not_fail_for_each_other() {
    let name = "mysql::changes_of_one_account_on_two_nodes_do_not_fail_for_each_other";
    unless_skipped(name, async {
        let (first, scratch) = accounts().await;
        let second = Arc::new(MysqlAccounts::new(scratch.open().await));
        let user = ada(&*first).await.id;
        let tasks = (0..60_u8).map(|n| {
            let node = if n % 2 == 0 { first.clone() } else { second.clone() };
            tokio::spawn(async move {
                assert!(node.open_session(&session(user, n), HASH).await.unwrap());
                match n % 4 {
                    0 => drop(node.revoke_sessions(user, None, at(1)).await.unwrap()),
                    1 => drop(node.set_role(user, Role::Admin, at(1)).await.unwrap()),
                    2 => drop(node.purge_sessions(at(0)).await.unwrap()),
                    _ => {
                        let token = TokenHash([n; 32]);
                        node.revoke_sessions(user, Some(&token), at(1)).await.unwrap();
                    }
                }
            })
        });
        for task in Vec::from_iter(tasks) {
            task.await.unwrap();
        }
        second.revoke_sessions(user, None, at(2)).await.unwrap();
        let mut ended = HashSet::new();
        for change in first.changes_after(0, 1_000).await.unwrap() {
            if let AccountChangeKind::SessionEnded(session) = change.kind {
                assert!(ended.insert(session), "a session ended twice");
            }
        }
        assert_eq!(ended.len(), 60);
    })
    .await;
}
