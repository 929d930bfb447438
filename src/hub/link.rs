//! The link: what a conversation may do with its connection.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::codec::Agreement;
use super::connection::{Connection, Key, Owner};
use super::frames::Wire;
use super::registry::Registry;
use super::shard::{Shard, ticks_of};
use super::subscribers::Joined;
use super::terms::Ended;
use crate::client_protocol::codes::Disconnect;
use crate::domain::channel::ChannelName;
use crate::domain::publication::StreamPosition;

/// A conversation's hold on its connection. Once the connection is closed,
/// nothing that is asked of the link has an effect.
#[derive(Clone)]
pub struct Link {
    shard: Rc<Shard>,
    key: Key,
}

impl Link {
    pub(super) fn new(shard: Rc<Shard>, key: Key) -> Self {
        Self { shard, key }
    }

    /// The number of the shard, and the connection's key there.
    pub(super) fn place(&self) -> (usize, Key) {
        (self.shard.number, self.key)
    }

    /// Whether the connection is closed.
    pub fn is_closed(&self) -> bool {
        self.with(|_| ()).is_none()
    }

    /// How messages of this connection are framed.
    pub fn wire(&self) -> Wire {
        self.with(|connection| connection.wire).unwrap_or(Wire::WebSocket)
    }

    /// Has messages compressed as was agreed with the client; to be called before any is sent or read.
    pub fn compress(&self, agreement: Agreement) {
        self.with(|connection| connection.compression = Some(agreement));
    }

