//! Passages: subscribers that want to know it are told who comes and goes.

use std::rc::Rc;

use bytes::Bytes;

use super::codec::Agreement;
use super::connection::Key;
use super::frames::Wire;
use super::shard::{Shard, State};
use crate::domain::channel::ChannelName;
use crate::domain::publication::Passage;

impl Shard {
    /// Notes that a subscriber wants to know who comes and goes.
    pub(super) fn watch(&self, key: Key, channel: &ChannelName) {
        let state = &mut *self.state.borrow_mut();
        if state.connection(key).is_none() {
            return;
        }
        let State { connections, channels, .. } = state;
        channels.watch(channel, key, &connections[key.slot as usize]);
    }

    /// Tells those who want to know it. Publications take another way, and pay nothing for this one.
    pub(super) fn tell(self: &Rc<Self>, passage: &Passage) {
        let watchers: Vec<_> = {
            let state = self.state.borrow();
            let watcher = |slot: &u32| {
                let connection = state.connections.get(*slot as usize)?;
                let key = Key { slot: *slot, serial: connection.serial };
                Some((key, (connection.wire, connection.compression)))
            };
            state.channels.watchers(&passage.channel).iter().filter_map(watcher).collect()
        };
        // There are few ways to frame it, each of them needed by many.
        let mut frames: Vec<((Wire, Option<Agreement>), Bytes)> = Vec::new();
        for (key, way) in watchers {
            let known = frames.iter().find(|(framed, _)| *framed == way);
            let frame = known.map(|(_, frame)| frame.clone()).unwrap_or_else(|| {
                let frame = self.compressed(key, way.0.passage(passage));
                frames.push((way, frame.clone()));
                frame
            });
            self.send(key, frame);
        }
    }
}
