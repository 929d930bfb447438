//! Events: what happened. The event log holds them; all else follows from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::channel::ChannelName;
use super::comment::Comment;
use super::ids::{EventId, Incarnation, PostId, UserId};
use super::notification::Addressee;
use super::post::Post;
use super::publication::{ClientInfo, Json, PublishOptions};
use super::time::Timestamp;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// The number of the account.
    pub id: UserId,
    /// Its name at that time.
    pub username: String,
}

/// What happened. Written as `{"kind": …, "data": …}`; the kind is also the
/// `type` of the publications that tell of it, and never changes its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Fact {
    /// A post was published; carries the post as it then was.
    #[serde(rename = "post.published")]
    PostPublished(Box<Post>),
    /// A post was created or changed that nobody but its author sees yet.
    #[serde(rename = "post.drafted")]
    PostDrafted(Box<Post>),
    /// A post that was published before was changed, archived or brought back.
    #[serde(rename = "post.updated")]
    PostUpdated(Box<PostChange>),
    /// A post was removed for good.
    #[serde(rename = "post.removed")]
    PostRemoved(Box<PostChange>),
    /// Someone likes a post.
    #[serde(rename = "post.liked")]
    PostLiked(PostMark),
    /// Someone no longer likes a post.
    #[serde(rename = "post.unliked")]
    PostUnliked(PostMark),
    /// Someone keeps a post.
    #[serde(rename = "post.bookmarked")]
    PostBookmarked(PostMark),
    /// Someone no longer keeps a post.
    #[serde(rename = "post.unbookmarked")]
    PostUnbookmarked(PostMark),
    /// Someone shared a post.
    #[serde(rename = "post.shared")]
    PostShared(PostMark),
    /// Someone viewed a post for the first time within an hour.
    #[serde(rename = "post.viewed")]
    PostViewed(PostMark),
    /// Someone commented on a post.
    #[serde(rename = "post.commented")]
    PostCommented(Box<CommentChange>),
    /// A comment was changed.
    #[serde(rename = "comment.edited")]
    CommentEdited(Box<CommentChange>),
    /// A comment was removed.
    #[serde(rename = "comment.removed")]
    CommentRemoved(Box<CommentChange>),
    /// Someone follows another.
    #[serde(rename = "user.followed")]
    UserFollowed(Follow),
    /// Someone no longer follows another.
    #[serde(rename = "user.unfollowed")]
    UserUnfollowed(Follow),
    /// Someone read items of their inbox.
    #[serde(rename = "notification.read")]
    NotificationRead(InboxRead),
    /// A back end or a client published to channels directly.
    #[serde(rename = "channel.published")]
    ChannelPublished(BarePublication),
}

/// A post after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostChange {
    /// The post as it now is.
    pub post: Post,
    /// Tags that it had before and has no more; their channels hear of the change, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_tags: Vec<String>,
}

/// A mark that was set on a post or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostMark {
    /// The post.
    pub post_id: PostId,
    /// Who wrote it.
    pub post_author: UserId,
    /// For a mark that was taken back: when it had been set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// A comment that was written, changed or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentChange {
    /// The comment as it now is; as it last was, if it was removed.
    pub comment: Comment,
    /// Who is told of it; decided when it was written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Addressee>,
}

/// Whom the actor follows, or no longer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// The one who is followed.
    pub user: UserId,
}

/// Which items of their inbox the actor read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxRead {
    /// Single items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<EventId>,
    /// Everything that happened up to this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub through: Option<Timestamp>,
}

/// A publication that stands for nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarePublication {
    /// The channels that carry it, each once.
    pub channels: Vec<ChannelName>,
    /// The payload.
    pub data: Json,
    /// Labels for the receiver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The publishing client, if a client published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<ClientInfo>,
    /// How it is published.
    #[serde(default, skip_serializing_if = "PublishOptions::are_default")]
    pub options: PublishOptions,
}

