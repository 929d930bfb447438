//! A server that is stopped, stands still, and comes back.

use std::time::Duration;

use tokio::time::timeout;

use crate::adapters::contract::accounts::ada;
use crate::adapters::contract::sql_servers::{
    PATIENCE, address_of, hasty_pool, until, with_address,
};
use crate::adapters::contract::wire::Wire;
use crate::adapters::pooled::ServerError;
use crate::domain::ids::UserId;
use crate::ports::StoreError;

use super::*;

/// Accounts behind a wire, which give up soon.
async fn wired() -> (Arc<MysqlAccounts>, Wire, Scratch) {
    let scratch = Scratch::new().await;
    scratch.open().await;
    let wire = Wire::to(address_of(&scratch.url, 3306)).await;
    let url = with_address(&scratch.url, &wire.address.to_string());
    let server = MysqlServer::open(&url, &hasty_pool(), true).await.unwrap();
    (Arc::new(MysqlAccounts::new(server)), wire, scratch)
}

/// Many ask at once; all are answered within the time that the pool has.
async fn all_are_told_in_time(accounts: &Arc<MysqlAccounts>) {
    let asked = Vec::from_iter((0..16).map(|_| {
        let accounts = accounts.clone();
        tokio::spawn(async move { accounts.user(UserId(1)).await })
    }));
    for answer in asked {
        // Ten times what the pool has: the machine may be busy, but a caller that hangs is found out.
        let answer = timeout(Duration::from_secs(10), answer).await.expect("a caller hangs");
        assert!(matches!(answer.unwrap(), Err(StoreError::Unavailable { store: "accounts", .. })));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_stopped_is_used_again_once_it_is_back() {
    let name = "mysql::a_server_that_was_stopped_is_used_again_once_it_is_back";
    unless_skipped(name, async {
        let (accounts, wire, _scratch) = wired().await;
        let ada = ada(&*accounts).await;
        for _ in 0..2 {
            wire.cut().await;
            all_are_told_in_time(&accounts).await;
            wire.mend().await;
            let found = until("the server", || async { accounts.user(ada.id).await.ok() }).await;
            assert_eq!(found, Some(ada.clone()));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_hangs_nobody_and_is_used_again() {
    let name = "mysql::a_server_that_stands_still_hangs_nobody_and_is_used_again";
    unless_skipped(name, async {
        let (accounts, wire, _scratch) = wired().await;
        let ada = ada(&*accounts).await;
        wire.clog().await;
        all_are_told_in_time(&accounts).await;
        wire.mend().await;
        let found = until("the server", || async { accounts.user(ada.id).await.ok() }).await;
        assert_eq!(found, Some(ada));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_server_fails_in_time_and_shows_no_password() {
    let name = "mysql::a_start_without_the_server_fails_in_time_and_shows_no_password";
    unless_skipped(name, async {
        let (_accounts, wire, _scratch) = wired().await;
        for clogged in [false, true] {
            if clogged {
                wire.clog().await
            } else {
                wire.cut().await
            }
            let url = format!("mysql://root:hunter2@{}/x", wire.address);
            let pool = hasty_pool();
            let start = MysqlServer::open(&url, &pool, true);
            let error = timeout(PATIENCE, start).await.expect("it hangs").err().unwrap();
            assert!(matches!(error, ServerError::Connect { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    })
    .await;
}
