//! The first command of a connection, and who may send it.

use serde_json::json;

use crate::support::{Server, Socket, Start};

async fn closes_with(server: &Server, frame: &str, code: u16) {
    let mut socket = Socket::open(server.address()).await;
    socket.send(frame).await;
    socket.expect_closed(code).await;
}

#[tokio::test]
async fn without_a_token_the_connection_is_closed_with_3501() {
    let server = Server::start().await;
    closes_with(&server, r#"{"id":1,"connect":{}}"#, 3501).await;
    closes_with(&server, r#"{"id":1,"connect":{"token":""}}"#, 3501).await;
}

#[tokio::test]
async fn an_unknown_or_malformed_token_is_closed_with_3500() {
    let server = Server::start().await;
    for token in
        ["cst_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "ctk_AAAA", "nonsense", "a.b.c", "🦀"]
    {
        let frame = json!({"id": 1, "connect": {"token": token}}).to_string();
        closes_with(&server, &frame, 3500).await;
    }
}

#[tokio::test]
async fn a_command_before_connect_is_closed_with_3501() {
    let server = Server::start().await;
    closes_with(&server, r#"{"id":1,"subscribe":{"channel":"feed:all"}}"#, 3501).await;
    closes_with(&server, r#"{"id":1,"ping":{}}"#, 3501).await;
}

#[tokio::test]
async fn what_is_not_json_is_closed_with_3501_before_and_after_connect() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    for frame in ["hello", "{\"id\":1,", "\u{0}", "[1,2"] {
        closes_with(&server, frame, 3501).await;
        let mut socket = server.socket(&ada.token).await;
        socket.send(frame).await;
        socket.expect_closed(3501).await;
    }
}

#[tokio::test]
async fn connect_answers_what_a_client_needs_to_know() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let socket = server.socket(&ada.token).await;
    assert_eq!(socket.hello["ping"], 25, "seconds between pings: {}", socket.hello);
    assert_eq!(socket.hello["pong"], true, "a pong is expected: {}", socket.hello);
    let other = server.socket(&ada.token).await;
    assert_ne!(socket.hello["client"], other.hello["client"], "one id a connection");
}

#[tokio::test]
async fn a_second_connect_is_refused() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let (_, again) = socket.command("connect", json!({"token": ada.token}));
    socket.send(&again).await;
    socket.expect_closed(3501).await;
}

#[tokio::test]
async fn an_anonymous_client_connects_where_that_is_allowed_and_reads_no_more_than_it_may() {
    let server = Server::with(
        "client.allow_anonymous_connect_without_token = true\n\
         [[channel.namespaces]]\nname = \"open\"\nallow_subscribe_for_client = true\n\
         allow_subscribe_for_anonymous = true\n\
         [[channel.namespaces]]\nname = \"members\"\nallow_subscribe_for_client = true\n",
    )
    .await;
    let mut socket = Socket::anonymous(server.address()).await;
    socket.subscribe("open:room").await;
    assert_eq!(socket.error("subscribe", json!({"channel": "members:room"})).await, 103);
    assert_eq!(socket.error("subscribe", json!({"channel": "feed:all"})).await, 103);
    let publish = json!({"channel": "open:room", "data": {}});
    assert_eq!(socket.error("publish", publish).await, 103);
    let body = json!({"channel": "open:room", "data": {"n": 1}});
    server.api().server_result("publish", &body).await;
    assert_eq!(socket.publication("open:room").await["data"], json!({"n": 1}));
}

#[tokio::test]
async fn an_insecure_server_lets_anyone_do_everything_in_configured_namespaces() {
    let server = Server::with(
        "client.insecure = true\n[[channel.namespaces]]\nname = \"chat\"\npresence = true\n\
         history_size = 10\nhistory_ttl = \"60s\"\n",
    )
    .await;
    let mut first = Socket::anonymous(server.address()).await;
    let mut second = Socket::anonymous(server.address()).await;
    first.subscribe("chat:room").await;
    second.subscribe("chat:room").await;
    let publish = json!({"channel": "chat:room", "data": {"text": "hi"}});
    first.result("publish", publish).await;
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.publication("chat:room").await["data"]["text"], "hi");
    }
    let channel = json!({"channel": "chat:room", "limit": 10});
    let history = second.result("history", channel).await;
    assert_eq!(history["publications"][0]["data"]["text"], "hi", "{history}");
    let channel = json!({"channel": "chat:room"});
    let stats = second.result("presence_stats", channel.clone()).await;
    assert_eq!(stats["num_clients"], 2, "{stats}");
    let presence = second.result("presence", channel).await;
    let present = presence["presence"].as_object().expect("who is present");
    assert_eq!(present.len(), 2, "{presence}");
}

#[tokio::test]
async fn a_client_that_answers_pings_stays_and_one_that_does_not_is_closed_with_3012() {
    let server = Start::default()
        .settings("client.ping_interval = \"1s\"\nclient.pong_timeout = \"500ms\"")
        .run()
        .await;
    let ada = server.api().person("ada").await;
    let mut stays = server.socket(&ada.token).await;
    assert_eq!(stays.hello["ping"], 1, "{}", stays.hello);
    let mut silent = server.socket(&ada.token).await;
    silent.never_pong();
    let reading = async {
        while stays.pings() < 4 {
            stays.read().await.expect("who answers pings stays");
        }
    };
    tokio::join!(reading, silent.expect_closed(3012));
    stays.subscribe("feed:all").await;
}

#[tokio::test]
async fn who_never_says_who_it_is_is_closed_with_3502() {
    let server = Server::with("client.stale_close_delay = \"200ms\"").await;
    let ada = server.api().person("ada").await;
    let mut connected = server.socket(&ada.token).await;
    let mut silent = Socket::open(server.address()).await;
    silent.expect_closed(3502).await;
    connected.subscribe("feed:all").await;
}
