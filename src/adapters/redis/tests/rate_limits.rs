//! Rate limits: their contract, and that they go on without Redis.

use std::time::Duration;

use super::server::{PATIENCE, Server};
use super::*;
use crate::adapters::contract::rate_limits::{LimitsSubject, quota, writes_of};
use crate::adapters::memory::rate_limits::MemoryRateLimits;
use crate::adapters::redis::RedisRateLimits;
use crate::ports::rate_limits::RateLimits;

/// Limits that are counted in the Redis that `variable` names.
pub(super) async fn limits_of(variable: &str) -> LimitsSubject {
    let (options, keep) = of(variable);
    let commands = Arc::new(RedisCommands::connect(&options).await.unwrap());
    let clock = Arc::new(ManualClock::at(at(0)));
    let limits = Arc::new(RedisRateLimits::new(commands, Arc::new(MemoryRateLimits::new(clock))));
    let RedisOptions { url, prefix, .. } = options;
    let let_pass = move |duration: Duration| pass(&url, &prefix, duration.as_millis() as i64);
    LimitsSubject { limits, pass: Box::new(let_pass), keep }
}

async fn fresh() -> LimitsSubject {
    limits_of(URL).await
}

crate::adapters::contract::rate_limits::rate_limits_contract!(fresh);

mod own {
    use super::*;

    tests![
        two_nodes_count_together,
        what_was_taken_evenly_comes_back_evenly,
        a_clock_that_is_set_back_keeps_nobody_away,
        without_redis_the_node_counts_alone_and_nobody_waits,
    ];
}

async fn two_nodes_count_together() {
    let (options, _keep) = redis();
    let mut taken = 0;
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let commands = Arc::new(RedisCommands::connect(&options).await.unwrap());
        let clock = Arc::new(ManualClock::at(at(0)));
        nodes.push(RedisRateLimits::new(commands, Arc::new(MemoryRateLimits::new(clock))));
    }
    for _ in 0..10 {
        for node in &nodes {
            taken += u32::from(node.take(&writes_of(1), quota(7)).await.unwrap().allowed);
        }
    }
    assert_eq!(taken, 7);
}

async fn what_was_taken_evenly_comes_back_evenly() {
    let LimitsSubject { limits, pass, keep: _keep } = fresh().await;
    let second = Duration::from_secs(1);
    // One a second is what a quota of 60 a minute allows, for ever.
    for _ in 0..300 {
        assert!(limits.take(&writes_of(1), quota(60)).await.unwrap().allowed);
        pass(second);
    }
    // Of two a second, half are refused, wherever the windows begin and end.
    let mut taken = 0;
    for _ in 0..600 {
        taken += u32::from(limits.take(&writes_of(1), quota(60)).await.unwrap().allowed);
        pass(second / 2);
    }
    assert!((290..=370).contains(&taken), "{taken}");
}

async fn a_clock_that_is_set_back_keeps_nobody_away() {
    let (options, _keep) = redis();
    let commands = Arc::new(RedisCommands::connect(&options).await.unwrap());
    let clock = Arc::new(ManualClock::at(at(0)));
    let limits = RedisRateLimits::new(commands, Arc::new(MemoryRateLimits::new(clock)));
    assert!(limits.take(&writes_of(42), quota(1)).await.unwrap().allowed);
    pass(&options.url, &options.prefix, -3_600_000);
    let refused = limits.take(&writes_of(42), quota(1)).await.unwrap();
    let wait = refused.retry_after;
    assert!(!refused.allowed && wait <= Duration::from_secs(60), "{refused:?}");
    pass(&options.url, &options.prefix, 60_000);
    assert!(limits.take(&writes_of(42), quota(1)).await.unwrap().allowed);
}

async fn without_redis_the_node_counts_alone_and_nobody_waits() {
    let mut server = Server::start();
    let options = with_own_prefix(&server.url());
    let commands = Arc::new(RedisCommands::connect(&options).await.unwrap());
    let clock = Arc::new(ManualClock::at(at(0)));
    let limits = RedisRateLimits::new(commands, Arc::new(MemoryRateLimits::new(clock)));
    assert_eq!(limits.take(&writes_of(1), quota(3)).await.unwrap().remaining, 2);
    server.kill();
    let began = std::time::Instant::now();
    let mut left = Vec::new();
    for _ in 0..50 {
        left.push(limits.take(&writes_of(1), quota(3)).await.unwrap().remaining);
    }
    assert_eq!(left[..4], [2, 1, 0, 0], "the node's own quota is whole");
    assert!(began.elapsed() < options.command_timeout, "{:?}", began.elapsed());
    server.run();
    let began = std::time::Instant::now();
    while !limits.take(&writes_of(1), quota(3)).await.unwrap().allowed {
        assert!(began.elapsed() < PATIENCE, "Redis, which has forgotten, is used again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
