//! The contract against the server that `CARILLON_TEST_POSTGRES_URL` names, each test in a database of
//! its own; skipped by name without it. What only this adapter promises is in the modules.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

use crate::adapters::contract::skip::unless_skipped;
use crate::adapters::contract::sql_servers::{block_on, new_name, pool, server_url, with_database};
use crate::adapters::contract::{Subject, at};
use crate::adapters::memory::manual_clock::ManualClock;
use crate::ports::analytics::Analytics;

use super::*;

mod audit;
mod dimensions;
mod insights;
mod inspect;
mod outages;
mod partitions;
mod races;

/// The server's own URL.
const VARIABLE: &str = "CARILLON_TEST_POSTGRES_URL";

/// A database of a test, dropped at its end.
struct Scratch {
    url: String,
    name: String,
}

impl Scratch {
    /// An empty database. Skips the test if there is no server.
    async fn new() -> Self {
        let (server, name) = (server_url(VARIABLE), new_name());
        let scratch = Self { url: with_database(&server, &name), name };
        scratch.order(&format!("CREATE DATABASE {}", scratch.name)).await;
        scratch
    }

    async fn open(&self) -> Arc<PostgresAnalytics> {
        let server = PostgresServer::open(&self.url, &pool(), true).await.unwrap();
        // The events of the contract happen at that time.
        let clock = Arc::new(ManualClock::at(at(0)));
        Arc::new(PostgresAnalytics::start(server, clock).await)
    }

    /// A connection that is none of the adapter's.
    async fn connect(&self) -> PgConnection {
        self.url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
    }

    /// Carries out what is not done within the database.
    async fn order(&self, statement: &str) {
        let server: PgConnectOptions = server_url(VARIABLE).parse().unwrap();
        let mut connection = server.connect().await.unwrap();
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        connection.close().await.unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        block_on(self.order(&format!("DROP DATABASE {} WITH (FORCE)", self.name)));
    }
}

async fn analytics() -> (Arc<PostgresAnalytics>, Scratch) {
    let scratch = Scratch::new().await;
    (scratch.open().await, scratch)
}

mod analytics_contract {
    use super::*;

    async fn fresh() -> Subject<dyn Analytics> {
        let (port, scratch) = analytics().await;
        Subject { port, keep: Box::new(scratch) }
    }

    crate::adapters::contract::analytics::analytics_contract!(fresh);
}
