//! Redis is emptied, dies, comes back with nothing, or is away for a while: under traffic, with two nodes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::redis_traffic::Stage;
use crate::support::{Databases, PATIENCE, RedisProcess, Start, until};

/// Databases of the test's own with a Redis of its own, or none where that cannot be had.
async fn with_own_redis(name: &str) -> Option<(Databases, RedisProcess)> {
    let redis = RedisProcess::start(name).await?;
    let databases = Databases::fresh(name).await?.with_realtime(&redis.url());
    Some((databases, redis))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_flushall_takes_is_recovered_under_traffic() {
    let name = "what_flushall_takes_is_recovered_under_traffic";
    let Some((databases, redis)) = with_own_redis(name).await else { return };
    let stage = Stage::set(&databases).await;
    let traffic = stage.write();
    for _ in 0..3 {
        stage.heard_more(15).await;
        redis.ask(&["FLUSHALL"]).await;
    }
    stage.heard_more(15).await;
    let written = traffic.stop().await;
    stage.judge(&written).await;
    for follower in &stage.followers {
        assert!(follower.heard().recoveries >= 3, "it was told, and recovered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_nothing_kept_loses_nothing_under_traffic() {
    let name = "a_restart_with_nothing_kept_loses_nothing_under_traffic";
    let Some((databases, mut redis)) = with_own_redis(name).await else { return };
    let stage = Stage::set(&databases).await;
    let traffic = stage.write();
    for _ in 0..2 {
        stage.heard_more(10).await;
        redis.kill();
        redis.run().await;
    }
    stage.heard_more(10).await;
    let written = traffic.stop().await;
    stage.judge(&written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_everything_but_publications_goes_on() {
    let name = "while_redis_is_away_everything_but_publications_goes_on";
    let Some((databases, mut redis)) = with_own_redis(name).await else { return };
    let stage = Stage::set(&databases).await;
    let traffic = stage.write();
    stage.heard_more(10).await;
    let connections = |stage: &Stage| -> Vec<_> {
        stage.followers.iter().map(|follower| follower.heard().connections).collect()
    };
    let before = connections(&stage);
    redis.kill();
    for node in &stage.nodes {
        let api = node.api();
        until(PATIENCE, "/health to tell that Redis is away", async || {
            let answer = api.get("/health").send().await;
            let is_told = answer.body["services"]["redis"]["status"] == json!("unhealthy");
            assert_eq!(answer.status, if is_told { 503 } else { 200 }, "{answer}");
            is_told.then_some(())
        })
        .await;
        let answer = api.get("/health").send().await;
        for other in ["mysql", "postgresql", "mongodb"] {
            assert_eq!(answer.expect(503)["services"][other]["status"], "healthy", "{answer}");
        }
        api.get("/health/ready").send().await.expect(200);
        api.get("/health/live").send().await.expect(200);
        for path in ["/v1/feed", "/v1/posts"] {
            let began = Instant::now();
            let answer = api.get(path).send().await;
            assert!(!answer.expect(200)["items"].as_array().expect("a list").is_empty());
            assert!(began.elapsed() < Duration::from_secs(2), "{path} took {:?}", began.elapsed());
        }
    }
    // Longer than it takes to look for lost connections.
    traffic.acknowledged_more(300).await;
    assert_eq!(connections(&stage), before, "sockets stay open");
    redis.run().await;
    stage.heard_more(10).await;
    let written = traffic.stop().await;
    stage.judge(&written).await;
    for node in &stage.nodes {
        let api = node.api();
        until(PATIENCE, "/health to tell that Redis is back", async || {
            (api.get("/health").send().await.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn without_redis_each_node_limits_by_itself_and_quickly() {
    let name = "without_redis_each_node_limits_by_itself_and_quickly";
    let Some((databases, mut redis)) = with_own_redis(name).await else { return };
    let limited = || Start::on(&databases).environment("CARILLON_LIMITS__ENABLED", "true").run();
    let nodes = [limited().await, limited().await];
    let reader = nodes[0].api().person("reader").await;
    let post = nodes[0].api().publish(&reader, "Liked").await;
    let path = format!("/v1/posts/{}/like", post["id"].as_str().expect("an id"));
    let remaining = async |node: usize| {
        let answer = nodes[node].api().put(&path).token(&reader.token).send().await;
        answer.expect(200);
        let limit = answer.header("ratelimit").to_owned();
        let left = limit.split("r=").nth(1).and_then(|rest| rest.split(';').next()?.parse().ok());
        left.unwrap_or_else(|| panic!("RateLimit tells what is left: {limit:?}"))
    };
    // Both count together.
    let (first, second): (u32, u32) = (remaining(0).await, remaining(1).await);
    assert_eq!(first, second + 1);
    redis.kill();
    for node in 0..2 {
        let began = Instant::now();
        // Its own quota is whole at first, whatever the other one did; two a second come back.
        assert_eq!(remaining(node).await, 119, "node {node}");
        for _ in 0..10 {
            remaining(node).await;
        }
        let last = u64::from(remaining(node).await);
        assert!(last <= 108 + 1 + 2 * began.elapsed().as_secs(), "node {node} has {last} left");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    redis.run().await;
    until(PATIENCE, "both to count together again", async || {
        let (first, second): (u32, u32) = (remaining(0).await, remaining(1).await);
        (first == second + 1).then_some(())
    })
    .await;
}
