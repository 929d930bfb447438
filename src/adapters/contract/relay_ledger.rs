//! What adapters of [`RelayLedger`](crate::ports::event_log::RelayLedger) are held to.

use crate::domain::channel::ChannelName;
use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::domain::publication::{Epoch, StreamPosition};
use crate::ports::event_log::{LogCursor, RelayRecord, RelayedEvent};

use super::{Log, at, cursor, event_id, incarnation, logged, publication};

/// Makes a test of each promise.
macro_rules! relay_ledger_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::relay_ledger,
            $factory,
            [
                a_cursor_never_moves_back,
                records_and_cursor_are_both_written_or_neither,
                relays_are_read_by_epoch_then_offset_after_any_place,
                a_record_that_is_there_stays_as_it_is,
                the_latest_events_come_once_at_their_last_place_oldest_first,
                the_last_epoch_is_that_of_any_channel,
                runs_are_counted_up_whoever_counts_them,
            ]
        );
    };
}
pub(crate) use relay_ledger_contract;

fn position(epoch: u64, offset: u64) -> StreamPosition {
    StreamPosition { epoch: Epoch::from_number(epoch), offset }
}

fn relay(channel: &ChannelName, epoch: u64, offset: u64, event: EventId) -> RelayRecord {
    RelayRecord { channel: channel.clone(), position: position(epoch, offset), event }
}

fn relayed(epoch: u64, offset: u64, event: Event) -> RelayedEvent {
    RelayedEvent { position: position(epoch, offset), event }
}

/// The relay cursors of the open runs.
async fn cursors(log: &Log) -> Vec<LogCursor> {
    log.runs.all_open().await.unwrap().into_iter().map(|run| run.cursor).collect()
}

/// A log with the events 1 to 9 of an open incarnation.
async fn filled(factory: impl AsyncFnOnce() -> Log) -> Log {
    let log = factory().await;
    let run = incarnation(1);
    log.runs.open(run, at(0)).await.unwrap();
    let events: Vec<_> = (1..=9).map(|n| logged(1, n.into(), publication(n))).collect();
    log.events.append(&events).await.unwrap();
    log
}

pub async fn a_cursor_never_moves_back(factory: impl AsyncFnOnce() -> Log) {
    let log = filled(factory).await;
    let feed = ChannelName::feed();
    log.ledger.record(&[], cursor(1, 5)).await.unwrap();
    let late = [relay(&feed, 1, 1, event_id(1))];
    log.ledger.record(&late, cursor(1, 3)).await.unwrap();
    assert_eq!(cursors(&log).await, [cursor(1, 5)]);
    let after = log.ledger.relayed_after(&feed, &position(0, 0), 9).await;
    assert_eq!(after.unwrap(), [relayed(1, 1, publication(1))]);
}

pub async fn records_and_cursor_are_both_written_or_neither(factory: impl AsyncFnOnce() -> Log) {
    let log = filled(factory).await;
    let feed = ChannelName::feed();
    let relays = [relay(&feed, 1, 1, event_id(1))];
    // There is no cursor of an incarnation that was never opened.
    assert!(log.ledger.record(&relays, cursor(9, 1)).await.is_err());
    let after = log.ledger.relayed_after(&feed, &position(0, 0), 9).await;
    assert_eq!(after.unwrap(), []);
    assert_eq!(log.ledger.last_epoch().await.unwrap(), None);
    log.ledger.record(&relays, cursor(1, 1)).await.unwrap();
    assert_eq!(cursors(&log).await, [cursor(1, 1)]);
}

pub async fn relays_are_read_by_epoch_then_offset_after_any_place(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = filled(factory).await;
    let (feed, other) = (ChannelName::feed(), ChannelName::tag("rust"));
    let relays = [
        relay(&feed, 20, 1, event_id(4)),
        relay(&feed, 3, 10, event_id(2)),
        relay(&other, 3, 11, event_id(9)),
        relay(&feed, 3, 9, event_id(1)),
        relay(&feed, 3, 12, event_id(3)),
    ];
    log.ledger.record(&relays, cursor(1, 9)).await.unwrap();
    let all = [
        relayed(3, 9, publication(1)),
        relayed(3, 10, publication(2)),
        relayed(3, 12, publication(3)),
        relayed(20, 1, publication(4)),
    ];
    let after = async |epoch, offset, limit| {
        let since = position(epoch, offset);
        log.ledger.relayed_after(&feed, &since, limit).await.unwrap()
    };
    assert_eq!(after(0, 0, 9).await, all);
    assert_eq!(after(3, 9, 9).await, all[1..]);
    assert_eq!(after(3, 11, 9).await, all[2..], "11 was not recorded here");
    assert_eq!(after(3, 99, 9).await, all[3..]);
    assert_eq!(after(3, u64::MAX, 9).await, all[3..]);
    assert_eq!(after(10, 5, 9).await, all[3..], "nor was that epoch");
    assert_eq!(after(20, 1, 9).await, []);
    assert_eq!(after(3, 9, 2).await, all[1..3]);
    assert_eq!(after(0, 0, 0).await, []);
}

