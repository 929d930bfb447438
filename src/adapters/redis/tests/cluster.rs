//! A cluster of three masters: the contracts, and a slot that moves under traffic.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::server::{PATIENCE, nodes_of};
use super::*;
use crate::adapters::contract::Subject;
use crate::adapters::contract::broker::BrokerSubject;
use crate::adapters::contract::event_id;
use crate::adapters::contract::model::bare;
use crate::adapters::contract::rate_limits::LimitsSubject;
use crate::adapters::contract::trending::WEIGHTS;
use crate::adapters::memory::rate_limits::MemoryRateLimits;
use crate::adapters::redis::{RedisPresence, RedisRateLimits, RedisTrending};
use crate::domain::channel::ChannelName;
use crate::ports::broker::{Broker, Outgoing, Retention};
use crate::ports::presence::Presence;
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
}

mod rate_limits {
    use super::*;

    async fn fresh() -> LimitsSubject {
        let (commands, keep) = commands_of(CLUSTER_URL).await;
        let clock = Arc::new(ManualClock::at(at(0)));
        let alone = Arc::new(MemoryRateLimits::new(clock.clone()));
        let limits = Arc::new(RedisRateLimits::new(commands, alone).by(clock.clone()));
        let pass = Box::new(move |duration| clock.advance(duration));
        LimitsSubject { limits, pass, keep }
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
    super::tests![what_a_moving_slot_delays_arrives_and_no_offset_means_two_things];
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

async fn what_a_moving_slot_delays_arrives_and_no_offset_means_two_things() {
    let (options, _keep) = of(CLUSTER_URL);
    let nodes = nodes_of(&options.url);
    assert_eq!(nodes.len(), 3);
    let log = Arc::new(ModelLog::default());
    let (publisher, mut hearer) = (node(&options, &log).await, node(&options, &log).await);
    // A slot of its own: other tests use the same cluster.
    let channel = ChannelName::tag(&options.prefix.replace(':', ""));
    hearer.broker.subscribe(&channel).await.unwrap();
    let mut meaning = BTreeMap::new();
    let mut publish = async |n: u16| {
        let event = bare(n, &["feed:all"]);
        let outgoing = Outgoing {
            channel: channel.clone(),
            event: Some(event.id),
            body: absent::body_of(&event),
            retention: Some(KEPT),
        };
        let began = Instant::now();
        let place = loop {
            match publisher.broker.publish(std::slice::from_ref(&outgoing)).await {
                Ok(places) => break places[0].clone().unwrap(),
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(meaning.insert(place, n), None, "an offset was used before");
    };
    for n in 0..50 {
        publish(n).await;
    }
    let key = format!("{}{{{channel}}}", options.prefix);
    let all = nodes.clone();
    let moving = tokio::spawn(async move { move_slot(&all, &key).await });
    let mut n = 50;
    while !moving.is_finished() {
        publish(n).await;
        n += 1;
    }
    moving.await.unwrap();
    // It is told where something may be missing, and from then on all is heard.
    let lapse = timeout(PATIENCE, hearer.lapses.recv()).await.expect("a lapse is due").unwrap();
    assert!(lapse.channels.contains(&channel));
    while hearer.deliveries.try_recv().is_ok() {}
    for n in n..n + 20 {
        publish(n).await;
        let next = timeout(PATIENCE, hearer.deliveries.recv()).await.expect("it is heard");
        assert_eq!(next.unwrap().publication.event, Some(event_id(n)));
    }
}
