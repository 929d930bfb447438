//! Posts as documents.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::page::Cursor;
use crate::domain::post::{Post, PostCounts, PostStatus, Standing};

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

/// A document and the last event about it. Documents are never deleted by a
/// command, so that the event of a removal is found in one as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<T> {
    /// What is shown, unless it was removed.
    pub document: T,
    /// Whether it is gone for everyone.
    pub removed: bool,
    /// The last event about it.
    pub event: Event,
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
    /// Posts by authors whom this user follows.
    pub followed_by: Option<UserId>,
}

/// Keeps what users wrote. A document embeds the last event about it, so that
/// what a crash separated is put together again from the document.
///
/// Writes of this port and of [`Marks`](super::marks::Marks),
/// [`Comments`](super::comments::Comments) and [`Inbox`](super::inbox::Inbox) are
/// durable at the latest when an append to the event log that began later
/// returns. Counts of posts follow the marks and comments, whatever `counts` a
/// written post carries.
#[async_trait]
pub trait Content: Send + Sync {
    /// Creates a post together with the event that tells of it. If a post with
    /// this id exists already, nothing changes and the stored post and event
    /// are returned: this is a retry of the same command.
    async fn create_post(
        &self,
        post: &Post,
        event: &Event,
    ) -> Result<(Post, Event), CreatePostError>;

    /// The post with this id and its last event, even if it was removed.
    async fn kept_post(&self, id: PostId) -> Result<Option<Kept<Post>>, StoreError>;

    /// Replaces a post, except for its slug, author, time of creation and
    /// counts, if the last event about it still is `expected`; says whether it was.
    async fn replace_post(&self, post: &Kept<Post>, expected: EventId) -> Result<bool, StoreError>;

    /// The post with this id, unless it was removed.
    async fn post(&self, id: PostId) -> Result<Option<Post>, StoreError> {
        Ok(self.kept_post(id).await?.filter(|kept| !kept.removed).map(|kept| kept.document))
    }

    /// What decides who may do something with these posts; unknown and removed ones are left out.
    async fn standings(&self, ids: &[PostId]) -> Result<HashMap<PostId, Standing>, StoreError>;

    /// The id of the post with this slug, unless it was removed.
    async fn post_with_slug(&self, slug: &str) -> Result<Option<PostId>, StoreError>;

    /// Posts with these ids that are published, in no particular order.
    async fn published(&self, ids: &[PostId]) -> Result<Vec<Post>, StoreError>;

    /// Posts that match and were not removed: latest first, by the time of publication (of
    /// creation for what never was published), then by id. After `after` (exclusive) if given, at most `limit`.
    async fn posts(
        &self,
        filter: &PostFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Post>, StoreError>;

    /// The counts of posts, as they are now; unknown ids are left out.
    async fn counts(&self, ids: &[PostId]) -> Result<HashMap<PostId, PostCounts>, StoreError>;

    /// The ids of the events that documents of any kind embed, in their order, after `after` and before
    /// `before` (both exclusive), at most `limit`.
    async fn embedded_ids(
        &self,
        after: EventId,
        before: EventId,
        limit: usize,
    ) -> Result<Vec<EventId>, StoreError>;

    /// Those of these events that documents embed, by id.
    async fn embedded_events(&self, ids: &[EventId]) -> Result<Vec<Event>, StoreError>;
}

/// The place of a post in a list of posts.
pub fn place_of(post: &Post) -> Cursor {
    Cursor { at: post.published_at.unwrap_or(post.created_at), id: post.id.to_string() }
}
