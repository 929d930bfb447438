//! `/connection/uni_sse`: the unidirectional protocol as server-sent events.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{PATIENCE, Person, Server, Start, until, within};

/// An event stream being read, over one bare connection, so that nothing reads ahead of the test.
struct Events {
    stream: BufReader<TcpStream>,
    /// The answer's status line and headers, in lower case.
    head: String,
    /// What has come of the body and is no whole event yet.
    buffer: Vec<u8>,
}

impl Events {
    /// Asks for `path` with more header lines (each ended by CRLF).
    async fn open(address: SocketAddr, path: &str, more: &str) -> Self {
        Self::over(TcpSocket::new_v4().expect("a socket can be made"), address, path, more).await
    }

    /// The stream of a session, its token where an `EventSource` can put it.
    async fn of(server: &Server, token: &str) -> Self {
        Self::open(server.address(), &path(&json!({"token": token})), "").await
    }

    async fn over(socket: TcpSocket, address: SocketAddr, path: &str, more: &str) -> Self {
        let opening = async {
            let stream = socket.connect(address).await.expect("the server accepts");
            // A small buffer, so that who stops reading here stops reading the socket.
            let mut stream = BufReader::with_capacity(512, stream);
            let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n");
            stream.write_all(request.as_bytes()).await.expect("the server takes a request");
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                let count = stream.read_line(&mut head).await.expect("the head is text");
                assert!(count > 0, "the connection ended within the head: {head:?}");
            }
            Self { stream, head: head.to_ascii_lowercase(), buffer: Vec::new() }
        };
        within(PATIENCE, "the head of the event stream", opening).await
    }

    /// The next event as it came, without the empty line; `None` once the server has ended the stream.
    async fn raw(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let event = String::from_utf8(self.buffer[..end].to_vec()).expect("it is text");
                self.buffer.drain(..end + 2);
                return Some(event);
            }
            let before = self.buffer.len();
            self.chunk().await.expect("a body ends with its last chunk");
            if self.buffer.len() == before {
                assert!(before == 0, "the stream ended within an event");
                return None;
            }
        }
    }

    /// Reads one chunk of the body; the last one is empty.
    async fn chunk(&mut self) -> std::io::Result<()> {
        let mut size = String::new();
        self.stream.read_line(&mut size).await?;
        let size = usize::from_str_radix(size.trim_end(), 16).map_err(std::io::Error::other)?;
        let start = self.buffer.len();
        self.buffer.resize(start + size + 2, 0);
        self.stream.read_exact(&mut self.buffer[start..]).await?;
        assert!(self.buffer.ends_with(b"\r\n"), "a chunk is as long as it says");
        self.buffer.truncate(start + size);
        Ok(())
    }

    /// The data of the next event but pings.
    async fn next(&mut self) -> Option<Value> {
        let next = async {
            loop {
                let event = self.raw().await?;
                let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:.200?}"));
                let data: Value = serde_json::from_str(data).expect("the data are JSON");
                if data != json!({}) {
                    return Some(data);
                }
            }
        };
        within(PATIENCE, "an event or the end", next).await
    }

    /// The next event, which must say that the client is connected.
    async fn connected(&mut self) -> Value {
        let event = self.next().await.expect("an event comes");
        assert!(event["connect"].is_object(), "{event}");
        event["connect"].clone()
    }

    /// Expects the stream to be ended with this code, and to end.
    async fn expect_disconnect(&mut self, code: u64) {
        let event = self.next().await.expect("an event says why");
        assert_eq!(event["disconnect"]["code"], code, "{event}");
        assert!(event["disconnect"]["reason"].is_string(), "{event}");
        assert_eq!(self.next().await, None, "it was the last");
    }
}

/// The path with a connect command in it.
fn path(connect: &Value) -> String {
    raw_path(&connect.to_string())
}

fn raw_path(connect: &str) -> String {
    let encoded: String = connect.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/connection/uni_sse?cf_connect={encoded}")
}

fn inbox(person: &Person) -> String {
    format!("notifications:#{}", person.id)
}

