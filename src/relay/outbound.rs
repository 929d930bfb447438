//! Committed events go to the broker, in the order of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::publisher::{Positions, Publisher};
use super::recorder::Relayed;
use crate::domain::event::LoggedEvent;
use crate::domain::ids::Incarnation;
use crate::metrics::RelayMetrics;
use crate::ports::clock::Clock;
use crate::ports::event_log::{EventLog, LogCursor};
use crate::ports::failpoint::Failpoints;

/// Between attempts while the broker does not answer.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A committed event on its way, and who waits for it.
pub struct Relaying {
    /// The event at its place in the log.
    pub logged: LoggedEvent,
    /// Told when the broker has it.
    pub done: oneshot::Sender<Positions>,
}

/// The entrance of the relay. What it is offered is a hint that saves reading
/// it from the log: the log has it, and what does not fit is read from there.
pub struct Outbound {
    queue: mpsc::Sender<Relaying>,
    overflowed: Arc<AtomicU64>,
    behind: Arc<Notify>,
}

impl Outbound {
    /// Takes events that were just committed, in their order.
    pub fn offer(&self, relaying: impl IntoIterator<Item = Relaying>) {
        for one in relaying {
            let seq = one.logged.seq;
            if self.queue.try_send(one).is_err() {
                // The relay reads it from the log; nobody learns its position. Only
                // then: what is queued as well would be published twice.
                self.overflowed.fetch_max(seq, Ordering::Release);
                self.behind.notify_one();
            }
        }
    }
}

/// The relay of one incarnation.
pub struct OutboundRelay {
    publisher: Arc<Publisher>,
    log: Arc<dyn EventLog>,
    incarnation: Incarnation,
    recorder: mpsc::Sender<Relayed>,
    queue: mpsc::Receiver<Relaying>,
    overflowed: Arc<AtomicU64>,
    behind: Arc<Notify>,
    batch_max: usize,
    /// The number of the last event that the broker has.
    relayed: u64,
    /// Where tests stop.
    failpoints: Failpoints,
    /// What counts, and by which clock.
    measured: Option<(RelayMetrics, Arc<dyn Clock>)>,
}

impl OutboundRelay {
    /// A relay for `incarnation` and its entrance, which holds `queue_max` events.
    pub fn new(
        publisher: Arc<Publisher>,
        log: Arc<dyn EventLog>,
        incarnation: Incarnation,
        recorder: mpsc::Sender<Relayed>,
        queue_max: usize,
        batch_max: usize,
    ) -> (Outbound, Self) {
        let (sender, queue) = mpsc::channel(queue_max);
        let (overflowed, behind) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let entrance = Outbound {
            queue: sender,
            overflowed: Arc::clone(&overflowed),
            behind: Arc::clone(&behind),
        };
        let relay = Self {
            publisher,
            log,
            incarnation,
            recorder,
            queue,
            overflowed,
            behind,
            batch_max,
            relayed: 0,
            failpoints: Failpoints::default(),
            measured: None,
        };
        (entrance, relay)
    }

    /// Counts what it does; how old events are is told by `clock`.
    pub fn measured(self, metrics: RelayMetrics, clock: Arc<dyn Clock>) -> Self {
        Self { measured: Some((metrics, clock)), ..self }
    }

    /// Stops where tests stop.
    pub fn stopping_at(self, failpoints: Failpoints) -> Self {
        Self { failpoints, ..self }
    }

    /// Relays until the entrance is gone and everything committed is with the broker.
    pub async fn run(mut self) {
        let mut waiting = Vec::with_capacity(self.batch_max);
        loop {
            let behind = Arc::clone(&self.behind);
            tokio::select! {
                biased;
                count = self.queue.recv_many(&mut waiting, self.batch_max) => {
                    if count == 0 {
                        return self.read_from_log(self.overflowed.load(Ordering::Acquire)).await;
                    }
                    self.relay_queued(&mut waiting).await;
                }
                () = behind.notified() => {}
            }
            // Asked before the queue is: what came into the queue before that
            // number was then taken from there, and is not read from the log again.
            let through = self.overflowed.load(Ordering::Acquire);
            if self.queue.is_empty() {
                self.read_from_log(through).await;
            }
        }
    }

    async fn relay_queued(&mut self, waiting: &mut Vec<Relaying>) {
        while let Some(first) = waiting.first() {
            let next = first.logged.seq;
            if next > self.relayed + 1 {
                self.read_from_log(next - 1).await;
            }
            // Up to the first event that does not follow its predecessor.
            let run =
                (0..).zip(waiting.iter()).take_while(|(i, one)| one.logged.seq == next + i).count();
            let batch: Vec<_> = waiting.drain(..run).collect();
            let positions = self.relay(batch.iter().map(|one| &one.logged)).await;
            for (one, positions) in batch.into_iter().zip(positions) {
                // Who waited may have given up.
                let _ = one.done.send(positions);
            }
        }
    }

    async fn read_from_log(&mut self, through: u64) {
        while self.relayed < through {
            let cursor = LogCursor { incarnation: self.incarnation, seq: self.relayed };
            match self.log.read_after(cursor, self.batch_max).await {
                Ok(events) => {
                    let end = events.iter().take_while(|logged| logged.seq <= through).count();
                    if end == 0 {
                        // Numbers without an event: those were in the log already.
                        self.relayed = through;
                        return;
                    }
                    self.relay(events[..end].iter()).await;
                    if let Some((metrics, _)) = &self.measured {
                        metrics.reread(end);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "could not read the log for the relay; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    async fn relay<'a>(
        &mut self,
        events: impl Iterator<Item = &'a LoggedEvent> + Clone,
    ) -> Vec<Positions> {
        let (Some(first), Some(last)) = (events.clone().next(), events.clone().last()) else {
            return Vec::new();
        };
        let (asked_at, positions, records) = loop {
            let asked_at = Instant::now();
            match self.publisher.publish(events.clone().map(|logged| &logged.event)).await {
                Ok((positions, records)) => break (asked_at, positions, records),
                Err(error) => {
                    tracing::warn!(%error, "could not publish; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        };
        self.failpoints.reach("relay.published").await;
        self.relayed = last.seq;
        if let Some((metrics, clock)) = &self.measured {
            metrics.relayed(positions.len(), clock.now().since(last.event.time));
        }
        let cursor = LogCursor { incarnation: self.incarnation, seq: last.seq };
        // The recorder outlives the relay.
        let relayed = Relayed { records, after: first.seq - 1, cursor, asked_at };
        let _ = self.recorder.send(relayed).await;
        positions
    }
}

#[cfg(test)]
mod tests;
