//! Who projects the same at the same time, and what PostgreSQL does not like.

use std::collections::BTreeMap;

use crate::adapters::contract::analytics::{did, one_of_each};
use crate::adapters::contract::{cursor, event_id, incarnation, logged, post, posted, publication};
use crate::adapters::pooled::ServerError;
use crate::domain::event::{Event, Fact, Follow, LoggedEvent};
use crate::domain::ids::UserId;
use crate::domain::publication::Json;
use crate::ports::StoreError;

use super::*;

/// Events of every kind, most of them about the same few rows.
fn many() -> Vec<LoggedEvent> {
    let mut events = one_of_each();
    events.push(posted(5, &post(1)));
    for n in 100..160 {
        let follow = Follow { user: UserId(i64::from(n % 5)) };
        events.push(publication(n));
        events.push(did(n + 200, Fact::UserFollowed(follow)));
        events.push(did(n + 400, Fact::UserUnfollowed(follow)));
    }
    (1..).zip(events).map(|(seq, event)| logged(1, seq, event)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_project_the_same_leave_each_event_once() {
    let name = "postgres::two_nodes_that_project_the_same_leave_each_event_once";
    unless_skipped(name, async {
        let (first, scratch) = analytics().await;
        let nodes = [first, scratch.open().await];
        let batch = Arc::new(many());
        let top = batch.len() as u64;
        // Parts that overlap, in both directions, and the whole, from both nodes at once.
        let tasks = (0..24_usize).map(|n| {
            let (node, batch) = (nodes[n % 2].clone(), batch.clone());
            tokio::spawn(async move {
                let (from, to) = (n * 5, (n * 5 + 90).min(batch.len()));
                let part = if n % 3 == 0 { &batch[..] } else { &batch[from..to] };
                let part = match n % 4 {
                    0 => part.iter().rev().cloned().collect(),
                    _ => part.to_vec(),
                };
                node.project(&part, cursor(1, top)).await.unwrap();
            })
        });
        for task in Vec::from_iter(tasks) {
            task.await.unwrap();
        }
        let mut expected = BTreeMap::new();
        for logged in batch.iter() {
            *expected.entry(logged.event.fact.kind().to_owned()).or_insert(0) += 1;
        }
        assert_eq!(nodes[0].totals().await.unwrap(), Vec::from_iter(expected));
        let counts: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM interactions),
                    (SELECT sum(count)::bigint FROM user_daily)",
        )
        .fetch_one(&mut scratch.connect().await)
        .await
        .unwrap();
        let acted = batch.iter().filter(|logged| logged.event.actor.is_some()).count();
        let all = i64::try_from(batch.len()).unwrap();
        assert_eq!(counts, (all, i64::try_from(acted).unwrap()));
    })
    .await;
}

fn bare(n: u16, data: &str) -> Event {
    let mut event = publication(n);
    if let Fact::ChannelPublished(bare) = &mut event.fact {
        bare.data = Json::from_string(data.to_owned()).unwrap();
    }
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_jsonb_cannot_hold_are_kept_all_the_same() {
    let name = "postgres::documents_that_jsonb_cannot_hold_are_kept_all_the_same";
    unless_skipped(name, async {
        let (analytics, scratch) = analytics().await;
        let odd = [r#""\u0000""#, r#""\ud800""#, "1e999999", r#""🦀 漢字 \u00e9""#];
        let batch: Vec<_> =
            (1..).zip(odd).map(|(n, data)| logged(1, n.into(), bare(n, data))).collect();
        analytics.project(&batch, cursor(1, 4)).await.unwrap();
        assert_eq!(analytics.projected(incarnation(1)).await.unwrap(), 4);
        let crab: String =
            sqlx::query_scalar("SELECT data ->> 'data' FROM interactions WHERE event_id = $1")
                .bind(event_id(4).0)
                .fetch_one(&mut scratch.connect().await)
                .await
                .unwrap();
        assert_eq!(crab, "🦀 漢字 é");
        let texts: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM interactions WHERE jsonb_typeof(data) = 'string'",
        )
        .fetch_one(&mut scratch.connect().await)
        .await
        .unwrap();
        assert_eq!(texts, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_projected_is_told_from_a_server_that_is_away() {
    let name = "postgres::what_cannot_be_projected_is_told_from_a_server_that_is_away";
    unless_skipped(name, async {
        let (analytics, _scratch) = analytics().await;
        let mut poison = post(1);
        poison.title = "a\0b".into();
        let batch = [logged(1, 1, publication(1)), logged(1, 2, posted(2, &poison))];
        let refused = analytics.project(&batch, cursor(1, 2)).await;
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
        assert_eq!(analytics.cursors().await.unwrap(), [], "all of it or nothing");
        analytics.project(&batch[..1], cursor(1, 1)).await.unwrap();
        analytics.set_aside(&batch[1], "a\0b").await.unwrap();
        assert_eq!(analytics.cursors().await.unwrap(), [cursor(1, 2)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_migrate_once() {
    unless_skipped("postgres::nodes_that_start_at_once_migrate_once", async {
        let scratch = Arc::new(Scratch::new().await);
        let unmigrated = PostgresServer::open(&scratch.url, &pool(), false).await;
        assert!(matches!(unmigrated, Err(ServerError::Mismatch { .. })));
        let starts = (0..4).map(|_| {
            let scratch = scratch.clone();
            tokio::spawn(async move { drop(scratch.open().await) })
        });
        for start in Vec::from_iter(starts) {
            start.await.unwrap();
        }
        PostgresServer::open(&scratch.url, &pool(), false).await.unwrap();
    })
    .await;
}
