//! The projection on a server of PostgreSQL 15 or later, which all nodes write to.
//!
//! Its commits need not be synced (`synchronous_commit`): the cursor is part of the transaction, so that
//! what a crash of the server loses is projected again.

pub mod analytics;
pub mod inspect;
mod partitions;
pub mod server;
mod stored;

pub use analytics::PostgresAnalytics;
pub use inspect::PostgresInspector;
pub use server::PostgresServer;

#[cfg(test)]
mod tests;
