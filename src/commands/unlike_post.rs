//! Takes a like back.

use std::sync::Arc;

use super::deed::Deed;
use super::marking::Marking;
use crate::domain::event::{Fact, PostMark};
use crate::domain::ids::PostId;
use crate::domain::mark::Mark;
use crate::domain::problem::Problem;

/// The command.
pub struct UnlikePost {
    /// Changes the mark.
    pub marking: Arc<Marking>,
}

impl UnlikePost {
    /// Takes a like back, if there is one; returns how many like the post now.
    pub async fn run(&self, deed: &Deed, id: PostId) -> Result<u64, Problem> {
        let post_author = self.marking.author(deed, id).await?;
        let fact = |since| {
            let since = Some(since);
            Fact::PostUnliked(PostMark { post_id: id, post_author, since })
        };
        let counts =
            self.marking.unset(deed, Mark::Like(id), fact, "unlike_post.document_written").await?;
        Ok(counts.likes)
    }
}
