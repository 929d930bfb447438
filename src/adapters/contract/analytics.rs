//! What adapters of [`Analytics`] are held to.

use crate::domain::event::LoggedEvent;
use crate::ports::analytics::Analytics;

use super::{Subject, cursor, incarnation, logged, post, posted, publication, race};

/// Makes a test of each promise.
macro_rules! analytics_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::analytics,
            $factory,
            [
                events_are_counted_and_the_cursor_advances,
                an_event_is_counted_once_however_often_it_comes,
                a_cursor_never_moves_back,
                what_is_set_aside_is_passed_and_counts_as_dealt_with,
                racing_projections_count_each_event_once,
            ]
        );
    };
}
pub(crate) use analytics_contract;

type Factory = Subject<dyn Analytics>;

/// Two publications and a post, numbered from 1.
fn three() -> [LoggedEvent; 3] {
    [logged(1, 1, publication(1)), logged(1, 2, posted(2, &post(1))), logged(1, 3, publication(3))]
}

fn totals(published: u64, posts: u64) -> Vec<(String, u64)> {
    vec![("channel.published".to_owned(), published), ("post.published".to_owned(), posts)]
}

pub async fn events_are_counted_and_the_cursor_advances(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    assert_eq!(port.cursors().await.unwrap(), []);
    assert_eq!(port.totals().await.unwrap(), []);
    port.project(&three(), cursor(1, 3)).await.unwrap();
    port.project(&[], cursor(2, 9)).await.unwrap();
    let mut cursors = port.cursors().await.unwrap();
    cursors.sort_by_key(|cursor| cursor.incarnation);
    assert_eq!(cursors, [cursor(1, 3), cursor(2, 9)]);
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
    assert_eq!(port.projected(incarnation(1)).await.unwrap(), 3);
    assert_eq!(port.projected(incarnation(2)).await.unwrap(), 0);
}

pub async fn an_event_is_counted_once_however_often_it_comes(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let events = three();
    port.project(&events[..2], cursor(1, 2)).await.unwrap();
    // A replay that overlaps, with one event twice in the batch.
    let mut replay = events.to_vec();
    replay.push(events[2].clone());
    port.project(&replay, cursor(1, 3)).await.unwrap();
    port.project(&replay, cursor(1, 3)).await.unwrap();
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
    assert_eq!(port.projected(incarnation(1)).await.unwrap(), 3);
}

pub async fn a_cursor_never_moves_back(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    port.project(&[], cursor(1, 5)).await.unwrap();
    port.project(&three(), cursor(1, 3)).await.unwrap();
    let aside = logged(1, 4, publication(4));
    port.set_aside(&aside, "late").await.unwrap();
    assert_eq!(port.cursors().await.unwrap(), [cursor(1, 5)]);
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
}

pub async fn what_is_set_aside_is_passed_and_counts_as_dealt_with(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    port.project(&three(), cursor(1, 3)).await.unwrap();
    let aside = logged(1, 4, publication(4));
    for reason in ["unreadable", "still unreadable"] {
        port.set_aside(&aside, reason).await.unwrap();
    }
    assert_eq!(port.cursors().await.unwrap(), [cursor(1, 4)]);
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
    assert_eq!(port.projected(incarnation(1)).await.unwrap(), 4);
}

pub async fn racing_projections_count_each_event_once(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let attempts = race(|_| {
        let port = port.clone();
        async move { port.project(&three(), cursor(1, 3)).await }
    });
    for attempt in attempts.await {
        attempt.unwrap();
    }
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
    assert_eq!(port.projected(incarnation(1)).await.unwrap(), 3);
}
