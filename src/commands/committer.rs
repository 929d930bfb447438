//! The committer: the only way into the event log.

use std::iter::zip;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::lease::Lease;
use crate::domain::event::{Event, LoggedEvent};
use crate::domain::problem::{Problem, ProblemKind};
use crate::metrics::CommitMetrics;
use crate::ports::event_log::{AppendError, EventLog};
use crate::ports::failpoint::Failpoints;
use crate::relay::outbound::{Outbound, Relaying};
use crate::relay::publisher::Positions;

/// Between attempts while the log does not take a batch.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The limits of the committer.
#[derive(Clone, Copy, Debug)]
pub struct CommitOptions {
    /// Events in one append.
    pub batch_max_events: usize,
    /// Bytes in one append, as JSON.
    pub batch_max_bytes: usize,
    /// Events that may wait; more are refused.
    pub queue_max_events: usize,
    /// Bytes of events that may wait or be written, as JSON; more are refused.
    pub queue_max_bytes: usize,
    /// How long a command waits for its event to be durable.
    pub append_timeout: Duration,
    /// How long a command waits for its event to be relayed once it is durable.
    pub relay_wait_timeout: Duration,
}

struct Submission {
    event: Event,
    waiter: Waiter,
}

/// Whoever waits for an event to be durable.
struct Waiter {
    /// Told when it is.
    committed: oneshot::Sender<Instant>,
    /// Told when the broker has it as well.
    relayed: oneshot::Sender<Positions>,
    /// Its share of the bytes that may wait.
    _share: OwnedSemaphorePermit,
}

/// Commits events for the commands of this node.
pub struct Committer {
    queue: mpsc::Sender<Submission>,
    options: CommitOptions,
    closing: Arc<Notify>,
    bytes: Arc<Semaphore>,
    committed_through: Arc<AtomicU64>,
    metrics: CommitMetrics,
}

/// An event that is queued. It goes its way whether it is waited for or not.
pub struct Submitted {
    committed: oneshot::Receiver<Instant>,
    relayed: oneshot::Receiver<Positions>,
    append_timeout: Duration,
    relay_wait_timeout: Duration,
}

impl Submitted {
    /// Waits as [`Committer::commit`] does.
    pub async fn wait(mut self) -> Result<Positions, Problem> {
        let give_up = Instant::now() + self.append_timeout;
        let patience = self.relay_wait_timeout.min(self.append_timeout);
        // What is relayed is durable: mostly there is only this to wait for, and to be woken for.
        let goes_untold = match timeout(patience, &mut self.relayed).await {
            Ok(Ok(positions)) => return Ok(positions),
            // Whoever relays it does not tell where.
            Ok(Err(_)) => true,
            Err(_) => false,
        };
        let Ok(Ok(committed)) = timeout_at(give_up, self.committed).await else {
            // The event stays queued and may still be appended.
            return Err(Problem::outcome_unknown());
        };
        if goes_untold {
            return Ok(Positions::new());
        }
        let positions = timeout_at(committed + self.relay_wait_timeout, self.relayed).await;
        Ok(positions.ok().and_then(Result::ok).unwrap_or_default())
    }
}

/// The task behind a [`Committer`].
pub struct CommitLoop {
    queue: mpsc::Receiver<Submission>,
    log: Arc<dyn EventLog>,
    outbound: Outbound,
    lease: Arc<Lease>,
    options: CommitOptions,
    next_seq: u64,
    committed_through: Arc<AtomicU64>,
    closing: Arc<Notify>,
    failpoints: Failpoints,
    metrics: CommitMetrics,
}

