//! Settles what a crash may have left between a document and the log.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join;
use tokio::time::Instant;

use super::committer::Committer;
use super::gathering::Gathering;
use super::recounts::Recounts;
use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::domain::problem::Problem;
use crate::ports::StoreError;

/// How long whoever wrote a document may take to append its event, before somebody else does it.
const GRACE: Duration = Duration::from_secs(1);
/// How often it is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Makes sure that the event a document embeds is in the log before the
/// document gets another one.
pub struct Settle {
    /// Whether the log lacks an event.
    pub missing: Gathering<EventId, bool>,
    /// Appends it.
    pub committer: Arc<Committer>,
    /// Remembers which counts the crash may have left wrong.
    pub recounts: Arc<Recounts>,
}

impl Settle {
    /// Commits the event that a document embeds if the log lacks it. Returns
    /// whether `new`, the event of the request at hand, is in the log already: an earlier attempt then
    /// carried the request out, and whatever happened to the document since stands.
    pub async fn run(&self, embedded: &Event, new: EventId) -> Result<bool, Problem> {
        let (mut lacks_embedded, mut lacks_new) = self.lacks(embedded.id, new).await?;
        let deadline = Instant::now() + GRACE;
        // Whoever wrote another event may be about to append it, once the counts are moved as well.
        while embedded.id != new && lacks_embedded && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
            (lacks_embedded, lacks_new) = self.lacks(embedded.id, new).await?;
        }
        if lacks_embedded {
            self.recounts.note(embedded);
            // What is told of the event carries the counts of now, and nothing may come after it that would put them right.
            self.recounts.run().await;
            self.committer.commit(embedded.clone()).await?;
            return Ok(embedded.id == new);
        }
        Ok(!lacks_new)
    }

    async fn lacks(&self, embedded: EventId, new: EventId) -> Result<(bool, bool), StoreError> {
        try_join(self.missing.ask(embedded), self.missing.ask(new)).await
    }
}
