//! A cluster of three masters: the contracts, and a slot that moves under traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::server::{PATIENCE, nodes_of};
use super::*;
use crate::adapters::contract::Subject;
use crate::adapters::contract::broker::BrokerSubject;
use crate::adapters::contract::model::bare;
use crate::adapters::contract::rate_limits::LimitsSubject;
use crate::adapters::contract::trending::WEIGHTS;
use crate::adapters::contract::{cursor, event_id, incarnation, logged, published};
use crate::adapters::redis::{RedisPresence, RedisTrending};
use crate::domain::channel::ChannelName;
use crate::domain::ids::EventId;
use crate::domain::publication::{Delivery, StreamPosition};
use crate::ports::broker::{Broker, HistoryQuery, Outgoing, Retention};
use crate::ports::event_log::{EventLog, RelayLedger, RelayRecord};
use crate::ports::presence::Presence;
use crate::ports::runs::Runs;
use crate::ports::trending::Trending;

mod broker {
    use super::*;

    async fn fresh() -> BrokerSubject {
        let (options, leftovers) = of(CLUSTER_URL);
        let log = Arc::new(ModelLog::default());
        let Node { broker, deliveries, lapses, clock } = node(&options, &log).await;
        let pass = Box::new(move |duration| clock.advance(duration));
        let keep = Box::new((leftovers, lapses));
        BrokerSubject { broker: Arc::new(broker), deliveries, pass, keep }
    }

    crate::adapters::contract::broker::broker_contract!(fresh);
    crate::adapters::contract::broker_versions::broker_versions_contract!(fresh);
}

mod rate_limits {
    use super::*;

    async fn fresh() -> LimitsSubject {
        super::super::rate_limits::limits_of(CLUSTER_URL).await
    }

    crate::adapters::contract::rate_limits::rate_limits_contract!(fresh);
}

mod presence {
    use super::*;

    async fn fresh() -> Subject<dyn Presence> {
        let (commands, keep) = commands_of(CLUSTER_URL).await;
        Subject { port: Arc::new(RedisPresence::new(commands)), keep }
    }

    crate::adapters::contract::presence::presence_contract!(fresh);
}

mod trending {
    use super::*;

    async fn fresh() -> Subject<dyn Trending> {
        let (commands, keep) = commands_of(CLUSTER_URL).await;
        Subject { port: Arc::new(RedisTrending::new(commands, WEIGHTS, &SystemEntropy)), keep }
    }

    crate::adapters::contract::trending::trending_contract!(fresh);
}

mod slots {
    super::tests![
        a_slot_that_moves_under_traffic_loses_nothing_and_no_offset_means_two_things,
        every_master_is_probed,
    ];
}

const KEPT: Retention = Retention { size: 1_000, ttl: Duration::from_secs(3_600) };

/// Asks one node of the cluster.
fn ask<T: redis::FromRedisValue>(url: &str, command: &str) -> T {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut words = command.split(' ');
    let mut asked = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        asked.arg(word);
    });
    asked.query(&mut connection).unwrap()
}

