//! The contracts, and what only these adapters promise.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::broker::MemoryBroker;
use super::manual_clock::ManualClock;
use super::presence::MemoryPresence;
use super::rate_limits::MemoryRateLimits;
use super::session_cache::MemorySessionCache;
use crate::adapters::contract::broker::BrokerSubject;
use crate::adapters::contract::model::{ModelLog, bare};
use crate::adapters::contract::rate_limits::{LimitsSubject, quota, writes_of};
use crate::adapters::contract::session_cache;
use crate::adapters::contract::{
    Subject, absent, at, cursor, event_id, incarnation, logged, published,
};
use crate::domain::channel::ChannelName;
use crate::domain::event::Event;
use crate::domain::publication::{Epoch, StreamPosition};
use crate::ports::broker::{Arriving, Broker, HistoryPage, HistoryQuery, Outgoing, Retention};
use crate::ports::clock::Clock;
use crate::ports::event_log::{EventLog, RelayLedger, RelayRecord};
use crate::ports::presence::Presence;
use crate::ports::rate_limits::RateLimits;
use crate::ports::runs::Runs;
use crate::ports::session_cache::SessionCache;

const TTL: Duration = Duration::from_secs(60);
const KEPT: Retention = Retention { size: 3, ttl: TTL };
const ALL: HistoryQuery = HistoryQuery { since: None, limit: usize::MAX, reverse: false };

mod inspection {
    use super::*;
    use crate::adapters::memory::inspect::MemoryInspector;
    use crate::ports::inspection::Inspect;

    async fn fresh() -> Subject<dyn Inspect> {
        Subject { port: Arc::new(MemoryInspector), keep: Box::new(()) }
    }

    crate::adapters::contract::inspection::inspection_contract!(fresh);
}

mod presence {
    use super::*;

    async fn fresh() -> Subject<dyn Presence> {
        Subject { port: Arc::new(MemoryPresence::default()), keep: Box::new(()) }
    }

    crate::adapters::contract::presence::presence_contract!(fresh);
}

mod session_cache_contract {
    use super::*;

    async fn fresh() -> Subject<dyn SessionCache> {
        Subject { port: Arc::new(MemorySessionCache::default()), keep: Box::new(()) }
    }

    session_cache::session_cache_contract!(fresh);

    #[tokio::test]
    async fn however_many_sessions_there_are_few_are_held_and_the_latest_among_them() {
        let cache = MemorySessionCache::holding(10);
        for n in 0..=255 {
            cache.put(&session_cache::entry(n), TTL).await.unwrap();
            assert!(cache.entries() <= 20, "{}", cache.entries());
        }
        for n in 246..=255 {
            let entry = session_cache::entry(n);
            let token = entry.signed_in.session.token;
            assert_eq!(cache.get(&token).await.unwrap(), Some(entry), "{n}");
        }
    }
}

mod broker {
    use super::*;

    async fn fresh() -> BrokerSubject {
        let clock = Arc::new(ManualClock::at(at(0)));
        let (sink, deliveries) = mpsc::channel(64);
        let ledger = Arc::new(ModelLog::default());
        let broker =
            MemoryBroker::new(ledger, absent::present(), clock.clone(), sink).await.unwrap();
        let pass = Box::new(move |duration| clock.advance(duration));
        BrokerSubject { broker: Arc::new(broker), deliveries, pass, keep: Box::new(()) }
    }

    crate::adapters::contract::broker::broker_contract!(fresh);
    crate::adapters::contract::broker_versions::broker_versions_contract!(fresh);
}

mod rate_limits {
    use super::*;

    async fn fresh() -> LimitsSubject {
        let clock = Arc::new(ManualClock::at(at(0)));
        let limits = Arc::new(MemoryRateLimits::new(clock.clone()));
        let pass = Box::new(move |duration| clock.advance(duration));
        LimitsSubject { limits, pass, keep: Box::new(()) }
    }

    crate::adapters::contract::rate_limits::rate_limits_contract!(fresh);

    #[tokio::test]
    async fn idle_keys_are_dropped() {
        let clock = Arc::new(ManualClock::at(at(0)));
        let limits = MemoryRateLimits::new(clock.clone()).keeping(10, usize::MAX);
        for user in 0..1_000 {
            assert!(limits.take(&writes_of(user), quota(60)).await.unwrap().allowed);
            clock.advance(Duration::from_secs(1));
            // What was taken has come back, so that all but the keys since the last sweep are gone.
            assert!(limits.keys() <= 12, "{user}: {}", limits.keys());
        }
    }

