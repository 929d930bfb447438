//! How a deployment of MongoDB is, as an operator sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;

use crate::adapters::soundings::{ROUND_TRIPS, Soundings, numbers, time};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::inspection::{Finding, Inspect, Inspection, SchemaState};
use crate::settings;

use super::schema::MongoSchema;
use super::store::{Failure, Mongo, MongoOptions};

/// How long to look for a server that takes writes: there is one, unless something is wrong or it is just being voted for.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(3);
/// Since then a server journals whatever it is told.
const ALWAYS_JOURNALS: (u32, u32) = (6, 1);

/// Looks at the deployment at a URL.
pub struct MongoInspector {
    url: String,
    log_url: Option<String>,
    store: &'static str,
    pool: settings::Pool,
    schemas: Vec<MongoSchema>,
    clock: Arc<dyn Clock>,
}

impl MongoInspector {
    /// For the database at `url`, which has these schemas and which nodes use with this pool; `clock` is that of this
    /// machine.
    pub fn new(
        url: &str,
        store: &'static str,
        pool: settings::Pool,
        schemas: Vec<MongoSchema>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { url: url.to_owned(), log_url: None, store, pool, schemas, clock }
    }

    /// Looks as well whether the content here is on the replica set of the log, which is at `log_url`.
    pub fn beside_log(mut self, log_url: &str) -> Self {
        self.log_url = Some(log_url.to_owned());
        self
    }

    async fn connect(&self, url: &str) -> Result<Arc<Mongo>, StoreError> {
        // No connections are kept: there is one question at a time.
        let options = MongoOptions::of(&self.pool);
        let selection_timeout = options.selection_timeout.min(SELECTION_TIMEOUT);
        let options = MongoOptions { min_pool_size: 0, selection_timeout, ..options };
        Mongo::connect(url, self.store, options).await
    }

    async fn state(&self, db: &Mongo) -> Result<SchemaState, Failure> {
        let mut missing = Vec::new();
        for schema in &self.schemas {
            if let SchemaState::Pending(parts) = schema.state(db).await? {
                missing.extend(parts);
            }
        }
        Ok(if missing.is_empty() { SchemaState::Current } else { SchemaState::Pending(missing) })
    }

    async fn look(&self, db: &Mongo) -> Result<Inspection, Failure> {
        let schema = self.state(db).await?;
        let (hello, soundings) = self.sound(db).await?;
        let built = ask(db, "buildInfo").await?;
        let version = built.get_str("version").unwrap_or_default().to_owned();
        let stand_in = stand_in(&built);
        let mut findings = vec![replication(&hello)];
        if !is_writable(&hello) {
            findings.push(Finding::fault("role", "no server here takes writes"));
        }
        let status = status(db).await?;
        findings.push(journal(status.as_ref(), &version));
        findings.extend(self.connections(status.as_ref()));
        if schema == SchemaState::Current {
            findings.extend(self.text(db).await?);
        }
        let (major, _) = numbers(&version);
        if major < 7 {
            findings.push(Finding::warning("version", "MongoDB 7 is the oldest that was meant"));
        }
        let (product, is_tested) = match stand_in {
            Some(_) => ("MongoDB stand-in", true),
            None => ("MongoDB", major == 7),
        };
        findings.extend(stand_in);
        Ok(Inspection {
            product: product.to_owned(),
            version,
            is_tested,
            latency: soundings.latency(),
            clock_ahead_ms: soundings.clock_ahead_ms(),
            schema,
            findings,
        })
    }

    /// What the server says first, and how long it takes to.
    async fn sound(&self, db: &Mongo) -> Result<(Document, Soundings), Failure> {
        let mut soundings = Soundings::new(Arc::clone(&self.clock));
        let mut hello = ask(db, "hello").await?;
        for _ in 0..ROUND_TRIPS {
            let trip = soundings.begin();
            hello = ask(db, "hello").await?;
            let now = hello.get_datetime("localTime").ok().map(|now| now.timestamp_millis());
            soundings.end(&trip, now.and_then(time));
        }
        Ok((hello, soundings))
    }

    /// Whether there are connections enough.
    fn connections(&self, status: Option<&Document>) -> Option<Finding> {
        let connections = status?.get_document("connections").ok()?;
        let (open, free) = (whole(connections, "current")?, whole(connections, "available")?);
        // A server that had none left would not have let this one in: it does not count them.
        if free == 0 {
            return None;
        }
        let (most, pool) = (open.saturating_add(free), i64::from(self.pool.max_connections));
        let said = format!("{open} of {most} connections are open, a node takes up to {pool}");
        Some(match most / pool.max(1) {
            0 => Finding::warning("connections", format!("{said}, more than there are")),
            nodes => Finding::note("connections", format!("{said}: room for {nodes} nodes")),
        })
    }

