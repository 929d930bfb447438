//! Documents as an audit reads them, by what they embed.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use mongodb::bson::{self, Bson, Document, doc};
use serde::Deserialize;

use crate::adapters::mongodb::comments::COMMENTS;
use crate::adapters::mongodb::follows::FOLLOWS;
use crate::adapters::mongodb::inbox::INBOXES;
use crate::adapters::mongodb::inbox_items::NOTIFICATIONS;
use crate::adapters::mongodb::keys;
use crate::adapters::mongodb::marks::place;
use crate::adapters::mongodb::store::Failure;
use crate::adapters::mongodb::stored;
use crate::domain::ids::{EventId, UserId};
use crate::domain::mark::{Mark, MarkKey};
use crate::domain::notification::{Notice, Notification};
use crate::ports::StoreError;
use crate::ports::audit::content::{DocumentAudit, DocumentKey, LastEvent};

use super::{MongoContent, POSTS, PROFILES};

/// The part of a document that says what became of it.
#[derive(Deserialize)]
struct State {
    #[serde(rename = "_id")]
    id: Bson,
    /// Of marks.
    on: Option<bool>,
    /// Of posts and comments.
    removed: Option<bool>,
    /// None in an inbox that was never read.
    event: Option<Embedded>,
}

#[derive(Deserialize)]
struct Embedded {
    id: bson::Uuid,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(rename = "_id")]
    user: i64,
}

/// What tells of a notification, by itself or by what it is told once for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    user_id: i64,
    event_id: bson::Uuid,
}

/// The collection of a document, and its id there.
fn home(key: &DocumentKey) -> Option<(&'static str, Bson)> {
    Some(match key {
        DocumentKey::Post(id) => (POSTS, stored::object_id(id).into()),
        DocumentKey::Comment(id) => (COMMENTS, stored::object_id(id).into()),
        DocumentKey::Mark(MarkKey { user, mark: Mark::Follow(followee) }) => {
            (FOLLOWS, keys::follow(*user, *followee).into())
        }
        DocumentKey::Mark(MarkKey { user, mark }) => {
            let (collection, id) = place(*user, mark)?;
            (collection, id.into())
        }
        DocumentKey::Inbox(user) => (INBOXES, user.0.into()),
    })
}

/// What finds the notification that stands for this one as well, if its kind is told once.
fn told_once(notice: &Notice) -> Option<Document> {
    let Notification { r#type: kind, actor, post_id, .. } = &notice.notification;
    let once = post_id.map(|id| id.to_string()).unwrap_or_default();
    let (user, kind_name) = (notice.recipient.0, kind.as_str());
    kind.is_told_once().then(|| {
        doc! { "userId": user, "kind": kind_name, "actor.id": actor.id.0, "once": once }
    })
}

impl MongoContent {
    async fn embedded_in(
        &self,
        keys: &[DocumentKey],
    ) -> Result<HashMap<DocumentKey, LastEvent>, Failure> {
        // Ids are compared as they are written: BSON has no equality that a map could use.
        let mut homes: HashMap<&str, HashMap<String, DocumentKey>> = HashMap::new();
        let mut ids: HashMap<&str, Vec<Bson>> = HashMap::new();
        for key in keys.iter().collect::<HashSet<_>>() {
            let Some((collection, id)) = home(key) else { continue };
            homes.entry(collection).or_default().insert(id.to_string(), *key);
            ids.entry(collection).or_default().push(id);
        }
        let mut found = HashMap::with_capacity(keys.len());
        for (collection, ids) in ids {
            let states = self.collection::<State>(collection);
            let query = states
                .find(doc! { "_id": { "$in": ids } })
                .projection(doc! { "_id": 1, "on": 1, "removed": 1, "event.id": 1 });
            for state in self.db.all(query).await? {
                let key = homes.get(collection).and_then(|keys| keys.get(&state.id.to_string()));
                let (Some(key), Some(event)) = (key, state.event) else { continue };
                let holds = state.on.unwrap_or(true) && !state.removed.unwrap_or(false);
                found.insert(*key, LastEvent { event: stored::read_event_id(event.id), holds });
            }
        }
        Ok(found)
    }

    async fn not_told(&self, notices: &[Notice]) -> Result<Vec<(UserId, EventId)>, Failure> {
        let users: Vec<_> = notices.iter().map(|notice| notice.recipient.0).collect();
        let profiles = self.collection::<Profile>(PROFILES);
        let picky = profiles
            .find(doc! { "_id": { "$in": users }, "preferences": { "$exists": true } })
            .projection(doc! { "_id": 1 });
        let picky: HashSet<_> =
            self.db.all(picky).await?.into_iter().map(|profile| UserId(profile.user)).collect();
        let asked: Vec<_> =
            notices.iter().filter(|notice| !picky.contains(&notice.recipient)).collect();
        let ids = asked.iter();
        let ids = ids.map(|notice| keys::notification(notice.recipient, notice.notification.id));
        let told = self.told(doc! { "_id": { "$in": ids.collect::<Vec<_>>() } }).await?;
        let pair = |notice: &Notice| (notice.recipient, notice.notification.id);
        let mut untold = Vec::new();
        for notice in asked.into_iter().filter(|notice| !told.contains(&pair(notice))) {
            let before = match told_once(notice) {
                Some(before) => !self.told(before).await?.is_empty(),
                None => false,
            };
            if !before {
                untold.push(pair(notice));
            }
        }
        Ok(untold)
    }

    async fn told(&self, which: Document) -> Result<HashSet<(UserId, EventId)>, Failure> {
        let notifications = self.collection::<Told>(NOTIFICATIONS);
        let query =
            notifications.find(which).projection(doc! { "_id": 0, "userId": 1, "eventId": 1 });
        let told = self.db.all(query).await?.into_iter();
        Ok(told.map(|one| (UserId(one.user_id), stored::read_event_id(one.event_id))).collect())
    }
}

#[async_trait]
impl DocumentAudit for MongoContent {
    async fn last_events(
        &self,
        keys: &[DocumentKey],
    ) -> Result<HashMap<DocumentKey, LastEvent>, StoreError> {
        self.embedded_in(keys).await.map_err(|e| self.db.failed(e))
    }

    async fn untold(&self, notices: &[Notice]) -> Result<Vec<(UserId, EventId)>, StoreError> {
        if notices.is_empty() {
            return Ok(Vec::new());
        }
        self.not_told(notices).await.map_err(|e| self.db.failed(e))
    }
}
