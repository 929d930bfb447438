//! Presence: its contract, and that whoever is not renewed vanishes.

use std::time::Duration;

use super::*;
use crate::adapters::contract::Subject;
use crate::adapters::redis::RedisPresence;
use crate::domain::channel::ChannelName;
use crate::domain::ids::ClientId;
use crate::domain::publication::ClientInfo;
use crate::ports::presence::{Presence, PresenceStats};

async fn fresh() -> Subject<dyn Presence> {
    let (commands, keep) = commands().await;
    Subject { port: Arc::new(RedisPresence::new(commands)), keep }
}

crate::adapters::contract::presence::presence_contract!(fresh);

mod own {
    use super::*;

    tests![
        clients_of_a_node_that_died_vanish_within_the_expiry,
        clients_of_a_node_that_lives_stay_and_come_back_when_redis_forgot,
    ];
}

fn client(n: u8) -> (ClientId, ClientInfo) {
    let id = ClientId::from_random([n; 16]);
    let (user, client) = (n.to_string(), id.to_string());
    (id, ClientInfo { user, client, conn_info: None, chan_info: None })
}

async fn count(presence: &RedisPresence) -> u64 {
    let PresenceStats { clients, .. } = presence.stats(&ChannelName::feed()).await.unwrap();
    clients
}

async fn clients_of_a_node_that_died_vanish_within_the_expiry() {
    let (commands, _keep) = commands().await;
    let expiry = Duration::from_secs(60);
    let clock = Arc::new(ManualClock::at(at(0)));
    let node = || RedisPresence::with(commands.clone(), expiry, Some(clock.clone()));
    let (dying, living) = (node(), node());
    let ((one, of_one), (two, of_two)) = (client(1), client(2));
    dying.add(&ChannelName::feed(), one, &of_one).await.unwrap();
    clock.advance(expiry / 2);
    living.add(&ChannelName::feed(), two, &of_two).await.unwrap();
    assert_eq!(count(&living).await, 2);
    drop(dying);
    clock.advance(expiry / 2);
    assert_eq!(living.list(&ChannelName::feed()).await.unwrap(), [of_two]);
    clock.advance(expiry / 2);
    assert_eq!(count(&living).await, 0, "its renewals go by real time");
}

async fn clients_of_a_node_that_lives_stay_and_come_back_when_redis_forgot() {
    let server = super::server::Server::start();
    let options = with_own_prefix(&server.url());
    let commands = Arc::new(RedisCommands::connect(&options).await.unwrap());
    let expiry = Duration::from_millis(600);
    let presence = RedisPresence::with(commands.clone(), expiry, None);
    let other = RedisPresence::with(commands, expiry, None);
    let ((one, of_one), (two, of_two)) = (client(1), client(2));
    presence.add(&ChannelName::feed(), one, &of_one).await.unwrap();
    presence.add(&ChannelName::feed(), two, &of_two).await.unwrap();
    let began = std::time::Instant::now();
    presence.remove(&ChannelName::feed(), two).await.unwrap();
    while began.elapsed() < 3 * expiry {
        assert_eq!(count(&other).await, 1);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.ask(&["FLUSHALL"]);
    let began = std::time::Instant::now();
    while count(&other).await != 1 {
        assert!(began.elapsed() < super::server::PATIENCE, "it comes back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