    async fn text(&self, db: &Mongo) -> Result<Option<Finding>, Failure> {
        for schema in &self.schemas {
            if !schema.has_text_indexes(db).await? {
                let detail =
                    "the server made no text index: posts cannot be searched by text in it";
                return Ok(Some(Finding::note("text index", detail)));
            }
        }
        Ok(None)
    }

    /// When posts and what is done with them count as written.
    async fn content(&self, db: &Mongo) -> Result<Option<Finding>, StoreError> {
        let Some(log_url) = &self.log_url else { return Ok(None) };
        let log = self.connect(log_url).await?;
        Ok(Some(match log.shares_replica_set(db) {
            true => Finding::note(
                "content",
                "shares the log's replica set: it is written with w: 1, and the log's next append makes it durable",
            ),
            false => Finding::note(
                "content",
                "is not on the log's replica set: each write waits for a majority of its own",
            ),
        }))
    }
}

#[async_trait]
impl Inspect for MongoInspector {
    fn is_embedded(&self) -> bool {
        false
    }

    async fn inspect(&self) -> Result<Inspection, StoreError> {
        let db = self.connect(&self.url).await?;
        let mut inspection = self.look(&db).await.map_err(|failure| told(&db, failure))?;
        inspection.findings.extend(self.content(&db).await?);
        Ok(inspection)
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let db = self.connect(&self.url).await?;
        let missing = match self.state(&db).await.map_err(|failure| told(&db, failure))? {
            SchemaState::Pending(missing) => missing,
            _ => Vec::new(),
        };
        for schema in &self.schemas {
            schema.migrate(&db).await?;
        }
        Ok(missing)
    }
}

/// What is said of a failure, without what programs make of it.
fn told(db: &Mongo, failure: Failure) -> StoreError {
    match failure {
        Failure::Driver(error) => db.unavailable(&error.kind),
        failure => db.failed(failure),
    }
}

/// Asks the server something that takes no argument.
async fn ask(db: &Mongo, command: &str) -> Result<Document, Failure> {
    db.bounded(db.database().run_command(doc! { command: 1 })).await
}

/// What the server tells of its state, if whoever asks may know.
async fn status(db: &Mongo) -> Result<Option<Document>, Failure> {
    match ask(db, "serverStatus").await {
        Err(Failure::Driver(error)) if matches!(*error.kind, ErrorKind::Command(_)) => Ok(None),
        status => status.map(Some),
    }
}

/// Who has a write that a majority has.
fn replication(hello: &Document) -> Finding {
    if hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") {
        let detail = "a sharded cluster: w: majority is a majority of each shard's replica set";
        return Finding::note("replication", detail);
    }
    let Ok(name) = hello.get_str("setName") else {
        let detail = "no replica set: w: majority is this server's journal alone, and nothing takes over for it";
        return Finding::warning("replication", detail);
    };
    let count = |list| hello.get_array(list).map_or(0, Vec::len);
    let (bearing, arbiters) = (count("hosts") + count("passives"), count("arbiters"));
    let majority = (bearing + arbiters) / 2 + 1;
    let said = format!("replica set {name} of {bearing}: w: majority is {majority} of them");
    match bearing {
        0 | 1 => Finding::warning("replication", format!("{said}, and nothing takes over for it")),
        2 => Finding::warning("replication", format!("{said}; with one gone, nothing is written")),
        _ => Finding::note("replication", said),
    }
}

/// Whether it is the server that stands in for MongoDB in tests, which says which MongoDB it does as.
fn stand_in(built: &Document) -> Option<Finding> {
    let version = built.get_str("secantusVersion").ok()?;
    let detail = format!("secantus {version} speaks MongoDB's protocol and is not MongoDB");
    Some(Finding::warning("stand-in", detail))
}

fn is_writable(hello: &Document) -> bool {
    // Servers that do not know `hello` answer as to its older name.
    let says = |field| hello.get_bool(field).ok();
    says("isWritablePrimary").or_else(|| says("ismaster")).unwrap_or(true)
}

/// Whether what was acknowledged is on disk.
fn journal(status: Option<&Document>, version: &str) -> Finding {
    let engine = status.and_then(|status| status.get_document("storageEngine").ok());
    let persistent = engine.and_then(|engine| engine.get_bool("persistent").ok());
    let name = engine.and_then(|engine| engine.get_str("name").ok()).unwrap_or("unknown");
    match persistent {
        Some(false) => {
            Finding::warning("journal", format!("the engine {name} keeps nothing on disk"))
        }
        Some(true) if numbers(version) >= ALWAYS_JOURNALS => {
            Finding::note("journal", format!("on, as always with the engine {name}"))
        }
        _ => {
            Finding::note("journal", "the server does not say; every write of the log asks for it")
        }
    }
}

fn whole(document: &Document, field: &str) -> Option<i64> {
    let value = document.get(field)?;
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}
