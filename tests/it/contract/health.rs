//! The operations' endpoints.

use crate::support::{Server, on_servers};

#[tokio::test]
async fn a_server_is_healthy_and_says_which_stores_are_embedded() {
    let wanted = if on_servers() { "healthy" } else { "embedded" };
    let server = Server::start().await;
    let answer = server.api().get("/health").send().await;
    let health = answer.expect(200);
    assert!(health["timestamp"].is_string(), "{health}");
    for service in ["mysql", "postgresql", "mongodb", "redis"] {
        let told = &health["services"][service];
        assert_eq!(told["status"], wanted, "{service}: {health}");
        assert!(told["latency_ms"].is_number(), "{service}: {health}");
    }
}

#[tokio::test]
async fn it_is_live_and_ready_once_it_listens() {
    let server = Server::start().await;
    server.api().get("/health/live").send().await.expect(200);
    server.api().get("/health/ready").send().await.expect(200);
}

#[tokio::test]
async fn it_is_ready_again_after_a_restart_with_posts_in_the_log() {
    let mut server = Server::start().await;
    let ada = server.api().person("ada").await;
    server.api().publish(&ada, "Before").await;
    assert!(server.terminate().await.success());
    server.restart().await;
    crate::support::until(crate::support::PATIENCE, "readiness", || async {
        let answer = server.api().get("/health/ready").send().await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let server = Server::start().await;
    let answer = server.api().get("/v1/me").send().await;
    let first = answer.problem(401)["request_id"].clone();
    let answer = server.api().get("/v1/me").send().await;
    assert_ne!(answer.problem(401)["request_id"], first);
}
