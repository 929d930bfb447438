//! The server: its pool, what each connection is set to, and the migrations.

use std::str::FromStr;
use std::sync::Arc;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor, Postgres};
use tokio::time::timeout;

use crate::adapters::migrations;
use crate::adapters::pooled::{Pooled, ServerError, no_answer, pool_options};
use crate::ports::inspection::SchemaState;
use crate::settings;

/// The store as operators know it.
pub(super) const STORE: &str = "analytics";

/// How long a transaction of a node that stands still holds what it locked.
const IDLE_IN_TRANSACTION: &str = "60s";

fn migrator() -> Migrator {
    sqlx::migrate!("migrations/postgres")
}

/// A server of PostgreSQL with the tables of this version.
pub struct PostgresServer {
    pub(super) pooled: Pooled<Postgres>,
}

impl PostgresServer {
    /// Connects. With `migrate`, brings the database to the schema of this version, one node after the
    /// other; without, a database with another schema is an error.
    ///
    /// TLS is up to the URL: `?sslmode=verify-full&sslrootcert=FILE`, with the modes of libpq.
    pub async fn open(
        url: &str,
        settings: &settings::Pool,
        migrate: bool,
    ) -> Result<Arc<Self>, ServerError> {
        let options = options(url)?;
        let mut connection = connect(&options, settings).await?;
        if migrate {
            run_migrations(&mut connection).await.map_err(not_migrated)?;
        } else {
            match schema_state(&mut connection).await.map_err(not_migrated)? {
                SchemaState::Current => {}
                state => return Err(ServerError::Mismatch { store: STORE, state }),
            }
        }
        // It was not needed after this; whether the server hears of its end does not matter.
        connection.close().await.ok();
        let options = options.options([
            // The server gives up what the node gave up.
            ("statement_timeout", settings.operation_timeout.as_millis().to_string().as_str()),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
            ("timezone", "UTC"),
        ]);
        let pool = pool_options(settings).connect_lazy_with(options);
        let pooled = Pooled { store: STORE, pool, timeout: settings.operation_timeout };
        Ok(Arc::new(Self { pooled }))
    }
}

/// How the server is reached.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, ServerError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|e| ServerError::Url { store: STORE, cause: e.to_string() })?;
    Ok(options.application_name("carillon").disable_statement_logging())
}

/// A connection to it.
pub(super) async fn connect(
    options: &PgConnectOptions,
    settings: &settings::Pool,
) -> Result<PgConnection, ServerError> {
    let failed = |cause| ServerError::Connect { store: STORE, cause };
    let late = |_| failed(no_answer(settings.acquire_timeout));
    timeout(settings.acquire_timeout, options.connect()).await.map_err(late)?.map_err(failed)
}

/// What became of the schema.
pub(super) async fn schema_state(
    connection: &mut PgConnection,
) -> Result<SchemaState, MigrateError> {
    migrations::state(connection, &migrator()).await
}

/// What is said of migrations that failed.
pub(super) fn not_migrated(cause: MigrateError) -> ServerError {
    ServerError::Migrate { store: STORE, cause: Box::new(cause) }
}

/// Brings the schema up to date, one caller after the other, and returns what was missing.
pub(super) async fn run_migrations(
    connection: &mut PgConnection,
) -> Result<Vec<String>, MigrateError> {
    // Notices say that there is something already, which is no news to the second of two nodes.
    connection.execute("SET client_min_messages = warning").await?;
    // Held by this session until it ends: the migrator takes it a second time, and gives that back.
    connection.lock().await?;
    let missing = migrations::bring_up_to_date(&mut *connection, &migrator()).await?;
    connection.unlock().await?;
    Ok(missing)
}
