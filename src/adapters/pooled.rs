//! What the servers of MySQL and PostgreSQL have in common: a pool of connections, and an end to every wait.

use std::fmt::Display;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::{Database, Error, Pool};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use crate::ports::StoreError;
use crate::ports::inspection::SchemaState;
use crate::settings;

/// How often an operation begins again that the server ended because it met another one.
const MEETINGS_MAX: u32 = 8;

/// Said of a URL that cannot be read. What the driver says of it may hold a part of the password, if that has
/// characters that a URL must not have.
pub(super) const NOT_A_URL: &str = "its URL is not understood; it must be SCHEME://USER:PASSWORD@HOST:PORT/DATABASE, \
     with what is special to a URL percent-encoded";

/// Why a database server could not be used at the start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The URL says nothing that the driver understands. What it says may hold a password and is not shown.
    #[error("the URL of the {store} store is not understood: {cause}")]
    Url {
        /// The store, as operators know it.
        store: &'static str,
        /// What the driver said.
        cause: String,
    },
    /// It cannot be reached, or does not let this user in.
    #[error("the server of the {store} store cannot be used: {cause}")]
    Connect {
        /// The store, as operators know it.
        store: &'static str,
        /// What the driver said.
        cause: Error,
    },
    /// A migration failed, or the database was migrated by another version.
    #[error("the database of the {store} store cannot be migrated: {cause}")]
    Migrate {
        /// The store, as operators know it.
        store: &'static str,
        /// What the driver said.
        cause: Box<MigrateError>,
    },
    /// The database has not the tables of this version, and migrating it was not allowed.
    #[error("the database of the {store} store does not have the schema of this version: {state}")]
    Mismatch {
        /// The store, as operators know it.
        store: &'static str,
        /// What it has instead.
        state: SchemaState,
    },
}

impl From<ServerError> for StoreError {
    fn from(error: ServerError) -> Self {
        let (store, cause) = match error {
            ServerError::Url { store, .. } => (store, NOT_A_URL.to_owned()),
            ServerError::Connect { store, cause } => (store, cause.to_string()),
            ServerError::Migrate { store, cause } => (store, cause.to_string()),
            ServerError::Mismatch { store, state } => (store, state.to_string()),
        };
        Self::Unavailable { store, cause }
    }
}

/// The options of a pool that the settings ask for.
pub(super) fn pool_options<DB: Database>(settings: &settings::Pool) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(settings.max_connections)
        .min_connections(settings.min_connections)
        .idle_timeout(settings.idle_timeout)
        .acquire_timeout(settings.acquire_timeout)
}

/// A server, reached through a pool.
pub(super) struct Pooled<DB: Database> {
    pub(super) store: &'static str,
    pub(super) pool: Pool<DB>,
    /// How long an operation may take, the wait for a connection included.
    pub(super) timeout: Duration,
}

/// A connection that is lent for one operation. One whose operation was given up is not lent again:
/// an answer may still be on its way, from a server that may be gone.
pub(super) struct Lease<DB: Database> {
    connection: Option<PoolConnection<DB>>,
    is_settled: bool,
}

impl<DB: Database> Deref for Lease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        self.connection.as_ref().expect("it is taken only when the lease is dropped")
    }
}

impl<DB: Database> DerefMut for Lease<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.connection.as_mut().expect("it is taken only when the lease is dropped")
    }
}

impl<DB: Database> Drop for Lease<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.is_settled
        {
            // Dropped, not closed: the server need not be there to hear of it.
            drop(connection.detach());
        }
    }
}

/// One call of a port: the time that it has, and how often it was tried.
pub(super) struct Call {
    ends_at: Instant,
    meetings: u32,
}

impl Call {
    /// Waits for `operation` for as long as the call has time.
    pub(super) async fn finish<T>(&self, operation: impl Future<Output = T>) -> Result<T, Elapsed> {
        timeout_at(self.ends_at, operation).await
    }
}

impl<DB: Database> Pooled<DB> {
    /// Begins a call.
    pub(super) fn call(&self) -> Call {
        Call { ends_at: Instant::now() + self.timeout, meetings: 0 }
    }

    /// Borrows a connection, at the latest when the pool or the call gives up.
    pub(super) async fn lease(&self, call: &Call) -> Result<Lease<DB>, StoreError> {
        match call.finish(self.pool.acquire()).await {
            Ok(Ok(connection)) => Ok(Lease { connection: Some(connection), is_settled: false }),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.unavailable("no connection in time")),
        }
    }

    /// What became of an operation; `None` if it is to begin again: the server undid all of it, as it
    /// and another waited for each other.
    pub(super) fn settle<T>(
        &self,
        call: &mut Call,
        mut lease: Lease<DB>,
        outcome: Result<Result<T, Error>, Elapsed>,
    ) -> Option<Result<T, StoreError>> {
        let Ok(outcome) = outcome else {
            return Some(Err(self.unavailable("no answer in time")));
        };
        lease.is_settled = true;
        match outcome {
            Ok(value) => Some(Ok(value)),
            Err(error) if is_meeting(&error) && call.meetings < MEETINGS_MAX => {
                call.meetings += 1;
                None
            }
            Err(error) => Some(Err(self.failed(error))),
        }
    }

    /// What callers hear of what the driver said.
    fn failed(&self, error: Error) -> StoreError {
        let (store, cause) = (self.store, error.to_string());
        match error {
            Error::ColumnDecode { .. } | Error::Decode(_) | Error::Encode(_) => {
                StoreError::Corrupt { store, cause }
            }
            Error::Database(error) if is_refusal(error.code().as_deref()) => {
                StoreError::Corrupt { store, cause }
            }
            _ => StoreError::Unavailable { store, cause },
        }
    }

    fn unavailable(&self, cause: &str) -> StoreError {
        StoreError::Unavailable { store: self.store, cause: cause.to_owned() }
    }
}

/// Whether the server refused what was written for what it is, so that it would do so again: the
/// classes 22 (data exception) and 23 (integrity constraint violation) of SQLSTATE.
fn is_refusal(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// Whether the server undid a transaction because it and another waited for each other: 40001 of
/// SQLSTATE, for which PostgreSQL says 40P01.
fn is_meeting(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// Runs an operation, which is made anew for each attempt, on a connection of a [`Pooled`]. A macro, as
/// a closure whose future borrows its argument cannot be required to be `Send`.
macro_rules! on_lease {
    ($server:expr, $lease:ident => $operation:expr) => {{
        let server = $server;
        let mut call = server.call();
        loop {
            let mut $lease = match server.lease(&call).await {
                Ok(lease) => lease,
                Err(error) => break Err(error),
            };
            let outcome = call.finish($operation).await;
            if let Some(done) = server.settle(&mut call, $lease, outcome) {
                break done;
            }
        }
    }};
}
pub(super) use on_lease;

/// A server did not answer in time.
pub(super) fn no_answer(patience: Duration) -> Error {
    let said = format!("no answer within {patience:?}");
    Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, said))
}

/// What is stored cannot be read.
pub(super) fn unreadable(cause: impl Display) -> Error {
    Error::Decode(cause.to_string().into())
}
