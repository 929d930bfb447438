//! A server that is stopped, stands still, and comes back.

use std::time::Duration;

use tokio::time::timeout;

use crate::adapters::contract::sql_servers::{address_of, hasty_pool, until, with_address};
use crate::adapters::contract::wire::Wire;
use crate::adapters::contract::{cursor, logged, publication};
use crate::ports::StoreError;

use super::*;

/// A projection behind a wire, which gives up soon.
async fn wired() -> (Arc<PostgresAnalytics>, Wire, Scratch) {
    let scratch = Scratch::new().await;
    scratch.open().await;
    let wire = Wire::to(address_of(&scratch.url, 5432)).await;
    let url = with_address(&scratch.url, &wire.address.to_string());
    let server = PostgresServer::open(&url, &hasty_pool(), true).await.unwrap();
    let clock = Arc::new(ManualClock::at(at(0)));
    let analytics = PostgresAnalytics::start(server, clock).await;
    (Arc::new(analytics), wire, scratch)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_and_comes_back_is_used_again_and_has_each_event_once() {
    let name = "postgres::a_server_that_goes_and_comes_back_is_used_again_and_has_each_event_once";
    unless_skipped(name, async {
        let (analytics, wire, _scratch) = wired().await;
        for (n, clogged) in (1..).zip([false, true, false]) {
            let batch = [logged(1, n.into(), publication(n))];
            let project = || analytics.project(&batch, cursor(1, n.into()));
            if clogged {
                wire.clog().await
            } else {
                wire.cut().await
            }
            let answer = timeout(Duration::from_secs(10), project()).await.expect("it hangs");
            assert!(matches!(answer, Err(StoreError::Unavailable { store: "analytics", .. })));
            wire.mend().await;
            until("the server", || async { project().await.ok() }).await;
            project().await.unwrap();
            assert_eq!(analytics.cursors().await.unwrap(), [cursor(1, n.into())]);
        }
        assert_eq!(analytics.totals().await.unwrap(), [("channel.published".to_owned(), 3)]);
    })
    .await;
}
