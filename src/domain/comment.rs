//! Comments, threaded one level: a comment on a post may have replies, a reply has none.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::{CommentId, PostId};
use super::post::Author;
use super::time::Timestamp;

/// A comment, whole. Serialised it is the resource of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Comment {
    /// An ObjectId in hex.
    pub id: CommentId,
    /// The post that it is about.
    pub post_id: PostId,
    /// The comment that it replies to, which itself replies to none.
    #[schema(required)]
    pub parent_id: Option<CommentId>,
    /// Who wrote it.
    pub author: Author,
    /// As written.
    pub content: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// Whether it was changed since.
    pub edited: bool,
}
