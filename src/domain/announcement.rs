//! Announcements: which channels tell of an event, and in what words.
//!
//! Which channels is a function of the event alone. The words are one of the
//! event and of what holds at present: whoever hears of a like also hears how
//! many there are now, so that the last publication of a channel is always true.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::channel::ChannelName;
use super::comment::Comment;
use super::event::{Actor, Event, Fact, InboxRead};
use super::ids::{EventId, PostId, UserId};
use super::notification::{InboxState, Notice, Notification, notices_of};
use super::post::{Post, PostCounts};
use super::publication::{Json, PublicationBody};
use super::time::Timestamp;
use super::trending::TrendingItem;

/// What holds at present of that which announcements tell of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Present {
    /// The counts of posts; a post that is missing here is announced with those of its event.
    pub counts: HashMap<PostId, PostCounts>,
    /// Items of inboxes. What is missing is not announced: its recipient does not want to be
    /// told, or was told before.
    pub notifications: HashMap<(UserId, EventId), Notification>,
    /// The state of inboxes.
    pub inboxes: HashMap<UserId, InboxState>,
}

/// What of the present an announcement of some events needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Posts whose counts are needed.
    pub posts: Vec<PostId>,
    /// Items of inboxes.
    pub notifications: Vec<(UserId, EventId)>,
    /// Inboxes whose state is needed.
    pub inboxes: Vec<UserId>,
}

impl Needs {
    /// What the announcements of `events` need.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut needs = Self::default();
        for event in events {
            needs.posts.extend(event.fact.post_id());
            for notice in notices_of(event) {
                needs.notifications.push((notice.recipient, event.id));
                needs.inboxes.push(notice.recipient);
            }
            if let (Fact::NotificationRead(_), Some(actor)) = (&event.fact, &event.actor) {
                needs.inboxes.push(actor.id);
            }
        }
        needs.posts.sort_unstable();
        needs.posts.dedup();
        needs.inboxes.sort_unstable();
        needs.inboxes.dedup();
        needs
    }

    /// The same without what concerns the inboxes that these notices go to.
    pub fn but_of(mut self, notices: &[Notice]) -> Self {
        let told: HashSet<_> = notices.iter().map(|notice| notice.recipient).collect();
        self.notifications.retain(|(user, _)| !told.contains(user));
        self.inboxes.retain(|user| !told.contains(user));
        self
    }

    /// What an announcement of `events` to one audience needs.
    pub fn of_audience<'a>(
        events: impl IntoIterator<Item = &'a Event>,
        audience: Audience,
    ) -> Self {
        let needs = Self::of(events);
        match audience {
            Audience::Feed | Audience::Post => Self { posts: needs.posts, ..Self::default() },
            Audience::Inbox(user) => Self {
                posts: Vec::new(),
                notifications: needs.notifications.into_iter().filter(|n| n.0 == user).collect(),
                inboxes: vec![user],
            },
            Audience::Nodes | Audience::Bare => Self::default(),
        }
    }

    /// Whether nothing is needed.
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty() && self.notifications.is_empty() && self.inboxes.is_empty()
    }
}

/// The publication data of a product event (`protocol.md`, "Publication data").
#[derive(Serialize)]
struct Announcement<'a> {
    r#type: &'static str,
    id: EventId,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<Post>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_id: Option<PostId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<PostCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a Comment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<&'a Notification>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    read: Option<&'a InboxRead>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    inbox: Option<InboxState>,
}

/// Who hears the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Readers of many posts.
    Feed,
    /// Readers of one post.
    Post,
    /// One user.
    Inbox(UserId),
    /// The nodes themselves.
    Nodes,
    /// Subscribers of a channel that was published to directly.
    Bare,
}

impl Audience {
    /// Who hears what is published to `channel`.
    pub fn of(channel: &ChannelName) -> Self {
        match channel.as_str().split_once(':') {
            Some(("feed" | "tag" | "author", _)) => Self::Feed,
            Some(("post", _)) => Self::Post,
            Some(("notifications", rest)) => rest
                .trim_start_matches('#')
                .parse()
                .map_or(Self::Bare, |id| Self::Inbox(UserId(id))),
            Some(("node", _)) => Self::Nodes,
            _ => Self::Bare,
        }
    }
}

