//! What a subscriber hears when deliveries do not arrive as they should.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::*;
use crate::adapters::contract::model::{ModelLog, bare};
use crate::adapters::contract::{absent, at, published as publication};
use crate::adapters::memory::broker::MemoryBroker;
use crate::adapters::memory::manual_clock::ManualClock;
use crate::domain::channel::ChannelName;
use crate::domain::namespace::ChannelOptions;
use crate::hub::{Conversation, HubOptions, Link, Message, Owner, Transport, Wire};
use crate::ports::broker::Outgoing;
use crate::ports::event_log::RelayLedger;

mod shortcut;

const LONG: Duration = Duration::from_secs(600);

/// Subscribes to one channel and says when it is live.
struct Subscriber {
    link: Link,
    channel: ChannelName,
    live: Option<oneshot::Sender<()>>,
}

impl Conversation for Subscriber {
    fn hear(&mut self, _message: Message<'_>) {}

    fn is_busy(&self) -> bool {
        self.live.is_some()
    }

    async fn act(&mut self) {
        self.link.identified(Owner::default(), None);
        assert!(self.link.begin_subscription(&self.channel));
        self.link.registry().confirm(&self.channel, None).await.unwrap();
        self.link.finish_subscription(&self.channel, None);
        if let Some(live) = self.live.take() {
            live.send(()).unwrap();
        }
    }
}

/// A node whose deliveries pass through the test's hands, with one subscriber.
struct Bench {
    hub: Arc<Hub>,
    broker: Arc<MemoryBroker>,
    channel: ChannelName,
    retention: Option<Retention>,
    published: mpsc::Receiver<Arriving>,
    inbound: mpsc::Sender<Arriving>,
    lapses: mpsc::Sender<Lapse>,
    shortcut: Arc<Shortcut>,
    heard: mpsc::Receiver<Bytes>,
    /// What was heard and not looked at yet.
    text: String,
}

/// The broker of a node's first or later run.
async fn broker(run: u32) -> (Arc<MemoryBroker>, mpsc::Receiver<Arriving>) {
    let (sink, published) = mpsc::channel(64);
    let clock = Arc::new(ManualClock::at(at(0)));
    let ledger = Arc::new(ModelLog::default());
    for _ in 1..run {
        ledger.count_run().await.unwrap();
    }
    (Arc::new(MemoryBroker::new(ledger, absent::present(), clock, sink).await.unwrap()), published)
}

/// An inbound relay of a node on which nobody follows anyone.
fn inbound_of(hub: &Arc<Hub>, broker: Arc<dyn Broker>, namespaces: Arc<Namespaces>) -> Inbound {
    let nobody = Arc::new(absent::Absent);
    let clock = Arc::new(ManualClock::at(at(0)));
    let (follows, _) =
        FollowIndex::new(Arc::clone(hub), Arc::clone(&namespaces), nobody.clone(), nobody, clock);
    Inbound::new(Arc::clone(hub), broker, namespaces, follows)
}

impl Bench {
    async fn new(channel: &str) -> Self {
        Self::comparing(channel, LONG).await
    }

    /// One that compares tops every `compare_interval`.
    async fn comparing(channel: &str, compare_interval: Duration) -> Self {
        let (broker, published) = broker(1).await;
        let options = HubOptions {
            shards: 1,
            shard_queue_max: 64,
            flush_yield_writes: 64,
            queue_max_bytes: 1 << 20,
            queue_max_age: LONG,
            ping_interval: LONG,
            pong_timeout: LONG,
            stale_close_delay: LONG,
            message_size_limit: 1 << 16,
            read_buffer_bytes: 1 << 16,
            compression_level: 1,
            compression_min_size: 0,
            recovery_buffer_max_publications: 64,
        };
        let hub = Hub::start(&options, broker.clone(), tokio::runtime::Handle::current());
        let hub = Arc::new(hub.unwrap());
        let small = ChannelOptions {
            history_size: 2,
            history_ttl: LONG,
            durable: true,
            ..ChannelOptions::default()
        };
        let plain = ChannelOptions { durable: true, ..ChannelOptions::default() };
        let configured = [("small".to_owned(), small), ("plain".to_owned(), plain)];
        let namespaces = Arc::new(Namespaces::new(configured, None));
        let channel = ChannelName::built_in(channel.to_owned());
        let retention = namespaces.options(&channel).and_then(Retention::of);
        let (inbound, deliveries) = mpsc::channel(64);
        let relay = inbound_of(&hub, broker.clone(), namespaces);
        let (told, lapses) = mpsc::channel(64);
        let shortcut = Arc::new(Shortcut::default());
        let incoming = Incoming { deliveries, lapses, shortcut: Arc::clone(&shortcut) };
        tokio::spawn(relay.run(incoming, compare_interval));
        let lapses = told;
        let (body, heard) = mpsc::channel(64);
        let (live, is_live) = oneshot::channel();
        let name = channel.clone();
        let converse = move |link| Subscriber { link, channel: name, live: Some(live) };
        hub.adopt(Transport::Body(body), Wire::UniEventStream, Bytes::new(), converse).await;
        is_live.await.unwrap();
        let text = String::new();
        Self { hub, broker, channel, retention, published, inbound, lapses, shortcut, heard, text }
    }

