//! The last words of a connection: what was queued, the close frame, then the end of the stream.

use std::io::ErrorKind;
use std::time::Duration;

use super::connection::Connection;
use super::outlet::Outlet;
use crate::client_protocol::codes::Disconnect;

/// How long a peer may take to receive the last words and to close its side.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes what waits and the close frame, then waits for the peer to close, so
/// that the close frame is not lost to a reset. A slow reader gets no more than
/// the rest of the frame that it has the beginning of.
pub async fn say_goodbye(mut connection: Connection, why: Disconnect) {
    if why == Disconnect::SLOW {
        connection.pending.keep_begun();
    }
    let mut last_words = Vec::new();
    connection.pending.copy_to(&mut last_words);
    last_words.extend_from_slice(&connection.wire.close(why));
    let outlet = connection.outlet;
    // A peer that is too slow even for this, or gone, needs no further answer.
    let _ = tokio::time::timeout(PATIENCE, async {
        if write_all(&outlet, &last_words).await.is_ok() {
            outlet.finish();
            read_to_end(&outlet).await;
        }
    })
    .await;
}

async fn write_all(outlet: &Outlet, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() || outlet.holds_back() {
        let attempt =
            if bytes.is_empty() { outlet.try_flush().map(|()| 0) } else { outlet.try_write(bytes) };
        match attempt {
            Ok(taken) => bytes = &bytes[taken..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => outlet.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read_to_end(outlet: &Outlet) {
    // The body of a response is closed by dropping it; a socket of either kind that is closed
    // with something unread is reset, which takes back what the peer has not received yet.
    if let Outlet::Body(_) = outlet {
        return;
    }
    let mut discarded = [0; 512];
    while outlet.readable().await.is_ok() {
        match outlet.try_read(&mut discarded) {
            Ok(count) if count > 0 => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
