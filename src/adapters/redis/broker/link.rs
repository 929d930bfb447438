//! A connection of `fred`, with a bound on every answer.

use std::time::Duration;

use fred::clients::{Client, Pipeline, WithOptions};
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::config::{
    Config, ConnectionConfig, Options, PerformanceConfig, ReconnectPolicy, TcpConfig,
    UnresponsiveConfig,
};
use fred::types::{ClusterHash, ConnectHandle, CustomCommand, RespVersion, Value};
use tokio::task::AbortHandle;

use crate::ports::StoreError;

use super::scripts::Script;
use super::{corrupt, unavailable};
use crate::adapters::redis::options::RedisOptions;
use crate::adapters::redis::tls::Authorities;

/// Milliseconds between attempts to connect again: at least, at most.
const RECONNECT_MILLIS: (u32, u32) = (50, 1_000);
/// How long the client rests before it begins anew.
const RESTART_DELAY: Duration = Duration::from_millis(100);
/// How often silence is looked for.
const SILENCE_CHECK: Duration = Duration::from_millis(500);

/// How many notices of the client may wait, at least.
const NOTICES_MIN: usize = 16;

/// One thing to ask of the server.
pub(super) enum Ask<'a> {
    /// Run a script with these keys and arguments.
    Run(&'a Script, Vec<String>, Vec<Value>),
    /// Send a message to an audience.
    Send(String, String),
}

/// A connection that is made again when it is lost. What was asked when it was lost fails at once,
/// and so does what is asked while there is none.
pub(super) struct Link {
    /// The client.
    pub(super) client: Client,
    options: Options,
    /// `PUBLISH`, or `SPUBLISH` on a cluster.
    pub(super) verb: &'static str,
    driver: AbortHandle,
}

impl Link {
    /// Connects. `queue` is how many messages may wait to be taken from Pub/Sub.
    pub(super) async fn connect(options: &RedisOptions, queue: usize) -> Result<Self, StoreError> {
        let cluster = options.is_cluster();
        let config = match cluster {
            true => Config::from_url_clustered(&options.url),
            false => Config::from_url_centralized(&options.url),
        };
        // Pub/Sub confirmations and ordinary answers share a connection only in RESP3.
        let mut config = Config { version: RespVersion::RESP3, ..config.map_err(unavailable)? };
        if let Some(authorities) = Authorities::of(options)? {
            config.tls = Some(authorities.for_fred()?);
        }
        let timeout = options.command_timeout;
        let silence =
            UnresponsiveConfig { max_timeout: Some(2 * timeout), interval: SILENCE_CHECK };
        let connection = ConnectionConfig {
            connection_timeout: options.connect_timeout,
            internal_command_timeout: timeout,
            // Nothing is sent twice behind the caller's back. On a cluster, following a slot that
            // moves counts as an attempt, too, and a script may be run again; it then finds what
            // it did.
            max_command_attempts: if cluster { 8 } else { 1 },
            unresponsive: silence,
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            ..ConnectionConfig::default()
        };
        let performance = PerformanceConfig {
            default_command_timeout: timeout,
            // Where there is room for less, why a connection fails is overwritten before it is read.
            broadcast_channel_capacity: queue.max(NOTICES_MIN),
            ..PerformanceConfig::default()
        };
        let (least, most) = RECONNECT_MILLIS;
        let policy = ReconnectPolicy::new_exponential(0, least, most, 2);
        let client = Client::new(config, Some(performance), Some(connection), Some(policy));
        let patience = options.connect_timeout + timeout;
        let connected = tokio::time::timeout(patience, client.init()).await;
        let driver = connected.map_err(unavailable)?.map_err(unavailable)?;
        let driver = tokio::spawn(drive(client.clone(), driver)).abort_handle();
        let options = Options { fail_fast: true, timeout: Some(timeout), ..Options::default() };
        let verb = if cluster { "SPUBLISH" } else { "PUBLISH" };
        Ok(Self { client, options, verb, driver })
    }

    /// The client, failing at once while there is no connection.
    pub(super) fn bounded(&self) -> WithOptions<Client> {
        self.client.with_options(&self.options)
    }

    /// Asks for one thing.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Value, StoreError> {
        let answers = self.ask_all(&[ask]).await?;
        answers.into_iter().next().ok_or_else(|| corrupt("there is no answer"))
    }

    /// Asks for all of it, pipelined; returns an answer to each, or the first error, when some of
    /// it may have been done.
    pub(super) async fn ask_all(&self, asks: &[Ask<'_>]) -> Result<Vec<Value>, StoreError> {
        let pipeline = Pipeline::from(self.bounded());
        for ask in asks {
            let (command, arguments) = self.command(ask, true);
            let _queued: Value = pipeline.custom(command, arguments).await.map_err(unavailable)?;
        }
        let answers = pipeline.try_all::<Value>().await;
        let whole = answers.len() == asks.len();
        let mut results = Vec::with_capacity(asks.len());
        for (ask, answer) in asks.iter().zip(answers) {
            results.push(match answer {
                Err(error) if is_unknown_script(&error) => self.teach(ask).await?,
                answer => answer.map_err(unavailable)?,
            });
        }
        if whole { Ok(results) } else { Err(corrupt("there are fewer answers than questions")) }
    }

    /// Asks with the whole text of the script, which the server then remembers.
    async fn teach(&self, ask: &Ask<'_>) -> Result<Value, StoreError> {
        let (command, arguments) = self.command(ask, false);
        self.bounded().custom(command, arguments).await.map_err(unavailable)
    }

    fn command(&self, ask: &Ask<'_>, is_known: bool) -> (CustomCommand, Vec<Value>) {
        match ask {
            Ask::Send(audience, message) => {
                let command = CustomCommand::new_static(self.verb, audience.as_str(), false);
                (command, vec![audience.as_str().into(), message.as_str().into()])
            }
            Ask::Run(script, keys, arguments) => {
                let (verb, program) = match is_known {
                    true => ("EVALSHA", Value::from(script.sha.as_str())),
                    false => ("EVAL", Value::from(script.text)),
                };
                let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
                let mut all = vec![program, count.into()];
                all.extend(keys.iter().map(|key| Value::from(key.as_str())));
                all.extend(arguments.iter().cloned());
                // Of a custom command, the client honours no way to find the shard but its slot.
                let slot = keys.first().map_or(ClusterHash::Random, |key| key.as_str().into());
                (CustomCommand::new_static(verb, slot, false), all)
            }
        }
    }
}

/// Keeps the client's own task running: it ends for good when it cannot follow a slot that moves.
async fn drive(client: Client, mut task: ConnectHandle) {
    loop {
        let _ends_with_this = AbortOnDrop(task.abort_handle());
        let outcome = task.await;
        tracing::warn!(?outcome, "the client of Redis ended; it begins anew");
        tokio::time::sleep(RESTART_DELAY).await;
        task = client.connect();
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn is_unknown_script(error: &Error) -> bool {
    error.details().starts_with("NOSCRIPT")
}
