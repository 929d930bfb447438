//! Notifications on their way into inboxes. The relay waits for this.

use std::collections::{HashMap, HashSet};

use mongodb::bson::{DateTime, Document, doc};

use crate::domain::ids::{EventId, UserId};
use crate::domain::notification::Notice;
use crate::ports::inbox::Told;

use super::content::MongoContent;
use super::inbox::InboxDocument;
use super::inbox_counts::Unread;
use super::inbox_items::{NOTIFICATIONS, NotificationDocument, just_after};
use super::keys;
use super::store::Failure;

impl MongoContent {
    /// Puts notifications into inboxes and says how they are listed, and what the inboxes hold then.
    pub(super) async fn tell(&self, notices: &[Notice]) -> Result<Told, Failure> {
        let users: HashSet<_> = notices.iter().map(|notice| notice.recipient.0).collect();
        let mut readers = self.readers(&users.into_iter().collect::<Vec<_>>()).await?;
        let document = |notice: &Notice| {
            let reader = readers.get(&notice.recipient.0)?;
            let wanted = reader.wants(notice.notification.r#type);
            wanted.then(|| NotificationDocument::of(notice, reader.inbox.read_through))
        };
        let documents: Vec<_> = notices.iter().filter_map(document).collect();
        let known = self.insert_new(NOTIFICATIONS, &documents).await?;
        // Of the others there is another that told of the same before.
        let again = known.iter().filter_map(|place| documents.get(*place));
        let again: Vec<_> = again.map(|one| (UserId(one.user_id), one.event())).collect();
        let again = self.notifications_among(again.iter()).await?;
        // The same where the user has muted the kind since.
        let unwanted = notices.iter().filter(|notice| {
            let reader = readers.get(&notice.recipient.0);
            reader.is_some_and(|reader| !reader.wants(notice.notification.r#type))
        });
        let unwanted: Vec<_> =
            unwanted.map(|notice| (notice.recipient, notice.notification.id)).collect();
        let unwanted = self.notifications_among(unwanted.iter()).await?;
        // Nobody knows whether what is there was counted: whoever put it may have ended before.
        let mut doubtful: HashSet<_> =
            again.iter().chain(&unwanted).map(|one| one.user_id).collect();
        let uncounted = readers.values().filter(|reader| reader.inbox.unread.is_none());
        doubtful.extend(uncounted.map(|reader| reader.inbox.user).filter(|user| *user != 0));
        let mut news: HashMap<i64, Unread> = HashMap::new();
        for (_, document) in documents.iter().enumerate().filter(|(at, _)| !known.contains(at)) {
            *news.entry(document.user_id).or_default().entry(document.kind).or_default() += 1;
        }
        self.count_news(&mut readers, &news, doubtful).await?;
        let mut items = HashMap::new();
        for (place, mut document) in documents.into_iter().enumerate() {
            let (user, event) = (document.user_id, document.event());
            let Some(reader) = readers.get_mut(&user).filter(|_| !known.contains(&place)) else {
                continue;
            };
            let through = reader.read_through();
            if document.created_at <= through {
                // The user read everything up to a later moment meanwhile, and this may not have been among it.
                document.created_at = just_after(Some(through));
                reader.inbox = self.put_behind(UserId(user), event, document.created_at).await?;
            }
            items.insert((UserId(user), event), reader.notification(document)?);
        }
        for document in again {
            let (user, event) = (document.user_id, document.event());
            if let Some(reader) = readers.get(&user) {
                items.insert((UserId(user), event), reader.notification(document)?);
            }
        }
        Ok(Told { items, states: self.states_for(&readers).await? })
    }

    async fn put_behind(
        &self,
        user: UserId,
        event: EventId,
        at: DateTime,
    ) -> Result<InboxDocument, Failure> {
        let notifications = self.collection::<Document>(NOTIFICATIONS);
        let later = doc! { "$set": { "createdAt": at } };
        let id = doc! { "_id": keys::notification(user, event) };
        self.db.bounded(notifications.update_one(id, later)).await?;
        self.recount_or_leave(user.0, 1).await
    }
}
