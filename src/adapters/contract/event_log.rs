//! What adapters of [`EventLog`](crate::ports::event_log::EventLog) are held to.

use std::future::Future;

use crate::domain::event::{Event, Fact, LoggedEvent, PostMark};
use crate::domain::ids::UserId;
use crate::domain::trending::COUNTED;

use super::analytics::commented;
use super::{Log, cursor, event_id, logged, post, post_id, posted, publication, race};

/// Makes a test of each promise.
macro_rules! event_log_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::event_log,
            $factory,
            [
                what_was_appended_is_read_back_as_it_was,
                reading_goes_on_after_the_cursor_within_its_incarnation,
                numbers_without_events_end_no_reading,
                an_event_that_is_there_keeps_its_first_place,
                an_event_twice_in_a_batch_counts_once,
                a_number_of_another_event_is_refused_and_loses_nothing,
                incarnations_append_at_the_same_time,
                missing_tells_what_the_log_lacks,
                a_batch_of_the_greatest_size_is_appended_whole,
                what_counts_for_trending_is_read_by_id_of_all_incarnations,
            ]
        );
    };
}
pub(crate) use event_log_contract;

fn batch(run: u8, numbers: std::ops::RangeInclusive<u16>) -> Vec<LoggedEvent> {
    let offset = u16::from(run) * 1_000;
    numbers.map(|n| logged(run, n.into(), publication(offset + n))).collect()
}

pub async fn what_was_appended_is_read_back_as_it_was(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let mut draft = post(1);
    draft.status = crate::domain::post::PostStatus::Draft;
    let events = [
        logged(1, 1, publication(1)),
        logged(1, 2, publication(2)),
        logged(1, 4, posted(4, &post(2))),
        logged(1, 5, posted(5, &draft)),
    ];
    log.events.append(&events).await.unwrap();
    let read = log.events.read_after(cursor(1, 0), 10).await.unwrap();
    assert_eq!(read, events);
    log.events.append(&[]).await.unwrap();
}

pub async fn reading_goes_on_after_the_cursor_within_its_incarnation(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = factory().await;
    let events = batch(1, 1..=5);
    log.events.append(&events[..3]).await.unwrap();
    log.events.append(&batch(2, 1..=2)).await.unwrap();
    log.events.append(&events[3..]).await.unwrap();
    let read = |seq, limit| log.events.read_after(cursor(1, seq), limit);
    assert_eq!(read(0, 2).await.unwrap(), events[..2]);
    assert_eq!(read(2, 2).await.unwrap(), events[2..4]);
    assert_eq!(read(4, 2).await.unwrap(), events[4..]);
    assert_eq!(read(5, 2).await.unwrap(), []);
    assert_eq!(read(u64::MAX, 2).await.unwrap(), []);
    assert_eq!(read(0, 0).await.unwrap(), []);
}

pub async fn numbers_without_events_end_no_reading(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let events = [logged(1, 1, publication(1)), logged(1, 9, publication(9))];
    log.events.append(&events).await.unwrap();
    log.events.append(&[logged(1, 90, publication(90))]).await.unwrap();
    let read = |seq, limit| log.events.read_after(cursor(1, seq), limit);
    assert_eq!(read(0, 2).await.unwrap()[..1], events[..1]);
    assert_eq!(read(1, 2).await.unwrap()[..1], events[1..]);
    let next: Vec<_> = read(9, 2).await.unwrap().iter().map(|logged| logged.seq).collect();
    assert_eq!(next, [90]);
}

pub async fn an_event_that_is_there_keeps_its_first_place(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let events = batch(1, 1..=2);
    log.events.append(&events).await.unwrap();
    log.events.append(&events).await.unwrap();
    let renumbered = [
        logged(1, 3, events[0].event.clone()),
        logged(2, 1, events[1].event.clone()),
        logged(1, 4, publication(9)),
    ];
    log.events.append(&renumbered).await.unwrap();
    let read = log.events.read_after(cursor(1, 0), 10).await.unwrap();
    assert_eq!(read[..2], events);
    assert_eq!(read[2..], renumbered[2..]);
    let other = log.events.read_after(cursor(2, 0), 10).await.unwrap();
    assert_eq!(other, []);
}

