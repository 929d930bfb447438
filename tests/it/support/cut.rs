//! A TCP proxy whose wire can be cut, stalled and mended: what a tunnel, a train or a restarted router does to a
//! client, and a server that is stopped or stands still to a node.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the wire is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Whole,
    /// Connections are accepted and stay, and nothing passes.
    Stalled,
    /// Connections break.
    Cut,
}

/// A wire to one server.
pub(crate) struct Cut {
    address: SocketAddr,
    wire: Arc<watch::Sender<Wire>>,
    target: watch::Sender<SocketAddr>,
    accepting: JoinHandle<()>,
}

impl Cut {
    /// Lays a wire to `target`.
    pub(crate) async fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let wire = Arc::new(watch::Sender::new(Wire::Whole));
        let target = watch::Sender::new(target);
        let accepting = tokio::spawn(accept(listener, target.subscribe(), Arc::clone(&wire)));
        Self { address, wire, target, accepting }
    }

    /// Lays a wire to the server of a database's URL, which listens at `port` unless the URL says otherwise; and
    /// the URL through it.
    pub(crate) async fn before(url: &str, port: u16) -> (Self, String) {
        let (scheme, rest) = url.split_once("://").expect("a URL has a scheme");
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let user = rest[..end].rfind('@').map_or("", |at| &rest[..=at]);
        let host = &rest[user.len()..end];
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
        let mut found = tokio::net::lookup_host(&host).await.expect("the server's host is known");
        let cut = Self::new(found.next().expect("a host has an address")).await;
        let through = format!("{scheme}://{user}{}{}", cut.address(), &rest[end..]);
        (cut, through)
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, new connections lead to `target`: to a server that has another port since it was started again.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Breaks every connection; until `mend`, new ones break as soon as they are made.
    pub(crate) fn cut(&self) {
        self.wire.send_replace(Wire::Cut);
    }

    /// Until `mend`, lets nothing pass, on connections that are there and on new ones, without telling anyone.
    pub(crate) fn stall(&self) {
        self.wire.send_replace(Wire::Stalled);
    }

    /// Lets everything through again, with what was held back.
    pub(crate) fn mend(&self) {
        self.wire.send_replace(Wire::Whole);
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: watch::Receiver<SocketAddr>,
    wire: Arc<watch::Sender<Wire>>,
) {
    while let Ok((near, _)) = listener.accept().await {
        let mut wire = wire.subscribe();
        let target = *target.borrow();
        if *wire.borrow() != Wire::Cut {
            tokio::spawn(async move {
                tokio::select! {
                    () = carry(near, target, wire.clone()) => {}
                    // Both ends are dropped here, with whatever was under way.
                    _ = wire.wait_for(|wire| *wire == Wire::Cut) => {}
                }
            });
        }
    }
}

async fn carry(near: TcpStream, target: SocketAddr, wire: watch::Receiver<Wire>) {
    if let Ok(far) = TcpStream::connect(target).await {
        let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
        tokio::join!(pass(from_near, to_far, wire.clone()), pass(from_far, to_near, wire));
    }
}

/// Passes bytes on while the wire is whole, up to the end, which is passed on as well.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut wire: watch::Receiver<Wire>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let whole = wire.wait_for(|wire| *wire == Wire::Whole).await.is_ok();
        if !whole || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    // Whoever is gone need not hear of the end.
    let _ = to.shutdown().await;
}
