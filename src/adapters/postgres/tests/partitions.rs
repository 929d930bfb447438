//! Months and their partitions.

use std::time::Duration;

use crate::adapters::contract::{cursor, logged, publication};
use crate::domain::event::LoggedEvent;
use crate::domain::time::Timestamp;

use super::*;

/// The beginning of a day of UTC.
fn on(day: &str) -> Timestamp {
    serde_json::from_str(&format!("\"{day}T00:00:00Z\"")).unwrap()
}

fn dated(n: u16, time: Timestamp) -> LoggedEvent {
    let mut event = publication(n);
    event.time = time;
    logged(1, n.into(), event)
}

/// How many rows each partition holds that holds any.
async fn rows(scratch: &Scratch) -> Vec<(String, i64)> {
    let query = "SELECT tableoid::regclass::text, count(*) FROM interactions GROUP BY 1 ORDER BY 1";
    sqlx::query_as(query).fetch_all(&mut scratch.connect().await).await.unwrap()
}

async fn partitions(scratch: &Scratch) -> Vec<String> {
    let query = "SELECT inhrelid::regclass::text FROM pg_inherits
                 WHERE inhparent = 'interactions'::regclass ORDER BY 1";
    sqlx::query_scalar(query).fetch_all(&mut scratch.connect().await).await.unwrap()
}

fn named(rows: &[(&str, i64)]) -> Vec<(String, i64)> {
    rows.iter().map(|(month, count)| (format!("interactions_{month}"), *count)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_month_has_its_rows_and_odd_dates_have_the_default_partition() {
    let name = "postgres::each_month_has_its_rows_and_odd_dates_have_the_default_partition";
    unless_skipped(name, async {
        let (analytics, scratch) = analytics().await;
        // The present is the 14th of November 2023: there are partitions for it and three months ahead.
        let ahead = ["2023_11", "2023_12", "2024_01", "2024_02", "default"];
        let ahead = ahead.map(|month| format!("interactions_{month}"));
        assert_eq!(partitions(&scratch).await, ahead);
        let last_of_october = on("2023-11-01").minus(Duration::from_millis(1));
        let times = [
            last_of_october,
            on("2023-11-01"),
            on("2023-11-30"),
            on("2023-12-01"),
            on("2024-01-31"),
            on("2019-02-28"),
            on("1970-01-01"),
            on("2024-03-01"),
            on("9000-12-31"),
        ];
        let batch: Vec<_> = (1..).zip(times).map(|(n, time)| dated(n, time)).collect();
        for _ in 0..2 {
            analytics.project(&batch, cursor(1, 9)).await.unwrap();
        }
        let expected = [
            ("2019_02", 1),
            ("2023_10", 1),
            ("2023_11", 2),
            ("2023_12", 1),
            ("2024_01", 1),
            ("default", 3),
        ];
        assert_eq!(rows(&scratch).await, named(&expected));
        assert_eq!(analytics.totals().await.unwrap(), [("channel.published".to_owned(), 9)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn months_are_made_as_time_goes_by_and_take_what_the_default_partition_has() {
    let name = "postgres::months_are_made_as_time_goes_by_and_take_what_the_default_partition_has";
    unless_skipped(name, async {
        let scratch = Scratch::new().await;
        let server = PostgresServer::open(&scratch.url, &pool(), true).await.unwrap();
        let clock = Arc::new(ManualClock::at(on("2026-01-31")));
        let analytics = PostgresAnalytics::start(server, clock.clone()).await;
        let batch = [dated(1, on("2026-05-01")), dated(2, on("2026-05-31"))];
        analytics.project(&batch, cursor(1, 2)).await.unwrap();
        assert_eq!(rows(&scratch).await, named(&[("default", 2)]));
        clock.advance(Duration::from_secs(24 * 3600));
        analytics.project(&[dated(3, on("2026-02-01"))], cursor(1, 3)).await.unwrap();
        assert_eq!(rows(&scratch).await, named(&[("2026_02", 1), ("2026_05", 2)]));
        // The keys hold after the move as well.
        analytics.project(&batch, cursor(1, 3)).await.unwrap();
        assert_eq!(analytics.totals().await.unwrap(), [("channel.published".to_owned(), 3)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_need_the_same_months_at_once_all_go_on() {
    let name = "postgres::nodes_that_need_the_same_months_at_once_all_go_on";
    unless_skipped(name, async {
        let (first, scratch) = analytics().await;
        let nodes = [first, scratch.open().await];
        let months = ["2020-01-05", "2020-02-05", "2020-03-05", "2020-04-05"];
        let tasks = (0..8_usize).map(|n| {
            let node = nodes[n % 2].clone();
            let batch: Vec<_> = (1..).zip(months).map(|(n, day)| dated(n, on(day))).collect();
            tokio::spawn(async move { node.project(&batch, cursor(1, 4)).await.unwrap() })
        });
        for task in Vec::from_iter(tasks) {
            task.await.unwrap();
        }
        let expected = ["2020_01", "2020_02", "2020_03", "2020_04"].map(|month| (month, 1));
        assert_eq!(rows(&scratch).await, named(&expected));
        assert_eq!(nodes[1].totals().await.unwrap(), [("channel.published".to_owned(), 4)]);
    })
    .await;
}