pub async fn an_event_twice_in_a_batch_counts_once(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let events =
        [logged(1, 1, publication(1)), logged(1, 2, publication(1)), logged(1, 3, publication(3))];
    log.events.append(&events).await.unwrap();
    let read = log.events.read_after(cursor(1, 0), 10).await.unwrap();
    assert_eq!(read, [events[0].clone(), events[2].clone()]);
}

pub async fn a_number_of_another_event_is_refused_and_loses_nothing(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = factory().await;
    let events = batch(1, 1..=2);
    log.events.append(&events[..1]).await.unwrap();
    // The second event takes the number of the first: it must not be acknowledged.
    let clash = [logged(1, 1, events[1].event.clone())];
    let refused = log.events.append(&clash).await.unwrap_err();
    assert_eq!(refused.pending, [0]);
    log.events.append(&events).await.unwrap();
    let read = log.events.read_after(cursor(1, 0), 10).await.unwrap();
    assert_eq!(read, events);
}

pub async fn incarnations_append_at_the_same_time(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let events = log.events.clone();
    let append = race(|run| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        let events = events.clone();
        Box::pin(async move {
            for n in 1..=4 {
                events.append(&batch(run, n..=n)).await.unwrap();
            }
        })
    });
    append.await;
    for run in 0..super::RACERS {
        let read = log.events.read_after(cursor(run, 0), 10).await.unwrap();
        assert_eq!(read, batch(run, 1..=4));
    }
}

pub async fn missing_tells_what_the_log_lacks(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    log.events.append(&batch(0, 1..=3)).await.unwrap();
    let ids = [7, 1, 9, 3, 8].map(event_id);
    let mut missing = log.events.missing(&ids).await.unwrap();
    missing.sort();
    assert_eq!(missing, [7, 8, 9].map(event_id));
    assert_eq!(log.events.missing(&[]).await.unwrap(), []);
    assert_eq!(log.events.missing(&[event_id(2)]).await.unwrap(), []);
}

pub async fn a_batch_of_the_greatest_size_is_appended_whole(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    let events = batch(1, 1..=512);
    log.events.append(&events).await.unwrap();
    let read = log.events.read_after(cursor(1, 0), 1_000).await.unwrap();
    assert_eq!(read, events);
}

pub async fn what_counts_for_trending_is_read_by_id_of_all_incarnations(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = factory().await;
    let mark = PostMark { post_id: post_id(1), post_author: UserId(1), since: None };
    let change = || commented(1);
    let facts = [
        Fact::PostViewed(mark),
        Fact::PostLiked(mark),
        Fact::PostUnliked(mark),
        Fact::PostBookmarked(mark),
        Fact::PostUnbookmarked(mark),
        Fact::PostShared(mark),
        Fact::PostCommented(change()),
        Fact::CommentRemoved(change()),
    ];
    assert_eq!(facts.each_ref().map(Fact::kind), COUNTED);
    let counted: Vec<_> = (1..).zip(facts).map(|(n, fact)| happened(n, fact)).collect();
    let others = [publication(20), happened(21, Fact::CommentEdited(change()))];
    for (run, event) in (1..).zip(others.iter().chain(counted.iter().rev())) {
        log.events.append(&[logged(run, 1, event.clone())]).await.unwrap();
    }
    let read = async |after, limit| log.events.read_counted(event_id(after), limit).await.unwrap();
    assert_eq!(read(0, 99).await, counted);
    assert_eq!(read(2, 2).await, counted[2..4]);
    assert_eq!(read(8, 9).await, []);
    assert_eq!(read(0, 0).await, []);
}

fn happened(n: u16, fact: Fact) -> Event {
    Event { fact, ..publication(n) }
}
