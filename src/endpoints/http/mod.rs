//! REST: one file a resource.

pub mod comments;
pub mod feed;
pub mod follows;
pub mod health;
pub mod interactions;
pub mod me;
pub mod metrics;
pub mod notifications;
pub mod paging;
pub mod posts;
pub mod server_api;
pub mod sessions;
pub mod tickets;
pub mod trending;
pub mod users;
