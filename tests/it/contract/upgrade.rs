//! The upgrade request: which origins may open a socket.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::{PATIENCE, Server, Socket, within};

#[tokio::test]
async fn a_foreign_origin_is_refused_and_the_own_or_none_is_not() {
    let server = Server::start().await;
    let address = server.address();
    let own = format!("http://{address}");
    let attempt = async |origin: &str| {
        let headers = [("origin", origin)];
        Socket::attempt(address, &headers).await.err()
    };
    assert_eq!(attempt(&own).await, None, "the same host");
    assert_eq!(Socket::attempt(address, &[]).await.err(), None, "no origin");
    let lookalike = format!("http://{address}.evil.example");
    let other_port = "http://127.0.0.1:1";
    for origin in ["https://evil.example", lookalike.as_str(), other_port, "null", "nonsense"] {
        assert_eq!(attempt(origin).await, Some(403), "{origin}");
    }
}

#[tokio::test]
async fn allowed_origins_are_allowed_and_no_others() {
    let server = Server::with("client.allowed_origins = [\"https://app.example\"]").await;
    let attempt = async |origin: &str| {
        let headers = [("origin", origin)];
        Socket::attempt(server.address(), &headers).await.err()
    };
    assert_eq!(attempt("https://app.example").await, None);
    for origin in ["https://app.example.evil", "http://app.example", "https://other.example"] {
        assert_eq!(attempt(origin).await, Some(403), "{origin}");
    }
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_is_told_so() {
    let server = Server::start().await;
    let answer = server.api().get("/connection/websocket").send().await;
    assert!(matches!(answer.status, 400 | 426), "{answer}");
}

#[tokio::test]
async fn a_subprotocol_that_is_spoken_is_chosen() {
    let server = Server::start().await;
    let offers = [
        ("", "", false),
        ("?format=protobuf", "", true),
        ("", "centrifuge-protobuf", true),
        ("?format=protobuf", "foreign, centrifuge-json", false),
        ("", "foreign", false),
    ];
    for (query, offered, binary) in offers {
        let url = format!("ws://{}/connection/websocket{query}", server.address());
        let mut request = url.into_client_request().expect("the address makes a request");
        if !offered.is_empty() {
            let value = offered.parse().expect("the offer makes a header");
            request.headers_mut().insert("sec-websocket-protocol", value);
        }
        let stream = tokio::net::TcpStream::connect(server.address()).await.expect("it listens");
        let opened = tokio_tungstenite::client_async(request, stream).await;
        // The client itself refuses an answer without a subprotocol to an offer.
        if offered == "foreign" {
            assert!(opened.is_err());
            continue;
        }
        let (mut socket, answer) = opened.unwrap_or_else(|e| panic!("{query} {offered}: {e}"));
        let chosen = answer.headers().get("sec-websocket-protocol").map(|it| it.to_str().unwrap());
        assert_eq!(chosen, offered.split(", ").last().filter(|it| !it.is_empty()));
        // An answer to a ping before connect: the code of the end is the same in both encodings.
        let nonsense = if binary { Message::binary(vec![0x7f]) } else { Message::text("{") };
        socket.send(nonsense).await.expect("it is sent");
        let end = within(PATIENCE, "the end", socket.next()).await;
        let Some(Ok(Message::Close(Some(frame)))) = end else { panic!("{end:?}") };
        assert_eq!(u16::from(frame.code), 3501);
    }
}

#[tokio::test]
async fn a_unidirectional_socket_hears_pushes_alone() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let url = format!("ws://{}/connection/uni_websocket", server.address());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("it opens");
    let hello = json!({"token": ada.token}).to_string();
    socket.send(Message::text(hello)).await.expect("it is sent");
    let mut hear = async || {
        let heard = within(PATIENCE, "a push", socket.next()).await;
        let Some(Ok(Message::Text(text))) = heard else { panic!("{heard:?}") };
        serde_json::from_str::<Value>(&text).expect("a push is JSON")
    };
    let connected = hear().await;
    assert!(connected["connect"]["subs"].is_object(), "{connected}");
    assert!(connected["connect"]["pong"].is_null(), "nobody waits for pongs: {connected}");
    let channel = json!({"user": ada.id.to_string(), "channel": "feed:all"});
    server.api().server_result("subscribe", &channel).await;
    assert!(hear().await["subscribe"].is_object());
    server.api().publish(&ada, "Heard without asking").await;
    let push = hear().await;
    assert_eq!(push["pub"]["data"]["type"], "post.published", "{push}");
}
