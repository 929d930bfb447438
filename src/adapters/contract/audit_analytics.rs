//! What adapters of [`ProjectionAudit`] and [`AggregateAudit`] are held to.

use std::any::Any;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::domain::event::{Event, LoggedEvent};
use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::ports::analytics::Analytics;
use crate::ports::audit::analytics::{AggregateAudit, DeadLetter, Interaction, ProjectionAudit};

use super::analytics::one_of_each;
use super::{at, cursor, event_id, logged, post, posted, publication};

/// Makes a test of each promise.
macro_rules! audit_analytics_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::audit_analytics,
            $factory,
            [
                what_was_projected_is_read_by_event_and_time,
                what_is_known_is_read_in_pages,
                what_is_taken_out_is_gone_and_counts_stay,
                dead_letters_are_read_and_forgotten,
                days_are_found_one_after_the_other,
                a_day_that_was_miscounted_is_told_and_counted_again,
                totals_that_are_wrong_are_told_and_put_right,
                rows_that_lag_behind_are_told_and_refreshed,
                rows_of_no_event_are_told,
                what_is_cleared_can_be_projected_again,
            ]
        );
    };
}
pub(crate) use audit_analytics_contract;

/// The ports that share one store, and a way past them.
pub struct AuditedAnalytics {
    /// Projects.
    pub analytics: Arc<dyn Analytics>,
    /// Reads what was projected.
    pub projected: Arc<dyn ProjectionAudit>,
    /// Compares what is counted.
    pub aggregates: Arc<dyn AggregateAudit>,
    /// Carries out a statement that all SQL adapters understand.
    pub order: Box<dyn Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync>,
    /// What has to outlive them.
    #[expect(dead_code, reason = "kept for as long as the ports are used")]
    pub keep: Box<dyn Any + Send>,
}

const FIRST: (EventId, Timestamp) = (EventId(uuid::Uuid::nil()), Timestamp::from_millis(0));
const DAY: i64 = 86_400_000;

/// One event of each kind, on the first day, and a publication on the third.
fn events() -> Vec<Event> {
    let mut events = vec![publication(1), posted(2, &post(1)), publication(3)];
    events.extend(one_of_each());
    events.push(Event { time: at(2 * DAY), ..publication(200) });
    events
}

impl AuditedAnalytics {
    async fn filled(&self) -> Vec<LoggedEvent> {
        let events = events();
        let batch: Vec<_> = (1..).zip(events).map(|(n, event)| logged(1, n, event)).collect();
        self.analytics.project(&batch, cursor(1, batch.len() as u64)).await.unwrap();
        batch
    }

    async fn found(&self) -> Vec<Interaction> {
        self.projected.interactions_between(FIRST, event_id(999), 999).await.unwrap()
    }

    async fn miscounted(&self, day: i32) -> Vec<(String, Option<i64>, Option<i64>)> {
        let wrong = self.aggregates.miscounts_of(day, 99).await.unwrap();
        assert_eq!(wrong.found, wrong.examples.len() as u64);
        wrong.examples.into_iter().map(|one| (one.what, one.kept, one.counted)).collect()
    }
}

fn interaction(event: &Event) -> Interaction {
    Interaction {
        event: event.id,
        at: event.time,
        kind: event.fact.kind().to_owned(),
        user: event.actor.as_ref().map(|actor| actor.id),
        subject: event.fact.subject(),
    }
}

fn first_day() -> i32 {
    i32::try_from(at(0).as_millis().div_euclid(DAY)).unwrap()
}

pub async fn what_was_projected_is_read_by_event_and_time(
    factory: impl AsyncFnOnce() -> AuditedAnalytics,
) {
    let store = factory().await;
    let batch = store.filled().await;
    let mut places: Vec<_> = batch.iter().map(|one| (one.event.id, one.event.time)).collect();
    let mut known = store.projected.interactions(&places).await.unwrap();
    known.sort_by_key(|row| row.event);
    let mut expected: Vec<_> = batch.iter().map(|one| interaction(&one.event)).collect();
    expected.sort_by_key(|row| row.event);
    assert_eq!(known, expected);
    places[0].1 = at(77);
    places[1].0 = event_id(777);
    assert_eq!(store.projected.interactions(&places).await.unwrap().len(), batch.len() - 2);
    assert_eq!(store.projected.interactions(&[]).await.unwrap(), []);
}

