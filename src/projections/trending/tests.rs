//! When a list is told, and that the log makes the same list again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::adapters::contract::model::ModelLog;
use crate::adapters::contract::trending::{WEIGHTS, numbered};
use crate::adapters::contract::{at, incarnation, post, post_id, posted};
use crate::adapters::memory::manual_clock::ManualClock;
use crate::adapters::memory::trending::MemoryTrending;
use crate::adapters::sqlite::{Database, Schema, SqliteContent};
use crate::adapters::system::SystemEntropy;
use crate::domain::event::{Actor, Event, Fact, LoggedEvent, PostMark};
use crate::domain::ids::UserId;
use crate::domain::publication::{Passage, StreamPosition};
use crate::domain::trending::{Interaction, Tally};
use crate::ports::broker::{HistoryPage, HistoryQuery};
use crate::ports::content::Kept;

/// Takes publications and keeps them, unless it is away.
#[derive(Default)]
struct Taken {
    publications: Mutex<Vec<Outgoing>>,
    away: AtomicBool,
}

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable { store: "realtime", cause: "a test".into() })
}

#[async_trait]
impl Broker for Taken {
    async fn publish(&self, batch: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError> {
        if self.away.load(Ordering::Relaxed) {
            return away();
        }
        self.publications.lock().unwrap().extend(batch.iter().cloned());
        Ok(vec![None; batch.len()])
    }

    async fn announce(&self, _: &Passage) -> Result<(), StoreError> {
        away()
    }

    async fn subscribe(&self, _: &ChannelName) -> Result<(), StoreError> {
        away()
    }

    async fn unsubscribe(&self, _: &ChannelName) -> Result<(), StoreError> {
        away()
    }

    async fn clear(&self, _: &ChannelName, _: Retention) -> Result<(), StoreError> {
        Ok(())
    }

    async fn history(
        &self,
        _: &ChannelName,
        _: Retention,
        _: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        away()
    }
}

/// A publisher of lists of two posts, what it works with, and what it told last of a day.
struct Scene {
    publisher: TrendingPublisher,
    trending: Arc<MemoryTrending>,
    content: Arc<SqliteContent>,
    broker: Arc<Taken>,
    clock: Arc<ManualClock>,
    told: Told,
    counted: u32,
    _directory: TempDir,
}

impl Scene {
    /// With posts 1 to 3 published, long after the beginning.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(Schema::Log.file_name());
        let db = Database::open(&path, Schema::Log, true).await.unwrap();
        let clock = Arc::new(ManualClock::at(at(6_400_000)));
        let content = Arc::new(SqliteContent::new(db, true, clock.clone()));
        for n in 1..=3 {
            content.create_post(&post(n), &posted(n.into(), &post(n))).await.unwrap();
        }
        let trending = Arc::new(MemoryTrending::new(WEIGHTS));
        let broker = Arc::new(Taken::default());
        let publisher = TrendingPublisher {
            trending: trending.clone(),
            content: content.clone(),
            broker: broker.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            namespaces: Arc::new(Namespaces::new([], None)),
            interval: Duration::ZERO,
            limit: 2,
        };
        let (told, counted) = (Told::default(), 0);
        Self { publisher, trending, content, broker, clock, told, counted, _directory: directory }
    }

    async fn like(&mut self, post: u8, amount: i64) {
        let (interaction, at) = (Interaction::Likes, at(6_400_000));
        let tally = Tally { post: post_id(post), interaction, at, amount };
        self.trending.count(&numbered(self.counted, &[tally])).await.unwrap();
        self.counted += 1;
    }