pub async fn a_record_that_is_there_stays_as_it_is(factory: impl AsyncFnOnce() -> Log) {
    let log = filled(factory).await;
    let feed = ChannelName::feed();
    let first = [relay(&feed, 1, 1, event_id(1))];
    log.ledger.record(&first, cursor(1, 1)).await.unwrap();
    let again = [relay(&feed, 1, 1, event_id(2)), relay(&feed, 1, 2, event_id(2))];
    log.ledger.record(&again, cursor(1, 2)).await.unwrap();
    let after = log.ledger.relayed_after(&feed, &position(0, 0), 9).await;
    let expected = [relayed(1, 1, publication(1)), relayed(1, 2, publication(2))];
    assert_eq!(after.unwrap(), expected);
}

pub async fn the_latest_events_come_once_at_their_last_place_oldest_first(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = filled(factory).await;
    let (feed, other) = (ChannelName::feed(), ChannelName::tag("rust"));
    let relays = [
        relay(&feed, 1, 1, event_id(1)),
        relay(&feed, 1, 2, event_id(2)),
        relay(&feed, 1, 3, event_id(3)),
        relay(&other, 1, 1, event_id(9)),
        // The second event was relayed again in the next epoch.
        relay(&feed, 2, 1, event_id(2)),
        relay(&feed, 2, 2, event_id(4)),
    ];
    log.ledger.record(&relays, cursor(1, 9)).await.unwrap();
    let all = [
        relayed(1, 1, publication(1)),
        relayed(1, 3, publication(3)),
        relayed(2, 1, publication(2)),
        relayed(2, 2, publication(4)),
    ];
    let latest = async |not_before, limit| {
        let latest = log.ledger.latest_relayed(&feed, at(not_before), limit);
        latest.await.unwrap()
    };
    assert_eq!(latest(0, 9).await, all);
    assert_eq!(latest(0, 2).await, all[2..]);
    assert_eq!(latest(3, 9).await, [all[1].clone(), all[3].clone()]);
    assert_eq!(latest(5, 9).await, []);
    assert_eq!(latest(0, 0).await, []);
}

pub async fn the_last_epoch_is_that_of_any_channel(factory: impl AsyncFnOnce() -> Log) {
    let log = filled(factory).await;
    assert_eq!(log.ledger.last_epoch().await.unwrap(), None);
    log.ledger.record(&[], cursor(1, 1)).await.unwrap();
    assert_eq!(log.ledger.last_epoch().await.unwrap(), None);
    let relays = [
        relay(&ChannelName::feed(), 300, 1, event_id(1)),
        relay(&ChannelName::tag("a"), 20, 1, event_id(1)),
    ];
    log.ledger.record(&relays, cursor(1, 1)).await.unwrap();
    let earlier = [relay(&ChannelName::feed(), 100, 1, event_id(1))];
    log.ledger.record(&earlier, cursor(1, 2)).await.unwrap();
    let last = Some(Epoch::from_number(300));
    assert_eq!(log.ledger.last_epoch().await.unwrap(), last);
    // It is remembered of incarnations that were closed, too.
    let open = log.runs.all_open().await.unwrap();
    assert!(log.runs.close(incarnation(1), open[0].beat).await.unwrap());
    assert_eq!(log.ledger.last_epoch().await.unwrap(), last);
}

pub async fn runs_are_counted_up_whoever_counts_them(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        let (one, other) = tokio::join!(log.ledger.count_run(), log.ledger.count_run());
        runs.extend([one.unwrap(), other.unwrap()]);
    }
    let mut distinct = runs.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), runs.len(), "{runs:?}");
    let last = log.ledger.count_run().await.unwrap();
    assert!(runs.iter().all(|run| *run < last), "{runs:?}, then {last}");
}
