//! Frames: several commands in one, too large ones, and bytes that are none.

use serde_json::json;

use crate::support::{PATIENCE, within};
use crate::support::{Raw, Server, upgrade_request};

#[tokio::test]
async fn several_commands_in_one_frame_are_all_answered() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let mut lines = Vec::new();
    for (method, params) in [
        ("subscribe", json!({"channel": "feed:all"})),
        ("subscribe", json!({"channel": "nothing:here"})),
        ("ping", json!({})),
        ("subscribe", json!({"channel": "tag:rust"})),
    ] {
        lines.push(socket.command(method, params));
    }
    let frame: Vec<_> = lines.iter().map(|(_, line)| line.as_str()).collect();
    socket.send(&frame.join("\n")).await;
    let mut failed = Vec::new();
    for (id, line) in &lines {
        let reply = socket.reply_to(*id, line).await;
        failed.push(reply["error"]["code"].as_u64());
    }
    assert_eq!(failed, [None, Some(102), None, None]);
}

#[tokio::test]
async fn connect_and_subscribe_may_share_the_first_frame() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let mut socket = crate::support::Socket::open(server.address()).await;
    let (first, connect) = socket.command("connect", json!({"token": ada.token}));
    let (second, subscribe) = socket.command("subscribe", json!({"channel": "feed:all"}));
    socket.send(&format!("{connect}\n{subscribe}\n")).await;
    assert!(socket.reply_to(first, &connect).await["connect"].is_object());
    assert!(socket.reply_to(second, &subscribe).await["subscribe"].is_object());
}

#[tokio::test]
async fn unknown_fields_of_a_command_are_ignored() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let params = json!({"channel": "feed:all", "from_the_future": {"deep": [1]}});
    socket.result("subscribe", params).await;
}

#[tokio::test]
async fn a_message_over_the_limit_closes_with_1009() {
    let server = Server::with("websocket.message_size_limit = 1024").await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let fits = json!({"channel": "tag:a", "data": "a".repeat(800)});
    socket.result("subscribe", fits).await;
    let (_, large) =
        socket.command("subscribe", json!({"channel": "tag:b", "data": "b".repeat(1_100)}));
    socket.send(&large).await;
    socket.expect_closed(1009).await;
}

/// A masked client frame with the mask 0, which leaves its bytes readable.
fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    assert!(length < 126, "a short payload");
    let mut bytes = vec![first_byte, 0x80 | length, 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

/// The close code in what the server sent after its upgrade answer.
fn close_code(answer: &[u8]) -> Option<u16> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let frames = &answer[head + 4..];
    let at = frames.iter().position(|&byte| byte == 0x88)?;
    let code = frames.get(at + 2..at + 4)?;
    Some(u16::from_be_bytes([code[0], code[1]]))
}

#[tokio::test]
async fn frames_against_the_websocket_standard_close_with_its_codes() {
    let server = Server::start().await;
    let mut unmasked = vec![0x81, 2];
    unmasked.extend_from_slice(b"{}");
    for (name, bytes, code) in [
        ("an unmasked frame", unmasked, 1002),
        ("a reserved bit", frame(0xC1, b"{}"), 1002),
        ("a reserved opcode", frame(0x83, b"{}"), 1002),
        ("a continuation of nothing", frame(0x80, b"{}"), 1002),
        ("a fragmented ping", frame(0x09, b""), 1002),
        ("text that is not UTF-8", frame(0x81, b"\xff\xfe"), 1007),
        ("a close with one byte", frame(0x88, b"\x03"), 1002),
    ] {
        let mut request = upgrade_request(server.address(), "");
        request.extend_from_slice(&bytes);
        let raw = Raw::connect(server.address()).await;
        let answer = raw.exchange(request).await;
        let shown = String::from_utf8_lossy(&answer).into_owned();
        assert!(shown.starts_with("HTTP/1.1 101"), "{name}: {shown:?}");
        assert_eq!(close_code(&answer), Some(code), "{name}: {shown:?}");
    }
    server.api().get("/health/live").send().await.expect(200);
}

#[tokio::test]
async fn bytes_that_are_no_request_are_no_failure() {
    let server = Server::start().await;
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"\r\n\r\n\0\0\0\0 HTTP/1.1\r\n\r\n".to_vec(),
        [b"GET /".to_vec(), vec![b'a'; 1_000_000]].concat(),
    ] {
        let answer = Raw::connect(server.address()).await.exchange(bytes).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer:.200}");
    }
    server.api().get("/health/live").send().await.expect(200);
}

#[tokio::test]
async fn replies_to_the_commands_of_one_frame_share_a_frame() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let server = Server::with("client.insecure = true").await;
    let url = format!("ws://{}/connection/websocket", server.address());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket.send(Message::text(r#"{"id":1,"connect":{}}"#)).await.unwrap();
    let welcome = within(PATIENCE, "a welcome", socket.next()).await.unwrap().unwrap();
    assert!(welcome.to_text().unwrap().contains(r#""id":1"#));
    let pings = "{\"id\":2,\"ping\":{}}\n{\"id\":3,\"ping\":{}}\n{\"id\":4,\"dance\":{}}";
    socket.send(Message::text(pings)).await.unwrap();
    let replies = within(PATIENCE, "replies", socket.next()).await.unwrap().unwrap();
    let lines = replies.to_text().unwrap().lines();
    let ids =
        lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64());
    assert_eq!(ids.collect::<Vec<_>>(), [Some(2), Some(3), Some(4)]);
}
