//! The channels of a shard and who of its connections is subscribed to them.

mod ahead;
mod deltas;

use std::sync::Arc;

use rustc_hash::FxHashMap;
use slab::Slab;

use ahead::Ahead;
use deltas::DeltaReaders;

use super::codec::Deflater;
use super::connection::{Connection, ELSEWHERE, Key, Membership};
use super::frames::Broadcast;
use super::pending::Spare;
use super::run::Run;
use crate::domain::channel::ChannelName;
use crate::domain::publication::{Delivery, StreamPosition};

/// A channel that connections of this shard are subscribed to.
struct Channel {
    name: ChannelName,
    /// The slots of the connections that receive everything at once.
    live: Vec<u32>,
    /// Subscribers that are still being told the past.
    joining: Vec<Joining>,
    /// Subscribers that were told of more than has been delivered here: they wait until that comes by.
    ahead: Vec<Ahead>,
    /// Live subscribers that are told what has changed.
    deltas: DeltaReaders,
    /// The slots of those who want to know who comes and goes.
    watchers: Vec<u32>,
}

struct Joining {
    slot: u32,
    buffer: Vec<Arc<Broadcast>>,
    /// The buffer was full and was given up: the past must be read further.
    overflowed: bool,
    takes_deltas: bool,
}

/// What a shard has that deliveries need on their way to its connections.
pub struct Way<'a> {
    /// All connections of the shard.
    pub connections: &'a mut Slab<Connection>,
    /// Compresses for those who want that.
    pub deflater: &'a mut Deflater,
    /// For those for whom more than one frame waits.
    pub spare: &'a mut Spare,
}

/// How a subscriber that was told the past goes on.
#[derive(Debug)]
pub enum Joined {
    /// It is live from now on; these were published meanwhile and come first.
    Live(Vec<Arc<Broadcast>>),
    /// More was published meanwhile than is kept: read the past further and ask again.
    Behind,
    /// The subscription was ended meanwhile.
    Gone,
}

/// All channels of a shard.
#[derive(Default)]
pub struct Channels {
    table: Slab<Channel>,
    by_name: FxHashMap<ChannelName, u32>,
    subscriptions: u64,
}

impl Channels {
    /// Starts to keep what is published to `name` for a connection; false if it
    /// is subscribed already.
    pub fn begin(&mut self, name: &ChannelName, key: Key, connection: &mut Connection) -> bool {
        let index = *self.by_name.entry(name.clone()).or_insert_with(|| {
            let channel = Channel {
                name: name.clone(),
                live: Vec::new(),
                joining: Vec::new(),
                ahead: Vec::new(),
                deltas: DeltaReaders::default(),
                watchers: Vec::new(),
            };
            self.table.insert(channel) as u32
        });
        if connection.memberships.iter().any(|m| m.channel == index) {
            return false;
        }
        connection.memberships.push(Membership { channel: index, place: ELSEWHERE });
        let joining =
            Joining { slot: key.slot, buffer: Vec::new(), overflowed: false, takes_deltas: false };
        self.table[index as usize].joining.push(joining);
        self.subscriptions += 1;
        true
    }

