//! What adapters of [`LogAudit`] are held to.

use std::any::Any;
use std::sync::Arc;

use crate::domain::event::LoggedEvent;
use crate::domain::ids::{EventId, Incarnation};
use crate::domain::post::{Post, PostStatus};
use crate::ports::audit::log::{KnownRun, LogAudit};
use crate::ports::event_log::{EventLog, RelayLedger};
use crate::ports::runs::Runs;

use super::analytics::{changed, did};
use super::{at, cursor, event_id, incarnation, logged, post, post_id, posted, publication};

/// Makes a test of each promise.
macro_rules! audit_log_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::audit_log,
            $factory,
            [
                events_of_all_runs_are_read_by_id_in_pages,
                events_are_found_by_their_ids,
                the_story_of_a_post_is_told_by_versions,
                all_runs_are_known_closed_ones_as_well,
            ]
        );
    };
}
pub(crate) use audit_log_contract;

/// The ports that share one store, and the one under test.
pub struct AuditedLog {
    /// Reads across runs.
    pub audit: Arc<dyn LogAudit>,
    /// Appends.
    pub events: Arc<dyn EventLog>,
    /// Records relays.
    pub ledger: Arc<dyn RelayLedger>,
    /// Opens runs.
    pub runs: Arc<dyn Runs>,
    /// What has to outlive them.
    #[expect(dead_code, reason = "kept for as long as the ports are used")]
    pub keep: Box<dyn Any + Send>,
}

/// Events of two runs, whose ids take turns, in the order of the ids.
async fn filled(log: &AuditedLog) -> Vec<LoggedEvent> {
    let odd: Vec<_> = (1..=4).map(|n| logged(1, n, publication(2 * n as u16 - 1))).collect();
    let even: Vec<_> = (1..=4).map(|n| logged(2, n, publication(2 * n as u16))).collect();
    log.events.append(&even).await.unwrap();
    log.events.append(&odd).await.unwrap();
    let mut all: Vec<_> = odd.into_iter().chain(even).collect();
    all.sort_by_key(|logged| logged.event.id);
    all
}

pub async fn events_of_all_runs_are_read_by_id_in_pages(factory: impl AsyncFnOnce() -> AuditedLog) {
    let log = factory().await;
    let first = EventId(uuid::Uuid::nil());
    assert_eq!(log.audit.events_between(first, event_id(99), 9).await.unwrap(), []);
    let all = filled(&log).await;
    let (mut read, mut after) = (Vec::new(), first);
    loop {
        let page = log.audit.events_between(after, event_id(8), 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = last.event.id;
        read.extend(page);
    }
    assert_eq!(read, all[..7], "the bounds are exclusive");
    assert_eq!(log.audit.events_between(event_id(7), event_id(99), 9).await.unwrap(), all[7..]);
    assert_eq!(log.audit.events_between(first, event_id(99), 0).await.unwrap(), []);
}

pub async fn events_are_found_by_their_ids(factory: impl AsyncFnOnce() -> AuditedLog) {
    let log = factory().await;
    let all = filled(&log).await;
    let ids = [event_id(5), event_id(77), event_id(2), event_id(5)];
    let mut found = log.audit.find(&ids).await.unwrap();
    found.sort_by_key(|logged| logged.event.id);
    found.dedup();
    assert_eq!(found, [all[1].clone(), all[4].clone()]);
    assert_eq!(log.audit.find(&[]).await.unwrap(), []);
}

pub async fn the_story_of_a_post_is_told_by_versions(factory: impl AsyncFnOnce() -> AuditedLog) {
    use crate::domain::event::{Fact, PostMark};
    let log = factory().await;
    let draft = Post { status: PostStatus::Draft, ..post(1) };
    let mark = PostMark { post_id: post_id(1), post_author: post(1).author.id, since: None };
    let version = |version| Post { version, ..post(1) };
    let events = [
        // By their ids in another order than by their versions.
        did(9, Fact::PostDrafted(Box::new(draft))),
        did(3, Fact::PostPublished(Box::new(version(2)))),
        did(7, Fact::PostUpdated(changed(version(3)))),
        did(5, Fact::PostRemoved(changed(version(4)))),
        did(6, Fact::PostLiked(mark)),
        posted(8, &post(2)),
    ];
    let batch: Vec<_> = (1..).zip(&events).map(|(n, event)| logged(1, n, event.clone())).collect();
    log.events.append(&batch).await.unwrap();
    assert_eq!(log.audit.story_of(post_id(1)).await.unwrap(), events[..4]);
    assert_eq!(log.audit.story_of(post_id(3)).await.unwrap(), []);
}

pub async fn all_runs_are_known_closed_ones_as_well(factory: impl AsyncFnOnce() -> AuditedLog) {
    let log = factory().await;
    assert_eq!(log.audit.runs(None, 9).await.unwrap(), []);
    for run in 1..=3 {
        log.runs.open(incarnation(run), at(0)).await.unwrap();
    }
    log.ledger.record(&[], cursor(2, 7)).await.unwrap();
    let beat = log.runs.renew(incarnation(2), at(1)).await.unwrap();
    assert!(log.runs.close(incarnation(2), beat).await.unwrap());
    let known = |run, seq, is_closed| KnownRun { cursor: cursor(run, seq), is_closed };
    let all = [known(1, 0, false), known(2, 7, true), known(3, 0, false)];
    assert_eq!(log.audit.runs(None, 9).await.unwrap(), all);
    assert_eq!(log.audit.runs(None, 2).await.unwrap(), all[..2]);
    let after: Option<Incarnation> = Some(incarnation(2));
    assert_eq!(log.audit.runs(after, 9).await.unwrap(), all[2..]);
}
