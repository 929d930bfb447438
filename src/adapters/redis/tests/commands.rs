//! The connection that is made again: whoever asks while it is lost is told so at once.

use std::time::{Duration, Instant};

use super::server::{PATIENCE, Server};
use super::*;
use crate::adapters::contract::rate_limits::{quota, writes_of};
use crate::adapters::memory::rate_limits::MemoryRateLimits;
use crate::adapters::redis::RedisRateLimits;
use crate::ports::rate_limits::RateLimits;

mod own {
    super::tests![
        only_who_asked_when_it_fell_silent_waits,
        a_connection_that_idles_is_made_again_before_anybody_needs_it,
        a_server_that_became_a_replica_is_left,
        rate_limits_do_not_wait_as_long_as_others,
    ];
}

const SMALL: &str = "#!lua\nredis.call('SET', KEYS[1], ARGV[1]) return 1";

async fn ask(commands: &RedisCommands) -> bool {
    let script = redis::Script::new(SMALL);
    let key = [commands.keys.alone("small")];
    commands.run::<u8>(&script, &key, &["1"]).await.is_ok()
}

async fn until_answered(commands: &RedisCommands) {
    let began = Instant::now();
    while !ask(commands).await {
        assert!(began.elapsed() < PATIENCE, "it is used again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A server with a bound on answers that a test can wait for.
async fn with_bound(bound: Duration) -> (Server, Arc<RedisCommands>) {
    let server = Server::start();
    let options = RedisOptions { command_timeout: bound, ..with_own_prefix(&server.url()) };
    let commands = Arc::new(RedisCommands::connect(&options).await.unwrap());
    (server, commands)
}

async fn only_who_asked_when_it_fell_silent_waits() {
    let bound = Duration::from_secs(1);
    let (server, commands) = with_bound(bound).await;
    assert!(ask(&commands).await);
    server.signal("-STOP");
    let began = Instant::now();
    assert!(!ask(&commands).await);
    assert!(began.elapsed() >= bound);
    // For as long as it is silent, nobody waits, however often somebody tries.
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    while began.elapsed() < 4 * bound {
        let asked = Instant::now();
        assert!(!ask(&commands).await);
        longest = longest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal("-CONT");
    assert!(longest < bound / 2, "{longest:?}");
    until_answered(&commands).await;
}

async fn a_connection_that_idles_is_made_again_before_anybody_needs_it() {
    let server = Server::start();
    let probe_interval = Duration::from_millis(50);
    let options = RedisOptions { probe_interval, ..with_own_prefix(&server.url()) };
    let commands = RedisCommands::connect(&options).await.unwrap();
    server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let began = Instant::now();
    while commands.renewals() == 0 {
        assert!(began.elapsed() < PATIENCE, "it is made again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(ask(&commands).await, "the first who asks gets an answer");
}

async fn a_server_that_became_a_replica_is_left() {
    let (old, new) = (Server::start(), Server::start());
    let switch = super::server::Switch::to(old.port).await;
    let options = with_own_prefix(&super::server::url(switch.port));
    let commands = RedisCommands::connect(&options).await.unwrap();
    let log = Arc::new(ModelLog::default());
    let node = node(&options, &log).await;
    assert!(ask(&commands).await);
    // As a managed failover does it: the address moves, and connections to the old primary stay.
    switch.turn_to(new.port);
    old.ask(&["REPLICAOF", "127.0.0.1", &new.port.to_string()]);
    until_answered(&commands).await;
    let mine = format!("{}small", options.prefix);
    assert_eq!(new.ask(&["GET", &mine]), redis::Value::BulkString(b"1".to_vec()));
    let began = Instant::now();
    while node.broker.witness(&crate::domain::channel::ChannelName::feed()).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the relay follows, too");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn rate_limits_do_not_wait_as_long_as_others() {
    let bound = Duration::from_secs(4);
    let (server, commands) = with_bound(bound).await;
    let clock = Arc::new(ManualClock::at(at(0)));
    let limits = RedisRateLimits::new(commands, Arc::new(MemoryRateLimits::new(clock)));
    limits.take(&writes_of(1), quota(1_000)).await.unwrap();
    server.signal("-STOP");
    let mut slow = 0;
    let began = Instant::now();
    while began.elapsed() < bound {
        let asked = Instant::now();
        assert!(limits.take(&writes_of(1), quota(100_000)).await.unwrap().allowed);
        assert!(asked.elapsed() < bound / 2, "{:?}", asked.elapsed());
        slow += u32::from(asked.elapsed() > Duration::from_millis(200));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal("-CONT");
    assert!(slow <= 2, "{slow} of the requests waited");
}
