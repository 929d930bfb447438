//! Who must receive what, and who has.

use crate::whole_path::message::{Arrival, Cause};
use crate::whole_path::workload::{Deed, Planned};
use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::HashMap;
use std::ops::Range;

/// Longer latencies are recorded as this, in microseconds.
const LONGEST_US: u64 = 120_000_000;
const NOT_A_MEMBER: u32 = u32::MAX;

/// What kind of channel an audience is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `feed:all`.
    Feed,
    /// A post's.
    Post(usize),
    /// One that is published to directly.
    Room,
    /// An account's inbox.
    Inbox,
}

/// The sockets that are subscribed to one channel.
pub struct Audience {
    kind: Kind,
    /// For each socket its place among the members, or [`NOT_A_MEMBER`].
    places: Vec<u32>,
    /// For each member the offset of the last publication.
    offsets: Vec<u64>,
}

impl Audience {
    /// Of these sockets, out of so many.
    pub fn new(kind: Kind, sockets: usize, members: &[usize]) -> Self {
        let mut places = vec![NOT_A_MEMBER; sockets];
        for (place, socket) in members.iter().enumerate() {
            places[*socket] = place as u32;
        }
        Self { kind, places, offsets: vec![0; members.len()] }
    }
}

/// What went wrong in a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Deliveries of acknowledged writes that never came.
    pub lost: u64,
    /// Deliveries of an event to a socket that had it from the same channel. Promised to be rare, not never.
    pub repeated: u64,
    /// Writes that were answered with anything but success, or not at all.
    pub refused: u64,
    /// Writes that became two events, and events of two writes.
    pub ambiguous: u64,
    /// Publications that no write explains, and those in channels that the socket is not subscribed to.
    pub unknown: u64,
    /// Publications whose offset is not the one after the last one's.
    pub disorder: u64,
    /// Sockets that ended before the run did.
    pub disconnected: u64,
    /// Errors, ends of subscriptions, and what is not of the protocol.
    pub protocol: u64,
}

impl Faults {
    /// Whether anything went wrong that must not.
    pub fn any(&self) -> bool {
        *self != Self { repeated: self.repeated, ..Self::default() }
    }

    /// How much of it, all kinds together.
    pub fn total(&self) -> u64 {
        let Self { lost, repeated, refused, ambiguous, unknown, .. } = self;
        let Self { disorder, disconnected, protocol, .. } = self;
        lost + repeated + refused + ambiguous + unknown + disorder + disconnected + protocol
    }
}

/// Who of an audience has an event: one bit a member.
#[derive(Default)]
struct Seen {
    audience: usize,
    bits: Vec<u64>,
    missing: u32,
}

impl Seen {
    fn nobody(audience: usize, members: usize) -> Self {
        Self { audience, bits: vec![0; members.div_ceil(64)], missing: members as u32 }
    }

    /// Notes a member; false if it was noted before.
    fn note(&mut self, place: u32) -> bool {
        let (word, bit) = (place as usize / 64, 1 << (place % 64));
        let new = self.bits[word] & bit == 0;
        if new {
            self.bits[word] |= bit;
            self.missing -= 1;
        }
        new
    }
}

struct Write {
    intended_ns: u64,
    event: Option<u128>,
    acknowledged: bool,
    /// The channel of what was done, and the inbox of who is told.
    seen: Vec<Seen>,
}

/// Latencies from the intended time of the write, in microseconds.
pub struct Latencies {
    /// To the answer.
    pub acknowledged: Histogram<u64>,
    /// To every delivery.
    pub delivered: Histogram<u64>,
    /// To deliveries of the feed.
    pub feed: Histogram<u64>,
    /// To deliveries in the channels of posts.
    pub post: Histogram<u64>,
    /// To deliveries in rooms.
    pub room: Histogram<u64>,
    /// To deliveries in inboxes.
    pub inbox: Histogram<u64>,
}

impl Latencies {
    /// Each with what it is to.
    pub fn named(&self) -> [(&'static str, &Histogram<u64>); 6] {
        [
            ("the answer to the write", &self.acknowledged),
            ("every socket", &self.delivered),
            ("sockets, of likes and comments", &self.post),
            ("sockets, of posts in the feed", &self.feed),
            ("sockets, of publications", &self.room),
            ("sockets, of inboxes", &self.inbox),
        ]
    }
}

/// The books of one run.
pub struct Ledger {
    audiences: Vec<Audience>,
    by_channel: HashMap<String, usize>,
    writes: Vec<Write>,
    /// Likes by post, id of the account and direction.
    likes: HashMap<(usize, i64, bool), usize>,
    events: HashMap<u128, usize>,
    /// Inbox deliveries whose event no other delivery has named yet: audience, place, time.
    unexplained: HashMap<u128, Vec<(usize, u32, u64)>>,
    measured: Range<u64>,
    /// Latencies of the writes that were meant to go within the measured window.
    pub latencies: Latencies,
    /// Deliveries so far, repeats not counted.
    pub deliveries: u64,
    /// What went wrong so far; `lost` is only known at the end.
    pub faults: Faults,
}

impl Ledger {
    /// For audiences by channel; latencies of writes intended within `measured_ns` are kept.
    ///
    /// # Errors
    /// Never in practice: the histograms' bounds are constants.
    pub fn new(channels: Vec<(String, Audience)>, measured_ns: Range<u64>) -> Result<Self> {
        let (mut audiences, mut by_channel) = (Vec::new(), HashMap::new());
        for (channel, audience) in channels {
            by_channel.insert(channel, audiences.len());
            audiences.push(audience);
        }
        let histogram = || Histogram::new_with_bounds(1, LONGEST_US, 3);
        let latencies = Latencies {
            acknowledged: histogram()?,
            delivered: histogram()?,
            feed: histogram()?,
            post: histogram()?,
            room: histogram()?,
            inbox: histogram()?,
        };
        Ok(Self {
            audiences,
            by_channel,
            writes: Vec::new(),
            likes: HashMap::new(),
            events: HashMap::new(),
            unexplained: HashMap::new(),
            measured: measured_ns,
            latencies,
            deliveries: 0,
            faults: Faults::default(),
        })
    }

