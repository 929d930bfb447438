//! The contracts against the server that `CARILLON_TEST_MONGODB_URL` names, each in a database of its
//! own; skipped by name without it.

use std::sync::Arc;
use std::time::Duration;

use crate::adapters::contract::Log;
use crate::adapters::contract::skip::{skip, unless_skipped};

use super::*;

/// Longer than the times of the contracts are in the past, so that the server deletes none of their keys.
const KEYS_TTL: Duration = Duration::from_secs(u32::MAX as u64);

/// A database of a test, dropped at its end.
pub(super) struct Scratch {
    pub(super) db: Arc<Mongo>,
}

impl Scratch {
    /// A migrated database with a random name. Skips the test if there is no server.
    pub(super) async fn new(schemas: &[MongoSchema]) -> Self {
        let scratch = Self::unmigrated().await;
        for schema in schemas {
            schema.migrate(&scratch.db).await.unwrap();
        }
        scratch
    }

    /// The same, with nothing in it.
    pub(super) async fn unmigrated() -> Self {
        // Tests are many and small, and the machine may be busy.
        let options = MongoOptions {
            min_pool_size: 0,
            operation_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(15),
            ..MongoOptions::default()
        };
        let url = url_of_a_new_database();
        Self { db: Mongo::connect(&url, "events", options).await.unwrap() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let database = self.db.database().clone();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let _ = database.drop().await;
            });
        });
    }
}

/// The URL of the server with the name of a database that nobody else has.
pub(super) fn url_of_a_new_database() -> String {
    let url = std::env::var("CARILLON_TEST_MONGODB_URL").unwrap_or_default();
    if url.is_empty() {
        skip("CARILLON_TEST_MONGODB_URL names no server");
    }
    let name = format!("carillon_test_{}", uuid::Uuid::new_v4().simple());
    let (scheme, rest) = url.split_once("://").unwrap();
    let (rest, options) = rest.split_once('?').map_or((rest, None), |(a, b)| (a, Some(b)));
    let hosts = rest.split('/').next().unwrap();
    let mut options = options.unwrap_or_default().to_owned();
    // Users are looked up in the database of the URL, unless it says where.
    if hosts.contains('@') && !options.contains("authSource") {
        options.push_str("&authSource=admin");
    }
    format!("{scheme}://{hosts}/{name}?{}", options.trim_start_matches('&'))
}

async fn log() -> Log {
    let scratch = Scratch::new(&[MongoSchema::Log(KEYS_TTL)]).await;
    Log {
        events: Arc::new(MongoEventLog::new(scratch.db.clone())),
        ledger: Arc::new(MongoRelayLedger::new(scratch.db.clone())),
        runs: Arc::new(MongoRuns::new(scratch.db.clone())),
        keys: Arc::new(MongoIdempotencyKeys::new(scratch.db.clone())),
        keep: Box::new(scratch),
    }
}

mod audit;
mod community;
mod inspect;
mod plans;
mod schema;

mod event_log {
    crate::adapters::contract::event_log::event_log_contract!(super::log);
}

mod relay_ledger {
    crate::adapters::contract::relay_ledger::relay_ledger_contract!(super::log);
}

mod runs {
    crate::adapters::contract::runs::runs_contract!(super::log);
}

mod idempotency {
    crate::adapters::contract::idempotency::idempotency_contract!(super::log);
}
