//! What once went wrong: line breaks within messages, answers that closed their asker, sessions ended by halves,
//! sockets that stayed open, a slow end, and parameters and texts that were let through.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Closed, PATIENCE, Person, Position, Server, Socket, plain_http, title, unique, until, within,
};

/// A namespace whose past is kept, and which anybody who is logged in may use.
pub(super) const KEPT: &str = r#"
[[channel.namespaces]]
name = "kept"
allow_subscribe_for_client = true
allow_publish_for_client = true
allow_history_for_client = true
history_size = 300
history_ttl = "300s"
history_recovery = "log"
force_recovery = true
"#;

/// JSON as people and some libraries write it, with every kind of line break between its tokens.
const PRETTY: &str = "{\r\n  \"list\": [\n    1,\r\n    2\r  ],\n\n  \"text\": \"a\\r\\nb\"\r\n}";

fn pretty_value() -> Value {
    json!({"list": [1, 2], "text": "a\r\nb"})
}

/// Posts with `metadata` as it stands.
async fn post_with(server: &Server, author: &Person, title: &str, metadata: &str) {
    let text = format!(
        "{{\r\n  \"title\": \"{title}\",\n  \"content\": \"Content.\",\n  \"metadata\": {metadata}\r\n}}\n"
    );
    let ask = server.api().post("/v1/posts").token(&author.token).text(&text);
    ask.send().await.expect(201);
}

/// Publishes `data` as they stand.
async fn publish_text(server: &Server, channel: &str, data: &str) {
    let text = format!("{{\r\n\"channel\": \"{channel}\",\n\"data\": {data}\r\n}}\r\n");
    let ask = server.api().post("/api/publish").api_key(crate::support::API_KEY).text(&text);
    let answer = ask.send().await;
    assert!(answer.expect(200)["result"].is_object(), "{answer}");
}

// The socket client takes every line for a message of its own and fails where one is no JSON, so that each of these
// publications also proves that no line break was within it.
#[tokio::test]
async fn a_post_with_pretty_metadata_is_one_line_live_in_recovery_and_in_history() {
    let mut server = Server::start().await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let since = socket.subscribe("feed:all").await;
    post_with(&server, &ada, "Pretty", PRETTY).await;
    let live = socket.publication("feed:all").await;
    assert_eq!(live["data"]["post"]["metadata"], pretty_value(), "{live}");
    let history = json!({"channel": "feed:all", "limit": 10});
    let history = socket.result("history", history).await;
    assert_eq!(history["publications"][0]["data"], live["data"], "{history}");
    for restarts in [false, true] {
        if restarts {
            server.restart().await;
        }
        let mut socket = server.socket(&ada.token).await;
        let back = socket.recover("feed:all", &since).await;
        assert!(back.recovered);
        let metadata = &back.publications[0]["data"]["post"]["metadata"];
        assert_eq!(*metadata, pretty_value());
    }
}

#[tokio::test]
async fn pretty_data_of_the_server_api_and_of_a_client_are_one_line() {
    let server = Server::with(KEPT).await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let since = socket.subscribe("kept:a").await;
    publish_text(&server, "kept:a", PRETTY).await;
    assert_eq!(socket.publication("kept:a").await["data"], pretty_value());
    // Of all line breaks, a command can hold this one only.
    let returns = "{\"id\":1000,\"publish\":{\"channel\":\"kept:a\",\"data\":{\r\"a\":\r1}}}";
    socket.send(returns).await;
    socket.reply_to(1000, returns).await;
    assert_eq!(socket.publication("kept:a").await["data"], json!({"a": 1}));
    let history = socket.result("history", json!({"channel": "kept:a", "limit": 10})).await;
    assert_eq!(history["publications"][0]["data"], pretty_value(), "{history}");
    let back = server.socket(&ada.token).await.recover("kept:a", &since).await;
    assert_eq!(back.publications[0]["data"], pretty_value());
}

