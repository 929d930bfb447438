//! Questions of many requests, asked of a store together.
//!
//! What queues while a store answers is its next question, as with the committer: a request alone waits for nobody, and
//! under load many share one statement, and the switches of threads or the round trip that it costs.

use tokio::sync::{mpsc, oneshot};

use crate::ports::StoreError;

/// Questions in one batch.
const BATCH_MAX: usize = 256;
/// Questions that may wait; who asks beyond that waits for room.
const QUEUE_MAX: usize = 1024;

struct Asked<Q, A> {
    question: Q,
    answer: oneshot::Sender<Result<A, StoreError>>,
}

/// A kind of question that is asked in batches, one at a time.
pub struct Gathering<Q, A> {
    queue: mpsc::Sender<Asked<Q, A>>,
}

impl<Q, A> Clone for Gathering<Q, A> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<Q: Clone + Send + Sync + 'static, A: Send + 'static> Gathering<Q, A> {
    /// Starts to ask, until nobody is left who could. `ask` answers the questions of a batch in their order.
    pub fn start<F>(ask: impl Fn(Vec<Q>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<A>, StoreError>> + Send + 'static,
    {
        let (queue, mut waiting) = mpsc::channel::<Asked<Q, A>>(QUEUE_MAX);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
                let (questions, waiters): (Vec<_>, Vec<_>) =
                    batch.drain(..).map(|one| (one.question, one.answer)).unzip();
                match to_the_end(ask(questions.clone())).await {
                    Ok(answers) => {
                        for (waiter, answer) in waiters.into_iter().zip(answers) {
                            // Who waited may have given up.
                            let _ = waiter.send(Ok(answer));
                        }
                    }
                    // What cannot be read must not stand in the way of others.
                    Err(StoreError::Corrupt { .. }) if questions.len() > 1 => {
                        for (waiter, question) in waiters.into_iter().zip(questions) {
                            let answer = to_the_end(ask(vec![question])).await;
                            let _ = waiter.send(answer.and_then(only));
                        }
                    }
                    Err(error) => {
                        for waiter in waiters {
                            let _ = waiter.send(Err(error.clone()));
                        }
                    }
                }
            }
        });
        Self { queue }
    }

    /// Asks, together with whoever asks meanwhile. A question that was accepted is asked, whoever waits for the answer.
    pub async fn ask(&self, question: Q) -> Result<A, StoreError> {
        let (answer, receiver) = oneshot::channel();
        if self.queue.send(Asked { question, answer }).await.is_err() {
            return Err(unanswered());
        }
        receiver.await.unwrap_or_else(|_| Err(unanswered()))
    }
}

/// In a task of its own: a panic fails those who wait for this batch, and nobody after them.
async fn to_the_end<A: Send + 'static>(
    asked: impl Future<Output = Result<A, StoreError>> + Send + 'static,
) -> Result<A, StoreError> {
    tokio::spawn(asked).await.unwrap_or_else(|_| Err(unanswered()))
}

fn only<A>(answers: Vec<A>) -> Result<A, StoreError> {
    answers.into_iter().next().ok_or_else(unanswered)
}

/// The runtime ends, a store panicked, or it answered fewer questions than it was asked.
fn unanswered() -> StoreError {
    StoreError::Unavailable { store: "content", cause: "a question was left unanswered".into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    /// Answers with the size of the batch, each batch when it is let.
    fn sizes(gate: &Arc<Semaphore>) -> Gathering<u8, (u8, usize)> {
        let gate = Arc::clone(gate);
        Gathering::start(move |questions: Vec<u8>| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                let size = questions.len();
                if questions.contains(&13) {
                    return Err(StoreError::Corrupt { store: "content", cause: "13".into() });
                }
                assert!(!questions.contains(&66), "a store that panics");
                if questions.contains(&99) {
                    return Err(StoreError::Unavailable { store: "content", cause: "99".into() });
                }
                Ok(questions.into_iter().map(|question| (question, size)).collect())
            }
        })
    }

    /// Asks all of these in their order, while the batch before them is held up.
    async fn ask_all(questions: &[u8]) -> Vec<Result<(u8, usize), StoreError>> {
        let held = Arc::new(Semaphore::new(0));
        let gathering = sizes(&held);
        let first = gathering.ask(0);
        let rest = questions.iter().map(|question| gathering.ask(*question));
        let all = futures_util::future::join_all(rest);
        let release = async {
            // The first is alone in its batch: it was taken before the others came.
            while gathering.queue.capacity() + questions.len() > QUEUE_MAX {
                tokio::task::yield_now().await;
            }
            held.add_permits(99);
        };
        let (first, answers, ()) = tokio::join!(first, all, release);
        assert_eq!(first.unwrap().0, 0);
        answers
    }

    #[tokio::test]
    async fn what_queues_while_a_batch_is_answered_is_the_next_batch() {
        let answers = ask_all(&[1, 2, 3]).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().map(|one| one.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(answers.iter().any(|one| one.1 > 1), "nothing was gathered: {answers:?}");
    }

    #[tokio::test]
    async fn what_cannot_be_read_fails_alone() {
        let answers = ask_all(&[1, 13, 3]).await;
        assert_eq!(answers[0].as_ref().unwrap().0, 1);
        assert!(matches!(answers[1], Err(StoreError::Corrupt { .. })));
        assert_eq!(answers[2].as_ref().unwrap().0, 3);
    }

    #[tokio::test]
    async fn a_panic_fails_its_batch_and_no_later_one() {
        let gathering = sizes(&Arc::new(Semaphore::new(9)));
        assert!(matches!(gathering.ask(66).await, Err(StoreError::Unavailable { .. })));
        assert_eq!(gathering.ask(1).await.unwrap(), (1, 1));
    }

    #[tokio::test]
    async fn a_store_that_is_away_fails_the_whole_batch_at_once() {
        let gate = Arc::new(Semaphore::new(1));
        let gathering = sizes(&gate);
        let both = futures_util::future::join(gathering.ask(99), gathering.ask(1));
        let (first, second) = both.await;
        assert!(matches!(first, Err(StoreError::Unavailable { .. })));
        assert!(matches!(second, Err(StoreError::Unavailable { .. })));
    }
}
