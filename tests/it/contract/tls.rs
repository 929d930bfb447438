//! TLS: everything that is true without it is true with it.

mod secure;

use std::io::Read;

use futures_util::{SinkExt, StreamExt};
use secure::{Certificate, SecureServer, ended, spawn};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::compression::{COMPRESSED, Frames};
use super::segments::{check_replies, early_bytes, upgraded, values};
use crate::support::{API_KEY, PATIENCE, Raw, Start, upgrade_request, within};

type Wss = WebSocketStream<TlsStream<TcpStream>>;

/// A namespace whose publications are not kept.
const FLOOD: &str = "[[channel.namespaces]]\nname = \"flood\"\nallow_subscribe_for_client = true\n\
                     durable = false\n";

/// The same, where a reader may be slow for long.
fn patient() -> String {
    format!("client.queue_max_size = 67108864\nclient.queue_max_age = \"120s\"\n{FLOOD}")
}

/// Upgrades `stream`, connects with `token` and subscribes to `channel`.
async fn subscriber(stream: TlsStream<TcpStream>, token: &str, channel: &str) -> Wss {
    let connecting = client_async("wss://localhost/connection/websocket", stream);
    let (mut socket, _) = within(PATIENCE, "the upgrade", connecting).await.expect("an upgrade");
    say(&mut socket, &json!({"id": 1, "connect": {"token": token}})).await;
    say(&mut socket, &json!({"id": 2, "subscribe": {"channel": channel}})).await;
    let replies = values(&mut socket, 2).await;
    assert!(replies[0]["connect"].is_object(), "{}", replies[0]);
    assert!(replies[1]["subscribe"].is_object(), "{}", replies[1]);
    socket
}

async fn say(socket: &mut Wss, command: &Value) {
    let sending = socket.send(Message::text(command.to_string()));
    within(PATIENCE, "the socket to take a command", sending).await.expect("it takes it");
}

/// A publication whose data are told apart by their number in every byte that can differ.
fn numbered(number: usize, bytes: usize) -> Value {
    json!({"n": number, "filler": format!("{number:07},").repeat(bytes / 8)})
}

/// Expects the publications `0..count` of `bytes` each, whole and in order.
async fn expect_all(socket: &mut Wss, count: usize, bytes: usize) {
    for number in 0..count {
        let push = values(socket, 1).await.remove(0);
        let data = &push["push"]["pub"]["data"];
        assert_eq!(data["n"], json!(number), "none is missing and none comes twice");
        assert!(*data == numbered(number, bytes), "{number} is not what was published");
    }
}

/// Expects a close frame with `code`, and then that the server ends TLS as it must be ended.
async fn expect_close(socket: &mut Wss, code: u16) {
    let closing = async {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), code),
            other => panic!("{other:?} instead of a close frame with {code}"),
        }
        let end = socket.next().await;
        assert!(end.is_none(), "{end:?} instead of the end");
    };
    within(PATIENCE, "the close frame and the end", closing).await;
}

#[tokio::test]
async fn health_is_answered_over_https() {
    let server = SecureServer::with("").await;
    let mut https = server.https().await;
    for path in ["/health/live", "/health/ready", "/health"] {
        let (status, body) = https.ask("GET", path, "", "").await;
        assert_eq!(status, 200, "{path}: {body}");
    }
}

#[tokio::test]
async fn a_post_arrives_over_wss() {
    let server = SecureServer::with("").await;
    let mut https = server.https().await;
    let token = https.person().await;
    let mut socket = subscriber(server.stream().await, &token, "feed:all").await;
    let body = json!({"title": "Over TLS", "content": "Nobody reads along."});
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let post = https.post("/v1/posts", &bearer, &body, 201).await;
    let push = values(&mut socket, 1).await.remove(0);
    assert_eq!(push["push"]["channel"], "feed:all", "{push}");
    assert_eq!(push["push"]["pub"]["data"]["post"]["id"], post["id"], "{push}");
}

