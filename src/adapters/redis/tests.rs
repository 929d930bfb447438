//! The contracts against a real Redis, and what only these adapters promise.

mod broker;
mod cluster;
mod commands;
mod inspect;
mod lineages;
mod presence;
mod rate_limits;
mod server;
mod session_cache;
mod subscriptions;
mod tls;
mod trending;

use std::any::Any;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{RedisBroker, RedisCommands, RedisOptions, Surroundings};
use crate::adapters::contract::model::ModelLog;
use crate::adapters::contract::skip::skip;
use crate::adapters::contract::{absent, at};
use crate::adapters::memory::manual_clock::ManualClock;
use crate::adapters::system::SystemEntropy;
use crate::ports::broker::{Arriving, Lapse};
use crate::ports::entropy::Entropy;

/// Where a Redis for tests is; each test has keys of its own there.
const URL: &str = "CARILLON_TEST_REDIS_URL";

/// Where a cluster of three masters for tests is.
const CLUSTER_URL: &str = "CARILLON_TEST_REDIS_CLUSTER_URL";

/// The Redis for tests, with a prefix that is this test's alone.
fn redis() -> (RedisOptions, Box<dyn Any + Send>) {
    of(URL)
}

/// The same of the Redis that `variable` names.
fn of(variable: &str) -> (RedisOptions, Box<dyn Any + Send>) {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    let Some(url) = url else { skip(&format!("{variable} is not set")) };
    let options = with_own_prefix(&url);
    let leftovers = Leftovers { url, prefix: options.prefix.clone() };
    (options, Box::new(leftovers))
}

fn with_own_prefix(url: &str) -> RedisOptions {
    let entropy: &dyn Entropy = &SystemEntropy;
    let prefix = format!("test-{:016x}:", u64::from_ne_bytes(entropy.bytes::<8>()));
    RedisOptions { prefix, ..RedisOptions::new(url) }
}

/// The keys of a test, which are deleted at its end.
struct Leftovers {
    url: String,
    prefix: String,
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        let all = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
        for url in server::nodes_of(&self.url) {
            let client = redis::Client::open(url.as_str());
            let mut connection = client.and_then(|client| client.get_connection()).unwrap();
            let pattern = format!("{}*", self.prefix);
            redis::cmd("EVAL").arg(all).arg(0).arg(pattern).exec(&mut connection).unwrap();
        }
    }
}

/// Lets time pass for all keys with a prefix: each lives so many milliseconds less, or more as after a clock was set back.
fn pass(url: &str, prefix: &str, milliseconds: i64) {
    let all = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
               redis.call('PEXPIRE', key, redis.call('PTTL', key) - ARGV[2]) end";
    for url in server::nodes_of(url) {
        let client = redis::Client::open(url.as_str());
        let mut connection = client.and_then(|client| client.get_connection()).unwrap();
        let mut script = redis::cmd("EVAL");
        script.arg(all).arg(0).arg(format!("{prefix}*")).arg(milliseconds);
        script.exec(&mut connection).unwrap();
    }
}

/// A connection to the Redis for tests.
async fn commands() -> (Arc<RedisCommands>, Box<dyn Any + Send>) {
    commands_of(URL).await
}

async fn commands_of(variable: &str) -> (Arc<RedisCommands>, Box<dyn Any + Send>) {
    let (options, leftovers) = of(variable);
    (Arc::new(RedisCommands::connect(&options).await.unwrap()), leftovers)
}

/// Makes a test that may be skipped of each function of the module above.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let name = concat!(module_path!(), "::", stringify!($name));
                $crate::adapters::contract::skip::unless_skipped(name, super::$name()).await;
            }
        )*
    };
}
use tests;

/// A broker of one node.
struct Node {
    broker: RedisBroker,
    deliveries: mpsc::Receiver<Arriving>,
    lapses: mpsc::Receiver<Lapse>,
    clock: Arc<ManualClock>,
}

/// A node of those that share `log`.
async fn node(options: &RedisOptions, log: &Arc<ModelLog>) -> Node {
    let clock = Arc::new(ManualClock::at(at(0)));
    let (sink, deliveries) = mpsc::channel(1_024);
    let (told, lapses) = mpsc::channel(16);
    let surroundings = Surroundings {
        ledger: log.clone(),
        present: absent::present(),
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy),
    };
    let broker = RedisBroker::connect(options, surroundings, sink, told).await.unwrap();
    Node { broker, deliveries, lapses, clock }
}
