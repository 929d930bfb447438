//! What one node needs of Redis when it runs alone, in its own memory.

pub mod broker;
pub mod manual_clock;
pub mod presence;
pub mod rate_limits;
pub mod trending;

#[cfg(test)]
mod tests;
