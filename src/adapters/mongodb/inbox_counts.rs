//! How many notifications of an inbox are unread: a count by kind, kept with the state of the inbox.
//!
//! A notification and its count are two writes. What is put is inserted first and counted then, which may go wrong in two
//! ways, and neither leaves a count that is wrong:
//!
//! - The node ends between the two. The relay then puts the notification once more, finds that it is there, and does not
//!   know whether it was counted: the inbox is counted again.
//! - Somebody counts the inbox again meanwhile, or the user reads something. That raises `recounts`, and is done only where
//!   the inbox is as it was when the count began; what is put is counted only where `recounts` is as it was before it was
//!   inserted. So one of the two finds the other, and counts again.
//!
//! An inbox without a count is one that was never counted: it is counted when it is needed.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use serde::Deserialize;

use crate::domain::ids::UserId;
use crate::domain::notification::NotificationKind;
use crate::ports::audit::content::UnreadTally;

use super::content::MongoContent;
use super::inbox::{AT_ONCE, INBOXES, InboxDocument};
use super::inbox_items::NOTIFICATIONS;
use super::inbox_readers::Reader;
use super::mark_batches::by_id;
use super::store::Failure;
use super::stored;

/// How often an inbox is counted while others go on to change it.
const ATTEMPTS: usize = 5;

/// Unread notifications by kind.
pub(super) type Unread = BTreeMap<NotificationKind, i64>;

#[derive(Deserialize)]
struct OfKind {
    #[serde(rename = "_id")]
    kind: NotificationKind,
    count: i64,
}

#[derive(Deserialize)]
struct Id {
    #[serde(rename = "_id")]
    user: i64,
}

/// A number that a document may lack while it is zero.
fn number(value: i64) -> Bson {
    if value == 0 { doc! { "$in": [0_i64, Bson::Null] }.into() } else { value.into() }
}

/// An inbox as it was read.
pub(super) fn as_read(inbox: &InboxDocument) -> Document {
    let (version, recounts) = (number(inbox.version), number(inbox.recounts));
    doc! { "_id": inbox.user, "version": version, "recounts": recounts }
}

/// An inbox that was not counted again since it was read.
pub(super) fn as_counted(inbox: &InboxDocument) -> Document {
    doc! { "_id": inbox.user, "recounts": number(inbox.recounts) }
}

/// The name of a count within the inbox.
pub(super) fn field(kind: NotificationKind) -> String {
    format!("unread.{}", kind.as_str())
}

/// The same without kinds of which there is nothing.
fn some(unread: &Unread) -> Unread {
    unread.iter().filter(|(_, count)| **count != 0).map(|(kind, count)| (*kind, *count)).collect()
}

/// The unread notifications of an inbox.
pub(super) fn unread(user: i64, read_through: DateTime) -> Document {
    doc! { "userId": user, "read": false, "createdAt": { "$gt": read_through } }
}

impl MongoContent {
    /// Counts the unread notifications of an inbox along the index, which takes as long as they are many.
    pub(super) async fn count_unread(&self, reader: &InboxDocument) -> Result<Unread, Failure> {
        let through = reader.read_through.unwrap_or(DateTime::MIN);
        let group = doc! { "$group": { "_id": "$kind", "count": { "$sum": 1_i64 } } };
        let notifications = self.collection::<Document>(NOTIFICATIONS);
        let groups = notifications
            .aggregate([doc! { "$match": unread(reader.user, through) }, group])
            .with_type::<OfKind>();
        let groups: Vec<_> = self.db.bounded(async { groups.await?.try_collect().await }).await?;
        Ok(groups.into_iter().map(|OfKind { kind, count }| (kind, count)).collect())
    }

