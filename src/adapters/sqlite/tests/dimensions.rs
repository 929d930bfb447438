//! What the projection makes of events besides totals: the days and the tables for joins.

use crate::adapters::contract::analytics::{changed, commented, did, one_of_each};
use crate::adapters::contract::{at, cursor, logged, post, post_id, posted};
use crate::domain::event::{Event, Fact, Follow};
use crate::domain::ids::UserId;
use crate::domain::post::{Post, PostStatus};

use super::*;

async fn project(analytics: &SqliteAnalytics, events: &[Event]) {
    let batch = (1..).zip(events).map(|(seq, event)| logged(1, seq, event.clone()));
    let batch: Vec<_> = batch.collect();
    analytics.project(&batch, cursor(1, batch.len() as u64)).await.unwrap();
}

async fn posts(db: &Database) -> Vec<(String, String, i64)> {
    let rows = sqlx::query_as("SELECT title, status, version FROM posts ORDER BY post_id");
    rows.fetch_all(db.readers()).await.unwrap()
}

async fn follows(db: &Database) -> Vec<(i64, i64, Option<i64>)> {
    let rows = sqlx::query_as("SELECT follower, followee, since FROM follows ORDER BY 1, 2");
    rows.fetch_all(db.readers()).await.unwrap()
}

#[tokio::test]
async fn every_event_has_its_row_and_its_days() {
    let (db, _directory) = database(Schema::Analytics).await;
    let analytics = SqliteAnalytics::new(db.clone());
    let events = one_of_each();
    project(&analytics, &events).await;
    project(&analytics, &events).await;
    let rows: Vec<(String, Option<i64>, String, String)> =
        sqlx::query_as("SELECT kind, user_id, subject, data FROM interactions ORDER BY event_id")
            .fetch_all(db.readers())
            .await
            .unwrap();
    assert_eq!(rows.len(), events.len());
    for ((kind, user, subject, data), event) in rows.iter().zip(&events) {
        assert_eq!((kind.as_str(), *user), (event.fact.kind(), Some(42)));
        assert_eq!(*subject, event.fact.subject());
        // The kind with its data is what the fact is written as.
        let fact = serde_json::to_value(&event.fact).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(data).unwrap(), fact["data"]);
    }
    let users: Vec<(String, i64)> =
        sqlx::query_as("SELECT kind, count FROM user_daily WHERE user_id = 42 ORDER BY kind")
            .fetch_all(db.readers())
            .await
            .unwrap();
    let mut kinds: Vec<_> = events.iter().map(|e| (e.fact.kind().to_owned(), 1)).collect();
    kinds.sort_unstable();
    assert_eq!(users, kinds);
    let posts: Vec<(String, i64)> =
        sqlx::query_as("SELECT kind, count FROM post_daily WHERE post_id = ? ORDER BY kind")
            .bind(post_id(1).to_string())
            .fetch_all(db.readers())
            .await
            .unwrap();
    let about_posts = events.iter().filter(|e| e.fact.post_id() == Some(post_id(1)));
    let mut kinds: Vec<_> = about_posts.map(|e| (e.fact.kind().to_owned(), 1)).collect();
    kinds.sort_unstable();
    assert_eq!(posts, kinds);
}

#[tokio::test]
async fn posts_follow_what_happens_to_them_in_whatever_order_it_is_told() {
    let edited = Post { version: 2, title: "Edited".into(), ..post(1) };
    let archived = Post { version: 3, status: PostStatus::Archived, ..edited.clone() };
    let events = [
        posted(1, &post(1)),
        did(2, Fact::PostUpdated(changed(edited))),
        did(3, Fact::PostUpdated(changed(archived.clone()))),
        // Whether a removal counts as a version of its own does not matter.
        did(4, Fact::PostRemoved(changed(archived))),
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let (db, _directory) = database(Schema::Analytics).await;
        let analytics = SqliteAnalytics::new(db.clone());
        let (front, back) = order.split_at(2);
        for part in [front, back] {
            project(&analytics, &Vec::from_iter(part.iter().map(|at| events[*at].clone()))).await;
        }
        assert_eq!(posts(&db).await, [("Edited".to_owned(), "removed".to_owned(), 3)]);
    }
}

#[tokio::test]
async fn follows_are_as_the_latest_event_says() {
    let (db, _directory) = database(Schema::Analytics).await;
    let analytics = SqliteAnalytics::new(db.clone());
    let follow = |user| Fact::UserFollowed(Follow { user: UserId(user) });
    let unfollow = |user| Fact::UserUnfollowed(Follow { user: UserId(user) });
    project(&analytics, &[did(1, follow(7)), did(2, follow(8)), did(4, unfollow(7))]).await;
    let second = Some(at(2).as_millis());
    assert_eq!(follows(&db).await, [(42, 7, None), (42, 8, second)]);
    // Late ones change nothing, whichever way they go.
    project(&analytics, &[did(3, follow(7))]).await;
    assert_eq!(follows(&db).await, [(42, 7, None), (42, 8, second)]);
    project(&analytics, &[did(9, follow(7)), did(8, unfollow(7))]).await;
    assert_eq!(follows(&db).await, [(42, 7, Some(at(9).as_millis())), (42, 8, second)]);
}

#[tokio::test]
async fn users_are_those_who_acted_or_wrote() {
    let (db, _directory) = database(Schema::Analytics).await;
    let analytics = SqliteAnalytics::new(db.clone());
    project(&analytics, &[did(1, Fact::CommentEdited(commented(1)))]).await;
    let users: Vec<(i64, String)> =
        sqlx::query_as("SELECT user_id, username FROM users ORDER BY user_id")
            .fetch_all(db.readers())
            .await
            .unwrap();
    assert_eq!(users, [(42, "ada".to_owned()), (43, "bob".to_owned())]);
}
