//! Likes a post.

use std::sync::Arc;

use super::deed::Deed;
use super::marking::Marking;
use crate::domain::event::{Fact, PostMark};
use crate::domain::ids::PostId;
use crate::domain::mark::Mark;
use crate::domain::problem::Problem;

/// The command.
pub struct LikePost {
    /// Changes the mark.
    pub marking: Arc<Marking>,
}

impl LikePost {
    /// Likes a post once, however often it is asked; returns how many like it now.
    pub async fn run(&self, deed: &Deed, id: PostId) -> Result<u64, Problem> {
        let post_author = self.marking.author(deed, id).await?;
        let told = PostMark { post_id: id, post_author, since: None };
        let fact = Fact::PostLiked(told);
        let counts =
            self.marking.set(deed, Mark::Like(id), fact, "like_post.document_written").await?;
        Ok(counts.likes)
    }
}
