//! Notifications on their way into inboxes. The relay waits for this.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::ReturnDocument;

use crate::domain::ids::{EventId, UserId};
use crate::domain::notification::Notice;
use crate::ports::inbox::Told;

use super::content::MongoContent;
use super::inbox::{AT_ONCE, INBOXES, InboxDocument};
use super::inbox_items::{NOTIFICATIONS, NotificationDocument, just_after};
use super::inbox_readers::Reader;
use super::keys;
use super::store::Failure;
use super::stored;

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
        let known = self.insert_news(&documents).await?;
        let news = documents.iter().enumerate().filter(|(place, _)| !known.contains(place));
        self.count_news(&mut readers, news.map(|(_, document)| document.user_id)).await?;
        let (mut items, mut again) = (HashMap::new(), Vec::new());
        for (place, document) in documents.into_iter().enumerate() {
            let (user, event) = (document.user_id, stored::read_event_id(document.event_id));
            let Some(reader) = readers.get(&user) else { continue };
            let through = reader.read_through();
            if known.contains(&place) {
                again.push((UserId(user), event));
            } else if document.created_at <= through {
                // The user read everything up to a later moment meanwhile, and this may not have been among it.
                self.put_behind(UserId(user), event, through).await?;
                again.push((UserId(user), event));
            } else {
                items.insert((UserId(user), event), reader.notification(document)?);
            }
        }
        if !again.is_empty() {
            items.extend(self.listed_among(&again).await?);
        }
        Ok(Told { items, states: self.states_for(&readers).await? })
    }

    /// Inserts notifications and returns the places of those that were there.
    async fn insert_news(
        &self,
        documents: &[NotificationDocument],
    ) -> Result<HashSet<usize>, Failure> {
        if documents.is_empty() {
            return Ok(HashSet::new());
        }
        let notifications = self.collection::<NotificationDocument>(NOTIFICATIONS);
        let told = self.db.bounded(notifications.insert_many(documents).ordered(false)).await;
        // What is there, or was told before, stands in the way of another in one of the unique indexes.
        match told {
            Ok(_) => Ok(HashSet::new()),
            Err(failure) => match failure.refused() {
                Some(refused) if refused.iter().all(|(_, duplicate)| *duplicate) => {
                    Ok(refused.into_iter().map(|(place, _)| place).collect())
                }
                _ => Err(failure),
            },
        }
    }

    /// Raises the versions of inboxes for what is new there, and reads them anew.
    async fn count_news(
        &self,
        readers: &mut HashMap<i64, Reader>,
        recipients: impl Iterator<Item = i64>,
    ) -> Result<(), Failure> {
        let mut counts = HashMap::<i64, i64>::new();
        for user in recipients {
            *counts.entry(user).or_default() += 1;
        }
        let raise = |(user, count)| self.raise_version(user, count);
        let raised = stream::iter(counts).map(raise).buffer_unordered(AT_ONCE);
        for inbox in raised.try_collect::<Vec<_>>().await? {
            if let Some(reader) = readers.get_mut(&inbox.user) {
                reader.inbox = inbox;
            }
        }
        Ok(())
    }

    async fn raise_version(&self, user: i64, count: i64) -> Result<InboxDocument, Failure> {
        let inboxes = self.collection::<InboxDocument>(INBOXES);
        let raise = || {
            let (id, more) = (doc! { "_id": user }, doc! { "$inc": { "version": count } });
            let raise = inboxes.find_one_and_update(id, more).upsert(true);
            self.db.bounded(raise.return_document(ReturnDocument::After))
        };
        // Of two that make it at once, one is refused, or told of none, and finds it then.
        let raised = match raise().await {
            Err(failure) if failure.is_duplicate() => raise().await?,
            Ok(None) => raise().await?,
            raised => raised?,
        };
        let inbox = raised.ok_or_else(|| Failure::unreadable("an inbox is not there"))?;
        self.settle(&inbox).await?;
        Ok(inbox)
    }

    async fn put_behind(
        &self,
        user: UserId,
        event: EventId,
        through: DateTime,
    ) -> Result<(), Failure> {
        let notifications = self.collection::<Document>(NOTIFICATIONS);
        let later = doc! { "$set": { "createdAt": just_after(Some(through)) } };
        let id = doc! { "_id": keys::notification(user, event) };
        self.db.bounded(notifications.update_one(id, later)).await?;
        self.raise_version(user.0, 1).await?;
        Ok(())
    }
}
