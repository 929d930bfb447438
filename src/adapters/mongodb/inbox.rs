//! Inboxes: what is put there and read, and what users want. What they list is in
//! [`inbox_items`](super::inbox_items).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{self, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use crate::domain::event::{Event, InboxRead};
use crate::domain::ids::{EventId, UserId};
use crate::domain::notification::{InboxState, Notice, Notification};
use crate::domain::page::Cursor;
use crate::domain::preferences::Preferences;
use crate::ports::StoreError;
use crate::ports::inbox::{Inbox, Told};

use super::content::{MongoContent, PROFILES};
use super::inbox_items::NOTIFICATIONS;
use super::keys;
use super::store::{Durability, Failure};
use super::stored::{self, StoredEvent};

/// Where the state of inboxes is kept.
pub(super) const INBOXES: &str = "inboxes";
/// How many inboxes are written to at once.
pub(super) const AT_ONCE: usize = 8;
/// How old a post may be that an inbox lists.
const HORIZON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The state of an inbox. Whatever changes what it lists is written first and raises `version` then,
/// and readers read this document first: so no state is told with a version that is newer than itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct InboxDocument {
    #[serde(rename = "_id")]
    pub(super) user: i64,
    pub(super) version: i64,
    /// Raised after every change of what the user wishes to hear of, and of whom the user follows.
    pub(super) revision: i64,
    /// Everything that happened until then was read.
    pub(super) read_through: Option<DateTime>,
    /// The last item that was listed.
    pub(super) seen_at: Option<DateTime>,
    pub(super) seen_id: Option<bson::Uuid>,
    /// Posts by others that were read one by one, none of them older than the horizon.
    pub(super) read_posts: Vec<ReadPost>,
    /// Notifications that the last event reads and that may not be marked yet.
    pending: Vec<bson::Uuid>,
    /// The last event by which the user read something.
    event: Option<StoredEvent>,
}

/// A post that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReadPost {
    /// The event that told of it.
    pub(super) id: bson::Uuid,
    at: DateTime,
}

#[derive(Deserialize)]
struct Profile {
    preferences: Option<Preferences>,
}

impl MongoContent {
    /// No post that was published before is listed.
    pub(super) fn horizon(&self) -> DateTime {
        stored::date(self.clock.now().minus(HORIZON))
    }

    /// The inboxes of these users that were ever used, with nothing pending.
    pub(super) async fn inboxes(
        &self,
        users: &[i64],
    ) -> Result<HashMap<i64, InboxDocument>, Failure> {
        let inboxes = self.collection::<InboxDocument>(INBOXES);
        let found = self.db.all(inboxes.find(doc! { "_id": { "$in": users.to_vec() } })).await?;
        for inbox in &found {
            self.settle(inbox).await?;
        }
        Ok(found.into_iter().map(|inbox| (inbox.user, inbox)).collect())
    }

    /// Marks what the last event of an inbox reads. Whoever finds that it was not done does it, so that
    /// a crash leaves nothing half read.
    pub(super) async fn settle(&self, inbox: &InboxDocument) -> Result<(), Failure> {
        let (Some(event), false) = (&inbox.event, inbox.pending.is_empty()) else { return Ok(()) };
        let user = UserId(inbox.user);
        let pending = inbox.pending.iter().map(|id| stored::read_event_id(*id));
        let ids = pending.map(|event| keys::notification(user, event));
        let unread = doc! { "_id": { "$in": ids.collect::<Vec<_>>() }, "read": false };
        let notifications = self.collection::<Document>(NOTIFICATIONS);
        let read = doc! { "$set": { "read": true } };
        self.db.bounded(notifications.update_many(unread, read)).await?;
        let inboxes = self.collection::<Document>(INBOXES);
        let same = doc! { "_id": inbox.user, "event.id": event.id };
        let settled = doc! { "$unset": { "pending": "" } };
        self.db.bounded(inboxes.update_one(same, settled)).await?;
        Ok(())
    }

    async fn last_turn(&self, user: UserId) -> Result<Option<Event>, Failure> {
        let inboxes = self.collection::<InboxDocument>(INBOXES);
        let found = self.db.bounded(inboxes.find_one(doc! { "_id": user.0 })).await?;
        found.and_then(|inbox| inbox.event).map(|event| event.read()).transpose()
    }

    async fn take_turn(
        &self,
        user: UserId,
        read: &InboxRead,
        event: &Event,
        expected: Option<EventId>,
    ) -> Result<bool, Failure> {
        let expected = expected.map(stored::event_id);
        let mut inbox = self.inboxes(&[user.0]).await?.remove(&user.0).unwrap_or_default();
        if inbox.event.as_ref().map(|event| event.id) != expected {
            return Ok(false);
        }
        inbox.user = user.0;
        inbox.pending = read.ids.iter().copied().map(stored::event_id).collect();
        inbox.read_through = inbox.read_through.max(read.through.map(stored::date));
        let read_now = self.posts_among(user, &inbox.pending).await?;
        let read_now = read_now.into_iter().map(|(id, at)| ReadPost { id, at });
        inbox.read_posts.extend(read_now);
        let (through, horizon) = (inbox.read_through, self.horizon());
        let mut met = HashSet::new();
        inbox.read_posts.retain(|post| {
            Some(post.at) > through && post.at >= horizon && met.insert(post.id.bytes())
        });
        inbox.event = Some(StoredEvent::of(event)?);
        if !self.exchange(&inbox, expected).await? {
            return Ok(false);
        }
        self.settle(&inbox).await?;
        Ok(true)
    }

