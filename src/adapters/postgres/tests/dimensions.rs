//! What the projection makes of events besides totals: the days and the tables for joins.

use sqlx::Row;

use crate::adapters::contract::analytics::{changed, commented, did, one_of_each};
use crate::adapters::contract::{cursor, logged, post, post_id, posted};
use crate::domain::event::{Event, Fact, Follow};
use crate::domain::ids::UserId;
use crate::domain::post::{Post, PostStatus};

use super::*;

async fn project(analytics: &PostgresAnalytics, events: &[Event]) {
    let batch = (1..).zip(events).map(|(seq, event)| logged(1, seq, event.clone()));
    let batch: Vec<_> = batch.collect();
    analytics.project(&batch, cursor(1, batch.len() as u64)).await.unwrap();
}

async fn follows(scratch: &Scratch) -> Vec<(i64, i64, Option<i64>)> {
    let query = "SELECT follower, followee, (extract(epoch FROM since) * 1000)::bigint
                 FROM follows ORDER BY 1, 2";
    sqlx::query_as(query).fetch_all(&mut scratch.connect().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_has_its_row_and_its_days() {
    unless_skipped("postgres::every_event_has_its_row_and_its_days", async {
        let (analytics, scratch) = analytics().await;
        let events = one_of_each();
        project(&analytics, &events).await;
        project(&analytics, &events).await;
        let mut connection = scratch.connect().await;
        let rows = sqlx::query(
            "SELECT kind, user_id, subject, data::text, (extract(epoch FROM occurred_at) * 1000)::bigint
             FROM interactions ORDER BY event_id",
        );
        let rows = rows.fetch_all(&mut connection).await.unwrap();
        assert_eq!(rows.len(), events.len());
        for (row, event) in rows.iter().zip(&events) {
            assert_eq!(row.get::<&str, _>(0), event.fact.kind());
            assert_eq!(row.get::<Option<i64>, _>(1), Some(42));
            assert_eq!(row.get::<&str, _>(2), event.fact.subject());
            // The kind with its data is what the fact is written as.
            let fact = serde_json::to_value(&event.fact).unwrap();
            let data: serde_json::Value = serde_json::from_str(row.get(3)).unwrap();
            assert_eq!(data, fact["data"]);
            assert_eq!(row.get::<i64, _>(4), event.time.as_millis());
        }
        let days: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT kind, count, day::text FROM user_daily WHERE user_id = 42 ORDER BY kind COLLATE \"C\"",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let day = |event: &Event| (event.fact.kind().to_owned(), 1, "2023-11-14".to_owned());
        let mut expected: Vec<_> = events.iter().map(day).collect();
        expected.sort_unstable();
        assert_eq!(days, expected);
        let about_posts = events.iter().filter(|e| e.fact.post_id() == Some(post_id(1))).count();
        let counted: i64 =
            sqlx::query_scalar("SELECT sum(count)::bigint FROM post_daily WHERE post_id = $1")
                .bind(post_id(1).to_string())
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(usize::try_from(counted).unwrap(), about_posts);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_follow_what_happens_to_them_in_whatever_order_it_is_told() {
    let name = "postgres::posts_follow_what_happens_to_them_in_whatever_order_it_is_told";
    unless_skipped(name, async {
        let edited = Post { version: 2, title: "Edited 🦀".into(), ..post(1) };
        let archived = Post { version: 3, status: PostStatus::Archived, ..edited.clone() };
        let events = [
            posted(1, &post(1)),
            did(2, Fact::PostUpdated(changed(edited))),
            did(3, Fact::PostUpdated(changed(archived.clone()))),
            // Whether a removal counts as a version of its own does not matter.
            did(4, Fact::PostRemoved(changed(archived))),
        ];
        // In two batches, and in one.
        for (order, part) in
            [([0, 1, 2, 3], 2), ([3, 2, 1, 0], 2), ([2, 0, 3, 1], 2), ([3, 0, 2, 1], 4)]
        {
            let (analytics, scratch) = analytics().await;
            for part in order.chunks(part) {
                let part = Vec::from_iter(part.iter().map(|at| events[*at].clone()));
                project(&analytics, &part).await;
            }
            let posts: Vec<(String, String, i64)> =
                sqlx::query_as("SELECT title, status, version FROM posts")
                    .fetch_all(&mut scratch.connect().await)
                    .await
                    .unwrap();
            assert_eq!(posts, [("Edited 🦀".to_owned(), "removed".to_owned(), 3)]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follows_are_as_the_latest_event_says() {
    unless_skipped("postgres::follows_are_as_the_latest_event_says", async {
        let (analytics, scratch) = analytics().await;
        let follow = |user| Fact::UserFollowed(Follow { user: UserId(user) });
        let unfollow = |user| Fact::UserUnfollowed(Follow { user: UserId(user) });
        project(&analytics, &[did(1, follow(7)), did(2, follow(8)), did(4, unfollow(7))]).await;
        let second = Some(at(2).as_millis());
        assert_eq!(follows(&scratch).await, [(42, 7, None), (42, 8, second)]);
        // Late ones change nothing, whichever way they go.
        project(&analytics, &[did(3, follow(7))]).await;
        assert_eq!(follows(&scratch).await, [(42, 7, None), (42, 8, second)]);
        project(&analytics, &[did(9, follow(7)), did(8, unfollow(7))]).await;
        let ninth = Some(at(9).as_millis());
        assert_eq!(follows(&scratch).await, [(42, 7, ninth), (42, 8, second)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_those_who_acted_or_wrote() {
    unless_skipped("postgres::users_are_those_who_acted_or_wrote", async {
        let (analytics, scratch) = analytics().await;
        project(&analytics, &[did(1, Fact::CommentEdited(commented(1)))]).await;
        let users: Vec<(i64, String)> =
            sqlx::query_as("SELECT user_id, username FROM users ORDER BY user_id")
                .fetch_all(&mut scratch.connect().await)
                .await
                .unwrap();
        assert_eq!(users, [(42, "ada".to_owned()), (43, "bob".to_owned())]);
    })
    .await;
}
