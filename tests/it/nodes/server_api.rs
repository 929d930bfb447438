//! The server API reaches connections on every node, whichever node was asked.

use serde_json::{Value, json};

use super::Nodes;
use crate::support::{Api, PATIENCE, Socket, until_ok, within};

fn client(socket: &Socket) -> String {
    socket.hello["client"].as_str().expect("a client has an id").to_owned()
}

/// Asks until the answer is as wanted: nodes hear of each other in their own time.
async fn asked_until(api: &Api, method: &str, body: Value, wanted: impl Fn(&Value) -> bool) {
    until_ok(PATIENCE, method, async || {
        let result = api.server_result(method, &body).await;
        if wanted(&result) { Ok(()) } else { Err(result) }
    })
    .await;
}

#[tokio::test]
async fn what_a_back_end_asks_of_one_node_reaches_connections_on_all() {
    let name = "what_a_back_end_asks_of_one_node_reaches_connections_on_all";
    let Some(nodes) = Nodes::start(name, 2).await else { return };
    let ada = nodes[0].api().person("ada").await;
    let mut sockets = nodes.sockets(&ada, &[]).await;
    let api = nodes[0].api();
    let user = ada.id.to_string();

    let body = json!({"channel": "kept:room", "data": {"n": 0}});
    let start = api.server_result("publish", &body).await;
    let since = json!({"offset": 0, "epoch": start["epoch"]});
    let body = json!({
        "user": user, "channel": "kept:room", "data": {"why": "chosen"}, "recover_since": since,
    });
    api.server_result("subscribe", &body).await;
    for socket in &mut sockets {
        let push = socket.push("kept:room", "subscribe").await;
        assert_eq!(push["data"], json!({"why": "chosen"}), "{push}");
        assert_eq!((&push["recoverable"], &push["epoch"]), (&json!(true), &start["epoch"]));
        assert_eq!(socket.publication("kept:room").await["offset"], json!(1));
    }
    api.server_result("publish", &json!({"channel": "kept:room", "data": {"n": 1}})).await;
    for socket in &mut sockets {
        assert_eq!(socket.publication("kept:room").await["data"], json!({"n": 1}));
    }
    for node in nodes.iter() {
        asked_until(&node.api(), "channels", json!({"pattern": "kept:*"}), |result| {
            *result == json!({"channels": {"kept:room": {"num_clients": 2}}})
        })
        .await;
        asked_until(&node.api(), "info", json!({}), |result| {
            let nodes = result["nodes"].as_array().expect("info lists nodes");
            let sum =
                |of: &str| nodes.iter().map(|node| node[of].as_u64().unwrap_or(0)).sum::<u64>();
            nodes.len() == 2 && sum("num_clients") == 2 && sum("num_users") == 2
        })
        .await;
    }

    // One of them leaves; the other stays.
    let body = json!({"user": user, "channel": "kept:room", "client": client(&sockets[1])});
    api.server_result("unsubscribe", &body).await;
    assert_eq!(sockets[1].push("kept:room", "unsubscribe").await["code"], json!(2000));
    api.server_result("publish", &json!({"channel": "kept:room", "data": {"n": 2}})).await;
    assert_eq!(sockets[0].publication("kept:room").await["data"], json!({"n": 2}));
    assert_eq!(sockets[1].left("kept:room").await, Vec::<Value>::new());

    // Both are told something outside of any channel, whichever node is asked.
    for (node, number) in nodes.iter().zip(1..) {
        node.api().server_result("send", &json!({"user": user, "data": {"n": number}})).await;
        for socket in &mut sockets {
            let push = within(PATIENCE, "a message", socket.bare_push()).await;
            assert_eq!(push, json!({"message": {"data": {"n": number}}}));
        }
    }

    // And goes, by the other node, with a code of the back end's own.
    let body = json!({
        "user": user, "whitelist": [client(&sockets[0])],
        "disconnect": {"code": 4242, "reason": "moved on"},
    });
    api.server_result("disconnect", &body).await;
    sockets[1].expect_closed(4242).await;
    sockets[0].result("ping", json!({})).await;
    nodes[1].api().server_result("refresh", &json!({"user": user, "expired": true})).await;
    sockets[0].expect_closed(3005).await;
}
