//! A hub that can be killed, and the model of what its channels carried.

use std::collections::{BTreeMap, BTreeSet};

use proptest::test_runner::TestCaseError;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::super::*;
use crate::adapters::contract::model::{ModelLog, bare};
use crate::adapters::contract::{absent, at, cursor, incarnation, logged};
use crate::adapters::memory::broker::MemoryBroker;
use crate::adapters::memory::manual_clock::ManualClock;
use crate::adapters::sqlite::{Database, Schema, SqliteEventLog, SqliteRelayLedger, SqliteRuns};
use crate::domain::announcement;
use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::domain::namespace::{HistoryRecovery, Namespaces};
use crate::ports::broker::Arriving;
use crate::ports::clock::Clock;
use crate::ports::event_log::{EventLog, RelayRecord};
use crate::ports::runs::Runs;
use crate::relay::publisher::Publisher;

/// Two channels that recover from the log, and one from its history alone.
const CHANNELS: [&str; 3] = ["log:a", "log:b", "win:a"];
/// How long the histories remember.
pub(super) const TTL: Duration = Duration::from_secs(60);
const HISTORY_SIZE: usize = 4;
/// Two publications of `{"n":7}` fit, three do not.
const PAGE: PageLimit = PageLimit { publications: 3, bytes: 17 };

/// What survives a kill.
pub(super) struct Stores {
    events: Arc<dyn EventLog>,
    ledger: Arc<dyn RelayLedger>,
    runs: Arc<dyn Runs>,
    _keep: Option<TempDir>,
}

impl Stores {
    pub(super) async fn model() -> Self {
        let log = Arc::new(ModelLog::default());
        Self { events: log.clone(), ledger: log.clone(), runs: log, _keep: None }
    }

    pub(super) async fn sqlite() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let path = keep.path().join(Schema::Log.file_name());
        let db = Database::open(&path, Schema::Log, true).await.unwrap();
        let events = Arc::new(SqliteEventLog::new(db.clone()));
        let (ledger, runs) = (SqliteRelayLedger::new(db.clone()), SqliteRuns::new(db));
        Self { events, ledger: Arc::new(ledger), runs: Arc::new(runs), _keep: Some(keep) }
    }
}

/// What the model knows of one place in a stream.
struct Relay {
    event: EventId,
    recorded: bool,
}

/// What one channel carried.
struct Stream {
    name: ChannelName,
    relays: BTreeMap<StreamPosition, Relay>,
    /// Where subscribers have been.
    places: BTreeSet<StreamPosition>,
    top: StreamPosition,
    seeded_through: u64,
}

/// A relay that the recorder was not told of yet, and its event if this was its first.
struct Due {
    records: Vec<RelayRecord>,
    event: Option<Event>,
}

pub(super) struct Hub {
    stores: Stores,
    pub(super) clock: Arc<ManualClock>,
    namespaces: Arc<Namespaces>,
    publisher: Publisher,
    recovery: Recovery,
    deliveries: mpsc::Receiver<Arriving>,
    run: u8,
    past: Vec<Event>,
    due: Vec<Due>,
    left_behind: Vec<Event>,
    streams: Vec<Stream>,
}

impl Stream {
    fn new(name: &str) -> Self {
        let top = StreamPosition { epoch: Epoch::from_number(0), offset: 0 };
        let (relays, places) = (BTreeMap::new(), BTreeSet::new());
        let name = ChannelName::built_in(name.to_owned());
        Self { name, relays, places, top, seeded_through: 0 }
    }

    /// Notes that `event` was published and is at `position`.
    fn note(&mut self, position: &StreamPosition, event: EventId) {
        assert_eq!(position.epoch, self.top.epoch);
        if let Some(known) = self.relays.get(position) {
            assert_eq!(known.event, event, "a place holds one event");
            return;
        }
        assert_eq!(position.offset, self.top.offset + 1, "offsets are consecutive");
        self.relays.insert(position.clone(), Relay { event, recorded: false });
        self.top = position.clone();
        self.places.insert(position.clone());
    }

    fn record(&mut self, position: &StreamPosition) {
        if let Some(relay) = self.relays.get_mut(position) {
            relay.recorded = true;
        }
    }

    /// What a subscriber at `since` missed: all that was relayed later, but for
    /// what a crash left without a record, as that is relayed again.
    fn missed(&self, since: &StreamPosition) -> Vec<EventId> {
        let later = self.relays.iter().filter(|(position, _)| *position > since);
        let counts = |(position, relay): &(&StreamPosition, &Relay)| match position.epoch
            == self.top.epoch
        {
            true if since.epoch == self.top.epoch => true,
            // What the epoch began with is not new to those who saw earlier ones.
            true => position.offset > self.seeded_through,
            false => relay.recorded,
        };
        later.filter(counts).map(|(_, relay)| relay.event).collect()
    }

    fn records_are_due(&self) -> bool {
        let own = self.relays.iter().filter(|(position, _)| position.epoch == self.top.epoch);
        let mut published = own.filter(|(position, _)| position.offset > self.seeded_through);
        published.any(|(_, relay)| !relay.recorded)
    }
}

