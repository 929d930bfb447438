//! One connection as its shard sees it: what waits to be written, and when something is due.

use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::codec::{Agreement, Deflater};
use super::frames::Wire;
use super::outlet::Outlet;
use super::pending::Pending;
use super::terms::Terms;

/// Names a connection of a shard; a number is not given to another connection
/// while anyone may still hold the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The place in the shard's table.
    pub slot: u32,
    /// Tells the connections that had this place one after the other.
    pub serial: u32,
}

/// A connection's place among the subscribers of a channel.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    /// The place of the channel in the shard's table.
    pub channel: u32,
    /// The place in the channel's list of live subscribers; [`ELSEWHERE`] if it is not among them.
    pub place: u32,
}

/// The place of a subscriber that is not live yet, or takes deltas.
pub const ELSEWHERE: u32 = u32::MAX;

/// Whose connection it is, as far as the shard must know to find it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The number of the account; 0 for an anonymous client.
    pub user: i64,
    /// The first eight bytes of the session's token hash; 0 without a session.
    pub session: u64,
}

/// A connection. It holds no buffer while nothing waits to be written.
pub struct Connection {
    /// Where its bytes go.
    pub outlet: Rc<Outlet>,
    /// How its messages are framed.
    pub wire: Wire,
    /// What was agreed about compressed messages, if anything was.
    pub compression: Option<Agreement>,
    /// Checked against the key's.
    pub serial: u32,
    /// What waits to be written.
    pub pending: Pending,
    /// The tick since which the socket has taken nothing, if it takes nothing.
    pub blocked_since: Option<u64>,
    /// Whether the shard will flush it at the end of this tick.
    pub dirty: bool,
    /// The channels that it is subscribed to.
    pub memberships: Vec<Membership>,
    /// Whose it is.
    pub owner: Owner,
    /// The tick at which the next ping is due; 0 until the client has connected.
    pub ping_due: u64,
    /// The tick by which a pong must come, if one is awaited.
    pub pong_due: Option<u64>,
    /// The tick at which the connection ends, whatever happens: a client that
    /// has not connected by then, or a session that has run out.
    pub ends_at: Option<u64>,
    /// The tick at which the timing wheel will next ask about this connection.
    pub timer: u64,
    /// Told when nothing is pending any more.
    pub drained: Option<oneshot::Sender<()>>,
    /// Wakes the task that reads when there are orders.
    pub waker: Option<Waker>,
    /// Ends the task that reads.
    pub reader: Option<AbortHandle>,
    /// Ends the task that waits until the socket takes more.
    pub waiter: Option<AbortHandle>,
    /// Whether a command is being dealt with; nothing is read meanwhile.
    pub busy: bool,
    /// Whether `ends_at` is the end of a token, which could have been refreshed.
    pub by_token: bool,
    /// What is special about single subscriptions.
    pub terms: Vec<Terms>,
}

impl Connection {
    /// A connection that has said nothing yet.
    pub fn new(outlet: Rc<Outlet>, wire: Wire, serial: u32) -> Self {
        Self {
            outlet,
            wire,
            compression: None,
            serial,
            pending: Pending::default(),
            blocked_since: None,
            dirty: false,
            memberships: Vec::new(),
            owner: Owner::default(),
            ping_due: 0,
            pong_due: None,
            ends_at: None,
            timer: u64::MAX,
            drained: None,
            waker: None,
            reader: None,
            waiter: None,
            busy: false,
            by_token: false,
            terms: Vec::new(),
        }
    }

    /// Reads of each cache line that a write needs, and makes a number of it that says nothing.
    pub fn glance(&self) -> usize {
        self.serial as usize
            ^ usize::from(self.blocked_since.is_some())
            ^ self.pending.bytes()
            ^ self.outlet.glance()
    }

    /// A frame as this connection gets it: compressed, if that was agreed and it is not yet.
    pub fn compressed(&self, frame: Bytes, deflater: &mut Deflater) -> Bytes {
        match self.compression {
            Some(agreement) if agreement.admits(frame.len()) => deflater.deflate(&frame),
            _ => frame,
        }
    }
}