/// The channels that tell of `event`, in the order in which they are published to.
pub fn channels_of(event: &Event) -> Vec<ChannelName> {
    let mut channels = match &event.fact {
        Fact::PostPublished(post) => feeds_of(post, &[]),
        Fact::PostUpdated(change) | Fact::PostRemoved(change) => {
            let mut channels = feeds_of(&change.post, &change.former_tags);
            channels.push(ChannelName::post(change.post.id));
            channels
        }
        Fact::PostLiked(mark)
        | Fact::PostUnliked(mark)
        | Fact::PostBookmarked(mark)
        | Fact::PostUnbookmarked(mark)
        | Fact::PostShared(mark) => vec![ChannelName::post(mark.post_id)],
        Fact::PostCommented(change)
        | Fact::CommentEdited(change)
        | Fact::CommentRemoved(change) => vec![ChannelName::post(change.comment.post_id)],
        Fact::NotificationRead(_) => {
            event.actor.iter().map(|actor| ChannelName::inbox(actor.id)).collect()
        }
        Fact::UserFollowed(_) | Fact::UserUnfollowed(_) => vec![ChannelName::follows()],
        Fact::ChannelPublished(bare) => bare.channels.clone(),
        // A view is told with what happens next; a draft concerns nobody but its author.
        Fact::PostDrafted(_) | Fact::PostViewed(_) => Vec::new(),
    };
    let notices = notices_of(event);
    channels.extend(notices.into_iter().map(|notice| ChannelName::inbox(notice.recipient)));
    channels
}

fn feeds_of(post: &Post, former_tags: &[String]) -> Vec<ChannelName> {
    let mut channels = vec![ChannelName::feed(), ChannelName::author(post.author.id)];
    channels.extend(post.tags.iter().chain(former_tags).map(|tag| ChannelName::tag(tag)));
    channels
}

/// Whether `audience` is to be told of `event`: a recipient is not who does not
/// want to hear such things, or was told before.
pub fn is_told(event: &Event, audience: Audience, present: &Present) -> bool {
    match (audience, &event.fact) {
        (Audience::Inbox(_), Fact::NotificationRead(_)) => true,
        (Audience::Inbox(user), _) => present.notifications.contains_key(&(user, event.id)),
        _ => true,
    }
}