    /// Notes the next write, before it is sent: what is told in these channels, by the account with this id.
    pub fn written(&mut self, write: &Planned, actor: i64, intended_ns: u64, channels: &[String]) {
        let number = self.writes.len();
        if let Deed::Like { post, on } = write.deed {
            self.likes.insert((post, actor, on), number);
        }
        let seen = channels.iter().filter_map(|channel| {
            let audience = *self.by_channel.get(channel)?;
            Some(Seen::nobody(audience, self.audiences[audience].offsets.len()))
        });
        let seen = seen.collect();
        self.writes.push(Write { intended_ns, event: None, acknowledged: false, seen });
    }

    /// Notes the answer to a write.
    pub fn answered(&mut self, number: usize, success: bool, now_ns: u64) {
        let write = &mut self.writes[number];
        if !success {
            self.faults.refused += 1;
            return;
        }
        write.acknowledged = true;
        if self.measured.contains(&write.intended_ns) {
            let latency = now_ns.saturating_sub(write.intended_ns) / 1_000;
            self.latencies.acknowledged.saturating_record(latency);
        }
    }

    /// Notes what a socket received.
    pub fn arrived(&mut self, socket: usize, arrival: &Arrival<'_>, now_ns: u64) {
        let audience = self.by_channel.get(&*arrival.channel).copied();
        let place = audience.map(|audience| self.audiences[audience].places[socket]);
        let (Some(audience), Some(place)) = (audience, place.filter(|at| *at != NOT_A_MEMBER))
        else {
            self.faults.unknown += 1;
            return;
        };
        let last = &mut self.audiences[audience].offsets[place as usize];
        if *last != 0 && arrival.offset != *last + 1 {
            self.faults.disorder += 1;
        }
        *last = arrival.offset;
        let number = match (arrival.cause, self.audiences[audience].kind) {
            (Cause::Write(number), _) => Some(number),
            (Cause::Like { actor, on }, Kind::Post(post)) => {
                self.likes.get(&(post, actor, on)).copied()
            }
            (Cause::Event, _) => {
                let known = arrival.event.and_then(|event| self.events.get(&event).copied());
                if let (None, Some(event)) = (known, arrival.event) {
                    self.unexplained.entry(event).or_default().push((audience, place, now_ns));
                    return;
                }
                known
            }
            (Cause::Like { .. }, _) => None,
        };
        let Some(number) = number.filter(|number| *number < self.writes.len()) else {
            self.faults.unknown += 1;
            return;
        };
        if let Some(event) = arrival.event {
            self.name(number, event);
        }
        self.deliver(number, audience, place, now_ns);
    }

    /// Learns the event of a write, and explains what came of it before.
    fn name(&mut self, number: usize, event: u128) {
        let known = &mut self.writes[number].event;
        if *known == Some(event) {
            return;
        }
        if known.is_some() || self.events.insert(event, number).is_some() {
            self.faults.ambiguous += 1;
            return;
        }
        *known = Some(event);
        for (audience, place, at_ns) in self.unexplained.remove(&event).unwrap_or_default() {
            self.deliver(number, audience, place, at_ns);
        }
    }

    fn deliver(&mut self, number: usize, audience: usize, place: u32, at_ns: u64) {
        let write = &mut self.writes[number];
        let Some(seen) = write.seen.iter_mut().find(|seen| seen.audience == audience) else {
            self.faults.unknown += 1;
            return;
        };
        if !seen.note(place) {
            self.faults.repeated += 1;
            return;
        }
        self.deliveries += 1;
        if self.measured.contains(&write.intended_ns) {
            let latency = at_ns.saturating_sub(write.intended_ns) / 1_000;
            self.latencies.delivered.saturating_record(latency);
            let of_kind = match self.audiences[audience].kind {
                Kind::Feed => &mut self.latencies.feed,
                Kind::Post(_) => &mut self.latencies.post,
                Kind::Room => &mut self.latencies.room,
                Kind::Inbox => &mut self.latencies.inbox,
            };
            of_kind.saturating_record(latency);
        }
    }

    /// How many writes were noted.
    pub fn writes(&self) -> usize {
        self.writes.len()
    }

    /// How many of them were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.writes.iter().filter(|write| write.acknowledged).count()
    }

    /// Deliveries of acknowledged writes that have not come.
    pub fn missing(&self) -> u64 {
        let acknowledged = self.writes.iter().filter(|write| write.acknowledged);
        acknowledged.flat_map(|write| &write.seen).map(|seen| u64::from(seen.missing)).sum()
    }

    /// What went wrong, if nothing comes any more.
    pub fn close(&self) -> Faults {
        let unexplained: usize = self.unexplained.values().map(Vec::len).sum();
        Faults {
            lost: self.missing(),
            unknown: self.faults.unknown + unexplained as u64,
            ..self.faults
        }
    }
}

#[cfg(test)]
mod tests;
