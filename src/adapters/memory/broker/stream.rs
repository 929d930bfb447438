//! The stream of one channel.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashSet;

use crate::domain::ids::EventId;
use crate::domain::publication::{Epoch, Publication, StreamPosition, Version};
use crate::domain::time::Timestamp;
use crate::ports::broker::{HistoryPage, HistoryQuery, Retention};

/// What a publication is counted with besides its data.
const ENTRY_BYTES: usize = 256;

/// What is remembered of a channel in this run.
pub(super) struct Stream {
    /// The life of the stream that began with it.
    pub(super) epoch: Epoch,
    /// The offset of the last publication.
    pub(super) top: u64,
    /// Offsets up to this one were filled in from the log.
    pub(super) seeded_through: u64,
    entries: VecDeque<Entry>,
    /// The events of `entries`, to recognise one that is published again.
    events: FxHashSet<EventId>,
    /// How much is kept.
    pub(super) retention: Retention,
    /// What `entries` are counted with.
    pub(super) bytes: usize,
    /// When it was last published to or asked for.
    pub(super) used_at: Timestamp,
    /// The last one that was told.
    pub(super) version: Option<Version>,
}

struct Entry {
    publication: Publication,
    published_at: Timestamp,
}

impl Stream {
    /// A stream that holds nothing yet.
    pub(super) fn new(epoch: Epoch, retention: Retention, used_at: Timestamp) -> Self {
        let (entries, events) = (VecDeque::new(), FxHashSet::default());
        let (top, seeded_through, bytes, version) = (0, 0, 0, None);
        Self { epoch, top, seeded_through, entries, events, retention, bytes, used_at, version }
    }

    /// Adds a publication at its offset.
    pub(super) fn push(&mut self, publication: Publication, published_at: Timestamp) {
        self.top = publication.offset;
        self.events.extend(publication.event);
        self.bytes += weight(&publication);
        self.entries.push_back(Entry { publication, published_at });
        while self.entries.len() > self.retention.size {
            self.drop_oldest();
        }
    }

    /// Drops what is too old.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let not_before = now.minus(self.retention.ttl);
        while self.entries.front().is_some_and(|entry| entry.published_at < not_before) {
            self.drop_oldest();
        }
    }

    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops the older half of what is kept.
    pub(super) fn halve(&mut self) {
        for _ in 0..self.entries.len().div_ceil(2) {
            self.drop_oldest();
        }
    }

    /// False if there is none.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let Some(Entry { publication, .. }) = self.entries.pop_front() else { return false };
        self.bytes -= weight(&publication);
        if let Some(event) = publication.event {
            self.events.remove(&event);
        }
        true
    }

    /// Where an event stands, if it is kept.
    pub(super) fn offset_of(&self, event: EventId) -> Option<u64> {
        if !self.events.contains(&event) {
            return None;
        }
        let known = self.entries.iter().rev().find(|entry| entry.publication.event == Some(event));
        known.map(|entry| entry.publication.offset)
    }

    /// What of it a query asks for.
    pub(super) fn page(&self, query: &HistoryQuery) -> HistoryPage {
        let publications = self.entries.iter().map(|entry| &entry.publication);
        let publications = if query.reverse {
            let wanted = |p: &&Publication| query.since.is_none_or(|since| p.offset < since);
            publications.rev().filter(wanted).take(query.limit).cloned().collect()
        } else {
            let wanted = |p: &&Publication| query.since.is_none_or(|since| p.offset > since);
            publications.filter(wanted).take(query.limit).cloned().collect()
        };
        HistoryPage {
            top: StreamPosition { epoch: self.epoch.clone(), offset: self.top },
            seeded_through: self.seeded_through,
            oldest: self.entries.front().map_or(self.top + 1, |entry| entry.publication.offset),
            publications,
            // Earlier epochs are those of earlier processes, and of streams that have long been idle.
            age: Duration::MAX,
        }
    }
}

fn weight(publication: &Publication) -> usize {
    publication.body.data.get().len() + ENTRY_BYTES
}
