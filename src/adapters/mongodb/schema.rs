//! Collections, validators and indexes, as the files in `migrations/mongodb` say. They are made
//! by comparison with what is there, so that it does not matter how often or by how many nodes at once.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error, ErrorKind};

use crate::ports::StoreError;
use crate::ports::inspection::SchemaState;

use super::store::{Failure, Mongo};

/// How long making one collection or its indexes may take; an index of what is there already reads all of it.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);
/// The server's code for a collection that exists.
const NAMESPACE_EXISTS: i32 = 48;
/// The server's code for a collection that does not exist.
const NAMESPACE_NOT_FOUND: i32 = 26;
/// The server's code for an index that exists with other options.
const INDEX_OPTIONS_CONFLICT: i32 = 85;
/// The most seconds that an index may keep a document.
const EXPIRY_MAX: i64 = i32::MAX as i64;

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MongoSchema {
    /// Events, positions, incarnations, and idempotency keys that are forgotten after this time.
    Log(Duration),
    /// Posts and what users did with them, inboxes and profiles.
    Content,
}

impl MongoSchema {
    fn collections(self) -> Result<Document, Failure> {
        let text = match self {
            Self::Log(_) => include_str!("../../../migrations/mongodb/log.json"),
            Self::Content => include_str!("../../../migrations/mongodb/content.json"),
        };
        serde_json::from_str(text).map_err(Failure::unreadable)
    }

    /// An index as it is made: one that forgets does so after the time of the settings.
    fn index(self, mut index: Document) -> Document {
        if let (Self::Log(ttl), true) = (self, index.contains_key("expireAfterSeconds")) {
            let seconds = i64::try_from(ttl.as_secs()).unwrap_or(EXPIRY_MAX).min(EXPIRY_MAX);
            index.insert("expireAfterSeconds", seconds);
        }
        index
    }

    /// Makes what is missing and brings validators up to date.
    pub async fn migrate(self, db: &Mongo) -> Result<(), StoreError> {
        self.make(db).await.map_err(|failure| db.failed(failure))
    }

    /// An error that names what is missing.
    pub async fn verify(self, db: &Mongo) -> Result<(), StoreError> {
        match self.state(db).await {
            Ok(SchemaState::Current) => Ok(()),
            Ok(state) => Err(db
                .unavailable(format_args!("it does not have the schema of this version: {state}"))),
            Err(failure) => Err(db.failed(failure)),
        }
    }

    async fn make(self, db: &Mongo) -> Result<(), Failure> {
        for (name, plan) in &self.collections()? {
            let plan = plan.as_document().ok_or_else(|| Failure::unreadable(name))?;
            make_collection(db, name, plan.get_document("validator").ok()).await?;
            for index in indexes(plan) {
                make_index(db, name, self.index(index)).await?;
            }
            if let Ok(text) = plan.get_document("text") {
                make_text_index(db, name, text.clone()).await?;
            }
        }
        Ok(())
    }

    /// Compares by name what there is with what should be. Nothing in a database tells of a later version.
    pub(super) async fn state(self, db: &Mongo) -> Result<SchemaState, Failure> {
        let mut missing = Vec::new();
        for (name, plan) in &self.collections()? {
            let plan = plan.as_document().ok_or_else(|| Failure::unreadable(name))?;
            let Some(there) = index_names(db, name).await? else {
                missing.push(format!("the collection {name}"));
                continue;
            };
            let wanted =
                indexes(plan).filter_map(|index| index.get_str("name").map(str::to_owned).ok());
            let wanted = wanted.filter(|index| !there.contains(index));
            missing.extend(wanted.map(|index| format!("the index {index} of {name}")));
        }
        Ok(if missing.is_empty() { SchemaState::Current } else { SchemaState::Pending(missing) })
    }

    /// Whether the indexes for a search of texts are there, which not every server makes.
    pub(super) async fn has_text_indexes(self, db: &Mongo) -> Result<bool, Failure> {
        for (name, plan) in &self.collections()? {
            let text = plan.as_document().and_then(|plan| plan.get_document("text").ok());
            let Some(index) = text.and_then(|text| text.get_str("name").ok()) else { continue };
            let there = index_names(db, name).await?.unwrap_or_default();
            if !there.iter().any(|it| it == index) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The indexes of a collection; `None` if there is no such collection.
async fn index_names(db: &Mongo, collection: &str) -> Result<Option<Vec<String>>, Failure> {
    let collection = db.database().collection::<Document>(collection);
    match db.bounded(collection.list_index_names()).await {
        Err(Failure::Driver(error)) if code(&error) == Some(NAMESPACE_NOT_FOUND) => Ok(None),
        // Some servers say of a collection that is not there that it has no indexes; one that is there has one.
        Ok(names) if names.is_empty() => Ok(None),
        names => names.map(Some),
    }
}

fn indexes(plan: &Document) -> impl Iterator<Item = Document> {
    let indexes = plan.get_array("indexes").into_iter().flatten();
    indexes.filter_map(Bson::as_document).cloned()
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(refused) => Some(refused.code),
        _ => None,
    }
}

/// Runs a command that may take long, and returns the server's code if it refused.
async fn run(db: &Mongo, command: Document) -> Result<Option<i32>, Failure> {
    let run = db.database().run_command(command);
    match tokio::time::timeout(MIGRATION_TIMEOUT, run.into_future()).await {
        Ok(Ok(_)) => Ok(None),
        Ok(Err(error)) => code(&error).map(Some).ok_or(Failure::Driver(error)),
        Err(_) => Err(Failure::TimedOut(MIGRATION_TIMEOUT)),
    }
}

async fn make_collection(
    db: &Mongo,
    name: &str,
    validator: Option<&Document>,
) -> Result<(), Failure> {
    let mut create = doc! { "create": name };
    let mut change = doc! { "collMod": name };
    if let Some(validator) = validator {
        create.insert("validator", validator.clone());
        change.insert("validator", validator.clone());
    }
    match run(db, create).await? {
        None => Ok(()),
        Some(NAMESPACE_EXISTS) if validator.is_none() => Ok(()),
        Some(NAMESPACE_EXISTS) => accepted(run(db, change).await?, name),
        refused => accepted(refused, name),
    }
}

async fn make_index(db: &Mongo, collection: &str, index: Document) -> Result<(), Failure> {
    let name = index.get_str("name").unwrap_or_default().to_owned();
    let expiry = index.get("expireAfterSeconds").cloned();
    let create = doc! { "createIndexes": collection, "indexes": [index] };
    let mut refused = run(db, create).await?;
    if let (Some(INDEX_OPTIONS_CONFLICT), Some(seconds)) = (refused, expiry) {
        let index = doc! { "name": &name, "expireAfterSeconds": seconds };
        refused = run(db, doc! { "collMod": collection, "index": index }).await?;
    }
    accepted(refused, &name)
}

/// Servers that speak MongoDB's protocol need not have text indexes, and nothing but a search of texts misses them.
async fn make_text_index(db: &Mongo, collection: &str, index: Document) -> Result<(), Failure> {
    let create = doc! { "createIndexes": collection, "indexes": [index] };
    if let Some(code) = run(db, create).await? {
        tracing::info!(collection, code, "the server makes no text index");
    }
    Ok(())
}

fn accepted(refused: Option<i32>, what: &str) -> Result<(), Failure> {
    match refused {
        None => Ok(()),
        Some(code) => {
            Err(Failure::Unreadable(format!("the server refused to make {what}: code {code}")))
        }
    }
}
