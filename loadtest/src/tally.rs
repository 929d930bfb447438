//! What was received: counts, latencies, and what went wrong.

use crate::payload::Stamp;
use crate::sequence::{Arrival, Subscriptions};
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
    /// Numbers that were never published in this run, and deliveries of channels that nobody there subscribed to.
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

    /// How much of it, all kinds together.
    pub fn total(&self) -> u64 {
        let Self { lost, repeated, late, unknown, disconnected, protocol, stalled } = self;
        lost + repeated + late + unknown + disconnected + protocol + stalled
    }
}

/// One publication: where it belongs, and who has it.
struct Publication {
    channel: u32,
    /// Which one of its channel, from 0.
    number: u32,
    /// How many subscribers have it.
    received: u32,
}

/// Counts deliveries of one run.
pub struct Tally {
    /// How many subscribe to each channel.
    audience: u32,
    publications: Vec<Publication>,
    /// How many of them each channel has.
    published: Vec<u64>,
    completed: usize,
    deliveries: u64,
    measured: std::ops::Range<u64>,
    latencies: Histogram<u64>,
    /// What went wrong so far.
    pub faults: Faults,
}

impl Tally {
    /// For a run with so many channels and so many subscribers of each; latencies of publications intended within
    /// `measured_ns` are kept.
    ///
    /// # Errors
    /// When there are more subscribers than 32 bits can count; the histogram's bounds are constants.
    pub fn new(
        channels: usize,
        audience: usize,
        measured_ns: std::ops::Range<u64>,
    ) -> Result<Self> {
        Ok(Self {
            audience: u32::try_from(audience)?,
            publications: Vec::with_capacity(1 << 20),
            published: vec![0; channels],
            completed: 0,
            deliveries: 0,
            measured: measured_ns,
            latencies: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
            faults: Faults::default(),
        })
    }

    /// Notes one more publication, in the channel of that number.
    pub fn published(&mut self, channel: u32) {
        let published = &mut self.published[channel as usize];
        let number = *published as u32;
        *published += 1;
        self.publications.push(Publication { channel, number, received: 0 });
    }

    /// Notes what a subscriber received.
    #[inline]
    pub fn delivered(&mut self, subscriptions: &mut Subscriptions, stamp: Stamp, now_ns: u64) {
        let publication = self.publications.get_mut(stamp.sequence as usize);
        let expected = publication
            .and_then(|publication| Some((subscriptions.of(publication.channel)?, publication)));
        let Some((sequence, publication)) = expected else {
            self.faults.unknown += 1;
            return;
        };
        match sequence.receive(u64::from(publication.number)) {
            Arrival::InOrder | Arrival::Ahead => {}
            Arrival::Late => self.faults.late += 1,
            Arrival::Repeated => {
                self.faults.repeated += 1;
                return;
            }
        }
        publication.received += 1;
        self.deliveries += 1;
        if self.measured.contains(&stamp.intended_ns) {
            self.latencies.saturating_record(now_ns.saturating_sub(stamp.intended_ns) / 1_000);
        }
    }

    /// How many publications, from the first, every subscriber has.
    #[inline]
    pub fn completed(&mut self) -> u64 {
        while self.publications.get(self.completed).is_some_and(|it| it.received == self.audience) {
            self.completed += 1;
        }
        self.completed as u64
    }

    /// How many publications were sent.
    pub fn publications(&self) -> u64 {
        self.publications.len() as u64
    }

    /// How many publications each channel has.
    pub fn published_by_channel(&self) -> &[u64] {
        &self.published
    }

    /// How many deliveries there must be of what was published so far.
    pub fn expected(&self) -> u64 {
        self.publications() * u64::from(self.audience)
    }

    /// How many deliveries came, repeats not counted.
    pub fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// The latencies, in microseconds.
    pub fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }

    /// The latencies, once the run is over.
    pub fn into_latencies(self) -> Histogram<u64> {
        self.latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_complete_when_all_have_it_and_repeats_do_not_count() {
        let mut tally = Tally::new(1, 2, 10..20).unwrap();
        let (mut a, mut b) = (Subscriptions::to([0]), Subscriptions::to([0]));
        let stamp = |sequence, intended_ns| Stamp { sequence, intended_ns };
        tally.delivered(&mut a, stamp(0, 0), 1);
        assert_eq!(tally.faults.unknown, 1, "it was not published yet");
        tally.published(0);
        tally.published(0);
        tally.delivered(&mut a, stamp(0, 5), 6);
        tally.delivered(&mut a, stamp(0, 5), 6);
        assert_eq!((tally.completed(), tally.faults.repeated), (0, 1));
        tally.delivered(&mut b, stamp(1, 10), 3_000_010);
        tally.delivered(&mut b, stamp(0, 5), 6);
        assert_eq!((tally.completed(), tally.faults.late), (1, 1));
        assert_eq!((tally.deliveries(), tally.publications()), (3, 2));
        assert_eq!(tally.latencies().len(), 1, "only what was intended in the window counts");
        assert_eq!(tally.latencies().max() / 10, 300);
        assert_eq!((a.lost(&[2]), b.lost(&[2])), (1, 0));
    }

    #[test]
    fn numbers_are_those_of_a_channel_and_a_stranger_is_unknown() {
        let mut tally = Tally::new(3, 1, 0..20).unwrap();
        let mut reader = Subscriptions::to([0, 2]);
        for channel in [0, 1, 2, 0] {
            tally.published(channel);
        }
        let stamp = |sequence| Stamp { sequence, intended_ns: 0 };
        for sequence in [3, 0, 2] {
            tally.delivered(&mut reader, stamp(sequence), 1);
        }
        assert_eq!((tally.faults.late, tally.faults.unknown), (1, 0));
        tally.delivered(&mut reader, stamp(1), 1);
        assert_eq!(tally.faults.unknown, 1, "it is not subscribed to channel 1");
        assert_eq!((tally.deliveries(), tally.expected()), (3, 4));
        assert_eq!(tally.published_by_channel(), [2, 1, 1]);
        assert_eq!(reader.lost(tally.published_by_channel()), 0);
    }
}
