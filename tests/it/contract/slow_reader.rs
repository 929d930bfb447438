//! A reader that does not read harms nobody but itself.

use serde_json::json;

use crate::support::{Closed, PATIENCE, Server, Socket};

/// Twenty megabytes in all: more than the kernel keeps for a connection and the server's bound together.
const MESSAGES: usize = 200;
const MESSAGE_BYTES: usize = 100_000;

#[tokio::test]
async fn a_reader_that_never_reads_is_closed_while_another_gets_everything() {
    let server = Server::with(
        "[[channel.namespaces]]\nname = \"flood\"\nallow_subscribe_for_client = true\ndurable = false\n",
    )
    .await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut slow = Socket::narrow(server.address(), &ada.token).await;
    slow.subscribe("flood:a").await;
    let mut reads = server.socket(&ada.token).await;
    reads.subscribe("flood:a").await;
    let filler = "x".repeat(MESSAGE_BYTES);
    for number in 0..MESSAGES {
        let body = json!({"channel": "flood:a", "data": {"n": number, "filler": filler}});
        api.server_result("publish", &body).await;
        let publication = reads.publication("flood:a").await;
        assert_eq!(publication["data"]["n"], json!(number), "none is missing");
    }
    let closed = slow.closed_within(PATIENCE * 3).await;
    assert!(matches!(closed, Closed(None | Some(3008))), "{closed:?}");
    let got = slow.kept("flood:a");
    assert!(got < MESSAGES, "who reads nothing is not waited for: {got}");
    reads.result("ping", json!({})).await;
}