    /// Counts an inbox again and keeps the result. Its version, which does not know yet of so much `news`, grows by that, and
    /// where the count had been another one. `None`: the inbox changed all the while.
    pub(super) async fn recount_inbox(
        &self,
        user: i64,
        news: i64,
    ) -> Result<Option<InboxDocument>, Failure> {
        for _ in 0..ATTEMPTS {
            let found = self.inboxes(&[user]).await?.remove(&user);
            let is_there = found.is_some();
            let before = InboxDocument { user, ..found.unwrap_or_default() };
            let counted = self.count_unread(&before).await?;
            if !is_there && counted.is_empty() && news == 0 {
                return Ok(Some(before));
            }
            let was_wrong = before.unread.as_ref().is_some_and(|kept| some(kept) != counted);
            let mut unread = Document::new();
            unread.extend(counted.iter().map(|(kind, n)| (kind.as_str().to_owned(), (*n).into())));
            let change = doc! {
                "$set": { "unread": unread },
                "$inc": { "recounts": 1_i64, "version": news + i64::from(was_wrong) },
            };
            let inboxes = self.collection::<InboxDocument>(INBOXES);
            let exchange = inboxes
                .find_one_and_update(as_read(&before), change)
                .upsert(!is_there)
                .return_document(ReturnDocument::After);
            match self.db.bounded(exchange).await {
                Ok(Some(after)) => return Ok(Some(after)),
                // Somebody changed it, or made it, meanwhile.
                Ok(None) => {}
                Err(failure) if failure.is_duplicate() => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// Counts what was put into inboxes that were read before, and raises their versions; reads them anew. Those in
    /// `doubtful` have something that may have been counted before.
    pub(super) async fn count_news(
        &self,
        readers: &mut HashMap<i64, Reader>,
        news: &HashMap<i64, Unread>,
        mut doubtful: HashSet<i64>,
    ) -> Result<(), Failure> {
        let counted = |user: &i64| {
            let inbox = readers.get(user).map(|reader| &reader.inbox);
            inbox.filter(|inbox| inbox.unread.is_some() && !doubtful.contains(user))
        };
        let known: Vec<_> = news.keys().filter_map(counted).cloned().collect();
        doubtful.extend(news.keys().filter(|user| known.iter().all(|inbox| inbox.user != **user)));
        for now in self.add_news(&known, news).await? {
            let before = known.iter().find(|inbox| inbox.user == now.user);
            if before.is_none_or(|before| before.recounts != now.recounts) {
                doubtful.insert(now.user);
            } else if let Some(reader) = readers.get_mut(&now.user) {
                reader.inbox = now;
            }
        }
        let recount = |user: i64| self.recount_or_leave(user, sum(news, user));
        let recounts = stream::iter(doubtful).map(recount).buffer_unordered(AT_ONCE);
        for inbox in recounts.try_collect::<Vec<_>>().await? {
            if let Some(reader) = readers.get_mut(&inbox.user) {
                reader.inbox = inbox;
            }
        }
        Ok(())
    }

    /// Adds to the counts of inboxes that were not counted again since they were read, with one command; returns all of
    /// them as they are then.
    async fn add_news(
        &self,
        known: &[InboxDocument],
        news: &HashMap<i64, Unread>,
    ) -> Result<Vec<InboxDocument>, Failure> {
        let inboxes = self.collection::<InboxDocument>(INBOXES);
        match known {
            [] => Ok(Vec::new()),
            [inbox] => {
                let more = news.get(&inbox.user).into_iter().flatten();
                let mut more: Document =
                    more.map(|(kind, count)| (field(*kind), (*count).into())).collect();
                more.insert("version", sum(news, inbox.user));
                let add = inboxes
                    .find_one_and_update(as_counted(inbox), doc! { "$inc": more })
                    .return_document(ReturnDocument::After);
                let now = self.db.bounded(add).await?;
                // One that was counted again has another number of recounts.
                Ok(vec![now.unwrap_or(InboxDocument { recounts: -1, ..inbox.clone() })])
            }
            _ => {
                let users: Vec<_> = known.iter().map(|inbox| inbox.user).collect();
                let sums = users.iter().map(|user| (*user, sum(news, *user).into()));
                let more = by_id(sums, 0_i64);
                let mut set = doc! { "version": { "$add": ["$version", more] } };
                for kind in NotificationKind::ALL {
                    let of_kind = |user: &i64| {
                        let count = news.get(user)?.get(&kind)?;
                        Some((*user, (*count).into()))
                    };
                    let counts: Vec<_> = users.iter().filter_map(of_kind).collect();
                    if !counts.is_empty() {
                        let now = doc! { "$ifNull": [format!("${}", field(kind)), 0_i64] };
                        let more = by_id(counts.into_iter(), 0_i64);
                        set.insert(field(kind), doc! { "$add": [now, more] });
                    }
                }
                let guards: Vec<_> = known.iter().map(as_counted).collect();
                let found = doc! { "_id": { "$in": users.clone() }, "$or": guards };
                self.db.bounded(inboxes.update_many(found, vec![doc! { "$set": set }])).await?;
                self.db.all(inboxes.find(doc! { "_id": { "$in": users } })).await
            }
        }
    }

    /// Counts an inbox again. Where it changes so fast that nobody comes to that, it is left uncounted, and who tells of it
    /// counts then.
    pub(super) async fn recount_or_leave(
        &self,
        user: i64,
        news: i64,
    ) -> Result<InboxDocument, Failure> {
        if let Some(inbox) = self.recount_inbox(user, news).await? {
            return Ok(inbox);
        }
        let change = doc! {
            "$unset": { "unread": "" }, "$inc": { "version": news, "recounts": 1_i64 },
        };
        self.upsert(INBOXES, user, change).await?;
        let inbox = self.inboxes(&[user]).await?.remove(&user);
        inbox.ok_or_else(|| Failure::unreadable("an inbox is not there"))
    }

    /// What an audit compares.
    pub(super) async fn unread_tally(&self, user: i64) -> Result<UnreadTally, Failure> {
        let found = self.inboxes(&[user]).await?.remove(&user);
        let inbox = InboxDocument { user, ..found.unwrap_or_default() };
        let counted = self.count_unread(&inbox).await?;
        // What was never counted cannot be wrong.
        let kept = inbox.unread.as_ref().unwrap_or(&counted);
        let of = |unread: &Unread| {
            NotificationKind::ALL.map(|kind| unread.get(&kind).copied().unwrap_or(0))
        };
        Ok(UnreadTally { user: UserId(user), kept: of(kept), counted: of(&counted) })
    }

    /// Whether an audit changed anything.
    pub(super) async fn recounted_unread(&self, user: i64) -> Result<Option<bool>, Failure> {
        let UnreadTally { kept, counted, .. } = self.unread_tally(user).await?;
        Ok(self.recount_inbox(user, 0).await?.map(|_| kept != counted))
    }

    /// Inboxes in the order of their users.
    pub(super) async fn inboxes_from(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, Failure> {
        let after = after.map_or(Bson::MinKey, |user| user.0.into());
        let inboxes = self.collection::<Id>(INBOXES);
        let query = inboxes
            .find(doc! { "_id": { "$gt": after } })
            .sort(doc! { "_id": 1 })
            .limit(stored::integer(limit))
            .projection(doc! { "_id": 1 });
        Ok(self.db.all(query).await?.into_iter().map(|one| UserId(one.user)).collect())
    }
}

fn sum(news: &HashMap<i64, Unread>, user: i64) -> i64 {
    news.get(&user).map_or(0, |news| news.values().sum())
}
