//! Subscribers that were told of more than has been delivered here.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Channel, Way};
use crate::domain::publication::{Delivery, StreamPosition};
use crate::hub::connection::{Connection, ELSEWHERE};
use crate::hub::frames::Broadcast;

/// One of them, which waits until that comes by.
pub(super) struct Ahead {
    pub(super) slot: u32,
    /// What was told last.
    pub(super) told: StreamPosition,
    pub(super) takes_deltas: bool,
}

impl Channel {
    /// Makes those live who were told of no more than has now been delivered. `index` is the channel's own place.
    pub(super) fn catch_up(
        &mut self,
        index: u32,
        broadcast: &Arc<Broadcast>,
        way: &mut Way<'_>,
        queued: &mut impl FnMut(u32, &mut Connection, usize),
    ) {
        if broadcast.delivery.epoch.is_none() {
            return self.tell_ahead(broadcast, way, queued);
        }
        // Whoever is caught up with is live from the next one on.
        let caught_up =
            |ahead: &mut Ahead| ahead.compared_with(&broadcast.delivery) != Ordering::Greater;
        let caught_up: Vec<_> = self.ahead.extract_if(.., caught_up).collect();
        for ahead in caught_up {
            let Some(connection) = way.connections.get_mut(ahead.slot as usize) else { continue };
            let mut told = None;
            if ahead.compared_with(&broadcast.delivery) == Ordering::Less {
                told = Some(broadcast);
                let frame = broadcast.whole_to(connection, ahead.takes_deltas, way.deflater);
                connection.pending.push(frame.clone(), way.spare);
                queued(ahead.slot, connection, 1);
            }
            let place = self.make_live(ahead.slot, ahead.takes_deltas, told);
            if let Some(membership) = connection.memberships.iter_mut().find(|m| m.channel == index)
            {
                membership.place = place.unwrap_or(ELSEWHERE);
            }
        }
    }

    /// Tells those who are ahead of something that has no place in the stream, so that they still are.
    fn tell_ahead(
        &self,
        broadcast: &Broadcast,
        way: &mut Way<'_>,
        queued: &mut impl FnMut(u32, &mut Connection, usize),
    ) {
        for ahead in &self.ahead {
            let Some(connection) = way.connections.get_mut(ahead.slot as usize) else { continue };
            let frame = broadcast.whole_to(connection, ahead.takes_deltas, way.deflater);
            connection.pending.push(frame.clone(), way.spare);
            queued(ahead.slot, connection, 1);
        }
    }
}

impl Ahead {
    /// Whether what was told is after what is delivered, the same, or before it.
    fn compared_with(&self, delivery: &Delivery) -> Ordering {
        match &delivery.epoch {
            Some(epoch) if *epoch == self.told.epoch => {
                self.told.offset.cmp(&delivery.publication.offset)
            }
            // Another epoch: nothing of it was told.
            _ => Ordering::Less,
        }
    }
}
