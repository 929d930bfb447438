//! Acts on account changes, whichever node they were made on: closes the
//! sockets of sessions that ended and of accounts that were closed.

use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::admission::known_changes::KnownChanges;
use crate::client_protocol::codes::Disconnect;
use crate::domain::account::{AccountChange, AccountChangeKind};
use crate::hub::{Hub, Owner};
use crate::ports::StoreError;
use crate::ports::account_control::AccountControl;

/// How many numbers below the latest are looked for at the start: a transaction may
/// commit after one that got a higher number.
const OVERLAP: u64 = 1_000;

/// How long a number that was skipped is looked for. A store ends a transaction that stands still for a
/// minute, so that no number comes later; those that never come are of transactions that were undone.
const LATE: Duration = Duration::from_secs(90);

/// Changes read at once.
const PAGE: usize = 500;

/// However many hints come, changes are not looked for more often than this.
const REST: Duration = Duration::from_millis(20);

/// Reads the numbered changes of accounts, makes them known to whoever keeps something of accounts, and closes
/// sockets accordingly.
pub struct AccountWatch {
    control: Arc<dyn AccountControl>,
    hub: Arc<Hub>,
    known: Arc<KnownChanges>,
    /// Notified when there may be something to read.
    hint: Arc<Notify>,
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
        known: Arc<KnownChanges>,
        hint: Arc<Notify>,
        interval: Duration,
    ) -> Result<Self, StoreError> {
        let seen = Seen::up_to(control.last_change().await?);
        known.begin(seen.below);
        let mut watch = Self { control, hub, known, hint, interval, seen };
        // What of the overlap is there already was done before anyone connected.
        watch.read_new().await?;
        Ok(watch)
    }

    /// Reads and acts every interval, and at once upon a hint, until `stop` turns true. While the store
    /// fails, sockets stay open; what changed meanwhile is acted on afterwards.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut failing = false;
        while self.rest(&mut stop).await {
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

    /// Waits until it is time to read; false once `stop` is true.
    async fn rest(&self, stop: &mut watch::Receiver<bool>) -> bool {
        let hinted = async {
            // Hints that come one upon the other are one.
            tokio::time::sleep(REST.min(self.interval)).await;
            self.hint.notified().await;
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => false,
            () = tokio::time::sleep(self.interval) => true,
            () = hinted => true,
        }
    }

    /// All changes that were not read before. If reading fails midway, none counts as read.
    async fn read_new(&mut self) -> Result<Vec<AccountChange>, StoreError> {
        let round = self.known.begin_round();
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
        let now = Instant::now();
        found.retain(|change| self.seen.add(change.number, now));
        self.seen.forget(now);
        // Known before sockets are closed: whoever connects from then on is judged by it.
        self.known.finish_round(round, &found, self.seen.below);
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
    /// Those read above it since one was skipped, each with when it was read.
    above: BTreeMap<u64, Instant>,
}

impl Seen {
    fn up_to(last: u64) -> Self {
        Self { below: last.saturating_sub(OVERLAP), above: BTreeMap::new() }
    }

    /// Whether the number is new.
    fn add(&mut self, number: u64, now: Instant) -> bool {
        match self.above.entry(number) {
            Entry::Vacant(vacant) if number > self.below => {
                vacant.insert(now);
                true
            }
            _ => false,
        }
    }

    /// Forgets numbers below which none is missing, or none that could still come. It goes by time and not
    /// by how many numbers came since: one transaction may take any number of them.
    fn forget(&mut self, now: Instant) {
        while let Some(first) = self.above.first_entry() {
            let is_next = *first.key() == self.below + 1;
            if !is_next && now.duration_since(*first.get()) < LATE {
                break;
            }
            self.below = *first.key();
            first.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(seen: &mut Seen, numbers: impl IntoIterator<Item = u64>, now: Instant) -> Vec<u64> {
        let new: Vec<_> = numbers.into_iter().filter(|&number| seen.add(number, now)).collect();
        seen.forget(now);
        new
    }

    #[test]
    fn a_number_is_new_once() {
        let (mut seen, now) = (Seen::up_to(0), Instant::now());
        assert_eq!(read(&mut seen, [1, 2, 3], now), [1, 2, 3]);
        assert_eq!((seen.below, seen.above.len()), (3, 0));
        assert_eq!(read(&mut seen, [2, 3, 4], now), [4]);
    }

    #[test]
    fn a_number_that_was_skipped_is_looked_for_and_taken_late() {
        let (mut seen, now) = (Seen::up_to(0), Instant::now());
        assert_eq!(read(&mut seen, [1, 3, 4], now), [1, 3, 4]);
        assert_eq!(seen.below, 1, "2 may still come");
        assert_eq!(read(&mut seen, [3, 4], now), [0; 0]);
        assert_eq!(read(&mut seen, [2, 3, 4, 5], now), [2, 5]);
        assert_eq!((seen.below, seen.above.len()), (5, 0));
    }

    #[test]
    fn however_many_numbers_came_since_one_that_was_skipped_is_taken_late() {
        let (mut seen, now) = (Seen::up_to(0), Instant::now());
        assert_eq!(read(&mut seen, 2..=9_000, now).len(), 8_999);
        let later = now + LATE - Duration::from_millis(1);
        assert_eq!(read(&mut seen, [1, 9_001], later), [1, 9_001]);
        assert_eq!((seen.below, seen.above.len()), (9_001, 0));
    }

    #[test]
    fn a_gap_that_stays_is_given_up_in_time_and_what_came_after_it_is_forgotten() {
        let mut seen = Seen::up_to(5_000);
        assert_eq!(seen.below, 5_000 - OVERLAP);
        let mut now = Instant::now();
        for number in (5_000..9_000).step_by(2) {
            assert_eq!(read(&mut seen, [number], now), [number]);
            now += LATE / 100;
            assert!(seen.above.len() <= 102, "{}", seen.above.len());
        }
        assert!(seen.below >= 8_700, "{}", seen.below);
        assert_eq!(read(&mut seen, [], now + LATE), [0; 0]);
        assert_eq!((seen.below, seen.above.len()), (8_998, 0));
    }
}
