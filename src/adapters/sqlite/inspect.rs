//! How a SQLite file is, as an operator sees it, also while a node uses it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Error};

use crate::adapters::migrations;
use crate::adapters::soundings::{ROUND_TRIPS, Soundings};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::inspection::{Finding, Inspect, Inspection, SchemaState};

use super::database::{Database, Schema};

/// How long the file may be locked by whoever writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks at a file.
pub struct SqliteInspector {
    path: PathBuf,
    schema: Schema,
    clock: Arc<dyn Clock>,
}

impl SqliteInspector {
    /// For the file at `path`, which holds `schema`.
    pub fn new(path: &Path, schema: Schema, clock: Arc<dyn Clock>) -> Self {
        Self { path: path.to_owned(), schema, clock }
    }

    async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        let options = SqliteConnectOptions::new().filename(&self.path).read_only(true);
        let options = options.busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
        options.connect().await.map_err(|error| self.failed(error))
    }

    async fn state(&self) -> Result<SchemaState, StoreError> {
        if !self.path.exists() {
            return Ok(self.schema.missing());
        }
        let state = migrations::state(&mut self.connect().await?, &self.schema.migrator()).await;
        state.map_err(|error| self.failed(error))
    }

    async fn look(&self, connection: &mut SqliteConnection) -> Result<Inspection, Error> {
        let mut soundings = Soundings::new(Arc::clone(&self.clock));
        let mut version = String::new();
        for _ in 0..ROUND_TRIPS {
            let trip = soundings.begin();
            version =
                sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *connection).await?;
            soundings.end(&trip, None);
        }
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(connection).await?;
        let mut findings = vec![self.file()];
        if mode != "wal" {
            let detail = format!("the journal is {mode}; a node makes it a write-ahead log");
            findings.push(Finding::note("journal", detail));
        }
        Ok(Inspection {
            product: "SQLite".to_owned(),
            version,
            is_tested: true,
            latency: soundings.latency(),
            clock_ahead_ms: None,
            schema: SchemaState::Current,
            findings,
        })
    }

    fn file(&self) -> Finding {
        let bytes = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        let kib = bytes / 1024;
        Finding::note("file", format!("{}, {kib} KiB", self.path.display()))
    }

    fn failed(&self, cause: impl std::fmt::Display) -> StoreError {
        let cause = format!("{}: {cause}", self.path.display());
        StoreError::Unavailable { store: self.schema.store(), cause }
    }
}

#[async_trait]
impl Inspect for SqliteInspector {
    fn is_embedded(&self) -> bool {
        true
    }

    async fn inspect(&self) -> Result<Inspection, StoreError> {
        let schema = self.state().await?;
        if !self.path.exists() {
            let detail = format!("{} is not there yet", self.path.display());
            return Ok(Inspection {
                product: "SQLite".to_owned(),
                version: String::new(),
                is_tested: true,
                latency: Duration::ZERO,
                clock_ahead_ms: None,
                schema,
                findings: vec![Finding::note("file", detail)],
            });
        }
        let mut connection = self.connect().await?;
        let inspection = self.look(&mut connection).await.map_err(|error| self.failed(error))?;
        // A connection that only reads leaves nothing behind.
        connection.close().await.ok();
        Ok(Inspection { schema, ..inspection })
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        match self.state().await? {
            SchemaState::Pending(missing) => {
                let opened = Database::open(&self.path, self.schema, true).await;
                opened.map(|_| missing).map_err(|error| self.failed(error))
            }
            SchemaState::Current | SchemaState::Unneeded => Ok(Vec::new()),
            state @ (SchemaState::Newer(_) | SchemaState::Broken(_)) => Err(self.failed(state)),
        }
    }
}
