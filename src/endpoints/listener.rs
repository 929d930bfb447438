//! Listening: connections are accepted, with or without TLS, and spoken HTTP/1.1 with.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

/// How long to wait when no connection can be accepted, which mostly means that
/// the process has too many files open.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What every connection shares.
#[derive(Clone)]
struct Shared {
    router: Router,
    tls: Option<TlsAcceptor>,
    header_timeout: Duration,
    stop: watch::Receiver<bool>,
    /// Held by every connection, so that the end of the last one is seen.
    _alive: mpsc::Sender<Infallible>,
}

/// Serves until `stop` turns true, and then until what is being answered has
/// been. A TLS handshake and the head of a request may each take `header_timeout`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    header_timeout: Duration,
    stop: watch::Receiver<bool>,
) {
    let (alive, mut ended) = mpsc::channel(1);
    let shared = Shared { router, tls, header_timeout, stop: stop.clone(), _alive: alive };
    let mut stopping = pin!(requested(stop));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopping => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                tokio::spawn(greet(socket, Peer(peer), shared.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop((listener, shared));
    // Nothing is ever sent: it ends with the last connection.
    ended.recv().await;
}

async fn requested(mut stop: watch::Receiver<bool>) {
    // An error means that whoever could say so is gone, which is an end as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn greet(socket: TcpStream, peer: Peer, shared: Shared) {
    let outcome = match &shared.tls {
        None => converse(socket, peer, &shared).await,
        Some(tls) => match tokio::time::timeout(shared.header_timeout, tls.accept(socket)).await {
            Ok(Ok(stream)) => converse(stream, peer, &shared).await,
            Ok(Err(error)) => Err(io::Error::other(error)),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, peer = %peer.0, "a connection ended early");
    }
}

/// Speaks HTTP with one peer until it hangs up, is upgraded, or all is to stop.
async fn converse<S>(stream: S, peer: Peer, shared: &Shared) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = shared.router.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        answer(router.clone(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.header_timeout)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        outcome = connection.as_mut() => return outcome.map_err(io::Error::other),
        () = requested(shared.stop.clone()) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.map_err(io::Error::other)
}

async fn answer(mut router: Router, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    router.call(request).await
}
