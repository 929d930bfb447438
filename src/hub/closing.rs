//! Endings: of subscriptions that cannot go on, and of connections.

use std::rc::Rc;

use super::connection::{Connection, Key, Owner};
use super::linger;
use super::shard::{Shard, State};
use crate::client_protocol::codes::{Disconnect, Unsubscribed};
use crate::domain::channel::ChannelName;

impl Shard {
    /// Subscribers of a channel may have missed something: each is told, so
    /// that it subscribes again and recovers.
    pub(super) fn invalidate(self: &Rc<Self>, channel: &ChannelName) {
        let always = channel.namespace() == Some("notifications");
        let members: Vec<_> = {
            let state = self.state.borrow();
            let key = |(slot, live): (u32, bool)| {
                let connection = state.connections.get(slot as usize)?;
                let server_side = always || connection.is_server_side(channel);
                let key = Key { slot, serial: connection.serial };
                Some((key, connection.wire, live, server_side))
            };
            state.channels.members(channel).into_iter().filter_map(key).collect()
        };
        for (key, wire, live, server_side) in members {
            if server_side {
                self.close(key, Disconnect::INSUFFICIENT_STATE);
            } else if self.leave(key, channel) && live {
                // Who is still joining hears of it after the reply.
                self.send(key, wire.unsubscribe(channel, Unsubscribed::INSUFFICIENT_STATE));
            }
        }
    }

    /// Ends one subscription; false if there is none.
    pub(super) fn leave(&self, key: Key, channel: &ChannelName) -> bool {
        let left = {
            let state = &mut *self.state.borrow_mut();
            state.connection(key).is_some() && {
                let State { connections, channels, .. } = state;
                connections[key.slot as usize].forget_terms(channel);
                channels.leave(channel, key, connections)
            }
        };
        if left {
            self.registry.leave(channel.clone(), self.number);
        }
        left
    }

    pub(super) fn close_owned(self: &Rc<Self>, owner: Owner, why: Disconnect) {
        let owned: Vec<_> = {
            let state = self.state.borrow();
            let matches = |c: &Connection| match owner.session {
                0 => c.owner.user == owner.user,
                session => c.owner.session == session,
            };
            let key = |(slot, c): (usize, &Connection)| Key { slot: slot as u32, serial: c.serial };
            state.connections.iter().filter(|(_, c)| matches(c)).map(key).collect()
        };
        for key in owned {
            self.close(key, why.clone());
        }
    }

    /// Takes a connection out of the shard and lets it end in peace. Everything
    /// that belongs to it is gone when this returns.
    pub(super) fn close(&self, key: Key, why: Disconnect) {
        let (connection, channels) = {
            let state = &mut *self.state.borrow_mut();
            if state.connection(key).is_none() {
                return;
            }
            let channels = state.channels.leave_all(key, &mut state.connections);
            state.blocked.remove(&key.slot);
            state.orders.remove(&key.slot);
            *state.stats.closes.entry(why.code).or_default() += 1;
            (state.connections.remove(key.slot as usize), channels)
        };
        for channel in channels {
            self.registry.leave(channel, self.number);
        }
        for task in connection.reader.iter().chain(&connection.waiter) {
            task.abort();
        }
        if why != Disconnect::CONNECTION_CLOSED {
            tokio::task::spawn_local(linger::say_goodbye(connection, why));
        }
    }

    pub(super) fn stop(self: &Rc<Self>) {
        let keys: Vec<_> = {
            let state = self.state.borrow();
            let key = |(slot, c): (usize, &Connection)| Key { slot: slot as u32, serial: c.serial };
            state.connections.iter().map(key).collect()
        };
        for key in keys {
            self.flush(key);
            self.close(key, Disconnect::SHUTDOWN);
        }
    }
}
