//! Sessions of late: their contract, and what Redis has of them.

use std::time::Duration;

use super::server::{PATIENCE, Server};
use super::*;
use crate::adapters::contract::Subject;
use crate::adapters::contract::session_cache::entry;
use crate::adapters::redis::RedisSessionCache;
use crate::ports::session_cache::SessionCache;

const TTL: Duration = Duration::from_secs(300);

async fn fresh() -> Subject<dyn SessionCache> {
    let (commands, keep) = commands().await;
    Subject { port: Arc::new(RedisSessionCache::new(commands)), keep }
}

crate::adapters::contract::session_cache::session_cache_contract!(fresh);

mod on_a_cluster {
    use super::*;

    async fn fresh() -> Subject<dyn SessionCache> {
        let (commands, keep) = commands_of(CLUSTER_URL).await;
        Subject { port: Arc::new(RedisSessionCache::new(commands)), keep }
    }

    crate::adapters::contract::session_cache::session_cache_contract!(fresh);
}

mod own {
    use super::*;

    tests![
        a_session_is_a_hash_that_expires_and_one_of_another_version_counts_as_lost,
        while_redis_is_away_few_wait_and_afterwards_it_is_used_again,
    ];
}

async fn a_session_is_a_hash_that_expires_and_one_of_another_version_counts_as_lost() {
    let (options, _keep) = redis();
    let cache = RedisSessionCache::new(Arc::new(RedisCommands::connect(&options).await.unwrap()));
    let entry = entry(0xab);
    let token = entry.signed_in.session.token;
    cache.put(&entry, TTL).await.unwrap();
    let key = format!("{}session:{}", options.prefix, "ab".repeat(32));
    let client = redis::Client::open(options.url.as_str()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut ask = |command: &str, field: Option<&str>| -> redis::Value {
        redis::cmd(command).arg(&key).arg(field).query(&mut connection).unwrap()
    };
    let left: u64 = redis::from_redis_value(ask("PTTL", None)).unwrap();
    assert!((1..=300_000).contains(&left), "{left}");
    let name: String = redis::from_redis_value(ask("HGET", Some("username"))).unwrap();
    assert_eq!(name, entry.signed_in.user.username);
    ask("HDEL", Some("email"));
    assert_eq!(cache.get(&token).await.unwrap(), None);
    cache.put(&entry, TTL).await.unwrap();
    assert_eq!(cache.get(&token).await.unwrap(), Some(entry));
}

async fn while_redis_is_away_few_wait_and_afterwards_it_is_used_again() {
    let mut server = Server::start();
    let options = with_own_prefix(&server.url());
    let cache = RedisSessionCache::new(Arc::new(RedisCommands::connect(&options).await.unwrap()));
    let token = entry(1).signed_in.session.token;
    cache.put(&entry(1), TTL).await.unwrap();
    server.kill();
    let began = std::time::Instant::now();
    for _ in 0..50 {
        assert!(cache.get(&token).await.is_err());
    }
    assert!(began.elapsed() < options.command_timeout, "{:?}", began.elapsed());
    server.run();
    let began = std::time::Instant::now();
    loop {
        match cache.get(&token).await {
            Ok(found) => break assert_eq!(found, None, "Redis has forgotten all"),
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cache.put(&entry(1), TTL).await.unwrap();
    assert_eq!(cache.get(&token).await.unwrap(), Some(entry(1)));
}