    /// Takes the place of the event by which the user read before, if it is the one that is expected.
    async fn exchange(
        &self,
        inbox: &InboxDocument,
        expected: Option<bson::Uuid>,
    ) -> Result<bool, Failure> {
        let read_posts = bson::serialize_to_bson(&inbox.read_posts).map_err(Failure::unreadable)?;
        let change = doc! {
            "$set": {
                "event": inbox.event.clone(), "readThrough": inbox.read_through,
                "readPosts": read_posts, "pending": inbox.pending.clone(),
            },
            "$inc": { "version": 1_i64 },
        };
        let mut found = doc! { "_id": inbox.user };
        match expected {
            Some(expected) => found.insert("event.id", expected),
            None => found.insert("event", doc! { "$exists": false }),
        };
        let inboxes = self.collection::<Document>(INBOXES);
        // An inbox that has another event cannot be made once more.
        let exchange = inboxes.update_one(found, change).upsert(expected.is_none());
        match self.db.bounded(exchange).await {
            Ok(done) => Ok(done.matched_count > 0 || done.upserted_id.is_some()),
            Err(failure) if failure.is_duplicate() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn see(&self, user: UserId, latest: &Notification) -> Result<(), Failure> {
        let (at, id) = (stored::date(latest.created_at), stored::event_id(latest.id));
        let earlier = doc! {
            "_id": user.0,
            "$or": [
                { "seenAt": { "$exists": false } },
                { "seenAt": { "$lt": at } },
                { "seenAt": at, "seenId": { "$lt": id } },
            ],
        };
        let change = doc! { "$set": { "seenAt": at, "seenId": id } };
        let inboxes = self.collection::<Document>(INBOXES);
        let attempt = || inboxes.update_one(earlier.clone(), change.clone()).upsert(true);
        // One that saw something later cannot be made once more; one that was made meanwhile is tried again.
        for _ in 0..2 {
            match self.db.bounded(attempt()).await {
                Err(failure) if failure.is_duplicate() => {}
                Err(failure) => return Err(failure),
                Ok(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn wants(&self, user: UserId) -> Result<Preferences, Failure> {
        let profiles = self.collection::<Profile>(PROFILES);
        let found = profiles
            .find_one(doc! { "_id": user.0 })
            .projection(doc! { "_id": 0, "preferences": 1 });
        let found = self.db.bounded(found).await?;
        Ok(found.and_then(|profile| profile.preferences).unwrap_or_default())
    }

    async fn keep_wants(&self, user: UserId, preferences: &Preferences) -> Result<(), Failure> {
        let preferences = bson::serialize_to_bson(preferences).map_err(Failure::unreadable)?;
        // The profile first: it is made once for all.
        self.count_for(user, doc! { "changes": 0_i64 }).await?;
        let profiles = self.db.collection::<Document>(PROFILES, Durability::Majority);
        let change = doc! { "$set": { "preferences": preferences } };
        self.db.bounded(profiles.update_one(doc! { "_id": user.0 }, change)).await?;
        self.upsert(INBOXES, user.0, doc! { "$inc": { "version": 1_i64, "revision": 1_i64 } }).await
    }
}

#[async_trait]
impl Inbox for MongoContent {
    async fn put(&self, notices: &[Notice]) -> Result<Told, StoreError> {
        if notices.is_empty() {
            return Ok(Told::default());
        }
        self.tell(notices).await.map_err(|e| self.db.failed(e))
    }

    async fn items(
        &self,
        wanted: &[(UserId, EventId)],
    ) -> Result<HashMap<(UserId, EventId), Notification>, StoreError> {
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        self.listed_among(wanted).await.map_err(|e| self.db.failed(e))
    }

    async fn states(&self, users: &[UserId]) -> Result<HashMap<UserId, InboxState>, StoreError> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        self.states_of(users).await.map_err(|e| self.db.failed(e))
    }

    async fn list(
        &self,
        user: UserId,
        unread_only: bool,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Notification>, StoreError> {
        // To MongoDB a limit of 0 is none.
        if limit == 0 {
            return Ok(Vec::new());
        }
        let items = self.listed(user, unread_only, after, limit).await;
        items.map_err(|e| self.db.failed(e))
    }

    async fn last_read(&self, user: UserId) -> Result<Option<Event>, StoreError> {
        self.last_turn(user).await.map_err(|e| self.db.failed(e))
    }

    async fn mark_read(
        &self,
        user: UserId,
        read: &InboxRead,
        event: &Event,
        expected: Option<EventId>,
    ) -> Result<bool, StoreError> {
        let taken = self.take_turn(user, read, event, expected).await;
        taken.map_err(|e| self.db.failed(e))
    }

    async fn mark_seen(&self, user: UserId, latest: &Notification) -> Result<(), StoreError> {
        if latest.seen {
            return Ok(());
        }
        self.see(user, latest).await.map_err(|e| self.db.failed(e))
    }

    async fn preferences(&self, user: UserId) -> Result<Preferences, StoreError> {
        self.wants(user).await.map_err(|e| self.db.failed(e))
    }

    async fn put_preferences(
        &self,
        user: UserId,
        preferences: &Preferences,
    ) -> Result<(), StoreError> {
        self.keep_wants(user, preferences).await.map_err(|e| self.db.failed(e))
    }
}
