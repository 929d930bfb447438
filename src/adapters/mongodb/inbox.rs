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
use super::inbox_counts::{Unread, as_counted, field};
use super::inbox_items::{NOTIFICATIONS, NotificationDocument};
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
    /// How many notifications are unread, by kind; what `read_through` covers is not. `None`: that was never counted.
    pub(super) unread: Option<Unread>,
    /// Raised whenever that is not added to, but begun anew.
    pub(super) recounts: i64,
    /// The last item that was listed.
    pub(super) seen_at: Option<DateTime>,
    pub(super) seen_id: Option<bson::Uuid>,
    /// Posts by others that were read one by one, none of them older than the horizon.
    pub(super) read_posts: Vec<ReadPost>,
    /// Notifications that the last event reads and that may not be marked yet.
    pub(super) pending: Vec<bson::Uuid>,
    /// The last event by which the user read something.
    pub(super) event: Option<StoredEvent>,
}

/// What became of an attempt to read something.
enum Exchange {
    Done,
    /// Something was read meanwhile.
    EventDiffers,
    /// The inbox was counted again meanwhile.
    Recounted,
}

/// A post that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReadPost {
    /// The event that told of it.
    pub(super) id: bson::Uuid,
    at: DateTime,
}

/// How the counts change when items are read. What is read one by one is subtracted; after everything `through` a moment was
/// read, what is left is counted anew, so that whoever reads all of it also puts right a count that was wrong.
fn counts_after(before: &InboxDocument, through: bool, read: &[NotificationDocument]) -> Document {
    if through || before.unread.is_none() {
        return doc! { "$unset": { "unread": "" }, "$inc": { "version": 1_i64, "recounts": 1_i64 } };
    }
    let mut less = doc! { "version": 1_i64 };
    for one in read.iter().filter(|one| Some(one.created_at) > before.read_through) {
        let field = field(one.kind);
        let count = less.get_i64(&field).unwrap_or(0);
        less.insert(field, count - 1);
    }
    doc! { "$inc": less }
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
        // Somebody may count the inbox again meanwhile, which does not know of this reading.
        loop {
            let found = self.inboxes(&[user.0]).await?.remove(&user.0).unwrap_or_default();
            if found.event.as_ref().map(|event| event.id) != expected {
                return Ok(false);
            }
            let before = InboxDocument { user: user.0, ..found };
            let unread = self.unread_among(user, &read.ids).await?;
            let mut after = self.read_after(&before, read).await?;
            after.pending = unread.iter().map(|one| one.event_id).collect();
            after.event = Some(StoredEvent::of(event)?);
            let counts = counts_after(&before, read.through.is_some(), &unread);
            let recount = counts.contains_key("$unset");
            match self.exchange(&before, &after, counts).await? {
                Exchange::Done => {}
                Exchange::EventDiffers => return Ok(false),
                Exchange::Recounted => continue,
            }
            self.settle(&after).await?;
            if recount {
                // Where nobody comes to it now, it is counted when it is needed.
                self.recount_inbox(user.0, 0).await?;
            }
            return Ok(true);
        }
    }

    /// An inbox after items of it were read, without what is marked one by one.
    async fn read_after(
        &self,
        before: &InboxDocument,
        read: &InboxRead,
    ) -> Result<InboxDocument, Failure> {
        let mut inbox = before.clone();
        inbox.read_through = inbox.read_through.max(read.through.map(stored::date));
        let ids: Vec<_> = read.ids.iter().copied().map(stored::event_id).collect();
        let read_now = self.posts_among(UserId(inbox.user), &ids).await?;
        let read_now = read_now.into_iter().map(|(id, at)| ReadPost { id, at });
        inbox.read_posts.extend(read_now);
        let (through, horizon) = (inbox.read_through, self.horizon());
        let mut met = HashSet::new();
        inbox.read_posts.retain(|post| {
            Some(post.at) > through && post.at >= horizon && met.insert(post.id.bytes())
        });
        Ok(inbox)
    }

    /// Takes the place of the event by which the user read before, if it still is there.
    async fn exchange(
        &self,
        before: &InboxDocument,
        after: &InboxDocument,
        counts: Document,
    ) -> Result<Exchange, Failure> {
        let read_posts = bson::serialize_to_bson(&after.read_posts).map_err(Failure::unreadable)?;
        let mut change = doc! {
            "$set": {
                "event": after.event.clone(), "readThrough": after.read_through,
                "readPosts": read_posts, "pending": after.pending.clone(),
            },
        };
        change.extend(counts);
        let expected = before.event.as_ref().map(|event| event.id);
        let mut found = as_counted(before);
        match expected {
            Some(expected) => found.insert("event.id", expected),
            None => found.insert("event", doc! { "$exists": false }),
        };
        let inboxes = self.collection::<Document>(INBOXES);
        // An inbox that is otherwise cannot be made once more.
        let exchange = inboxes.update_one(found, change).upsert(expected.is_none());
        match self.db.bounded(exchange).await {
            Ok(done) if done.matched_count > 0 || done.upserted_id.is_some() => {
                return Ok(Exchange::Done);
            }
            Err(failure) if !failure.is_duplicate() => return Err(failure),
            _ => {}
        }
        let now = self.last_turn(UserId(before.user)).await?;
        let same = now.map(|event| stored::event_id(event.id)) == expected;
        Ok(if same { Exchange::Recounted } else { Exchange::EventDiffers })
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
