//! The content as an audit reads it and puts it right.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::ids::{CommentId, EventId, PostId, UserId};
use crate::domain::mark::MarkKey;
use crate::domain::notification::{Notice, NotificationKind};
use crate::domain::trending::Interaction;
use crate::ports::StoreError;

/// A document that embeds the last event about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentKey {
    /// A post.
    Post(PostId),
    /// A comment.
    Comment(CommentId),
    /// A like, bookmark, share, view or follow.
    Mark(MarkKey),
    /// What a user read of the inbox.
    Inbox(UserId),
}

/// The last event about a document, and what the document says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastEvent {
    /// The event that the document embeds.
    pub event: EventId,
    /// Whether a mark is on, and whether a post or comment was not removed. True for an inbox.
    pub holds: bool,
}

/// Reads documents by what they embed.
#[async_trait]
pub trait DocumentAudit: Send + Sync {
    /// The last events of these documents; what is not there, and an inbox that was never read, is left out.
    async fn last_events(
        &self,
        keys: &[DocumentKey],
    ) -> Result<HashMap<DocumentKey, LastEvent>, StoreError>;

    /// Notices that were not put into the inboxes of their recipients, by recipient and event. Of
    /// recipients who ever kept preferences nothing is said: they may not have wanted it then.
    async fn untold(&self, notices: &[Notice]) -> Result<Vec<(UserId, EventId)>, StoreError>;
}

/// Counts of a post, in the order of [`Interaction::ALL`]: views, likes, comments, shares, bookmarks.
pub type Counts = [i64; Interaction::ALL.len()];

/// The counts of a post as they are kept, and as its documents make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostTally {
    /// The post.
    pub post: PostId,
    /// What is kept.
    pub kept: Counts,
    /// What there is. Where it was counted a moment before or after `kept` was read, the two may differ by
    /// what happened meanwhile.
    pub counted: Counts,
}

/// How many follow a user and whom the user follows, as it is kept, and as the follows make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowTally {
    /// The user.
    pub user: UserId,
    /// What is kept: followers, following.
    pub kept: [i64; 2],
    /// What there is.
    pub counted: [i64; 2],
}

/// How many notifications of an inbox are unread, by kind in the order of [`NotificationKind::ALL`], as it is kept, and as
/// the inbox makes it. Posts of followed authors are not kept, and zero in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadTally {
    /// Whose inbox it is.
    pub user: UserId,
    /// What is kept.
    pub kept: [i64; NotificationKind::ALL.len()],
    /// What there is.
    pub counted: [i64; NotificationKind::ALL.len()],
}

/// Compares counts with the documents that are counted.
#[async_trait]
pub trait CountAudit: Send + Sync {
    /// All posts, removed ones as well, by id after `after` (exclusive), at most `limit`.
    async fn posts_after(
        &self,
        after: Option<PostId>,
        limit: usize,
    ) -> Result<Vec<PostId>, StoreError>;

    /// The counts of posts, in no particular order; unknown ids are left out. It costs least for ids that follow
    /// each other.
    async fn post_tallies(&self, ids: &[PostId]) -> Result<Vec<PostTally>, StoreError>;

    /// All users who follow or are followed, or of whom that is counted, by their numbers after `after`
    /// (exclusive), at most `limit`.
    async fn users_after(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError>;

    /// The follow counts of users, in no particular order.
    async fn follow_tallies(&self, ids: &[UserId]) -> Result<Vec<FollowTally>, StoreError>;

    /// Counts the marks and comments of a post again and keeps the result; says whether it was another
    /// one. `None`: there is no such post, or it was marked all the while.
    ///
    /// What others mark at that very moment may be counted twice, where mark and count are two writes.
    async fn recount_post(&self, post: PostId) -> Result<Option<bool>, StoreError>;

    /// Counts who follow a user and whom the user follows again; says whether it was otherwise. `None`: it
    /// changed all the while.
    async fn recount_follows(&self, user: UserId) -> Result<Option<bool>, StoreError>;

    /// All users who have an inbox, by their numbers after `after` (exclusive), at most `limit`.
    async fn inboxes_after(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError>;

    /// How many notifications of users are unread, in no particular order.
    async fn unread_tallies(&self, users: &[UserId]) -> Result<Vec<UnreadTally>, StoreError>;

    /// Counts the unread notifications of a user again; says whether it was otherwise. `None`: the inbox changed all the
    /// while. Whatever else happens to the inbox at that moment, the count is right afterwards.
    async fn recount_unread(&self, user: UserId) -> Result<Option<bool>, StoreError>;
}
