//! What the outbound relay promises: everything committed, in order, recorded only once it is out.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::adapters::contract::model::{ModelLog, bare};
use crate::adapters::contract::{absent, at, event_id, incarnation, logged, published};
use crate::adapters::memory::broker::MemoryBroker;
use crate::adapters::memory::manual_clock::ManualClock;
use crate::domain::channel::ChannelName;
use crate::domain::ids::EventId;
use crate::domain::namespace::ChannelOptions;
use crate::domain::namespace::Namespaces;
use crate::domain::publication::{Passage, StreamPosition};
use crate::ports::StoreError;
use crate::ports::broker::{Arriving, Broker, Outgoing, Retention};
use crate::ports::broker::{HistoryPage, HistoryQuery};

const FEED: &str = "feed:all";
/// A durable channel without history: the broker cannot tell a repeat.
const PLAIN: &str = "plain:x";

/// Publishes when it is let, and fails as often as it is told.
struct FlakyBroker {
    inner: MemoryBroker,
    /// One permit a call.
    gate: Semaphore,
    /// How many entries the next calls carry out before they fail.
    failures: Mutex<VecDeque<usize>>,
}

#[async_trait]
impl Broker for FlakyBroker {
    async fn publish(&self, batch: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError> {
        self.gate.acquire().await.unwrap().forget();
        let failure = self.failures.lock().unwrap().pop_front();
        let Some(done) = failure else { return self.inner.publish(batch).await };
        self.inner.publish(&batch[..done.min(batch.len())]).await?;
        Err(StoreError::Unavailable { store: "realtime", cause: "a test".into() })
    }

    async fn announce(&self, passage: &Passage) -> Result<(), StoreError> {
        self.inner.announce(passage).await
    }

    async fn subscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.inner.subscribe(channel).await
    }

    async fn unsubscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.inner.unsubscribe(channel).await
    }

    async fn clear(&self, channel: &ChannelName, retention: Retention) -> Result<(), StoreError> {
        self.inner.clear(channel, retention).await
    }

    async fn history(
        &self,
        channel: &ChannelName,
        retention: Retention,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        self.inner.history(channel, retention, query).await
    }
}

struct Bench {
    outbound: Outbound,
    broker: Arc<FlakyBroker>,
    log: Arc<ModelLog>,
    relay: JoinHandle<()>,
    recorded: mpsc::Receiver<Relayed>,
    deliveries: mpsc::Receiver<Arriving>,
}

impl Bench {
    /// A relay whose queue holds `queue_max` and whose batches `batch_max` events.
    async fn new(queue_max: usize, batch_max: usize) -> Self {
        let log = Arc::new(ModelLog::default());
        let (sink, deliveries) = mpsc::channel(10_000);
        let clock = Arc::new(ManualClock::at(at(0)));
        let inner = MemoryBroker::new(log.clone(), absent::present(), clock, sink).await.unwrap();
        for name in [FEED, PLAIN] {
            inner.subscribe(&ChannelName::built_in(name.into())).await.unwrap();
        }
        let (gate, failures) = (Semaphore::new(0), Mutex::default());
        let broker = Arc::new(FlakyBroker { inner, gate, failures });
        let plain = ChannelOptions { durable: true, ..ChannelOptions::default() };
        let namespaces = Arc::new(Namespaces::new([("plain".to_owned(), plain)], None));
        let publisher = Arc::new(absent::publisher(broker.clone(), namespaces));
        let (recorder, recorded) = mpsc::channel(10_000);
        let run = incarnation(1);
        let (outbound, relay) =
            OutboundRelay::new(publisher, log.clone(), run, recorder, queue_max, batch_max);
        let relay = tokio::spawn(relay.run());
        Self { outbound, broker, log, relay, recorded, deliveries }
    }

    /// Appends events with these numbers, without offering them.
    async fn append(&self, numbers: std::ops::RangeInclusive<u16>, channels: &[&str]) {
        let events = numbers.map(|n| logged(1, n.into(), bare(n, channels)));
        self.log.append(&Vec::from_iter(events)).await.unwrap();
    }

    /// Offers events, and lets the relay do what it can.
    async fn offer(
        &self,
        numbers: std::ops::RangeInclusive<u16>,
        channels: &[&str],
    ) -> Vec<oneshot::Receiver<Positions>> {
        let (relaying, receivers): (Vec<_>, Vec<_>) = numbers
            .map(|n| {
                let (done, receiver) = oneshot::channel();
                (Relaying { logged: logged(1, n.into(), bare(n, channels)), done }, receiver)
            })
            .unzip();
        self.outbound.offer(relaying);
        settle().await;
        receivers
    }

    fn allow(&self, calls: usize) {
        self.broker.gate.add_permits(calls);
    }

