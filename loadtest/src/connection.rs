//! A client connection while it is set up: blocking socket, handshake, connect and subscribe commands.

use crate::frame;
use anyhow::{Context, Result, bail, ensure};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The sample key of RFC 6455, section 1.3. Always the same one, so that the answer needs no computing on either side.
pub const HANDSHAKE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server must answer to [`HANDSHAKE_KEY`].
pub const HANDSHAKE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What the client protocol pings with, and what answers it.
pub const PING: &[u8] = b"{}";

/// How long a server may take to answer a command during setup.
const SETUP_TIMEOUT: Duration = Duration::from_secs(20);

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    address: SocketAddr,
    host: String,
    path: String,
    token: Option<String>,
    receive_buffer: Option<usize>,
}

impl Target {
    /// Understands `ws://host:port/path`; `token` goes into the connect command.
    ///
    /// # Errors
    /// When the address is no such thing or its host is unknown.
    pub fn parse(url: &str, token: Option<String>) -> Result<Self> {
        let rest = url
            .strip_prefix("ws://")
            .with_context(|| format!("{url} does not begin with ws://"))?;
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let address = host
            .to_socket_addrs()
            .with_context(|| format!("{host} is not host:port"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        Ok(Self {
            address,
            host: host.to_owned(),
            path: path.to_owned(),
            token,
            receive_buffer: None,
        })
    }

    /// The same server, for sockets that ask the kernel to keep no more than about so many received bytes.
    pub fn with_receive_buffer(self, bytes: usize) -> Self {
        Self { receive_buffer: Some(bytes), ..self }
    }

    /// Opens a TCP connection. Connections to loopback leave from 127.0.0.1, .2, … in turn, `sources` of them, since
    /// one address has only some 28,000 ports to give.
    fn open(&self, index: usize, sources: u8) -> Result<TcpStream> {
        let stream = match self.address {
            SocketAddr::V4(address) if address.ip().is_loopback() => {
                let socket = socket_with(
                    AddressFamily::INET,
                    SocketType::STREAM,
                    SocketFlags::CLOEXEC,
                    Some(ipproto::TCP),
                )?;
                let host = 1 + (index % usize::from(sources.max(1))) as u8;
                bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0))?;
                if let Some(bytes) = self.receive_buffer {
                    // Before connecting, since the window is scaled by it.
                    set_socket_recv_buffer_size(&socket, bytes)?;
                }
                connect(&socket, &address)?;
                TcpStream::from(socket)
            }
            address => {
                let stream = TcpStream::connect(address)?;
                if let Some(bytes) = self.receive_buffer {
                    set_socket_recv_buffer_size(&stream, bytes)?;
                }
                stream
            }
        };
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SETUP_TIMEOUT))?;
        Ok(stream)
    }
}

/// A connection that has been upgraded; blocking.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    next_id: u32,
}

impl Connection {
    /// Connects, upgrades and sends the connect command.
    ///
    /// # Errors
    /// When the server refuses any of it, or does not answer in time.
    pub fn establish(target: &Target, index: usize, sources: u8) -> Result<Self> {
        let mut connection = Self {
            stream: target
                .open(index, sources)
                .with_context(|| format!("cannot connect to {}", target.address))?,
            received: Vec::new(),
            next_id: 1,
        };
        connection.upgrade(target)?;
        let body = match &target.token {
            Some(token) => serde_json::json!({ "token": token }),
            None => serde_json::json!({}),
        };
        connection.command("connect", &body)?;
        Ok(connection)
    }

    /// Subscribes to a channel and waits for the reply.
    ///
    /// # Errors
    /// When the server refuses or does not answer in time.
    pub fn subscribe(&mut self, channel: &str) -> Result<()> {
        self.command("subscribe", &serde_json::json!({ "channel": channel })).map(drop)
    }

