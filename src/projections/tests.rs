//! What the projections finish, and that they do it once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::analytics_batch::Projection;
use super::catch_up::{CatchUp, ContentSweep};
use crate::adapters::contract::model::{ModelLog, bare};
use crate::adapters::contract::{
    absent, at, cursor, event_id, incarnation, logged, post, posted, published,
};
use crate::adapters::memory::broker::MemoryBroker;
use crate::adapters::memory::manual_clock::ManualClock;
use crate::adapters::sqlite::{Database, Schema, SqliteContent};
use crate::domain::channel::ChannelName;
use crate::domain::event::LoggedEvent;
use crate::domain::ids::{EventId, Incarnation};
use crate::domain::namespace::Namespaces;
use crate::ports::StoreError;
use crate::ports::analytics::Analytics;
use crate::ports::broker::{Arriving, Broker};
use crate::ports::content::Content;
use crate::ports::event_log::{EventLog, LogCursor, RelayLedger};
use crate::ports::runs::Runs;

/// Takes events, but for those that are poison, and is away when it is told.
#[derive(Default)]
struct PickyAnalytics {
    poison: Vec<EventId>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cursors: BTreeMap<Incarnation, u64>,
    /// Every event as often as it was projected.
    projected: Vec<EventId>,
    aside: Vec<(EventId, String)>,
    /// The numbers of the events of each call.
    calls: Vec<Vec<u64>>,
    /// Fails the call after so many.
    away_after: Option<usize>,
}

#[async_trait]
impl Analytics for PickyAnalytics {
    async fn cursors(&self) -> Result<Vec<LogCursor>, StoreError> {
        let state = self.state.lock().unwrap();
        let cursors = state.cursors.iter();
        Ok(cursors.map(|(id, seq)| LogCursor { incarnation: *id, seq: *seq }).collect())
    }

    async fn project(&self, batch: &[LoggedEvent], cursor: LogCursor) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        match &mut state.away_after {
            Some(0) => {
                state.away_after = None;
                let cause = "a test".into();
                return Err(StoreError::Unavailable { store: "analytics", cause });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        state.calls.push(batch.iter().map(|logged| logged.seq).collect());
        if batch.iter().any(|logged| self.poison.contains(&logged.event.id)) {
            return Err(StoreError::Corrupt { store: "analytics", cause: "poison".into() });
        }
        state.projected.extend(batch.iter().map(|logged| logged.event.id));
        let known = state.cursors.entry(cursor.incarnation).or_default();
        *known = cursor.seq.max(*known);
        Ok(())
    }

    async fn set_aside(&self, event: &LoggedEvent, reason: &str) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        state.aside.push((event.event.id, reason.to_owned()));
        state.cursors.insert(event.incarnation, event.seq);
        Ok(())
    }

    async fn totals(&self) -> Result<Vec<(String, u64)>, StoreError> {
        Ok(Vec::new())
    }

    async fn projected(&self, _incarnation: Incarnation) -> Result<u64, StoreError> {
        Ok(self.state.lock().unwrap().projected.len() as u64)
    }
}

fn ids(numbers: impl IntoIterator<Item = u16>) -> Vec<EventId> {
    numbers.into_iter().map(event_id).collect()
}

/// A log with events of one incarnation.
async fn log_of(run: u8, numbers: std::ops::RangeInclusive<u16>) -> Arc<ModelLog> {
    let log = Arc::new(ModelLog::default());
    log.open(incarnation(run), at(0)).await.unwrap();
    append(&log, run, numbers).await;
    log
}

async fn append(log: &ModelLog, run: u8, numbers: std::ops::RangeInclusive<u16>) {
    let events = numbers.map(|n| logged(run, n.into(), bare(n, &["feed:all"])));
    log.append(&Vec::from_iter(events)).await.unwrap();
}

fn projection(log: &Arc<ModelLog>, analytics: &Arc<PickyAnalytics>) -> Projection {
    let (log, analytics, metrics) = (log.clone(), analytics.clone(), Default::default());
    Projection { log, analytics, batch_max: 8, failpoints: Default::default(), metrics }
}

