//! Accounts on a server of MySQL 8 or MariaDB: the truth that all nodes share.
//!
//! Every statement is one that both understand. What a commit promises is up to the server: it must sync its log
//! with each commit (`innodb_flush_log_at_trx_commit = 1`, which is the default of both).

pub mod accounts;
pub mod inspect;
pub mod server;
mod stored;

pub use accounts::MysqlAccounts;
pub use inspect::MysqlInspector;
pub use server::MysqlServer;

#[cfg(test)]
mod tests;
