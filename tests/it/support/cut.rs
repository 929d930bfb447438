//! A TCP proxy whose wire can be cut and mended: what a tunnel, a train or a restarted router does to a client.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A wire to one server.
pub(crate) struct Cut {
    address: SocketAddr,
    whole: Arc<watch::Sender<bool>>,
    accepting: JoinHandle<()>,
}

impl Cut {
    /// Lays a wire to `target`.
    pub(crate) async fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let whole = Arc::new(watch::Sender::new(true));
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&whole)));
        Self { address, whole, accepting }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection; until `mend`, new ones break as soon as they are made.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets new connections through again.
    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, whole: Arc<watch::Sender<bool>>) {
    while let Ok((near, _)) = listener.accept().await {
        let mut wire = whole.subscribe();
        if *wire.borrow() {
            tokio::spawn(async move {
                tokio::select! {
                    () = carry(near, target) => {}
                    // Both ends are dropped here, with whatever was under way.
                    _ = wire.wait_for(|whole| !whole) => {}
                }
            });
        }
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr) {
    if let Ok(mut far) = TcpStream::connect(target).await {
        // However the copying ends, the connection is over.
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}
