//! Records in the log where events were relayed, beside the relay itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::ports::event_log::{LogCursor, RelayLedger, RelayRecord};

/// Batches of relays that may wait to be recorded; the relay waits beyond that.
const QUEUE_MAX: usize = 64;
/// Between attempts while the log cannot be written.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// What one batch of the relay leaves to record.
pub struct Relayed {
    /// Where each event was relayed.
    pub records: Vec<RelayRecord>,
    /// How far the relay has come.
    pub cursor: LogCursor,
}

/// Starts the recorder. Whatever has queued up is recorded in one write; the
/// cursor advances only together with what it stands for, so that a crash at
/// any moment has the events relayed again rather than forgotten. The task ends
/// when all senders are gone and everything is recorded.
pub fn start(ledger: Arc<dyn RelayLedger>) -> (mpsc::Sender<Relayed>, tokio::task::JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    (sender, tokio::spawn(run(ledger, receiver)))
}

async fn run(ledger: Arc<dyn RelayLedger>, mut queue: mpsc::Receiver<Relayed>) {
    let mut waiting = Vec::with_capacity(QUEUE_MAX);
    while queue.recv_many(&mut waiting, QUEUE_MAX).await > 0 {
        let mut records = Vec::new();
        let mut cursor = None;
        for relayed in waiting.drain(..) {
            records.extend(relayed.records);
            cursor = Some(relayed.cursor);
        }
        let Some(cursor) = cursor else { continue };
        while let Err(error) = ledger.record(&records, cursor).await {
            tracing::warn!(%error, "could not record relays; trying again");
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}