#[tokio::test]
async fn two_hundred_publications_arrive_in_order() {
    let server = SecureServer::with(FLOOD).await;
    let mut https = server.https().await;
    let token = https.person().await;
    let mut socket = subscriber(server.stream().await, &token, "flood:a").await;
    let publishing = async {
        for number in 0..200 {
            https.publish("flood:a", &numbered(number, 2_000)).await;
        }
    };
    tokio::join!(publishing, expect_all(&mut socket, 200, 2_000));
}

#[tokio::test]
async fn a_burst_to_who_reads_slowly_at_first_arrives_whole_and_in_order() {
    // Sixteen megabytes: several times what the kernel keeps for a connection.
    const COUNT: usize = 160;
    const BYTES: usize = 100_000;
    let server = SecureServer::with(&patient()).await;
    let mut https = server.https().await;
    let token = https.person().await;
    let mut socket = subscriber(server.narrow().await, &token, "flood:a").await;
    for number in 0..COUNT {
        https.publish("flood:a", &numbered(number, BYTES)).await;
    }
    expect_all(&mut socket, COUNT, BYTES).await;
    say(&mut socket, &json!({"id": 3, "ping": {}})).await;
    assert_eq!(values(&mut socket, 1).await, [json!({"id": 3, "ping": {}})]);
}

#[tokio::test]
async fn who_never_reads_over_tls_is_closed_while_another_gets_everything() {
    const COUNT: usize = 200;
    const BYTES: usize = 100_000;
    let server = SecureServer::with(FLOOD).await;
    let mut https = server.https().await;
    let token = https.person().await;
    let mut slow = subscriber(server.narrow().await, &token, "flood:a").await;
    let mut reads = subscriber(server.stream().await, &token, "flood:a").await;
    for number in 0..COUNT {
        https.publish("flood:a", &numbered(number, BYTES)).await;
        let push = values(&mut reads, 1).await.remove(0);
        assert_eq!(push["push"]["pub"]["data"]["n"], json!(number), "none is missing");
    }
    let mut got = 0;
    let draining = async {
        while let Some(Ok(Message::Text(_))) = slow.next().await {
            got += 1;
        }
    };
    within(PATIENCE * 3, "the end of the slow connection", draining).await;
    assert!(got < COUNT, "who reads nothing is not waited for: {got}");
}

