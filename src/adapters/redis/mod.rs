//! Redis, through two clients, each with one job: `fred` subscribes and runs the relay scripts
//! ([`RedisBroker`]); `redis` runs everything else ([`RedisCommands`]).

mod broker;
mod commands;
mod inspect;
mod keys;
mod options;
mod presence;
mod rate_limits;
mod session_cache;
mod tls;
mod trending;

pub use broker::{RedisBroker, Surroundings};
pub use commands::RedisCommands;
pub use inspect::RedisInspector;
pub use options::RedisOptions;
pub use presence::RedisPresence;
pub use rate_limits::RedisRateLimits;
pub use session_cache::RedisSessionCache;
pub use trending::RedisTrending;

#[cfg(test)]
mod tests;
