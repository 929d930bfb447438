//! Channels that recover in mode `cache`: whoever subscribes has the latest publication, and needs no other.

use serde_json::{Value, json};

use crate::support::{Position, Server, Socket};

const NAMESPACES: &str = r#"
[[channel.namespaces]]
name = "state"
allow_subscribe_for_client = true
history_size = 10
history_ttl = "60s"
force_recovery = true
force_recovery_mode = "cache"

[[channel.namespaces]]
name = "asked"
allow_subscribe_for_client = true
allow_history_for_subscriber = true
history_size = 1
history_ttl = "60s"
force_recovery_mode = "cache"
"#;

async fn publish(server: &Server, channel: &str, number: u64) {
    let body = json!({"channel": channel, "data": {"n": number}});
    server.api().server_result("publish", &body).await;
}

async fn start() -> (Server, Socket) {
    let server = Server::with(NAMESPACES).await;
    let ada = server.api().person("ada").await;
    let socket = server.socket(&ada.token).await;
    (server, socket)
}

fn numbers(publications: &[Value]) -> Vec<u64> {
    publications.iter().map(|p| p["data"]["n"].as_u64().expect("a number")).collect()
}

async fn leave(socket: &mut Socket, channel: &str) {
    socket.result("unsubscribe", json!({"channel": channel})).await;
}

#[tokio::test]
async fn every_subscription_begins_with_the_latest_publication_where_recovery_is_forced() {
    let (server, mut socket) = start().await;
    let empty = socket.result("subscribe", json!({"channel": "state:x"})).await;
    assert!(empty["publications"].as_array().is_none_or(Vec::is_empty), "{empty}");
    assert_ne!(empty["recovered"], json!(true), "there is nothing to recover with: {empty}");
    leave(&mut socket, "state:x").await;
    for number in 1..=3 {
        publish(&server, "state:x", number).await;
    }
    let reply = socket.result("subscribe", json!({"channel": "state:x"})).await;
    let publications = reply["publications"].as_array().expect("publications");
    assert_eq!(numbers(publications), [3], "{reply}");
    assert_eq!((&reply["recovered"], &reply["offset"]), (&json!(true), &json!(3)), "{reply}");
    publish(&server, "state:x", 4).await;
    let live = socket.publication("state:x").await;
    assert_eq!((&live["data"]["n"], &live["offset"]), (&json!(4), &json!(4)));
    leave(&mut socket, "state:x").await;

    // However much was missed, and wherever that was, the latest is enough; and no more than enough.
    let epoch = reply["epoch"].as_str().expect("an epoch").to_owned();
    for (offset, expected) in [(1, vec![4]), (99, vec![4]), (4, vec![])] {
        let since = Position { epoch: epoch.clone(), offset };
        let back = socket.recover("state:x", &since).await;
        assert!(back.recovered, "since {offset}");
        assert_eq!(numbers(&back.publications), expected, "since {offset}");
        assert_eq!(back.position.offset, 4);
        leave(&mut socket, "state:x").await;
    }
    let elsewhere = Position { epoch: "nowhere".to_owned(), offset: 4 };
    let back = socket.recover("state:x", &elsewhere).await;
    assert_eq!((back.recovered, numbers(&back.publications)), (true, vec![4]));
}

#[tokio::test]
async fn the_latest_publication_comes_to_who_asks_where_recovery_is_not_forced() {
    let (server, mut socket) = start().await;
    for number in 1..=2 {
        publish(&server, "asked:x", number).await;
    }
    let reply = socket.result("subscribe", json!({"channel": "asked:x"})).await;
    assert!(reply["publications"].as_array().is_none_or(Vec::is_empty), "{reply}");
    leave(&mut socket, "asked:x").await;
    let nowhere = Position { epoch: String::new(), offset: 0 };
    let back = socket.recover("asked:x", &nowhere).await;
    assert_eq!((back.recovered, numbers(&back.publications)), (true, vec![2]));
}