fn options(history_recovery: HistoryRecovery) -> ChannelOptions {
    ChannelOptions {
        history_size: HISTORY_SIZE,
        history_ttl: TTL,
        durable: true,
        history_recovery,
        ..ChannelOptions::default()
    }
}

impl Hub {
    pub(super) async fn start(stores: Stores) -> Self {
        let configured = [("log", HistoryRecovery::Log), ("win", HistoryRecovery::Window)]
            .map(|(name, how)| (name.to_owned(), options(how)));
        let namespaces = Arc::new(Namespaces::new(configured, None));
        let clock = Arc::new(ManualClock::at(at(0)));
        let (publisher, recovery, deliveries) = node(&stores, &clock, &namespaces).await;
        let streams = CHANNELS.map(Stream::new).into();
        let (past, due, left_behind) = (Vec::new(), Vec::new(), Vec::new());
        let mut hub = Self {
            stores,
            clock,
            namespaces,
            publisher,
            recovery,
            deliveries,
            run: 0,
            past,
            due,
            left_behind,
            streams,
        };
        hub.restart().await;
        hub
    }

    /// Commits an event and relays it to the channels whose bits are set.
    pub(super) async fn publish(&mut self, channels: u8) {
        let wanted = (0..).zip(CHANNELS).filter(|(bit, _)| channels >> bit & 1 == 1);
        let channels: Vec<_> = wanted.map(|(_, name)| name).collect();
        let number = u16::try_from(self.past.len() + 1).unwrap();
        let event = Event { time: self.clock.now(), ..bare(number, &channels) };
        self.stores.events.append(&[logged(self.run, number.into(), event.clone())]).await.unwrap();
        self.past.push(event.clone());
        let records = self.relay(&event).await;
        self.due.push(Due { records, event: Some(event) });
    }

    pub(super) async fn again(&mut self, back: usize) {
        let Some(event) = self.past.len().checked_sub(back).and_then(|at| self.past.get(at)) else {
            return;
        };
        let event = event.clone();
        let records = self.relay(&event).await;
        self.due.push(Due { records, event: None });
    }

    async fn relay(&mut self, event: &Event) -> Vec<RelayRecord> {
        let (positions, records) = self.publisher.publish([event]).await.unwrap();
        for (channel, position) in announcement::channels_of(event).iter().zip(&positions[0]) {
            let stream = self.streams.iter_mut().find(|stream| stream.name == *channel).unwrap();
            stream.note(position.as_ref().unwrap(), event.id);
        }
        while self.deliveries.try_recv().is_ok() {}
        records
    }

    pub(super) async fn record(&mut self, count: usize) {
        let due: Vec<_> = self.due.drain(..count.min(self.due.len())).collect();
        for Due { records, .. } in due {
            self.write(&records).await;
        }
    }

    async fn write(&mut self, records: &[RelayRecord]) {
        self.stores.ledger.record(records, cursor(self.run, 0)).await.unwrap();
        for record in records {
            let stream = self.streams.iter_mut().find(|stream| stream.name == record.channel);
            stream.unwrap().record(&record.position);
        }
    }

    pub(super) async fn restart(&mut self) {
        self.clock.advance(Duration::from_millis(1));
        self.left_behind.extend(self.due.drain(..).filter_map(|due| due.event));
        self.run += 1;
        self.stores.runs.open(incarnation(self.run), self.clock.now()).await.unwrap();
        (self.publisher, self.recovery, self.deliveries) =
            node(&self.stores, &self.clock, &self.namespaces).await;
        for stream in &mut self.streams {
            let options = self.namespaces.options(&stream.name).unwrap();
            let retention = Retention::of(options).unwrap();
            let query = HistoryQuery { since: None, limit: usize::MAX, reverse: false };
            let page = self.recovery.broker.history(&stream.name, retention, &query).await.unwrap();
            assert!(page.top.epoch > stream.top.epoch);
            for Publication { offset, event, .. } in page.publications {
                let position = StreamPosition { offset, ..page.top.clone() };
                stream.relays.insert(position, Relay { event: event.unwrap(), recorded: false });
            }
            assert_eq!(page.seeded_through, page.top.offset);
            (stream.top, stream.seeded_through) = (page.top.clone(), page.seeded_through);
            stream.places.insert(page.top);
        }
    }

    pub(super) async fn catch_up(&mut self) {
        for event in std::mem::take(&mut self.left_behind) {
            let records = self.relay(&event).await;
            self.write(&records).await;
        }
    }

    /// Recovers from every place that a subscriber had, and from some that none had.
    pub(super) async fn check(&mut self) -> Result<(), TestCaseError> {
        for number in 0..self.streams.len() {
            let mut passed = BTreeSet::new();
            let stream = &self.streams[number];
            for since in &stream.places {
                self.check_place(stream, since, &mut passed).await;
            }
            for offset in 0..stream.seeded_through {
                let since = StreamPosition { offset, ..stream.top.clone() };
                self.check_place(stream, &since, &mut passed).await;
            }
            self.check_strangers(stream).await;
            // Where a page ended, a subscriber was, too.
            self.streams[number].places.extend(passed);
        }
        Ok(())
    }

