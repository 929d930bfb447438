//! How a server of MySQL or MariaDB is, as an operator sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Connection, Error, Row};

use crate::adapters::pooled::ServerError;
use crate::adapters::soundings::{ROUND_TRIPS, Soundings, numbers, time};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::inspection::{Finding, Inspect, Inspection};
use crate::settings;

use super::server::{self, STORE};

/// The time without a time zone, in which an hour of autumn would be twice there.
const TIME: &str =
    "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(3)) DIV 1000";

const VARIABLES: &str = "SHOW SESSION VARIABLES WHERE Variable_name IN
    ('version', 'tx_isolation', 'transaction_isolation', 'sql_mode', 'max_connections', 'read_only',
     'innodb_flush_log_at_trx_commit', 'character_set_database', 'character_set_connection')";

const CONNECTED: &str = "SHOW GLOBAL STATUS LIKE 'Threads_connected'";

/// Tables of ours with texts that cannot hold every character.
const NARROW_TABLES: &str = "
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_collation NOT LIKE 'utf8mb4%' AND table_name <> '_sqlx_migrations'
    ORDER BY table_name LIMIT 4";

/// Looks at the server at a URL.
pub struct MysqlInspector {
    url: String,
    pool: settings::Pool,
    clock: Arc<dyn Clock>,
}

impl MysqlInspector {
    /// For the server at `url`, which nodes use with this pool; `clock` is that of this machine.
    pub fn new(url: &str, pool: settings::Pool, clock: Arc<dyn Clock>) -> Self {
        Self { url: url.to_owned(), pool, clock }
    }

    async fn connect(&self) -> Result<MySqlConnection, ServerError> {
        server::connect(&server::options(&self.url)?, &self.pool).await
    }

    async fn look(&self, connection: &mut MySqlConnection) -> Result<Inspection, ServerError> {
        let schema = server::schema_state(connection).await.map_err(server::not_migrated)?;
        let failed = |cause| ServerError::Connect { store: STORE, cause };
        let soundings = self.sound(connection).await.map_err(failed)?;
        let variables = pairs(connection, VARIABLES).await.map_err(failed)?;
        let variables = Variables(variables);
        let mut findings = variables.findings();
        findings.extend(self.connections(connection, &variables).await.map_err(failed)?);
        findings.extend(charset(connection, &variables).await.map_err(failed)?);
        let version = variables.text("version").to_owned();
        let product = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
        let is_tested = is_tested(product, &version);
        findings.extend(too_old(product, &version));
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

    async fn sound(&self, connection: &mut MySqlConnection) -> Result<Soundings, Error> {
        let mut soundings = Soundings::new(Arc::clone(&self.clock));
        // The first one has the statement prepared.
        connection.ping().await?;
        let _prepared: i64 = sqlx::query_scalar(TIME).fetch_one(&mut *connection).await?;
        for _ in 0..ROUND_TRIPS {
            let trip = soundings.begin();
            let now: i64 = sqlx::query_scalar(TIME).fetch_one(&mut *connection).await?;
            soundings.end(&trip, time(now));
        }
        Ok(soundings)
    }

    /// Whether there are connections enough.
    async fn connections(
        &self,
        connection: &mut MySqlConnection,
        variables: &Variables,
    ) -> Result<Option<Finding>, Error> {
        let open = pairs(connection, CONNECTED).await?;
        let open = open.into_values().next().unwrap_or_default();
        let Ok(most) = variables.text("max_connections").parse::<u32>() else { return Ok(None) };
        let pool = self.pool.max_connections;
        let said = format!("{open} of {most} connections are open, a node takes up to {pool}");
        Ok(Some(match most / pool.max(1) {
            0 => Finding::warning("connections", format!("{said}, more than there are")),
            nodes => Finding::note("connections", format!("{said}: room for {nodes} nodes")),
        }))
    }
}

#[async_trait]
impl Inspect for MysqlInspector {
    fn is_embedded(&self) -> bool {
        false
    }

