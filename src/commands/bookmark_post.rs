//! Keeps a post.

use std::sync::Arc;

use super::deed::Deed;
use super::marking::Marking;
use crate::domain::event::{Fact, PostMark};
use crate::domain::ids::PostId;
use crate::domain::mark::Mark;
use crate::domain::problem::Problem;

/// The command.
pub struct BookmarkPost {
    /// Changes the mark.
    pub marking: Arc<Marking>,
}

impl BookmarkPost {
    /// Keeps a post once, however often it is asked; returns how many keep it now.
    pub async fn run(&self, deed: &Deed, id: PostId) -> Result<u64, Problem> {
        let post_author = self.marking.author(deed, id).await?;
        let told = PostMark { post_id: id, post_author, since: None };
        let fact = Fact::PostBookmarked(told);
        let counts = self
            .marking
            .set(deed, Mark::Bookmark(id), fact, "bookmark_post.document_written")
            .await?;
        Ok(counts.bookmarks)
    }
}
