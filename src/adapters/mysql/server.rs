//! The server: its pool, what each connection is set to, and the migrations.

use std::str::FromStr;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Connection, Error, Executor, MySql};
use tokio::time::timeout;

use crate::adapters::pooled::{Pooled, ServerError, is_migrated, pool_options};
use crate::settings;

/// The store as operators know it.
const STORE: &str = "accounts";

/// What every connection is set to, whatever the server's own defaults are.
///
/// - A text that is too long is refused, not cut.
/// - No gaps are locked: registrations do not wait for each other, and what counts is locked by name.
/// - A node that stands still within a transaction loses it within a minute (and a wait for a lock
///   ends in time), so that no numbered change of an account appears much later than those after it.
const SESSION: [&str; 3] = [
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,\
     NO_ENGINE_SUBSTITUTION'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION wait_timeout = 60, innodb_lock_wait_timeout = 4",
];

/// Held while the schema is changed. The one that sqlx takes is none on MariaDB, which knows no negative
/// time-out: `GET_LOCK(…, -1)` answers NULL at once there.
const LOCK: &str = "SELECT GET_LOCK(CONCAT('carillon.', MD5(DATABASE())), 120)";
const UNLOCK: &str = "DO RELEASE_LOCK(CONCAT('carillon.', MD5(DATABASE())))";

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("migrations/mysql");
    migrator.set_locking(false);
    migrator
}

/// A server of MySQL or MariaDB with the tables of this version.
pub struct MysqlServer {
    pub(super) pooled: Pooled<MySql>,
}

impl MysqlServer {
    /// Connects. With `migrate`, brings the database to the schema of this version, one node after the
    /// other; without, a database with another schema is an error.
    ///
    /// TLS is up to the URL: `?ssl-mode=VERIFY_IDENTITY&ssl-ca=FILE`, with the modes of MySQL's own client.
    pub async fn open(
        url: &str,
        settings: &settings::Pool,
        migrate: bool,
    ) -> Result<Arc<Self>, ServerError> {
        let connect = |cause| ServerError::Connect { store: STORE, cause };
        let options = MySqlConnectOptions::from_str(url)
            .map_err(|e| ServerError::Url { store: STORE, cause: e.to_string() })?
            .disable_statement_logging();
        let late = |_| connect(Error::PoolTimedOut);
        let connection = timeout(settings.acquire_timeout, options.connect());
        let mut connection = connection.await.map_err(late)?.map_err(connect)?;
        prepare(&mut connection).await.map_err(connect)?;
        if migrate {
            let failed = |cause| ServerError::Migrate { store: STORE, cause: Box::new(cause) };
            run_migrations(&mut connection).await.map_err(failed)?;
        } else if !is_migrated(&mut connection, &migrator()).await {
            return Err(ServerError::Mismatch { store: STORE });
        }
        // It was not needed after this; whether the server hears of its end does not matter.
        connection.close().await.ok();
        let pool = pool_options(settings)
            .after_connect(|connection, _| Box::pin(prepare(connection)))
            .connect_lazy_with(options);
        let pooled = Pooled { store: STORE, pool, timeout: settings.operation_timeout };
        Ok(Arc::new(Self { pooled }))
    }
}

async fn prepare(connection: &mut MySqlConnection) -> Result<(), Error> {
    for statement in SESSION {
        connection.execute(statement).await?;
    }
    Ok(())
}

async fn run_migrations(connection: &mut MySqlConnection) -> Result<(), MigrateError> {
    let locked: Option<i64> = sqlx::query_scalar(LOCK).fetch_one(&mut *connection).await?;
    if locked != Some(1) {
        return Err(Error::Protocol("another node is still migrating".to_owned()).into());
    }
    // The lock ends with the connection, if not here.
    migrator().run_direct(None, connection, false).await?;
    connection.execute(UNLOCK).await?;
    Ok(())
}
