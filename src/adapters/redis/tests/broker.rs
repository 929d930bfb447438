//! The broker: its contract, and what is left of it when Redis forgets, stops, moves or loses connections.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::server::{PATIENCE, Server, Switch, url};
use super::*;
use crate::adapters::contract::broker::BrokerSubject;
use crate::adapters::contract::model::bare;
use crate::adapters::contract::{cursor, event_id, incarnation, logged, published};
use crate::domain::channel::ChannelName;
use crate::domain::event::{Event, Fact};
use crate::domain::publication::{Delivery, Epoch, StreamPosition, Version};
use crate::ports::StoreError;
use crate::ports::broker::{Broker, HistoryPage, HistoryQuery, Outgoing, Retention};
use crate::ports::event_log::{EventLog, RelayLedger, RelayRecord};
use crate::ports::runs::Runs;

mod contract {
    use super::*;

    async fn fresh() -> BrokerSubject {
        let (options, leftovers) = redis();
        let log = Arc::new(ModelLog::default());
        let Node { broker, deliveries, lapses, clock } = node(&options, &log).await;
        let pass = Box::new(move |duration| clock.advance(duration));
        let keep = Box::new((leftovers, lapses));
        BrokerSubject { broker: Arc::new(broker), deliveries, pass, keep }
    }

    crate::adapters::contract::broker::broker_contract!(fresh);
    crate::adapters::contract::broker_versions::broker_versions_contract!(fresh);
}

const KEPT: Retention = Retention { size: 100, ttl: Duration::from_secs(3_600) };
const ALL: HistoryQuery = HistoryQuery { since: None, limit: usize::MAX, reverse: false };

mod own_server {
    use super::*;

    tests![
        what_flushall_takes_is_begun_anew_and_filled_from_the_log,
        what_flushall_takes_of_versions_is_known_from_the_log,
        a_restart_with_nothing_kept_begins_a_later_epoch,
        after_a_failover_that_lost_writes_no_offset_means_two_things,
        a_lost_answer_is_asked_for_again_and_changes_nothing,
        two_nodes_publish_to_one_channel_in_one_order,
        a_killed_subscriber_subscribes_again_and_says_so,
        a_dead_redis_is_told_of_quickly_and_used_again,
        a_redis_that_hangs_is_told_of_in_time,
        an_epoch_that_was_drawn_before_redis_was_emptied_is_never_begun,
        scripts_that_the_server_forgot_are_taught_again,
    ];
}

fn outgoing(event: &Event) -> Outgoing {
    let body = absent::body_of(event);
    let version = event.fact.publish_options().and_then(|options| options.version.clone());
    let (channel, event) = (ChannelName::feed(), Some(event.id));
    Outgoing { channel, event, body, retention: Some(KEPT), version }
}

fn numbered(n: u16) -> Event {
    bare(n, &["feed:all"])
}

async fn try_publish(node: &Node, n: u16) -> Result<StreamPosition, StoreError> {
    let mut places = node.broker.publish(&[outgoing(&numbered(n))]).await?;
    Ok(places.pop().unwrap().unwrap())
}

async fn publish(node: &Node, n: u16) -> StreamPosition {
    try_publish(node, n).await.unwrap()
}

