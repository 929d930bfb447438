//! The server: its pool, what each connection is set to, and the migrations.

use std::str::FromStr;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Connection, Error, Executor, MySql};
use tokio::time::timeout;

use crate::adapters::migrations;
use crate::adapters::pooled::{Pooled, ServerError, no_answer, pool_options};
use crate::ports::inspection::SchemaState;
use crate::settings;

/// The store as operators know it.
pub(super) const STORE: &str = "accounts";

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
        let pool = pool_options(settings)
            .after_connect(|connection, _| Box::pin(prepare(connection)))
            .connect_lazy_with(options);
        let pooled = Pooled { store: STORE, pool, timeout: settings.operation_timeout };
        Ok(Arc::new(Self { pooled }))
    }
}

/// How the server is reached.
pub(super) fn options(url: &str) -> Result<MySqlConnectOptions, ServerError> {
    let options = MySqlConnectOptions::from_str(url)
        .map_err(|e| ServerError::Url { store: STORE, cause: e.to_string() })?;
    Ok(options.disable_statement_logging())
}

/// A connection like those of the pool.
pub(super) async fn connect(
    options: &MySqlConnectOptions,
    settings: &settings::Pool,
) -> Result<MySqlConnection, ServerError> {
    let failed = |cause| ServerError::Connect { store: STORE, cause };
    let connection = async {
        let mut connection = options.connect().await?;
        prepare(&mut connection).await?;
        Ok(connection)
    };
    let late = |_| failed(no_answer(settings.acquire_timeout));
    timeout(settings.acquire_timeout, connection).await.map_err(late)?.map_err(failed)
}

/// What became of the schema.
pub(super) async fn schema_state(
    connection: &mut MySqlConnection,
) -> Result<SchemaState, MigrateError> {
    migrations::state(connection, &migrator()).await
}

/// What is said of migrations that failed.
pub(super) fn not_migrated(cause: MigrateError) -> ServerError {
    ServerError::Migrate { store: STORE, cause: Box::new(cause) }
}

async fn prepare(connection: &mut MySqlConnection) -> Result<(), Error> {
    for statement in SESSION {
        connection.execute(statement).await?;
    }
    Ok(())
}

/// Brings the schema up to date, one caller after the other, and returns what was missing.
pub(super) async fn run_migrations(
    connection: &mut MySqlConnection,
) -> Result<Vec<String>, MigrateError> {
    let locked: Option<i64> = sqlx::query_scalar(LOCK).fetch_one(&mut *connection).await?;
    if locked != Some(1) {
        return Err(Error::Protocol("another node is still migrating".to_owned()).into());
    }
    // The lock ends with the connection, if not here.
    let missing = migrations::bring_up_to_date(&mut *connection, &migrator()).await?;
    connection.execute(UNLOCK).await?;
    Ok(missing)
}