    #[tokio::test]
    async fn a_flood_of_keys_is_forgotten_as_a_whole() {
        let clock = Arc::new(ManualClock::at(at(0)));
        let limits = MemoryRateLimits::new(clock).keeping(10, 100);
        for user in 0..1_000 {
            assert!(limits.take(&writes_of(user), quota(1)).await.unwrap().allowed);
            assert!(limits.keys() <= 110, "{user}: {}", limits.keys());
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_keeps_nobody_away() {
        let clock = Arc::new(ManualClock::at(at(0)));
        let limits = MemoryRateLimits::new(clock.clone());
        assert!(limits.take(&writes_of(42), quota(1)).await.unwrap().allowed);
        clock.set(at(-3_600_000));
        let refused = limits.take(&writes_of(42), quota(1)).await.unwrap();
        assert_eq!((refused.allowed, refused.retry_after), (false, TTL));
        clock.advance(TTL);
        assert!(limits.take(&writes_of(42), quota(1)).await.unwrap().allowed);
    }
}

/// A broker of one run over `log`, at `millis` after the beginning.
async fn run(
    log: &Arc<ModelLog>,
    millis: i64,
) -> (MemoryBroker, Arc<ManualClock>, mpsc::Receiver<Arriving>) {
    let clock = Arc::new(ManualClock::at(at(millis)));
    let (sink, deliveries) = mpsc::channel(64);
    let ledger: Arc<dyn RelayLedger> = log.clone();
    let clock_port: Arc<dyn Clock> = clock.clone();
    (
        MemoryBroker::new(ledger, absent::present(), clock_port, sink).await.unwrap(),
        clock,
        deliveries,
    )
}

async fn publish(broker: &MemoryBroker, event: &Event) -> StreamPosition {
    let outgoing = Outgoing {
        channel: ChannelName::feed(),
        event: Some(event.id),
        body: absent::body_of(event),
        retention: Some(KEPT),
        version: None,
    };
    broker.publish(&[outgoing]).await.unwrap().pop().unwrap().unwrap()
}

async fn record(log: &ModelLog, n: u16, position: &StreamPosition) {
    let relay = RelayRecord {
        channel: ChannelName::feed(),
        position: position.clone(),
        event: event_id(n),
    };
    log.record(&[relay], cursor(1, n.into())).await.unwrap();
}

async fn feed(broker: &MemoryBroker) -> HistoryPage {
    broker.history(&ChannelName::feed(), KEPT, &ALL).await.unwrap()
}

fn numbers(page: &HistoryPage) -> Vec<(u64, Option<crate::domain::ids::EventId>)> {
    page.publications.iter().map(|p| (p.offset, p.event)).collect()
}

/// A log in which the events 1 to `count` were appended, relayed by one run and recorded.
async fn after_one_run(count: u16) -> (Arc<ModelLog>, Vec<Event>, Epoch) {
    let log = Arc::new(ModelLog::default());
    log.open(incarnation(1), at(0)).await.unwrap();
    let events: Vec<_> = (1..=count).map(|n| bare(n, &["feed:all"])).collect();
    let (broker, _clock, _deliveries) = run(&log, 1_000).await;
    let epoch = feed(&broker).await.top.epoch;
    for (n, event) in (1..).zip(&events) {
        log.append(&[logged(1, n.into(), event.clone())]).await.unwrap();
        let position = publish(&broker, event).await;
        record(&log, n, &position).await;
    }
    (log, events, epoch)
}

#[tokio::test]
async fn a_new_run_begins_a_later_epoch_with_the_latest_of_earlier_ones() {
    let (log, events, first) = after_one_run(5).await;
    let (broker, _, mut deliveries) = run(&log, 2_000).await;
    broker.subscribe(&ChannelName::feed()).await.unwrap();
    let page = feed(&broker).await;
    assert!(page.top.epoch > first);
    assert_eq!((page.top.offset, page.seeded_through, page.oldest), (3, 3, 1));
    let kept = [(1, 3), (2, 4), (3, 5)].map(|(offset, n)| (offset, Some(event_id(n))));
    assert_eq!(numbers(&page), kept);
    let expected = absent::body_of(&events[4]);
    assert_eq!(page.publications[2].body, expected);
    // One of them again changes nothing, a new one comes after them.
    assert_eq!(publish(&broker, &events[3]).await.offset, 2);
    let new = bare(6, &["feed:all"]);
    assert_eq!(publish(&broker, &new).await.offset, 4);
    let page = feed(&broker).await;
    assert_eq!((page.seeded_through, page.oldest), (3, 2));
    let delivered = published(deliveries.try_recv().unwrap()).publication;
    assert_eq!((delivered.offset, delivered.event), (4, Some(new.id)));
    assert!(deliveries.try_recv().is_err(), "the past is not delivered");
}

#[tokio::test]
async fn the_past_of_a_new_run_is_within_the_ttl() {
    let (log, ..) = after_one_run(3).await;
    // The events happened at 1, 2 and 3 ms.
    let ttl = i64::try_from(TTL.as_millis()).unwrap();
    let (broker, clock, _deliveries) = run(&log, ttl + 2).await;
    assert_eq!(numbers(&feed(&broker).await), [(1, Some(event_id(2))), (2, Some(event_id(3)))]);
    clock.advance(Duration::from_millis(1));
    let page = feed(&broker).await;
    assert_eq!((page.seeded_through, numbers(&page)), (2, vec![(2, Some(event_id(3)))]));
    let (broker, _clock, _deliveries) = run(&log, 2 * ttl).await;
    let page = feed(&broker).await;
    assert_eq!((page.seeded_through, page.top.offset, page.oldest), (0, 0, 1));
}

#[tokio::test]
async fn epochs_grow_although_the_clock_was_set_back() {
    let (log, events, first) = after_one_run(1).await;
    let (broker, _clock, _deliveries) = run(&log, -5_000).await;
    let second = publish(&broker, &bare(2, &["feed:all"])).await;
    assert!(second.epoch > first);
    log.append(&[logged(1, 2, bare(2, &["feed:all"]))]).await.unwrap();
    record(&log, 2, &second).await;
    let (broker, _clock, _deliveries) = run(&log, -5_000).await;
    assert!(publish(&broker, &events[0]).await.epoch > second.epoch);
}

#[tokio::test]
async fn runs_of_which_nothing_was_recorded_have_epochs_of_their_own_at_the_same_time() {
    let log = Arc::new(ModelLog::default());
    let (first, _, _deliveries) = run(&log, 5).await;
    let first = feed(&first).await.top.epoch;
    let (second, _, _deliveries) = run(&log, 5).await;
    let second = feed(&second).await.top.epoch;
    assert!(first < second, "{first:?}, then {second:?}");
}

#[tokio::test]
async fn a_stream_that_was_forgotten_begins_a_later_epoch_although_the_clock_was_set_back() {
    let (log, ..) = after_one_run(1).await;
    let (broker, clock, _deliveries) = run(&log, -9_000_000).await;
    let idle = ChannelName::tag("idle");
    let before = broker.history(&idle, KEPT, &ALL).await.unwrap().top.epoch;
    clock.advance(2 * TTL);
    // So many streams that the idle ones among them are dropped.
    for n in 0..70_000 {
        let name = ChannelName::tag(&n.to_string());
        broker.history(&name, KEPT, &ALL).await.unwrap();
    }
    let after = broker.history(&idle, KEPT, &ALL).await.unwrap().top.epoch;
    assert!(after > before, "the offsets of an epoch are used once");
}

#[tokio::test]
async fn a_broker_whose_node_is_gone_says_so() {
    let log = Arc::new(ModelLog::default());
    let (broker, _, deliveries) = run(&log, 0).await;
    drop(deliveries);
    let event = bare(1, &["feed:all"]);
    let outgoing = Outgoing {
        channel: ChannelName::feed(),
        event: Some(event.id),
        body: absent::body_of(&event),
        retention: Some(KEPT),
        version: None,
    };
    assert!(broker.publish(&[outgoing]).await.is_err());
}

#[tokio::test]
async fn histories_stay_within_their_bytes_and_what_is_dropped_is_the_oldest() {
    let log = Arc::new(ModelLog::default());
    let (broker, _, _deliveries) = run(&log, 0).await;
    let broker = broker.holding_at_most(4_000);
    let retention = Retention { size: 1_000, ttl: Duration::from_secs(3_600) };
    for n in 1..=40 {
        let event = crate::adapters::contract::publication(n);
        let body = absent::body_of(&event);
        let (channel, event) = (ChannelName::feed(), Some(event.id));
        broker
            .publish(&[Outgoing {
                channel,
                event,
                body,
                retention: Some(retention),
                version: None,
            }])
            .await
            .unwrap();
        assert!(broker.held_bytes() <= 4_000, "{} bytes after {n}", broker.held_bytes());
    }
    let page = broker.history(&ChannelName::feed(), retention, &ALL).await.unwrap();
    assert_eq!(page.top.offset, 40);
    assert_eq!(page.publications.last().map(|last| last.offset), Some(40));
    assert!(page.oldest > 1 && page.publications.len() > 1, "{page:?}");
}
