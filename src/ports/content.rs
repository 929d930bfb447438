//! Posts as documents.

use async_trait::async_trait;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::post::{Post, PostStatus};

use super::StoreError;

/// Why a post could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreatePostError {
    /// Another post has this slug; nothing was written.
    #[error("the slug is taken")]
    SlugTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which posts a list holds. What is `None` does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostFilter {
    /// Posts that carry this tag.
    pub tag: Option<String>,
    /// Posts of this author.
    pub author: Option<UserId>,
    /// Posts at this place in their life.
    pub status: Option<PostStatus>,
}

/// Keeps what users wrote. A document embeds the last event about it, so that
/// what a crash separated is put together again from the document.
#[async_trait]
pub trait Content: Send + Sync {
    /// Creates a post together with the event that tells of it. If a post with
    /// this id exists already, nothing changes and the stored post and event
    /// are returned: this is a retry of the same command. It is durable at the
    /// latest when an append to the event log that began later returns.
    async fn create_post(
        &self,
        post: &Post,
        event: &Event,
    ) -> Result<(Post, Event), CreatePostError>;

    /// The post with this id.
    async fn post(&self, id: PostId) -> Result<Option<Post>, StoreError>;

    /// Posts that match, newest id first, after `before` (exclusive) if given, at most `limit`.
    async fn posts(
        &self,
        filter: &PostFilter,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<Vec<Post>, StoreError>;

    /// The events that documents embed, by id, after `after` and before
    /// `before` (both exclusive), at most `limit`.
    async fn embedded_events(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError>;
}
