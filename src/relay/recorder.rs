//! Records in the log where events were relayed, beside the relay itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::publisher::Publisher;
use crate::ports::StoreError;
use crate::ports::event_log::{EventLog, LogCursor, RECORDED_WITHIN, RelayLedger, RelayRecord};

/// Batches of relays that may wait to be recorded; the relay waits beyond that.
const QUEUE_MAX: usize = 64;
/// Between attempts while the log cannot be written.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// How long relays are gathered for one write. A crash has what was not recorded relayed again, which changes nothing where
/// the epoch goes on; recovery from the log waits for records longer than this.
const GATHERING: Duration = Duration::from_millis(25);
/// Events that are read from the log at once.
const BATCH_MAX: usize = 512;

/// What one batch of the relay leaves to record.
pub struct Relayed {
    /// Where each event was relayed.
    pub records: Vec<RelayRecord>,
    /// The number of the event before the first of the batch.
    pub after: u64,
    /// How far the relay has come.
    pub cursor: LogCursor,
    /// When the broker was asked to publish.
    pub asked_at: Instant,
}

/// Writes records.
pub struct Recorder {
    /// Where they are kept.
    pub ledger: Arc<dyn RelayLedger>,
    /// Where events are read that have to be relayed again.
    pub log: Arc<dyn EventLog>,
    /// Relays them.
    pub publisher: Arc<Publisher>,
}

impl Recorder {
    /// Starts the recorder. Whatever queues up within a moment is recorded in one write; the
    /// cursor advances only together with what it stands for, so that a crash at
    /// any moment has the events relayed again rather than forgotten. The task ends
    /// when all senders are gone and everything is recorded.
    pub fn start(self) -> (mpsc::Sender<Relayed>, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (sender, tokio::spawn(self.run(receiver)))
    }

    async fn run(self, mut queue: mpsc::Receiver<Relayed>) {
        let mut waiting = Vec::with_capacity(QUEUE_MAX);
        while queue.recv_many(&mut waiting, QUEUE_MAX).await > 0 {
            self.gather(&mut queue, &mut waiting).await;
            let mut batches = waiting.drain(..);
            let Some(mut all) = batches.next() else { continue };
            for relayed in batches {
                all.records.extend(relayed.records);
                all.cursor = relayed.cursor;
            }
            while let Err(error) = self.record(&mut all).await {
                tracing::warn!(%error, "could not record relays; trying again");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    /// Takes what comes within a moment, if there is room for it and anything can come.
    async fn gather(&self, queue: &mut mpsc::Receiver<Relayed>, waiting: &mut Vec<Relayed>) {
        let end = Instant::now() + GATHERING;
        while waiting.len() < QUEUE_MAX {
            let room = QUEUE_MAX - waiting.len();
            match timeout_at(end, queue.recv_many(waiting, room)).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Records relays. If that took too long, an epoch of theirs may be over, and a subscriber may have recovered from it
    /// without them: they are relayed again, which changes nothing where the epoch goes on.
    async fn record(&self, relayed: &mut Relayed) -> Result<(), StoreError> {
        self.ledger.record(&relayed.records, relayed.cursor).await?;
        while relayed.asked_at.elapsed() > RECORDED_WITHIN {
            let asked_at = Instant::now();
            let records = self.relay_again(relayed.after, relayed.cursor).await?;
            if records == relayed.records {
                return Ok(());
            }
            tracing::info!("an epoch ended before what it held was recorded; told again");
            self.ledger.record(&records, relayed.cursor).await?;
            (relayed.records, relayed.asked_at) = (records, asked_at);
        }
        Ok(())
    }

    /// Relays what the log has after the number `after` up to the cursor; returns what is to be recorded.
    async fn relay_again(
        &self,
        after: u64,
        through: LogCursor,
    ) -> Result<Vec<RelayRecord>, StoreError> {
        let (mut cursor, mut records) = (LogCursor { seq: after, ..through }, Vec::new());
        loop {
            let mut batch = self.log.read_after(cursor, BATCH_MAX).await?;
            batch.retain(|logged| logged.seq <= through.seq);
            let Some(last) = batch.last() else { return Ok(records) };
            cursor.seq = last.seq;
            let events = batch.iter().map(|logged| &logged.event);
            records.extend(self.publisher.publish(events).await?.1);
        }
    }
}

#[cfg(test)]
mod tests;
