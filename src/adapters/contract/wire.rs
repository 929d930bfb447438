//! A wire between an adapter and its server that a test can cut, clog and mend: what a server that is stopped,
//! stands still and is started again looks like from the other end.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    /// Connections are reset, and new ones refused.
    Cut,
    /// Connections are accepted, and nothing passes.
    Clogged,
}

/// The wire.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
    /// Whether it can be connected to.
    listens: watch::Receiver<bool>,
}

impl Wire {
    /// A wire to `server`.
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, states) = watch::channel(State::Whole);
        let (tell, listens) = watch::channel(true);
        tokio::spawn(run(listener, server, states, tell));
        Self { address, state, listens }
    }

    /// Cuts it: whoever is connected is cut off, nobody can connect.
    pub(crate) async fn cut(&self) {
        self.put(State::Cut).await;
    }

    /// Lets nothing pass, in either direction, without anyone being told.
    pub(crate) async fn clog(&self) {
        self.put(State::Clogged).await;
    }

    /// Makes it whole again.
    pub(crate) async fn mend(&self) {
        self.put(State::Whole).await;
    }

    async fn put(&self, state: State) {
        self.state.send_replace(state);
        let listens = state != State::Cut;
        self.listens.clone().wait_for(|now| *now == listens).await.unwrap();
    }
}

async fn run(
    listener: TcpListener,
    server: String,
    mut states: watch::Receiver<State>,
    tell: watch::Sender<bool>,
) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    loop {
        if *states.borrow_and_update() == State::Cut {
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.unwrap());
        }
        tell.send_replace(listener.is_some());
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await.unwrap().0,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            client = accepted => drop(tokio::spawn(carry(client, server.clone(), states.clone()))),
            changed = states.changed() => if changed.is_err() { return },
        }
    }
}

async fn carry(client: TcpStream, server: String, mut states: watch::Receiver<State>) {
    let states_of_parts = states.clone();
    let both = async {
        let Ok(server) = TcpStream::connect(server).await else { return };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let up = pump(&mut from_client, &mut to_server, states_of_parts.clone());
        let down = pump(&mut from_server, &mut to_client, states_of_parts);
        tokio::select! {
            () = up => {}
            () = down => {}
        }
    };
    tokio::select! {
        () = both => {}
        _ = states.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn pump(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut states: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if states.wait_for(|state| *state == State::Whole).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