impl Committer {
    /// A committer for the run of `lease` and the loop that it needs.
    pub fn new(
        log: Arc<dyn EventLog>,
        outbound: Outbound,
        lease: Arc<Lease>,
        options: CommitOptions,
        metrics: CommitMetrics,
    ) -> (Self, CommitLoop) {
        let (sender, queue) = mpsc::channel(options.queue_max_events);
        let closing = Arc::new(Notify::new());
        let bytes = Arc::new(Semaphore::new(options.queue_max_bytes));
        let committed_through = Arc::new(AtomicU64::new(0));
        let commit_loop = CommitLoop {
            queue,
            log,
            outbound,
            lease,
            options,
            next_seq: 1,
            committed_through: Arc::clone(&committed_through),
            closing: Arc::clone(&closing),
            failpoints: Failpoints::default(),
            metrics: metrics.clone(),
        };
        let entrance = Self { queue: sender, options, closing, bytes, committed_through, metrics };
        (entrance, commit_loop)
    }

    /// Takes no more events; the loop ends once those that it took are durable.
    pub fn close(&self) {
        self.closing.notify_one();
    }

    /// The number up to which all events of this run are in the log for good. Above it the log may show events whose
    /// predecessors are still to come, in batches that are being written.
    pub fn committed_through(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.committed_through)
    }

    /// Makes an event durable. When this returns `Ok`, the event survives
    /// anything, and it was relayed already or will be as soon as the broker
    /// answers; the positions are empty if it was not relayed within the time
    /// that the settings allow.
    pub async fn commit(&self, event: Event) -> Result<Positions, Problem> {
        self.submit(event).map_err(|_| self.queue_full())?.wait().await
    }

    /// Queues an event, behind those that were queued before; gives it back if the queue is full. It is committed even if
    /// nobody waits for that.
    pub fn submit(&self, event: Event) -> Result<Submitted, Box<Event>> {
        let (committed, is_committed) = oneshot::channel();
        let (relayed, is_relayed) = oneshot::channel();
        let bytes = weight(&event).min(self.options.queue_max_bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(share) = Arc::clone(&self.bytes).try_acquire_many_owned(bytes) else {
            return Err(Box::new(event));
        };
        let submission = Submission { event, waiter: Waiter { committed, relayed, _share: share } };
        // Before it is sent, for the loop may have taken it by the time that it was.
        self.metrics.queued();
        if let Err(refused) = self.queue.try_send(submission) {
            self.metrics.unqueued();
            return Err(Box::new(refused.into_inner().event));
        }
        let CommitOptions { append_timeout, relay_wait_timeout, .. } = self.options;
        Ok(Submitted {
            committed: is_committed,
            relayed: is_relayed,
            append_timeout,
            relay_wait_timeout,
        })
    }

    /// What becomes of an event for which the queue had no room.
    pub fn queue_full(&self) -> Problem {
        self.metrics.refused();
        let detail = "More writes are waiting for the event log than it takes. Try again later.";
        let problem = Problem::new(ProblemKind::Unavailable, "event_queue_full", detail);
        Problem { retry_after: Some(Duration::from_secs(1)), ..problem }
    }
}

impl CommitLoop {
    /// Stops where tests stop.
    pub fn stopping_at(self, failpoints: Failpoints) -> Self {
        Self { failpoints, ..self }
    }

    /// Serves until the committer is gone. One append is in flight at a time;
    /// the next batch is what queued meanwhile, so that under load many events
    /// share one commit and an event alone waits for nobody.
    pub async fn run(mut self) {
        let mut waiting = Vec::with_capacity(self.options.batch_max_events);
        // What would have made the last batch too large begins the next one.
        let mut held_over = None;
        loop {
            let first = match held_over.take() {
                Some(first) => first,
                None => match self.next().await {
                    Some(first) => first,
                    None => return,
                },
            };
            let mut bytes = weight(&first.event);
            waiting.push(first);
            while waiting.len() < self.options.batch_max_events {
                let Ok(next) = self.queue.try_recv() else {
                    break;
                };
                bytes += weight(&next.event);
                if bytes > self.options.batch_max_bytes {
                    held_over = Some(next);
                    break;
                }
                waiting.push(next);
            }
            let (events, waiters): (Vec<_>, Vec<_>) =
                waiting.drain(..).map(|one| (one.event, one.waiter)).unzip();
            waiters.iter().for_each(|_| self.metrics.unqueued());
            let batch = self.number(events);
            let began = Instant::now();
            // A run that nobody would finish must not have events; and whoever waits must not be told of one
            // that was appended after another node had finished the run.
            self.lease.assure().await;
            self.append(&batch).await;
            self.failpoints.reach("committer.appended").await;
            self.lease.assure().await;
            self.committed_through.store(self.next_seq - 1, Ordering::Release);
            self.metrics.committed(batch.len(), began.elapsed());
            self.hand_over(batch, waiters);
        }
    }

