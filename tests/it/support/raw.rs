//! Bare TCP, for bytes that no client library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wait::{PATIENCE, within};

/// A bare connection.
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .unwrap_or_else(|e| panic!("no connection to {address}: {e}"));
        Self { stream }
    }

    /// Sends `bytes` as far as the server takes them, while reading what it answers, until it closes.
    ///
    /// A server that has seen enough may close while it is still being written to, which is no failure here.
    pub(crate) async fn exchange(self, bytes: Vec<u8>) -> Vec<u8> {
        let (mut reader, mut writer) = self.stream.into_split();
        let writing = tokio::spawn(async move {
            let _ = writer.write_all(&bytes).await;
            writer
        });
        let mut answer = Vec::new();
        within(PATIENCE * 2, "the server's answer and close", async {
            let mut chunk = [0; 4_096];
            while let Ok(count @ 1..) = reader.read(&mut chunk).await {
                answer.extend_from_slice(&chunk[..count]);
            }
        })
        .await;
        writing.abort();
        answer
    }
}

/// A WebSocket upgrade request as bytes, with `more` header lines (each ended by CRLF).
pub(crate) fn upgrade_request(address: SocketAddr, more: &str) -> Vec<u8> {
    format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
    .into_bytes()
}
