//! A proxy before Redis: it can lead to another server, as an address that moves does, and it can lose one message of
//! Pub/Sub while everything else goes through.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A wire to Redis.
pub(crate) struct RedisWire {
    address: SocketAddr,
    target: watch::Sender<SocketAddr>,
    loss: Arc<Mutex<Loss>>,
    accepting: JoinHandle<()>,
}

/// What is to be lost.
#[derive(Default)]
struct Loss {
    /// What the message that is lost next has in it.
    mark: Option<String>,
    count: usize,
}

impl RedisWire {
    /// Lays a wire to the server at `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (target, loss) = (watch::Sender::new(target), Arc::<Mutex<Loss>>::default());
        let accepting = tokio::spawn(accept(listener, target.clone(), Arc::clone(&loss)));
        Self { address, target, loss, accepting }
    }

    /// The URL by which nodes reach Redis through it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Leads to another server from now on; all connections break.
    pub(crate) fn turn_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Loses the next message of Pub/Sub that has `mark` in it, on whichever connection it comes first.
    pub(crate) fn lose(&self, mark: &str) {
        self.loss.lock().expect("nobody panics with it").mark = Some(mark.to_owned());
    }

    /// How many messages were lost.
    pub(crate) fn lost(&self) -> usize {
        self.loss.lock().expect("nobody panics with it").count
    }
}

impl Drop for RedisWire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: watch::Sender<SocketAddr>, loss: Arc<Mutex<Loss>>) {
    while let Ok((near, _)) = listener.accept().await {
        let (mut turned, loss) = (target.subscribe(), Arc::clone(&loss));
        let target = *turned.borrow_and_update();
        tokio::spawn(async move {
            tokio::select! {
                () = carry(near, target, loss) => {}
                // Both ends are dropped here, with whatever was under way.
                _ = turned.changed() => {}
            }
        });
    }
}

async fn carry(near: TcpStream, target: SocketAddr, loss: Arc<Mutex<Loss>>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let ((mut asks, mut hears), (mut answers, mut is_asked)) =
        (near.into_split(), far.into_split());
    let asking = async { tokio::io::copy(&mut asks, &mut is_asked).await.map(|_| ()) };
    let answering = async {
        let (mut kept, mut chunk) = (Vec::new(), vec![0; 64 * 1_024]);
        loop {
            let count = answers.read(&mut chunk).await?;
            if count == 0 {
                return Ok(());
            }
            kept.extend_from_slice(&chunk[..count]);
            while let Some(length) = length_of(&kept) {
                let frame: Vec<u8> = kept.drain(..length).collect();
                if !is_lost(&frame, &loss) {
                    hears.write_all(&frame).await?;
                }
            }
        }
    };
    // However one direction ends, the connection is over.
    let _: Result<(), std::io::Error> = tokio::select! {
        ended = asking => ended,
        ended = answering => ended,
    };
}

/// Whether a frame is the message that is to be lost.
fn is_lost(frame: &[u8], loss: &Mutex<Loss>) -> bool {
    if !frame.starts_with(b">3\r\n$7\r\nmessage\r\n") {
        return false;
    }
    let mut loss = loss.lock().expect("nobody panics with it");
    let Some(mark) = &loss.mark else { return false };
    let found = frame.windows(mark.len()).any(|part| part == mark.as_bytes());
    if found {
        loss.mark = None;
        loss.count += 1;
    }
    found
}

/// The length of the frame that `bytes` begin with (RESP2 and RESP3), once they hold all of it.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let count: i64 = std::str::from_utf8(&bytes[1..end - 2]).ok()?.parse().unwrap_or(0);
    let count = usize::try_from(count).ok();
    let parts = match (bytes[0], count) {
        (b'$' | b'!' | b'=', Some(count)) => {
            let whole = end + count + 2;
            return (bytes.len() >= whole).then_some(whole);
        }
        (b'*' | b'~' | b'>', Some(count)) => count,
        (b'%' | b'|', Some(count)) => 2 * count,
        _ => 0,
    };
    let mut at = end;
    for _ in 0..parts {
        at += length_of(&bytes[at..])?;
    }
    Some(at)
}

#[test]
fn a_frame_is_as_long_as_its_parts() {
    let whole = b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n*2\r\n:1\r\n%1\r\n+k\r\n$-1\r\nREST";
    for length in 0..whole.len() - 4 {
        assert_eq!(length_of(&whole[..length]), None, "{length}");
    }
    assert_eq!(length_of(whole), Some(whole.len() - 4));
}