    /// The channels whose names are wanted, with how many connections are subscribed, live or not yet.
    pub fn counted(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<(ChannelName, u64)> {
        let channels = self.table.iter().map(|(_, channel)| channel);
        let wanted = channels.filter(|channel| wanted(channel.name.as_str()));
        let count = |channel: &Channel| {
            (channel.live.len()
                + channel.deltas.slots().count()
                + channel.joining.len()
                + channel.ahead.len()) as u64
        };
        wanted.map(|channel| (channel.name.clone(), count(channel))).collect()
    }

    /// How many subscriptions there are, live or not yet.
    pub fn subscriptions(&self) -> u64 {
        self.subscriptions
    }

    /// Makes a subscriber live, unless too much was published meanwhile. `told` is up to where it was told
    /// the past. That is read from the broker on another way than deliveries come, and may be ahead of them: what
    /// comes late is not told again.
    pub fn finish(
        &mut self,
        name: &ChannelName,
        key: Key,
        connection: &mut Connection,
        told: Option<&StreamPosition>,
    ) -> Joined {
        let Some(&index) = self.by_name.get(name) else {
            return Joined::Gone;
        };
        let channel = &mut self.table[index as usize];
        let Some(place) = channel.joining.iter().position(|j| j.slot == key.slot) else {
            return Joined::Gone;
        };
        if std::mem::take(&mut channel.joining[place].overflowed) {
            return Joined::Behind;
        }
        let Some(membership) = connection.memberships.iter_mut().find(|m| m.channel == index)
        else {
            return Joined::Gone;
        };
        let joining = channel.joining.swap_remove(place);
        match told.filter(|told| !joining.has_reached(told)) {
            Some(told) => {
                let Joining { slot, takes_deltas, .. } = joining;
                channel.ahead.push(Ahead { slot, told: told.clone(), takes_deltas });
            }
            None => {
                let place = channel.make_live(key.slot, joining.takes_deltas, None);
                membership.place = place.unwrap_or(ELSEWHERE);
            }
        }
        Joined::Live(joining.buffer)
    }

    /// From now on a subscriber wants to know who comes and goes.
    pub fn watch(&mut self, name: &ChannelName, key: Key, connection: &Connection) {
        let Some(&index) = self.by_name.get(name) else { return };
        let watchers = &mut self.table[index as usize].watchers;
        let is_member = connection.memberships.iter().any(|m| m.channel == index);
        if is_member && !watchers.contains(&key.slot) {
            watchers.push(key.slot);
        }
    }

    /// The slots of those who want to know who comes and goes.
    pub fn watchers(&self, name: &ChannelName) -> &[u32] {
        let index = self.by_name.get(name);
        index.map_or(&[], |index| &self.table[*index as usize].watchers)
    }

    /// Ends one subscription; false if there is none. `connections` are those of the shard.
    pub fn leave(
        &mut self,
        name: &ChannelName,
        key: Key,
        connections: &mut Slab<Connection>,
    ) -> bool {
        let Some(&index) = self.by_name.get(name) else {
            return false;
        };
        let memberships = &mut connections[key.slot as usize].memberships;
        let Some(position) = memberships.iter().position(|m| m.channel == index) else {
            return false;
        };
        let membership = memberships.swap_remove(position);
        self.remove(membership, key.slot, connections);
        true
    }

    /// Ends all subscriptions of a connection and returns their channels.
    pub fn leave_all(&mut self, key: Key, connections: &mut Slab<Connection>) -> Vec<ChannelName> {
        let memberships = std::mem::take(&mut connections[key.slot as usize].memberships);
        let leave = |membership| self.remove(membership, key.slot, connections);
        memberships.into_iter().map(leave).collect()
    }

    /// Whether a connection is subscribed, live or not yet.
    pub fn is_member(&self, name: &ChannelName, connection: &Connection) -> bool {
        let index = self.by_name.get(name);
        index.is_some_and(|index| connection.memberships.iter().any(|m| m.channel == *index))
    }

    /// The connections subscribed to a channel, and whether each is live yet.
    pub fn members(&self, name: &ChannelName) -> Vec<(u32, bool)> {
        let Some(&index) = self.by_name.get(name) else {
            return Vec::new();
        };
        let channel = &self.table[index as usize];
        let ahead = channel.ahead.iter().map(|ahead| ahead.slot);
        let live = channel.live.iter().copied().chain(channel.deltas.slots()).chain(ahead);
        let live = live.map(|slot| (slot, true));
        live.chain(channel.joining.iter().map(|joining| (joining.slot, false))).collect()
    }

    /// Queues the broadcasts of one channel, in their order, for every subscriber. Calls `queued` with how many
    /// of them were queued, for each live one.
    pub fn deliver(
        &mut self,
        broadcasts: &[Arc<Broadcast>],
        buffer_max: usize,
        way: &mut Way<'_>,
        mut queued: impl FnMut(u32, &mut Connection, usize),
    ) {
        let Some(first) = broadcasts.first() else { return };
        let Some(&index) = self.by_name.get(&first.delivery.channel) else { return };
        let channel = &mut self.table[index as usize];
        // Where somebody may become live between two of them, each is delivered by itself.
        let together = if channel.ahead.is_empty() { broadcasts.len() } else { 1 };
        for broadcasts in broadcasts.chunks(together) {
            let run = Run::new(broadcasts);
            for slot in &channel.live {
                if let Some(connection) = way.connections.get_mut(*slot as usize) {
                    run.queue(connection, way.deflater, way.spare);
                    queued(*slot, connection, broadcasts.len());
                }
            }
            for broadcast in broadcasts {
                for joining in &mut channel.joining {
                    joining.keep(broadcast, buffer_max);
                }
                channel.deltas.deliver(broadcast, way, &mut queued);
                channel.catch_up(index, broadcast, way, &mut queued);
            }
        }
    }

    fn remove(
        &mut self,
        membership: Membership,
        slot: u32,
        connections: &mut Slab<Connection>,
    ) -> ChannelName {
        self.subscriptions -= 1;
        let channel = &mut self.table[membership.channel as usize];
        if let Some(place) = channel.watchers.iter().position(|watcher| *watcher == slot) {
            channel.watchers.swap_remove(place);
        }
        if membership.place == ELSEWHERE {
            channel.deltas.remove(slot);
            channel.joining.retain(|joining| joining.slot != slot);
            channel.ahead.retain(|ahead| ahead.slot != slot);
        } else {
            channel.live.swap_remove(membership.place as usize);
            if let Some(moved) = channel.live.get(membership.place as usize) {
                let memberships = &mut connections[*moved as usize].memberships;
                if let Some(other) =
                    memberships.iter_mut().find(|m| m.channel == membership.channel)
                {
                    other.place = membership.place;
                }
            }
        }
        let name = channel.name.clone();
        let nobody_waits = channel.joining.is_empty() && channel.ahead.is_empty();
        if nobody_waits && channel.live.is_empty() && channel.deltas.is_empty() {
            self.by_name.remove(&name);
            self.table.remove(membership.channel as usize);
        }
        name
    }
}

impl Joining {
    /// Whether what was delivered meanwhile goes as far as `told`.
    fn has_reached(&self, told: &StreamPosition) -> bool {
        // What has no place in the stream says nothing about it.
        let mut placed = self.buffer.iter().rev().map(|kept| &kept.delivery);
        placed.find(|delivery| delivery.epoch.is_some()).is_some_and(|last| {
            last.epoch.as_ref() != Some(&told.epoch) || last.publication.offset >= told.offset
        })
    }

    fn keep(&mut self, broadcast: &Arc<Broadcast>, max: usize) {
        let full = self.overflowed || self.buffer.len() >= max;
        let Delivery { epoch, publication, .. } = &broadcast.delivery;
        if !full {
            self.buffer.push(Arc::clone(broadcast));
        } else if publication.offset > 0 {
            // The rest is read from the past.
            self.overflowed = true;
            self.buffer = Vec::new();
        } else if epoch.is_none() && self.buffer.iter().all(|kept| kept.delivery.epoch.is_none()) {
            // A channel without a past to read from: such a subscription is finished as soon as
            // the broker has confirmed it, so all is kept.
            self.buffer.push(Arc::clone(broadcast));
        }
    }
}

#[cfg(test)]
mod tests;
