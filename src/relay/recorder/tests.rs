//! What is recorded late, while epochs end.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::*;
use crate::adapters::contract::model::{ModelLog, bare};
use crate::adapters::contract::{absent, at, event_id, incarnation, logged};
use crate::domain::channel::ChannelName;
use crate::domain::namespace::Namespaces;
use crate::domain::publication::{Epoch, Passage, StreamPosition};
use crate::domain::time::Timestamp;
use crate::ports::broker::{Broker, HistoryPage, HistoryQuery, Outgoing, Retention};
use crate::ports::event_log::RelayedEvent;
use crate::ports::runs::Runs;

/// Publishes each event at the same offset in whatever epoch there is.
#[derive(Default)]
struct OneEpoch {
    epoch: AtomicU64,
    published: Mutex<Vec<(u64, crate::domain::ids::EventId)>>,
}

#[async_trait]
impl Broker for OneEpoch {
    async fn publish(&self, batch: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let mut published = self.published.lock().unwrap();
        let place = |outgoing: &Outgoing| {
            published.push((epoch, outgoing.event.unwrap()));
            let offset = u64::try_from(outgoing.body.data.get().len()).unwrap();
            Some(StreamPosition { epoch: Epoch::from_number(epoch), offset })
        };
        Ok(batch.iter().map(place).collect())
    }

    async fn announce(&self, _: &Passage) -> Result<(), StoreError> {
        Ok(())
    }

    async fn subscribe(&self, _: &ChannelName) -> Result<(), StoreError> {
        Ok(())
    }

    async fn unsubscribe(&self, _: &ChannelName) -> Result<(), StoreError> {
        Ok(())
    }

    async fn clear(&self, _: &ChannelName, _: Retention) -> Result<(), StoreError> {
        Ok(())
    }

    async fn history(
        &self,
        _: &ChannelName,
        _: Retention,
        _: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        Err(StoreError::Unavailable { store: "realtime", cause: "nobody reads here".into() })
    }
}

/// A ledger whose first writes take long, while the broker's epoch ends.
struct SlowLedger {
    model: Arc<ModelLog>,
    broker: Arc<OneEpoch>,
    /// How long each of the next writes takes, and how many epochs end meanwhile; the last comes first.
    writes: Mutex<Vec<(Duration, u64)>>,
}

#[async_trait]
impl RelayLedger for SlowLedger {
    async fn record(&self, relays: &[RelayRecord], cursor: LogCursor) -> Result<(), StoreError> {
        let next = self.writes.lock().unwrap().pop();
        if let Some((time, epochs)) = next {
            self.broker.epoch.fetch_add(epochs, Ordering::SeqCst);
            tokio::time::sleep(time).await;
        }
        self.model.record(relays, cursor).await
    }

    async fn relayed_after(
        &self,
        channel: &ChannelName,
        since: &StreamPosition,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError> {
        self.model.relayed_after(channel, since, limit).await
    }

    async fn latest_relayed(
        &self,
        channel: &ChannelName,
        not_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<RelayedEvent>, StoreError> {
        self.model.latest_relayed(channel, not_before, limit).await
    }

    async fn count_run(&self) -> Result<u32, StoreError> {
        self.model.count_run().await
    }

    async fn last_epoch(&self) -> Result<Option<Epoch>, StoreError> {
        self.model.last_epoch().await
    }
}

/// Records the relay of one event while the ledger writes as slowly as told; returns in which epochs it was published,
/// and in which it was recorded.
async fn record(writes: &[(Duration, u64)]) -> (Vec<u64>, Vec<u64>) {
    let (model, broker) = (Arc::new(ModelLog::default()), Arc::new(OneEpoch::default()));
    model.open(incarnation(1), at(0)).await.unwrap();
    let event = logged(1, 1, bare(1, &["feed:all"]));
    model.append(std::slice::from_ref(&event)).await.unwrap();
    let namespaces = Arc::new(Namespaces::new([], None));
    let publisher = Arc::new(absent::publisher(broker.clone(), namespaces));
    let asked_at = Instant::now();
    let (_, records) = publisher.publish([&event.event]).await.unwrap();
    let writes = Mutex::new(writes.iter().rev().copied().collect());
    let slow = SlowLedger { model: model.clone(), broker: broker.clone(), writes };
    let recorder = Recorder { ledger: Arc::new(slow), log: model.clone(), publisher };
    let (sender, recording) = recorder.start();
    let cursor = LogCursor { incarnation: incarnation(1), seq: 1 };
    let relayed = Relayed { records, after: 0, cursor, asked_at };
    assert!(sender.send(relayed).await.is_ok());
    drop(sender);
    recording.await.unwrap();
    let start = StreamPosition { epoch: Epoch::from_number(0), offset: 0 };
    let recorded = model.relayed_after(&ChannelName::feed(), &start, 10).await.unwrap();
    assert!(recorded.iter().all(|relayed| relayed.event.id == event_id(1)));
    let published = broker.published.lock().unwrap().iter().map(|(epoch, _)| *epoch).collect();
    (published, recorded.iter().map(|relayed| relayed.position.epoch.number()).collect())
}

const LATE: Duration = Duration::from_millis(1_100);

#[tokio::test(start_paused = true)]
async fn what_is_recorded_in_time_is_published_once() {
    assert_eq!(record(&[(Duration::from_millis(900), 1)]).await, (vec![0], vec![0]));
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_late_is_told_again_until_its_epoch_goes_on() {
    assert_eq!(record(&[(LATE, 1)]).await, (vec![0, 1], vec![0, 1]));
    assert_eq!(record(&[(LATE, 1), (LATE, 1)]).await, (vec![0, 1, 2], vec![0, 1, 2]));
    // However slow the ledger is, a place that stands is looked at once.
    assert_eq!(record(&[(LATE, 0), (LATE, 0)]).await, (vec![0, 0], vec![0]));
}