pub async fn what_is_known_is_read_in_pages(factory: impl AsyncFnOnce() -> AuditedAnalytics) {
    let store = factory().await;
    let batch = store.filled().await;
    let (mut read, mut after) = (Vec::new(), FIRST);
    loop {
        let page = store.projected.interactions_between(after, event_id(200), 4).await.unwrap();
        assert!(page.len() <= 4);
        let Some(last) = page.last() else { break };
        after = (last.event, last.at);
        read.extend(page);
    }
    let mut expected: Vec<_> = batch.iter().map(|one| interaction(&one.event)).collect();
    expected.sort_by_key(|row| row.event);
    assert_eq!(expected.pop().unwrap().event, event_id(200));
    assert_eq!(read, expected);
}

pub async fn what_is_taken_out_is_gone_and_counts_stay(
    factory: impl AsyncFnOnce() -> AuditedAnalytics,
) {
    let store = factory().await;
    let batch = store.filled().await;
    let totals = store.analytics.totals().await.unwrap();
    let (event, other) = (&batch[0].event, &batch[1].event);
    store.projected.take_out(&[(event.id, event.time), (other.id, at(77))]).await.unwrap();
    let left = store.found().await;
    assert_eq!(left.len(), batch.len() - 1);
    assert!(left.iter().all(|row| row.event != event.id));
    assert_eq!(store.analytics.totals().await.unwrap(), totals);
}

pub async fn dead_letters_are_read_and_forgotten(factory: impl AsyncFnOnce() -> AuditedAnalytics) {
    let store = factory().await;
    for n in 1..=3 {
        let reason = format!("reason {n}");
        store.analytics.set_aside(&logged(1, n.into(), publication(n)), &reason).await.unwrap();
    }
    let letter = |n: u16| DeadLetter { event: event_id(n), reason: format!("reason {n}") };
    let read = async |after, limit| store.projected.dead_letters(after, limit).await.unwrap();
    assert_eq!(read(None, 2).await, [letter(1), letter(2)]);
    assert_eq!(read(Some(event_id(2)), 2).await, [letter(3)]);
    let dead = store.projected.dead_among(&[event_id(3), event_id(9)]).await.unwrap();
    assert_eq!(dead, [event_id(3)]);
    store.projected.forget_dead_letters(&[event_id(1), event_id(3), event_id(9)]).await.unwrap();
    assert_eq!(read(None, 9).await, [letter(2)]);
}

pub async fn days_are_found_one_after_the_other(factory: impl AsyncFnOnce() -> AuditedAnalytics) {
    let store = factory().await;
    let next = async |from| store.aggregates.next_day(from).await.unwrap();
    assert_eq!(next(None).await, None);
    store.filled().await;
    let first = first_day();
    assert_eq!(next(None).await, Some(first));
    assert_eq!(next(Some(first)).await, Some(first));
    assert_eq!(next(Some(first + 1)).await, Some(first + 2));
    assert_eq!(next(Some(first + 3)).await, None);
    // A day that is only counted is one as well.
    (store.order)("DELETE FROM interactions").await;
    assert_eq!(next(None).await, Some(first));
}

pub async fn a_day_that_was_miscounted_is_told_and_counted_again(
    factory: impl AsyncFnOnce() -> AuditedAnalytics,
) {
    let store = factory().await;
    store.filled().await;
    let (day, other) = (first_day(), first_day() + 2);
    for day in [day, other] {
        assert_eq!(store.miscounted(day).await, []);
    }
    (store.order)("UPDATE user_daily SET count = count + 4 WHERE kind = 'post.liked'").await;
    (store.order)("DELETE FROM post_daily WHERE kind = 'post.shared'").await;
    (store.order)("DELETE FROM interactions WHERE kind = 'post.viewed'").await;
    let (date, post) = ("2023-11-14", super::post_id(1));
    let wrong = vec![
        (format!("post {post} {date} post.shared"), None, Some(1)),
        (format!("post {post} {date} post.viewed"), Some(1), None),
        (format!("user 42 {date} post.liked"), Some(5), Some(1)),
        (format!("user 42 {date} post.viewed"), Some(1), None),
    ];
    let mut found = store.miscounted(day).await;
    found.sort();
    assert_eq!(found, wrong);
    let first = store.aggregates.miscounts_of(day, 1).await.unwrap();
    assert_eq!((first.found, first.examples.len()), (4, 1));
    assert_eq!(store.miscounted(other).await, []);
    store.aggregates.recount_day(day).await.unwrap();
    assert_eq!(store.miscounted(day).await, []);
    assert_eq!(store.miscounted(other).await, []);
}

