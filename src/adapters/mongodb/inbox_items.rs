//! What inboxes list: notifications that were put there, and posts of followed authors, which are
//! found among the posts when they are asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, DateTime, Document, doc};
use mongodb::options::Hint;
use serde::{Deserialize, Serialize};

use crate::domain::event::Actor;
use crate::domain::ids::{EventId, UserId};
use crate::domain::notification::{Notice, Notification, NotificationKind};
use crate::domain::page::Cursor;

use super::content::{MongoContent, POSTS};
use super::inbox_readers::{Reader, Wishes};
use super::keys;
use super::store::Failure;
use super::stored;

/// Where notifications are kept.
pub(super) const NOTIFICATIONS: &str = "notifications";
/// The index that lists posts of authors in the order of an inbox. It is asked for by name: where posts are few, planners
/// by trial prefer another one and sort.
pub(super) const FOR_FOLLOWERS: &str = "for_followers";
/// Posts that are read at once, at least: some may lie outside of the spans.
const PAGE_MIN: usize = 50;

/// A notification as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NotificationDocument {
    #[serde(rename = "_id")]
    id: String,
    pub(super) user_id: i64,
    pub(super) event_id: bson::Uuid,
    pub(super) created_at: DateTime,
    pub(super) kind: NotificationKind,
    actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    post_id: Option<ObjectId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment_id: Option<ObjectId>,
    /// What it is about, for kinds that are told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    once: Option<String>,
    /// Whether it was read by itself. What the inbox was read through counts as read as well.
    read: bool,
}

impl NotificationDocument {
    /// A notification that nobody read yet. What comes late, after the user said to have read everything up
    /// to a later moment, is put behind that moment.
    pub(super) fn of(notice: &Notice, read_through: Option<DateTime>) -> Self {
        let Notification { id, r#type: kind, actor, post_id, comment_id, created_at, .. } =
            &notice.notification;
        let once = kind.is_told_once();
        Self {
            id: keys::notification(notice.recipient, *id),
            user_id: notice.recipient.0,
            event_id: stored::event_id(*id),
            created_at: stored::date(*created_at).max(just_after(read_through)),
            kind: *kind,
            actor: actor.clone(),
            post_id: post_id.map(stored::object_id),
            comment_id: comment_id.map(stored::object_id),
            once: once.then(|| post_id.map(|id| id.to_string()).unwrap_or_default()),
            read: false,
        }
    }
}

impl NotificationDocument {
    /// The event that it tells of.
    pub(super) fn event(&self) -> EventId {
        stored::read_event_id(self.event_id)
    }
}

/// The first moment after which nothing was read yet.
pub(super) fn just_after(read_through: Option<DateTime>) -> DateTime {
    read_through.map_or(DateTime::MIN, |through| {
        DateTime::from_millis(through.timestamp_millis().saturating_add(1))
    })
}

/// A post as an inbox lists it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Posted {
    #[serde(rename = "_id")]
    id: ObjectId,
    pub(super) author_id: i64,
    author: AuthorName,
    pub(super) published_at: DateTime,
    published_event: bson::Uuid,
}

#[derive(Deserialize)]
struct AuthorName {
    username: String,
}

impl Reader {
    /// Whether a post was read.
    pub(super) fn has_read(&self, post: &Posted) -> bool {
        post.published_at <= self.read_through()
            || self.inbox.read_posts.iter().any(|read| read.id == post.published_event)
    }

    fn has_seen(&self, at: DateTime, id: bson::Uuid) -> bool {
        let seen = self.inbox.seen_at.zip(self.inbox.seen_id);
        seen.is_some_and(|(seen_at, seen_id)| (at, id.bytes()) <= (seen_at, seen_id.bytes()))
    }

    /// A notification as it is listed.
    pub(super) fn notification(&self, one: NotificationDocument) -> Result<Notification, Failure> {
        Ok(Notification {
            id: stored::read_event_id(one.event_id),
            r#type: one.kind,
            actor: one.actor,
            post_id: one.post_id.map(stored::read_object_id).transpose()?,
            comment_id: one.comment_id.map(stored::read_object_id).transpose()?,
            created_at: stored::time(one.created_at),
            read: one.read || one.created_at <= self.read_through(),
            seen: self.has_seen(one.created_at, one.event_id),
        })
    }

