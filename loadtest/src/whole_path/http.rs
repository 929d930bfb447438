//! As much of HTTP/1.1 as it takes to ask a node for something: requests with a length, answers with a length.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a node may take to answer during setup.
const SETUP_TIMEOUT: Duration = Duration::from_secs(60);

/// A node by its `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it listens.
    pub address: SocketAddr,
    /// As it was given, for the Host header.
    pub host: String,
}

impl Node {
    /// Understands `http://host:port`.
    ///
    /// # Errors
    /// When it is no such thing or the host is unknown.
    pub fn parse(url: &str) -> Result<Self> {
        let form = format!("{url} is not http://host:port");
        let host = url.strip_prefix("http://").context(form.clone())?.trim_end_matches('/');
        let address = host.to_socket_addrs().context(form.clone())?.next().context(form)?;
        Ok(Self { address, host: host.to_owned() })
    }

    /// The address of its WebSockets.
    pub fn websocket(&self) -> String {
        format!("ws://{}/connection/websocket", self.host)
    }

    /// A connection to it.
    ///
    /// # Errors
    /// When it refuses.
    pub fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address)
            .with_context(|| format!("cannot connect to {}", self.host))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// Nobody yet.
    None,
    /// A user, by session token.
    Bearer(&'a str),
    /// A back end, by the key of the server API.
    ApiKey(&'a str),
}

/// The bytes of a request.
pub fn request(
    node: &Node,
    method: &str,
    path: &str,
    who: Credential<'_>,
    body: Option<&Value>,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", node.host);
    match who {
        Credential::None => {}
        Credential::Bearer(token) => text += &format!("Authorization: Bearer {token}\r\n"),
        Credential::ApiKey(key) => text += &format!("X-API-Key: {key}\r\n"),
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        text += "Content-Type: application/json\r\n";
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// How many bytes it took.
    pub length: usize,
}

/// Reads one answer at the start of `bytes`; `None` while it is incomplete.
///
/// # Errors
/// When it is no answer of a known length.
pub fn scan(bytes: &[u8]) -> Result<Option<Answer>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).context("the head of an answer is no text")?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status: u16 = status.with_context(|| format!("no status in {first:?}"))?;
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>().context("a length that is no number")?);
        }
        ensure!(!name.eq_ignore_ascii_case("transfer-encoding"), "an answer without a length");
    }
    let start = end + 4;
    let length = match (length, status) {
        (Some(length), _) => start + length,
        (None, 204) => start,
        (None, _) => bail!("an answer without a length: {first}"),
    };
    let whole = bytes.get(start..length);
    Ok(whole.map(|body| Answer { status, body: body.to_vec(), length }))
}

/// Asks and waits, during setup.
///
/// # Errors
/// When the answer is anything but success, with what it says.
pub fn ask(
    stream: &mut TcpStream,
    node: &Node,
    path: &str,
    who: Credential<'_>,
    body: &Value,
) -> Result<Value> {
    stream.set_read_timeout(Some(SETUP_TIMEOUT))?;
    stream.write_all(&request(node, "POST", path, who, Some(body)))?;
    let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
    let answer = loop {
        if let Some(answer) = scan(&received)? {
            break answer;
        }
        let count = stream.read(&mut chunk).with_context(|| format!("no answer to {path}"))?;
        ensure!(count > 0, "the node hung up instead of answering {path}");
        received.extend_from_slice(&chunk[..count]);
    };
    let text = String::from_utf8_lossy(&answer.body);
    ensure!((200..300).contains(&answer.status), "POST {path} got {}: {text}", answer.status);
    serde_json::from_str(&text).with_context(|| format!("POST {path} got no JSON: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_answers_and_every_prefix_is_incomplete() {
        let text =
            b"HTTP/1.1 201 Created\r\ncontent-type: x\r\nContent-Length: 4\r\n\r\n{{}}HTTP/1.1 2";
        let whole = scan(text).unwrap().unwrap();
        assert_eq!(
            (whole.status, &*whole.body, whole.length),
            (201, &b"{{}}"[..], text.len() - 10)
        );
        for end in 0..whole.length {
            assert_eq!(scan(&text[..end]).unwrap(), None);
        }
        let empty = scan(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!((empty.status, empty.body.len()), (204, 0));
        assert!(scan(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(scan(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[test]
    fn writes_requests() {
        let node = Node::parse("http://127.0.0.1:8000/").unwrap();
        assert_eq!(node.websocket(), "ws://127.0.0.1:8000/connection/websocket");
        let bytes = request(&node, "PUT", "/v1/x", Credential::Bearer("t"), None);
        let wanted = "PUT /v1/x HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAuthorization: Bearer t\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
        assert!(Node::parse("ws://127.0.0.1:1").is_err());
    }
}
