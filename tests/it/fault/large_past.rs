//! A past that is larger than what may wait for a slow reader still comes whole to one who reads.

use serde_json::json;

use super::regressions::KEPT;
use crate::support::{Server, Socket};

#[tokio::test]
async fn pages_larger_than_the_queue_come_whole_to_a_reader_with_a_narrow_pipe() {
    let limits = "client.queue_max_size = 65536\nclient.recovery_max_bytes = 6000000";
    let server = Server::with(&format!("{limits}\n{KEPT}")).await;
    let ada = server.api().person("ada").await;
    let since = server.socket(&ada.token).await.subscribe("kept:a").await;
    let (api, filler) = (server.api(), "x".repeat(100_000));
    for number in 0..200 {
        let body = json!({"channel": "kept:a", "data": {"n": number, "filler": filler}});
        api.server_result("publish", &body).await;
    }
    let mut socket = Socket::narrow(server.address(), &ada.token).await;
    let back = socket.recover("kept:a", &since).await;
    let mut numbers: Vec<_> = back.publications.iter().map(|p| p["data"]["n"].as_u64()).collect();
    assert!(numbers.len() < 200, "one page held everything");
    while numbers.len() < 200 {
        let push = socket.any_push("kept:a").await;
        numbers.push(push["pub"]["data"]["n"].as_u64());
    }
    assert_eq!(numbers, (0..200).map(Some).collect::<Vec<_>>());
}
