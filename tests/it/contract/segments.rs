//! Bytes in pieces that no frame asked for: tiny segments, and frames right behind the upgrade request.

use std::net::SocketAddr;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::{PATIENCE, Server, upgrade_request, within};

const OPEN: &str = "client.insecure = true\n[[channel.namespaces]]\nname = \"chat\"\n";

/// First bytes of frames.
const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;
const PING: u8 = 0x89;

/// A masked frame of a client; the mask is no secret.
pub(super) fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match u16::try_from(payload.len()).expect("a payload of one short frame") {
        length @ ..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A text frame with one JSON value.
pub(super) fn text(value: &Value) -> Vec<u8> {
    frame(TEXT, value.to_string().as_bytes())
}

/// Reads the answer to an upgrade request that was written by hand and goes on as a WebSocket client.
pub(super) async fn upgraded<S>(mut stream: S) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    within(PATIENCE, "the answer to the upgrade", async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("the answer has a whole head"));
        }
    })
    .await;
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

/// The next `count` JSON values, whatever frames they come in.
pub(super) async fn values<S>(stream: &mut WebSocketStream<S>, count: usize) -> Vec<Value>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut values = Vec::new();
    let reading = async {
        while values.len() < count {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => values.extend(
                    text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")),
                ),
                Some(Ok(Message::Pong(_))) => {}
                other => panic!("{other:?} instead of a value"),
            }
        }
    };
    if tokio::time::timeout(PATIENCE, reading).await.is_err() {
        panic!("only {} of {count} values came, the last {:?}", values.len(), values.last());
    }
    values
}

/// The upgrade, connect and `pings` commands with the ids from 2 on, as one run of bytes.
pub(super) fn early_bytes(address: SocketAddr, pings: u64) -> Vec<u8> {
    let mut bytes = upgrade_request(address, "");
    bytes.extend(text(&json!({"id": 1, "connect": {}})));
    for id in 2..2 + pings {
        bytes.extend(text(&json!({"id": id, "ping": {}})));
    }
    bytes
}

/// Checks that connect and every one of `pings` pings were answered, in order.
pub(super) fn check_replies(replies: &[Value], pings: u64) {
    assert!(replies[0]["connect"].is_object(), "{}", replies[0]);
    let ids: Vec<_> = replies.iter().map(|reply| reply["id"].as_u64()).collect();
    let expected: Vec<_> = (1..2 + pings).map(Some).collect();
    assert_eq!(ids, expected, "every command is answered in order");
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("the server accepts");
    // Else the kernel gathers what is written in pieces.
    stream.set_nodelay(true).expect("the delay can be switched off");
    stream
}

/// Writes every byte alone and lets others run in between.
async fn write_by_byte(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    for byte in bytes {
        stream.write_all(&[*byte]).await.expect("the server takes a byte");
        stream.flush().await.expect("the server takes a byte");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_conversation_byte_by_byte_is_understood() {
    let server = Server::with(OPEN).await;
    let mut stream = connect(server.address()).await;
    write_by_byte(&mut stream, &upgrade_request(server.address(), "")).await;
    let mut socket = upgraded(stream).await;
    let data = json!({"text": "ü, 🦀 and 中文", "filler": "x".repeat(200)});
    for command in [
        json!({"id": 1, "connect": {}}),
        json!({"id": 2, "subscribe": {"channel": "chat:a"}}),
        json!({"id": 3, "publish": {"channel": "chat:a", "data": data}}),
    ] {
        write_by_byte(socket.get_mut(), &text(&command)).await;
    }
    let mut replies = values(&mut socket, 4).await;
    let push = replies.iter().position(|value| value.get("push").is_some());
    let push = replies.remove(push.expect("a subscriber hears what it publishes"));
    assert_eq!(push["push"]["pub"]["data"], data);
    check_replies(&replies, 2);
}

#[tokio::test]
async fn a_fragmented_message_with_a_ping_inside_byte_by_byte_is_understood() {
    let server = Server::with(OPEN).await;
    let mut stream = connect(server.address()).await;
    stream.write_all(&early_bytes(server.address(), 0)).await.expect("the server takes it");
    let mut socket = upgraded(stream).await;
    check_replies(&values(&mut socket, 1).await, 0);
    // The cuts go through the four bytes of the crab.
    let command = json!({"id": 2, "subscribe": {"channel": "chat:🦀"}}).to_string();
    let crab = command.find('🦀').expect("it is there");
    let (head, rest) = command.as_bytes().split_at(crab + 1);
    let (middle, tail) = rest.split_at(2);
    for bytes in [
        frame(TEXT_BEGINS, head),
        frame(PING, b"between"),
        frame(CONTINUES, middle),
        frame(PING, b""),
        frame(ENDS, tail),
    ] {
        write_by_byte(socket.get_mut(), &bytes).await;
    }
    let reply = values(&mut socket, 1).await.remove(0);
    assert!(reply["id"] == 2 && reply["subscribe"].is_object(), "{reply}");
}

#[tokio::test]
async fn frames_in_one_segment_with_the_upgrade_request_are_answered() {
    let server = Server::with(OPEN).await;
    // Some hundred bytes; more than is read at first; more than one read takes.
    for pings in [3, 400, 4_000] {
        let stream = connect(server.address()).await;
        let (reader, mut writer) = tokio::io::split(stream);
        let bytes = early_bytes(server.address(), pings);
        let writing = tokio::spawn(async move {
            writer.write_all(&bytes).await.expect("the server takes it");
            writer
        });
        let mut socket = upgraded(tokio::io::join(reader, tokio::io::sink())).await;
        let replies = values(&mut socket, usize::try_from(1 + pings).expect("it is small")).await;
        check_replies(&replies, pings);
        drop(writing.await.expect("writing does not fail"));
    }
}

#[tokio::test]
async fn a_frame_cut_in_two_by_the_end_of_the_first_segment_is_understood() {
    let server = Server::with(OPEN).await;
    let bytes = early_bytes(server.address(), 1);
    let upgrade = upgrade_request(server.address(), "").len();
    // Inside the first frame's header, its mask, its payload, and between the frames.
    let second = bytes.len() - text(&json!({"id": 2, "ping": {}})).len();
    for cut in [upgrade + 1, upgrade + 4, upgrade + 9, second, second + 1] {
        let mut stream = connect(server.address()).await;
        stream.write_all(&bytes[..cut]).await.expect("the server takes it");
        let mut socket = upgraded(stream).await;
        socket.get_mut().write_all(&bytes[cut..]).await.expect("the server takes it");
        check_replies(&values(&mut socket, 2).await, 1);
    }
}
