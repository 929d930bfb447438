//! Compressed messages (RFC 7692): what is agreed on, who gets what compressed, and what is refused.

use std::net::SocketAddr;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Script, Server, installed, skipped, upgrade_request, within};

pub(super) const COMPRESSED: &str = "client.insecure = true\n[websocket]\ncompression = true\n\
    [[channel.namespaces]]\nname = \"chat\"\nhistory_size = 10\nhistory_ttl = \"60s\"\nforce_recovery = true\n";

/// What a server answers to an offer that bounds nothing.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// A WebSocket of bare frames, so that it shows what is compressed.
pub(super) struct Frames<S = TcpStream> {
    stream: S,
    /// What was agreed on, in the server's words.
    agreed: Option<String>,
}

/// A frame of the server, its message decompressed.
#[derive(Debug)]
pub(super) struct Frame {
    first: u8,
    /// Bytes of the payload as it came.
    pub(super) bytes: usize,
    pub(super) message: Vec<u8>,
}

impl Frame {
    pub(super) fn is_compressed(&self) -> bool {
        self.first & 0x40 != 0
    }

    pub(super) fn lines(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.message).expect("a text is UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

impl Frames {
    async fn open(address: SocketAddr, offer: Option<&str>) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        let offer =
            offer.map_or(String::new(), |offer| format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        Self::over(stream, &upgrade_request(address, &offer)).await
    }

    /// One that has connected and subscribed.
    async fn subscribed(address: SocketAddr, offer: Option<&str>, channel: &str) -> Self {
        let mut frames = Self::open(address, offer).await;
        frames.subscribe(channel).await;
        frames
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// The same over a stream on which a handshake is said.
    pub(super) async fn over(mut stream: S, request: &[u8]) -> Self {
        stream.write_all(request).await.expect("it reads");
        stream.flush().await.expect("it reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = within(PATIENCE, "the answer to the handshake", stream.read_u8()).await;
            head.push(byte.expect("it answers"));
        }
        let head = String::from_utf8(head).expect("the head of an answer is ASCII");
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let named = head.lines().filter_map(|line| line.split_once(": "));
        let mut extensions =
            named.filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
        let agreed = extensions.next().map(|(_, value)| value.to_owned());
        Self { stream, agreed }
    }

    /// Connects and subscribes.
    pub(super) async fn subscribe(&mut self, channel: &str) {
        let commands = [
            json!({"id": 1, "connect": {}}),
            json!({"id": 2, "subscribe": {"channel": channel, "recover": false}}),
        ];
        self.say(&commands.map(|command| command.to_string()).join("\n")).await;
        let mut replies = Vec::new();
        while replies.len() < 2 {
            replies.extend(self.next().await.lines());
        }
        assert!(replies[1]["subscribe"].is_object(), "{replies:?}");
    }

    /// Says something, compressed if that was agreed.
    async fn say(&mut self, message: &str) {
        match self.agreed {
            Some(_) => self.send(0xc1, &deflated(message.as_bytes())).await,
            None => self.send(0x81, message.as_bytes()).await,
        }
    }

    /// Sends a frame with the mask 0, which leaves its bytes as they are.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(0x80 | short as u8),
            long => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(long).expect("a payload of this test").to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend_from_slice(payload);
        self.stream.write_all(&bytes).await.expect("the server reads");
        self.stream.flush().await.expect("the server reads");
    }

    pub(super) async fn next(&mut self) -> Frame {
        within(PATIENCE, "a frame", self.read()).await.expect("the server sends whole frames")
    }

    async fn read(&mut self) -> std::io::Result<Frame> {
        let first = self.stream.read_u8().await?;
        let length = match self.stream.read_u8().await? {
            126 => usize::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await? as usize,
            short => usize::from(short),
        };
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message).await?;
        let compressed = first & 0x40 != 0;
        if compressed {
            assert!(self.agreed.is_some(), "nothing was agreed about compression");
            message = inflated(message);
        }
        Ok(Frame { first, bytes: length, message })
    }

    async fn expect_closed(&mut self, code: u16) {
        loop {
            let frame = self.next().await;
            if frame.first == 0x88 {
                let got = u16::from_be_bytes([frame.message[0], frame.message[1]]);
                return assert_eq!(got, code, "{frame:?}");
            }
        }
    }
}

fn deflated(message: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(message.len() + 64);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress_vec(message, &mut output, FlushCompress::Sync).expect("there is room");
    output.truncate(output.len() - 4);
    output
}

fn inflated(mut payload: Vec<u8>) -> Vec<u8> {
    payload.extend([0, 0, 0xff, 0xff]);
    let mut output = Vec::with_capacity(1 << 20);
    let mut decompress = Decompress::new(false);
    let outcome = decompress.decompress_vec(&payload, &mut output, FlushDecompress::Sync);
    outcome.expect("what the server compresses can be decompressed by itself");
    assert_eq!(decompress.total_in() as usize, payload.len());
    output
}

#[tokio::test]
async fn an_offer_is_accepted_where_compression_is_on_and_the_offer_makes_sense() {
    let (on, off) = (Server::with(COMPRESSED).await, Server::start().await);
    let bounded = format!("{AGREED}; server_max_window_bits=10");
    for (offer, agreed) in [
        (None, None),
        (Some("permessage-deflate"), Some(AGREED)),
        (Some("permessage-deflate; client_max_window_bits"), Some(AGREED)),
        (Some("permessage-deflate; server_max_window_bits=10"), Some(bounded.as_str())),
        (Some("permessage-deflate; server_max_window_bits=7"), None),
        (Some("permessage-deflate; unheard_of, permessage-deflate"), Some(AGREED)),
        (Some("permessage-bzip2"), None),
    ] {
        let frames = Frames::open(on.address(), offer).await;
        assert_eq!(frames.agreed.as_deref(), agreed, "{offer:?}");
        let frames = Frames::open(off.address(), offer).await;
        assert_eq!(frames.agreed, None, "{offer:?}");
    }
}

#[tokio::test]
async fn a_publication_comes_compressed_to_those_who_agreed_and_plain_to_all_others() {
    let server = Server::with(COMPRESSED).await;
    let offers = [
        None,
        Some("permessage-deflate; client_max_window_bits"),
        Some("permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"),
        Some("permessage-deflate; server_max_window_bits=9"),
    ];
    let mut subscribers = Vec::new();
    for offer in offers {
        subscribers.push(Frames::subscribed(server.address(), offer, "chat:all").await);
    }
    // Too short; longer; longer than the smallest of the windows; longer than any.
    for (length, compressed) in [
        (10, [false, false, false, false]),
        (300, [false, true, true, true]),
        (2_000, [false, true, true, false]),
        (40_000, [false, true, true, false]),
    ] {
        let data = json!({"text": "to and fro ".repeat(length / 11)});
        let published = json!({"channel": "chat:all", "data": data});
        server.api().server_result("publish", &published).await;
        for (subscriber, compressed) in subscribers.iter_mut().zip(compressed) {
            let frame = subscriber.next().await;
            assert_eq!(frame.is_compressed(), compressed, "{length} bytes");
            assert!(!compressed || frame.bytes < frame.message.len() / 2, "{frame:?}");
            assert_eq!(frame.lines()[0]["push"]["pub"]["data"], data);
        }
    }
    // What is told of the past is a reply, which is compressed as well.
    let mut late = Frames::open(server.address(), Some("permessage-deflate")).await;
    late.say(r#"{"id":1,"connect":{}}"#).await;
    assert!(!late.next().await.is_compressed(), "the reply to connect is short");
    let since =
        r#"{"id":2,"subscribe":{"channel":"chat:all","recover":true,"offset":0,"epoch":""}}"#;
    late.say(since).await;
    let reply = late.next().await;
    assert!(reply.is_compressed(), "{reply:?}");
}

#[tokio::test]
async fn a_unidirectional_socket_hears_compressed_what_was_agreed_to_be() {
    let server = Server::with(COMPRESSED).await;
    let address = server.address();
    let ada = server.api().person("ada").await;
    for offer in [None, Some("permessage-deflate")] {
        let extensions = offer.map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        let request = upgrade_request(address, &extensions.unwrap_or_default());
        let request = String::from_utf8(request).expect("a request is text");
        let request = request.replacen("/connection/websocket", "/connection/uni_websocket", 1);
        let stream = TcpStream::connect(address).await.expect("the server listens");
        let mut frames = Frames::over(stream, request.as_bytes()).await;
        assert_eq!(frames.agreed.as_deref(), offer.map(|_| AGREED));
        frames.say(&json!({"token": ada.token}).to_string()).await;
        assert!(frames.next().await.lines()[0]["connect"].is_object());
        let data = json!({"text": "to and fro ".repeat(100)});
        let message = json!({"user": ada.id.to_string(), "data": data});
        server.api().server_result("send", &message).await;
        let frame = frames.next().await;
        assert_eq!(frame.is_compressed(), offer.is_some(), "{frame:?}");
        assert_eq!(frame.lines()[0]["message"]["data"], data);
    }
}

#[tokio::test]
async fn what_compression_does_not_make_closes_with_the_codes_of_the_standard() {
    let server = Server::with(COMPRESSED).await;
    let bomb = deflated(&vec![b'a'; 16 << 20]);
    assert!(bomb.len() < 20_000);
    for (name, first, payload, code) in [
        ("a bomb", 0xc1, bomb.as_slice(), 1009),
        ("bytes of no deflater", 0xc1, b"\x07", 1007),
        ("text that is not UTF-8", 0xc1, &deflated(b"\xff\xfe"), 1007),
        ("a compressed ping", 0xc9, b"", 1002),
        ("a compressed continuation", 0xc0, b"", 1002),
    ] {
        let mut frames = Frames::open(server.address(), Some("permessage-deflate")).await;
        frames.send(first, payload).await;
        eprintln!("{name}");
        frames.expect_closed(code).await;
    }
    let mut frames = Frames::open(server.address(), None).await;
    frames.send(0xc1, &deflated(b"{}")).await;
    frames.expect_closed(1002).await;
    server.api().get("/health/live").send().await.expect(200);
}

#[tokio::test]
async fn the_sdk_in_node_speaks_and_hears_compressed() {
    let modules = match installed("sdk").await {
        Ok(modules) => modules,
        Err(reason) => return skipped("the_sdk_in_node_speaks_and_hears_compressed", &reason),
    };
    let server = Server::with(COMPRESSED).await;
    let address = server.address().to_string();
    let mut script = Script::start("sdk", "compressed.mjs", &modules, &[&address]);
    for _ in 0..2 {
        let told = within(PATIENCE, "the script to subscribe", script.next()).await;
        assert_eq!(told["extensions"], "permessage-deflate", "{told}");
        for length in [10, 1_000, 50_000] {
            let data = json!({"text": "again ".repeat(length / 6)});
            let published = json!({"channel": "chat:all", "data": data});
            server.api().server_result("publish", &published).await;
            let told = within(PATIENCE, "the script to hear", script.next()).await;
            assert_eq!(told["data"], data);
        }
        // What it says is longer than what may come compressed must be, and comes back to itself.
        let told = within(PATIENCE, "the script to hear itself", script.next()).await;
        assert_eq!(told["data"]["said"].as_str().map(str::len), Some(30_000), "{told}");
    }
}
