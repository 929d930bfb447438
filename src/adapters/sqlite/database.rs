//! One SQLite file: its readers, its two writers and its migrations.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::wal::{Synced, Wal};
use crate::adapters::migrations;
use crate::ports::StoreError;
use crate::ports::inspection::SchemaState;

/// How many connections read one file at the same time; each has a thread.
const MAX_READERS: u32 = 4;

/// How long SQLite waits for a lock. Writers of this process queue before they
/// reach SQLite, so only a write that was given up while it ran, a checkpoint or
/// another program (a backup) can make one wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Users and what proves them.
    Accounts,
    /// Events, relays, idempotency keys and content.
    Log,
    /// The projection.
    Analytics,
}

impl Schema {
    /// The name of the file within the data directory.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts.db",
            Self::Log => "log.db",
            Self::Analytics => "analytics.db",
        }
    }

    /// The store as operators know it.
    pub(super) fn store(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Log => "events",
            Self::Analytics => "analytics",
        }
    }

    pub(super) fn migrator(self) -> Migrator {
        match self {
            Self::Accounts => sqlx::migrate!("migrations/sqlite/accounts"),
            Self::Log => sqlx::migrate!("migrations/sqlite/log"),
            Self::Analytics => sqlx::migrate!("migrations/sqlite/analytics"),
        }
    }

    /// The state of a file that is not there.
    pub(super) fn missing(self) -> SchemaState {
        let migrator = self.migrator();
        let all = migrator.iter().map(|m| format!("{:04} {}", m.version, m.description));
        SchemaState::Pending(all.collect())
    }
}

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read or created, or is no database.
    #[error("{} cannot be opened: {cause}", path.display())]
    Connect {
        /// The file.
        path: PathBuf,
        /// What the driver said.
        cause: sqlx::Error,
    },
    /// A migration failed, or the file was migrated by another version.
    #[error("{} cannot be migrated: {cause}", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What the driver said.
        cause: Box<MigrateError>,
    },
    /// The file has not the tables of this version, and migrating it was not allowed.
    #[error("{} does not have the schema of this version: {state}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What it has instead.
        state: SchemaState,
    },
}

/// One SQLite file in WAL mode, with readers that never wait for writers.
///
/// There are two connections that write, behind one fair lock, so that two
/// writers of this process never contend within SQLite:
///
/// - the *durable* one has `synchronous = FULL`: its commit returns after the
///   WAL was synced, and so survives the loss of power;
/// - the *covered* one has `synchronous = NORMAL`: its commit survives the end of
///   the process, but is only written, not synced. As both append to the same
///   WAL and a sync covers the whole file, the next durable commit that writes
///   anything makes every covered commit before it durable, too; so does a
///   checkpoint. A WAL is valid up to the first frame that is torn, so after a
///   loss of power there is never a later commit without an earlier one.
///
/// [`Database::sync`] makes durable what was committed, whoever committed it, and holds no writer up meanwhile, as a durable
/// commit does.
pub struct Database {
    schema: Schema,
    readers: SqlitePool,
    writers: Mutex<Writers>,
    /// A statement failed, and may have left a writer unfit for use.
    suspect: AtomicBool,
    wal: Wal,
}

struct Writers {
    durable: Writer,
    covered: Writer,
}

struct Writer {
    options: SqliteConnectOptions,
    connection: SqliteConnection,
}

impl Writer {
    async fn connect(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let connection = options.connect().await?;
        Ok(Self { options, connection })
    }

    /// Replaces a connection whose thread is gone or that is stuck within a
    /// transaction: SQLite rolls back by itself where the disk is full or
    /// fails, and sqlx then goes on believing that the transaction is open.
    async fn heal(&mut self) -> Result<(), sqlx::Error> {
        // The answer comes after a rollback that a dropped transaction queued.
        let answers = self.connection.ping().await.is_ok();
        if !answers || self.connection.is_in_transaction() {
            self.connection = self.options.connect().await?;
        }
        Ok(())
    }
}