impl Fact {
    /// The kind as it is stored and published.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PostPublished(_) => "post.published",
            Self::PostDrafted(_) => "post.drafted",
            Self::PostUpdated(_) => "post.updated",
            Self::PostRemoved(_) => "post.removed",
            Self::PostLiked(_) => "post.liked",
            Self::PostUnliked(_) => "post.unliked",
            Self::PostBookmarked(_) => "post.bookmarked",
            Self::PostUnbookmarked(_) => "post.unbookmarked",
            Self::PostShared(_) => "post.shared",
            Self::PostViewed(_) => "post.viewed",
            Self::PostCommented(_) => "post.commented",
            Self::CommentEdited(_) => "comment.edited",
            Self::CommentRemoved(_) => "comment.removed",
            Self::UserFollowed(_) => "user.followed",
            Self::UserUnfollowed(_) => "user.unfollowed",
            Self::NotificationRead(_) => "notification.read",
            Self::ChannelPublished(_) => "channel.published",
        }
    }

    /// What it happened to: `post:<id>`, `user:<id>` or, for a bare publication,
    /// `channel:<name>` of the first channel; empty for what someone did to their own inbox.
    pub fn subject(&self) -> String {
        if let Some(post) = self.post_id() {
            return format!("post:{post}");
        }
        match self {
            Self::UserFollowed(follow) | Self::UserUnfollowed(follow) => {
                format!("user:{}", follow.user)
            }
            Self::ChannelPublished(bare) => {
                format!("channel:{}", bare.channels.first().map_or("", ChannelName::as_str))
            }
            _ => String::new(),
        }
    }

    /// How it is published, if it is a bare publication.
    pub fn publish_options(&self) -> Option<&PublishOptions> {
        match self {
            Self::ChannelPublished(bare) => Some(&bare.options),
            _ => None,
        }
    }

    /// The post that it happened to, if it was one.
    pub fn post_id(&self) -> Option<PostId> {
        match self {
            Self::PostPublished(post) | Self::PostDrafted(post) => Some(post.id),
            Self::PostUpdated(change) | Self::PostRemoved(change) => Some(change.post.id),
            Self::PostLiked(mark)
            | Self::PostUnliked(mark)
            | Self::PostBookmarked(mark)
            | Self::PostUnbookmarked(mark)
            | Self::PostShared(mark)
            | Self::PostViewed(mark) => Some(mark.post_id),
            Self::PostCommented(change)
            | Self::CommentEdited(change)
            | Self::CommentRemoved(change) => Some(change.comment.post_id),
            Self::UserFollowed(_)
            | Self::UserUnfollowed(_)
            | Self::NotificationRead(_)
            | Self::ChannelPublished(_) => None,
        }
    }
}

/// One thing that happened, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Minted once by the command, kept through every retry.
    pub id: EventId,
    /// Who did it; `None` for a back end with an API key and for anonymous clients.
    pub actor: Option<Actor>,
    /// When it was decided.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

impl<'de> Deserialize<'de> for Event {
    /// Reads what [`Serialize`] writes. The fact is read on its own: serde keeps
    /// no raw JSON within what is flattened into another object.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            id: EventId,
            actor: Option<Actor>,
            time: Timestamp,
            kind: String,
            data: Json,
        }
        let Fields { id, actor, time, kind, data } = Fields::deserialize(deserializer)?;
        let fact = format!(r#"{{"kind":"{kind}","data":{}}}"#, data.get());
        let fact = serde_json::from_str(&fact).map_err(serde::de::Error::custom)?;
        Ok(Self { id, actor, time, fact })
    }
}

/// An event at its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The run of the node that appended it.
    pub incarnation: Incarnation,
    /// Its number within the incarnation, from 1; numbers may be missing, never repeat.
    pub seq: u64,
    /// What happened.
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::publication::Version;

    #[test]
    fn an_event_reads_back_what_it_wrote_with_raw_json_inside() {
        let bare = BarePublication {
            channels: vec![ChannelName::feed()],
            data: Json::from_string(r#"{"b": 1,"a":[1.50]}"#.into()).unwrap(),
            tags: BTreeMap::new(),
            info: None,
            options: PublishOptions {
                skip_history: true,
                delta: true,
                version: Some(Version { number: u64::MAX, epoch: "a".to_owned() }),
            },
        };
        let event = Event {
            id: EventId::from_parts(Timestamp::from_millis(5), [3; 10]),
            actor: Some(Actor { id: UserId(7), username: "ada".into() }),
            time: Timestamp::from_millis(5),
            fact: Fact::ChannelPublished(bare),
        };
        let json = serde_json::to_string(&event).unwrap();
        assert!(json.contains(r#""kind":"channel.published""#), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}
