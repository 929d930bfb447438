//! Views a post.

use std::sync::Arc;

use super::deed::Deed;
use super::marking::Marking;
use crate::domain::event::{Fact, PostMark};
use crate::domain::ids::PostId;
use crate::domain::mark::Mark;
use crate::domain::problem::Problem;

const HOUR_MILLIS: i64 = 3_600_000;

/// The command.
pub struct ViewPost {
    /// Changes the mark.
    pub marking: Arc<Marking>,
}

impl ViewPost {
    /// Counts a view, one per user and hour (of UTC); returns how many there are now.
    pub async fn run(&self, deed: &Deed, id: PostId) -> Result<u64, Problem> {
        let post_author = self.marking.author(deed, id).await?;
        // That of the request's first attempt, so that a retry in the next hour is no second view.
        let hour = deed.event.minted_at().as_millis().div_euclid(HOUR_MILLIS);
        let told = PostMark { post_id: id, post_author, since: None };
        let fact = Fact::PostViewed(told);
        let counts = self
            .marking
            .set(deed, Mark::View(id, hour), fact, "view_post.document_written")
            .await?;
        Ok(counts.views)
    }
}
