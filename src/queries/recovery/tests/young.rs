//! An epoch that has just begun, while what was relayed in the one before is still being recorded.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::time::Instant;

use super::super::*;
use crate::adapters::contract::model::{ModelLog, bare};
use crate::adapters::contract::{absent, at, cursor, event_id, incarnation, logged};
use crate::domain::namespace::HistoryRecovery;
use crate::domain::publication::Passage;
use crate::ports::broker::Outgoing;
use crate::ports::event_log::{EventLog, RelayRecord};
use crate::ports::runs::Runs;

/// A channel without publications whose epochs begin when they are told to.
struct Young {
    epoch: AtomicU64,
    began: std::sync::Mutex<Instant>,
}

impl Young {
    fn begin(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        *self.began.lock().unwrap() = Instant::now();
    }
}

#[async_trait]
impl Broker for Young {
    async fn publish(&self, _: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError> {
        Ok(Vec::new())
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
        let epoch = Epoch::from_number(self.epoch.load(Ordering::SeqCst));
        let age = self.began.lock().unwrap().elapsed();
        let top = StreamPosition { epoch, offset: 0 };
        Ok(HistoryPage { top, seeded_through: 0, oldest: 1, publications: Vec::new(), age })
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_after_its_epoch_ended_is_recovered() {
    let (log, channel) = (Arc::new(ModelLog::default()), ChannelName::feed());
    log.open(incarnation(1), at(0)).await.unwrap();
    log.append(&[logged(1, 1, bare(1, &["feed:all"]))]).await.unwrap();
    let (epoch, began) = (AtomicU64::new(7), std::sync::Mutex::new(Instant::now()));
    let broker = Arc::new(Young { epoch, began });
    let (ledger, present) = (log.clone(), absent::present());
    let limit = PageLimit { publications: 10, bytes: 1_000 };
    let recovery = Recovery { broker: broker.clone(), ledger, present, limit };
    let was = StreamPosition { epoch: Epoch::from_number(7), offset: 1 };
    broker.begin();
    let recorded = async {
        // And while that is waited for, another epoch begins.
        tokio::time::sleep(Duration::from_millis(700)).await;
        broker.begin();
        tokio::time::sleep(Duration::from_millis(900)).await;
        let relay = RelayRecord { channel: channel.clone(), position: was, event: event_id(1) };
        log.record(&[relay], cursor(1, 1)).await.unwrap();
    };
    let options = ChannelOptions {
        history_size: 10,
        history_ttl: Duration::from_secs(60),
        durable: true,
        history_recovery: HistoryRecovery::Log,
        ..ChannelOptions::default()
    };
    let since = Since { epoch: Epoch::from_number(7).as_str().to_owned(), offset: 0 };
    let (page, ()) = tokio::join!(recovery.missed(&channel, &options, &since), recorded);
    let page = page.unwrap().expect("the log has what came after");
    let events: Vec<_> = page.publications.iter().map(|one| one.event).collect();
    assert_eq!(events, [Some(event_id(1))]);
    assert_eq!(page.position.epoch, Epoch::from_number(9));
}
