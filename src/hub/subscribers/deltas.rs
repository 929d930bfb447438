//! Subscribers that take deltas: they are told what has changed since the publication before.

use std::sync::Arc;

use super::{Channel, Channels, Way};
use crate::domain::channel::ChannelName;
use crate::hub::connection::{Connection, Key};
use crate::hub::frames::Broadcast;

/// The subscribers of a channel that take deltas and are live.
#[derive(Default)]
pub(super) struct DeltaReaders {
    readers: Vec<Reader>,
    /// What was delivered last, as long as there are any.
    last: Option<Arc<Broadcast>>,
    /// Whether all publications of the channel are told as deltas, and not only those that ask for it.
    every: bool,
}

struct Reader {
    slot: u32,
    /// Whether it was told what was delivered last.
    has_base: bool,
}

impl DeltaReaders {
    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        self.readers.iter().map(|reader| reader.slot)
    }

    /// Makes a subscriber live. If it was told what was delivered `last`, whole, the next may be a delta.
    fn add(&mut self, slot: u32, last: Option<&Arc<Broadcast>>) {
        if let Some(last) = last {
            self.last = Some(Arc::clone(last));
        }
        self.readers.push(Reader { slot, has_base: last.is_some() });
    }

    pub(super) fn remove(&mut self, slot: u32) {
        self.readers.retain(|reader| reader.slot != slot);
        if self.readers.is_empty() {
            self.last = None;
        }
    }

    /// Queues a broadcast for each and calls `queued`.
    pub(super) fn deliver(
        &mut self,
        broadcast: &Arc<Broadcast>,
        way: &mut Way<'_>,
        queued: &mut impl FnMut(u32, &mut Connection, usize),
    ) {
        if self.readers.is_empty() {
            return;
        }
        let base = self.last.replace(Arc::clone(broadcast));
        let base = base.filter(|_| self.every || broadcast.delivery.publication.body.delta);
        for reader in &mut self.readers {
            let Some(connection) = way.connections.get_mut(reader.slot as usize) else { continue };
            let base = base.as_ref().filter(|_| reader.has_base);
            reader.has_base = true;
            let frame = broadcast.frame_for_deltas(connection, base, way.deflater);
            connection.pending.push(frame.clone(), way.spare);
            queued(reader.slot, connection, 1);
        }
    }
}

impl Channels {
    /// Has a subscriber that is not live yet take deltas once it is, of all publications of the channel if `every` says so.
    pub fn take_deltas(&mut self, name: &ChannelName, key: Key, every: bool) {
        let Some(&index) = self.by_name.get(name) else { return };
        self.table[index as usize].deltas.every = every;
        let mut joining = self.table[index as usize].joining.iter_mut();
        if let Some(joining) = joining.find(|joining| joining.slot == key.slot) {
            joining.takes_deltas = true;
        }
    }
}

impl Channel {
    /// Makes a subscriber live, who was told what was delivered `last`, if it says so; returns its place among those who get
    /// everything whole.
    pub(super) fn make_live(
        &mut self,
        slot: u32,
        takes_deltas: bool,
        last: Option<&Arc<Broadcast>>,
    ) -> Option<u32> {
        if takes_deltas {
            self.deltas.add(slot, last);
            return None;
        }
        let place = self.live.len() as u32;
        self.live.push(slot);
        Some(place)
    }
}
