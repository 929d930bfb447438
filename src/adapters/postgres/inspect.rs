//! How a server of PostgreSQL is, as an operator sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};

use crate::adapters::pooled::ServerError;
use crate::adapters::soundings::{ROUND_TRIPS, Soundings, numbers, time};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::inspection::{Finding, Inspect, Inspection, SchemaState};
use crate::settings;

use super::partitions::{self, Partitions};
use super::server::{self, STORE};

const TIME: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const SETTINGS: &str = "
    SELECT name, setting FROM pg_settings
    WHERE name IN ('server_version', 'server_encoding', 'fsync', 'full_page_writes', 'synchronous_commit', 'max_connections')
    UNION ALL SELECT 'is_replica', pg_is_in_recovery()::text
    UNION ALL SELECT 'open', sum(numbackends)::text FROM pg_stat_database";

const TRIGRAMS: &str =
    "SELECT installed_version IS NOT NULL FROM pg_available_extensions WHERE name = 'pg_trgm'";

/// How many events are in the partition for those of no month, and how many were set aside; no more are counted than
/// are worth counting.
const ASTRAY: &str = "
    SELECT (SELECT count(*) FROM (SELECT 1 FROM interactions_default LIMIT 10000) AS astray),
           (SELECT count(*) FROM (SELECT 1 FROM dead_letters LIMIT 10000) AS aside)";

/// Looks at the server at a URL.
pub struct PostgresInspector {
    url: String,
    pool: settings::Pool,
    clock: Arc<dyn Clock>,
}

impl PostgresInspector {
    /// For the server at `url`, which nodes use with this pool; `clock` is that of this machine.
    pub fn new(url: &str, pool: settings::Pool, clock: Arc<dyn Clock>) -> Self {
        Self { url: url.to_owned(), pool, clock }
    }

    async fn connect(&self) -> Result<PgConnection, ServerError> {
        server::connect(&server::options(&self.url)?, &self.pool).await
    }

    async fn look(&self, connection: &mut PgConnection) -> Result<Inspection, ServerError> {
        let schema = server::schema_state(connection).await.map_err(server::not_migrated)?;
        let failed = |cause| ServerError::Connect { store: STORE, cause };
        let soundings = self.sound(connection).await.map_err(failed)?;
        let settings: Vec<(String, String)> =
            sqlx::query_as(SETTINGS).fetch_all(&mut *connection).await.map_err(failed)?;
        let settings = Settings(settings.into_iter().collect());
        let mut findings = settings.findings();
        findings.push(settings.connections(self.pool.max_connections));
        findings.push(trigrams(connection).await.map_err(failed)?);
        if schema == SchemaState::Current {
            findings.extend(self.months(connection).await.map_err(failed)?);
            findings.extend(astray(connection).await.map_err(failed)?);
        }
        let version = settings.text("server_version").to_owned();
        let (major, _) = numbers(&version);
        if major < 15 {
            findings
                .push(Finding::warning("version", "PostgreSQL 15 is the oldest that was meant"));
        }
        Ok(Inspection {
            product: "PostgreSQL".to_owned(),
            version,
            is_tested: major == 15,
            latency: soundings.latency(),
            clock_ahead_ms: soundings.clock_ahead_ms(),
            schema,
            findings,
        })
    }

    async fn sound(&self, connection: &mut PgConnection) -> Result<Soundings, Error> {
        let mut soundings = Soundings::new(Arc::clone(&self.clock));
        // The first one has the statement prepared.
        let _prepared: i64 = sqlx::query_scalar(TIME).fetch_one(&mut *connection).await?;
        for _ in 0..ROUND_TRIPS {
            let trip = soundings.begin();
            let now: i64 = sqlx::query_scalar(TIME).fetch_one(&mut *connection).await?;
            soundings.end(&trip, time(now));
        }
        Ok(soundings)
    }

    /// Whether this month and the next one have a partition.
    async fn months(&self, connection: &mut PgConnection) -> Result<Option<Finding>, Error> {
        let mut missing = Vec::new();
        for name in partitions::names_of_two_months(self.clock.now()) {
            let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
                .bind(&name)
                .fetch_one(&mut *connection)
                .await?;
            if !there {
                missing.push(name);
            }
        }
        Ok(Some(match missing.is_empty() {
            true => Finding::note("partitions", "this month and the next one have a partition"),
            false => Finding::warning(
                "partitions",
                format!("there is no {}; a node makes it when it starts", missing.join(", no ")),
            ),
        }))
    }
}

#[async_trait]
impl Inspect for PostgresInspector {
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
        let missing = missing.map_err(server::not_migrated)?;
        let months = Partitions::default().missing(&[], self.clock.now());
        // Nodes do so as well; until then, the default partition takes the events of a month that has none.
        partitions::add(&mut connection, &months).await.ok();
        Ok(missing)
    }
}

/// What the server says of itself.
struct Settings(BTreeMap<String, String>);

impl Settings {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (setting, harm) in [
            ("fsync", "a power cut may leave a database that cannot be read"),
            ("full_page_writes", "a power cut may leave a database that cannot be read"),
            ("synchronous_commit", "what a crash takes is projected again from the log"),
        ] {
            if self.text(setting) == "off" {
                let detail = format!("{setting} is off: {harm}");
                findings.push(Finding::warning("durability", detail));
            }
        }
        let encoding = self.text("server_encoding");
        if encoding != "UTF8" {
            let detail = format!("the database is {encoding}, not UTF8");
            findings.push(Finding::warning("encoding", detail));
        }
        if self.text("is_replica") == "true" {
            findings.push(Finding::fault("role", "the server is a replica, which takes no writes"));
        }
        findings
    }

    /// Whether there are connections enough.
    fn connections(&self, pool: u32) -> Finding {
        let (open, most) = (self.text("open"), self.text("max_connections"));
        let said = format!("{open} of {most} connections are open, a node takes up to {pool}");
        match most.parse::<u32>().unwrap_or(u32::MAX) / pool.max(1) {
            0 => Finding::warning("connections", format!("{said}, more than there are")),
            nodes => Finding::note("connections", format!("{said}: room for {nodes} nodes")),
        }
    }
}

/// Whether words that are almost the same can be found.
async fn trigrams(connection: &mut PgConnection) -> Result<Finding, Error> {
    let installed: Option<bool> = sqlx::query_scalar(TRIGRAMS).fetch_optional(connection).await?;
    Ok(match installed {
        Some(true) => Finding::note("pg_trgm", "the extension is there"),
        Some(false) => Finding::note("pg_trgm", "the extension can be had, and is not created"),
        None => Finding::warning("pg_trgm", "the server does not have the extension"),
    })
}

/// Events that are not where they should be.
async fn astray(connection: &mut PgConnection) -> Result<Vec<Finding>, Error> {
    let (astray, aside): (i64, i64) = sqlx::query_as(ASTRAY).fetch_one(connection).await?;
    let mut findings = Vec::new();
    if astray > 0 {
        let detail = format!("in the default partition: {}", events(astray));
        findings.push(Finding::warning("partitions", detail));
    }
    if aside > 0 {
        let detail = format!("set aside, as they could not be projected: {}", events(aside));
        findings.push(Finding::warning("dead letters", detail));
    }
    Ok(findings)
}

fn events(count: i64) -> String {
    match count {
        1 => "1 event".to_owned(),
        10_000.. => "10000 events or more".to_owned(),
        _ => format!("{count} events"),
    }
}
