//! Posts, one and in lists.

use std::sync::Arc;

use crate::domain::ids::{PostId, UserId};
use crate::domain::post::{Post, PostStatus};
use crate::domain::problem::Problem;
use crate::ports::content::{Content, PostFilter};

/// A part of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<PostId>,
}

/// Reads posts as a caller may see them.
pub struct Posts {
    /// Where posts are kept.
    pub content: Arc<dyn Content>,
}

impl Posts {
    /// One post. A draft exists for its author alone.
    pub async fn one(&self, id: PostId, caller: Option<UserId>) -> Result<Post, Problem> {
        let post = self.content.post(id).await?;
        let visible =
            |post: &Post| post.status != PostStatus::Draft || Some(post.author.id) == caller;
        post.filter(visible).ok_or_else(|| Problem::not_found("post"))
    }

    /// Posts that match, newest first. Without a status those that are
    /// published; drafts are listed for their author alone.
    pub async fn list(
        &self,
        mut filter: PostFilter,
        caller: Option<UserId>,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<Page<Post>, Problem> {
        let status = *filter.status.get_or_insert(PostStatus::Published);
        if status == PostStatus::Draft {
            let own = filter.author.is_none() || filter.author == caller;
            match caller.filter(|_| own) {
                Some(caller) => filter.author = Some(caller),
                None => {
                    return Ok(Page { items: Vec::new(), next: None });
                }
            }
        }
        // One more than asked for tells whether there is a next part.
        let mut items = self.content.posts(&filter, before, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|post| post.id);
        Ok(Page { items, next })
    }
}