/// Moves the slot of `key` to another node, key by key.
async fn move_slot(nodes: &[String], key: &str) {
    let slot: u16 = ask(&nodes[0], &format!("CLUSTER KEYSLOT {key}"));
    let holds = |node: &String| {
        let keys: Vec<String> = ask(node, &format!("CLUSTER GETKEYSINSLOT {slot} 1"));
        !keys.is_empty()
    };
    let from = nodes.iter().find(|node| holds(node)).unwrap();
    let to = nodes.iter().find(|node| *node != from).unwrap();
    let (from_id, to_id): (String, String) = (ask(from, "CLUSTER MYID"), ask(to, "CLUSTER MYID"));
    let (host, port) = to.strip_prefix("redis://").unwrap().rsplit_once(':').unwrap();
    ask::<()>(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
    ask::<()>(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
    loop {
        let keys: Vec<String> = ask(from, &format!("CLUSTER GETKEYSINSLOT {slot} 1"));
        let Some(key) = keys.first() else { break };
        ask::<redis::Value>(from, &format!("MIGRATE {host} {port} {key} 0 5000"));
        // So that traffic meets a slot that is half here and half there.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for node in [to, from].into_iter().chain(nodes) {
        ask::<()>(node, &format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
    }
}

/// Publishes numbered events to one channel, one after the other, and records where they are.
struct Publisher {
    node: Node,
    log: Arc<ModelLog>,
    channel: ChannelName,
    meaning: BTreeMap<StreamPosition, EventId>,
    count: u16,
}

impl Publisher {
    async fn publish(&mut self) -> EventId {
        self.count += 1;
        let event = bare(self.count, &["feed:all"]);
        let (channel, body, id) = (self.channel.clone(), absent::body_of(&event), event.id);
        self.log.append(&[logged(1, self.count.into(), event)]).await.unwrap();
        let outgoing =
            Outgoing { channel, event: Some(id), body, retention: Some(KEPT), version: None };
        let began = Instant::now();
        let position = loop {
            match self.node.broker.publish(std::slice::from_ref(&outgoing)).await {
                Ok(places) => break places[0].clone().unwrap(),
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let (channel, place) = (self.channel.clone(), position.clone());
        let relay = RelayRecord { channel, position: place, event: id };
        self.log.record(&[relay], cursor(1, self.count.into())).await.unwrap();
        assert_eq!(self.meaning.insert(position, id), None, "an offset was used before");
        id
    }
}

/// Takes what was delivered: in each epoch the offsets rise, and all mean what was published there.
fn check_deliveries(hearer: &mut Node, meaning: &BTreeMap<StreamPosition, EventId>) {
    let mut last: Option<StreamPosition> = None;
    while let Ok(Delivery { epoch, publication, .. }) = hearer.deliveries.try_recv().map(published)
    {
        let position = StreamPosition { epoch: epoch.unwrap(), offset: publication.offset };
        assert_eq!(meaning.get(&position), publication.event.as_ref());
        assert!(last.as_ref().is_none_or(|last| *last < position), "{last:?}, then {position:?}");
        last = Some(position);
    }
}

async fn a_slot_that_moves_under_traffic_loses_nothing_and_no_offset_means_two_things() {
    let (options, _keep) = of(CLUSTER_URL);
    let nodes = nodes_of(&options.url);
    assert_eq!(nodes.len(), 3);
    let log = Arc::new(ModelLog::default());
    log.open(incarnation(1), at(0)).await.unwrap();
    let mut hearer = node(&options, &log).await;
    // A slot of its own: other tests use the same cluster.
    let channel = ChannelName::tag(&options.prefix.replace(':', ""));
    hearer.broker.subscribe(&channel).await.unwrap();
    let mut publisher = Publisher {
        node: node(&options, &log).await,
        log,
        channel: channel.clone(),
        meaning: BTreeMap::new(),
        count: 0,
    };
    for _ in 0..50 {
        publisher.publish().await;
    }
    for _ in 0..2 {
        let (all, key) = (nodes.clone(), format!("{}{{{channel}}}", options.prefix));
        let moving = tokio::spawn(async move { move_slot(&all, &key).await });
        while !moving.is_finished() {
            publisher.publish().await;
        }
        moving.await.unwrap();
        // It is told where something may be missing, and from then on all is heard.
        let lapse = timeout(PATIENCE, hearer.lapses.recv()).await.expect("a lapse is due").unwrap();
        assert!(lapse.channels.contains(&channel));
        check_deliveries(&mut hearer, &publisher.meaning);
        for _ in 0..20 {
            let event = publisher.publish().await;
            let next = timeout(PATIENCE, hearer.deliveries.recv()).await.expect("it is heard");
            assert_eq!(published(next.unwrap()).publication.event, Some(event));
        }
    }
    // All of it is there, in its order.
    let all = HistoryQuery { since: None, limit: usize::MAX, reverse: false };
    let page = hearer.broker.history(&channel, KEPT, &all).await.unwrap();
    let there: Vec<_> = page.publications.iter().map(|it| (it.offset, it.event)).collect();
    let wanted = (1..=publisher.count).map(|n| (u64::from(n), Some(event_id(n))));
    assert_eq!(there, wanted.collect::<Vec<_>>());
    let epochs: BTreeSet<_> = publisher.meaning.keys().map(|position| &position.epoch).collect();
    assert_eq!(epochs.len(), 3, "one on each server that had the slot");
}

async fn every_master_is_probed() {
    let (options, _keep) = of(CLUSTER_URL);
    let _node = node(&options, &Arc::new(ModelLog::default())).await;
    for url in nodes_of(&options.url) {
        let pattern = format!("{}{{node:probe-*", options.prefix);
        let probes: Vec<String> = ask(&url, &format!("PUBSUB SHARDCHANNELS {pattern}"));
        assert_eq!(probes.len(), 1, "{url}: {probes:?}");
    }
}