/// Leave to write, until it is dropped.
pub type WriteGuard<'a> = MappedMutexGuard<'a, SqliteConnection>;

impl Database {
    /// Opens a file. With `migrate`, creates it if it is missing and brings it
    /// to the schema of this version; without, a file with another schema is an error.
    pub async fn open(path: &Path, schema: Schema, migrate: bool) -> Result<Arc<Self>, OpenError> {
        let failed = |cause| OpenError::Connect { path: path.to_owned(), cause };
        if !migrate && !path.exists() {
            return Err(OpenError::Mismatch { path: path.to_owned(), state: schema.missing() });
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let writer = options
            .clone()
            .create_if_missing(migrate)
            .journal_mode(SqliteJournalMode::Wal)
            .optimize_on_close(true, 400);
        let durable = writer.clone().synchronous(SqliteSynchronous::Full);
        let mut durable = Writer::connect(durable).await.map_err(failed)?;
        prepare_schema(&mut durable.connection, path, schema, migrate).await?;
        let covered = writer.synchronous(SqliteSynchronous::Normal);
        let covered = Writer::connect(covered).await.map_err(failed)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(MAX_READERS)
            .acquire_timeout(BUSY_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            // A local file does not hang up; asking each time costs a switch of threads.
            .test_before_acquire(false)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(failed)?;
        Ok(Arc::new(Self {
            schema,
            readers,
            writers: Mutex::new(Writers { durable, covered }),
            suspect: AtomicBool::new(false),
            wal: Wal::of(path),
        }))
    }

    /// Returns when everything is durable that was committed before it was called.
    pub(super) async fn sync(&self) -> Result<(), sqlx::Error> {
        match self.wal.sync().await? {
            Synced::Yes => Ok(()),
            Synced::NotSince => {
                let mut writer = self.durable_write().await?;
                self.wal.checkpoint(&mut writer).await
            }
        }
    }

    /// Connections that see every commit that returned before they ask.
    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Waits for its turn to write; what it commits survives the loss of power.
    pub(super) async fn durable_write(&self) -> Result<WriteGuard<'_>, sqlx::Error> {
        let writers = self.lock().await?;
        Ok(MutexGuard::map(writers, |w| &mut w.durable.connection))
    }

    /// Waits for its turn to write; what it commits becomes durable with the
    /// next durable commit.
    pub(super) async fn covered_write(&self) -> Result<WriteGuard<'_>, sqlx::Error> {
        let writers = self.lock().await?;
        Ok(MutexGuard::map(writers, |w| &mut w.covered.connection))
    }

    /// What callers hear of a statement that failed. The writers are examined before their next use.
    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        let store = self.schema.store();
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                StoreError::Corrupt { store, cause: error.to_string() }
            }
            _ => {
                self.suspect.store(true, Ordering::Release);
                StoreError::Unavailable { store, cause: error.to_string() }
            }
        }
    }

    async fn lock(&self) -> Result<MutexGuard<'_, Writers>, sqlx::Error> {
        let mut writers = self.writers.lock().await;
        if self.suspect.load(Ordering::Acquire) {
            writers.durable.heal().await?;
            writers.covered.heal().await?;
            self.suspect.store(false, Ordering::Release);
        }
        Ok(writers)
    }
}

/// What is stored cannot be read.
pub(super) fn unreadable(cause: impl Display) -> sqlx::Error {
    sqlx::Error::Decode(cause.to_string().into())
}

async fn prepare_schema(
    connection: &mut SqliteConnection,
    path: &Path,
    schema: Schema,
    migrate: bool,
) -> Result<(), OpenError> {
    let migrator = schema.migrator();
    let failed = |cause| OpenError::Migrate { path: path.to_owned(), cause: Box::new(cause) };
    if migrate {
        return migrator.run_direct(None, connection, false).await.map_err(failed);
    }
    match migrations::state(connection, &migrator).await.map_err(failed)? {
        SchemaState::Current => Ok(()),
        state => Err(OpenError::Mismatch { path: path.to_owned(), state }),
    }
}