    async fn next(&mut self) -> Option<Submission> {
        tokio::select! {
            biased;
            next = self.queue.recv() => next,
            () = self.closing.notified() => {
                self.queue.close();
                self.queue.recv().await
            }
        }
    }

    fn number(&mut self, events: Vec<Event>) -> Vec<LoggedEvent> {
        let number = |event| {
            let incarnation = self.lease.run();
            let logged = LoggedEvent { incarnation, seq: self.next_seq, event };
            self.next_seq += 1;
            logged
        };
        events.into_iter().map(number).collect()
    }

    /// Appends until every event is acknowledged, with the same ids each time.
    async fn append(&self, batch: &[LoggedEvent]) {
        let Err(mut error) = self.log.append(batch).await else { return };
        tracing::warn!(%error, "the event log did not take a batch; trying again until it does");
        loop {
            self.metrics.retried();
            tokio::time::sleep(RETRY_DELAY).await;
            let pending: Vec<_> = error.pending.iter().map(|place| batch[*place].clone()).collect();
            let Err(next) = self.log.append(&pending).await else { break };
            // What this attempt leaves pending is counted from `pending`, not from `batch`.
            let places = next.pending.iter().map(|place| error.pending[*place]).collect();
            error = AppendError { pending: places, cause: next.cause };
        }
        tracing::info!("the event log takes batches again");
    }

    fn hand_over(&self, batch: Vec<LoggedEvent>, waiters: Vec<Waiter>) {
        let now = Instant::now();
        let relaying = zip(batch, waiters).map(|(logged, waiter)| {
            // Who waited may have given up; the event is relayed all the same.
            let _ = waiter.committed.send(now);
            Relaying { logged, done: waiter.relayed }
        });
        self.outbound.offer(relaying);
    }
}

/// About how many bytes an event adds to an append.
fn weight(event: &Event) -> usize {
    use crate::domain::event::Fact;
    let payload = match &event.fact {
        Fact::PostPublished(post) | Fact::PostDrafted(post) => weight_of_post(post),
        Fact::PostUpdated(change) | Fact::PostRemoved(change) => {
            let tags: usize = change.former_tags.iter().map(String::len).sum();
            weight_of_post(&change.post) + tags
        }
        Fact::PostCommented(change)
        | Fact::CommentEdited(change)
        | Fact::CommentRemoved(change) => change.comment.content.len() + 64 * change.notify.len(),
        // An id is 36 letters, quoted and followed by a comma.
        Fact::NotificationRead(read) => 39 * read.ids.len(),
        Fact::ChannelPublished(bare) => bare.data.get().len(),
        Fact::PostLiked(_)
        | Fact::PostUnliked(_)
        | Fact::PostBookmarked(_)
        | Fact::PostUnbookmarked(_)
        | Fact::PostShared(_)
        | Fact::PostViewed(_)
        | Fact::UserFollowed(_)
        | Fact::UserUnfollowed(_) => 0,
    };
    payload + 512
}

fn weight_of_post(post: &crate::domain::post::Post) -> usize {
    let metadata = post.metadata.as_ref().map_or(0, |metadata| metadata.get().len());
    post.title.len() + post.content.len() + post.excerpt.len() + metadata
}

#[cfg(test)]
mod tests;
