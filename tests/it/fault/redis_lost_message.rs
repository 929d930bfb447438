//! One message of Pub/Sub is lost on its way to a node, and nothing breaks: no connection, no subscription.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    Databases, Follower, PATIENCE, Places, RedisProcess, RedisWire, Server, Start, until,
};

/// Two nodes, of which the first reaches Redis through a wire, with a subscriber on the first.
struct Lossy {
    wire: RedisWire,
    nodes: [Server; 2],
    author: crate::support::Person,
    follower: Follower,
    _databases: Databases,
    _redis: RedisProcess,
}

impl Lossy {
    async fn start(name: &str, compare_interval: Option<&str>) -> Option<Self> {
        let redis = RedisProcess::start(name).await?;
        let databases = Databases::fresh(name).await?.with_realtime(&redis.url());
        let wire = RedisWire::to(redis.address()).await;
        let mut start = Start::on(&databases).environment("CARILLON_REALTIME__URL", &wire.url());
        if let Some(interval) = compare_interval {
            start = start.environment("CARILLON_REALTIME__COMPARE_INTERVAL", interval);
        }
        let nodes = [start.run().await, Start::on(&databases).run().await];
        let author = nodes[1].api().person("author").await;
        let (address, places) = (nodes[0].address(), Arc::<Places>::default());
        let follower = Follower::start(address, &author.token, &["feed:all"], &places).await;
        Some(Self { wire, nodes, author, follower, _databases: databases, _redis: redis })
    }

    async fn publish(&self, title: &str) {
        self.nodes[1].api().publish(&self.author, title).await;
    }

    /// The titles of what was heard, in the order in which it came.
    fn titles(&self) -> Vec<String> {
        let heard = self.follower.heard();
        let heard = heard.publications.get("feed:all").map(Vec::as_slice).unwrap_or_default();
        heard.iter().map(|it| it["post"]["title"].as_str().unwrap_or("").to_owned()).collect()
    }

    async fn hears(&self, patience: Duration, titles: &[&str]) {
        until(patience, &format!("{titles:?} to be heard"), async || {
            (self.titles() == titles).then_some(())
        })
        .await;
    }

    /// Publishes one that is lost.
    async fn lose(&self, title: &str) {
        let before = self.wire.lost();
        self.wire.lose(title);
        self.publish(title).await;
        until(PATIENCE, "the message to be lost", async || {
            (self.wire.lost() == before + 1).then_some(())
        })
        .await;
    }

    /// Nothing else was noticed.
    fn judge(&self) {
        let heard = self.follower.heard();
        assert_eq!((heard.connections, &heard.told[..], &heard.faults[..]), (1, &[][..], &[][..]));
    }
}

#[tokio::test]
async fn a_lost_message_is_made_good_by_the_next_one() {
    let name = "a_lost_message_is_made_good_by_the_next_one";
    let Some(lossy) = Lossy::start(name, None).await else { return };
    lossy.publish("First").await;
    lossy.hears(PATIENCE, &["First"]).await;
    lossy.lose("Second").await;
    lossy.lose("Third").await;
    lossy.publish("Fourth").await;
    lossy.hears(PATIENCE, &["First", "Second", "Third", "Fourth"]).await;
    lossy.judge();
}

#[tokio::test]
async fn a_lost_message_with_nothing_after_it_is_found_by_comparing() {
    let name = "a_lost_message_with_nothing_after_it_is_found_by_comparing";
    let Some(lossy) = Lossy::start(name, Some("500ms")).await else { return };
    lossy.publish("First").await;
    lossy.hears(PATIENCE, &["First"]).await;
    lossy.lose("Second").await;
    lossy.hears(PATIENCE, &["First", "Second"]).await;
    lossy.publish("Third").await;
    lossy.hears(PATIENCE, &["First", "Second", "Third"]).await;
    lossy.judge();
}

/// What the settings promise as they come.
#[tokio::test]
async fn a_lost_message_is_found_within_45_seconds_of_quiet() {
    let name = "a_lost_message_is_found_within_45_seconds_of_quiet";
    let Some(lossy) = Lossy::start(name, None).await else { return };
    lossy.publish("First").await;
    lossy.hears(PATIENCE, &["First"]).await;
    lossy.lose("Second").await;
    let lost = Instant::now();
    lossy.hears(Duration::from_secs(45), &["First", "Second"]).await;
    eprintln!("found after {:?}", lost.elapsed());
    lossy.judge();
}
