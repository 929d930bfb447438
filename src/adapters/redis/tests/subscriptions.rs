//! Subscriptions: many at once, and a moment longer than they are wanted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::server::{PATIENCE, Server, Switch, url};
use super::*;
use crate::adapters::contract::model::bare;
use crate::adapters::contract::{event_id, published};
use crate::domain::channel::ChannelName;
use crate::ports::broker::{Broker, Outgoing};

mod own {
    super::tests![
        many_channels_are_subscribed_to_at_once_and_left_at_once,
        who_comes_back_soon_finds_the_channel_still_subscribed,
        a_subscription_that_lingers_is_not_made_again_after_a_loss,
        a_connection_that_delivers_nothing_is_given_up,
    ];
}

/// The channels that the server has subscribers for, but those of probes.
fn heard(server: &Server, options: &RedisOptions) -> BTreeSet<String> {
    let pattern = format!("{}*", options.prefix);
    let answer = server.ask(&["PUBSUB", "CHANNELS", &pattern]);
    let channels: Vec<String> = redis::from_redis_value(answer).unwrap();
    channels.into_iter().filter(|channel| !channel.contains("node:probe-")).collect()
}

async fn until_heard(server: &Server, options: &RedisOptions, count: usize) {
    let began = Instant::now();
    while heard(server, options).len() != count {
        assert!(began.elapsed() < PATIENCE, "{count} channels are subscribed to");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn announce(node: &Node, channel: &ChannelName, n: u16) {
    let event = bare(n, &["feed:all"]);
    let body = absent::body_of(&event);
    let (channel, event) = (channel.clone(), Some(event.id));
    node.broker
        .publish(&[Outgoing { channel, event, body, retention: None, version: None }])
        .await
        .unwrap();
}

async fn many_channels_are_subscribed_to_at_once_and_left_at_once() {
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let node = Arc::new(node(&options, &log).await);
    let channels: Vec<_> = (0..2_000).map(|n| ChannelName::tag(&n.to_string())).collect();
    let calls = channels.iter().map(|channel| node.broker.subscribe(channel));
    futures_util::future::try_join_all(calls).await.unwrap();
    assert_eq!(heard(&server, &options).len(), channels.len());
    let calls = channels.iter().map(|channel| node.broker.unsubscribe(channel));
    futures_util::future::try_join_all(calls).await.unwrap();
    let calls = || {
        let answer = server.ask(&["INFO", "commandstats"]);
        let text: String = redis::from_redis_value(answer).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_unsubscribe:calls="));
        line.and_then(|line| line.split(',').next()?.parse::<u32>().ok()).unwrap_or(0)
    };
    until_heard(&server, &options, 0).await;
    assert!(calls() <= 10, "{} times UNSUBSCRIBE for {} channels", calls(), channels.len());
}

async fn who_comes_back_soon_finds_the_channel_still_subscribed() {
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let mut node = node(&options, &log).await;
    let (channel, other) = (ChannelName::tag("rust"), ChannelName::tag("go"));
    node.broker.subscribe(&channel).await.unwrap();
    node.broker.subscribe(&other).await.unwrap();
    for n in 1..=20 {
        node.broker.unsubscribe(&channel).await.unwrap();
        assert_eq!(heard(&server, &options).len(), 2, "it lingers");
        // What comes meanwhile is for nobody; what comes after the return is not missed.
        announce(&node, &channel, 100 + n).await;
        announce(&node, &other, n).await;
        let next = published(timeout(PATIENCE, node.deliveries.recv()).await.unwrap().unwrap());
        assert_eq!((next.channel, next.publication.event), (other.clone(), Some(event_id(n))));
        node.broker.subscribe(&channel).await.unwrap();
        announce(&node, &channel, 200 + n).await;
        let next = published(timeout(PATIENCE, node.deliveries.recv()).await.unwrap().unwrap());
        let event = Some(event_id(200 + n));
        assert_eq!((next.channel, next.publication.event), (channel.clone(), event));
    }
    node.broker.unsubscribe(&channel).await.unwrap();
    until_heard(&server, &options, 1).await;
    assert_eq!(heard(&server, &options).len(), 1, "but not for ever");
    assert!(node.lapses.try_recv().is_err());
}

async fn a_subscription_that_lingers_is_not_made_again_after_a_loss() {
    let server = Server::start();
    let (options, log) = (with_own_prefix(&server.url()), Arc::new(ModelLog::default()));
    let mut node = node(&options, &log).await;
    let (channel, other) = (ChannelName::tag("rust"), ChannelName::tag("go"));
    node.broker.subscribe(&channel).await.unwrap();
    node.broker.subscribe(&other).await.unwrap();
    node.broker.unsubscribe(&channel).await.unwrap();
    server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    let lapse = timeout(PATIENCE, node.lapses.recv()).await.unwrap().unwrap();
    assert_eq!(lapse.channels, [other]);
    assert_eq!(heard(&server, &options).len(), 1);
}

async fn a_connection_that_delivers_nothing_is_given_up() {
    let (old, new) = (Server::start(), Server::start());
    let switch = Switch::to(old.port).await;
    let probe_interval = Duration::from_millis(200);
    let options = RedisOptions { probe_interval, ..with_own_prefix(&url(switch.port)) };
    let log = Arc::new(ModelLog::default());
    let mut node = node(&options, &log).await;
    let channel = ChannelName::tag("rust");
    node.broker.subscribe(&channel).await.unwrap();
    // The address leads to another server. What publishes follows; what subscribes stays, and looks healthy.
    switch.turn_to(new.port);
    old.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let lapse = timeout(PATIENCE, node.lapses.recv()).await.expect("a lapse is due").unwrap();
    assert_eq!(lapse.channels, std::slice::from_ref(&channel));
    assert_eq!(heard(&old, &options).len(), 0);
    announce(&node, &channel, 1).await;
    let next = published(timeout(PATIENCE, node.deliveries.recv()).await.unwrap().unwrap());
    assert_eq!(next.publication.event, Some(event_id(1)));
}
