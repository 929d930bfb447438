//! Echoes every message through the very codec and loop that serve clients, for
//! the Autobahn test suite: `cargo run --release --example autobahn_echo -- PORT`
//! listens on 127.0.0.1 and takes any path and messages of up to 16 MiB.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use carillon::domain::channel::ChannelName;
use carillon::domain::publication::{Passage, StreamPosition};
use carillon::hub::codec::{Agreement, Data, OpCode, encode_frame};
use carillon::hub::{Conversation, Hub, HubOptions, Link, Message, Owner, Transport, Wire};
use carillon::ports::StoreError;
use carillon::ports::broker::{Broker, HistoryPage, HistoryQuery, Outgoing, Retention};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tungstenite::handshake::derive_accept_key;

/// The largest message, and what may wait for a peer: several of them.
const MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// Says back whatever it hears.
struct Echo {
    link: Link,
    heard: bool,
}

impl Conversation for Echo {
    fn hear(&mut self, message: Message<'_>) {
        self.heard = true;
        self.link.send(match message {
            Message::Text(text) => encode_frame(OpCode::Data(Data::Text), text.as_bytes()),
            Message::Binary(bytes) => encode_frame(OpCode::Data(Data::Binary), bytes),
        });
    }

    fn is_busy(&self) -> bool {
        self.heard
    }

    async fn act(&mut self) {
        // Nothing more is read before the echo is out, so a peer paces itself.
        self.link.drained().await;
        self.heard = false;
    }
}

/// A hub needs a broker; an echo has no channels.
struct NoBroker;

#[async_trait]
impl Broker for NoBroker {
    async fn publish(&self, _: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError> {
        Ok(Vec::new())
    }

    async fn announce(&self, _: &Passage) -> Result<(), StoreError> {
        Ok(())
    }

    async fn subscribe(&self, _: &ChannelName) -> Result<(), StoreError> {
        Ok(())
    }

    async fn unsubscribe(&self, _: &ChannelName) -> Result<(), StoreError> {
        Ok(())
    }

    async fn clear(&self, _: &ChannelName, _: Retention) -> Result<(), StoreError> {
        Ok(())
    }

    async fn history(
        &self,
        _: &ChannelName,
        _: Retention,
        _: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        Err(StoreError::Unavailable { store: "realtime", cause: "an echo keeps nothing".into() })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: autobahn_echo PORT")?.parse()?;
    let options = HubOptions {
        shards: 2,
        shard_queue_max: 1_024,
        flush_yield_writes: 256,
        queue_max_bytes: 8 * MESSAGE_MAX,
        queue_max_age: Duration::from_secs(30),
        ping_interval: Duration::from_secs(3_600),
        pong_timeout: Duration::from_secs(3_600),
        stale_close_delay: Duration::from_secs(3_600),
        message_size_limit: MESSAGE_MAX,
        read_buffer_bytes: 64 * 1024,
        compression_level: 1,
        compression_min_size: 0,
        recovery_buffer_max_publications: 1,
    };
    let hub =
        Arc::new(Hub::start(&options, Arc::new(NoBroker), tokio::runtime::Handle::current())?);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    loop {
        let (socket, _) = listener.accept().await?;
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            if let Some(Shaken { socket, head, compression }) = shake_hands(socket).await {
                let converse = move |link: Link| {
                    if let Some(agreement) = compression {
                        link.compress(agreement);
                    }
                    link.identified(Owner::default(), None);
                    Echo { link, heard: false }
                };
                hub.adopt(Transport::Tcp(socket), Wire::WebSocket, head, converse).await;
            }
        });
    }
}

/// A connection after its opening handshake.
struct Shaken {
    socket: std::net::TcpStream,
    /// What came after the handshake.
    head: Bytes,
    compression: Option<Agreement>,
}

/// Reads the opening handshake and answers it.
async fn shake_hands(mut socket: TcpStream) -> Option<Shaken> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    };
    let text = std::str::from_utf8(&request[..end]).ok()?;
    let headers: Vec<_> = text.lines().filter_map(|line| line.split_once(':')).collect();
    let values = |name: &'static str| {
        let named = headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim())
    };
    let accept = derive_accept_key(values("sec-websocket-key").next()?.as_bytes());
    let compression = Agreement::with(values("sec-websocket-extensions"));
    let extensions = compression.map_or(String::new(), |agreement| {
        format!("Sec-WebSocket-Extensions: {}\r\n", agreement.answer())
    });
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         {extensions}Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).await.ok()?;
    socket.set_nodelay(true).ok()?;
    let head = Bytes::copy_from_slice(&request[end..]);
    Some(Shaken { socket: socket.into_std().ok()?, head, compression })
}
