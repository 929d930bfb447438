//! Keeps a post no longer.

use std::sync::Arc;

use super::deed::Deed;
use super::marking::Marking;
use crate::domain::event::{Fact, PostMark};
use crate::domain::ids::PostId;
use crate::domain::mark::Mark;
use crate::domain::problem::Problem;

/// The command.
pub struct UnbookmarkPost {
    /// Changes the mark.
    pub marking: Arc<Marking>,
}

impl UnbookmarkPost {
    /// Takes a bookmark back, if there is one; returns how many keep the post now.
    pub async fn run(&self, deed: &Deed, id: PostId) -> Result<u64, Problem> {
        let post_author = self.marking.author(deed, id).await?;
        let fact = |since| {
            let since = Some(since);
            Fact::PostUnbookmarked(PostMark { post_id: id, post_author, since })
        };
        let counts = self
            .marking
            .unset(deed, Mark::Bookmark(id), fact, "unbookmark_post.document_written")
            .await?;
        Ok(counts.bookmarks)
    }
}
