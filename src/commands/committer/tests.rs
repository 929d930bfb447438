//! What the committer promises, on a log that answers when the test says so.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::*;
use crate::adapters::contract::model::{ModelLog, bare};
use crate::adapters::contract::{absent, at, event_id, incarnation, published};
use crate::adapters::memory::broker::MemoryBroker;
use crate::adapters::memory::manual_clock::ManualClock;
use crate::commands::gathered::missing;
use crate::commands::recounts::Recounts;
use crate::commands::settle::Settle;
use crate::domain::channel::ChannelName;
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::namespace::Namespaces;
use crate::metrics::CommitMetrics;
use crate::ports::StoreError;
use crate::ports::audit::content::{CountAudit, FollowTally, PostTally, UnreadTally};
use crate::ports::broker::{Arriving, Broker};
use crate::ports::event_log::{AppendError, LogCursor};
use crate::relay::outbound::OutboundRelay;
use crate::relay::recorder::Recorder;

const OPTIONS: CommitOptions = CommitOptions {
    batch_max_events: 512,
    batch_max_bytes: 4 << 20,
    queue_max_events: 1_000,
    queue_max_bytes: 64 << 20,
    append_timeout: Duration::from_secs(5),
    relay_wait_timeout: Duration::from_millis(50),
};

/// An append that waits for its answer: the places that stay pending.
struct Call {
    batch: Vec<LoggedEvent>,
    answer: oneshot::Sender<Vec<usize>>,
}

impl Call {
    fn ids(&self) -> Vec<EventId> {
        self.batch.iter().map(|logged| logged.event.id).collect()
    }
}

/// Hands every append to the test, and takes no two at once.
struct AskingLog {
    model: ModelLog,
    calls: mpsc::UnboundedSender<Call>,
    in_flight: AtomicBool,
}

#[async_trait]
impl EventLog for AskingLog {
    async fn append(&self, batch: &[LoggedEvent]) -> Result<(), AppendError> {
        assert!(!self.in_flight.swap(true, Ordering::SeqCst), "two appends are in flight");
        let (answer, answered) = oneshot::channel();
        self.calls.send(Call { batch: batch.to_vec(), answer }).unwrap();
        let pending = answered.await.unwrap();
        let taken = (0..).zip(batch).filter(|(place, _)| !pending.contains(place));
        let taken: Vec<_> = taken.map(|(_, logged)| logged.clone()).collect();
        self.model.append(&taken).await.unwrap();
        self.in_flight.store(false, Ordering::SeqCst);
        match pending.is_empty() {
            true => Ok(()),
            false => Err(AppendError { pending, cause: "not acknowledged".into() }),
        }
    }

    async fn read_after(
        &self,
        cursor: LogCursor,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        self.model.read_after(cursor, limit).await
    }

    async fn read_counted(&self, after: EventId, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.model.read_counted(after, limit).await
    }

    async fn missing(&self, ids: &[EventId]) -> Result<Vec<EventId>, StoreError> {
        self.model.missing(ids).await
    }
}

type Commit = JoinHandle<Result<Positions, Problem>>;

struct Bench {
    committer: Arc<Committer>,
    log: Arc<AskingLog>,
    calls: mpsc::UnboundedReceiver<Call>,
    deliveries: mpsc::Receiver<Arriving>,
}

impl Bench {
    async fn new(options: CommitOptions) -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let in_flight = AtomicBool::new(false);
        let log = Arc::new(AskingLog { model: ModelLog::default(), calls: sender, in_flight });
        let ledger = Arc::new(ModelLog::default());
        let (run, term) = (incarnation(1), Duration::from_secs(3_600));
        let lease = Lease::open(ledger.clone(), run, term, at(0)).await.unwrap();
        let (sink, deliveries) = mpsc::channel(1_000);
        let clock = Arc::new(ManualClock::at(at(0)));
        let broker = Arc::new(
            MemoryBroker::new(ledger.clone(), absent::present(), clock, sink).await.unwrap(),
        );
        broker.subscribe(&ChannelName::feed()).await.unwrap();
        let publisher = Arc::new(absent::publisher(broker, Arc::new(Namespaces::new([], None))));
        let publisher_again = Arc::clone(&publisher);
        let recorder = Recorder { ledger, log: log.clone(), publisher: publisher_again };
        let (recorder, _recording) = recorder.start();
        let (outbound, relay) =
            OutboundRelay::new(publisher, log.clone(), run, recorder, 1_000, 512);
        let (committer, commit_loop) = Committer::new(
            log.clone(),
            outbound,
            Arc::new(lease),
            options,
            CommitMetrics::default(),
        );
        tokio::spawn(relay.run());
        tokio::spawn(commit_loop.run());
        Self { committer: Arc::new(committer), log, calls, deliveries }
    }

    /// Commits the events with these numbers, in their order.
    async fn commit(&self, numbers: std::ops::Range<u16>) -> Vec<Commit> {
        let commit = |n| {
            let committer = Arc::clone(&self.committer);
            tokio::spawn(async move { committer.commit(bare(n, &["feed:all"])).await })
        };
        let commits = numbers.map(commit).collect();
        settle().await;
        commits
    }

    async fn call(&mut self) -> Call {
        let call = tokio::time::timeout(Duration::from_secs(1), self.calls.recv()).await;
        call.expect("an append is due").expect("the log lives")
    }

    async fn delivered(&mut self) -> EventId {
        let wait = tokio::time::timeout(Duration::from_secs(1), self.deliveries.recv());
        published(wait.await.expect("a delivery is due").unwrap()).publication.event.unwrap()
    }
}

