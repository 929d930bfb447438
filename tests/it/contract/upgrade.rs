//! The upgrade request: which origins may open a socket.

use crate::support::{Server, Socket};

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
