//! The address of Redis moves to a replica that lacks the last writes: under traffic, with two nodes.

use super::redis_traffic::Stage;
use crate::support::{Databases, RedisProcess, RedisWire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_a_replica_that_lacks_the_last_writes_loses_nothing() {
    let name = "a_failover_to_a_replica_that_lacks_the_last_writes_loses_nothing";
    let Some(primary) = RedisProcess::start(name).await else { return };
    let Some(replica) = RedisProcess::start(name).await else { return };
    replica.follow(&primary).await;
    let wire = RedisWire::to(primary.address()).await;
    let Some(databases) = Databases::fresh(name).await else { return };
    let databases = databases.with_realtime(&wire.url());
    let stage = Stage::set(&databases).await;
    let traffic = stage.write();
    stage.heard_more(15).await;
    replica.stand_alone().await;
    // These the replica never hears of; the subscribers do.
    stage.heard_more(15).await;
    wire.turn_to(replica.address());
    stage.heard_more(15).await;
    // And the first one, which knows nothing of what came since, takes over again.
    wire.turn_to(primary.address());
    stage.heard_more(15).await;
    let written = traffic.stop().await;
    stage.judge(&written).await;
    for follower in &stage.followers {
        assert!(follower.heard().recoveries >= 2, "it was told, and recovered");
    }
}
