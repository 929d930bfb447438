//! Commands of a connected client, and the code of each refusal.

use serde_json::{Value, json};

use crate::support::{Server, Socket};

async fn connected(settings: &str) -> (Server, Socket) {
    let server = Server::with(settings).await;
    let ada = server.api().person("ada").await;
    let socket = server.socket(&ada.token).await;
    (server, socket)
}

#[tokio::test]
async fn a_malformed_command_is_error_107_and_the_connection_stays() {
    let (_server, mut socket) = connected("").await;
    for (method, params) in [
        ("subscribe", json!({})),
        ("subscribe", json!({"channel": ""})),
        ("subscribe", json!({"channel": 5})),
        ("subscribe", json!([])),
        ("subscribe", json!({"channel": "feed:all", "recover": true, "offset": "many"})),
        ("unsubscribe", json!({"channel": {}})),
        ("history", json!({"channel": "feed:all", "limit": "ten"})),
        ("publish", json!({"channel": "", "data": {}})),
    ] {
        assert_eq!(socket.error(method, params.clone()).await, 107, "{method} {params}");
    }
    socket.subscribe("feed:all").await;
}

#[tokio::test]
async fn an_unknown_namespace_is_error_102() {
    let (_server, mut socket) = connected("").await;
    let code = socket.error("subscribe", json!({"channel": "nothing:here"})).await;
    assert_eq!(code, 102);
    for method in ["publish", "history", "presence", "presence_stats"] {
        let params = json!({"channel": "nothing:here", "data": {}});
        assert_eq!(socket.error(method, params).await, 102, "{method}");
    }
}

#[tokio::test]
async fn braces_in_a_channel_are_refused() {
    let (_server, mut socket) = connected("").await;
    for channel in ["tag:{a}", "tag:a}", "{feed}:all"] {
        let code = socket.error("subscribe", json!({"channel": channel})).await;
        assert!(matches!(code, 102 | 103 | 107), "{channel}: {code}");
    }
}

#[tokio::test]
async fn ones_own_inbox_is_error_105_and_anothers_103() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let mut socket = server.socket(&ada.token).await;
    let own = format!("notifications:#{}", ada.id);
    let other = format!("notifications:#{}", bob.id);
    assert_eq!(socket.error("subscribe", json!({"channel": own})).await, 105);
    assert_eq!(socket.error("subscribe", json!({"channel": other})).await, 103);
    let history = json!({"channel": other, "limit": 10});
    assert_eq!(socket.error("history", history).await, 103);
    // No other way of writing the number opens it.
    for channel in [
        format!("notifications:# {}", bob.id),
        format!("notifications:#0{}", bob.id),
        format!("notifications:#+{}", bob.id),
        format!("notifications:x#{}", bob.id),
    ] {
        let code = socket.error("subscribe", json!({"channel": channel})).await;
        assert_eq!(code, 103, "{channel}");
    }
}

#[tokio::test]
async fn subscribing_twice_is_error_105_and_possible_again_after_unsubscribing() {
    let (_server, mut socket) = connected("").await;
    socket.subscribe("feed:all").await;
    assert_eq!(socket.error("subscribe", json!({"channel": "feed:all"})).await, 105);
    socket.result("unsubscribe", json!({"channel": "feed:all"})).await;
    socket.subscribe("feed:all").await;
}

#[tokio::test]
async fn who_unsubscribed_hears_nothing_more() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut leaves = server.socket(&ada.token).await;
    let mut stays = server.socket(&ada.token).await;
    leaves.subscribe("feed:all").await;
    stays.subscribe("feed:all").await;
    leaves.result("unsubscribe", json!({"channel": "feed:all"})).await;
    api.publish(&ada, "After").await;
    stays.publication("feed:all").await;
    assert_eq!(leaves.left("feed:all").await, Vec::<Value>::new());
}

