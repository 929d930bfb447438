//! What an audit reads of the log and of the content.

use futures_util::FutureExt;
use mongodb::bson::{Document, doc};

use crate::adapters::contract::at;
use crate::adapters::contract::audit_content::{AuditedContent, Damage};
use crate::adapters::contract::audit_log::AuditedLog;
use crate::adapters::contract::community::{Community, NOW};
use crate::adapters::memory::manual_clock::ManualClock;

use super::*;

mod log {
    use super::*;

    async fn fresh() -> AuditedLog {
        let scratch = Scratch::new(&[MongoSchema::Log(KEYS_TTL)]).await;
        let events = Arc::new(MongoEventLog::new(scratch.db.clone()));
        AuditedLog {
            audit: events.clone(),
            events,
            ledger: Arc::new(MongoRelayLedger::new(scratch.db.clone())),
            runs: Arc::new(MongoRuns::new(scratch.db.clone())),
            keep: Box::new(scratch),
        }
    }

    crate::adapters::contract::audit_log::audit_log_contract!(fresh);
}

mod content {
    use super::*;

    async fn fresh() -> AuditedContent {
        let scratch = Scratch::new(&[MongoSchema::Content]).await;
        let clock = Arc::new(ManualClock::at(at(NOW)));
        let db = scratch.db.shared_with("content");
        let store = Arc::new(MongoContent::new(db, true, clock.clone()));
        let database = scratch.db.database().clone();
        let community = Community {
            content: store.clone(),
            marks: store.clone(),
            comments: store.clone(),
            inbox: store.clone(),
            pass: Box::new(move |duration| clock.advance(duration)),
            keep: Box::new(scratch),
        };
        let damage = move |damage| {
            let (name, found, change) = match damage {
                Damage::Post(post) => (
                    "posts",
                    doc! { "_id": stored::object_id(post) },
                    doc! { "engagement.likes": 1_i64, "engagement.comments": -2_i64 },
                ),
                Damage::Followers(user) => {
                    ("user_profiles", doc! { "_id": user.0 }, doc! { "followers": 3_i64 })
                }
                Damage::Unread(user) => {
                    ("inboxes", doc! { "_id": user.0 }, doc! { "unread.liked": 2_i64 })
                }
            };
            let collection = database.collection::<Document>(name);
            let change = async move {
                collection.update_one(found, doc! { "$inc": change }).await.unwrap();
            };
            change.boxed()
        };
        let (documents, counts) = (store.clone(), store);
        AuditedContent { community, documents, counts, damage: Box::new(damage) }
    }

    crate::adapters::contract::audit_content::audit_content_contract!(fresh);
}
