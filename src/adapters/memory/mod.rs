//! What one node needs of Redis when it runs alone, in its own memory.

pub mod broker;
pub mod inspect;
pub mod manual_clock;
pub mod presence;
pub mod rate_limits;
pub mod session_cache;
pub mod trending;

#[cfg(test)]
mod tests;
