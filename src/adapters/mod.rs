//! What the ports are made of: databases, memory, the machine.

pub mod memory;
pub mod sqlite;
pub mod system;

#[cfg(test)]
pub(crate) mod contract;
