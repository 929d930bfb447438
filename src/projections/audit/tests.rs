//! What an audit finds, on embedded stores, and what it leaves to those who are at it.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::FutureExt;
use tempfile::TempDir;

use super::report::Check;
use super::*;
use crate::adapters::contract::community::{key, mark, post_by};
use crate::adapters::contract::{at, cursor, incarnation, logged, post_id};
use crate::adapters::memory::manual_clock::ManualClock;
use crate::adapters::sqlite::{
    Database, Schema, SqliteAnalytics, SqliteContent, SqliteEventLog, SqliteRelayLedger, SqliteRuns,
};
use crate::domain::event::LoggedEvent;
use crate::domain::ids::{PostId, UserId};
use crate::domain::mark::Mark;
use crate::ports::audit::content::{FollowTally, PostTally, UnreadTally};
use crate::ports::event_log::{AppendError, LogCursor, RelayLedger};

/// What the clock shows, in milliseconds after the beginning.
const NOW: i64 = 1_000_000;

struct Scene {
    stores: Audited,
    ledger: Arc<SqliteRelayLedger>,
    clock: Arc<ManualClock>,
    _directory: TempDir,
}

impl Scene {
    async fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let open = async |schema: Schema| {
            Database::open(&directory.path().join(schema.file_name()), schema, true).await.unwrap()
        };
        let (log, analytics) = (open(Schema::Log).await, open(Schema::Analytics).await);
        let clock = Arc::new(ManualClock::at(at(NOW)));
        let events = Arc::new(SqliteEventLog::new(log.clone()));
        let analytics = Arc::new(SqliteAnalytics::new(analytics));
        let content = Arc::new(SqliteContent::new(log.clone(), true, clock.clone()));
        let runs = Arc::new(SqliteRuns::new(log.clone()));
        runs.open(incarnation(1), at(0)).await.unwrap();
        let stores = Audited {
            log: events.clone(),
            events,
            runs,
            analytics: analytics.clone(),
            projected: analytics.clone(),
            aggregates: analytics,
            content: content.clone(),
            marks: content.clone(),
            comments: content.clone(),
            inbox: content.clone(),
            documents: content.clone(),
            counts: content,
            clock: clock.clone(),
        };
        let ledger = Arc::new(SqliteRelayLedger::new(log));
        Self { stores, ledger, clock, _directory: directory }
    }

    /// A post by user 5 that user 7 likes, with both events in the log, minted at the beginning.
    async fn liked(&self) -> [LoggedEvent; 2] {
        let (post, like) = (post_by(1, 5, 1), key(7, Mark::Like(post_id(1))));
        let stored = mark(like, 2, 2, true);
        self.stores.content.create_post(&post.document, &post.event).await.unwrap();
        assert!(self.stores.marks.set_mark(&like, &stored, None).await.unwrap());
        let events = [logged(1, 1, post.event), logged(1, 2, stored.event)];
        self.stores.events.append(&events).await.unwrap();
        events
    }

    async fn project(&self, events: &[LoggedEvent]) {
        let through = events.last().map_or(0, |last| last.seq);
        self.stores.analytics.project(events, cursor(1, through)).await.unwrap();
    }

    async fn relay(&self, through: u64) {
        self.ledger.record(&[], cursor(1, through)).await.unwrap();
    }

    fn audit(&self) -> Audit {
        let patience = Patience {
            grace: Duration::from_secs(1),
            settle: Duration::from_millis(1),
            late: Duration::from_secs(30),
            examples_max: 3,
        };
        Audit { stores: self.stores.clone(), patience, repairs: None }
    }

    fn repairing(&self) -> Audit {
        let events = Arc::clone(&self.stores.events);
        let commit: Commit = Box::new(move |event| {
            let events = Arc::clone(&events);
            async move { events.append(&[logged(9, 1, event)]).await.is_ok() }.boxed()
        });
        Audit { repairs: Some(commit), ..self.audit() }
    }
}

