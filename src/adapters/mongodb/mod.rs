//! The real stores of events and content: MongoDB, through its official driver.
//!
//! No adapter here relies on transactions. Each promise of a port rests on writes to single documents and on their
//! order; the modules say what a crash between two of them leaves, and what puts it right.

pub mod comments;
pub mod content;
pub mod event_log;
mod follows;
pub mod idempotency;
pub mod inbox;
mod inbox_counts;
mod inbox_items;
mod inbox_news;
mod inbox_readers;
mod inbox_states;
pub mod inspect;
mod keys;
mod mark_batches;
pub mod marks;
mod post_lists;
mod posts;
mod recount;
pub mod relay_ledger;
pub mod runs;
pub mod schema;
pub mod store;
mod stored;

pub use content::MongoContent;
pub use event_log::MongoEventLog;
pub use idempotency::MongoIdempotencyKeys;
pub use inspect::MongoInspector;
pub use relay_ledger::MongoRelayLedger;
pub use runs::MongoRuns;
pub use schema::MongoSchema;
pub use store::{Mongo, MongoOptions};

#[cfg(test)]
mod tests;
