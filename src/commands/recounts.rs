//! Counts that a crash may have left wrong, until they were counted again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::event::{Event, Fact};
use crate::domain::ids::{PostId, UserId};
use crate::domain::trending::tally_of;
use crate::ports::audit::content::CountAudit;

/// How many counts may wait to be looked at; an audit finds the others.
const DUE_MAX: usize = 10_000;
/// How often one is looked at before it is left to an audit.
const LOOKS_MAX: u32 = 10;

/// What has counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    Post(PostId),
    User(UserId),
}

/// Remembers of which posts and users an event was found in its document only.
///
/// Where a document and its count are two writes, whoever was stopped between them and the append left a count that is too
/// low. A count that was found wrong is looked at once more: somebody may have changed it at that very moment.
pub struct Recounts {
    counts: Arc<dyn CountAudit>,
    /// How often each was looked at.
    due: Mutex<BTreeMap<Counted, u32>>,
}

impl Recounts {
    /// Nothing is due.
    pub fn new(counts: Arc<dyn CountAudit>) -> Self {
        Self { counts, due: Mutex::default() }
    }

    /// Notes an event that the log lacked.
    pub fn note(&self, event: &Event) {
        let counted: Vec<_> = match &event.fact {
            Fact::UserFollowed(follow) | Fact::UserUnfollowed(follow) => {
                let follower = event.actor.as_ref().map(|actor| Counted::User(actor.id));
                follower.into_iter().chain([Counted::User(follow.user)]).collect()
            }
            _ => tally_of(event).map(|tally| Counted::Post(tally.post)).into_iter().collect(),
        };
        let mut due = self.due();
        for one in counted {
            if due.len() < DUE_MAX {
                due.insert(one, 0);
            }
        }
    }

    /// Counts what is due.
    pub async fn run(&self) {
        let due: Vec<_> = self.due().keys().copied().collect();
        for one in due {
            let outcome = match one {
                Counted::Post(post) => self.counts.recount_post(post).await,
                Counted::User(user) => self.counts.recount_follows(user).await,
            };
            match outcome {
                Ok(Some(false)) => drop(self.due().remove(&one)),
                Ok(_) => self.looked(one),
                Err(error) => {
                    tracing::warn!(%error, "cannot count again what a crash may have left wrong");
                    return;
                }
            }
        }
    }

    fn looked(&self, one: Counted) {
        let mut due = self.due();
        let looks = due.entry(one).or_default();
        *looks += 1;
        if *looks >= LOOKS_MAX {
            due.remove(&one);
        }
    }

    fn due(&self) -> MutexGuard<'_, BTreeMap<Counted, u32>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
