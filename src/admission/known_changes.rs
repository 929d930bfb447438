//! What this node knows of the changes of accounts, by which it judges what was kept of them earlier.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use crate::domain::account::AccountChange;
use crate::domain::ids::UserId;

/// Of how many users the newest change is remembered. Beyond it nothing earlier is believed of anyone.
const USERS_MAX: usize = 100_000;

/// So many rounds pass between looks at who may be forgotten.
const SWEEP_ROUNDS: u64 = 64;

/// How much later than it should an entry may be written, and so be there when its time should be over.
const MARGIN: Duration = Duration::from_secs(60);

/// The changes that this node has read. Whoever follows them says so in rounds, one after the other; whoever keeps
/// something of an account asks. Everything read of an account that lacks a change which is known here is out of date.
pub struct KnownChanges {
    /// Of changes up to this number nothing is known here: they precede the first that was read, or were forgotten.
    since: AtomicU64,
    /// Every change up to this number that will ever be there was read, or precedes the first that was.
    through: AtomicU64,
    /// Rounds that began.
    begun: AtomicU64,
    /// The last round that was finished.
    finished: AtomicU64,
    users: DashMap<UserId, Newest>,
    users_max: usize,
    /// How long a user's newest change is remembered after it was read.
    retention: Duration,
}

/// What is known of one user.
struct Newest {
    /// The greatest number of a change that was read; 0 if none was.
    number: u64,
    /// When anything was heard of the user.
    at: Instant,
    /// The last round that may have missed a change which was made through this node; later ones see it.
    unseen: Option<u64>,
}

/// One reading of everything that is new.
pub struct Round(u64);

impl KnownChanges {
    /// Knows nothing yet, and believes nothing. What is judged by it is kept for at most `ttl`.
    pub fn new(ttl: Duration) -> Self {
        Self {
            since: AtomicU64::new(u64::MAX),
            through: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            users: DashMap::new(),
            users_max: USERS_MAX,
            // What is forgotten any sooner could be missing where an entry is from a moment before it.
            retention: ttl * 2 + MARGIN,
        }
    }

    /// All changes with a number above `since` are read from now on.
    pub fn begin(&self, since: u64) {
        self.through.store(since, Ordering::SeqCst);
        self.since.store(since, Ordering::SeqCst);
    }

