//! The connection that everything but the relay uses. This file uses `redis`, as all adapters of
//! Redis do but the broker, which uses `fred`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Client, ErrorKind, FromRedisValue, RedisError, RedisResult, Script, ToRedisArgs};
use tokio::time::Instant;

use crate::ports::StoreError;

use super::keys::Keys;
use super::options::RedisOptions;

/// After a failure, how long nobody tries; then one does.
const REST: Duration = Duration::from_millis(500);

/// A connection that is made again when it is lost. While Redis is away, callers are told so at
/// once: one of them tries it, twice a second, and the others need not wait.
pub struct RedisCommands {
    connection: Connection,
    timeout: Duration,
    pub(super) keys: Keys,
    /// Until when nobody tries, after a failure.
    resting: Mutex<Option<Instant>>,
}

enum Connection {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

impl RedisCommands {
    /// Connects.
    ///
    /// # Errors
    /// If Redis cannot be reached now. Once connected, it may go and come back.
    pub async fn connect(options: &RedisOptions) -> Result<Self, StoreError> {
        let patience = options.connect_timeout + options.command_timeout;
        let connected = tokio::time::timeout(patience, Connection::open(options)).await;
        let connection = match connected {
            Ok(connection) => connection.map_err(|error| failed(&error))?,
            Err(_) => return Err(late(patience)),
        };
        let (timeout, keys) = (options.command_timeout, Keys::new(&options.prefix));
        Ok(Self { connection, timeout, keys, resting: Mutex::new(None) })
    }

    /// Runs a script.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[impl ToRedisArgs],
    ) -> Result<T, StoreError> {
        if !self.may_try() {
            let cause = "it did not answer a moment ago".to_owned();
            return Err(StoreError::Unavailable { store: "realtime", cause });
        }
        let mut invocation = script.prepare_invoke();
        keys.iter().for_each(|key| {
            invocation.key(key);
        });
        arguments.iter().for_each(|argument| {
            invocation.arg(argument);
        });
        let answer = async {
            match &self.connection {
                Connection::One(one) => invocation.invoke_async(&mut one.clone()).await,
                Connection::Cluster(all) => invocation.invoke_async(&mut all.clone()).await,
            }
        };
        let answer = tokio::time::timeout(self.timeout, answer).await;
        let outcome = match answer {
            Ok(answer) => answer.map_err(|error| failed(&error)),
            Err(_) => Err(late(self.timeout)),
        };
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = match outcome {
            Err(StoreError::Unavailable { .. }) => Some(Instant::now() + REST),
            _ => None,
        };
        outcome
    }

    /// Whether the caller may ask. After a failure one may, and the others wait for its outcome.
    fn may_try(&self) -> bool {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        match *resting {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                *resting = Some(Instant::now() + self.timeout);
                true
            }
            None => true,
        }
    }
}

impl Connection {
    async fn open(options: &RedisOptions) -> RedisResult<Self> {
        let (connect, answer) = (Some(options.connect_timeout), Some(options.command_timeout));
        if options.is_cluster() {
            let client = ClusterClient::builder(cluster_nodes(&options.url))
                .connection_timeout(options.connect_timeout)
                .response_timeout(options.command_timeout)
                .build()?;
            return client.get_async_connection().await.map(Self::Cluster);
        }
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(connect)
            .set_response_timeout(answer);
        let client = Client::open(options.url.as_str())?;
        ConnectionManager::new_with_config(client, config).await.map(Self::One)
    }
}

/// The nodes that a cluster's URL names, as URLs of their own.
fn cluster_nodes(url: &str) -> Vec<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("redis-cluster", url));
    let scheme = if scheme.starts_with("rediss") { "rediss" } else { "redis" };
    let (first, query) = rest.split_once('?').unwrap_or((rest, ""));
    let first = first.trim_end_matches('/');
    let login = first.rsplit_once('@').map_or(String::new(), |(login, _)| format!("{login}@"));
    let more = query.split('&').filter_map(|pair| pair.strip_prefix("node="));
    let more = more.map(|node| format!("{scheme}://{login}{node}"));
    std::iter::once(format!("{scheme}://{first}")).chain(more).collect()
}

/// What an error means. What the server says of a command may hold what was asked, and is short.
fn failed(error: &RedisError) -> StoreError {
    let (store, cause) = ("realtime", error.to_string());
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => StoreError::Corrupt { store, cause },
        _ => StoreError::Unavailable { store, cause },
    }
}

fn late(patience: Duration) -> StoreError {
    let cause = format!("no answer within {patience:?}");
    StoreError::Unavailable { store: "realtime", cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_of_a_cluster_share_scheme_and_login() {
        let url = "rediss-cluster://u:p@a:1?node=b:2&node=c:3";
        assert_eq!(
            cluster_nodes(url),
            ["rediss://u:p@a:1", "rediss://u:p@b:2", "rediss://u:p@c:3"]
        );
        assert_eq!(cluster_nodes("redis-cluster://a:1/"), ["redis://a:1"]);
    }
}
