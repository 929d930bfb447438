//! A peer that begins and does not go on holds nothing for long.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Server, within};

#[tokio::test]
async fn the_head_of_a_request_that_never_ends_is_not_waited_for() {
    let server = Server::with("http.header_timeout = \"300ms\"").await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    socket.write_all(b"GET /health HTTP/1.1\r\nhost: hub\r\nx-half: ").await.unwrap();
    let mut rest = Vec::new();
    within(PATIENCE, "the end of the connection", socket.read_to_end(&mut rest)).await.unwrap();
    // Whoever completes the head in time is answered, also on the same server.
    let mut other = TcpStream::connect(server.address()).await.unwrap();
    let request = b"GET /health/live HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n";
    other.write_all(request).await.unwrap();
    let mut answer = String::new();
    within(PATIENCE, "an answer", other.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