fn found(report: &Report) -> Vec<(Check, u64)> {
    let found = report.checks.iter().filter(|outcome| outcome.found > 0);
    found.map(|outcome| (outcome.check, outcome.found)).collect()
}

#[test]
fn each_check_has_its_place_and_its_name() {
    for (place, check) in Check::ALL.into_iter().enumerate() {
        assert_eq!(check as usize, place);
        let same = Check::ALL.iter().filter(|other| other.as_str() == check.as_str());
        assert_eq!(same.count(), 1);
    }
}

#[tokio::test]
async fn what_is_as_it_should_be_is_clean_and_was_looked_at() {
    let scene = Scene::set().await;
    assert!(scene.audit().run().await.unwrap().is_clean());
    let events = scene.liked().await;
    scene.project(&events).await;
    scene.relay(2).await;
    // The like was told of.
    let notices = crate::domain::notification::notices_of(&events[1].event);
    scene.stores.inbox.put(&notices).await.unwrap();
    let report = scene.audit().run().await.unwrap();
    assert_eq!(found(&report), []);
    for check in Check::ALL {
        let examined = report.of(check).examined;
        assert_eq!(examined > 0, check != Check::DeadLetters, "{check:?}");
    }
}

#[tokio::test]
async fn what_a_node_has_yet_to_come_to_is_no_difference_until_it_is_late() {
    let scene = Scene::set().await;
    // Minted half a minute ago, less a little.
    let post = post_by(1, 5, NOW - 29_000);
    let id = EventId::from_parts(at(NOW - 29_000), [1; 10]);
    let event = Event { id, ..post.event };
    scene.stores.content.create_post(&post.document, &event).await.unwrap();
    scene.stores.events.append(&[logged(1, 1, event.clone())]).await.unwrap();
    assert_eq!(found(&scene.audit().run().await.unwrap()), []);
    scene.clock.advance(Duration::from_secs(2));
    let late = [(Check::UnrelayedRuns, 1), (Check::UnprojectedEvents, 1)];
    assert_eq!(found(&scene.audit().run().await.unwrap()), late);
    // The projection came past it.
    scene.clock.advance(Duration::from_secs(0));
    scene.project(&[]).await;
    scene.stores.analytics.project(&[], cursor(1, 1)).await.unwrap();
    scene.relay(1).await;
    assert_eq!(found(&scene.audit().run().await.unwrap()), [(Check::UnprojectedEvents, 1)]);
    let report = scene.repairing().run().await.unwrap();
    assert_eq!(report.of(Check::UnprojectedEvents).repaired, 1);
    assert_eq!(found(&scene.audit().run().await.unwrap()), []);
}

#[tokio::test]
async fn what_is_younger_than_the_grace_is_left_out() {
    let scene = Scene::set().await;
    let post = post_by(1, 5, NOW);
    let id = EventId::from_parts(at(NOW - 500), [1; 10]);
    let event = Event { id, ..post.event };
    scene.stores.content.create_post(&post.document, &event).await.unwrap();
    let report = scene.audit().run().await.unwrap();
    assert_eq!((found(&report), report.of(Check::UnappendedEvents).examined), (vec![], 0));
    scene.clock.advance(Duration::from_millis(501));
    let report = scene.repairing().run().await.unwrap();
    assert_eq!(found(&report), [(Check::UnappendedEvents, 1)]);
    assert_eq!(report.of(Check::UnappendedEvents).repaired, 1);
    assert_eq!(scene.stores.events.missing(&[id]).await.unwrap(), []);
}

/// A log that has an event only when it is asked for the second time.
struct Slow {
    log: Arc<dyn EventLog>,
    asked: Mutex<bool>,
}

#[async_trait]
impl EventLog for Slow {
    async fn append(&self, batch: &[LoggedEvent]) -> Result<(), AppendError> {
        self.log.append(batch).await
    }

    async fn read_after(
        &self,
        cursor: LogCursor,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        self.log.read_after(cursor, limit).await
    }

