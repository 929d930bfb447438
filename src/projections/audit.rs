//! Audit: compares the event log with all that follows from it, beside live nodes, and repairs what can be repaired
//! without guessing.
//!
//! It goes through everything page by page. What is on its way raises no alarm: only events that are older than
//! some seconds count, and a difference is looked at once more, a while later, before it is told. What cannot be in
//! flight, because one statement sees counts and what is counted at one moment, is told at once.

mod analytics;
mod counts;
mod documents;
mod loose_ends;
mod restore;
mod walk;

pub mod report;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, Incarnation};
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::analytics::Analytics;
use crate::ports::audit::analytics::{AggregateAudit, ProjectionAudit};
use crate::ports::audit::content::{CountAudit, DocumentAudit};
use crate::ports::audit::log::{KnownRun, LogAudit};
use crate::ports::clock::Clock;
use crate::ports::comments::Comments;
use crate::ports::content::Content;
use crate::ports::event_log::EventLog;
use crate::ports::inbox::Inbox;
use crate::ports::marks::Marks;
use crate::ports::runs::Runs;

use report::{Remedy, Report};

#[cfg(test)]
mod tests;

/// How many events, rows or documents are read at once.
const PAGE_MAX: usize = 500;
/// How many suspects wait for their second look.
const SUSPECTS_MAX: usize = 5_000;

/// Everything that is compared.
#[derive(Clone)]
pub struct Audited {
    /// The log across all runs.
    pub log: Arc<dyn LogAudit>,
    /// The log by runs.
    pub events: Arc<dyn EventLog>,
    /// Opens runs again.
    pub runs: Arc<dyn Runs>,
    /// Projects what was not.
    pub analytics: Arc<dyn Analytics>,
    /// What was projected.
    pub projected: Arc<dyn ProjectionAudit>,
    /// What is counted from it.
    pub aggregates: Arc<dyn AggregateAudit>,
    /// Posts.
    pub content: Arc<dyn Content>,
    /// Marks.
    pub marks: Arc<dyn Marks>,
    /// Comments.
    pub comments: Arc<dyn Comments>,
    /// Inboxes.
    pub inbox: Arc<dyn Inbox>,
    /// What documents embed.
    pub documents: Arc<dyn DocumentAudit>,
    /// What is counted of documents.
    pub counts: Arc<dyn CountAudit>,
    /// Says what the present is.
    pub clock: Arc<dyn Clock>,
}

/// What counts as a difference.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Events that were minted less than this ago are left out. As long as a node, or whoever finishes what a dead one
    /// left, may take from the first write of a request to the last.
    pub grace: Duration,
    /// After this a difference is looked at again.
    pub settle: Duration,
    /// A relay or a projection that is further behind than this is late, and not just busy.
    pub late: Duration,
    /// How many differences of each kind are told in words.
    pub examples_max: usize,
}

/// Makes an event durable, through a run that is open; says whether it is.
pub type Commit = Box<dyn Fn(Event) -> BoxFuture<'static, bool> + Send + Sync>;

/// The audit.
pub struct Audit {
    /// What is compared.
    pub stores: Audited,
    /// What counts as a difference.
    pub patience: Patience,
    /// Repairs what is found; `None`: nothing is changed.
    pub repairs: Option<Commit>,
}

/// What was known when the audit began.
struct Beginning {
    /// Events with this id or a greater one are left out.
    before: EventId,
    /// How far each run was projected.
    projected: HashMap<Incarnation, u64>,
    /// How far each run was relayed.
    relayed: HashMap<Incarnation, KnownRun>,
}

impl Audit {
    /// Compares everything once.
    ///
    /// # Errors
    /// A store that does not answer, or holds something that cannot be read: nothing can be said then.
    pub async fn run(&self) -> Result<Report, StoreError> {
        let as_of = self.stores.clock.now().minus(self.patience.grace);
        let mut report = Report::new(as_of, self.patience.examples_max);
        let cursors = self.stores.analytics.cursors().await?.into_iter();
        let projected = cursors.map(|cursor| (cursor.incarnation, cursor.seq)).collect();
        let relayed = self.find_unrelayed(&mut report).await?;
        let begin = Beginning { before: EventId::from_parts(as_of, [0; 10]), projected, relayed };
        self.find_unappended(&begin, &mut report).await?;
        self.walk(&begin, &mut report).await?;
        self.find_unknown(&begin, &mut report).await?;
        self.find_dead(&mut report).await?;
        self.compare_aggregates(&mut report).await?;
        self.compare_posts(&mut report).await?;
        self.compare_follows(&mut report).await?;
        self.compare_unread(&mut report).await?;
        Ok(report)
    }

    /// Compares what is counted of documents alone, and counts again what is wrong if repairs are wanted.
    ///
    /// # Errors
    /// As [`Audit::run`].
    pub async fn recount(&self) -> Result<Report, StoreError> {
        let mut report = Report::new(self.stores.clock.now(), self.patience.examples_max);
        self.compare_posts(&mut report).await?;
        self.compare_follows(&mut report).await?;
        self.compare_unread(&mut report).await?;
        Ok(report)
    }

    /// Waits until what was seen at `since`, or before, had the time to settle.
    async fn settle(&self, since: Instant) {
        tokio::time::sleep_until(since + self.patience.settle).await;
    }

    /// Whether an event is so old that whoever deals with it is late.
    fn is_late(&self, event: &Event) -> bool {
        self.stores.clock.now().since(event.id.minted_at()) > self.patience.late
    }

    /// What becomes of a difference that `repair` repairs, if that is wanted.
    async fn remedy(
        &self,
        repair: impl Future<Output = Result<Remedy, StoreError>>,
    ) -> Result<Remedy, StoreError> {
        if self.repairs.is_none() { Ok(Remedy::None) } else { repair.await }
    }
}

/// Where all events lie between: before the first one that can be.
const FIRST: EventId = EventId(uuid::Uuid::nil());

/// Before all times.
const LONG_AGO: Timestamp = Timestamp::from_millis(0);