/// What `audience` is told of `event`.
pub fn body_for(event: &Event, audience: Audience, present: &Present) -> Arc<PublicationBody> {
    if let Fact::ChannelPublished(bare) = &event.fact {
        return Arc::new(PublicationBody {
            data: bare.data.clone(),
            info: bare.info.clone(),
            tags: bare.tags.clone(),
            delta: bare.options.delta,
        });
    }
    let post = post_of(&event.fact);
    let counts = event.fact.post_id().and_then(|id| present.counts.get(&id).copied());
    let counts = counts.or(post.map(|post| post.counts));
    let post = post.map(|post| Post { counts: counts.unwrap_or_default(), ..post.abridged() });
    let post = match &event.fact {
        // Which post it was is told, not what stood in it.
        Fact::PostRemoved(_) => post.map(Post::emptied),
        _ => post,
    };
    let bare = Announcement {
        r#type: type_for(&event.fact, audience),
        id: event.id,
        time: event.time,
        actor: event.actor.as_ref().filter(|_| !matches!(event.fact, Fact::PostUnbookmarked(_))),
        user: None,
        post: None,
        post_id: None,
        counts: None,
        comment: None,
        notification: None,
        read: None,
        inbox: None,
    };
    let announcement = match audience {
        Audience::Feed | Audience::Bare => Announcement { post, ..bare },
        Audience::Nodes => Announcement { user: followed_in(&event.fact), ..bare },
        Audience::Post => Announcement {
            post,
            post_id: event.fact.post_id(),
            counts: Some(counts.unwrap_or_default()),
            comment: comment_of(&event.fact),
            ..bare
        },
        Audience::Inbox(user) => {
            let notification = present.notifications.get(&(user, event.id));
            let is_read = matches!(event.fact, Fact::NotificationRead(_));
            // It is wanted no more, but its place in the stream must be filled.
            let bare = match notification.is_none() && !is_read {
                true => Announcement { r#type: CORRECTED, actor: None, ..bare },
                false => bare,
            };
            let inbox = present.inboxes.get(&user).copied().unwrap_or_default();
            let read = match &event.fact {
                Fact::NotificationRead(read) => Some(read),
                _ => None,
            };
            Announcement { notification, read, inbox: Some(inbox), ..bare }
        }
    };
    written(&announcement)
}

/// What a follower is told of a post by someone whom they follow.
pub fn posted_body(notification: &Notification, inbox: InboxState) -> Arc<PublicationBody> {
    written(&Announcement {
        r#type: CREATED,
        id: notification.id,
        time: notification.created_at,
        actor: Some(&notification.actor),
        user: None,
        post: None,
        post_id: None,
        counts: None,
        comment: None,
        notification: Some(notification),
        read: None,
        inbox: Some(inbox),
    })
}

/// What a follower is told of a post that was changed: that their inbox may
/// have lost an item, and how many are unread now.
pub fn recounted_body(event: EventId, now: Timestamp, inbox: InboxState) -> Arc<PublicationBody> {
    written(&Announcement {
        r#type: CORRECTED,
        id: event,
        time: now,
        actor: None,
        user: None,
        post: None,
        post_id: None,
        counts: None,
        comment: None,
        notification: None,
        read: None,
        inbox: Some(inbox),
    })
}

/// What readers of a ranked list are told: the list as it is now. It stands for no event, and has an id of its own.
pub fn trending_body(id: EventId, now: Timestamp, items: &[TrendingItem]) -> Arc<PublicationBody> {
    #[derive(Serialize)]
    struct Changed<'a> {
        r#type: &'static str,
        id: EventId,
        time: Timestamp,
        items: &'a [TrendingItem],
    }
    published(LIST, &Changed { r#type: LIST, id, time: now, items })
}

const LIST: &str = "trending.changed";
const CREATED: &str = "notification.created";
const CORRECTED: &str = "counters.corrected";

fn type_for(fact: &Fact, audience: Audience) -> &'static str {
    match (fact, audience) {
        (Fact::NotificationRead(_), _) => fact.kind(),
        (_, Audience::Inbox(_)) => CREATED,
        // That it was taken back is nobody's business; the number is.
        (Fact::PostUnbookmarked(_), _) => CORRECTED,
        _ => fact.kind(),
    }
}

fn post_of(fact: &Fact) -> Option<&Post> {
    match fact {
        Fact::PostPublished(post) | Fact::PostDrafted(post) => Some(post),
        Fact::PostUpdated(change) | Fact::PostRemoved(change) => Some(&change.post),
        _ => None,
    }
}

fn followed_in(fact: &Fact) -> Option<UserId> {
    match fact {
        Fact::UserFollowed(follow) | Fact::UserUnfollowed(follow) => Some(follow.user),
        _ => None,
    }
}

fn comment_of(fact: &Fact) -> Option<&Comment> {
    match fact {
        Fact::PostCommented(change)
        | Fact::CommentEdited(change)
        | Fact::CommentRemoved(change) => Some(&change.comment),
        _ => None,
    }
}

fn written(announcement: &Announcement<'_>) -> Arc<PublicationBody> {
    published(announcement.r#type, announcement)
}

fn published(kind: &str, data: &impl Serialize) -> Arc<PublicationBody> {
    let data = Json::from_value(data).expect("an announcement holds nothing that JSON cannot say");
    let tags = BTreeMap::from([("type".to_owned(), kind.to_owned())]);
    Arc::new(PublicationBody { data, info: None, tags, delta: false })
}
