//! What one node needs of Redis when it runs alone, in its own memory.

pub mod broker;
pub mod manual_clock;
pub mod presence;

#[cfg(test)]
mod tests;
