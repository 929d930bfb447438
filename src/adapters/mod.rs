//! What the ports are made of: databases, memory, the machine.

mod additions;
pub mod key_endpoint;
pub mod memory;
mod migrations;
pub mod mongodb;
pub mod mysql;
pub mod pooled;
pub mod postgres;
pub mod redis;
mod soundings;
pub mod sqlite;
pub mod system;

#[cfg(test)]
pub(crate) mod contract;