    /// Looks once; the posts and titles of the list that was published, if one was.
    async fn look(&mut self) -> Option<Vec<(String, String)>> {
        self.publisher.tell(Window::Day, &mut self.told).await.unwrap();
        let mut publications = self.broker.publications.lock().unwrap();
        let outgoing = publications.pop()?;
        assert!(publications.is_empty(), "one list at a time");
        let data: Value = serde_json::from_str(outgoing.body.data.get()).unwrap();
        let items = data["items"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Some(items.map(|item| (text(&item["post_id"]), text(&item["title"]))).collect())
    }
}

fn listed_posts(posts: &[u8]) -> Option<Vec<(String, String)>> {
    Some(posts.iter().map(|n| (post_id(*n).to_string(), format!("Post {n}"))).collect())
}

#[tokio::test]
async fn a_list_is_told_when_it_changes_and_only_then() {
    let mut scene = Scene::new().await;
    assert_eq!(scene.look().await, None, "of nothing there is nothing to tell");
    scene.like(1, 1).await;
    assert_eq!(scene.look().await, listed_posts(&[1]));
    assert_eq!(scene.look().await, None);
    scene.like(2, 1).await;
    scene.like(2, 1).await;
    assert_eq!(scene.look().await, listed_posts(&[2, 1]));
    // What is not published is not shown, whatever its score, and leaves no gap.
    for _ in 0..3 {
        scene.like(9, 1).await;
    }
    assert_eq!(scene.look().await, None);
    scene.like(3, 1).await;
    assert_eq!(scene.look().await, listed_posts(&[2, 3]));
    // Scores fade when a bucket ends.
    scene.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(scene.look().await, listed_posts(&[2, 3]));
    for (post, likes) in [(1, 1), (2, 2), (3, 1), (9, 3)] {
        scene.like(post, -likes).await;
    }
    assert_eq!(scene.look().await, listed_posts(&[]), "that nothing is left is told");
    assert_eq!(scene.look().await, None);
}

#[tokio::test]
async fn a_publication_has_the_shape_of_the_contract() {
    let mut scene = Scene::new().await;
    scene.like(1, 1).await;
    scene.publisher.tell(Window::Day, &mut scene.told).await.unwrap();
    let outgoing = scene.broker.publications.lock().unwrap().pop().unwrap();
    assert_eq!(outgoing.channel.as_str(), "trending:24h");
    assert_eq!(outgoing.event, None);
    assert_eq!(outgoing.retention.unwrap().size, 1);
    assert_eq!(outgoing.body.tags["type"], "trending.changed");
    let mut data: Value = serde_json::from_str(outgoing.body.data.get()).unwrap();
    assert!(data["id"].take().as_str().unwrap().parse::<EventId>().is_ok());
    let author = serde_json::json!({"id": 42, "username": "ada", "display_name": "Ada"});
    let id = post_id(1).to_string();
    let item = serde_json::json!(
        {"rank": 1, "post_id": id, "title": "Post 1", "author": author, "score": 3.0}
    );
    let time = scene.clock.now().to_string();
    let expected = serde_json::json!(
        {"type": "trending.changed", "id": null, "time": time, "items": [item]}
    );
    assert_eq!(data, expected);
}

#[tokio::test]
async fn what_the_broker_did_not_take_is_told_the_next_time() {
    let mut scene = Scene::new().await;
    scene.like(1, 1).await;
    scene.broker.away.store(true, Ordering::Relaxed);
    assert!(scene.publisher.tell(Window::Day, &mut scene.told).await.is_err());
    scene.broker.away.store(false, Ordering::Relaxed);
    assert_eq!(scene.look().await, listed_posts(&[1]));
}

#[tokio::test]
async fn a_title_that_changes_and_a_post_that_is_removed_are_told_within_a_minute() {
    let mut scene = Scene::new().await;
    scene.like(1, 1).await;
    assert_eq!(scene.look().await, listed_posts(&[1]));
    let mut kept = scene.content.kept_post(post_id(1)).await.unwrap().unwrap();
    for (n, removed) in [(11, false), (12, true)] {
        let expected = kept.event.id;
        kept.document.title = "Renamed".into();
        kept = Kept { event: posted(n, &kept.document), document: kept.document, removed };
        assert!(scene.content.replace_post(&kept, expected).await.unwrap());
        assert_eq!(scene.look().await, None);
        scene.clock.advance(Duration::from_secs(60));
        let renamed = (post_id(1).to_string(), "Renamed".to_owned());
        let expected = if removed { Vec::new() } else { vec![renamed] };
        assert_eq!(scene.look().await, Some(expected));
    }
}

/// A like of post 1 by user `user`, `ago` before the end of eight days after the beginning.
fn liked(user: u8, ago: i64, since: Option<Timestamp>) -> Event {
    let mark = PostMark { post_id: post_id(1), post_author: UserId(42), since };
    let time = at(8 * 24 * 3_600_000 - ago);
    let fact = if since.is_some() { Fact::PostUnliked(mark) } else { Fact::PostLiked(mark) };
    let actor = Some(Actor { id: UserId(user.into()), username: format!("user{user}") });
    Event { id: EventId::from_parts(time, [user; 10]), actor, time, fact }
}

#[tokio::test]
async fn the_log_makes_the_list_again_and_counts_nothing_twice() {
    let log = ModelLog::default();
    let hour = 3_600_000;
    let early = liked(1, 100 * hour, None);
    let events = [
        liked(2, 8 * 24 * hour, None),
        liked(3, hour, None),
        liked(4, 2 * hour, None),
        liked(5, 50 * hour, Some(early.time)),
        early,
    ];
    for (n, event) in (1..).zip(&events) {
        let logged = LoggedEvent { incarnation: incarnation(1), seq: n, event: event.clone() };
        log.append(&[logged]).await.unwrap();
    }
    let now = at(8 * 24 * hour);
    let trending = MemoryTrending::new(WEIGHTS);
    // One was relayed already when the start looked for what an earlier run had left.
    let relayed = &events[1];
    trending.count(&[(relayed.id, tally_of(relayed).unwrap())]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(count_again(&log, &trending, now).await.unwrap(), 4, "the oldest is too old");
        let list = trending.ranked(Window::Week, now, 10).await.unwrap();
        assert_eq!(list[0].shares[0].1.count, 2, "{list:?}");
    }
}
