//! Configured namespaces: what each option allows, and what its absence refuses.

use serde_json::json;

use crate::support::{Server, Socket};

const NAMESPACES: &str = r#"
[[channel.namespaces]]
name = "full"
allow_subscribe_for_client = true
allow_publish_for_subscriber = true
presence = true
history_size = 10
history_ttl = "60s"
allow_history_for_subscriber = true
allow_presence_for_subscriber = true

[[channel.namespaces]]
name = "kept"
allow_subscribe_for_client = true
presence = true
history_size = 10
history_ttl = "60s"

[[channel.namespaces]]
name = "bare"
allow_subscribe_for_client = true
allow_publish_for_client = true
allow_history_for_client = true
allow_presence_for_client = true

[[channel.namespaces]]
name = "shut"

[[channel.namespaces]]
name = "team"
allow_user_limited_channels = true
"#;

async fn two() -> (Server, Socket, Socket) {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let sockets = (server.socket(&ada.token).await, server.socket(&bob.token).await);
    (server, sockets.0, sockets.1)
}

#[tokio::test]
async fn a_subscriber_may_what_its_namespace_allows() {
    let (_server, mut ada, mut bob) = two().await;
    let start = ada.subscribe("full:room").await;
    bob.subscribe("full:room").await;
    ada.result("publish", json!({"channel": "full:room", "data": {"text": "hi"}})).await;
    let publication = bob.publication("full:room").await;
    assert_eq!(publication["data"], json!({"text": "hi"}));
    assert_eq!(publication["offset"], json!(start.offset + 1));
    let told = publication["info"]["client"].clone();
    assert_eq!(told, ada.hello["client"], "a client's publication says whose it is: {publication}");
    let history = bob.result("history", json!({"channel": "full:room", "limit": 10})).await;
    assert_eq!(history["publications"][0]["data"], json!({"text": "hi"}), "{history}");
    let presence = bob.result("presence", json!({"channel": "full:room"})).await;
    assert_eq!(presence["presence"].as_object().expect("clients").len(), 2, "{presence}");
    let stats = bob.result("presence_stats", json!({"channel": "full:room"})).await;
    assert_eq!((&stats["num_clients"], &stats["num_users"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn presence_ends_with_the_connection() {
    let (_server, mut ada, mut bob) = two().await;
    ada.subscribe("full:room").await;
    bob.subscribe("full:room").await;
    ada.cut();
    let patience = crate::support::PATIENCE;
    crate::support::within(patience, "one present client", async {
        loop {
            let params = json!({"channel": "full:room"});
            let stats = bob.result("presence_stats", params).await;
            if stats["num_clients"] == 1 {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_only_a_subscriber_may_is_103_for_others() {
    let (_server, mut ada, _bob) = two().await;
    for method in ["publish", "history", "presence", "presence_stats"] {
        let params = json!({"channel": "full:room", "data": {}});
        assert_eq!(ada.error(method, params).await, 103, "{method}");
    }
}

#[tokio::test]
async fn what_a_namespace_has_but_does_not_allow_is_103() {
    let (_server, mut ada, _bob) = two().await;
    ada.subscribe("kept:room").await;
    for method in ["publish", "history", "presence", "presence_stats"] {
        let params = json!({"channel": "kept:room", "data": {}});
        assert_eq!(ada.error(method, params).await, 103, "{method}");
    }
    assert_eq!(ada.error("subscribe", json!({"channel": "shut:room"})).await, 103);
}

#[tokio::test]
async fn what_a_namespace_allows_but_does_not_have_is_108() {
    let (_server, mut ada, mut bob) = two().await;
    bob.subscribe("bare:room").await;
    for method in ["history", "presence", "presence_stats"] {
        let params = json!({"channel": "bare:room"});
        assert_eq!(ada.error(method, params).await, 108, "{method}");
    }
    ada.result("publish", json!({"channel": "bare:room", "data": [1]})).await;
    let publication = bob.publication("bare:room").await;
    assert_eq!(publication["data"], json!([1]));
    assert!(publication.get("offset").is_none(), "nothing kept, no offset: {publication}");
}

#[tokio::test]
async fn a_channel_limited_to_users_is_theirs_alone() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let (ada, bob, eve) =
        (api.person("ada").await, api.person("bob").await, api.person("eve").await);
    let channel = format!("team:talk#{},{}", ada.id, bob.id);
    for member in [&ada, &bob] {
        server.socket(&member.token).await.subscribe(&channel).await;
    }
    let mut socket = server.socket(&eve.token).await;
    assert_eq!(socket.error("subscribe", json!({"channel": channel})).await, 103);
}
