//! Nodes on a Redis Cluster of three masters, while slots move from one master to another: under traffic.

use std::time::Duration;

use redis::{FromRedisValue, Value};

use super::redis_traffic::Stage;
use crate::support::{Databases, skipped};

/// Between two keys of a slot that moves, so that traffic meets a slot that is half here and half there.
const PACE: Duration = Duration::from_millis(100);

/// A master of the cluster.
struct Master {
    host: String,
    port: u16,
}

impl Master {
    async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let client = redis::Client::open((self.host.as_str(), self.port)).expect("an address");
        let connection = client.get_multiplexed_async_connection().await;
        let mut connection = connection.expect("a master can be connected to");
        let mut words = command.split(' ');
        let mut asked = redis::cmd(words.next().expect("a command has a name"));
        asked.arg(words.collect::<Vec<_>>());
        asked
            .query_async(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

/// The masters of the cluster with this URL, `redis-cluster://HOST:PORT?…`.
async fn masters(url: &str) -> Vec<Master> {
    let (_, rest) = url.split_once("://").expect("a URL has a scheme");
    let first = rest.split('?').next().expect("a split has a first part");
    let master = |address: &str| {
        let (host, port) = address.rsplit_once(':').expect("an address has a port");
        Master { host: host.to_owned(), port: port.parse().expect("ports are numbers") }
    };
    let nodes: String = master(first).ask("CLUSTER NODES").await;
    let lines = nodes.lines().filter(|line| line.contains("master"));
    let address = |line: &str| line.split([' ', '@']).nth(1).map(master);
    lines.filter_map(address).collect()
}

/// Moves the slot of a key to another master, key by key.
async fn move_slot(masters: &[Master], key: &str) {
    let slot: u16 = masters[0].ask(&format!("CLUSTER KEYSLOT {key}")).await;
    let next_key = async |master: &Master| {
        let keys: Vec<String> = master.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 1")).await;
        keys.into_iter().next()
    };
    let mut owner = None;
    for (number, master) in masters.iter().enumerate() {
        if next_key(master).await.is_some() {
            owner = Some(number);
        }
    }
    let owner = owner.unwrap_or_else(|| panic!("no master has keys of {key}"));
    let (from, to) = (&masters[owner], &masters[(owner + 1) % masters.len()]);
    let (from_id, to_id): (String, String) =
        (from.ask("CLUSTER MYID").await, to.ask("CLUSTER MYID").await);
    let () = to.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")).await;
    let () = from.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")).await;
    while let Some(key) = next_key(from).await {
        // One that expired meanwhile need not be moved.
        let _: Value = from.ask(&format!("MIGRATE {} {} {key} 0 5000", to.host, to.port)).await;
        tokio::time::sleep(PACE).await;
    }
    for master in [to, from].into_iter().chain(masters) {
        let () = master.ask(&format!("CLUSTER SETSLOT {slot} NODE {to_id}")).await;
    }
}

/// Removes all keys that begin with `prefix`.
async fn clear(masters: &[Master], prefix: &str) {
    for master in masters {
        let keys: Vec<String> = master.ask(&format!("KEYS {prefix}*")).await;
        for key in keys {
            let _: u64 = master.ask(&format!("DEL {key}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_on_a_cluster_lose_nothing_while_slots_move() {
    let name = "nodes_on_a_cluster_lose_nothing_while_slots_move";
    let url = std::env::var("CARILLON_TEST_REDIS_CLUSTER_URL").unwrap_or_default();
    if url.is_empty() {
        return skipped(name, "CARILLON_TEST_REDIS_CLUSTER_URL names no cluster");
    }
    let Some(databases) = Databases::fresh(name).await else { return };
    let databases = databases.with_realtime(&url);
    let (masters, prefix) = (masters(&url).await, databases.prefix());
    assert_eq!(masters.len(), 3);
    let stage = Stage::set(&databases).await;
    let traffic = stage.write();
    stage.heard_more(15).await;
    for channel in ["feed:all".to_owned(), format!("post:{}", stage.target)] {
        move_slot(&masters, &format!("{prefix}{{{channel}}}")).await;
        stage.heard_more(15).await;
    }
    let written = traffic.stop().await;
    stage.judge(&written).await;
    drop(stage);
    clear(&masters, &prefix).await;
}
