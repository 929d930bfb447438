//! The contracts against the server that `CARILLON_TEST_MYSQL_URL` names, each in a database of its
//! own; skipped by name without it. What only this adapter promises is in the modules.

use std::sync::Arc;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection};

use crate::adapters::contract::Subject;
use crate::adapters::contract::account_control::Controlled;
use crate::adapters::contract::skip::unless_skipped;
use crate::adapters::contract::sql_servers::{block_on, new_name, pool, server_url, with_database};
use crate::ports::accounts::Accounts;

use super::*;

mod inspect;
mod numbers;
mod outages;
mod promises;

/// A database of a test, dropped at its end.
struct Scratch {
    url: String,
    name: String,
}

impl Scratch {
    /// An empty database. Skips the test if there is no server.
    async fn new() -> Self {
        let (server, name) = (server_url("CARILLON_TEST_MYSQL_URL"), new_name());
        let url = with_database(&server, &name);
        let scratch = Self { url, name };
        // As latin1, which the server may have as its default, to show that the tables say what they are.
        scratch.order(&format!("CREATE DATABASE {} CHARACTER SET latin1", scratch.name)).await;
        scratch
    }

    async fn open(&self) -> Arc<MysqlServer> {
        MysqlServer::open(&self.url, &pool(), true).await.unwrap()
    }

    /// A connection that is none of the adapter's.
    async fn connect(&self) -> MySqlConnection {
        self.url.parse::<MySqlConnectOptions>().unwrap().connect().await.unwrap()
    }

    /// Carries out what is not done within a database.
    async fn order(&self, statement: &str) {
        let server: MySqlConnectOptions = with_database(&self.url, "").parse().unwrap();
        let mut connection = server.connect().await.unwrap();
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        connection.close().await.unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        block_on(self.order(&format!("DROP DATABASE {}", self.name)));
    }
}

async fn accounts() -> (Arc<MysqlAccounts>, Scratch) {
    let scratch = Scratch::new().await;
    (Arc::new(MysqlAccounts::new(scratch.open().await)), scratch)
}

mod accounts_contract {
    use super::*;

    async fn fresh() -> Subject<dyn Accounts> {
        let (port, scratch) = accounts().await;
        Subject { port, keep: Box::new(scratch) }
    }

    crate::adapters::contract::accounts::accounts_contract!(fresh);
}

mod account_control_contract {
    use super::*;

    async fn fresh() -> Controlled {
        let (accounts, scratch) = accounts().await;
        Controlled { control: accounts.clone(), accounts, keep: Box::new(scratch) }
    }

    crate::adapters::contract::account_control::account_control_contract!(fresh);
}