pub async fn totals_that_are_wrong_are_told_and_put_right(
    factory: impl AsyncFnOnce() -> AuditedAnalytics,
) {
    let store = factory().await;
    store.filled().await;
    let totals = store.analytics.totals().await.unwrap();
    assert_eq!(store.aggregates.miscounted_totals().await.unwrap().found, 0);
    (store.order)("UPDATE event_totals SET count = count + 2 WHERE kind = 'post.liked'").await;
    (store.order)("DELETE FROM event_totals WHERE kind = 'post.shared'").await;
    let wrong = store.aggregates.miscounted_totals().await.unwrap();
    let mut told: Vec<_> =
        wrong.examples.iter().map(|one| (one.what.as_str(), one.kept, one.counted)).collect();
    told.sort_unstable();
    let expected =
        [("total of post.liked", Some(3), Some(1)), ("total of post.shared", None, Some(1))];
    assert_eq!((wrong.found, told.as_slice()), (2, &expected[..]));
    store.aggregates.recount_totals().await.unwrap();
    assert_eq!(store.aggregates.miscounted_totals().await.unwrap().found, 0);
    assert_eq!(store.analytics.totals().await.unwrap(), totals);
}

pub async fn rows_that_lag_behind_are_told_and_refreshed(
    factory: impl AsyncFnOnce() -> AuditedAnalytics,
) {
    let store = factory().await;
    let batch = store.filled().await;
    let outdated = async || store.aggregates.outdated_rows(&batch).await.unwrap();
    assert_eq!(outdated().await, [""; 0]);
    // Earlier events say nothing else than the later ones that were projected.
    assert_eq!(store.aggregates.outdated_rows(&batch[..2]).await.unwrap(), [""; 0]);
    (store.order)("UPDATE users SET username = 'nobody' WHERE user_id = 42").await;
    (store.order)("UPDATE posts SET title = 'Nothing' WHERE status = 'removed'").await;
    (store.order)("UPDATE posts SET version = 0, status = 'archived' WHERE status = 'draft'").await;
    (store.order)("DELETE FROM follows").await;
    let mut told = outdated().await;
    told.sort_unstable();
    let (one, two) = (super::post_id(1), super::post_id(2));
    let expected = [
        "follow of 43 by 42".to_owned(),
        format!("post {one}"),
        format!("post {two}"),
        "user 42".to_owned(),
    ];
    assert_eq!(told, expected);
    store.aggregates.refresh_rows(&batch[..2]).await.unwrap();
    assert_eq!(outdated().await.len(), 4, "an earlier event brings nothing back");
    store.aggregates.refresh_rows(&batch).await.unwrap();
    assert_eq!(outdated().await, [""; 0]);
    assert_eq!(store.aggregates.outdated_rows(&[]).await.unwrap(), [""; 0]);
}

pub async fn rows_of_no_event_are_told(factory: impl AsyncFnOnce() -> AuditedAnalytics) {
    let store = factory().await;
    store.filled().await;
    assert_eq!(store.aggregates.unfounded_rows(9).await.unwrap(), [""; 0]);
    (store.order)("DELETE FROM interactions").await;
    let mut told = store.aggregates.unfounded_rows(9).await.unwrap();
    told.sort_unstable();
    let posts = [1, 2].map(|n| format!("post {}", super::post_id(n)));
    let mut expected = vec!["follow of 43 by 42".to_owned(), "user 42".into(), "user 43".into()];
    expected.extend(posts);
    expected.sort_unstable();
    assert_eq!(told, expected);
    assert_eq!(store.aggregates.unfounded_rows(2).await.unwrap().len(), 2);
}

pub async fn what_is_cleared_can_be_projected_again(
    factory: impl AsyncFnOnce() -> AuditedAnalytics,
) {
    let store = factory().await;
    let batch = store.filled().await;
    store.analytics.set_aside(&logged(2, 1, publication(300)), "a reason").await.unwrap();
    let totals = store.analytics.totals().await.unwrap();
    store.projected.clear().await.unwrap();
    assert_eq!(store.found().await, []);
    assert_eq!(store.analytics.totals().await.unwrap(), []);
    assert_eq!(store.analytics.cursors().await.unwrap(), []);
    assert_eq!(store.projected.dead_letters(None, 9).await.unwrap(), []);
    assert_eq!(store.aggregates.next_day(None).await.unwrap(), None);
    assert_eq!(store.aggregates.outdated_rows(&batch).await.unwrap().len(), 5);
    store.filled().await;
    assert_eq!(store.analytics.totals().await.unwrap(), totals);
    assert_eq!(store.found().await.len(), batch.len());
}
