//! Emulation: connections whose client hears on one HTTP request and speaks on others.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use super::connection::Key;
use super::link::Link;
use super::orders::Order;
use super::shard::Message;
use super::{Hub, Shard};
use crate::client_protocol::codes::Disconnect;

/// Names an emulated connection. Only its client knows it, so that nobody else can speak for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EmulationSession(u128);

impl EmulationSession {
    /// A session of bytes that cannot be guessed.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(u128::from_ne_bytes(bytes))
    }
}

impl Display for EmulationSession {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A text that names no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSession;

impl FromStr for EmulationSession {
    type Err = NoSession;

    fn from_str(text: &str) -> Result<Self, NoSession> {
        let written = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = written.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or(NoSession)
    }
}

/// Where the emulated connections of a node are: the number of the shard, and the key there.
pub(super) type Places = DashMap<EmulationSession, (usize, Key), FxBuildHasher>;

/// A connection's place among the emulated ones; it ends with this value.
pub struct Emulated {
    places: Arc<Places>,
    session: EmulationSession,
}

impl Emulated {
    /// By what the client names its connection.
    pub fn session(&self) -> EmulationSession {
        self.session
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        self.places.remove(&self.session);
    }
}

impl Hub {
    /// From now on what is said in `session` is said by the connection of `link`.
    pub fn emulate(&self, session: EmulationSession, link: &Link) -> Emulated {
        self.emulated.insert(session, link.place());
        Emulated { places: Arc::clone(&self.emulated), session }
    }

    /// Hands a frame to the emulated connection of a session; false if this node has none.
    pub async fn hear(&self, session: EmulationSession, frame: Bytes) -> bool {
        let Some((shard, key)) = self.emulated.get(&session).map(|place| *place) else {
            return false;
        };
        self.shards[shard].send(Message::Said(key, frame)).await.is_ok()
    }
}

/// How many frames may wait for a connection that is busy with what was said before.
const WAITING_MAX: usize = 64;

impl Shard {
    /// Takes what an emulated client said.
    pub(super) fn said(&self, key: Key, frame: Bytes) {
        let over = {
            let state = &mut *self.state.borrow_mut();
            if state.connection(key).is_none() {
                return;
            }
            let waiting = state.orders.entry(key.slot).or_default();
            let over = waiting.len() >= WAITING_MAX;
            if !over {
                waiting.push(Order::Said(frame));
            }
            if let Some(waker) = state.connection(key).and_then(|it| it.waker.take()) {
                waker.wake();
            }
            over
        };
        if over {
            self.close(key, Disconnect::SLOW);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_as_it_is_written() {
        let session = EmulationSession::from_random([7; 16]);
        assert!(session.to_string().parse() == Ok(session));
        for text in
            ["", "07", "+0000000000000000000000000000007", "zz000000000000000000000000000007"]
        {
            assert!(text.parse::<EmulationSession>().is_err(), "{text}");
        }
    }
}
