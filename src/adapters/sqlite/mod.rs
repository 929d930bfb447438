//! The embedded stores: SQLite files of this node, for running without any server.
//!
//! Three files hold everything: `accounts.db`; `log.db` with the events, where
//! they were relayed, the idempotency keys and the content; `analytics.db`. What
//! has to become durable together is in one file, see [`database::Database`].

pub mod accounts;
pub mod analytics;
pub mod comments;
pub mod content;
pub mod database;
pub mod event_log;
pub mod idempotency;
pub mod inbox;
mod inbox_items;
pub mod inspect;
pub mod marks;
mod post_lists;
pub mod relay_ledger;
pub mod runs;
mod stored;
mod wal;

pub use accounts::SqliteAccounts;
pub use analytics::SqliteAnalytics;
pub use content::SqliteContent;
pub use database::{Database, OpenError, Schema};
pub use event_log::SqliteEventLog;
pub use idempotency::SqliteIdempotencyKeys;
pub use inspect::SqliteInspector;
pub use relay_ledger::SqliteRelayLedger;
pub use runs::SqliteRuns;

#[cfg(test)]
mod tests;