/// The event stream of a session.
async fn stream_of(address: SocketAddr, token: &str) -> reqwest::Response {
    let http = plain_http();
    let ask = http.get(format!("http://{address}/connection/uni_sse")).bearer_auth(token);
    let answer = within(PATIENCE, "the head of the event stream", ask.send()).await;
    answer.expect("the event stream opens")
}

/// Reads the event stream until an event holds `text`: that event, without the empty line behind it.
async fn event_with(stream: &mut reqwest::Response, text: &str) -> String {
    let mut read = String::new();
    let wait = async {
        loop {
            let chunk = stream.chunk().await.expect("the stream goes on").expect("it has no end");
            read.push_str(std::str::from_utf8(&chunk).expect("an event is text"));
            let whole = read.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
            if let Some(event) = whole.split("\n\n").find(|event| event.contains(text)) {
                return event.to_owned();
            }
        }
    };
    within(PATIENCE, "the event", wait).await
}

#[tokio::test]
async fn pretty_data_are_one_line_of_an_event_stream() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let mut stream = stream_of(server.address(), &ada.token).await;
    event_with(&mut stream, "\"connect\"").await;
    publish_text(&server, &format!("notifications:#{}", ada.id), PRETTY).await;
    let event = event_with(&mut stream, "\"list\"").await;
    let data = event.strip_prefix("data: ").expect("an event is its data");
    assert!(!data.contains(['\n', '\r']), "{data:?}");
    let data: Value = serde_json::from_str(data).expect("the data are JSON");
    let found = data.pointer("/pub/data").or_else(|| data.pointer("/data")).unwrap_or(&data);
    assert_eq!(*found, pretty_value(), "{data}");
}

/// A reply may be four times as large as what may wait for a client.
const SMALL_QUEUE: &str = "client.queue_max_size = 65536\nclient.recovery_max_bytes = 262144\n";
const REPLY_BYTES: usize = 262_144;

/// Recovers as an SDK does: goes on from the reply with what is pushed, and subscribes again when told to.
/// Answers how many times it subscribed, and the publications.
async fn catch_up(
    socket: &mut Socket,
    channel: &str,
    mut since: Position,
    count: usize,
) -> (usize, Vec<Value>) {
    let mut got = Vec::new();
    for subscribed in 1.. {
        let back = socket.recover(channel, &since).await;
        assert!(back.recovered, "{channel} recovers from {since:?}");
        let bytes: usize = back.publications.iter().map(|p| p["data"].to_string().len()).sum();
        assert!(bytes <= REPLY_BYTES, "a reply is bounded: {bytes}");
        since = back.position;
        got.extend(back.publications);
        while got.len() < count {
            let push = socket.any_push(channel).await;
            if push["unsubscribe"].is_object() {
                assert_eq!(push["unsubscribe"]["code"], 2500, "{push}");
                break;
            }
            since.offset = push["pub"]["offset"].as_u64().unwrap_or(since.offset);
            got.push(push["pub"].clone());
        }
        if got.len() >= count {
            return (subscribed, got);
        }
    }
    unreachable!("the loop has no end of its own")
}

