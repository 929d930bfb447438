//! The inbox: what a user is told that others did.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::event::{Actor, Event, Fact};
use super::ids::{CommentId, EventId, PostId, UserId};
use super::time::Timestamp;

/// Why a user is told.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum NotificationKind {
    /// Someone likes the user's post.
    Liked,
    /// Someone commented on the user's post, or replied to the user's comment.
    Commented,
    /// Someone named the user in a comment.
    Mentioned,
    /// Someone follows the user.
    Followed,
    /// Someone whom the user follows published a post.
    Posted,
}

impl NotificationKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Liked, Self::Commented, Self::Mentioned, Self::Followed, Self::Posted];

    /// The name in the API and in the stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Liked => "liked",
            Self::Commented => "commented",
            Self::Mentioned => "mentioned",
            Self::Followed => "followed",
            Self::Posted => "posted",
        }
    }

    /// Reads a name; `None` for any other text.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether a user is told only once that one and the same actor did this to
    /// one and the same thing, however often it is taken back and done again.
    pub fn is_told_once(self) -> bool {
        matches!(self, Self::Liked | Self::Followed)
    }
}

/// An item of an inbox. Serialised it is the resource of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notification {
    /// The id of the event that it tells of; unique within an inbox.
    pub id: EventId,
    /// Why the user is told.
    pub r#type: NotificationKind,
    /// Who did it.
    pub actor: Actor,
    /// The post that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub post_id: Option<PostId>,
    /// The comment that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub comment_id: Option<CommentId>,
    /// When it happened.
    pub created_at: Timestamp,
    /// Whether the user said to have read it.
    pub read: bool,
    /// Whether it was listed to the user before.
    pub seen: bool,
}

/// A notification on its way to an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whose inbox.
    pub recipient: UserId,
    /// What is put there, neither read nor seen.
    pub notification: Notification,
}

/// What an inbox holds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxState {
    /// Items as they are listed that were not read.
    pub unread_count: u64,
    /// Grows with every change of the inbox; a state with a lower one is older.
    pub version: u64,
}

/// Whom an event is told to, beyond who follows its actor. Nobody is told of their own act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    /// Whose inbox.
    pub user: UserId,
    /// Why.
    pub r#type: NotificationKind,
}

/// The notifications that follow directly from an event, one a recipient.
pub fn notices_of(event: &Event) -> Vec<Notice> {
    let Some(actor) = &event.actor else {
        return Vec::new();
    };
    let (addressees, post_id, comment_id) = match &event.fact {
        Fact::PostLiked(mark) => {
            let author = Addressee { user: mark.post_author, r#type: NotificationKind::Liked };
            (vec![author], Some(mark.post_id), None)
        }
        Fact::PostCommented(told) => {
            (told.notify.clone(), Some(told.comment.post_id), Some(told.comment.id))
        }
        Fact::UserFollowed(follow) => {
            let followed = Addressee { user: follow.user, r#type: NotificationKind::Followed };
            (vec![followed], None, None)
        }
        _ => return Vec::new(),
    };
    let others = addressees.into_iter().filter(|addressee| addressee.user != actor.id);
    let notice = |addressee: Addressee| Notice {
        recipient: addressee.user,
        notification: Notification {
            id: event.id,
            r#type: addressee.r#type,
            actor: actor.clone(),
            post_id,
            comment_id,
            created_at: event.time,
            read: false,
            seen: false,
        },
    };
    others.map(notice).collect()
}
