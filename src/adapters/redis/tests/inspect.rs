//! What an operator is told of Redis.

use super::server::Server;
use super::*;
use crate::adapters::contract::Subject;
use crate::adapters::contract::inspection::about;
use crate::adapters::redis::RedisInspector;
use crate::adapters::system::SystemClock;
use crate::ports::inspection::{Finding, Inspect, Severity};

fn inspector(options: RedisOptions) -> RedisInspector {
    RedisInspector::new(options, Arc::new(SystemClock), Arc::new(SystemEntropy))
}

async fn findings_of(url: &str) -> Vec<Finding> {
    inspector(RedisOptions::new(url)).inspect().await.unwrap().findings
}

mod one {
    use super::*;

    async fn fresh() -> Subject<dyn Inspect> {
        let (options, keep) = redis();
        Subject { port: Arc::new(inspector(options)), keep }
    }

    crate::adapters::contract::inspection::inspection_contract!(fresh);
}

mod all_of_a_cluster {
    use super::*;

    async fn fresh() -> Subject<dyn Inspect> {
        let (options, keep) = of(CLUSTER_URL);
        Subject { port: Arc::new(inspector(options)), keep }
    }

    crate::adapters::contract::inspection::inspection_contract!(fresh);
}

mod own {
    use super::*;

    tests![
        a_redis_that_forgets_or_only_reads_is_told,
        messages_come_back_from_one_redis_and_from_a_cluster,
    ];
}

async fn a_redis_that_forgets_or_only_reads_is_told() {
    let evicts = Server::start_with(&["--maxmemory-policy", "allkeys-lru", "--maxmemory", "2mb"]);
    let told = findings_of(&evicts.url()).await;
    assert_eq!(about(&told, "eviction")[0].0, Severity::Warning, "{told:?}");
    assert!(about(&told, "memory")[0].1.contains("of 2 MiB"), "{told:?}");
    assert_eq!(about(&told, "persistence")[0].0, Severity::Note, "{told:?}");
    assert_eq!(about(&told, "role"), [(Severity::Note, "master with 0 replicas")]);
    assert_eq!(about(&told, "Pub/Sub")[0].0, Severity::Note, "{told:?}");
    evicts.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let told = findings_of(&evicts.url()).await;
    assert_eq!(about(&told, "role"), [(Severity::Fault, "a replica, which takes no writes")]);
}

async fn messages_come_back_from_one_redis_and_from_a_cluster() {
    let (options, _keep) = of(CLUSTER_URL);
    let told = inspector(options.clone()).inspect().await.unwrap().findings;
    assert_eq!(about(&told, "cluster"), [(Severity::Note, "3 masters answer")]);
    assert_eq!(about(&told, "eviction").len(), 3, "one a master: {told:?}");
    assert_eq!(about(&told, "Pub/Sub")[0].0, Severity::Note, "{told:?}");
    // A node that takes a part of a cluster for a Redis of its own finds most channels elsewhere.
    let node = super::server::nodes_of(&options.url).swap_remove(0);
    let told = findings_of(&node).await;
    assert_eq!(about(&told, "cluster")[0].0, Severity::Fault, "{told:?}");
}
