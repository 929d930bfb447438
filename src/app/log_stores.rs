//! Opens the stores of events and of content, which become durable together where they are in one place.

use std::path::Path;
use std::sync::Arc;

use super::AppError;
use crate::adapters::mongodb::{
    Mongo, MongoContent, MongoEventLog, MongoIdempotencyKeys, MongoOptions, MongoRelayLedger,
    MongoRuns, MongoSchema,
};
use crate::adapters::sqlite::{
    Database, Schema, SqliteContent, SqliteEventLog, SqliteIdempotencyKeys, SqliteRelayLedger,
    SqliteRuns,
};
use crate::ports::audit::content::{CountAudit, DocumentAudit};
use crate::ports::audit::log::LogAudit;
use crate::ports::clock::Clock;
use crate::ports::comments::Comments;
use crate::ports::content::Content;
use crate::ports::event_log::{EventLog, RelayLedger};
use crate::ports::idempotency::IdempotencyKeys;
use crate::ports::inbox::Inbox;
use crate::ports::marks::Marks;
use crate::ports::runs::Runs;
use crate::settings::{Settings, StoreUrl};

/// The ports of the log.
pub(super) struct LogPorts {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) ledger: Arc<dyn RelayLedger>,
    pub(super) runs: Arc<dyn Runs>,
    pub(super) keys: Arc<dyn IdempotencyKeys>,
    pub(super) audit: Arc<dyn LogAudit>,
}

/// The ports of the content.
pub(super) struct ContentPorts {
    pub(super) content: Arc<dyn Content>,
    pub(super) marks: Arc<dyn Marks>,
    pub(super) comments: Arc<dyn Comments>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) counts: Arc<dyn CountAudit>,
    pub(super) documents: Arc<dyn DocumentAudit>,
}

/// Where events are kept.
enum LogStore {
    File(Arc<Database>),
    Server(Arc<Mongo>),
}

/// Opens and migrates both stores.
pub(super) async fn open(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<(LogPorts, ContentPorts), AppError> {
    let (store, log) = open_log(settings).await?;
    let content = match &settings.content.url {
        StoreUrl::Mongodb(url) => content_server(settings, url.expose(), &store, clock).await?,
        _ => content_file(settings, &store, clock).await?,
    };
    Ok((log, content))
}

async fn open_log(settings: &Settings) -> Result<(LogStore, LogPorts), AppError> {
    if let StoreUrl::Mongodb(url) = &settings.events.url {
        let options = MongoOptions::of(&settings.events.pool);
        let db = Mongo::connect(url.expose(), "events", options).await?;
        prepare(settings, MongoSchema::Log(settings.idempotency.ttl), &db).await?;
        let log = Arc::new(MongoEventLog::new(Arc::clone(&db)));
        let ports = LogPorts {
            audit: log.clone(),
            log,
            ledger: Arc::new(MongoRelayLedger::new(Arc::clone(&db))),
            runs: Arc::new(MongoRuns::new(Arc::clone(&db))),
            keys: Arc::new(MongoIdempotencyKeys::new(Arc::clone(&db))),
        };
        return Ok((LogStore::Server(db), ports));
    }
    let path = settings.events.url.file_or(&embedded(&settings.data_dir));
    let db = Database::open(&path, Schema::Log, settings.migrate_on_start).await?;
    let log = Arc::new(SqliteEventLog::new(Arc::clone(&db)));
    let ports = LogPorts {
        audit: log.clone(),
        log,
        ledger: Arc::new(SqliteRelayLedger::new(Arc::clone(&db))),
        runs: Arc::new(SqliteRuns::new(Arc::clone(&db))),
        keys: Arc::new(SqliteIdempotencyKeys::new(Arc::clone(&db))),
    };
    Ok((LogStore::File(db), ports))
}

async fn content_server(
    settings: &Settings,
    url: &str,
    log: &LogStore,
    clock: &Arc<dyn Clock>,
) -> Result<ContentPorts, AppError> {
    let same = matches!(&settings.events.url, StoreUrl::Mongodb(log) if log.expose() == url);
    let db = match log {
        LogStore::Server(log) if same => log.shared_with("content"),
        _ => {
            let options = MongoOptions::of(&settings.content.pool);
            Mongo::connect(url, "content", options).await?
        }
    };
    prepare(settings, MongoSchema::Content, &db).await?;
    // The log's later writes on one replica set make those of the content durable as well.
    let covered = matches!(log, LogStore::Server(log) if log.shares_replica_set(&db));
    Ok(content_ports(MongoContent::new(db, covered, Arc::clone(clock))))
}

async fn content_file(
    settings: &Settings,
    log: &LogStore,
    clock: &Arc<dyn Clock>,
) -> Result<ContentPorts, AppError> {
    let embedded = embedded(&settings.data_dir);
    let path = settings.content.url.file_or(&embedded);
    // In one file, a commit of the log makes the documents before it durable as well.
    let shared = match log {
        LogStore::File(log) if path == settings.events.url.file_or(&embedded) => Some(log),
        _ => None,
    };
    let db = match shared {
        Some(log) => Arc::clone(log),
        None => Database::open(&path, Schema::Log, settings.migrate_on_start).await?,
    };
    Ok(content_ports(SqliteContent::new(db, shared.is_some(), Arc::clone(clock))))
}

fn content_ports<T>(store: T) -> ContentPorts
where
    T: Content + Marks + Comments + Inbox + CountAudit + DocumentAudit + 'static,
{
    let store = Arc::new(store);
    ContentPorts {
        content: store.clone(),
        marks: store.clone(),
        comments: store.clone(),
        inbox: store.clone(),
        counts: store.clone(),
        documents: store,
    }
}

async fn prepare(settings: &Settings, schema: MongoSchema, db: &Mongo) -> Result<(), AppError> {
    match settings.migrate_on_start {
        true => schema.migrate(db).await?,
        false => schema.verify(db).await?,
    }
    Ok(())
}

fn embedded(data: &Path) -> std::path::PathBuf {
    data.join(Schema::Log.file_name())
}
