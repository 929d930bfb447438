//! What idempotency keys promise to callers.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::adapters::contract::{at, event_id, incarnation};
use crate::adapters::memory::manual_clock::ManualClock;
use crate::adapters::sqlite::{Database, Schema, SqliteIdempotencyKeys};

const LEASE: Duration = Duration::from_secs(30);

struct Bench {
    once: Arc<Once>,
    clock: Arc<ManualClock>,
    _keep: tempfile::TempDir,
}

async fn bench(wait_timeout: Duration) -> Bench {
    let keep = tempfile::tempdir().unwrap();
    let path = keep.path().join(Schema::Log.file_name());
    let db = Database::open(&path, Schema::Log, true).await.unwrap();
    let clock = Arc::new(ManualClock::at(at(0)));
    let keys = Arc::new(SqliteIdempotencyKeys::new(db));
    let once = Once {
        keys,
        clock: clock.clone(),
        incarnation: incarnation(1),
        lease: LEASE,
        wait_timeout,
    };
    Bench { once: Arc::new(once), clock, _keep: keep }
}

fn scope(key: &str) -> Option<KeyScope> {
    let (principal, route) = ("user:42".into(), "POST /v1/posts".into());
    Some(KeyScope { principal, route, key: key.into() })
}

fn minted(n: u16) -> Minted {
    Minted { event: event_id(n), resource: format!("resource-{n}") }
}

fn answer(minted: &Minted) -> StoredAnswer {
    StoredAnswer { status: 201, body: minted.resource.clone().into_bytes() }
}

/// Sends a request whose work succeeds.
async fn send(once: &Once, key: &str, body: &[u8], n: u16) -> Result<StoredAnswer, Problem> {
    once.run(scope(key), body, minted(n), async |minted| Ok(answer(&minted))).await
}

/// Sends a request whose work fails; returns the identities that it was given.
async fn fail(once: &Once, n: u16, problem: Problem) -> Minted {
    let mut given = None;
    let work = |minted| {
        given = Some(minted);
        async { Err(problem.clone()) }
    };
    assert_eq!(once.run(scope("k"), b"body", minted(n), work).await, Err(problem.clone()));
    given.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_requests_that_race_with_one_key_one_does_the_work_and_all_get_its_answer() {
    let bench = bench(Duration::from_secs(60)).await;
    let (ran, together) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Barrier::new(16)));
    let requests = (0..16).map(|n| {
        let (once, ran, together) =
            (Arc::clone(&bench.once), Arc::clone(&ran), Arc::clone(&together));
        tokio::spawn(async move {
            together.wait().await;
            let work = async |minted: Minted| {
                ran.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(answer(&minted))
            };
            once.run(scope("k"), b"body", minted(n), work).await
        })
    });
    let requests: Vec<_> = requests.collect();
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.unwrap().unwrap());
    }
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test]
async fn a_key_with_another_body_is_refused_before_and_after_the_answer() {
    let bench = bench(Duration::ZERO).await;
    let mut during = None;
    let work = async |minted: Minted| {
        during = Some(send(&bench.once, "k", b"other", 2).await);
        Ok(answer(&minted))
    };
    let first = bench.once.run(scope("k"), b"body", minted(1), work).await.unwrap();
    let after = send(&bench.once, "k", b"other", 3).await;
    for outcome in [during.unwrap(), after] {
        let problem = outcome.unwrap_err();
        assert_eq!((problem.kind, problem.code), (ProblemKind::Invalid, "idempotency_key_reused"));
    }
    assert_eq!(send(&bench.once, "k", b"body", 4).await, Ok(first));
}

#[tokio::test]
async fn an_attempt_that_wrote_nothing_frees_the_key() {
    let bench = bench(Duration::ZERO).await;
    let refused = Problem::not_found("post");
    assert_eq!(fail(&bench.once, 1, refused).await, minted(1));
    let again = send(&bench.once, "k", b"a corrected body", 2).await;
    assert_eq!(again, Ok(answer(&minted(2))), "the key is as good as new");
}

#[tokio::test]
async fn an_unknown_outcome_keeps_the_identities_for_the_repeat() {
    let bench = bench(Duration::ZERO).await;
    assert_eq!(fail(&bench.once, 1, Problem::outcome_unknown()).await, minted(1));
    assert_eq!(fail(&bench.once, 2, Problem::unavailable("content")).await, minted(1));
    let answered = send(&bench.once, "k", b"body", 3).await;
    assert_eq!(answered, Ok(answer(&minted(1))));
    assert_eq!(send(&bench.once, "k", b"body", 4).await, answered);
}

#[tokio::test]
async fn a_refused_repeat_of_an_unknown_outcome_keeps_the_identities() {
    let bench = bench(Duration::ZERO).await;
    assert_eq!(fail(&bench.once, 1, Problem::outcome_unknown()).await, minted(1));
    // The first attempt may have written; a later one that is refused knows nothing of that.
    assert_eq!(fail(&bench.once, 2, Problem::not_found("post")).await, minted(1));
    assert_eq!(send(&bench.once, "k", b"body", 3).await, Ok(answer(&minted(1))));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_in_progress_until_its_lease_ends() {
    let bench = bench(Duration::from_millis(60)).await;
    let mut repeats = Vec::new();
    let work = async |minted: Minted| {
        repeats.push(send(&bench.once, "k", b"body", 2).await);
        bench.clock.advance(LEASE);
        repeats.push(send(&bench.once, "k", b"body", 3).await);
        Ok(answer(&minted))
    };
    let first = bench.once.run(scope("k"), b"body", minted(1), work).await.unwrap();
    let problem = repeats[0].clone().unwrap_err();
    assert_eq!((problem.kind, problem.code), (ProblemKind::Conflict, "request_in_progress"));
    assert!(problem.retry_after.is_some());
    assert_eq!(repeats[1], Ok(first), "whoever takes over uses the same identities");
}

#[tokio::test]
async fn a_repeat_that_waits_gets_the_answer() {
    let bench = bench(Duration::from_secs(60)).await;
    let (finish, finished) = tokio::sync::oneshot::channel();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let once = Arc::clone(&bench.once);
    let first = tokio::spawn(async move {
        let work = async |minted: Minted| {
            begin.send(()).unwrap();
            finished.await.unwrap();
            Ok(answer(&minted))
        };
        once.run(scope("k"), b"body", minted(1), work).await
    });
    begun.await.unwrap();
    let repeat = send(&bench.once, "k", b"body", 2);
    let (repeat, ()) = tokio::join!(repeat, async move {
        tokio::task::yield_now().await;
        finish.send(()).unwrap();
    });
    assert_eq!(repeat, Ok(answer(&minted(1))));
    assert_eq!(first.await.unwrap(), repeat);
}

#[tokio::test]
async fn without_a_key_every_request_is_carried_out_and_a_bad_key_is_refused() {
    let bench = bench(Duration::ZERO).await;
    for n in 1..=2 {
        let ran = bench.once.run(None, b"body", minted(n), async |minted| Ok(answer(&minted)));
        assert_eq!(ran.await, Ok(answer(&minted(n))));
    }
    for key in ["", &"k".repeat(256)] {
        let problem = send(&bench.once, key, b"body", 3).await.unwrap_err();
        let expected = (ProblemKind::BadRequest, "invalid_idempotency_key");
        assert_eq!((problem.kind, problem.code), expected);
    }
    assert!(send(&bench.once, &"k".repeat(255), b"body", 4).await.is_ok());
}