/// Lets every task do what it can without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn ids(numbers: std::ops::Range<u16>) -> Vec<EventId> {
    numbers.map(event_id).collect()
}

#[tokio::test(start_paused = true)]
async fn what_queues_while_an_append_is_in_flight_shares_the_next() {
    let mut bench = Bench::new(OPTIONS).await;
    let mut commits = bench.commit(0..1).await;
    let first = bench.call().await;
    assert_eq!(first.ids(), ids(0..1), "an event alone waits for nobody");
    commits.extend(bench.commit(1..601).await);
    assert!(bench.calls.try_recv().is_err());
    assert!(commits.iter().all(|commit| !commit.is_finished()));
    first.answer.send(vec![]).unwrap();
    let second = bench.call().await;
    assert_eq!(second.ids(), ids(1..513));
    settle().await;
    assert!(bench.calls.try_recv().is_err());
    let done = |commits: &[Commit]| commits.iter().filter(|commit| commit.is_finished()).count();
    assert_eq!(done(&commits), 1, "nobody is acknowledged before its append returned");
    second.answer.send(vec![]).unwrap();
    let third = bench.call().await;
    assert_eq!(third.ids(), ids(513..601));
    settle().await;
    assert_eq!(done(&commits), 513);
    let numbers: Vec<_> = third.batch.iter().map(|logged| logged.seq).collect();
    assert_eq!(numbers, Vec::from_iter(514..=601));
    third.answer.send(vec![]).unwrap();
    for (offset, commit) in (1..).zip(commits) {
        let positions = commit.await.unwrap().unwrap();
        assert_eq!(positions[0].as_ref().unwrap().offset, offset);
    }
    assert_eq!(bench.log.model.appended(), ids(0..601));
}