#[tokio::test]
async fn who_leaves_its_inbox_may_come_back() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let inbox = format!("notifications:#{}", ada.id);
    let body = json!({"channel": inbox, "data": {"n": 1}});
    let request = json!({"channel": inbox});
    socket.result("unsubscribe", request.clone()).await;
    api.server_result("publish", &body).await;
    assert_eq!(socket.left(&inbox).await, Vec::<Value>::new());
    // It is a subscription of the client's own from then on.
    for _ in 0..2 {
        socket.subscribe(&inbox).await;
        api.server_result("publish", &body).await;
        assert_eq!(socket.publication(&inbox).await["data"], json!({"n": 1}));
        socket.result("unsubscribe", request.clone()).await;
    }
}

#[tokio::test]
async fn one_subscription_too_many_is_error_106() {
    let (_server, mut socket) = connected("client.channel_limit = 4").await;
    let mut refused = Vec::new();
    for number in 0..6 {
        let params = json!({"channel": format!("tag:t{number}")});
        let reply = socket.reply("subscribe", params).await;
        refused.push(reply["error"]["code"].as_u64());
    }
    let first = refused.iter().position(Option::is_some).expect("a limit is a limit");
    // Whether the inbox, which the server subscribed, takes one of the four places is not promised.
    assert!(matches!(first, 3 | 4), "{refused:?}");
    assert!(refused[first..].iter().all(|code| *code == Some(106)), "{refused:?}");
    socket.result("unsubscribe", json!({"channel": "tag:t0"})).await;
    socket.subscribe("tag:t9").await;
}

#[tokio::test]
async fn a_client_cannot_publish_to_the_channels_that_speak_for_the_log() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("feed:all").await;
    let inbox = format!("notifications:#{}", ada.id);
    let author = format!("author:{}", ada.id);
    for channel in
        ["feed:all", "tag:rust", author.as_str(), "post:0123456789abcdef01234567", inbox.as_str()]
    {
        let params = json!({"channel": channel, "data": {"type": "post.published"}});
        assert_eq!(socket.error("publish", params).await, 103, "{channel}");
    }
    assert_eq!(socket.left("feed:all").await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_unknown_rpc_method_is_error_108() {
    let (_server, mut socket) = connected("").await;
    let params = json!({"method": "make_coffee", "data": {}});
    assert_eq!(socket.error("rpc", params).await, 108);
}

#[tokio::test]
async fn history_of_the_feed_reads_forwards_backwards_and_the_position_only() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    for number in 1..=5 {
        api.publish(&ada, &format!("Post {number}")).await;
    }
    let mut socket = server.socket(&ada.token).await;
    let position = socket.subscribe("feed:all").await;
    let read = |history: &Value| {
        let publications = history["publications"].as_array().cloned().unwrap_or_default();
        publications.iter().map(|p| p["offset"].as_u64().expect("an offset")).collect::<Vec<_>>()
    };
    let all = socket.result("history", json!({"channel": "feed:all", "limit": 10})).await;
    assert_eq!(read(&all), [1, 2, 3, 4, 5]);
    assert_eq!(all["offset"], 5);
    assert_eq!(all["epoch"], json!(position.epoch));
    let top = socket.result("history", json!({"channel": "feed:all", "limit": 0})).await;
    assert_eq!(read(&top), Vec::<u64>::new());
    assert_eq!(top["offset"], 5);
    let since = json!({"offset": 2, "epoch": position.epoch});
    let params = json!({"channel": "feed:all", "limit": 2, "since": since});
    let some = socket.result("history", params).await;
    assert_eq!(read(&some), [3, 4]);
    let params = json!({"channel": "feed:all", "limit": 2, "reverse": true});
    let last = socket.result("history", params).await;
    assert_eq!(read(&last), [5, 4]);
}

#[tokio::test]
async fn a_post_channel_has_presence() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let post = api.publish(&ada, "Meet here").await;
    let channel = format!("post:{}", post["id"].as_str().expect("an id"));
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe(&channel).await;
    let presence = socket.result("presence", json!({"channel": channel})).await;
    let client = socket.hello["client"].as_str().expect("an id");
    let here = &presence["presence"][client];
    assert_eq!(here["user"], json!(ada.id.to_string()), "{presence}");
    assert_eq!(here["client"], client, "{presence}");
}
