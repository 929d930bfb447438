//! `/api/send`: what a back end tells clients outside of any channel, as the push `message` in every encoding.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{PATIENCE, Server, within};

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A field that carries bytes, of fewer than 128 with all that is around it (proto3, wire type 2).
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a short field");
    [&[number << 3 | 2, length][..], bytes].concat()
}

/// A message behind its length.
fn framed(message: &[u8]) -> Vec<u8> {
    [&[u8::try_from(message.len()).expect("a short message")][..], message].concat()
}

/// The next frame of a socket.
async fn frame(socket: &mut Stream) -> Message {
    let next = within(PATIENCE, "a frame", socket.next()).await;
    next.expect("the socket stays open").expect("the frame is whole")
}

async fn opened(server: &Server, path: &str, first: Message) -> Stream {
    let url = format!("ws://{}{path}", server.address());
    let (mut socket, _) = connect_async(url).await.expect("it opens");
    socket.send(first).await.expect("it is sent");
    frame(&mut socket).await;
    socket
}

#[tokio::test]
async fn a_message_reaches_the_connections_of_its_user_in_every_encoding_and_nobody_else() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let mut json_socket = server.socket(&ada.token).await;
    let mut other = server.socket(&bob.token).await;
    // Command { id: 1, connect: ConnectRequest { token } }, whose numbers are 1, 4 and 1.
    let connect = [&[0x08, 1][..], &field(4, &field(1, ada.token.as_bytes()))].concat();
    let connect = Message::binary(framed(&connect));
    let path = "/connection/websocket?format=protobuf";
    let mut protobuf_socket = opened(&server, path, connect).await;
    let connect = Message::text(json!({"token": ada.token}).to_string());
    let mut uni_socket = opened(&server, "/connection/uni_websocket", connect).await;

    let data = r#"{"n":1,"text":"é"}"#;
    let user = ada.id.to_string();
    let result =
        api.server_result("send", &json!({"user": user, "data": {"n": 1, "text": "é"}})).await;
    assert_eq!(result, json!({}));
    let push = within(PATIENCE, "a message", json_socket.bare_push()).await;
    assert_eq!(push, json!({"message": {"data": {"n": 1, "text": "é"}}}));
    // Reply { push: Push { message: Message { data } } }, whose numbers are 4, 8 and 1.
    let push = framed(&field(4, &field(8, &field(1, data.as_bytes()))));
    assert_eq!(frame(&mut protobuf_socket).await, Message::binary(push));
    let Message::Text(push) = frame(&mut uni_socket).await else { panic!("a text is awaited") };
    let push: Value = serde_json::from_str(&push).expect("a push is JSON");
    assert_eq!(push, json!({"message": {"data": {"n": 1, "text": "é"}}}));
    other.result("ping", json!({})).await;
    assert_eq!(other.unasked(), 0, "another user hears nothing");
}

#[tokio::test]
async fn a_message_may_be_meant_for_one_connection_and_must_be_json() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let (mut one, mut two) = (server.socket(&ada.token).await, server.socket(&ada.token).await);
    let user = ada.id.to_string();
    let client = one.hello["client"].clone();
    // [1]
    let commands = json!({"commands": [
        {"send": {"user": user, "client": client, "b64data": "WzFd"}},
        {"send": {"user": user, "session": "of nobody", "data": 0}},
        {"send": {"user": user}},
    ]});
    let answer = api.server_call("batch", &commands).await;
    assert_eq!(answer["replies"][0], json!({"send": {}}), "{answer}");
    assert_eq!(answer["replies"][1], json!({"send": {}}), "{answer}");
    assert_eq!(answer["replies"][2]["error"]["code"], 107, "{answer}");
    for body in [json!({"user": user}), json!({"user": user, "b64data": "bm8ganNvbg=="})] {
        assert_eq!(api.server_call("send", &body).await["error"]["code"], 107, "{body}");
    }
    api.server_result("send", &json!({"user": user, "data": 2})).await;
    for (socket, expected) in [(&mut one, vec![json!([1]), json!(2)]), (&mut two, vec![json!(2)])] {
        for data in expected {
            let push = within(PATIENCE, "a message", socket.bare_push()).await;
            assert_eq!(push, json!({"message": {"data": data}}));
        }
    }
}