    fn post(&self, post: &Posted) -> Result<Notification, Failure> {
        Ok(Notification {
            id: stored::read_event_id(post.published_event),
            r#type: NotificationKind::Posted,
            actor: Actor { id: UserId(post.author_id), username: post.author.username.clone() },
            post_id: Some(stored::read_object_id(post.id)?),
            comment_id: None,
            created_at: stored::time(post.published_at),
            read: self.has_read(post),
            seen: self.has_seen(post.published_at, post.published_event),
        })
    }
}

/// What a post needs to be listed by those who followed its author.
fn visible() -> Document {
    doc! { "removed": false, "status": "published", "publishedEvent": { "$ne": null } }
}

fn inbox_after(after: &Cursor, fields: (&str, &str)) -> Document {
    match after.id.parse::<EventId>() {
        Ok(id) => stored::beyond(after, fields, stored::event_id(id), "$lt"),
        Err(_) => doc! { fields.0: { "$lt": stored::date(after.at) } },
    }
}

/// The notifications of an inbox after a place.
pub(super) fn stored_items(user: i64, after: Option<&Cursor>) -> Document {
    let mut query = match after {
        Some(after) => inbox_after(after, ("createdAt", "eventId")),
        None => Document::new(),
    };
    query.insert("userId", user);
    query
}

/// Posts of authors that were published at `floor` or later, after a place.
pub(super) fn posted_items(authors: &[i64], floor: DateTime, after: Option<&Cursor>) -> Document {
    let mut query = match after {
        Some(after) => inbox_after(after, ("publishedAt", "publishedEvent")),
        None => Document::new(),
    };
    let mut bounds = query.get_document("publishedAt").cloned().unwrap_or_default();
    bounds.insert("$gte", floor);
    query.insert("publishedAt", bounds);
    query.insert("authorId", doc! { "$in": authors.to_vec() });
    query.extend(visible());
    query
}

/// The order of every inbox, of posts and of notifications.
pub(super) fn latest_first(fields: (&str, &str)) -> Document {
    doc! { fields.0: -1, fields.1: -1 }
}

impl MongoContent {
    /// Posts as inboxes list them; with a limit, the latest.
    pub(super) async fn posted(
        &self,
        query: Document,
        limit: Option<usize>,
    ) -> Result<Vec<Posted>, Failure> {
        let posts = self.collection::<Posted>(POSTS);
        let fields = ["authorId", "author.username", "publishedAt", "publishedEvent"];
        let fields: Document = fields.into_iter().map(|name| (name.to_owned(), 1.into())).collect();
        let mut query = posts.find(query).projection(fields);
        if let Some(limit) = limit {
            let order = latest_first(("publishedAt", "publishedEvent"));
            let index = Hint::Name(FOR_FOLLOWERS.to_owned());
            query = query.sort(order).limit(stored::integer(limit)).hint(index);
        }
        self.db.all(query).await
    }