#[tokio::test(start_paused = true)]
async fn a_batch_stays_within_its_bytes_unless_one_event_is_larger() {
    let one = weight(&bare(1, &["feed:all"]));
    for (batch_max_bytes, expected) in [(3 * one, 3), (3 * one - 1, 2), (1, 1)] {
        let mut bench = Bench::new(CommitOptions { batch_max_bytes, ..OPTIONS }).await;
        let commits = bench.commit(0..1).await;
        bench.commit(1..7).await;
        bench.call().await.answer.send(vec![]).unwrap();
        let mut next = 1;
        while next < 7 {
            let call = bench.call().await;
            let end = (next + expected).min(7);
            assert_eq!(call.ids(), ids(next..end), "at most {batch_max_bytes} bytes");
            call.answer.send(vec![]).unwrap();
            next = end;
        }
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_append_leaves_pending_is_tried_again_under_the_same_ids() {
    let mut bench = Bench::new(OPTIONS).await;
    let mut commits = bench.commit(0..1).await;
    let first = bench.call().await;
    commits.extend(bench.commit(1..5).await);
    first.answer.send(vec![]).unwrap();
    let second = bench.call().await;
    let batch = second.batch.clone();
    second.answer.send(vec![1, 3]).unwrap();
    let third = bench.call().await;
    assert_eq!(third.batch, [batch[1].clone(), batch[3].clone()]);
    // What is pending is counted within what was tried.
    third.answer.send(vec![1]).unwrap();
    let fourth = bench.call().await;
    assert_eq!(fourth.batch, [batch[3].clone()]);
    fourth.answer.send(vec![0]).unwrap();
    let fifth = bench.call().await;
    assert_eq!(fifth.batch, [batch[3].clone()]);
    settle().await;
    assert!(commits[0].is_finished() && commits[1..].iter().all(|commit| !commit.is_finished()));
    fifth.answer.send(vec![]).unwrap();
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
    assert_eq!(bench.log.model.appended(), ids(0..5));
    for n in 0..5 {
        assert_eq!(bench.delivered().await, event_id(n));
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_the_queue_holds_is_refused() {
    let mut bench = Bench::new(CommitOptions { queue_max_events: 2, ..OPTIONS }).await;
    let mut commits = bench.commit(0..1).await;
    let first = bench.call().await;
    commits.extend(bench.commit(1..3).await);
    let problem = bench.committer.commit(bare(3, &["feed:all"])).await.unwrap_err();
    assert_eq!((problem.kind, problem.code), (ProblemKind::Unavailable, "event_queue_full"));
    assert!(problem.retry_after.is_some());
    first.answer.send(vec![]).unwrap();
    let second = bench.call().await;
    assert_eq!(second.ids(), ids(1..3));
    second.answer.send(vec![]).unwrap();
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
    assert_eq!(bench.log.model.appended(), ids(0..3), "what was refused is nowhere");
}

#[tokio::test(start_paused = true)]
async fn more_bytes_than_may_wait_are_refused_until_some_are_durable() {
    let mut bench = Bench::new(CommitOptions { queue_max_bytes: 1_200, ..OPTIONS }).await;
    let mut commits = bench.commit(0..1).await;
    let first = bench.call().await;
    commits.extend(bench.commit(1..2).await);
    let problem = bench.committer.commit(bare(2, &["feed:all"])).await.unwrap_err();
    assert_eq!((problem.kind, problem.code), (ProblemKind::Unavailable, "event_queue_full"));
    first.answer.send(vec![]).unwrap();
    bench.call().await.answer.send(vec![]).unwrap();
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
    let commits = bench.commit(2..3).await;
    bench.call().await.answer.send(vec![]).unwrap();
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_gave_up_waiting_has_its_event_appended_and_relayed_all_the_same() {
    let mut bench = Bench::new(OPTIONS).await;
    let commits = bench.commit(0..2).await;
    let first = bench.call().await;
    for commit in commits {
        let problem = commit.await.unwrap().unwrap_err();
        assert_eq!((problem.kind, problem.code), (ProblemKind::Unavailable, "outcome_unknown"));
        assert!(problem.retry_after.is_some() && !problem.wrote_nothing());
    }
    assert_eq!(bench.log.model.appended(), []);
    first.answer.send(vec![]).unwrap();
    if let Ok(Some(second)) = tokio::time::timeout(Duration::from_secs(1), bench.calls.recv()).await
    {
        second.answer.send(vec![]).unwrap();
    }
    for n in 0..2 {
        assert_eq!(bench.delivered().await, event_id(n));
    }
    assert_eq!(bench.log.model.appended(), ids(0..2));
}

/// Counts that are always right.
struct Right;

#[async_trait]
impl CountAudit for Right {
    async fn posts_after(&self, _: Option<PostId>, _: usize) -> Result<Vec<PostId>, StoreError> {
        Ok(Vec::new())
    }

    async fn post_tallies(&self, _: &[PostId]) -> Result<Vec<PostTally>, StoreError> {
        Ok(Vec::new())
    }

    async fn users_after(&self, _: Option<UserId>, _: usize) -> Result<Vec<UserId>, StoreError> {
        Ok(Vec::new())
    }

    async fn follow_tallies(&self, _: &[UserId]) -> Result<Vec<FollowTally>, StoreError> {
        Ok(Vec::new())
    }

    async fn recount_post(&self, _: PostId) -> Result<Option<bool>, StoreError> {
        Ok(Some(false))
    }

    async fn recount_follows(&self, _: UserId) -> Result<Option<bool>, StoreError> {
        Ok(Some(false))
    }

    async fn inboxes_after(&self, _: Option<UserId>, _: usize) -> Result<Vec<UserId>, StoreError> {
        Ok(Vec::new())
    }

    async fn unread_tallies(&self, _: &[UserId]) -> Result<Vec<UnreadTally>, StoreError> {
        Ok(Vec::new())
    }

    async fn recount_unread(&self, _: UserId) -> Result<Option<bool>, StoreError> {
        Ok(Some(false))
    }
}

fn settling(bench: &Bench) -> Settle {
    let recounts = Arc::new(Recounts::new(Arc::new(Right)));
    let log: Arc<dyn EventLog> = bench.log.clone();
    Settle { missing: missing(&log), committer: Arc::clone(&bench.committer), recounts }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_its_writer_is_about_to_append_is_left_to_its_writer() {
    let mut bench = Bench::new(OPTIONS).await;
    let settle_it = settling(&bench);
    let settled =
        tokio::spawn(async move { settle_it.run(&bare(0, &["feed:all"]), event_id(9)).await });
    settle().await;
    assert!(bench.calls.try_recv().is_err(), "the counts may not be moved yet");
    let commits = bench.commit(0..1).await;
    let call = bench.call().await;
    assert_eq!(call.ids(), ids(0..1));
    call.answer.send(vec![]).unwrap();
    assert!(!settled.await.unwrap().unwrap(), "the request at hand is still to be carried out");
    assert!(commits.into_iter().next().unwrap().await.unwrap().is_ok());
    assert!(bench.calls.try_recv().is_err(), "it was appended once");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_appends_is_appended_by_who_finds_it() {
    let mut bench = Bench::new(OPTIONS).await;
    let settle_it = settling(&bench);
    let settled =
        tokio::spawn(async move { settle_it.run(&bare(0, &["feed:all"]), event_id(9)).await });
    let call = tokio::time::timeout(Duration::from_secs(3), bench.calls.recv()).await;
    call.expect("an append is due").expect("the log lives").answer.send(vec![]).unwrap();
    assert!(!settled.await.unwrap().unwrap());
    assert_eq!(bench.log.model.appended(), ids(0..1));
}