    async fn read_counted(&self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.log.read_counted(after, limit).await
    }

    async fn missing(&self, ids: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        if std::mem::replace(&mut *self.asked.lock().unwrap(), true) {
            return self.log.missing(ids).await;
        }
        Ok(ids.to_vec())
    }
}

#[tokio::test]
async fn a_difference_that_is_gone_at_the_second_look_is_none() {
    let scene = Scene::set().await;
    let events = scene.liked().await;
    scene.project(&events).await;
    let mut audit = scene.audit();
    let log = Arc::clone(&audit.stores.events);
    audit.stores.events = Arc::new(Slow { log, asked: Mutex::new(false) });
    let report = audit.run().await.unwrap();
    assert_eq!(report.of(Check::UnappendedEvents).found, 0);
    assert_eq!(report.of(Check::UnappendedEvents).examined, 2);
}

/// Counts of one post, one answer after the other.
struct Busy(Mutex<Vec<[i64; 5]>>);

#[async_trait]
impl CountAudit for Busy {
    async fn posts_after(
        &self,
        after: Option<PostId>,
        _: usize,
    ) -> Result<Vec<PostId>, StoreError> {
        Ok(if after.is_none() { vec![post_id(1)] } else { Vec::new() })
    }

    async fn post_tallies(&self, ids: &[PostId]) -> Result<Vec<PostTally>, StoreError> {
        let mut answers = self.0.lock().unwrap();
        let kept = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
        Ok(ids.iter().map(|post| PostTally { post: *post, kept, counted: [1; 5] }).collect())
    }

    async fn users_after(&self, _: Option<UserId>, _: usize) -> Result<Vec<UserId>, StoreError> {
        Ok(Vec::new())
    }

    async fn follow_tallies(&self, _: &[UserId]) -> Result<Vec<FollowTally>, StoreError> {
        Ok(Vec::new())
    }

    async fn recount_post(&self, _: PostId) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    async fn recount_follows(&self, _: UserId) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    async fn inboxes_after(&self, _: Option<UserId>, _: usize) -> Result<Vec<UserId>, StoreError> {
        Ok(Vec::new())
    }

    async fn unread_tallies(&self, _: &[UserId]) -> Result<Vec<UnreadTally>, StoreError> {
        Ok(Vec::new())
    }

    async fn recount_unread(&self, _: UserId) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_count_is_wrong_only_if_it_is_so_by_as_much_at_every_look() {
    let scene = Scene::set().await;
    let with = |answers: &[[i64; 5]]| {
        let mut audit = scene.repairing();
        audit.stores.counts = Arc::new(Busy(Mutex::new(answers.to_vec())));
        audit
    };
    let (low, high, right) = ([0, 1, 1, 1, 1], [2, 1, 1, 1, 1], [1; 5]);
    for busy in [&[low, high][..], &[low, low, low, right], &[high, high, low]] {
        assert_eq!(found(&with(busy).run().await.unwrap()), []);
    }
    let report = with(&[low]).run().await.unwrap();
    let outcome = report.of(Check::PostCounts);
    assert_eq!((outcome.found, outcome.repaired), (1, 0));
    let told = format!(
        "post {}: 0 views instead of 1; left as it is: it was changed all the while",
        post_id(1)
    );
    assert_eq!(outcome.examples, [told]);
}

#[tokio::test]
async fn no_more_is_told_in_words_than_was_asked_for() {
    let scene = Scene::set().await;
    let batch: Vec<_> =
        (1..=9).map(|n| logged(1, n, crate::adapters::contract::publication(n as u16))).collect();
    scene.stores.events.append(&batch).await.unwrap();
    scene.stores.analytics.project(&[], cursor(1, 9)).await.unwrap();
    scene.relay(9).await;
    let report = scene.audit().run().await.unwrap();
    let outcome = report.of(Check::UnprojectedEvents);
    assert_eq!((outcome.found, outcome.examples.len()), (9, 3));
}
