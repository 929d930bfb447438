//! The contracts, and what only these adapters promise.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::adapters::contract::{Log, Subject};
use crate::ports::accounts::Accounts;
use crate::ports::analytics::Analytics;

use super::*;

async fn open(directory: &Path, schema: Schema) -> Arc<Database> {
    let path = directory.join(schema.file_name());
    Database::open(&path, schema, true).await.unwrap()
}

async fn database(schema: Schema) -> (Arc<Database>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (open(directory.path(), schema).await, directory)
}

async fn log() -> Log {
    let (db, directory) = database(Schema::Log).await;
    Log {
        events: Arc::new(SqliteEventLog::new(db.clone())),
        ledger: Arc::new(SqliteRelayLedger::new(db.clone())),
        runs: Arc::new(SqliteRuns::new(db.clone())),
        keys: Arc::new(SqliteIdempotencyKeys::new(db)),
        keep: Box::new(directory),
    }
}

mod account_files;
mod audit;
mod community;
mod dimensions;
mod files;
mod inspect;
mod plans;

mod accounts {
    use super::*;

    async fn fresh() -> Subject<dyn Accounts> {
        let (db, directory) = database(Schema::Accounts).await;
        Subject { port: Arc::new(SqliteAccounts::new(db)), keep: Box::new(directory) }
    }

    crate::adapters::contract::accounts::accounts_contract!(fresh);
}

mod account_control {
    use crate::adapters::contract::account_control::Controlled;

    use super::*;

    async fn fresh() -> Controlled {
        let (db, directory) = database(Schema::Accounts).await;
        let accounts = Arc::new(SqliteAccounts::new(db));
        Controlled { control: accounts.clone(), accounts, keep: Box::new(directory) }
    }

    crate::adapters::contract::account_control::account_control_contract!(fresh);
}

mod analytics {
    use super::*;

    async fn fresh() -> Subject<dyn Analytics> {
        let (db, directory) = database(Schema::Analytics).await;
        Subject { port: Arc::new(SqliteAnalytics::new(db)), keep: Box::new(directory) }
    }

    crate::adapters::contract::analytics::analytics_contract!(fresh);
}

mod event_log {
    crate::adapters::contract::event_log::event_log_contract!(super::log);
}

mod runs {
    crate::adapters::contract::runs::runs_contract!(super::log);
}

mod relay_ledger {
    crate::adapters::contract::relay_ledger::relay_ledger_contract!(super::log);
}

mod idempotency {
    crate::adapters::contract::idempotency::idempotency_contract!(super::log);
}