/// Publishes as soon as that is possible again.
async fn publish_again(node: &Node, n: u16) -> StreamPosition {
    let published = async {
        loop {
            match try_publish(node, n).await {
                Ok(position) => return position,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(PATIENCE, published).await.expect("Redis is used again")
}

async fn feed(node: &Node) -> HistoryPage {
    node.broker.history(&ChannelName::feed(), KEPT, &ALL).await.unwrap()
}

async fn next(node: &mut Node) -> Delivery {
    published(timeout(PATIENCE, node.deliveries.recv()).await.expect("a delivery is due").unwrap())
}

/// Keeps `n` in the log, as relayed at `position`.
async fn record(log: &ModelLog, n: u16, position: &StreamPosition) {
    record_event(log, n, numbered(n), position).await;
}

async fn record_event(log: &ModelLog, n: u16, event: Event, position: &StreamPosition) {
    if n == 1 {
        log.open(incarnation(1), at(0)).await.unwrap();
    }
    log.append(&[logged(1, n.into(), event)]).await.unwrap();
    let (channel, event) = (ChannelName::feed(), event_id(n));
    let relay = RelayRecord { channel, position: position.clone(), event };
    log.record(&[relay], cursor(1, n.into())).await.unwrap();
}

fn ids(page: &HistoryPage) -> Vec<(u64, u16)> {
    let number = |id| (0..1_000).find(|n| Some(event_id(*n)) == id).unwrap();
    page.publications.iter().map(|p| (p.offset, number(p.event))).collect()
}

async fn what_flushall_takes_is_begun_anew_and_filled_from_the_log() {
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let mut node = node(&options, &log).await;
    node.broker.subscribe(&ChannelName::feed()).await.unwrap();
    let mut epochs = Vec::<Epoch>::new();
    let mut began = Instant::now();
    for round in 0..3_u16 {
        for n in 3 * round + 1..=3 * round + 3 {
            let position = publish(&node, n).await;
            let delivery = next(&mut node).await;
            assert_eq!(delivery.publication.event, Some(event_id(n)));
            assert_eq!(delivery.epoch.as_ref(), Some(&position.epoch));
            assert_eq!(delivery.publication.offset, position.offset);
            record(&log, n, &position).await;
        }
        let page = feed(&node).await;
        assert_eq!(page.seeded_through, u64::from(3 * round));
        assert_eq!(ids(&page), (1..=3 * round + 3).map(|n| (n.into(), n)).collect::<Vec<_>>());
        epochs.push(page.top.epoch);
        // Another channel begins later, but the flush was as long ago.
        assert!(page.age <= began.elapsed() + Duration::from_millis(1), "{:?}", page.age);
        let tag = node.broker.history(&ChannelName::tag("rust"), KEPT, &ALL).await.unwrap();
        assert!(tag.age >= page.age, "{:?}, {:?}", tag.age, page.age);
        let grown = async { while feed(&node).await.age <= tag.age {} };
        timeout(PATIENCE, grown).await.expect("an epoch ages");
        began = Instant::now();
        server.ask(&["FLUSHALL"]);
    }
    assert!(epochs.is_sorted() && epochs[0] != epochs[1] && epochs[1] != epochs[2], "{epochs:?}");
    // What was there before is found again, and not published anew.
    let again = publish(&node, 2).await;
    assert!(again.epoch > epochs[2]);
    assert_eq!(again.offset, 2);
    assert!(node.deliveries.try_recv().is_err());
}

async fn what_flushall_takes_of_versions_is_known_from_the_log() {
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let node = node(&options, &log).await;
    let versioned = |n, number| {
        let mut event = numbered(n);
        if let Fact::ChannelPublished(bare) = &mut event.fact {
            bare.options.version = Some(Version { number, epoch: "a".to_owned() });
        }
        event
    };
    let publish = async |event: Event| {
        let places = node.broker.publish(&[outgoing(&event)]).await.unwrap();
        places.into_iter().next().unwrap()
    };
    let position = publish(versioned(1, 10)).await.unwrap();
    record_event(&log, 1, versioned(1, 10), &position).await;
    server.ask(&["FLUSHALL"]);
    assert_eq!(publish(versioned(2, 10)).await, None);
    let later = publish(versioned(3, 11)).await.unwrap();
    assert!(later.offset == 2 && later.epoch > position.epoch, "{later:?}");
}

async fn a_restart_with_nothing_kept_begins_a_later_epoch() {
    let mut server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let mut node = node(&options, &log).await;
    node.broker.subscribe(&ChannelName::feed()).await.unwrap();
    let first = publish(&node, 1).await;
    next(&mut node).await;
    record(&log, 1, &first).await;
    server.kill();
    assert!(try_publish(&node, 2).await.is_err());
    server.run();
    let second = publish_again(&node, 2).await;
    assert!(second.epoch > first.epoch);
    assert_eq!(ids(&feed(&node).await), [(1, 1), (2, 2)]);
    let lapse = timeout(PATIENCE, node.lapses.recv()).await.unwrap().unwrap();
    assert_eq!(lapse.channels, [ChannelName::feed()]);
    let third = publish(&node, 3).await;
    while next(&mut node).await.publication.offset != third.offset {}
}

async fn after_a_failover_that_lost_writes_no_offset_means_two_things() {
    let (mut master, replica) = (Server::start(), Server::start());
    let switch = Switch::to(master.port).await;
    replica.ask(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    let (options, log) = (with_own_prefix(&url(switch.port)), Arc::new(ModelLog::default()));
    let node = node(&options, &log).await;
    let mut meaning = BTreeMap::<StreamPosition, u16>::new();
    for n in 1..=3 {
        let position = publish(&node, n).await;
        record(&log, n, &position).await;
        assert_eq!(meaning.insert(position, n), None);
    }
    // The replica has these three, is cut off, and lacks what comes then.
    let began = std::time::Instant::now();
    let stream = format!("{}{{feed:all}}:stream", options.prefix);
    while replica.ask(&["XLEN", &stream]) != redis::Value::Int(3) {
        assert!(began.elapsed() < PATIENCE, "the replica follows");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    for n in 4..=5 {
        assert_eq!(meaning.insert(publish(&node, n).await, n), None);
    }
    switch.turn_to(replica.port);
    master.kill();
    for n in 6..=7 {
        let position = publish_again(&node, n).await;
        assert_eq!(meaning.insert(position, n), None, "an offset was used before");
    }
    let epochs: BTreeSet<_> = meaning.keys().map(|position| &position.epoch).collect();
    assert_eq!(epochs.len(), 2);
    // What was lost can be relayed again; what was recorded is there.
    assert_eq!(publish(&node, 4).await.offset, 6);
    assert_eq!(ids(&feed(&node).await), [(1, 1), (2, 2), (3, 3), (4, 6), (5, 7), (6, 4)]);
}

async fn a_lost_answer_is_asked_for_again_and_changes_nothing() {
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let mut node = node(&options, &log).await;
    node.broker.subscribe(&ChannelName::feed()).await.unwrap();
    publish(&node, 1).await;
    // Written but not executed while the server is paused; the answer comes too late for the caller.
    server.ask(&["CLIENT", "PAUSE", "2600", "ALL"]);
    let batch = [2, 3].map(|n| outgoing(&numbered(n)));
    assert!(node.broker.publish(&batch).await.is_err());
    let places = loop {
        if let Ok(places) = node.broker.publish(&batch).await {
            break places;
        }
    };
    let offsets: Vec<_> = places.iter().map(|place| place.as_ref().unwrap().offset).collect();
    assert_eq!(offsets, [2, 3]);
    assert_eq!(publish(&node, 4).await.offset, 4);
    for offset in 1..=4 {
        assert_eq!(next(&mut node).await.publication.offset, offset);
    }
    assert!(node.deliveries.try_recv().is_err());
}

async fn two_nodes_publish_to_one_channel_in_one_order() {
    const EACH: u16 = 200;
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let (mut one, mut other) = (node(&options, &log).await, node(&options, &log).await);
    for node in [&one, &other] {
        node.broker.subscribe(&ChannelName::feed()).await.unwrap();
    }
    let publishing = async |node: &Node, first: u16| {
        for n in (first..first + EACH).step_by(20) {
            let batch: Vec<_> = (n..n + 20).map(|n| outgoing(&numbered(n))).collect();
            let places = node.broker.publish(&batch).await.unwrap();
            assert!(places.is_sorted());
        }
    };
    tokio::join!(publishing(&one, 0), publishing(&other, EACH));
    let mut seen = [Vec::new(), Vec::new()];
    for (node, seen) in [&mut one, &mut other].into_iter().zip(&mut seen) {
        for offset in 1..=u64::from(2 * EACH) {
            let delivery = next(node).await;
            assert_eq!(delivery.publication.offset, offset);
            seen.push((delivery.epoch, delivery.publication.event));
        }
    }
    assert_eq!(seen[0], seen[1]);
}

async fn a_killed_subscriber_subscribes_again_and_says_so() {
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let mut node = node(&options, &log).await;
    let channels = [ChannelName::feed(), ChannelName::tag("rust")];
    for channel in &channels {
        node.broker.subscribe(channel).await.unwrap();
    }
    for round in 0..3 {
        assert!(node.lapses.try_recv().is_err());
        publish(&node, 10 * round + 1).await;
        next(&mut node).await;
        server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        let lapse = timeout(PATIENCE, node.lapses.recv()).await.unwrap().unwrap();
        let lapsed: BTreeSet<_> = lapse.channels.into_iter().collect();
        assert_eq!(lapsed, channels.iter().cloned().collect());
        // From here on nothing is missed.
        let after = publish(&node, 10 * round + 2).await;
        assert_eq!(next(&mut node).await.publication.offset, after.offset);
        while let Ok(Some(_)) = timeout(Duration::from_millis(300), node.lapses.recv()).await {}
    }
}

async fn a_dead_redis_is_told_of_quickly_and_used_again() {
    let mut server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let mut node = node(&options, &log).await;
    publish(&node, 1).await;
    server.kill();
    for n in 2..6 {
        let began = std::time::Instant::now();
        let failed = try_publish(&node, n).await.unwrap_err();
        assert!(matches!(failed, StoreError::Unavailable { store: "realtime", .. }), "{failed}");
        let (feed, tag) = (ChannelName::feed(), ChannelName::tag("rust"));
        assert!(node.broker.history(&feed, KEPT, &ALL).await.is_err());
        assert!(node.broker.subscribe(&tag).await.is_err());
        assert!(began.elapsed() < 3 * options.command_timeout, "{:?}", began.elapsed());
    }
    server.run();
    publish_again(&node, 7).await;
    let subscribed = async {
        while node.broker.subscribe(&ChannelName::feed()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, subscribed).await.unwrap();
    let eighth = publish(&node, 8).await;
    assert_eq!(next(&mut node).await.publication.offset, eighth.offset);
}

async fn a_redis_that_hangs_is_told_of_in_time() {
    let server = Server::start();
    let options = RedisOptions {
        command_timeout: Duration::from_millis(500),
        probe_interval: Duration::from_millis(300),
        ..with_own_prefix(&server.url())
    };
    let log = Arc::new(ModelLog::default());
    let mut node = node(&options, &log).await;
    node.broker.subscribe(&ChannelName::feed()).await.unwrap();
    publish(&node, 1).await;
    next(&mut node).await;
    server.signal("-STOP");
    let began = std::time::Instant::now();
    assert!(try_publish(&node, 2).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.signal("-CONT");
    publish_again(&node, 3).await;
    let heard = async {
        loop {
            let n = 4 + u16::try_from(began.elapsed().as_millis() % 900).unwrap();
            let _ = try_publish(&node, n).await;
            let delivery = timeout(Duration::from_millis(200), node.deliveries.recv()).await;
            if let Ok(Some(delivery)) = delivery.map(|it| it.map(published))
                && delivery.publication.event == Some(event_id(n))
            {
                return;
            }
        }
    };
    timeout(PATIENCE, heard).await.expect("what is published is heard again");
}

async fn an_epoch_that_was_drawn_before_redis_was_emptied_is_never_begun() {
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let (slow, fast) = (node(&options, &log).await, node(&options, &log).await);
    // The slow node looks and draws; then the fast one begins, and all is forgotten.
    let channel = ChannelName::feed();
    let (witness, drawn) = slow.broker.witness(&channel).await.unwrap().unwrap();
    let begun = publish(&fast, 1).await.epoch;
    assert!(drawn < begun);
    server.ask(&["FLUSHALL"]);
    slow.broker.begin(&channel, KEPT, &witness, &drawn).await.unwrap();
    let now = feed(&slow).await.top.epoch;
    assert!(now > begun, "{now:?} after {begun:?}");
    // One that finds an epoch there leaves it.
    slow.broker.begin(&channel, KEPT, &witness, &drawn).await.unwrap();
    assert_eq!(feed(&fast).await.top.epoch, now);
}

async fn scripts_that_the_server_forgot_are_taught_again() {
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let node = node(&options, &log).await;
    for n in 1..=3 {
        assert_eq!(publish(&node, n).await.offset, u64::from(n));
        server.ask(&["SCRIPT", "FLUSH"]);
    }
    assert_eq!(feed(&node).await.publications.len(), 3);
}