    /// Whether it was agreed that messages may be compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.with(|connection| connection.compression.is_some()) == Some(true)
    }

    /// Queues a frame; it is written with all else that this tick brings.
    pub fn send(&self, frame: Bytes) {
        self.shard.send(self.key, frame);
    }

    /// Queues a frame of the past that the client asked for. What it missed may be
    /// more than may wait for a connection that merely is too slow.
    pub fn send_past(&self, frame: Bytes) {
        let frame = self.shard.compressed(self.key, frame);
        self.with(|connection| connection.pending.exempt(frame.len()));
        self.send(frame);
    }

    /// Closes the connection after what is queued.
    pub fn close(&self, why: Disconnect) {
        self.shard.close(self.key, why);
    }

    /// Says whose connection this may be, so that it can be closed with all of
    /// that owner's while it is being identified.
    pub fn claim(&self, owner: Owner) {
        self.with(|connection| connection.owner = owner);
    }

    /// The client has identified itself: pings begin, and the connection ends
    /// after `lifetime` if one is given.
    pub fn identified(&self, owner: Owner, lifetime: Option<Duration>) {
        let state = &mut *self.shard.state.borrow_mut();
        let now = state.wheel.now();
        let ping_due = now + self.shard.ticks.ping_interval;
        let ends_at = lifetime.map(|lifetime| now + ticks_of(lifetime));
        let Some(connection) = state.connection(self.key) else {
            return;
        };
        connection.owner = owner;
        connection.ends_at = ends_at;
        connection.ping_due = ping_due;
        state.wake_at(self.key, ends_at.map_or(ping_due, |end| end.min(ping_due)));
    }

    /// From now on the connection ends with its token: after `lifetime`, or never. It ends with 3005 then, for
    /// the client may come back with another token.
    pub fn expires(&self, lifetime: Option<Duration>) {
        let state = &mut *self.shard.state.borrow_mut();
        let ends_at = lifetime.map(|lifetime| state.wheel.now() + ticks_of(lifetime));
        let Some(connection) = state.connection(self.key) else {
            return;
        };
        connection.by_token = true;
        connection.ends_at = ends_at;
        if let Some(end) = ends_at {
            state.wake_at(self.key, end);
        }
    }

    /// Notes that the server made a subscription. Where it cannot go on, the connection ends.
    pub fn serve(&self, channel: &ChannelName) {
        if self.is_subscribed(channel) {
            self.with(|connection| connection.terms_of(channel).is_server_side = true);
        }
    }

    /// Has a subscription end after `lifetime`, or not by itself any more. The client is told when it ends, and
    /// `ended` is called, if there is one. The end of the connection is none of these.
    pub fn limit(&self, channel: &ChannelName, lifetime: Option<Duration>, ended: Option<Ended>) {
        // The terms of what is over already would be those of the next subscription.
        if !self.is_subscribed(channel) {
            return;
        }
        let state = &mut *self.shard.state.borrow_mut();
        let ends_at = lifetime.map(|lifetime| state.wheel.now() + ticks_of(lifetime));
        let Some(connection) = state.connection(self.key) else {
            return;
        };
        connection.terms_of(channel).end = ends_at.map(|tick| (tick, ended));
        if let Some(end) = ends_at {
            state.wake_at(self.key, end);
        }
    }

    /// The client answered a ping.
    pub fn pong(&self) {
        self.with(|connection| connection.pong_due = None);
    }

    /// Says whether commands are being dealt with, so that nothing is read.
    pub(super) fn set_busy(&self, busy: bool) {
        self.with(|connection| connection.busy = busy);
    }

    /// Waits until everything queued has been written.
    pub async fn drained(&self) {
        let (sender, receiver) = oneshot::channel();
        let waits = self.with(|connection| {
            let waits = !connection.pending.is_empty();
            if waits {
                connection.drained = Some(sender);
            }
            waits
        });
        if waits == Some(true) {
            // An error means that the connection was closed, which ends the wait as well.
            let _ = receiver.await;
        }
    }

    /// Starts to keep what is published to a channel. False if the connection
    /// is subscribed to it already. Wait for [`Registry::confirm`] next.
    pub fn begin_subscription(&self, channel: &ChannelName) -> bool {
        let state = &mut *self.shard.state.borrow_mut();
        if state.connection(self.key).is_none() {
            return false;
        }
        let connection = &mut state.connections[self.key.slot as usize];
        let begun = state.channels.begin(channel, self.key, connection);
        if begun {
            self.shard.registry.enter(channel, self.shard.number);
        }
        begun
    }

    /// Has a subscription that has begun take deltas: what is published comes as what has changed since the publication
    /// before; all of it, if `every` says so, else what asks for it.
    pub fn take_deltas(&self, channel: &ChannelName, every: bool) {
        self.shard.state.borrow_mut().channels.take_deltas(channel, self.key, every);
    }

    /// Makes a subscription live. To be called in one step with queueing the
    /// reply and what was published meanwhile, so that the order is kept. `told` is up to where
    /// the client was told the past, where it was.
    pub fn finish_subscription(
        &self,
        channel: &ChannelName,
        told: Option<&StreamPosition>,
    ) -> Joined {
        let state = &mut *self.shard.state.borrow_mut();
        if state.connection(self.key).is_none() {
            return Joined::Gone;
        }
        let connection = &mut state.connections[self.key.slot as usize];
        state.channels.finish(channel, self.key, connection, told)
    }

    /// From now on the client is told who joins and leaves the channel, if it is subscribed.
    pub fn watch(&self, channel: &ChannelName) {
        self.shard.watch(self.key, channel);
    }

    /// Ends a subscription; false if there is none.
    pub fn unsubscribe(&self, channel: &ChannelName) -> bool {
        self.shard.leave(self.key, channel)
    }

    /// Whether the connection is subscribed to a channel, live or not yet.
    pub fn is_subscribed(&self, channel: &ChannelName) -> bool {
        let state = &mut *self.shard.state.borrow_mut();
        if state.connection(self.key).is_none() {
            return false;
        }
        state.channels.is_member(channel, &state.connections[self.key.slot as usize])
    }

    /// How many channels the connection is subscribed to.
    pub fn subscriptions(&self) -> usize {
        self.with(|connection| connection.memberships.len()).unwrap_or(0)
    }

    /// The registry of the node.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.shard.registry)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        self.shard.state.borrow_mut().connection(self.key).map(f)
    }
}
