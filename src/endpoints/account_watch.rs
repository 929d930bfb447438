//! Acts on account changes, whichever node they were made on: closes the
//! sockets of sessions that ended and of accounts that were closed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::client_protocol::codes::Disconnect;
use crate::domain::account::{AccountChange, AccountChangeKind};
use crate::hub::{Hub, Owner};
use crate::ports::StoreError;
use crate::ports::account_control::AccountControl;

/// How many numbers below the latest are still looked for: a transaction may
/// commit after one that got a higher number.
const OVERLAP: u64 = 1_000;

/// Changes read at once.
const PAGE: usize = 500;

/// Reads the numbered changes of accounts and closes sockets accordingly.
pub struct AccountWatch {
    control: Arc<dyn AccountControl>,
    hub: Arc<Hub>,
    interval: Duration,
    seen: Seen,
}

impl AccountWatch {
    /// Begins after the changes that are there now. Whoever connects after this
    /// returned is told of every change after it connected.
    ///
    /// # Errors
    /// The store's, as a node must not take connections that it cannot end.
    pub async fn begin(
        control: Arc<dyn AccountControl>,
        hub: Arc<Hub>,
        interval: Duration,
    ) -> Result<Self, StoreError> {
        let last = control.last_change().await?;
        let mut watch = Self { control, hub, interval, seen: Seen::up_to(last) };
        // What of the overlap is there already was done before anyone connected.
        watch.read_new().await?;
        Ok(watch)
    }

    /// Reads and acts every interval until `stop` turns true. While the store
    /// fails, sockets stay open; what changed meanwhile is acted on afterwards.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut failing = false;
        while tokio::time::timeout(self.interval, stop.wait_for(|stop| *stop)).await.is_err() {
            match self.read_new().await {
                Ok(changes) => {
                    if failing {
                        tracing::info!("account changes can be read again");
                    }
                    failing = false;
                    for change in changes {
                        self.act(change).await;
                    }
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "cannot read account changes; trying again");
                }
                Err(_) => {}
            }
        }
    }

    /// All changes that were not read before. If reading fails midway, none counts as read.
    async fn read_new(&mut self) -> Result<Vec<AccountChange>, StoreError> {
        let mut found = Vec::new();
        let mut after = self.seen.below;
        loop {
            let page = self.control.changes_after(after, PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map_or(after, |change| change.number);
            found.extend(page);
            if is_last {
                break;
            }
        }
        found.retain(|change| self.seen.add(change.number));
        self.seen.forget();
        Ok(found)
    }

    async fn act(&self, change: AccountChange) {
        let session = match change.kind {
            AccountChangeKind::SessionEnded(session) => session,
            // No session: all of the user's.
            AccountChangeKind::SessionsEnded
            | AccountChangeKind::Deactivated
            | AccountChangeKind::Banned => 0,
            AccountChangeKind::Reopened | AccountChangeKind::Updated => return,
        };
        let owner = Owner { user: change.user.0, session };
        self.hub.close(owner, Disconnect::INVALID_TOKEN).await;
    }
}

/// The numbers that were read, as far down as a number may still come late.
struct Seen {
    /// Every number up to this counts as read.
    below: u64,
    /// Those read above it, at most [`OVERLAP`] once forgotten.
    above: BTreeSet<u64>,
}

impl Seen {
    fn up_to(last: u64) -> Self {
        Self { below: last.saturating_sub(OVERLAP), above: BTreeSet::new() }
    }

    /// Whether the number is new.
    fn add(&mut self, number: u64) -> bool {
        number > self.below && self.above.insert(number)
    }

    /// Forgets numbers below which none is missing, or none that could still come.
    fn forget(&mut self) {
        if let Some(last) = self.above.last() {
            self.below = self.below.max(last.saturating_sub(OVERLAP));
        }
        while let Some(first) = self.above.first().copied() {
            if first > self.below + 1 {
                break;
            }
            self.below = self.below.max(first);
            self.above.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(seen: &mut Seen, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let new: Vec<_> = numbers.into_iter().filter(|&number| seen.add(number)).collect();
        seen.forget();
        new
    }

    #[test]
    fn a_number_is_new_once() {
        let mut seen = Seen::up_to(0);
        assert_eq!(read(&mut seen, [1, 2, 3]), [1, 2, 3]);
        assert_eq!((seen.below, seen.above.len()), (3, 0));
        assert_eq!(read(&mut seen, [2, 3, 4]), [4]);
    }

    #[test]
    fn a_number_that_was_skipped_is_looked_for_and_taken_late() {
        let mut seen = Seen::up_to(0);
        assert_eq!(read(&mut seen, [1, 3, 4]), [1, 3, 4]);
        assert_eq!(seen.below, 1, "2 may still come");
        assert_eq!(read(&mut seen, [3, 4]), [0; 0]);
        assert_eq!(read(&mut seen, [2, 3, 4, 5]), [2, 5]);
        assert_eq!((seen.below, seen.above.len()), (5, 0));
    }

    #[test]
    fn a_gap_that_stays_is_given_up_and_little_is_remembered() {
        let mut seen = Seen::up_to(5_000);
        assert_eq!(seen.below, 5_000 - OVERLAP);
        for number in (5_000..9_000).step_by(2) {
            assert_eq!(read(&mut seen, [number]), [number]);
            assert!(seen.above.len() as u64 <= OVERLAP);
        }
        assert!(seen.below >= 8_998 - OVERLAP, "{}", seen.below);
    }
}
