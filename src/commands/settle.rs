//! Settles what a crash may have left between a document and the log.

use std::sync::Arc;

use super::committer::Committer;
use super::recounts::Recounts;
use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::domain::problem::Problem;
use crate::ports::event_log::EventLog;

/// Makes sure that the event a document embeds is in the log before the
/// document gets another one.
pub struct Settle {
    /// What may lack the event.
    pub log: Arc<dyn EventLog>,
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
        let missing = self.log.missing(&[embedded.id, new]).await?;
        if missing.contains(&embedded.id) {
            self.recounts.note(embedded);
            self.committer.commit(embedded.clone()).await?;
            return Ok(embedded.id == new);
        }
        Ok(!missing.contains(&new))
    }
}