#[tokio::test]
async fn the_first_event_says_connect_and_names_the_inbox() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    let bearer = format!("Authorization: Bearer {}\r\n", ada.token);
    let with_token = path(&json!({"token": ada.token}));
    for (path, more) in [
        (with_token.as_str(), ""),
        ("/connection/uni_sse", bearer.as_str()),
        (path(&json!({})).as_str(), bearer.as_str()),
    ] {
        let mut events = Events::open(server.address(), path, more).await;
        assert!(events.head.starts_with("http/1.1 200"), "{}", events.head);
        assert!(events.head.contains("\r\ncontent-type: text/event-stream"), "{}", events.head);
        assert!(events.head.contains("\r\ncache-control: no-cache"), "{}", events.head);
        let event = within(PATIENCE, "the first event", events.raw()).await.expect("one comes");
        assert!(event.starts_with("data: {\"connect\":{"), "{event}");
        assert!(!event.contains('\n'), "one line is one event: {event}");
        let event: Value = serde_json::from_str(&event["data: ".len()..]).expect("it is JSON");
        let connect = &event["connect"];
        assert!(connect["client"].as_str().is_some_and(|id| !id.is_empty()), "{event}");
        assert!(connect["subs"][inbox(&ada)].is_object(), "{event}");
        assert_ne!(connect["pong"], true, "who cannot speak is asked for no pong: {event}");
    }
}

#[tokio::test]
async fn a_wrong_token_ends_the_stream_with_3500_and_none_with_3501() {
    let server = Server::start().await;
    for token in ["cst_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "ctk_AAAA", "nonsense"] {
        Events::of(&server, token).await.expect_disconnect(3500).await;
    }
    let address = server.address();
    Events::of(&server, "").await.expect_disconnect(3501).await;
    Events::open(address, "/connection/uni_sse", "").await.expect_disconnect(3501).await;
    Events::open(address, &path(&json!({})), "").await.expect_disconnect(3501).await;
}

#[tokio::test]
async fn a_foreign_origin_is_refused_and_the_own_is_not() {
    let server = Server::with("client.allowed_origins = [\"https://app.example\"]").await;
    let ada = server.api().person("ada").await;
    let path = path(&json!({"token": ada.token}));
    for origin in ["https://evil.example", "null", "https://app.example.evil"] {
        let ask = server.api().get(&path).header("Origin", origin);
        ask.send().await.problem(403);
    }
    for origin in [format!("http://{}", server.address()), "https://app.example".to_owned()] {
        let more = format!("Origin: {origin}\r\n");
        Events::open(server.address(), &path, &more).await.connected().await;
    }
}

#[tokio::test]
async fn a_malformed_connect_command_is_400() {
    let server = Server::start().await;
    for connect in ["", "{", "nonsense", "{\"token\":5}", "[1]", "\"text\"", "{}x", "\u{0}"] {
        let answer = server.api().get(&raw_path(connect)).send().await;
        assert_eq!(answer.status, 400, "{connect:?}: {answer}");
        answer.problem(400);
    }
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_400_like_any_other_mistake() {
    let server = Server::start().await;
    for query in ["cf_connect=%FF", "cf_connect=%7B%7D&cf_connect=%7B%7D"] {
        let path = format!("/connection/uni_sse?{query}");
        let answer = server.api().get(&path).send().await;
        answer.problem(400);
    }
}

#[tokio::test]
async fn logging_out_ends_the_stream_with_3500() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut events = Events::of(&server, &ada.token).await;
    events.connected().await;
    let mut stays = Events::of(&server, &api.login(&ada.username).await).await;
    stays.connected().await;
    api.delete("/v1/sessions/current").token(&ada.token).send().await.expect(204);
    events.expect_disconnect(3500).await;
    let body = json!({"channel": inbox(&ada), "data": {"n": 1}});
    api.server_result("publish", &body).await;
    let event = stays.next().await.expect("another session goes on");
    assert_eq!(event["pub"]["data"], json!({"n": 1}), "{event}");
}

#[tokio::test]
async fn pings_come_and_want_no_answer() {
    let server = Start::default()
        .settings("client.ping_interval = \"1s\"\nclient.pong_timeout = \"500ms\"")
        .run()
        .await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut events = Events::of(&server, &ada.token).await;
    assert_eq!(events.connected().await["ping"], 1);
    for _ in 0..3 {
        let event = within(PATIENCE, "a ping", events.raw()).await;
        assert_eq!(event.as_deref(), Some("data: {}"));
    }
    let body = json!({"channel": inbox(&ada), "data": {"n": 1}});
    api.server_result("publish", &body).await;
    let event = events.next().await.expect("the stream goes on");
    assert_eq!(event["pub"]["data"], json!({"n": 1}), "{event}");
}