    /// A round begins, before it reads anything.
    pub fn begin_round(&self) -> Round {
        Round(self.begun.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// A round read `changes`, which are all that were new; up to the number `through` none is missing.
    pub fn finish_round(&self, round: Round, changes: &[AccountChange], through: u64) {
        let now = Instant::now();
        for change in changes {
            let mut newest = self.users.entry(change.user).or_insert_with(|| Newest::of(now));
            newest.number = newest.number.max(change.number);
            newest.at = now;
        }
        self.through.store(through, Ordering::SeqCst);
        self.finished.store(round.0, Ordering::SeqCst);
        let crowded = self.users.len() > self.users_max;
        if crowded || round.0.is_multiple_of(SWEEP_ROUNDS) {
            self.forget(&round, now, crowded);
        }
    }

    /// Forgets those of whom nothing was heard for long, and everyone if they are too many.
    fn forget(&self, round: &Round, now: Instant, crowded: bool) {
        if crowded {
            let last = self.users.iter().map(|newest| newest.number).max();
            self.since.fetch_max(last.unwrap_or(0), Ordering::SeqCst);
        }
        self.users.retain(|_, newest| {
            let awaited = newest.unseen.is_some_and(|unseen| unseen >= round.0);
            awaited || (!crowded && now.duration_since(newest.at) < self.retention)
        });
    }

    /// The number up to which every change was read. Whatever is read of an account after this was asked
    /// for holds all of them.
    pub fn through(&self) -> u64 {
        self.through.load(Ordering::SeqCst)
    }

    /// A change of this user was made through this node just now, and is not read yet.
    pub fn expect(&self, user: UserId) {
        let mut newest = self.users.entry(user).or_insert_with(|| Newest::of(Instant::now()));
        newest.at = Instant::now();
        // A round that begins after this one sees the change.
        newest.unseen = Some(self.begun.load(Ordering::SeqCst));
    }

    /// Whether what was read of this user once every change up to `known` had been read lacks no change, as
    /// far as this node knows.
    pub fn is_current(&self, user: UserId, known: u64) -> bool {
        if let Some(newest) = self.users.get(&user) {
            let finished = self.finished.load(Ordering::SeqCst);
            if newest.number > known || newest.unseen.is_some_and(|round| round >= finished) {
                return false;
            }
        }
        // Asked last: it is raised before a user is forgotten.
        known >= self.since.load(Ordering::SeqCst)
    }
}

impl Newest {
    fn of(now: Instant) -> Self {
        Self { number: 0, at: now, unseen: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::AccountChangeKind;

    const TTL: Duration = Duration::from_secs(300);
    const ADA: UserId = UserId(1);
    const BOB: UserId = UserId(2);

    fn change(number: u64, user: UserId) -> AccountChange {
        AccountChange { number, user, kind: AccountChangeKind::Updated }
    }

    fn read(known: &KnownChanges, changes: &[AccountChange], through: u64) {
        known.finish_round(known.begin_round(), changes, through);
    }

    #[test]
    fn nothing_is_believed_before_the_first_change_is_looked_for() {
        let known = KnownChanges::new(TTL);
        assert!(!known.is_current(ADA, 0) && !known.is_current(ADA, u64::MAX - 1));
        known.begin(10);
        assert_eq!(known.through(), 10);
        assert!(!known.is_current(ADA, 9), "the change 10 is not known here");
        assert!(known.is_current(ADA, 10));
    }

    #[test]
    fn what_lacks_a_change_is_out_of_date_for_its_user_alone() {
        let known = KnownChanges::new(TTL);
        known.begin(0);
        read(&known, &[change(1, ADA), change(2, ADA)], 2);
        assert_eq!(known.through(), 2);
        assert!(!known.is_current(ADA, 0) && !known.is_current(ADA, 1));
        assert!(known.is_current(ADA, 2) && known.is_current(BOB, 0));
        // A change with a lower number, read late, takes nothing back.
        read(&known, &[change(5, BOB)], 2);
        read(&known, &[change(3, BOB), change(4, BOB)], 5);
        assert!(!known.is_current(BOB, 4) && known.is_current(BOB, 5));
    }

    #[test]
    fn after_a_change_through_this_node_nothing_is_believed_until_a_later_round_has_read_it() {
        let known = KnownChanges::new(TTL);
        known.begin(0);
        read(&known, &[], 0);
        assert!(known.is_current(ADA, 0));
        let round = known.begin_round();
        known.expect(ADA);
        assert!(!known.is_current(ADA, 0) && known.is_current(BOB, 0));
        known.finish_round(round, &[], 0);
        assert!(!known.is_current(ADA, 0), "the round may have read before the change was made");
        // A round that fails is as if it had not been.
        let _failed = known.begin_round();
        assert!(!known.is_current(ADA, 0));
        read(&known, &[change(1, ADA)], 1);
        assert!(!known.is_current(ADA, 0) && known.is_current(ADA, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_is_remembered_until_nothing_from_before_can_be_kept() {
        let known = KnownChanges::new(TTL);
        known.begin(0);
        read(&known, &[change(1, ADA)], 1);
        let rounds = |count: u64| (0..count).for_each(|_| read(&known, &[], 1));
        tokio::time::advance(TTL + Duration::from_secs(30)).await;
        rounds(SWEEP_ROUNDS);
        assert!(!known.is_current(ADA, 0));
        known.expect(BOB);
        tokio::time::advance(TTL * 2 + MARGIN).await;
        assert!(!known.is_current(BOB, 1), "what was not read is not forgotten");
        rounds(SWEEP_ROUNDS);
        assert_eq!(known.users.len(), 0);
    }

    #[test]
    fn too_many_users_are_forgotten_at_once_and_then_nothing_from_before_is_believed() {
        let known = KnownChanges { users_max: 10, ..KnownChanges::new(TTL) };
        known.begin(0);
        known.expect(BOB);
        let round = known.begin_round();
        known.expect(ADA);
        let changes: Vec<_> = (3..20).map(|n| change(n, UserId(n.cast_signed()))).collect();
        known.finish_round(round, &changes, 1);
        assert_eq!(known.users.len(), 1, "only what is not read yet is kept");
        for user in [ADA, BOB, UserId(3), UserId(99)] {
            assert!(!known.is_current(user, 18), "{user}");
        }
        assert!(known.is_current(UserId(19), 19) && !known.is_current(ADA, 19));
        read(&known, &[change(20, ADA)], 20);
        assert!(known.is_current(ADA, 20) && known.is_current(BOB, 20));
    }
}