    async fn delivered(&mut self, count: usize) -> Vec<EventId> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let wait = tokio::time::timeout(Duration::from_secs(30), self.deliveries.recv());
            let delivery = published(wait.await.expect("a delivery is due").unwrap());
            ids.extend(delivery.publication.event);
        }
        ids
    }

    /// Ends the relay and checks what it left to be recorded: a cursor stands
    /// for nothing but what is recorded with it or was before.
    async fn finish(mut self, relayed: &[u16]) {
        drop(self.outbound);
        let wait = tokio::time::timeout(Duration::from_secs(30), self.relay);
        wait.await.expect("the relay ends").unwrap();
        assert!(self.deliveries.try_recv().is_err(), "nothing is published twice");
        let mut records = Vec::new();
        while let Ok(batch) = self.recorded.try_recv() {
            records.extend(batch.records.iter().map(|record| record.event));
            let through = relayed.iter().filter(|n| u64::from(**n) <= batch.cursor.seq);
            assert_eq!(records, Vec::from_iter(through.map(|n| event_id(*n))));
        }
        assert_eq!(records.len(), relayed.len());
    }
}

/// Lets every task do what it can without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn ids(numbers: std::ops::RangeInclusive<u16>) -> Vec<EventId> {
    numbers.map(event_id).collect()
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_into_the_queue_is_read_from_the_log() {
    let mut bench = Bench::new(2, 3).await;
    bench.append(1..=10, &[FEED]).await;
    let mut waiting = bench.offer(1..=10, &[FEED]).await;
    assert!(waiting[0].try_recv().is_err(), "nobody is told before the broker has it");
    bench.allow(100);
    assert_eq!(bench.delivered(10).await, ids(1..=10));
    for (n, receiver) in (1..).zip(waiting) {
        match receiver.await {
            Ok(positions) => assert_eq!(positions[0].as_ref().unwrap().offset, n),
            Err(_) => assert!(n > 2, "what was queued learns its position"),
        }
    }
    bench.finish(&Vec::from_iter(1..=10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_queue_is_filled_before_what_comes_after_it() {
    let mut bench = Bench::new(2, 2).await;
    bench.append(1..=7, &[FEED]).await;
    bench.offer(1..=2, &[FEED]).await;
    // The relay waits for the broker; 3 and 4 are queued, 5 and 6 do not fit.
    bench.offer(3..=6, &[FEED]).await;
    bench.allow(1);
    assert_eq!(bench.delivered(2).await, ids(1..=2));
    settle().await;
    bench.offer(7..=7, &[FEED]).await;
    bench.allow(100);
    assert_eq!(bench.delivered(5).await, ids(3..=7));
    bench.finish(&Vec::from_iter(1..=7)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_when_the_entrance_closes_is_relayed_before_the_end() {
    let bench = Bench::new(1, 2).await;
    bench.append(1..=6, &[FEED]).await;
    bench.offer(1..=6, &[FEED]).await;
    bench.allow(100);
    let Bench { outbound, broker, log, relay, recorded, mut deliveries } = bench;
    drop(outbound);
    relay.await.unwrap();
    for n in 1..=6 {
        assert_eq!(published(deliveries.try_recv().unwrap()).publication.event, Some(event_id(n)));
    }
    drop((broker, log, recorded));
}

#[tokio::test(start_paused = true)]
async fn a_failing_broker_is_tried_again_and_the_order_kept() {
    let mut bench = Bench::new(10, 4).await;
    // Nothing, a part, all but the answer, and once more nothing.
    bench.broker.failures.lock().unwrap().extend([0, 2, 4, 0]);
    bench.append(1..=7, &[FEED]).await;
    bench.allow(100);
    let waiting = bench.offer(1..=7, &[FEED]).await;
    assert_eq!(bench.delivered(7).await, ids(1..=7));
    for (n, receiver) in (1..).zip(waiting) {
        assert_eq!(receiver.await.unwrap()[0].as_ref().unwrap().offset, n);
    }
    bench.finish(&Vec::from_iter(1..=7)).await;
}

#[tokio::test(start_paused = true)]
async fn numbers_that_the_log_lacks_hold_nothing_up() {
    let mut bench = Bench::new(1, 2).await;
    // 2 and 4 were in the log already, under other numbers.
    for n in [1, 3, 5] {
        bench.append(n..=n, &[FEED]).await;
    }
    bench.offer(1..=4, &[FEED]).await;
    bench.allow(100);
    assert_eq!(bench.delivered(2).await, [event_id(1), event_id(3)]);
    bench.offer(5..=5, &[FEED]).await;
    assert_eq!(bench.delivered(1).await, ids(5..=5));
    bench.finish(&[1, 3, 5]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_published_twice_when_relay_and_offers_race() {
    const COUNT: u16 = 20_000;
    let mut bench = Bench::new(16, 8).await;
    bench.append(1..=COUNT, &[PLAIN]).await;
    bench.allow(usize::from(COUNT) * 2);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    for n in 1..=COUNT {
        let (done, _) = oneshot::channel();
        let logged = logged(1, n.into(), bare(n, &[PLAIN]));
        bench.outbound.offer(vec![Relaying { logged, done }]);
        // The next is offered at every moment of the relay's end with this one.
        let delivery = loop {
            match bench.deliveries.try_recv().map(published) {
                Ok(delivery) => break delivery,
                Err(_) => assert!(std::time::Instant::now() < deadline, "a delivery is due"),
            }
        };
        assert_eq!(delivery.publication.event, Some(event_id(n)));
        while bench.recorded.try_recv().is_ok() {}
        (0..n % 256).for_each(|_| std::hint::spin_loop());
    }
    drop(bench.outbound);
    bench.relay.await.unwrap();
    assert!(bench.deliveries.try_recv().is_err());
}