#[tokio::test]
async fn a_batch_is_halved_down_to_the_poison_and_that_is_set_aside() {
    let log = log_of(1, 1..=10).await;
    let poison = ids([3, 8]);
    let analytics = Arc::new(PickyAnalytics { poison, ..PickyAnalytics::default() });
    let projection = projection(&log, &analytics);
    assert_eq!(projection.project_all(incarnation(1)).await.unwrap(), 10);
    {
        let state = analytics.state.lock().unwrap();
        assert_eq!(state.projected, ids([1, 2, 4, 5, 6, 7, 9, 10]), "in order, each once");
        let aside: Vec<_> = state.aside.iter().map(|(id, _)| *id).collect();
        assert_eq!(aside, ids([3, 8]));
        assert!(state.aside[0].1.contains("poison"), "the reason is kept");
        assert_eq!(state.calls[0], Vec::from_iter(1..=8));
        assert_eq!(state.calls[1], Vec::from_iter(1..=4));
    }
    assert_eq!(analytics.cursors().await.unwrap(), [cursor(1, 10)]);
    assert_eq!(projection.project_all(incarnation(1)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_store_that_is_away_has_nothing_set_aside_and_goes_on_where_it_was() {
    let log = log_of(1, 1..=8).await;
    let analytics = Arc::new(PickyAnalytics { poison: ids([6]), ..PickyAnalytics::default() });
    // The whole, the first half; away at the second half.
    analytics.state.lock().unwrap().away_after = Some(2);
    let projection = projection(&log, &analytics);
    let error = projection.project_all(incarnation(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }));
    assert_eq!(analytics.cursors().await.unwrap(), [cursor(1, 4)]);
    assert_eq!(projection.project_all(incarnation(1)).await.unwrap(), 4);
    let state = analytics.state.lock().unwrap();
    assert_eq!(state.projected, ids([1, 2, 3, 4, 5, 7, 8]));
    assert_eq!(state.aside.len(), 1);
}

async fn broker(log: &Arc<ModelLog>) -> (Arc<dyn Broker>, mpsc::Receiver<Arriving>) {
    let (sink, deliveries) = mpsc::channel(64);
    let clock = Arc::new(ManualClock::at(at(1_000)));
    let broker = MemoryBroker::new(log.clone(), absent::present(), clock, sink).await.unwrap();
    broker.subscribe(&ChannelName::feed()).await.unwrap();
    (Arc::new(broker), deliveries)
}

fn catch_up(log: &Arc<ModelLog>, broker: Arc<dyn Broker>, to: &Arc<PickyAnalytics>) -> CatchUp {
    let namespaces = Arc::new(Namespaces::new([], None));
    CatchUp {
        runs: log.clone(),
        log: log.clone(),
        ledger: log.clone(),
        publisher: Arc::new(absent::publisher(broker, namespaces)),
        projection: projection(log, to),
    }
}

async fn open_cursors(log: &ModelLog) -> Vec<LogCursor> {
    log.all_open().await.unwrap().into_iter().map(|run| run.cursor).collect()
}

/// Finishes all runs but the second.
async fn finish_others(log: &ModelLog, catch_up: &CatchUp) -> Result<(), StoreError> {
    for run in log.all_open().await? {
        if run.cursor.incarnation != incarnation(2) {
            catch_up.finish(run).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_another_incarnation_left_is_finished_exactly_once() {
    let log = log_of(1, 1..=5).await;
    // It had relayed two and projected three when it ended.
    log.record(&[], cursor(1, 2)).await.unwrap();
    let analytics = Arc::new(PickyAnalytics::default());
    analytics.state.lock().unwrap().cursors.insert(incarnation(1), 3);
    // This node has an event of its own, on its way.
    log.open(incarnation(2), at(1)).await.unwrap();
    append(&log, 2, 9..=9).await;

    let (broker, mut deliveries) = broker(&log).await;
    let catch_up = catch_up(&log, broker, &analytics);
    for _ in 0..2 {
        finish_others(&log, &catch_up).await.unwrap();
        assert_eq!(open_cursors(&log).await, [cursor(2, 0)], "it was closed");
    }
    let mut delivered = Vec::new();
    while let Ok(delivery) = deliveries.try_recv().map(published) {
        delivered.extend(delivery.publication.event);
    }
    assert_eq!(delivered, ids(3..=5));
    assert_eq!(log.recorded(&ChannelName::feed()), ids(3..=5));
    assert_eq!(analytics.state.lock().unwrap().projected, ids(4..=5));
}

#[tokio::test]
async fn what_could_not_be_finished_stays_open() {
    let log = log_of(1, 1..=3).await;
    let analytics = Arc::new(PickyAnalytics::default());
    let (stopped, deliveries) = broker(&log).await;
    drop(deliveries);
    let unrelayed = finish_others(&log, &catch_up(&log, stopped, &analytics)).await;
    assert!(unrelayed.is_err());
    assert_eq!(open_cursors(&log).await, [cursor(1, 0)]);
    assert_eq!(analytics.state.lock().unwrap().projected, ids(1..=3), "that store is there");

    append(&log, 1, 4..=4).await;
    analytics.state.lock().unwrap().away_after = Some(0);
    let (broker, mut deliveries) = broker(&log).await;
    let catch_up = catch_up(&log, broker, &analytics);
    assert!(finish_others(&log, &catch_up).await.is_err(), "the projection is due");
    assert_eq!(open_cursors(&log).await, [cursor(1, 4)]);
    finish_others(&log, &catch_up).await.unwrap();
    assert_eq!(open_cursors(&log).await, []);
    for n in 1..=4 {
        assert_eq!(published(deliveries.try_recv().unwrap()).publication.event, Some(event_id(n)));
    }
    assert!(deliveries.try_recv().is_err());
    assert_eq!(analytics.state.lock().unwrap().projected, ids(1..=4));
}

#[tokio::test]
async fn an_event_that_only_its_document_has_is_committed_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(Schema::Log.file_name());
    let db = Database::open(&path, Schema::Log, true).await.unwrap();
    let content = Arc::new(SqliteContent::new(db, true, Arc::new(ManualClock::at(at(0)))));
    let log = log_of(1, 1..=1).await;
    let events: Vec<_> = (1..=4).map(|n: u8| posted(u16::from(n) * 1_000, &post(n))).collect();
    for (n, event) in (1..).zip(&events) {
        content.create_post(&post(n), event).await.unwrap();
    }
    // The log has the second; the fourth is too young.
    log.append(&[logged(1, 2, events[1].clone())]).await.unwrap();
    let clock = Arc::new(ManualClock::at(at(8_999)));
    let min_age = Duration::from_secs(5);
    let sweep = ContentSweep { content, log: log.clone(), clock: clock.clone(), min_age };
    let committed = Mutex::new(Vec::new());
    let commit = |takes: bool| {
        let (log, committed) = (log.clone(), &committed);
        move |event: crate::domain::event::Event| {
            let log = log.clone();
            let seq = {
                let mut committed = committed.lock().unwrap();
                committed.push(event.id);
                committed.len() as u64 + 10
            };
            async move { takes && log.append(&[logged(1, seq, event)]).await.is_ok() }
        }
    };
    let take = || std::mem::take(&mut *committed.lock().unwrap());

    // As long as the log does not take it, the sweep begins where it began.
    assert_eq!(sweep.run(at(0), commit(false)).await.unwrap(), None);
    assert_eq!(take(), [events[0].id]);
    let until = sweep.run(at(0), commit(true)).await.unwrap().unwrap();
    assert_eq!(take(), [events[0].id, events[2].id]);
    assert_eq!(until, at(3_999));
    sweep.run(at(0), commit(true)).await.unwrap();
    assert_eq!(take(), []);
    clock.advance(Duration::from_millis(2));
    sweep.run(until, commit(true)).await.unwrap();
    assert_eq!(take(), [events[3].id], "it is old enough now");
}