    async fn inspect(&self) -> Result<Inspection, StoreError> {
        let mut connection = self.connect().await?;
        let inspection = self.look(&mut connection).await?;
        // Whether the server hears of the end does not matter.
        connection.close().await.ok();
        Ok(inspection)
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let mut connection = self.connect().await?;
        let missing = server::run_migrations(&mut connection).await;
        Ok(missing.map_err(server::not_migrated)?)
    }
}

/// What the server says of itself, on a connection that was prepared as those of a node are.
struct Variables(BTreeMap<String, String>);

impl Variables {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        // MariaDB before 11.1 knows the old name alone, MySQL 8 the new one.
        let isolation = match self.text("transaction_isolation") {
            "" => self.text("tx_isolation"),
            isolation => isolation,
        };
        findings.push(match isolation {
            "READ-COMMITTED" => {
                Finding::note("isolation", "sessions run with READ-COMMITTED, as nodes set them to")
            }
            other => Finding::warning(
                "isolation",
                format!("sessions run with {other}, although READ-COMMITTED was set: a proxy?"),
            ),
        });
        let mode = self.text("sql_mode");
        findings.push(match mode.contains("STRICT_ALL_TABLES") {
            true => Finding::note("sql_mode", "sessions are strict, as nodes set them to"),
            false => Finding::warning(
                "sql_mode",
                format!("sessions are not strict ({mode}), although that was set: a proxy?"),
            ),
        });
        if self.text("innodb_flush_log_at_trx_commit") != "1" {
            findings.push(Finding::warning(
                "durability",
                "innodb_flush_log_at_trx_commit is not 1: what was acknowledged may be lost with the power",
            ));
        }
        if self.text("read_only") == "ON" || self.text("read_only") == "1" {
            findings.push(Finding::fault("role", "the server is read-only: a replica?"));
        }
        findings
    }
}

/// Whether texts can hold every character.
async fn charset(
    connection: &mut MySqlConnection,
    variables: &Variables,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let rows = sqlx::query(NARROW_TABLES).fetch_all(connection).await?;
    let narrow: Vec<_> = rows.iter().map(|row| text(row, 0)).collect();
    let session = variables.text("character_set_connection");
    if !narrow.is_empty() {
        let detail = format!("tables that cannot hold every character: {}", narrow.join(", "));
        findings.push(Finding::warning("charset", detail));
    }
    if session != "utf8mb4" {
        let detail = format!("connections speak {session}, not utf8mb4");
        findings.push(Finding::warning("charset", detail));
    }
    if findings.is_empty() {
        let default = variables.text("character_set_database");
        let detail =
            format!("tables and connections are utf8mb4; the database's default is {default}");
        findings.push(Finding::note("charset", detail));
    }
    Ok(findings)
}

/// Whether the tests run with this version.
fn is_tested(product: &str, version: &str) -> bool {
    matches!((product, numbers(version)), ("MySQL", (8, _)) | ("MariaDB", (10, 11)))
}

/// What nobody tried: it is no longer maintained by who made it.
fn too_old(product: &str, version: &str) -> Option<Finding> {
    let least = if product == "MariaDB" { (10, 6) } else { (8, 0) };
    let detail = format!("{product} {}.{} is the oldest that was meant", least.0, least.1);
    (numbers(version) < least).then(|| Finding::warning("version", detail))
}

/// The answer to SHOW: names and values.
async fn pairs(
    connection: &mut MySqlConnection,
    question: &'static str,
) -> Result<BTreeMap<String, String>, Error> {
    let rows = sqlx::query(question).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| (text(row, 0), text(row, 1))).collect())
}

/// A text, whether the server calls it one or bytes, which differs by product.
fn text(row: &MySqlRow, column: usize) -> String {
    let bytes: Vec<u8> = row.try_get_unchecked(column).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
