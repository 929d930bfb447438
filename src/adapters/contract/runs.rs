//! What adapters of [`Runs`](crate::ports::runs::Runs) are held to.

use futures_util::future::join_all;

use crate::domain::ids::Incarnation;
use crate::ports::runs::OpenRun;

use super::{Log, at, cursor, incarnation};

/// Makes a test of each promise.
macro_rules! runs_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::runs,
            $factory,
            [
                open_runs_are_listed_with_their_cursors_until_closed,
                a_run_that_goes_on_has_another_beat_each_time,
                of_all_who_take_a_run_over_one_succeeds,
                a_run_is_closed_only_by_whoever_knows_its_beat,
                a_run_that_goes_on_after_it_was_closed_is_open_again,
                how_far_documents_were_swept_never_moves_back,
            ]
        );
    };
}
pub(crate) use runs_contract;

async fn only(log: &Log) -> OpenRun {
    let open = log.runs.all_open().await.unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
    open[0]
}

fn ids(open: &[OpenRun]) -> Vec<Incarnation> {
    open.iter().map(|run| run.cursor.incarnation).collect()
}

pub async fn open_runs_are_listed_with_their_cursors_until_closed(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = factory().await;
    assert_eq!(log.runs.all_open().await.unwrap(), []);
    for run in [2, 1, 3] {
        log.runs.open(incarnation(run), at(7)).await.unwrap();
    }
    log.ledger.record(&[], cursor(2, 7)).await.unwrap();
    let open = log.runs.all_open().await.unwrap();
    let cursors: Vec<_> = open.iter().map(|run| run.cursor).collect();
    assert_eq!(cursors, [cursor(1, 0), cursor(2, 7), cursor(3, 0)]);
    assert!(open.iter().all(|run| run.swept_until == at(7)));
    for run in [open[0], open[2]] {
        assert!(log.runs.close(run.cursor.incarnation, run.beat).await.unwrap());
    }
    assert_eq!(ids(&log.runs.all_open().await.unwrap()), [incarnation(2)]);
    // Opening again neither lists a closed one nor resets a cursor.
    for run in 1..=2 {
        log.runs.open(incarnation(run), at(9)).await.unwrap();
    }
    assert_eq!(only(&log).await, open[1]);
}

pub async fn a_run_that_goes_on_has_another_beat_each_time(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    log.runs.open(incarnation(1), at(0)).await.unwrap();
    let mut beats = vec![only(&log).await.beat];
    for n in 1..=3 {
        beats.push(log.runs.renew(incarnation(1), at(n)).await.unwrap());
        assert_eq!(only(&log).await.beat, beats[beats.len() - 1]);
    }
    let mut distinct = beats.clone();
    distinct.dedup();
    assert_eq!(distinct, beats);
    assert!(log.runs.renew(incarnation(2), at(0)).await.is_err(), "it was never opened");
    assert_eq!(ids(&log.runs.all_open().await.unwrap()), [incarnation(1)]);
}

pub async fn of_all_who_take_a_run_over_one_succeeds(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    log.runs.open(incarnation(1), at(0)).await.unwrap();
    let seen = only(&log).await.beat;
    let takes = join_all((0..8).map(|_| log.runs.take(incarnation(1), seen))).await;
    let taken: Vec<_> = takes.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(taken, [only(&log).await.beat]);
    assert_ne!(taken, [seen]);
    // Whoever has it keeps it in the same way, and loses it to the node should that come back.
    let kept = log.runs.take(incarnation(1), taken[0]).await.unwrap().unwrap();
    log.runs.renew(incarnation(1), at(1)).await.unwrap();
    assert_eq!(log.runs.take(incarnation(1), kept).await.unwrap(), None);
    assert_eq!(log.runs.take(incarnation(2), 0).await.unwrap(), None, "it was never opened");
}

pub async fn a_run_is_closed_only_by_whoever_knows_its_beat(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    log.runs.open(incarnation(1), at(0)).await.unwrap();
    let seen = only(&log).await.beat;
    let beat = log.runs.renew(incarnation(1), at(0)).await.unwrap();
    assert!(!log.runs.close(incarnation(1), seen).await.unwrap());
    assert_eq!(only(&log).await.beat, beat);
    assert!(log.runs.close(incarnation(1), beat).await.unwrap());
    assert_eq!(log.runs.all_open().await.unwrap(), []);
    assert_eq!(log.runs.take(incarnation(1), beat).await.unwrap(), None, "it is closed");
}

pub async fn a_run_that_goes_on_after_it_was_closed_is_open_again(
    factory: impl AsyncFnOnce() -> Log,
) {
    let log = factory().await;
    log.runs.open(incarnation(1), at(0)).await.unwrap();
    log.ledger.record(&[], cursor(1, 5)).await.unwrap();
    let seen = only(&log).await.beat;
    assert!(log.runs.close(incarnation(1), seen).await.unwrap());
    let beat = log.runs.renew(incarnation(1), at(1)).await.unwrap();
    let swept_until = at(1);
    assert_eq!(only(&log).await, OpenRun { cursor: cursor(1, 5), beat, swept_until });
    assert_ne!(beat, seen);
}

pub async fn how_far_documents_were_swept_never_moves_back(factory: impl AsyncFnOnce() -> Log) {
    let log = factory().await;
    log.runs.open(incarnation(1), at(5)).await.unwrap();
    for (swept, kept) in [(3, 5), (9, 9), (8, 9)] {
        log.runs.renew(incarnation(1), at(swept)).await.unwrap();
        assert_eq!(only(&log).await.swept_until, at(kept));
    }
}
