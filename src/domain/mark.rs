//! Marks: what one user set on one thing, and may take back.

use super::ids::{EventId, PostId, UserId};

/// What was marked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The user likes a post.
    Like(PostId),
    /// The user keeps a post.
    Bookmark(PostId),
    /// The user shared a post; every time counts, and has its own event.
    Share(PostId, EventId),
    /// The user viewed a post within an hour, counted from the Unix epoch.
    View(PostId, i64),
    /// The user follows another.
    Follow(UserId),
}

impl Mark {
    /// The post that is marked, if it is one.
    pub fn post(&self) -> Option<PostId> {
        match self {
            Self::Like(post)
            | Self::Bookmark(post)
            | Self::Share(post, _)
            | Self::View(post, _) => Some(*post),
            Self::Follow(_) => None,
        }
    }
}

/// The mark of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MarkKey {
    /// Who set it.
    pub user: UserId,
    /// On what.
    pub mark: Mark,
}