    /// The socket, and bytes already received that belong to the frames after the last reply.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.received)
    }

    fn upgrade(&mut self, target: &Target) -> Result<()> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {HANDSHAKE_KEY}\r\n\r\n",
            target.path, target.host
        );
        self.stream.write_all(request.as_bytes())?;
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.receive("an answer to the handshake")?;
        };
        let answer = String::from_utf8_lossy(&self.received[..end]).into_owned();
        ensure!(answer.starts_with("HTTP/1.1 101"), "the server did not upgrade: {answer}");
        ensure!(answer.contains(HANDSHAKE_ACCEPT), "the server's handshake is wrong: {answer}");
        self.received.drain(..end);
        Ok(())
    }

    /// Sends a command and waits for its result.
    ///
    /// # Errors
    /// When the server refuses or does not answer in time.
    pub fn command(&mut self, method: &str, body: &Value) -> Result<Value> {
        let id = self.next_id;
        self.next_id += 1;
        let command = serde_json::json!({ "id": id, method: body }).to_string();
        let mut out = Vec::new();
        frame::encode_from_client(&mut out, frame::TEXT, command.as_bytes());
        self.stream.write_all(&out)?;
        let mut reply = self.wait_for_reply(id).with_context(|| format!("{method} failed"))?;
        Ok(reply[method].take())
    }

    /// Reads until the reply to `id` is there. Pings before it are answered; pushes have nobody who waits for them yet.
    fn wait_for_reply(&mut self, id: u32) -> Result<Value> {
        loop {
            while let Some(header) = frame::scan(&self.received)? {
                let payload: Vec<u8> = self.received[header.start..header.end].to_vec();
                self.received.drain(..header.end);
                if header.opcode == frame::CLOSE {
                    bail!(
                        "the server closed: {}",
                        String::from_utf8_lossy(payload.get(2..).unwrap_or_default())
                    );
                }
                self.answer_pings(header.opcode, &payload)?;
                if header.opcode == frame::TEXT
                    && let Some(reply) = find_reply(&payload, id)?
                {
                    return Ok(reply);
                }
            }
            self.receive("a reply")?;
        }
    }

    /// Of WebSocket and of the client protocol, which is an empty object.
    fn answer_pings(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        let mut out = Vec::new();
        if opcode == frame::PING {
            frame::encode_from_client(&mut out, frame::PONG, payload);
        } else if opcode == frame::TEXT && payload.split(|byte| *byte == b'\n').any(is_ping) {
            frame::encode_from_client(&mut out, frame::TEXT, PING);
        }
        Ok(self.stream.write_all(&out)?)
    }

    fn receive(&mut self, what: &str) -> Result<()> {
        let mut chunk = [0; 4096];
        let count =
            self.stream.read(&mut chunk).with_context(|| format!("no {what} came", what = what))?;
        ensure!(count > 0, "the server hung up instead of {what}");
        self.received.extend_from_slice(&chunk[..count]);
        Ok(())
    }
}

fn is_ping(line: &[u8]) -> bool {
    line == PING
}

fn find_reply(payload: &[u8], id: u32) -> Result<Option<Value>> {
    let mut rest = payload;
    while !rest.is_empty() {
        let (line, next) = frame::split_line(rest);
        rest = next;
        if line.is_empty() {
            continue;
        }
        let reply: Value = serde_json::from_slice(line).with_context(|| {
            format!("the server sent no JSON: {}", String::from_utf8_lossy(line))
        })?;
        if reply["id"] == id {
            ensure!(reply.get("error").is_none(), "the server answered {}", reply["error"]);
            return Ok(Some(reply));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_addresses() {
        let target = Target::parse("ws://127.0.0.1:8000/connection/websocket", None).unwrap();
        assert_eq!(target.address, "127.0.0.1:8000".parse().unwrap());
        assert_eq!(
            (target.host.as_str(), target.path.as_str()),
            ("127.0.0.1:8000", "/connection/websocket")
        );
        assert_eq!(Target::parse("ws://127.0.0.1:1", None).unwrap().path, "/");
        assert!(Target::parse("http://127.0.0.1:1/", None).is_err());
        assert!(Target::parse("ws://127.0.0.1/", None).is_err());
    }

    #[test]
    fn finds_its_reply_among_others_and_reports_errors() {
        let reply = find_reply(b"{}\n{\"id\":2,\"subscribe\":{\"offset\":7}}\n", 2).unwrap();
        assert_eq!(reply.unwrap()["subscribe"]["offset"], 7);
        assert_eq!(find_reply(b"{\"push\":{}}", 2).unwrap(), None);
        assert!(find_reply(b"{\"id\":2,\"error\":{\"code\":103}}", 2).is_err());
    }
}
