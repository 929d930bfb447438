//! REST: one file a resource.

pub mod feed;
pub mod health;
pub mod me;
pub mod paging;
pub mod posts;
pub mod server_api;
pub mod sessions;
pub mod tickets;
pub mod users;
