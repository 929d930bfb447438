//! Fossil deltas: who asks for them is told what has changed, and can always make the whole of it.

use serde_json::{Value, json};

use crate::support::{Api, Server, Socket};

const NAMESPACES: &str = r#"
relay.wait_timeout = "10s"

[[channel.namespaces]]
name = "board"
allow_subscribe_for_client = true
allow_history_for_subscriber = true
history_size = 10
history_ttl = "60s"
allowed_delta_types = ["fossil"]
delta_publish = true

[[channel.namespaces]]
name = "whole"
allow_subscribe_for_client = true
"#;

/// A payload that is mostly the same from one to the next.
fn list(likes: u32) -> Value {
    let item = |rank: u32| json!({"rank": rank, "title": format!("Entry {rank}"), "likes": 0});
    let items: Vec<_> = (1..40).map(item).collect();
    json!({"items": items, "likes": likes, "é": "ünï"})
}

async fn publish(api: &Api, channel: &str, likes: u32) {
    api.server_result("publish", &json!({"channel": channel, "data": list(likes)})).await;
}

async fn subscribe(socket: &mut Socket, channel: &str, more: Value) -> Value {
    let mut request = json!({"channel": channel});
    for (name, value) in more.as_object().expect("more is an object") {
        request[name] = value.clone();
    }
    socket.result("subscribe", request).await
}

/// The payload of a publication that says all, to a subscription that takes deltas: a text that holds JSON.
fn whole(publication: &Value) -> Value {
    assert!(publication["delta"].is_null(), "{publication}");
    let text = publication["data"].as_str().unwrap_or_else(|| panic!("no text: {publication}"));
    serde_json::from_str(text).expect("the text is JSON")
}

#[tokio::test]
async fn the_first_publication_is_whole_and_the_next_say_what_has_changed() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let (mut thrifty, mut plain) =
        (server.socket(&ada.token).await, server.socket(&ada.token).await);
    let joined = subscribe(&mut thrifty, "board:a", json!({"delta": "fossil"})).await;
    assert_eq!(joined["delta"], true, "{joined}");
    let joined = subscribe(&mut plain, "board:a", json!({})).await;
    assert!(joined["delta"].is_null(), "{joined}");
    publish(&api, "board:a", 1).await;
    assert_eq!(whole(&thrifty.publication("board:a").await), list(1));
    for likes in 2..5 {
        publish(&api, "board:a", likes).await;
        let publication = thrifty.publication("board:a").await;
        assert_eq!(publication["delta"], true, "{publication}");
        let delta = publication["data"].as_str().expect("a delta is a text");
        assert!(delta.len() < 60 && delta.ends_with(';'), "{delta}");
    }
    for likes in 1..5 {
        assert_eq!(plain.publication("board:a").await["data"], list(likes));
    }
    // What has nothing in common with the one before is told whole.
    let other = json!({"channel": "board:a", "data": "x"});
    api.server_result("publish", &other).await;
    assert_eq!(whole(&thrifty.publication("board:a").await), json!("x"));
}

#[tokio::test]
async fn what_is_recovered_is_whole_and_deltas_go_on_from_there() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    publish(&api, "board:a", 1).await;
    publish(&api, "board:a", 2).await;
    let mut socket = server.socket(&ada.token).await;
    let since = json!({"delta": "fossil", "recover": true, "offset": 0, "epoch": ""});
    let joined = subscribe(&mut socket, "board:a", since).await;
    let missed: Vec<_> = joined["publications"].as_array().expect("it missed some").clone();
    assert_eq!(missed.iter().map(whole).collect::<Vec<_>>(), [list(1), list(2)]);
    publish(&api, "board:a", 3).await;
    assert_eq!(whole(&socket.publication("board:a").await), list(3), "the first that is live");
    publish(&api, "board:a", 4).await;
    assert_eq!(socket.publication("board:a").await["delta"], true);
}

#[tokio::test]
async fn deltas_are_there_only_where_the_channel_has_them() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let joined = subscribe(&mut socket, "whole:a", json!({"delta": "fossil"})).await;
    assert!(joined["delta"].is_null(), "{joined}");
    publish(&api, "whole:a", 1).await;
    assert_eq!(socket.publication("whole:a").await["data"], list(1));
    let request = json!({"channel": "board:a", "delta": "newer"});
    assert_eq!(socket.error("subscribe", request).await, 107);
    let joined = subscribe(&mut socket, "trending:1h", json!({"delta": "fossil"})).await;
    assert_eq!(joined["delta"], true, "lists are mostly what they were: {joined}");
}
