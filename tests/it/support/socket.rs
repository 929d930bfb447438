//! A client of the client protocol, written from its public definition and nothing else.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::wait::{PATIENCE, within};

/// Where a subscriber is in its channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) offset: u64,
}

/// What a subscription with recovery brought.
pub(crate) struct Recovered {
    pub(crate) position: Position,
    pub(crate) recovered: bool,
    pub(crate) publications: Vec<Value>,
}

/// How a connection ended: its close code, where the server sent one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Closed(pub(crate) Option<u16>);

/// One connection.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    last_id: u64,
    replies: VecDeque<Value>,
    pushes: VecDeque<Value>,
    pings: usize,
    pongs: bool,
    /// The reply to connect.
    pub(crate) hello: Value,
}

impl Socket {
    /// Opens the WebSocket and says nothing yet.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let attempt = Self::attempt(address, &[]);
        within(PATIENCE, "the upgrade", attempt)
            .await
            .unwrap_or_else(|status| panic!("the upgrade was refused with {status}"))
    }

    /// Opens it with more headers; a refusal is the answer's HTTP status.
    pub(crate) async fn attempt(
        address: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        Self::over(socket, address, headers).await
    }

    /// Opens it with a receive buffer so small that a reader who does not read is soon felt.
    pub(crate) async fn narrow(address: SocketAddr, token: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.set_recv_buffer_size(4_096).expect("a receive buffer can be small");
        let mut socket = Self::over(socket, address, &[])
            .await
            .unwrap_or_else(|status| panic!("the upgrade was refused with {status}"));
        socket.connect(token).await;
        socket
    }

    async fn over(
        socket: TcpSocket,
        address: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{address}/connection/websocket")
            .into_client_request()
            .expect("the address makes a request");
        for (name, value) in headers {
            let value = value.parse().expect("the value makes a header");
            request.headers_mut().insert(*name, value);
        }
        let stream = socket
            .connect(address)
            .await
            .unwrap_or_else(|e| panic!("no connection to {address}: {e}"));
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((stream, _)) => Ok(Self {
                stream,
                last_id: 0,
                replies: VecDeque::new(),
                pushes: VecDeque::new(),
                pings: 0,
                pongs: true,
                hello: Value::Null,
            }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(e) => panic!("the upgrade failed: {e}"),
        }
    }

    /// Opens it and connects with `token`.
    pub(crate) async fn connected(address: SocketAddr, token: &str) -> Self {
        let mut socket = Self::open(address).await;
        socket.connect(token).await;
        socket
    }

    /// Opens it and connects without a token.
    pub(crate) async fn anonymous(address: SocketAddr) -> Self {
        let mut socket = Self::open(address).await;
        socket.hello = socket.result("connect", json!({})).await;
        socket
    }

    /// Sends connect and expects its reply.
    pub(crate) async fn connect(&mut self, token: &str) {
        self.hello = self.result("connect", json!({"token": token})).await;
        assert!(
            self.hello["client"].as_str().is_some_and(|id| !id.is_empty()),
            "connect answers the client's id: {}",
            self.hello
        );
    }

    /// From now on leaves the server's pings without an answer.
    pub(crate) fn never_pong(&mut self) {
        self.pongs = false;
    }

    /// How many pings the server has sent so far.
    pub(crate) fn pings(&self) -> usize {
        self.pings
    }

    /// Sends `text` as one text frame.
    pub(crate) async fn send(&mut self, text: &str) {
        within(PATIENCE, "the socket to take a frame", async {
            self.stream.send(Message::text(text)).await
        })
        .await
        .unwrap_or_else(|e| panic!("cannot send {text:.200}: {e}"));
    }

    /// A command of the next id, ready to be sent.
    pub(crate) fn command(&mut self, method: &str, params: Value) -> (u64, String) {
        self.last_id += 1;
        let mut command = Map::new();
        command.insert("id".to_owned(), json!(self.last_id));
        command.insert(method.to_owned(), params);
        (self.last_id, Value::Object(command).to_string())
    }

    /// Sends a command and answers its whole reply.
    pub(crate) async fn reply(&mut self, method: &str, params: Value) -> Value {
        let (id, command) = self.command(method, params);
        self.send(&command).await;
        self.reply_to(id, &command).await
    }

    /// Waits for the reply to a command that was sent before.
    pub(crate) async fn reply_to(&mut self, id: u64, command: &str) -> Value {
        let what = format!("the reply to {command:.300}");
        let wait = async {
            loop {
                if let Some(at) = self.replies.iter().position(|r| r["id"] == json!(id)) {
                    return self.replies.remove(at).expect("it was just found");
                }
                if let Err(closed) = self.read().await {
                    panic!("{closed:?} instead of {what}");
                }
            }
        };
        within(PATIENCE * 2, &what, wait).await
    }

    /// Waits for the next reply, to whatever command.
    pub(crate) async fn next_reply(&mut self) -> Value {
        let wait = async {
            loop {
                if let Some(reply) = self.replies.pop_front() {
                    return reply;
                }
                if let Err(closed) = self.read().await {
                    panic!("{closed:?} instead of a reply");
                }
            }
        };
        within(PATIENCE * 2, "the next reply", wait).await
    }

    /// Sends a command that must succeed and answers its result.
    pub(crate) async fn result(&mut self, method: &str, params: Value) -> Value {
        let reply = self.reply(method, params.clone()).await;
        assert!(
            reply.get("error").is_none() && reply[method].is_object(),
            "{method} {params} succeeds: {reply}"
        );
        reply[method].clone()
    }

    /// Sends a command that must fail and answers the error's code.
    pub(crate) async fn error(&mut self, method: &str, params: Value) -> u64 {
        let reply = self.reply(method, params.clone()).await;
        assert!(
            reply["error"]["message"].as_str().is_some_and(|m| !m.is_empty()),
            "{method} {params} fails with a message: {reply}"
        );
        let code = reply["error"]["code"].as_u64();
        code.unwrap_or_else(|| panic!("an error has a code: {reply}"))
    }

    /// Subscribes to a channel and answers the position, where the channel has one.
    pub(crate) async fn subscribe(&mut self, channel: &str) -> Position {
        let result = self.result("subscribe", json!({"channel": channel})).await;
        position(&result)
    }

    /// Subscribes from `since` on.
    pub(crate) async fn recover(&mut self, channel: &str, since: &Position) -> Recovered {
        let params = json!({"channel": channel, "recover": true, "epoch": since.epoch, "offset": since.offset});
        let result = self.result("subscribe", params).await;
        let publications = result["publications"].as_array();
        Recovered {
            position: position(&result),
            recovered: result["recovered"] == json!(true),
            publications: publications.cloned().unwrap_or_default(),
        }
    }

    /// The next publication of a channel; what comes on other channels meanwhile is kept.
    pub(crate) async fn publication(&mut self, channel: &str) -> Value {
        self.push(channel, "pub").await
    }

    /// The next push of this kind in a channel, such as `pub` or `join`.
    pub(crate) async fn push(&mut self, channel: &str, kind: &str) -> Value {
        let wanted = |push: &Value| push["channel"] == json!(channel) && push[kind].is_object();
        let what = format!("a {kind} in {channel}");
        let wait = async {
            loop {
                if let Some(at) = self.pushes.iter().position(wanted) {
                    let push = self.pushes.remove(at).expect("it was just found");
                    return push[kind].clone();
                }
                if let Err(closed) = self.read().await {
                    panic!("{closed:?} instead of {what}");
                }
            }
        };
        within(PATIENCE, &what, wait).await
    }

    /// The next push in a channel, of whatever kind.
    pub(crate) async fn any_push(&mut self, channel: &str) -> Value {
        let wait = async {
            loop {
                if let Some(at) = self.pushes.iter().position(|p| p["channel"] == json!(channel)) {
                    return self.pushes.remove(at).expect("it was just found");
                }
                if let Err(closed) = self.read().await {
                    panic!("{closed:?} instead of a push in {channel}");
                }
            }
        };
        within(PATIENCE, &format!("a push in {channel}"), wait).await
    }

    /// The next push that is about no channel.
    pub(crate) async fn bare_push(&mut self) -> Value {
        loop {
            if let Some(at) = self.pushes.iter().position(|push| push.get("channel").is_none()) {
                return self.pushes.remove(at).expect("it was just found");
            }
            if let Err(closed) = self.read().await {
                panic!("{closed:?} instead of a push about the connection");
            }
        }
    }

    /// How many replies and pushes have come that nobody asked for.
    pub(crate) fn unasked(&self) -> usize {
        self.replies.len() + self.pushes.len()
    }

    /// The next publication of a channel, which must be of this type.
    pub(crate) async fn told(&mut self, channel: &str, kind: &str) -> Value {
        let publication = self.publication(channel).await;
        assert_eq!(publication["data"]["type"], kind, "in {channel}: {publication}");
        assert_eq!(publication["tags"]["type"], kind, "tags repeat the type: {publication}");
        publication
    }

    /// Calls a method by `rpc`, which must succeed: the data of the reply.
    pub(crate) async fn call(&mut self, method: &str, data: Value) -> Value {
        let params = json!({"method": method, "data": data});
        let result = self.result("rpc", params.clone()).await;
        assert!(result["data"].is_object(), "rpc {params} answers data: {result}");
        result["data"].clone()
    }

    /// Calls a method by `rpc`, which must fail: the error's code and message.
    pub(crate) async fn refusal(&mut self, method: &str, data: Value) -> (u64, String) {
        let params = json!({"method": method, "data": data});
        let reply = self.reply("rpc", params.clone()).await;
        let error = &reply["error"];
        match (error["code"].as_u64(), error["message"].as_str()) {
            (Some(code), Some(message)) => (code, message.to_owned()),
            _ => panic!("rpc {params} fails with code and message: {reply}"),
        }
    }

    /// What has come in a channel and was not asked for, up to the answer of a command sent now.
    pub(crate) async fn left(&mut self, channel: &str) -> Vec<Value> {
        self.result("ping", json!({})).await;
        let pushes = self.pushes.iter();
        let here = pushes.filter(|push| push["channel"] == json!(channel));
        here.map(|push| push["pub"].clone()).collect()
    }

    /// How many pushes of a channel have come and were not asked for, without asking the server anything.
    pub(crate) fn kept(&self, channel: &str) -> usize {
        let pushes = self.pushes.iter();
        pushes.filter(|push| push["channel"] == json!(channel)).count()
    }

    /// Waits until the server has closed the connection, for at most `patience`.
    pub(crate) async fn closed_within(&mut self, patience: Duration) -> Closed {
        let wait = async {
            loop {
                if let Err(closed) = self.read().await {
                    return closed;
                }
            }
        };
        within(patience, "the server to close the connection", wait).await
    }

    /// Expects the server to close the connection with this code.
    pub(crate) async fn expect_closed(&mut self, code: u16) {
        let closed = self.closed_within(PATIENCE).await;
        assert_eq!(closed, Closed(Some(code)));
    }

    /// Waits for one more thing from the server: a frame's replies, pushes and pings are sorted in.
    pub(crate) async fn read(&mut self) -> Result<(), Closed> {
        match self.stream.next().await {
            None | Some(Err(_)) => Err(Closed(None)),
            Some(Ok(Message::Close(frame))) => {
                Err(Closed(frame.map(|frame| u16::from(frame.code))))
            }
            Some(Ok(Message::Text(text))) => {
                for line in text.lines().filter(|line| !line.is_empty()) {
                    self.sort(line).await;
                }
                Ok(())
            }
            Some(Ok(Message::Binary(_))) => panic!("the JSON protocol has no binary frames"),
            Some(Ok(_)) => Ok(()),
        }
    }

    async fn sort(&mut self, line: &str) {
        let mut value: Value = serde_json::from_str(line)
            .unwrap_or_else(|e| panic!("the server sent no JSON: {e} in {line:.300}"));
        if value == json!({}) {
            self.pings += 1;
            if self.pongs {
                // Whether the connection still stands is for the next read to say.
                let _ = self.stream.send(Message::text("{}")).await;
            }
        } else if value.get("push").is_some() {
            self.pushes.push_back(value["push"].take());
        } else {
            assert!(value["id"].is_u64(), "neither reply nor push: {line:.300}");
            self.replies.push_back(value);
        }
    }

    /// Cuts the connection without a word.
    pub(crate) fn cut(self) {
        drop(self);
    }
}

fn position(result: &Value) -> Position {
    Position {
        epoch: result["epoch"].as_str().unwrap_or_default().to_owned(),
        // A zero is left out of the JSON.
        offset: result["offset"].as_u64().unwrap_or(0),
    }
}
