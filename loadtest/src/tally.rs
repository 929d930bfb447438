//! What was received: counts, latencies, and what went wrong.

use crate::payload::Stamp;
use crate::sequence::{Arrival, Sequence};
use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer latencies are recorded as this, in microseconds.
const LONGEST_US: u64 = 120_000_000;

/// What went wrong in a run; all zero in a good one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Deliveries that never came.
    pub lost: u64,
    /// Deliveries that came more than once.
    pub repeated: u64,
    /// Deliveries that came after a later one.
    pub late: u64,
    /// Numbers that were never published in this run.
    pub unknown: u64,
    /// Connections that ended before the run did.
    pub disconnected: u64,
    /// Error replies and messages that are not of the protocol.
    pub protocol: u64,
    /// Runs that stopped because nothing came any more.
    pub stalled: u64,
}

impl Faults {
    /// Whether anything went wrong.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// Counts deliveries of one run.
pub struct Tally {
    subscribers: u32,
    /// For each publication, how many subscribers have it.
    received: Vec<u32>,
    completed: usize,
    deliveries: u64,
    measured: std::ops::Range<u64>,
    latencies: Histogram<u64>,
    /// What went wrong so far.
    pub faults: Faults,
}

impl Tally {
    /// For a run with so many subscribers; latencies of publications intended within `measured_ns` are kept.
    ///
    /// # Errors
    /// Never in practice: the histogram's bounds are constants.
    pub fn new(subscribers: usize, measured_ns: std::ops::Range<u64>) -> Result<Self> {
        Ok(Self {
            subscribers: u32::try_from(subscribers)?,
            received: Vec::with_capacity(1 << 20),
            completed: 0,
            deliveries: 0,
            measured: measured_ns,
            latencies: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
            faults: Faults::default(),
        })
    }

    /// Notes one more publication.
    pub fn published(&mut self) {
        self.received.push(0);
    }

    /// Notes what a subscriber received.
    #[inline]
    pub fn delivered(&mut self, sequence: &mut Sequence, stamp: Stamp, now_ns: u64) {
        let Some(received) = self.received.get_mut(stamp.sequence as usize) else {
            self.faults.unknown += 1;
            return;
        };
        match sequence.receive(stamp.sequence) {
            Arrival::InOrder | Arrival::Ahead => {}
            Arrival::Late => self.faults.late += 1,
            Arrival::Repeated => {
                self.faults.repeated += 1;
                return;
            }
        }
        *received += 1;
        self.deliveries += 1;
        if self.measured.contains(&stamp.intended_ns) {
            self.latencies.saturating_record(now_ns.saturating_sub(stamp.intended_ns) / 1_000);
        }
    }

    /// How many publications, from the first, every subscriber has.
    #[inline]
    pub fn completed(&mut self) -> u64 {
        while self.received.get(self.completed) == Some(&self.subscribers) {
            self.completed += 1;
        }
        self.completed as u64
    }

    /// How many publications were sent.
    pub fn publications(&self) -> u64 {
        self.received.len() as u64
    }

    /// How many deliveries came, repeats not counted.
    pub fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// The latencies, in microseconds.
    pub fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_complete_when_all_have_it_and_repeats_do_not_count() {
        let mut tally = Tally::new(2, 10..20).unwrap();
        let (mut a, mut b) = (Sequence::default(), Sequence::default());
        let stamp = |sequence, intended_ns| Stamp { sequence, intended_ns };
        tally.delivered(&mut a, stamp(0, 0), 1);
        assert_eq!(tally.faults.unknown, 1, "it was not published yet");
        tally.published();
        tally.published();
        tally.delivered(&mut a, stamp(0, 5), 6);
        tally.delivered(&mut a, stamp(0, 5), 6);
        assert_eq!((tally.completed(), tally.faults.repeated), (0, 1));
        tally.delivered(&mut b, stamp(1, 10), 3_000_010);
        tally.delivered(&mut b, stamp(0, 5), 6);
        assert_eq!((tally.completed(), tally.faults.late), (1, 1));
        assert_eq!((tally.deliveries(), tally.publications()), (3, 2));
        assert_eq!(tally.latencies().len(), 1, "only what was intended in the window counts");
        assert_eq!(tally.latencies().max() / 10, 300);
        assert_eq!((a.lost(2), b.lost(2)), (1, 0));
    }
}
