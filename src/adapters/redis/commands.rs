//! The connection that everything but the relay uses. This file uses `redis`, as all adapters of
//! Redis do but the broker, which uses `fred`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, RedisResult, Script,
    ServerErrorKind, ToRedisArgs,
};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::ports::StoreError;

use super::keys::Keys;
use super::options::RedisOptions;
use super::tls::Authorities;

/// Between attempts to connect again.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// How often a command to a cluster is tried: as often as a slot that moves may need it, within the
/// time that an answer may take.
const CLUSTER_RETRIES: u32 = 8;
/// Between those, in milliseconds: at least, at most.
const CLUSTER_RETRY_MILLIS: (u64, u64) = (10, 200);

/// A connection that is made again when it is lost, or no longer answers, or leads to a server that
/// has become a replica. That is tried beside the callers: while there is none, they are told so at once.
pub struct RedisCommands {
    shared: Arc<Shared>,
    mending: AbortHandle,
    pub(super) keys: Keys,
}

struct Shared {
    options: RedisOptions,
    current: Mutex<Current>,
    /// Told when the connection was given up.
    lost: Notify,
}

/// The connection, if there is one, and how many there were before it.
struct Current {
    connection: Option<Connection>,
    number: u64,
}

/// A connection to one server, or to those of a cluster.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl RedisCommands {
    /// Connects.
    ///
    /// # Errors
    /// If Redis cannot be reached now. Once connected, it may go and come back.
    pub async fn connect(options: &RedisOptions) -> Result<Self, StoreError> {
        let connection = Some(Connection::open(options).await?);
        let current = Mutex::new(Current { connection, number: 0 });
        let shared = Arc::new(Shared { options: options.clone(), current, lost: Notify::new() });
        let mending = tokio::spawn(mend(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, mending, keys: Keys::new(&options.prefix) })
    }

    /// Runs a script.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[impl ToRedisArgs],
    ) -> Result<T, StoreError> {
        self.run_within(self.patience(), script, keys, arguments).await
    }

    /// How long an answer may take.
    pub(super) fn patience(&self) -> Duration {
        self.shared.options.command_timeout
    }

    /// How many connections there were before this one.
    #[cfg(test)]
    pub(super) fn renewals(&self) -> u64 {
        self.shared.current().number
    }

    /// Runs a script that has less time.
    pub(super) async fn run_within<T: FromRedisValue>(
        &self,
        patience: Duration,
        script: &Script,
        keys: &[String],
        arguments: &[impl ToRedisArgs],
    ) -> Result<T, StoreError> {
        let (number, connection) = self.shared.connection()?;
        let mut invocation = script.prepare_invoke();
        keys.iter().for_each(|key| {
            invocation.key(key);
        });
        arguments.iter().for_each(|argument| {
            invocation.arg(argument);
        });
        let answer = async {
            match connection {
                Connection::One(mut one) => invocation.invoke_async(&mut one).await,
                Connection::Cluster(mut all) => invocation.invoke_async(&mut all).await,
            }
        };
        let Ok(answer) = tokio::time::timeout(patience, answer).await else {
            self.shared.give_up(number);
            return Err(late(patience));
        };
        answer.map_err(|error| {
            if is_of_the_connection(&error) {
                self.shared.give_up(number);
            }
            failed(&error)
        })
    }
}

impl Drop for RedisCommands {
    fn drop(&mut self) {
        self.mending.abort();
    }
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection and its number.
    fn connection(&self) -> Result<(u64, Connection), StoreError> {
        let current = self.current();
        let Some(connection) = current.connection.clone() else {
            let cause = "it does not answer, and is connected to again".to_owned();
            return Err(StoreError::Unavailable { store: "realtime", cause });
        };
        Ok((current.number, connection))
    }

    /// Uses the connection of this number no more.
    fn give_up(&self, number: u64) {
        let mut current = self.current();
        if current.number == number && current.connection.take().is_some() {
            self.lost.notify_one();
        }
    }

    async fn connect_again(&self) {
        let connection = loop {
            match Connection::open(&self.options).await {
                Ok(connection) => break connection,
                Err(error) => tracing::debug!(%error, "could not connect to Redis again"),
            }
            tokio::time::sleep(RETRY_DELAY).await;
        };
        let mut current = self.current();
        current.number += 1;
        current.connection = Some(connection);
    }

    /// Finds out whether a connection that nobody used meanwhile is still there. On a cluster, the
    /// client does so itself, for each of its servers.
    async fn check(&self) {
        let Ok((number, Connection::One(mut one))) = self.connection() else { return };
        let ping = redis::cmd("PING");
        let ping = ping.query_async::<()>(&mut one);
        if !matches!(tokio::time::timeout(self.options.command_timeout, ping).await, Ok(Ok(()))) {
            self.give_up(number);
        }
    }
}

/// Keeps a connection there.
async fn mend(shared: Arc<Shared>) {
    let mut checks = tokio::time::interval(shared.options.probe_interval);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.lost.notified() => shared.connect_again().await,
            _ = checks.tick() => shared.check().await,
        }
    }
}

impl Connection {
    /// Connects, within the time that this may take.
    pub(super) async fn open(options: &RedisOptions) -> Result<Self, StoreError> {
        let patience = options.connect_timeout + options.command_timeout;
        let authorities = Authorities::of(options)?;
        let opening = Self::try_open(options, authorities.as_ref());
        match tokio::time::timeout(patience, opening).await {
            Ok(connection) => connection.map_err(|error| failed(&error)),
            Err(_) => Err(late(patience)),
        }
    }

    async fn try_open(
        options: &RedisOptions,
        authorities: Option<&Authorities>,
    ) -> RedisResult<Self> {
        let (connect, answer) = (options.connect_timeout, options.command_timeout);
        if options.is_cluster() {
            let (least, most) = CLUSTER_RETRY_MILLIS;
            let builder = ClusterClient::builder(cluster_nodes(&options.url));
            let builder = match authorities {
                Some(authorities) => builder.certs(authorities.for_redis()),
                None => builder,
            };
            let client = builder
                .connection_timeout(connect)
                .response_timeout(answer)
                .retries(CLUSTER_RETRIES)
                .min_retry_wait(least)
                .max_retry_wait(most)
                .build()?;
            return client.get_async_connection().await.map(Self::Cluster);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect))
            .set_response_timeout(Some(answer));
        let client = match authorities {
            Some(authorities) => {
                Client::build_with_tls(options.url.as_str(), authorities.for_redis())?
            }
            None => Client::open(options.url.as_str())?,
        };
        client.get_multiplexed_async_connection_with_config(&config).await.map(Self::One)
    }
}

/// Whether another connection may do what this one did not.
fn is_of_the_connection(error: &RedisError) -> bool {
    let of_the_server = |kind| {
        use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
        matches!(kind, BusyLoading | MasterDown | ReadOnly)
    };
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.kind(), ErrorKind::Server(kind) if of_the_server(kind))
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
pub(super) fn failed(error: &RedisError) -> StoreError {
    let (store, cause) = ("realtime", error.to_string());
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => StoreError::Corrupt { store, cause },
        _ => StoreError::Unavailable { store, cause },
    }
}

pub(super) fn late(patience: Duration) -> StoreError {
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
