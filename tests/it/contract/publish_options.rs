//! Options of `/api/publish` and `/api/broadcast`: what the history skips, versions, deltas that are asked for.

use serde_json::{Value, json};

use crate::support::{Server, Socket};

const NAMESPACES: &str = r#"
relay.wait_timeout = "10s"

[[channel.namespaces]]
name = "kept"
allow_subscribe_for_client = true
allow_history_for_subscriber = true
history_size = 10
history_ttl = "60s"
force_recovery = true

[[channel.namespaces]]
name = "passing"
allow_subscribe_for_client = true
allow_history_for_subscriber = true
history_size = 10
history_ttl = "60s"
durable = false

[[channel.namespaces]]
name = "logged"
allow_subscribe_for_client = true
history_size = 10
history_ttl = "60s"
history_recovery = "log"

[[channel.namespaces]]
name = "bare"
allow_subscribe_for_client = true

[[channel.namespaces]]
name = "thrifty"
allow_subscribe_for_client = true
history_size = 10
history_ttl = "60s"
allowed_delta_types = ["fossil"]
"#;

/// The data in a channel's history, oldest first.
async fn history(socket: &mut Socket, channel: &str) -> Vec<Value> {
    let page = socket.result("history", json!({"channel": channel, "limit": -1})).await;
    let publications = page["publications"].as_array().expect("a page has publications");
    publications.iter().map(|publication| publication["data"].clone()).collect()
}

#[tokio::test]
async fn what_the_history_skips_reaches_who_is_there_and_nobody_later() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    for channel in ["kept:a", "passing:a"] {
        let mut socket = server.socket(&ada.token).await;
        let start = socket.subscribe(channel).await;
        let publish = async |data: &str, skip: bool| {
            let body = json!({"channel": channel, "data": data, "skip_history": skip});
            api.server_result("publish", &body).await
        };
        assert_eq!(publish("first", false).await["offset"], 1);
        assert_eq!(publish("skipped", true).await, json!({}), "it stands nowhere");
        assert_eq!(publish("second", false).await["offset"], 2);
        for (data, offset) in [("first", json!(1)), ("skipped", Value::Null), ("second", json!(2))]
        {
            let publication = socket.publication(channel).await;
            assert_eq!((&publication["data"], &publication["offset"]), (&json!(data), &offset));
        }
        assert_eq!(history(&mut socket, channel).await, [json!("first"), json!("second")]);
        if channel == "kept:a" {
            let mut late = server.socket(&ada.token).await;
            let recovered = late.recover(channel, &start).await;
            assert!(recovered.recovered);
            let data: Vec<_> = recovered.publications.iter().map(|it| it["data"].clone()).collect();
            assert_eq!(data, [json!("first"), json!("second")]);
        }
    }
}

#[tokio::test]
async fn a_channel_that_recovers_from_the_log_skips_nothing() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    for channel in ["logged:a", "feed:all"] {
        let body = json!({"channel": channel, "data": 1, "skip_history": true});
        assert_eq!(api.server_call("publish", &body).await["error"]["code"], 107, "{channel}");
    }
    let body = json!({"channels": ["logged:a", "kept:a"], "data": 1, "skip_history": true});
    let responses = api.server_result("broadcast", &body).await["responses"].clone();
    assert_eq!(responses[0]["error"]["code"], 107, "{responses}");
    assert_eq!(responses[1]["result"], json!({}), "{responses}");
}

#[tokio::test]
async fn a_version_that_was_passed_is_not_published() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    for channel in ["kept:a", "passing:a"] {
        let mut socket = server.socket(&ada.token).await;
        socket.subscribe(channel).await;
        let publish = async |version: u64, epoch: &str| {
            let body = json!({
                "channel": channel, "data": {"v": version}, "version": version, "version_epoch": epoch,
            });
            api.server_result("publish", &body).await
        };
        // Without a version, nothing is compared.
        let plain = json!({"channel": channel, "data": {"v": null}});
        assert_eq!(api.server_result("publish", &plain).await["offset"], 1);
        assert_eq!(publish(5, "a").await["offset"], 2);
        for (late, epoch) in [(5, "a"), (4, "a"), (4, "")] {
            assert_eq!(publish(late, epoch).await, json!({}), "{late} {epoch}");
        }
        assert_eq!(publish(6, "").await["offset"], 3);
        assert_eq!(publish(1, "b").await["offset"], 4, "another count");
        assert_eq!(publish(u64::MAX - 1, "b").await["offset"], 5);
        assert_eq!(publish(u64::MAX, "b").await["offset"], 6, "compared to the last digit");
        let body = json!({"channels": [channel, "bare:a"], "data": 0, "version": 3});
        let responses = api.server_result("broadcast", &body).await["responses"].clone();
        assert_eq!(responses, json!([{"result": {}}, {"result": {}}]));
        let told: Vec<_> = history(&mut socket, channel).await;
        let expected =
            [json!(null), json!(5), json!(6), json!(1), json!(u64::MAX - 1), json!(u64::MAX)];
        assert_eq!(told.iter().map(|data| data["v"].clone()).collect::<Vec<_>>(), expected);
        for version in &expected {
            assert_eq!(socket.publication(channel).await["data"]["v"], *version);
        }
        assert_eq!(socket.left(channel).await, Vec::<Value>::new());
    }
    // Where no history knows a last one, each is published.
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("bare:b").await;
    for _ in 0..2 {
        let body = json!({"channel": "bare:b", "data": 7, "version": 1});
        api.server_result("publish", &body).await;
        assert_eq!(socket.publication("bare:b").await["data"], 7);
    }
}

#[tokio::test]
async fn a_version_in_the_log_is_known_after_a_kill() {
    let mut server = Server::with(NAMESPACES).await;
    let body = |version: u64| json!({"channel": "logged:a", "data": version, "version": version});
    let result = server.api().server_result("publish", &body(9)).await;
    assert_eq!(result["offset"], 1);
    server.restart().await;
    assert_eq!(server.api().server_result("publish", &body(8)).await, json!({}));
    assert_eq!(server.api().server_result("publish", &body(10)).await["offset"], 2);
}

#[tokio::test]
async fn a_publication_may_be_a_delta_where_not_all_are() {
    let server = Server::with(NAMESPACES).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let request = json!({"channel": "thrifty:a", "delta": "fossil"});
    let joined = socket.result("subscribe", request).await;
    assert_eq!(joined["delta"], true, "{joined}");
    let text = |n: u32| json!({"n": n, "text": "mostly the same ".repeat(20)});
    for (n, delta) in [(1, true), (2, false), (3, true), (4, true), (5, false)] {
        let body = json!({"channel": "thrifty:a", "data": text(n), "delta": delta});
        api.server_result("publish", &body).await;
        let publication = socket.publication("thrifty:a").await;
        let told = publication["data"].as_str().expect("a text, to whoever takes deltas");
        // There is nothing yet that the first could be a delta of.
        if delta && n > 1 {
            assert_eq!(publication["delta"], true, "{publication}");
            assert!(told.len() < 60, "{told}");
        } else {
            assert!(publication["delta"].is_null(), "{publication}");
            assert_eq!(serde_json::from_str::<Value>(told).expect("it is JSON"), text(n));
        }
    }
    let request = json!({"channel": "kept:a", "delta": "fossil"});
    assert!(socket.result("subscribe", request).await["delta"].is_null(), "it has no deltas");
    api.server_result("publish", &json!({"channel": "kept:a", "data": 1, "delta": true})).await;
    assert_eq!(socket.publication("kept:a").await["data"], 1);
}