fn numbers(publications: &[Value]) -> Vec<u64> {
    publications.iter().map(|p| p["data"]["n"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn a_history_larger_than_the_queue_comes_whole_and_page_by_page() {
    let server = Server::with(&format!("{SMALL_QUEUE}{KEPT}")).await;
    let ada = server.api().person("ada").await;
    publish_large(&server).await;
    let mut socket = Socket::narrow(server.address(), &ada.token).await;
    let (mut got, mut pages, mut since) = (Vec::new(), 0, None);
    while got.len() < 100 {
        let mut ask = json!({"channel": "kept:a", "limit": 300});
        if let Some(since) = since {
            ask["since"] = since;
        }
        let page = socket.result("history", ask).await;
        let found = page["publications"].as_array().expect("there is more").clone();
        assert!(page.to_string().len() > 65_536 || got.len() + found.len() == 100);
        let last = found.last().expect("a page holds something");
        since = Some(json!({"epoch": page["epoch"], "offset": last["offset"]}));
        got.extend(found);
        pages += 1;
    }
    assert_eq!(numbers(&got), (0..100).collect::<Vec<_>>());
    assert!(pages > 1, "a reply is bounded by its bytes");
    socket.result("ping", json!({})).await;
}

/// Publishes a hundred times ten kilobytes.
async fn publish_large(server: &Server) {
    let (api, filler) = (server.api(), "x".repeat(10_000));
    for number in 0..100 {
        let body = json!({"channel": "kept:a", "data": {"n": number, "filler": filler}});
        api.server_result("publish", &body).await;
    }
}

#[tokio::test]
async fn a_recovery_larger_than_the_queue_comes_whole_also_after_a_restart() {
    let mut server = Server::with(&format!("{SMALL_QUEUE}{KEPT}")).await;
    let ada = server.api().person("ada").await;
    let since = server.socket(&ada.token).await.subscribe("kept:a").await;
    publish_large(&server).await;
    let wanted: Vec<_> = (0..100).collect();
    for restarts in [false, true] {
        if restarts {
            assert!(server.terminate().await.success());
            server.restart().await;
        }
        let mut socket = Socket::narrow(server.address(), &ada.token).await;
        let (subscribed, got) = catch_up(&mut socket, "kept:a", since.clone(), 100).await;
        assert_eq!(numbers(&got), wanted, "restarted: {restarts}");
        assert_eq!(subscribed > 1, restarts, "an older epoch takes several replies");
        socket.result("ping", json!({})).await;
    }
    // Who knows no epoch gets what earlier epochs left in one piece: there is no place within it to go on from.
    let anywhere = Position { epoch: String::new(), offset: 0 };
    let mut socket = Socket::narrow(server.address(), &ada.token).await;
    let back = socket.recover("kept:a", &anywhere).await;
    assert_eq!(numbers(&back.publications), wanted);
    socket.result("ping", json!({})).await;
}

#[tokio::test]
async fn large_posts_of_an_older_epoch_come_whole_in_bounded_replies() {
    let mut server = Server::with(SMALL_QUEUE).await;
    let ada = server.api().person("ada").await;
    let since = server.socket(&ada.token).await.subscribe("feed:all").await;
    let metadata = json!({"filler": "x".repeat(20_000)}).to_string();
    let wanted: Vec<_> = (0..40).map(|number| format!("Large {number}")).collect();
    for title in &wanted {
        post_with(&server, &ada, title, &metadata).await;
    }
    server.restart().await;
    let mut socket = Socket::narrow(server.address(), &ada.token).await;
    let (subscribed, got) = catch_up(&mut socket, "feed:all", since, wanted.len()).await;
    // A kill may repeat what came last before it, but loses nothing and keeps the order.
    let mut titles: Vec<_> = got.iter().map(title).collect();
    titles.dedup();
    assert_eq!(titles, wanted);
    assert!(subscribed > 1, "the older epoch takes several replies");
    socket.result("ping", json!({})).await;
}

/// Sends the end of a session and hangs up, in one of three ways.
async fn end_and_hang_up(server: &Server, token: &str, way: usize) {
    let before = server.sockets();
    let mut stream = TcpStream::connect(server.address()).await.expect("the server accepts");
    let accepted = || async { (server.sockets() > before).then_some(()) };
    until(PATIENCE, "the connection to be accepted", accepted).await;
    let request = format!(
        "DELETE /v1/sessions/current HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
        server.address()
    );
    stream.write_all(request.as_bytes()).await.expect("the server takes a request");
    match way {
        0 => drop(stream),
        1 => {
            stream.shutdown().await.expect("the connection stands");
            let mut answer = Vec::new();
            // Whether an answer comes is not what counts; the end says that the server is through.
            let _ = within(PATIENCE, "its end", stream.read_to_end(&mut answer)).await;
        }
        _ => {
            stream.set_zero_linger().expect("a socket can be made to reset");
            drop(stream);
        }
    }
    let gone = || async { (server.sockets() <= before).then_some(()) };
    until(PATIENCE, "the connection to be given up", gone).await;
}

#[tokio::test]
async fn a_session_whose_end_was_asked_by_one_who_hung_up_is_ended_whole_or_not_at_all() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    for number in 0..21 {
        let token = api.login(&ada.username).await;
        let mut socket = server.socket(&token).await;
        end_and_hang_up(&server, &token, number % 3).await;
        let me = api.get("/v1/me").token(&token).send().await;
        if me.status == 401 {
            socket.expect_closed(3500).await;
            continue;
        }
        me.expect(200);
        // It was valid still, so its socket may stand; but what was begun may reach its end just now.
        let (_, ping) = socket.command("ping", json!({}));
        socket.send(&ping).await;
        let next = within(PATIENCE, "an answer or the close", socket.read()).await;
        assert!(matches!(next, Ok(()) | Err(Closed(Some(3500)))), "{next:?}");
    }
}

#[tokio::test]
async fn readers_that_never_read_again_leave_no_socket_open() {
    let server = Server::with(
        "client.queue_max_size = 65536\nclient.queue_max_age = \"1s\"\n\
         [[channel.namespaces]]\nname = \"flood\"\nallow_subscribe_for_client = true\ndurable = false\n",
    )
    .await;
    let api = server.api();
    let ada = api.person("ada").await;
    let before = server.sockets();
    let mut stuck = Vec::new();
    for _ in 0..5 {
        let mut socket = Socket::narrow(server.address(), &ada.token).await;
        socket.subscribe("flood:a").await;
        stuck.push(socket);
    }
    assert!(server.sockets() >= before + stuck.len());
    let filler = "x".repeat(100_000);
    for _ in 0..150 {
        let body = json!({"channel": "flood:a", "data": {"filler": filler}});
        api.server_result("publish", &body).await;
    }
    // The clients hold their ends open meanwhile and read nothing.
    let gone = || async { (server.sockets() <= before).then_some(()) };
    until(PATIENCE * 2, "the stuck connections to be given up", gone).await;
    for mut socket in stuck {
        let closed = socket.closed_within(PATIENCE).await;
        assert!(matches!(closed, Closed(None | Some(3008))), "{closed:?}");
    }
}

#[tokio::test]
async fn a_server_ends_in_time_whoever_is_connected() {
    let mut server = Server::with("shutdown.timeout = \"4s\"").await;
    let ada = server.api().person("ada").await;
    let mut stream = stream_of(server.address(), &ada.token).await;
    event_with(&mut stream, "\"connect\"").await;
    let mut socket = server.socket(&ada.token).await;
    let before = server.sockets();
    let mut half = TcpStream::connect(server.address()).await.expect("the server accepts");
    half.write_all(b"GET /v1/me HTTP/1.1\r\nHost: local").await.expect("it takes half a head");
    let accepted = || async { (server.sockets() > before).then_some(()) };
    until(PATIENCE, "the connection to be accepted", accepted).await;
    let asked = Instant::now();
    let ended = server.terminate().await;
    let took = asked.elapsed();
    assert!(ended.success(), "TERM ends with status 0: {ended}");
    // The contract bounds the time; the margin is for a busy machine.
    assert!(took < Duration::from_secs(6), "it took {took:?}");
    socket.expect_closed(3001).await;
}

#[tokio::test]
async fn a_parameter_given_twice_is_a_problem() {
    let server = Server::start().await;
    let answer = server.api().get("/v1/feed?limit=1&limit=2").send().await;
    answer.problem_coded(400, "invalid_query");
}

#[tokio::test]
async fn the_nul_character_is_refused_in_a_publication_but_not_what_looks_like_it() {
    let server = Server::with(KEPT).await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let channel = format!("kept:{}", unique());
    socket.subscribe(&channel).await;
    for data in [json!({"a": "\0"}), json!({"\0": 1}), json!(["\\\0"])] {
        assert!(data.to_string().contains("\\u0000"), "it is sent as an escape");
        assert_eq!(socket.error("publish", json!({"channel": channel, "data": data})).await, 107);
    }
    let data = json!({"a": "\\u0000"});
    assert!(data.to_string().contains(r"\\u0000"));
    socket.result("publish", json!({"channel": channel, "data": data})).await;
    assert_eq!(socket.publication(&channel).await["data"], data);
}
