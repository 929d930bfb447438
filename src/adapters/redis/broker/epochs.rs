//! Epochs that nobody has used before, whatever Redis forgot.
//!
//! Each comes from a run number of the ledger, which is durable, unique among all nodes and grows. A channel's epoch is
//! begun in three steps: the script `witness` finds none and leaves a witness; then a number is drawn; then the script
//! `begin` takes it, if the witness is still there and no epoch is. Whatever empties Redis or puts another server in its
//! place takes the witness with it. So every epoch that the channel ever had was begun before the witness was left,
//! with a number that was drawn before that, and is lower.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::domain::publication::Epoch;
use crate::ports::StoreError;
use crate::ports::event_log::RelayLedger;

/// Each run number has this many bits of epochs to give.
const RUN_SHIFT: u32 = 32;

/// Draws epochs. Many who ask at the same time share a run number, so that a Redis that lost
/// everything does not cost one write to the ledger a channel.
pub(super) struct Epochs {
    ledger: Arc<dyn RelayLedger>,
    /// How many draws have begun.
    begun: AtomicU64,
    last: Mutex<Draw>,
}

/// A run number that was drawn.
#[derive(Default)]
struct Draw {
    /// Which draw it was, from 1.
    number: u64,
    run: u32,
    /// How many epochs it has given.
    given: u32,
}

impl Epochs {
    /// Draws from `ledger`.
    pub(super) fn new(ledger: Arc<dyn RelayLedger>) -> Self {
        Self { ledger, begun: AtomicU64::new(0), last: Mutex::default() }
    }

    /// An epoch later than all that were drawn, by any node, before this was called.
    pub(super) async fn next(&self) -> Result<Epoch, StoreError> {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.number <= begun || last.given == u32::MAX {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let run = self.ledger.count_run().await?;
            *last = Draw { number, run, given: 0 };
        }
        last.given += 1;
        Ok(Epoch::from_number(u64::from(last.run) << RUN_SHIFT | u64::from(last.given)))
    }
}