#[tokio::test]
async fn a_server_that_ends_says_so_with_3001() {
    let mut server = SecureServer::with("").await;
    let token = server.https().await.person().await;
    let mut socket = subscriber(server.stream().await, &token, "feed:all").await;
    let (status, ()) = tokio::join!(server.terminate(), expect_close(&mut socket, 3001));
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn who_talks_while_being_closed_still_hears_everything_and_why() {
    const COUNT: usize = 8;
    const BYTES: usize = 50_000;
    let server = SecureServer::with(&patient()).await;
    let mut https = server.https().await;
    let token = https.person().await;
    let mut talks = subscriber(server.narrow().await, &token, "flood:a").await;
    let mut witness = subscriber(server.stream().await, &token, "feed:all").await;
    for number in 0..COUNT {
        https.publish("flood:a", &numbered(number, BYTES)).await;
    }
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let (status, answer) = https.ask("DELETE", "/v1/sessions/current", &bearer, "").await;
    assert_eq!(status, 204, "{answer}");
    // Once the other connection of the session is closed, so is this one, though it has read nothing yet.
    expect_close(&mut witness, 3500).await;
    for id in 3..6 {
        say(&mut talks, &json!({"id": id, "ping": {}})).await;
    }
    expect_all(&mut talks, COUNT, BYTES).await;
    expect_close(&mut talks, 3500).await;
}

#[tokio::test]
async fn frames_in_one_record_with_the_upgrade_request_are_answered() {
    let server = SecureServer::with("client.insecure = true").await;
    // Some hundred bytes, and sizes at which TLS has decrypted more than HTTP has read of it.
    for pings in [3, 400, 600, 700, 800, 1_500] {
        let mut stream = server.stream().await;
        stream.write_all(&early_bytes(server.address(), pings)).await.expect("the server takes it");
        let mut socket = upgraded(stream).await;
        let replies = values(&mut socket, usize::try_from(1 + pings).expect("it is small")).await;
        check_replies(&replies, pings);
    }
}

#[tokio::test]
async fn a_missing_file_stops_the_start_with_its_name() {
    let certificate = Certificate::make();
    for present in ["cert.pem", "key.pem"] {
        let missing = if present == "cert.pem" { "key.pem" } else { "cert.pem" };
        let settings = certificate.settings().replace(missing, "missing.pem");
        let (status, stderr) = Start::default().settings(&settings).refused().await;
        assert!(!status.success(), "{stderr}");
        assert!(stderr.contains("missing.pem"), "the file is named:\n{stderr}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_certificate_stops_the_start_with_its_name() {
    let certificate = Certificate::make();
    std::fs::write(certificate.dir.path().join("bad.pem"), "nothing").expect("it can be written");
    for replaced in ["cert.pem", "key.pem"] {
        let settings = certificate.settings().replace(replaced, "bad.pem");
        let (status, stderr) = Start::default().settings(&settings).refused().await;
        assert!(!status.success(), "{stderr}");
        assert!(stderr.contains("bad.pem"), "the file is named:\n{stderr}");
    }
}

#[tokio::test]
async fn a_server_without_its_certificate_never_says_that_it_listens() {
    let certificate = Certificate::make();
    let settings = certificate.settings().replace("cert.pem", "missing.pem");
    let mut child = spawn(certificate.dir.path(), &settings);
    let status = ended(&mut child).await;
    let mut told = String::new();
    let mut output = child.stdout.take().expect("it is piped");
    output.read_to_string(&mut told).expect("the output is text");
    assert!(!status.success());
    assert_eq!(told, "", "whoever waits for the line takes it for a start");
}

#[tokio::test]
async fn who_speaks_no_tls_or_nothing_at_all_disturbs_nobody() {
    let server = SecureServer::with(FLOOD).await;
    let mut https = server.https().await;
    let token = https.person().await;
    let mut socket = subscriber(server.stream().await, &token, "flood:a").await;
    // More than may wait between handshake and HTTP.
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(server.address()).await.expect("the server accepts"));
    }
    for bytes in [
        format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {API_KEY}\r\n\r\n").into(),
        b"\x16\x03\x01\xff\xff\x01".to_vec(),
        vec![0; 100_000],
    ] {
        let mut bytes: Vec<u8> = bytes;
        // A handshake that never goes on would be waited for as long as it may take.
        bytes.resize(bytes.len().max(70_000), 0);
        let answer = Raw::connect(server.address()).await.exchange(bytes).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.contains("HTTP/"), "no answer but perhaps an alert: {answer:?}");
    }
    let mut other = server.https().await;
    other.publish("flood:a", &numbered(0, 100)).await;
    https.publish("flood:a", &numbered(1, 100)).await;
    expect_all(&mut socket, 2, 100).await;
    drop(silent);
}

#[tokio::test]
async fn what_was_agreed_to_be_compressed_is_over_tls_as_well() {
    let server = SecureServer::with(COMPRESSED).await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut subscribers = Vec::new();
    for offer in ["", offer] {
        let request = upgrade_request(server.address(), offer);
        let mut frames = Frames::over(server.stream().await, &request).await;
        frames.subscribe("chat:all").await;
        subscribers.push(frames);
    }
    let mut https = server.https().await;
    for length in [10, 1_000, 100_000] {
        let data = json!({"text": "to and fro ".repeat(length / 10)});
        https.publish("chat:all", &data).await;
        for (subscriber, agreed) in subscribers.iter_mut().zip([false, true]) {
            let frame = subscriber.next().await;
            let compressed = agreed && length > 10;
            assert_eq!(frame.is_compressed(), compressed, "{length}");
            assert!(!compressed || frame.bytes < frame.message.len() / 2, "{length}");
            assert_eq!(frame.lines()[0]["push"]["pub"]["data"], data);
        }
    }
}