    async fn check_place(
        &self,
        stream: &Stream,
        since: &StreamPosition,
        passed: &mut BTreeSet<StreamPosition>,
    ) {
        let options = self.namespaces.options(&stream.name).unwrap();
        let page = self.recovery.history(&stream.name, Retention::of(options).unwrap(), None, 0);
        let oldest = page.await.unwrap().oldest;
        let is_current = since.epoch == stream.top.epoch;
        let held = is_current && since.offset + 1 >= oldest;
        let (got, whole) = self.recover(stream, since, passed).await;
        let expected = stream.missed(since);
        let context = format!("{} since {since:?}", stream.name);
        if whole {
            assert_eq!(got, expected, "{context}");
            assert!(held || options.recovers_from_log(), "{context}");
        } else {
            assert!(expected.starts_with(&got), "{context}: {got:?} of {expected:?}");
            let lost = is_current && since.offset < stream.seeded_through;
            let excused = lost || stream.records_are_due() || !options.recovers_from_log();
            assert!(!held && excused, "{context} is not recovered");
        }
    }

    /// Reads pages until nothing is left, or until one cannot be read.
    async fn recover(
        &self,
        stream: &Stream,
        since: &StreamPosition,
        passed: &mut BTreeSet<StreamPosition>,
    ) -> (Vec<EventId>, bool) {
        let mut got = Vec::new();
        let mut since = since.clone();
        loop {
            let page = self.missed(stream, since.epoch.as_str(), since.offset).await;
            if since.epoch == stream.top.epoch {
                assert_eq!(page, self.missed(stream, "", since.offset).await, "empty is current");
            }
            let Some(page) = page else { return (got, false) };
            self.check_page(stream, &since, &page);
            got.extend(page.publications.iter().map(|publication| publication.event.unwrap()));
            if page.rest == Rest::Nothing {
                assert_eq!(page.position, stream.top);
                return (got, true);
            }
            assert!(page.position > since || page.position.epoch == stream.top.epoch);
            passed.insert(page.position.clone());
            since = page.position;
        }
    }

    fn check_page(&self, stream: &Stream, since: &StreamPosition, page: &RecoveredPage) {
        let over = page.publications.iter().take_while(|publication| publication.offset == 0);
        let (over, own) = page.publications.split_at(over.count());
        let seeded = own.iter().filter(|one| one.offset <= stream.seeded_through).count();
        assert!(page.publications.len() - seeded <= PAGE.publications);
        let bytes: usize = own[seeded..].iter().map(|one| one.body.data.get().len()).sum();
        assert!(own.len() == seeded || own.len() - seeded == 1 || bytes <= PAGE.bytes);
        assert!(own.is_sorted_by(|a, b| a.offset < b.offset));
        assert!(over.is_empty() || since.epoch < stream.top.epoch);
        if let Some(last) = own.last() {
            let position = StreamPosition { offset: last.offset, ..stream.top.clone() };
            assert_eq!(page.position, position, "the page ends where its last publication is");
        }
        for publication in &page.publications {
            let event = self.past.iter().find(|event| Some(event.id) == publication.event);
            assert_eq!(publication.body, absent::body_of(event.unwrap()));
        }
    }

    async fn check_strangers(&self, stream: &Stream) {
        let StreamPosition { epoch, offset } = &stream.top;
        let later = Epoch::from_number(epoch.number() + 1);
        for (epoch, offset) in [
            (epoch.as_str(), offset + 1),
            (epoch.as_str(), u64::MAX),
            ("", offset + 1),
            (later.as_str(), 0),
            (later.as_str(), *offset),
            ("xyz", 0),
            ("0000000000000z", *offset),
            ("ZZZZZZZZZZZZZ", *offset),
        ] {
            let page = self.missed(stream, epoch, offset).await;
            assert_eq!(page, None, "{} since {epoch:?} {offset}", stream.name);
        }
    }

    async fn missed(&self, stream: &Stream, epoch: &str, offset: u64) -> Option<RecoveredPage> {
        let options = self.namespaces.options(&stream.name).unwrap();
        let since = Since { epoch: epoch.to_owned(), offset };
        self.recovery.missed(&stream.name, options, &since).await.unwrap()
    }
}

/// What a node has in memory: a broker, and the parts that speak to it.
async fn node(
    stores: &Stores,
    clock: &Arc<ManualClock>,
    namespaces: &Arc<Namespaces>,
) -> (Publisher, Recovery, mpsc::Receiver<Arriving>) {
    let (sink, deliveries) = mpsc::channel(64);
    let (ledger, clock) = (Arc::clone(&stores.ledger), Arc::clone(clock) as Arc<dyn Clock>);
    let broker: Arc<dyn Broker> = Arc::new(
        MemoryBroker::new(Arc::clone(&ledger), absent::present(), clock, sink).await.unwrap(),
    );
    let publisher = absent::publisher(Arc::clone(&broker), Arc::clone(namespaces));
    (publisher, Recovery { broker, ledger, present: absent::present(), limit: PAGE }, deliveries)
}