#[tokio::test]
async fn a_publication_is_an_event_without_a_wrapper() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let eve = api.person("eve").await;
    let mut events = Events::of(&server, &ada.token).await;
    events.connected().await;
    let data = [
        json!({"type": "mine", "text": "line\nbreak, \r\n\n, \u{2028}, 🦀"}),
        json!("data: {}\n\ndata: x"),
        json!([]),
    ];
    for data in &data {
        // What another user gets is not to be seen here.
        let body = json!({"channel": inbox(&eve), "data": {"for": "eve"}});
        api.server_result("publish", &body).await;
        let body = json!({"channel": inbox(&ada), "data": data, "tags": {"k": "v"}});
        api.server_result("publish", &body).await;
        let event = events.next().await.expect("an event comes");
        assert_eq!(event["channel"], inbox(&ada), "{event}");
        assert_eq!(event["pub"]["data"], *data, "{event}");
        assert_eq!(event["pub"]["tags"]["k"], "v", "{event}");
        assert!(event.get("push").is_none(), "{event}");
    }
}

#[tokio::test]
async fn a_server_that_ends_says_so_with_3001() {
    let mut server = Server::start().await;
    let ada = server.api().person("ada").await;
    let mut events = Events::of(&server, &ada.token).await;
    events.connected().await;
    let (status, ()) = tokio::join!(server.terminate(), events.expect_disconnect(3001));
    assert!(status.success(), "{status}");
}

/// Twenty megabytes in all: more than the kernel keeps for a connection and the server's bound together.
const MESSAGES: usize = 200;
const MESSAGE_BYTES: usize = 100_000;

/// An event stream of `person` with a receive buffer so small that a reader who does not read is soon felt.
async fn narrow(server: &Server, person: &Person) -> Events {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.set_recv_buffer_size(4_096).expect("a receive buffer can be small");
    let path = path(&json!({"token": person.token}));
    let mut events = Events::over(socket, server.address(), &path, "").await;
    events.connected().await;
    events
}

#[tokio::test]
async fn who_stops_reading_is_cut_off_while_a_socket_gets_everything() {
    let server =
        Server::with("client.queue_max_size = 262144\nclient.queue_max_age = \"60s\"").await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut events = narrow(&server, &ada).await;
    let mut reads = server.socket(&ada.token).await;
    let filler = "x".repeat(MESSAGE_BYTES);
    for number in 0..MESSAGES {
        let body = json!({"channel": inbox(&ada), "data": {"n": number, "filler": filler}});
        api.server_result("publish", &body).await;
        let publication = reads.publication(&inbox(&ada)).await;
        assert_eq!(publication["data"]["n"], json!(number), "none is missing");
    }
    let mut got = 0;
    let mut last = Value::Null;
    while let Some(event) = events.next().await {
        if event["pub"].is_object() {
            assert_eq!(event["pub"]["data"]["n"], json!(got), "none is missing before the end");
            got += 1;
        }
        last = event;
    }
    assert!(got < MESSAGES, "who reads nothing is not waited for: {got}");
    let code = &last["disconnect"]["code"];
    assert!(code.is_null() || code == 3008, "the end is told as it is: {code}");
    reads.result("ping", json!({})).await;
}

#[tokio::test]
async fn who_never_reads_again_does_not_keep_its_connection() {
    let server =
        Server::with("client.queue_max_size = 262144\nclient.queue_max_age = \"1s\"").await;
    let api = server.api();
    let ada = api.person("ada").await;
    let events = narrow(&server, &ada).await;
    let filler = "x".repeat(MESSAGE_BYTES);
    for _ in 0..MESSAGES {
        let body = json!({"channel": inbox(&ada), "data": {"filler": filler}});
        api.server_result("publish", &body).await;
    }
    // Nothing is read here, so only the answer to what is written tells that the other side has gone.
    let stream = events.stream.into_inner();
    until(PATIENCE * 3, "the server to give up the connection of who never reads", || {
        let written = stream.try_write(b" ");
        let gone = written.is_err_and(|error| error.kind() != ErrorKind::WouldBlock);
        async move { gone.then_some(()) }
    })
    .await;
}
