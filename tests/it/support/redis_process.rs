//! A Redis of a test's own, which may be emptied, stopped, killed, started again and made a replica. It keeps nothing
//! on disk: one that is started again is empty.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::skip::{has_program, skipped};
use super::wait::{PATIENCE, until};

/// A server, running or not.
pub(crate) struct RedisProcess {
    address: SocketAddr,
    directory: TempDir,
    process: Option<Child>,
}

impl RedisProcess {
    /// Starts one for the test `name`, or answers none, after saying that it is skipped, where there is none to start.
    pub(crate) async fn start(name: &str) -> Option<Self> {
        if !has_program("redis-server") {
            skipped(name, "redis-server is not installed");
            return None;
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        drop(listener);
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut server = Self { address, directory, process: None };
        server.run().await;
        Some(server)
    }

    /// Starts it again, empty.
    pub(crate) async fn run(&mut self) {
        let port = self.address.port().to_string();
        let process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--repl-diskless-sync-delay", "0", "--dir"])
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.expect("redis-server can be started"));
        until(PATIENCE, "redis-server to answer", async || {
            self.try_ask(&["PING"]).await.ok().map(|_| ())
        })
        .await;
    }

    /// Ends it as the loss of power would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // One that has ended by itself is gone as well.
            let _ = process.kill();
            process.wait().expect("an own child can be waited for");
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL by which nodes reach it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What it answers to a command.
    pub(crate) async fn ask(&self, words: &[&str]) -> redis::Value {
        let answer = self.try_ask(words).await;
        answer.unwrap_or_else(|error| panic!("redis-server refuses {words:?}: {error}"))
    }

    async fn try_ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        command.query_async(&mut connection).await
    }

    /// Makes it follow another one, and waits until it has a copy.
    pub(crate) async fn follow(&self, primary: &Self) {
        let port = primary.address.port().to_string();
        self.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
        until(PATIENCE, "the replica to have its copy", async || {
            let info = self.ask(&["INFO", "replication"]).await;
            let info: String = redis::from_redis_value(info).expect("INFO is a text");
            info.contains("master_link_status:up").then_some(())
        })
        .await;
    }

    /// Makes it follow nobody: from now on it lacks what others are told.
    pub(crate) async fn stand_alone(&self) {
        self.ask(&["REPLICAOF", "NO", "ONE"]).await;
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
