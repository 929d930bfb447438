//! What an audit reads, on the embedded stores.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::adapters::contract::at;
use crate::adapters::contract::audit_analytics::AuditedAnalytics;
use crate::adapters::contract::audit_content::{AuditedContent, Damage};
use crate::adapters::contract::audit_log::AuditedLog;
use crate::adapters::contract::community::{Community, NOW};
use crate::adapters::memory::manual_clock::ManualClock;

use super::*;

/// Carries out a statement on a connection that is none of the adapter's.
fn order(directory: &Path, schema: Schema, statement: String) -> BoxFuture<'static, ()> {
    let options = SqliteConnectOptions::new().filename(directory.join(schema.file_name()));
    async move {
        let mut connection = options.connect().await.unwrap();
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        connection.close().await.unwrap();
    }
    .boxed()
}

mod log {
    use super::*;

    async fn fresh() -> AuditedLog {
        let (db, directory) = database(Schema::Log).await;
        let events = Arc::new(SqliteEventLog::new(db.clone()));
        AuditedLog {
            audit: events.clone(),
            events,
            ledger: Arc::new(SqliteRelayLedger::new(db.clone())),
            runs: Arc::new(SqliteRuns::new(db)),
            keep: Box::new(directory),
        }
    }

    crate::adapters::contract::audit_log::audit_log_contract!(fresh);
}

mod projection {
    use super::*;

    async fn fresh() -> AuditedAnalytics {
        let (db, directory) = database(Schema::Analytics).await;
        let store = Arc::new(SqliteAnalytics::new(db));
        let path = directory.path().to_owned();
        AuditedAnalytics {
            analytics: store.clone(),
            projected: store.clone(),
            aggregates: store,
            order: Box::new(move |sql| order(&path, Schema::Analytics, sql.to_owned())),
            keep: Box::new(directory),
        }
    }

    crate::adapters::contract::audit_analytics::audit_analytics_contract!(fresh);
}

mod content {
    use super::*;

    async fn fresh() -> AuditedContent {
        let (db, directory) = database(Schema::Log).await;
        let clock = Arc::new(ManualClock::at(at(NOW)));
        let store = Arc::new(SqliteContent::new(db, true, clock.clone()));
        let path = directory.path().to_owned();
        let community = Community {
            content: store.clone(),
            marks: store.clone(),
            comments: store.clone(),
            inbox: store.clone(),
            pass: Box::new(move |duration| clock.advance(duration)),
            keep: Box::new(directory),
        };
        let damage = move |damage| {
            let statement = match damage {
                Damage::Post(post) => format!(
                    "UPDATE post_counts SET likes = likes + 1, comments = comments - 2
                     WHERE post_id = '{post}'"
                ),
                Damage::Followers(user) => {
                    format!(
                        "UPDATE user_counts SET followers = followers + 3 WHERE user_id = {user}"
                    )
                }
                Damage::Unread(user) => format!(
                    "UPDATE unread_counts SET unread = unread + 2
                     WHERE user_id = {user} AND kind = 'liked'"
                ),
            };
            order(&path, Schema::Log, statement)
        };
        let (documents, counts) = (store.clone(), store);
        AuditedContent { community, documents, counts, damage: Box::new(damage) }
    }

    crate::adapters::contract::audit_content::audit_content_contract!(fresh);
}