    /// The items of one inbox.
    pub(super) async fn listed(
        &self,
        user: UserId,
        unread_only: bool,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Notification>, Failure> {
        let reader = self.readers(&[user.0]).await?.remove(&user.0).unwrap_or_default();
        let mut query = stored_items(user.0, after);
        if unread_only {
            query.insert("read", false);
            let mut bounds = query.get_document("createdAt").cloned().unwrap_or_default();
            bounds.insert("$gt", reader.read_through());
            query.insert("createdAt", bounds);
        }
        if !reader.wishes.muted.is_empty() {
            let muted: Vec<_> = reader.wishes.muted.iter().map(|kind| kind.as_str()).collect();
            query.insert("kind", doc! { "$nin": muted });
        }
        let notifications = self.collection::<NotificationDocument>(NOTIFICATIONS);
        let query = notifications
            .find(query)
            .sort(latest_first(("createdAt", "eventId")))
            .limit(stored::integer(limit));
        let found = self.db.all(query).await?.into_iter();
        let items: Result<Vec<_>, _> = found.map(|one| reader.notification(one)).collect();
        let mut items = items?;
        items.extend(self.listed_posts(&reader, unread_only, after, limit).await?);
        items.sort_unstable_by_key(|item| std::cmp::Reverse((item.created_at, item.id)));
        items.truncate(limit);
        Ok(items)
    }

    async fn listed_posts(
        &self,
        reader: &Reader,
        unread_only: bool,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Notification>, Failure> {
        let floor = self.floor(reader, unread_only);
        let authors: Vec<_> = reader.authors_since(floor).collect();
        if authors.is_empty() || !reader.wants(NotificationKind::Posted) {
            return Ok(Vec::new());
        }
        let (mut items, mut place) = (Vec::new(), after.cloned());
        let page = limit.max(PAGE_MIN);
        while items.len() < limit {
            let query = posted_items(&authors, floor, place.as_ref());
            let posts = self.posted(query, Some(page)).await?;
            let Some(last) = posts.last() else { break };
            let id = stored::read_event_id(last.published_event).to_string();
            place = Some(Cursor { at: stored::time(last.published_at), id });
            let whole = posts.len() == page;
            for post in posts.iter().filter(|post| reader.followed(post)) {
                if !(unread_only && reader.has_read(post)) {
                    items.push(reader.post(post)?);
                }
            }
            if !whole {
                break;
            }
        }
        Ok(items)
    }

    /// No post that was published before is listed, or none that was read through.
    pub(super) fn floor(&self, reader: &Reader, unread_only: bool) -> DateTime {
        let horizon = self.horizon();
        if unread_only { horizon.max(just_after(reader.inbox.read_through)) } else { horizon }
    }

    /// The notifications with these ids, read or not, wanted or not.
    pub(super) async fn notifications_among(
        &self,
        wanted: impl Iterator<Item = &(UserId, EventId)>,
    ) -> Result<Vec<NotificationDocument>, Failure> {
        let ids: Vec<_> = wanted.map(|(user, event)| keys::notification(*user, *event)).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let notifications = self.collection::<NotificationDocument>(NOTIFICATIONS);
        self.db.all(notifications.find(doc! { "_id": { "$in": ids } })).await
    }

    /// Those of these notifications that were not marked as read one by one, each once.
    pub(super) async fn unread_among(
        &self,
        user: UserId,
        events: &[EventId],
    ) -> Result<Vec<NotificationDocument>, Failure> {
        let pairs: Vec<_> = events.iter().map(|event| (user, *event)).collect();
        let found = self.notifications_among(pairs.iter()).await?;
        Ok(found.into_iter().filter(|one| !one.read).collect())
    }

    /// Items of any inboxes, by recipient and id.
    pub(super) async fn listed_among(
        &self,
        wanted: &[(UserId, EventId)],
    ) -> Result<HashMap<(UserId, EventId), Notification>, Failure> {
        let users: HashSet<_> = wanted.iter().map(|(user, _)| user.0).collect();
        let readers = self.readers(&users.into_iter().collect::<Vec<_>>()).await?;
        let mut items = HashMap::new();
        for one in self.notifications_among(wanted.iter()).await? {
            let Some(reader) = readers.get(&one.user_id) else { continue };
            if reader.wants(one.kind) {
                let (user, item) = (UserId(one.user_id), reader.notification(one)?);
                items.insert((user, item.id), item);
            }
        }
        let left = wanted.iter().filter(|one| !items.contains_key(one));
        let events: HashSet<_> = left.map(|(_, event)| *event).collect();
        if events.is_empty() {
            return Ok(items);
        }
        let events: Vec<_> = events.into_iter().map(stored::event_id).collect();
        let mut query = visible();
        query.insert("publishedEvent", doc! { "$in": events });
        query.insert("publishedAt", doc! { "$gte": self.horizon() });
        let posts = self.posted(query, None).await?;
        let posts: HashMap<_, _> =
            posts.iter().map(|post| (stored::read_event_id(post.published_event), post)).collect();
        for (user, event) in wanted {
            let (Some(reader), Some(post)) = (readers.get(&user.0), posts.get(event)) else {
                continue;
            };
            if reader.wants(NotificationKind::Posted) && reader.followed(post) {
                items.insert((*user, *event), reader.post(post)?);
            }
        }
        Ok(items)
    }

    /// Which of these events told of posts of whom the user followed then, and when.
    pub(super) async fn posts_among(
        &self,
        user: UserId,
        events: &[bson::Uuid],
    ) -> Result<Vec<(bson::Uuid, DateTime)>, Failure> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let query =
            doc! { "publishedEvent": { "$in": events.to_vec() }, "publishedAt": { "$ne": null } };
        let posts = self.posted(query, None).await?;
        let follows = self.spans_of(&[user.0]).await?.into_iter();
        let follows = follows.map(|follow| (follow.followee, follow)).collect();
        let wishes = Arc::new(Wishes { follows, ..Wishes::default() });
        let reader = Reader { wishes, ..Reader::default() };
        let read = posts.iter().filter(|post| reader.followed(post));
        Ok(read.map(|post| (post.published_event, post.published_at)).collect())
    }
}
