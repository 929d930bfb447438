//! An address that leads back to a server which was left: its epochs are over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::server::{PATIENCE, Server, Switch, url};
use super::*;
use crate::adapters::contract::model::bare;
use crate::adapters::contract::{cursor, event_id, incarnation, logged};
use crate::domain::channel::ChannelName;
use crate::domain::ids::EventId;
use crate::domain::publication::StreamPosition;
use crate::ports::broker::{Broker, HistoryQuery, Outgoing, Retention};
use crate::ports::event_log::{EventLog, RelayLedger, RelayRecord};
use crate::ports::runs::Runs;

mod own {
    super::tests![a_server_that_comes_back_as_it_was_left_goes_on_with_no_old_epoch];
}

const KEPT: Retention = Retention { size: 100, ttl: Duration::from_secs(3_600) };

/// Publishes event `n` and records where.
async fn publish(node: &Node, log: &ModelLog, n: u16) -> StreamPosition {
    let event = bare(n, &["feed:all"]);
    log.append(&[logged(1, n.into(), event.clone())]).await.unwrap();
    let (channel, body) = (ChannelName::feed(), absent::body_of(&event));
    let outgoing =
        Outgoing { channel, event: Some(event.id), body, retention: Some(KEPT), version: None };
    let began = Instant::now();
    let position = loop {
        match node.broker.publish(std::slice::from_ref(&outgoing)).await {
            Ok(places) => break places[0].clone().unwrap(),
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let (channel, place) = (ChannelName::feed(), position.clone());
    let relay = RelayRecord { channel, position: place, event: event.id };
    log.record(&[relay], cursor(1, n.into())).await.unwrap();
    position
}

async fn a_server_that_comes_back_as_it_was_left_goes_on_with_no_old_epoch() {
    let servers = [Server::start(), Server::start()];
    let switch = Switch::to(servers[0].port).await;
    let (options, log) = (with_own_prefix(&url(switch.port)), Arc::new(ModelLog::default()));
    log.open(incarnation(1), at(0)).await.unwrap();
    let nodes = [node(&options, &log).await, node(&options, &log).await];
    let mut places: BTreeMap<StreamPosition, EventId> = BTreeMap::new();
    let mut n = 0;
    for round in 0..6 {
        for node in [0, 1, 0, 1] {
            n += 1;
            let place = publish(&nodes[node], &log, n).await;
            let last = places.last_key_value().map(|(last, _)| last.clone());
            assert!(last.as_ref() < Some(&place), "round {round}: {last:?}, then {place:?}");
            places.insert(place, event_id(n));
        }
        switch.turn_to(servers[(round + 1) % 2].port);
        servers[round % 2].ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    let all = HistoryQuery { since: None, limit: usize::MAX, reverse: false };
    let began = Instant::now();
    let page = loop {
        match nodes[1].broker.history(&ChannelName::feed(), KEPT, &all).await {
            Ok(page) => break page,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let there: Vec<_> = page.publications.iter().map(|it| it.event).collect();
    assert_eq!(there, (1..=n).map(|n| Some(event_id(n))).collect::<Vec<_>>());
    assert_eq!(page.seeded_through, u64::from(n), "the last server was left, too");
}