    /// Publishes an event and returns its delivery, which has not arrived yet.
    async fn publish(&mut self, n: u16) -> Delivery {
        let outgoing = self.outgoing(n);
        self.broker.publish(&[outgoing]).await.unwrap();
        publication(self.published.recv().await.unwrap())
    }

    fn outgoing(&self, n: u16) -> Outgoing {
        let event = bare(n, &[self.channel.as_str()]);
        let body = absent::body_of(&event);
        let (channel, retention) = (self.channel.clone(), self.retention);
        Outgoing { channel, event: Some(event.id), body, retention, version: None }
    }

    /// Has the subscriber hear of one publication, and the next come in another epoch.
    async fn begin_anew(&mut self) {
        let first = self.publish(1).await;
        self.arrive(&first).await;
        assert_eq!(self.hear_publications(1).await, [1]);
        let (anew, mut published) = broker(2).await;
        anew.subscribe(&self.channel).await.unwrap();
        anew.publish(&[self.outgoing(2)]).await.unwrap();
        self.arrive(&publication(published.recv().await.unwrap())).await;
    }

    async fn lapse(&self) {
        self.lapses.send(Lapse { channels: vec![self.channel.clone()] }).await.unwrap();
    }

    async fn arrive(&self, delivery: &Delivery) {
        self.inbound.send(Arriving::Publication(delivery.clone())).await.unwrap();
    }

    /// The next push that the subscriber hears.
    async fn hear(&mut self) -> serde_json::Value {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let push = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
                self.text = rest.to_owned();
                return push;
            }
            let wait = tokio::time::timeout(Duration::from_secs(30), self.heard.recv());
            let bytes = wait.await.expect("a push is due").expect("the connection is open");
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The numbers of the next publications.
    async fn hear_publications(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            let push = self.hear().await;
            assert_eq!(push["channel"], self.channel.as_str(), "{push}");
            numbers.push(push["pub"]["data"]["n"].as_u64().unwrap_or_else(|| panic!("{push}")));
        }
        numbers
    }

