//! Several nodes on one set of databases: whatever is done on one of them is seen on all. Each test has databases of
//! its own, and skips itself by name where a server is missing.

use std::ops::{Deref, DerefMut};

use futures_util::future::join_all;

use crate::support::{Databases, Person, Server, Socket, Start};

mod accounts;
mod community;
mod join;
mod presence;
mod publications;
mod server_api;
mod session_cache;
mod start;
mod streams;
mod takeover;

/// A channel that anybody may subscribe to, in every node's settings. An answer waits for the relay as long as it
/// takes, so that offsets are in it on a busy machine too.
const NAMESPACE: &str = r#"
relay.wait_timeout = "10s"

[[channel.namespaces]]
name = "kept"
allow_subscribe_for_client = true
history_size = 100
history_ttl = "300s"
force_recovery = true
"#;

/// Nodes, and the databases that they share, which are dropped after them.
struct Nodes {
    servers: Vec<Server>,
    _databases: Databases,
}

impl Nodes {
    /// So many nodes on fresh databases; none where the test `name` has to be skipped.
    async fn start(name: &str, count: usize) -> Option<Self> {
        Self::with(name, count, |start| start.settings(NAMESPACE)).await
    }

    /// The same, each started as `how` says.
    async fn with(name: &str, count: usize, how: impl Fn(Start) -> Start) -> Option<Self> {
        let databases = Databases::fresh(name).await?;
        let starts = (0..count).map(|_| how(Start::on(&databases)).run());
        let servers = join_all(starts).await;
        Some(Self { servers, _databases: databases })
    }

    /// A socket of `person` on each node, subscribed to `channels`.
    async fn sockets(&self, person: &Person, channels: &[&str]) -> Vec<Socket> {
        let mut sockets = Vec::new();
        for node in &self.servers {
            let mut socket = node.socket(&person.token).await;
            for channel in channels {
                socket.subscribe(channel).await;
            }
            sockets.push(socket);
        }
        sockets
    }
}

impl Deref for Nodes {
    type Target = [Server];

    fn deref(&self) -> &[Server] {
        &self.servers
    }
}

impl DerefMut for Nodes {
    fn deref_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }
}
