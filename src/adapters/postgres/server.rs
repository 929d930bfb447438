//! The server: its pool, what each connection is set to, and the migrations.

use std::str::FromStr;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Error, Executor, Postgres};
use tokio::time::timeout;

use crate::adapters::pooled::{Pooled, ServerError, is_migrated, pool_options};
use crate::settings;

/// The store as operators know it.
const STORE: &str = "analytics";

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
        let connect = |cause| ServerError::Connect { store: STORE, cause };
        let options = PgConnectOptions::from_str(url)
            .map_err(|e| ServerError::Url { store: STORE, cause: e.to_string() })?
            .application_name("carillon")
            .disable_statement_logging();
        let late = |_| connect(Error::PoolTimedOut);
        let connection = timeout(settings.acquire_timeout, options.connect());
        let mut connection = connection.await.map_err(late)?.map_err(connect)?;
        if migrate {
            let failed = |cause| ServerError::Migrate { store: STORE, cause: Box::new(cause) };
            run_migrations(&mut connection).await.map_err(failed)?;
        } else if !is_migrated(&mut connection, &migrator()).await {
            return Err(ServerError::Mismatch { store: STORE });
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

async fn run_migrations(connection: &mut PgConnection) -> Result<(), MigrateError> {
    // Notices say that there is something already, which is no news to the second of two nodes.
    connection.execute("SET client_min_messages = warning").await?;
    migrator().run_direct(None, connection, false).await
}