    /// The subscriber is told that it missed something, and nothing else.
    async fn hear_the_end(mut self) {
        let push = self.hear().await;
        assert_eq!(push["unsubscribe"]["code"], 2500, "{push}");
        self.hub.stop().await;
        while let Some(bytes) = self.heard.recv().await {
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        assert!(!self.text.contains("\"pub\""), "{}", self.text);
    }
}

#[tokio::test]
async fn what_did_not_arrive_is_filled_in_from_the_history() {
    let mut bench = Bench::new("feed:all").await;
    let first = bench.publish(1).await;
    bench.arrive(&first).await;
    bench.publish(2).await;
    bench.publish(3).await;
    for n in [4, 5] {
        let delivery = bench.publish(n).await;
        bench.arrive(&delivery).await;
    }
    assert_eq!(bench.hear_publications(5).await, [1, 2, 3, 4, 5]);
    bench.hub.stop().await;
}

#[tokio::test]
async fn what_arrives_again_or_late_is_not_delivered_again() {
    let mut bench = Bench::new("feed:all").await;
    let (first, second) = (bench.publish(1).await, bench.publish(2).await);
    for delivery in [&first, &first, &second, &first] {
        bench.arrive(delivery).await;
    }
    let third = bench.publish(3).await;
    bench.arrive(&third).await;
    assert_eq!(bench.hear_publications(3).await, [1, 2, 3]);
    bench.hub.stop().await;
}

#[tokio::test]
async fn a_gap_that_the_history_cannot_fill_is_told() {
    let mut bench = Bench::new("small:x").await;
    let first = bench.publish(1).await;
    bench.arrive(&first).await;
    assert_eq!(bench.hear_publications(1).await, [1]);
    for n in 2..=4 {
        bench.publish(n).await;
    }
    let fifth = bench.publish(5).await;
    bench.arrive(&fifth).await;
    bench.hear_the_end().await;
}

#[tokio::test]
async fn a_gap_within_a_small_history_is_filled() {
    let mut bench = Bench::new("small:x").await;
    let first = bench.publish(1).await;
    bench.arrive(&first).await;
    bench.publish(2).await;
    let third = bench.publish(3).await;
    bench.arrive(&third).await;
    assert_eq!(bench.hear_publications(3).await, [1, 2, 3]);
    bench.hub.stop().await;
}

#[tokio::test]
async fn a_new_epoch_is_told() {
    let mut bench = Bench::new("feed:all").await;
    bench.begin_anew().await;
    bench.hear_the_end().await;
}

#[tokio::test]
async fn who_cannot_subscribe_again_by_itself_connects_again_with_3010() {
    let mut bench = Bench::new("notifications:#42").await;
    bench.begin_anew().await;
    let push = bench.hear().await;
    assert_eq!(push["disconnect"]["code"], 3010, "{push}");
    assert!(bench.heard.recv().await.is_none(), "the connection has ended");
}

#[tokio::test]
async fn a_gap_whose_epoch_is_over_is_told() {
    let mut bench = Bench::new("feed:all").await;
    let first = bench.publish(1).await;
    bench.arrive(&first).await;
    assert_eq!(bench.hear_publications(1).await, [1]);
    // The history that is asked is one that began anew meanwhile.
    let (anew, _published) = broker(2).await;
    let namespaces = Arc::new(Namespaces::new([], None));
    let (inbound, deliveries) = mpsc::channel(8);
    let (_told, lapses) = mpsc::channel(8);
    let incoming = Incoming { deliveries, lapses, shortcut: Arc::default() };
    tokio::spawn(inbound_of(&bench.hub, anew, namespaces).run(incoming, LONG));
    bench.publish(2).await;
    inbound.send(Arriving::Publication(bench.publish(3).await)).await.unwrap();
    bench.hear_the_end().await;
}

#[tokio::test]
async fn what_was_lost_with_nothing_after_it_is_filled_in_after_a_lapse() {
    let mut bench = Bench::new("feed:all").await;
    let first = bench.publish(1).await;
    bench.arrive(&first).await;
    assert_eq!(bench.hear_publications(1).await, [1]);
    let second = bench.publish(2).await;
    bench.publish(3).await;
    bench.lapse().await;
    assert_eq!(bench.hear_publications(2).await, [2, 3]);
    // What arrives after all is nothing new.
    bench.arrive(&second).await;
    bench.lapse().await;
    let fourth = bench.publish(4).await;
    bench.arrive(&fourth).await;
    assert_eq!(bench.hear_publications(1).await, [4]);
    bench.hub.stop().await;
}

#[tokio::test]
async fn what_was_lost_is_found_by_the_next_round_at_the_latest() {
    let mut bench = Bench::comparing("feed:all", Duration::from_millis(100)).await;
    let first = bench.publish(1).await;
    bench.arrive(&first).await;
    assert_eq!(bench.hear_publications(1).await, [1]);
    bench.publish(2).await;
    assert_eq!(bench.hear_publications(1).await, [2]);
    bench.hub.stop().await;
}

#[tokio::test]
async fn what_was_lost_and_cannot_be_filled_in_is_told_after_a_lapse() {
    let mut bench = Bench::new("small:x").await;
    let first = bench.publish(1).await;
    bench.arrive(&first).await;
    assert_eq!(bench.hear_publications(1).await, [1]);
    for n in 2..=5 {
        bench.publish(n).await;
    }
    bench.lapse().await;
    bench.hear_the_end().await;
}

#[tokio::test]
async fn channels_without_history_and_channels_nobody_wants_need_no_offsets() {
    let mut bench = Bench::new("plain:x").await;
    let stranger = Delivery { channel: ChannelName::feed(), ..bench.publish(1).await };
    bench.arrive(&stranger).await;
    for n in [2, 2, 3] {
        let delivery = bench.publish(n).await;
        bench.arrive(&delivery).await;
    }
    assert_eq!(bench.hear_publications(3).await, [2, 2, 3]);
    bench.hub.stop().await;
}
